"""How is a PostgreSQL database a serial history for several processes? One advisory lock held by each transaction.

Taken first in every writing transaction, it makes commit order and lock order the same, so a number given inside is
given in history's order. Knows sessions, round trips, reconnecting and the driver's exceptions; knows no table but the
network version's. Loaded only where this database is used.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, TypeVar

import psycopg

from gateway.stores.schema import Dialect
from gateway.stores.transaction import LedgerRefused, LedgerUnavailable, Transaction, Work, unavailable

T = TypeVar("T")

_LOCK = 7_263_104_411
_POLL = 0.25
_BEGIN_WRITE = b"BEGIN; SELECT pg_advisory_xact_lock(%d)" % _LOCK
# read committed on purpose: the snapshot of each statement is younger than the lock
_COMMIT_WRITE = b"SELECT version FROM network_state; COMMIT"
_BEGIN_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_COMMIT_READ = b"COMMIT"


@lru_cache(maxsize=1024)
def _placeholders(sql: str) -> bytes:
    return sql.replace("%", "%%").replace("?", "%s").encode()


_LOST = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)


def in_our_words(error: Exception) -> Exception:
    """PostgreSQL's error as ours; a mistake in the SQL itself stays what it is. Never carries parameters."""
    if isinstance(error, _LOST):
        return unavailable(error)
    if isinstance(error, psycopg.IntegrityError):
        return LedgerRefused(error.diag.message_primary or "a constraint")
    return error


class PostgresWork(Work):
    """One transaction on a PostgreSQL session."""

    __slots__ = ()

    errors = psycopg.Error

    @staticmethod
    def told(error: Exception) -> Exception:
        return in_our_words(error)


class PostgresEngine:
    """One session that writes, a few that read; a lost one is replaced at its next use.

    `busy` is in seconds: how long a lock or a statement may take. A session left in a transaction by a stopped process
    is ended by the server after three times that, which frees the lock for the others.
    """

    inline = False
    alone = False
    dialect = Dialect.POSTGRESQL
    relaxing: str | None = "SET LOCAL synchronous_commit = off"

    def __init__(self, url: str, *, read_only: bool, busy: float) -> None:
        self._url = url
        self._read_only = read_only
        self._busy_ms = int(busy * 1000)
        self._writer: psycopg.Cursor[Any] | None = None
        self._idle: deque[psycopg.Cursor[Any]] = deque()
        self._version = 0
        self._polling: threading.Thread | None = None
        self._closed = threading.Event()

    def _connect(self) -> psycopg.Cursor[Any]:
        settings = (
            b"SET synchronous_commit = on; SET client_encoding = 'UTF8';"
            b"SET lock_timeout = %d; SET statement_timeout = %d; SET idle_in_transaction_session_timeout = %d"
            % (self._busy_ms, self._busy_ms, 3 * self._busy_ms)
        )
        try:
            session = psycopg.connect(self._url, autocommit=True, connect_timeout=2, application_name="switchpoint")
            cursor = session.cursor()
            cursor.execute(settings)
        except psycopg.Error as error:
            # the driver's text may quote the address, which may hold a password
            raise LedgerUnavailable(f"{type(error).__name__}: no session with the ledger's server") from None
        return cursor

    def _begin(self, kept: psycopg.Cursor[Any] | None, opening: bytes) -> psycopg.Cursor[Any]:
        """A session inside a transaction: the kept one, or a new one when the server has dropped it meanwhile."""
        if kept is not None:
            try:
                kept.execute(opening)
            except psycopg.Error as error:
                lost = kept.connection.closed
                _drop(kept)
                if not lost:
                    raise in_our_words(error) from error
            else:
                return kept
        fresh = self._connect()
        try:
            fresh.execute(opening)
        except psycopg.Error as error:
            _drop(fresh)
            raise in_our_words(error) from error
        return fresh

    @contextmanager
    def writing(self) -> Iterator[Work]:
        if self._read_only:
            raise LedgerUnavailable("opened for reading only")
        kept, self._writer = self._writer, None
        cursor = self._begin(kept, _BEGIN_WRITE)
        work = PostgresWork(_executing(cursor))
        try:
            yield work
            work.whole()
            version = self._commit_write(cursor)
        except BaseException:
            _drop(cursor)
            raise
        finally:
            work.end()
        self._writer, self._version = cursor, version

    def at_once(self, unit: Callable[[Transaction], T]) -> tuple[T] | None:
        del unit  # a server is never answered for without waiting
        return None

    def flush(self) -> None:
        """Nothing was ever written at once."""

    def descriptor(self) -> int | None:
        return None

    def failed(self, error: OSError) -> LedgerUnavailable:
        return LedgerUnavailable(str(error))

    def _commit_write(self, cursor: psycopg.Cursor[Any]) -> int:
        """Commit, and learn the network version in the same round trip."""
        try:
            cursor.execute(_COMMIT_WRITE)
        except psycopg.Error as error:
            raise in_our_words(error) from error
        row = cursor.fetchone()
        return int(row[0]) if row else 0

    def read(self, unit: Callable[[Transaction], T], *, single: bool = False) -> T:
        del single  # a statement by itself costs the same round trips here
        try:
            kept = self._idle.pop()
        except IndexError:
            kept = None
        cursor = self._begin(kept, _BEGIN_READ)
        work = PostgresWork(_executing(cursor))
        try:
            result = unit(work)
            work.whole()
            cursor.execute(_COMMIT_READ)
        except BaseException as error:
            _drop(cursor)
            if isinstance(error, psycopg.Error):
                raise in_our_words(error) from error
            raise
        finally:
            work.end()
        self._keep(cursor)
        return result

    def _keep(self, cursor: psycopg.Cursor[Any]) -> None:
        if self._closed.is_set():
            _drop(cursor)
        else:
            self._idle.append(cursor)

    def version(self) -> int:
        """The last version seen: polled every quarter of a second from the first call on, and after every commit."""
        if self._polling is None:
            self._version = max(self._version, self.read(_version))
            self._polling = threading.Thread(target=self._poll, name="ledger-version", daemon=True)
            self._polling.start()
        return self._version

    def _poll(self) -> None:
        while not self._closed.wait(_POLL):
            with suppress(LedgerUnavailable):
                self._version = max(self._version, self.read(_version))

    def scrub(self) -> bool:
        """Let the server take back the space of the payloads deleted so far."""
        if self._read_only:
            raise LedgerUnavailable("opened for reading only")
        cursor = self._connect()
        try:
            cursor.execute(b"VACUUM payload")
        except psycopg.Error as error:
            raise in_our_words(error) from error
        finally:
            _drop(cursor)
        return True

    def close(self) -> None:
        self._closed.set()
        if self._polling is not None:
            self._polling.join(timeout=1)
        if self._writer is not None:
            _drop(self._writer)
            self._writer = None
        while self._idle:
            _drop(self._idle.pop())


def _version(tx: Transaction) -> int:
    row = tx.row("SELECT version FROM network_state")
    return int(row[0]) if row else 0


def _drop(cursor: psycopg.Cursor[Any]) -> None:
    with suppress(psycopg.Error):
        cursor.connection.close()


def _executing(cursor: psycopg.Cursor[Any]) -> Callable[[str, Sequence[object]], psycopg.Cursor[Any]]:
    return lambda sql, params: cursor.execute(_placeholders(sql), params)
