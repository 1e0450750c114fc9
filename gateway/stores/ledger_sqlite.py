"""How is one SQLite file a serial history for several processes? A blocking file lock first, then one transaction.

Waiting on a lock the kernel hands over beats polling for SQLite's own: no stalls, no idle cost. Who finds the lock free
may also write at once, in its own thread, and leave waiting for the disk to somebody else (`at_once`, `flush`). Knows
files, modes and pragmas; knows nothing of tables, except the one network version everybody looks at.
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
from gateway.stores.transaction import LASTING, LedgerUnavailable, ReadingWork, Transaction, Work, in_our_words

T = TypeVar("T")

_PRIVATE = 0o600
_CACHED_STATEMENTS = 256
_CHECKPOINT_EVERY = 200
"""Of so many units one is left to the writer thread, whose commit brings the WAL into the file once it is long."""


class SqliteEngine:
    """One file in WAL mode, `synchronous=FULL`; `<file>.lock` beside it. Both are readable by their owner only.

    `busy` is in seconds: how long another program's transaction on the file is waited for.
    """

    inline = True
    alone = False
    dialect = Dialect.SQLITE
    relaxing: str | None = None

    def __init__(self, path: Path, *, read_only: bool, busy: float) -> None:
        self._path = path
        self._busy = busy
        self._read_only = read_only
        self._lock = -1
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._quick = threading.RLock()
        self._quick_lock = -1
        self._quick_db: sqlite3.Connection | None = None
        self._wal = -1
        self._unchecked = 0
        self._flushing = threading.Lock()
        if not read_only:
            self._lock, self._quick_lock = self._claim_files()

    def _claim_files(self) -> tuple[int, int]:
        """The lock file, opened twice: who writes at once and the writer thread wait for each other, too."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(_private(self._path))
            lock = self._path.with_name(self._path.name + ".lock")
            return _private(lock), _private(lock)
        except OSError as error:
            raise LedgerUnavailable(f"{type(error).__name__}: {error.strerror}") from error

    def _connect(self, pragmas: Sequence[str], busy: float) -> sqlite3.Connection:
        mode = "ro" if self._read_only else "rw"
        try:
            db = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                timeout=busy,
                check_same_thread=False,
                cached_statements=_CACHED_STATEMENTS,
            )
        except sqlite3.Error as error:
            raise in_our_words(error) from error
        try:
            for pragma in pragmas:
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
                self._writer = self._connect(_WRITER, self._busy)
            with self._transaction(self._writer) as work:
                yield work
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def at_once(self, unit: Callable[[Transaction], T]) -> tuple[T] | None:
        if self._read_only or not self._quick.acquire(blocking=False):
            return None
        try:
            fcntl.flock(self._quick_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._quick.release()
            return None
        try:
            return self._committed(unit)
        finally:
            fcntl.flock(self._quick_lock, fcntl.LOCK_UN)
            self._quick.release()

    def _committed(self, unit: Callable[[Transaction], T]) -> tuple[T] | None:
        if self._unchecked >= _CHECKPOINT_EVERY:
            self._unchecked = 0
            return None
        self._unchecked += 1
        db = self._open_quick()
        work = Work(_executing(db))
        try:
            with suppress(_Busy):
                return (_whole(work, unit),)
        except BaseException:
            with suppress(sqlite3.Error):
                db.rollback()
            raise
        finally:
            self._forget_if_lasting(work)
            work.end()
        return None

    def flush(self) -> None:
        with self._flushing:
            try:
                os.fdatasync(self._open_wal())
                return
            except OSError as error:
                why = error
        raise self.failed(why)

    def descriptor(self) -> int | None:
        with self._flushing:
            try:
                return self._open_wal()
            except OSError as error:
                why = error
        raise self.failed(why)

    def failed(self, error: OSError) -> LedgerUnavailable:
        # the kernel tells of a write that failed only once: nothing of these connections can be believed any more
        self._drop()
        return LedgerUnavailable(f"{type(error).__name__}: {error.strerror}")

    def _open_wal(self) -> int:
        if self._wal < 0:
            self._wal = os.open(self._path.with_name(self._path.name + "-wal"), os.O_RDONLY | os.O_CLOEXEC)
        return self._wal

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
        """Close all connections; each is opened anew at its next use."""
        with self._quick, self._flushing:
            for db in (self._writer, self._reader, self._quick_db):
                if db is not None:
                    db.close()
            self._writer = self._reader = self._quick_db = None
            if self._wal >= 0:
                os.close(self._wal)
            self._wal = -1

    def read(self, unit: Callable[[Transaction], T], *, single: bool = False) -> T:
        with self._quick:
            if not self._read_only:
                with suppress(_Busy):
                    return self._read(self._open_quick(), unit, single=single)
            return self._read(self._open_reader(), unit, single=single)

    def _read(self, db: sqlite3.Connection, unit: Callable[[Transaction], T], *, single: bool) -> T:
        work = ReadingWork(_executing(db))
        try:
            if not single:
                work.rows("BEGIN")
            return unit(work)
        except LedgerUnavailable as error:
            if work.code == sqlite3.SQLITE_BUSY and db is self._quick_db:
                raise _Busy from error
            raise
        finally:
            if not single:
                with suppress(sqlite3.Error):
                    db.rollback()
            self._forget_if_lasting(work)
            work.end()

    def _open_quick(self) -> sqlite3.Connection:
        """The one connection of the caller's own thread: what it wrote need not be read from the file again."""
        if self._quick_db is None:
            self._quick_db = self._connect(_QUICK, 0)
        return self._quick_db

    def _open_reader(self) -> sqlite3.Connection:
        """The patient one, for who only reads, or while another program is in the way."""
        if self._reader is None:
            self._reader = self._connect(_READER, self._busy)
        return self._reader

    def version(self) -> int:
        return self.read(_version, single=True)

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
        db = self._connect(_WRITER, self._busy)
        try:
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise in_our_words(error) from error
        finally:
            db.close()
        return not busy

    def close(self) -> None:
        self._drop()
        for lock in {self._lock, self._quick_lock} - {-1}:
            os.close(lock)
        self._lock = self._quick_lock = -1


def _version(tx: Transaction) -> int:
    row = tx.row("SELECT version FROM network_state")
    return int(row[0]) if row else 0


class _Busy(Exception):
    """Another program is in a transaction on the file."""


def _whole(work: Work, unit: Callable[[Transaction], T]) -> T:
    """One unit as one transaction. Raises _Busy before it began, else what the unit or the database raises."""
    try:
        work.run("BEGIN IMMEDIATE")
    except LedgerUnavailable as error:
        if work.code == sqlite3.SQLITE_BUSY:
            raise _Busy from error
        raise
    result = unit(work)
    work.run("COMMIT")
    return result


_READER = ("PRAGMA query_only=ON",)
_WRITER = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    # what is deleted is overwritten: a delivered message leaves no trace in freed pages
    "PRAGMA secure_delete=ON",
)
_QUICK = (
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA secure_delete=ON",
    "PRAGMA wal_autocheckpoint=0",  # it waits for the disk, which nobody here may
)


def _executing(db: sqlite3.Connection) -> Callable[[str, Sequence[object]], sqlite3.Cursor]:
    return db.execute


def _private(path: Path) -> int:
    """Open or create, for the owner only; returns the descriptor. Narrows a file that was wider."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    os.fchmod(descriptor, _PRIVATE)
    return descriptor
