"""How is one SQLite file a serial history for several processes? A blocking file lock first, then one transaction.

Waiting on a lock the kernel hands over beats polling for SQLite's own: no stalls, no idle cost. Knows files, modes and
pragmas; knows nothing of tables, except the one network version everybody looks at.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from gateway.stores.schema import Dialect
from gateway.stores.transaction import LASTING, LedgerUnavailable, Transaction, Work, in_our_words

T = TypeVar("T")

_PRIVATE = 0o600
_CACHED_STATEMENTS = 256


class SqliteEngine:
    """One file in WAL mode, `synchronous=FULL`; `<file>.lock` beside it. Both are readable by their owner only.

    `busy` is in seconds: how long another program's transaction on the file is waited for.
    """

    inline = True
    dialect = Dialect.SQLITE

    def __init__(self, path: Path, *, read_only: bool, busy: float) -> None:
        self._path = path
        self._busy = busy
        self._read_only = read_only
        self._lock = -1
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._reading = threading.RLock()
        if not read_only:
            self._lock = self._claim_files()

    def _claim_files(self) -> int:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(_private(self._path))
            return _private(self._path.with_name(self._path.name + ".lock"))
        except OSError as error:
            raise LedgerUnavailable(f"{type(error).__name__}: {error.strerror}") from error

    def _connect(self, *, writer: bool) -> sqlite3.Connection:
        mode = "ro" if self._read_only else "rw"
        try:
            db = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                timeout=self._busy,
                check_same_thread=False,
                cached_statements=_CACHED_STATEMENTS,
            )
        except sqlite3.Error as error:
            raise in_our_words(error) from error
        try:
            for pragma in _WRITER if writer else _READER:
                db.execute(pragma).close()
        except sqlite3.Error as error:
            db.close()
            raise in_our_words(error) from error
        return db

    @contextmanager
    def writing(self) -> Iterator[Work]:
        if self._read_only:
            raise LedgerUnavailable("opened for reading only")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            if self._writer is None:
                self._writer = self._connect(writer=True)
            with self._transaction(self._writer) as work:
                yield work
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    @contextmanager
    def _transaction(self, db: sqlite3.Connection) -> Iterator[Work]:
        work = Work(_executing(db))
        try:
            work.run("BEGIN IMMEDIATE")
            yield work
            work.run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                db.rollback()
            raise
        finally:
            self._forget_if_lasting(work)
            work.end()

    def _forget_if_lasting(self, work: Work) -> None:
        if work.code in LASTING:
            self._drop()

    def _drop(self) -> None:
        """Close both connections; each is opened anew at its next use."""
        with self._reading:
            for db in (self._writer, self._reader):
                if db is not None:
                    db.close()
            self._writer = self._reader = None

    def read(self, unit: Callable[[Transaction], T], *, single: bool = False) -> T:
        with self._reading:
            db = self._open_reader()
            work = Work(_executing(db))
            try:
                if not single:
                    work.run("BEGIN")
                return unit(work)
            finally:
                if not single:
                    with suppress(sqlite3.Error):
                        db.rollback()
                self._forget_if_lasting(work)
                work.end()

    def _open_reader(self) -> sqlite3.Connection:
        if self._reader is None:
            self._reader = self._connect(writer=False)
        return self._reader

    def version(self) -> int:
        with self._reading:
            work = Work(_executing(self._open_reader()))
            row = work.row("SELECT version FROM network_state")
            return int(row[0]) if row else 0

    def scrub(self) -> bool:
        """Move the whole write-ahead log into the file, where what was deleted is overwritten, and empty it."""
        if self._read_only:
            raise LedgerUnavailable("opened for reading only")
        # a lock of its own: the writer thread's would be shared, and let go, with it
        lock = _private(self._path.with_name(self._path.name + ".lock"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._empty_log()
        finally:
            os.close(lock)

    def _empty_log(self) -> bool:
        db = self._connect(writer=True)
        try:
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise in_our_words(error) from error
        finally:
            db.close()
        return not busy

    def close(self) -> None:
        self._drop()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


_READER = ("PRAGMA query_only=ON",)
_WRITER = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    # what is deleted is overwritten: a delivered message leaves no trace in freed pages
    "PRAGMA secure_delete=ON",
)


def _executing(db: sqlite3.Connection) -> Callable[[str, Sequence[object]], sqlite3.Cursor]:
    return db.execute


def _private(path: Path) -> int:
    """Open or create, for the owner only; returns the descriptor. Narrows a file that was wider."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    os.fchmod(descriptor, _PRIVATE)
    return descriptor
