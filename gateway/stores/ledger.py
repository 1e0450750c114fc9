"""How do many requests share one durable, serial history? Units of work queue up; one thread commits them together.

Per process one writer thread takes the lock all processes share, runs every waiting unit in one transaction, commits
durably and wakes the waiters: a batch costs one fsync. If a unit raises, the batch is run again, each in a savepoint.
A brief unit is run at once, in its caller's thread, where the engine can; then only the disk is waited for (flush.py).
Knows futures and patience, not what is kept (the drawers do) and not the time of day. A ledger is opened after a fork,
never before.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from gateway.stores import schema
from gateway.stores.flush import Flusher
from gateway.stores.ledger_sqlite import SqliteEngine
from gateway.stores.transaction import Engine, LedgerRefused, LedgerUnavailable, Transaction, Work

__all__ = ["Ledger", "LedgerRefused", "LedgerUnavailable", "Transaction", "open_ledger"]

T = TypeVar("T")

QUEUE_LIMIT = 10_000
"""Units that may wait; one more is refused at once, so that overload is told instead of piling up."""
_BATCH_LIMIT = 512
_READERS = 4
_PROBE_BYTES = 32_768
_OUT_OF_PATIENCE = "no answer within patience"


class _Waiting:
    """One unit, who waits for it, and what came of it. Written by the writer thread, then read by the waiter's."""

    __slots__ = ("error", "future", "lasting", "loop", "result", "timer", "unit")

    def __init__(
        self,
        unit: Callable[[Transaction], Any],
        future: Any,
        loop: asyncio.AbstractEventLoop | None,
        *,
        lasting: bool = True,
    ) -> None:
        self.unit = unit
        self.lasting = lasting
        self.future = future
        self.loop = loop
        self.timer: asyncio.TimerHandle | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.future.done():
            return
        # whoever waits in another thread may lose patience at this very moment
        with suppress(InvalidStateError):
            if self.error is not None:
                self.future.set_exception(self.error)
            else:
                self.future.set_result(self.result)


class Ledger:
    """The one truth of the exchange. `patience` is in seconds: no caller waits longer for an answer, whatever hangs."""

    def __init__(self, engine: Engine, *, patience: float) -> None:
        self._engine = engine
        self._patience = patience
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._closing = False
        self._readers = None if engine.inline else ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-read")
        self._flusher = Flusher(engine)
        self._thread = threading.Thread(target=self._write_until_closed, name="ledger-write", daemon=True)
        if not engine.alone:
            self._thread.start()

    async def commit(self, unit: Callable[[Transaction], T], *, brief: bool = False) -> T:
        """Run `unit` in the serial history; returns its result once durable, raises what it raised (rolled back alone).

        The unit runs in the writer thread, together with others: short, no I/O; it may be run twice (what the first run
        did is undone), and skipped when its caller was cancelled before its turn. `brief`: a few statements, which may
        run in the caller's thread. Raises LedgerUnavailable.
        """
        self._admit()
        done = self._engine.at_once(unit) if brief or self._engine.alone else None
        if done is None:
            return await self._in_turn(unit, lasting=True)
        if self._engine.alone:
            await asyncio.sleep(0)  # others get their turn here, as they would while the disk is waited for
        else:
            await self._flusher.flushed(self._patience)
        return done[0]

    async def note(self, unit: Callable[[Transaction], T]) -> T:
        """As a brief `commit`, but returns as soon as the unit is committed, seen by all and sure to outlive every
        process: what outlives the machine is only what was noted before a `commit` that returned."""
        self._admit()
        done = self._engine.at_once(unit)
        return await self._in_turn(unit, lasting=False) if done is None else done[0]

    async def _in_turn(self, unit: Callable[[Transaction], T], *, lasting: bool) -> T:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(unit, loop.create_future(), loop, lasting=lasting)
        waiting.timer = loop.call_later(self._patience, _give_up, waiting.future)
        self._enqueue(waiting)
        result: T = await waiting.future
        return result

    def commit_now(self, unit: Callable[[Transaction], T]) -> T:
        """The same for callers without an event loop (the command line); blocks."""
        self._admit()
        if self._engine.alone and (done := self._engine.at_once(unit)) is not None:
            return done[0]
        future: Future[T] = Future()
        self._enqueue(_Waiting(unit, future, None))
        try:
            return future.result(self._patience)
        except TimeoutError:
            future.cancel()
            raise LedgerUnavailable(_OUT_OF_PATIENCE) from None

    async def read(self, unit: Callable[[Transaction], T], *, single: bool = False) -> T:
        """Run `unit` on one snapshot. On SQLite inline, in microseconds: ask for little. `single`: the unit executes
        one statement only, which is a snapshot by itself. Raises LedgerUnavailable."""
        if self._closing:
            raise LedgerUnavailable("closed")
        if self._readers is None:
            return self._engine.read(unit, single=single)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.get_running_loop().run_in_executor(self._readers, self._engine.read, unit)
        except TimeoutError:
            raise LedgerUnavailable(_OUT_OF_PATIENCE) from None

    def read_now(self, unit: Callable[[Transaction], T]) -> T:
        """The same for callers without an event loop; blocks."""
        return self._engine.read(unit)

    def version(self) -> int:
        """The network version, inline: exact on SQLite, at most a quarter of a second old on PostgreSQL."""
        return self._engine.version()

    async def ready(self) -> str | None:
        """Why the ledger cannot be written, or None: a real durable write that needs fresh space, and takes it back."""
        try:
            await self.commit(_probe)
        except LedgerUnavailable as error:
            return str(error)
        return None

    async def scrub(self) -> bool:
        """Leave nothing of deleted payloads behind: on SQLite the write-ahead log is emptied into the file, where what
        is deleted is overwritten; on PostgreSQL their table is vacuumed. Not for every second: writers wait meanwhile.

        False: somebody was reading, try again later. Raises LedgerUnavailable.
        """
        if self._closing:
            raise LedgerUnavailable("closed")
        return await asyncio.to_thread(self._engine.scrub)

    def close(self) -> None:
        """Commit what waits, then let go. What is still undone after twice the patience is told unavailable."""
        self._closing = True
        self._queue.put(None)  # wakes the writer
        if self._thread.ident is not None:
            self._thread.join(2 * self._patience)
        _settle_all(self._failed(self._waiting(), "closed"))
        self._flusher.close(self._patience)
        if self._readers is not None:
            self._readers.shutdown(wait=False, cancel_futures=True)
        if not self._thread.is_alive():
            self._engine.close()

    def _admit(self) -> None:
        if self._closing:
            raise LedgerUnavailable("closed")
        if self._queue.qsize() >= QUEUE_LIMIT:
            raise LedgerUnavailable("too many waiting")

    def _enqueue(self, waiting: _Waiting) -> None:
        self._queue.put(waiting)

    def _write_until_closed(self) -> None:
        while True:
            first = self._queue.get()
            if first is not None:
                _settle_all(self._write_batch(first))
            elif self._queue.empty():
                return
            else:
                self._queue.put(None)

    def _write_batch(self, first: _Waiting) -> list[_Waiting]:
        batch = [first]
        try:
            with suppress(_OneRaised):
                with self._engine.writing() as work:
                    self._take(batch)
                    self._relax(work, batch)
                    _all_together(work, batch)
                return batch
            with self._engine.writing() as work:
                for waiting in batch:
                    _attempt(work, waiting)
        except Exception as error:
            return self._failed([*batch, *self._waiting()], str(error) or type(error).__name__)
        return batch

    def _take(self, batch: list[_Waiting]) -> None:
        """Join to the batch who else waits by now; who was cancelled before its turn is skipped."""
        batch += self._waiting(_BATCH_LIMIT)
        batch[:] = [waiting for waiting in batch if not waiting.future.done()]

    def _relax(self, work: Work, batch: list[_Waiting]) -> None:
        if self._engine.relaxing is not None and not any(waiting.lasting for waiting in batch):
            work.run(self._engine.relaxing)

    def _waiting(self, most: int = QUEUE_LIMIT) -> list[_Waiting]:
        """Who waits now, taken from the queue."""
        found: list[_Waiting] = []
        with suppress(Empty):
            while len(found) < most:
                waiting = self._queue.get_nowait()
                if waiting is None:
                    self._queue.put(None)  # closing: what was accepted before is still written
                    break
                found.append(waiting)
        return found

    def _failed(self, batch: list[_Waiting], why: str) -> list[_Waiting]:
        for waiting in batch:
            waiting.error = LedgerUnavailable(why)
        return batch


def open_ledger(url: str, *, read_only: bool = False, patience: float = 2.0) -> Ledger:
    """Open `sqlite:///abs/path`, a bare path or `postgresql://…`; creates and upgrades the schema unless `read_only`.

    Raises LedgerUnavailable when it cannot be reached, SchemaTooNew when a newer program wrote it.
    """
    engine = _engine(url, read_only=read_only, busy=0.75 * patience)
    try:
        if read_only:
            engine.read(schema.check)
        else:
            with engine.writing() as work:
                schema.prepare(work, engine.dialect)
    except BaseException:
        engine.close()
        raise
    return Ledger(engine, patience=patience)


def _engine(url: str, *, read_only: bool, busy: float) -> Engine:
    if url.startswith(("postgresql://", "postgres://")):
        from gateway.stores.ledger_postgres import PostgresEngine  # its driver is long to load

        return PostgresEngine(url, read_only=read_only, busy=busy)
    return SqliteEngine(Path(url.removeprefix("sqlite://")), read_only=read_only, busy=busy)


class _OneRaised(Exception):
    """A unit of the batch raised: the transaction is undone, and the units are run again, each by itself."""


def _all_together(work: Work, batch: list[_Waiting]) -> None:
    """Run all units as one, without a savepoint each: nearly always none of them raises. Raises _OneRaised."""
    for waiting in batch:
        try:
            waiting.result = waiting.unit(work)
        except BaseException as error:
            work.whole()  # the database's own failure is not the unit's
            raise _OneRaised from error


def _attempt(work: Work, waiting: _Waiting) -> None:
    """Run one unit in its own savepoint. Raises only when the database itself failed, which ends the whole batch."""
    work.run("SAVEPOINT unit")
    try:
        waiting.result = waiting.unit(work)
        work.run("RELEASE SAVEPOINT unit")
    except BaseException as error:
        # raises when the error was the database's own: nothing of the batch can be kept then
        work.run("ROLLBACK TO SAVEPOINT unit")
        work.run("RELEASE SAVEPOINT unit")
        # a future refuses to carry StopIteration
        waiting.error = RuntimeError("the unit raised StopIteration") if isinstance(error, StopIteration) else error


def _settle_all(batch: list[_Waiting]) -> None:
    """Wake every waiter in its own loop, one call per loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[_Waiting]] = {}
    for waiting in batch:
        by_loop.setdefault(waiting.loop, []).append(waiting)
    for loop, group in by_loop.items():
        if loop is None:
            _settle_group(group)
        else:
            # a loop that has ended has nobody left who waits
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle_group, group)


def _settle_group(group: list[_Waiting]) -> None:
    for waiting in group:
        waiting.settle()


def _give_up(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(LedgerUnavailable(_OUT_OF_PATIENCE))


def _probe(tx: Transaction) -> None:
    tx.run("INSERT INTO probe VALUES (1, ?)", bytes(_PROBE_BYTES))
    tx.run("DELETE FROM probe")
