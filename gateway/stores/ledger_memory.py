"""How is a ledger kept for one process that forgets it at its end? In memory, on one connection, every unit at once.

NOT DURABLE, on purpose: an answered commit has reached no disk, and nothing outlives the process. For a country inside
a test only, where time is virtual and threads would spoil the order of things. No setting, address or command chooses
it: only code that calls `open_in_memory` does. Knows SQLite; knows nothing of tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from gateway.stores import schema
from gateway.stores.ledger import Ledger
from gateway.stores.schema import Dialect
from gateway.stores.transaction import LedgerUnavailable, ReadingWork, Transaction, Work

T = TypeVar("T")

_CACHED_STATEMENTS = 256
_PATIENCE = 2.0


class MemoryEngine:
    """One SQLite database in memory. `image` is what another one was (`image`), empty without.

    One thread at a time may use it.
    """

    inline = True
    alone = True
    dialect = Dialect.SQLITE
    relaxing: str | None = None

    def __init__(self, image: bytes | None = None) -> None:
        self._db = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS
        )
        if image is not None:
            self._db.deserialize(image)
        self._db.execute("PRAGMA foreign_keys=ON").close()

    @contextmanager
    def writing(self) -> Iterator[Work]:
        work = Work(self._db.execute)
        try:
            work.run("BEGIN IMMEDIATE")
            yield work
            work.run("COMMIT")
        finally:
            self._undo()
            work.end()

    def at_once(self, unit: Callable[[Transaction], T]) -> tuple[T] | None:
        with self.writing() as work:
            return (unit(work),)

    def flush(self) -> None:
        """There is no disk to wait for."""

    def descriptor(self) -> int | None:
        return None

    def failed(self, error: OSError) -> LedgerUnavailable:
        return LedgerUnavailable(str(error))

    def read(self, unit: Callable[[Transaction], T], *, single: bool = False) -> T:
        work = ReadingWork(self._db.execute)
        try:
            if not single:
                work.rows("BEGIN")
            return unit(work)
        finally:
            self._undo()
            work.end()

    def version(self) -> int:
        row = self._db.execute("SELECT version FROM network_state").fetchone()
        return int(row[0]) if row else 0

    def scrub(self) -> bool:
        """Nothing is left of what was deleted but memory that will be written over."""
        return True

    def image(self) -> bytes:
        """Everything that is kept, to open another one from."""
        return self._db.serialize()

    def close(self) -> None:
        self._db.close()

    def _undo(self) -> None:
        """What is not committed by now never will be."""
        if self._db.in_transaction:
            self._db.rollback()


def open_in_memory() -> Ledger:
    """A fresh, empty ledger in memory. It is not durable: see above."""
    return Ledger(MemoryEngine(_empty()), patience=_PATIENCE)


@cache
def _empty() -> bytes:
    """The schema, made once per process."""
    engine = MemoryEngine()
    with engine.writing() as work:
        schema.prepare(work, engine.dialect)
    made = engine.image()
    engine.close()
    return made
