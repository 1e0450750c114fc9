"""What does a unit of work see of the ledger, and how do database errors sound in our words?

Knows SQLite's exceptions; PostgreSQL's are known where it is used. Knows nothing of queues, threads, files or what is
kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol, TypeVar, cast

from gateway.stores.schema import Dialect

T = TypeVar("T")
Row = tuple[Any, ...]


class LedgerUnavailable(Exception):
    """The ledger cannot answer now (locked, full, lost, overloaded). Nothing is acknowledged; whether the unit took
    effect is open only when patience ran out, or the connection was lost, during the commit itself."""


class LedgerRefused(Exception):
    """A constraint of the schema refuses this row (a reference to nothing, a change of the journal)."""


class Transaction(Protocol):
    """What a unit of work sees. `?` is the placeholder on both databases. Raises LedgerUnavailable, LedgerRefused."""

    def rows(self, sql: str, *params: object) -> list[Row]: ...

    def row(self, sql: str, *params: object) -> Row | None: ...

    def run(self, sql: str, *params: object) -> int:
        """Execute; returns the number of rows touched."""


class Work:
    """One transaction on one connection. `broken` says why it can no longer be used: a database that failed may have
    rolled back silently, and the next statement would then commit by itself. `code` is SQLite's result code, or 0."""

    __slots__ = ("_execute", "broken", "code")

    errors: ClassVar[type[Exception]] = sqlite3.Error
    """What the driver raises."""

    def __init__(self, execute: Callable[[str, Sequence[object]], Any]) -> None:
        self._execute = execute
        self.broken: str | None = None
        self.code = 0

    def _cursor(self, sql: str, params: Sequence[object]) -> Any:
        if self.broken:
            raise LedgerUnavailable(self.broken)
        try:
            return self._execute(sql, params)
        except self.errors as error:
            told = self.told(error)
            if isinstance(told, LedgerUnavailable):
                self.broken = str(told)
                self.code = _result_code(error)
            raise told from error

    @staticmethod
    def told(error: Exception) -> Exception:
        """One of `errors` in our words."""
        return in_our_words(error)

    def rows(self, sql: str, *params: object) -> list[Row]:
        return cast(list[Row], self._cursor(sql, params).fetchall())

    def row(self, sql: str, *params: object) -> Row | None:
        # a RETURNING statement must be read to its end before the transaction can commit
        found = self.rows(sql, *params)
        return found[0] if found else None

    def run(self, sql: str, *params: object) -> int:
        return cast(int, self._cursor(sql, params).rowcount)

    def end(self) -> None:
        """From here on nobody can use this transaction, also who kept a reference to it."""
        self.broken = self.broken or "the transaction has ended"

    def whole(self) -> None:
        """Raises LedgerUnavailable if any statement found the database failing, even if a unit swallowed that."""
        if self.broken:
            raise LedgerUnavailable(self.broken)


class ReadingWork(Work):
    """A transaction on a connection that could write, for a unit that may not. Raises LedgerUnavailable if it tries."""

    __slots__ = ()

    def _cursor(self, sql: str, params: Sequence[object]) -> Any:
        if not self.broken and not sql.startswith(_HARMLESS):
            raise LedgerUnavailable("opened for reading only")
        return super()._cursor(sql, params)


_HARMLESS = ("SELECT ", "BEGIN")


class Engine(Protocol):
    """A database the ledger can run on. `inline`: a read takes microseconds and may run in the event loop's thread.
    `alone`: nobody else writes and there is no disk, so every unit is run at once, in its caller's thread.
    `relaxing` is the statement after which a transaction's commit does not wait for the disk, if there is one."""

    inline: bool
    alone: bool
    dialect: Dialect
    relaxing: str | None

    def writing(self) -> AbstractContextManager[Work]:
        """The serial transaction: durable on leaving, rolled back on any error. Raises LedgerUnavailable."""

    def at_once(self, unit: Callable[[Transaction], T]) -> tuple[T] | None:
        """Run and commit a brief unit in this thread, without ever waiting: for others to see, and to outlive this
        process, but only after `flush` sure to outlive the machine. None: not now, or not here. Raises what it raised,
        LedgerUnavailable."""

    def flush(self) -> None:
        """Wait until all that `at_once` committed is on the disk. Raises LedgerUnavailable."""

    def descriptor(self) -> int | None:
        """The file `flush` would bring to the disk, if it is just one. Raises LedgerUnavailable."""

    def failed(self, error: OSError) -> LedgerUnavailable:
        """That file could not be brought to the disk: what to say, after letting go of what is now in doubt."""

    def read(self, unit: Callable[[Transaction], T], *, single: bool = False) -> T:
        """Run a unit on one snapshot, from any thread. `single`: it is one statement, a snapshot by itself.
        Raises LedgerUnavailable."""

    def version(self) -> int:
        """The network version, without waiting for a server."""

    def scrub(self) -> bool:
        """Take back what deleted rows have left behind; False: somebody was reading, try again. Raises
        LedgerUnavailable."""

    def close(self) -> None: ...


LASTING = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB},
)
"""SQLite result codes after which a connection is better opened anew."""

_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_PROTOCOL,
    },
)


def _result_code(error: Exception) -> int:
    """SQLite's primary result code; 0 for an error of Python's binding or of another database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def in_our_words(error: Exception) -> Exception:
    """SQLite's error as ours; a mistake in the SQL itself stays what it is. Never carries parameters."""
    if _result_code(error) in LASTING | _PASSING:
        return unavailable(error)
    return LedgerRefused(str(error)) if isinstance(error, sqlite3.IntegrityError) else error


def unavailable(error: Exception) -> LedgerUnavailable:
    """A database that cannot answer now, in one line."""
    text = str(error).strip() or "connection lost"
    return LedgerUnavailable(f"{type(error).__name__}: {text.splitlines()[0]}")
