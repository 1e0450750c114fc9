"""When is what was written also on the disk? One thread waits for it, for everybody who asks meanwhile.

Knows futures and one call that blocks. Knows nothing of databases or what was written.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from gateway.stores.transaction import LedgerUnavailable

_Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]


class Flusher:
    """Waits for the disk in a thread of its own. `flush` blocks until all written so far is there; it raises
    LedgerUnavailable. The thread starts at the first question."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._asking: SimpleQueue[_Waiter | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def flushed(self, patience: float) -> None:
        """Returns when everything written before this call is on the disk. Raises LedgerUnavailable, at the latest
        after `patience` seconds."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="ledger-flush", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(patience, _settle, [future], LedgerUnavailable("no answer within patience"))
        # at the end of this turn of the loop: who else asks in it shares the wait, and the thread has the loop at rest
        loop.call_soon(self._asking.put, (loop, future))
        try:
            await future
        finally:
            timer.cancel()

    def close(self, patience: float) -> None:
        """Serve who asked before, at most `patience` seconds."""
        if self._thread is not None:
            self._asking.put(None)
            self._thread.join(patience)

    def _serve(self) -> None:
        while (first := self._asking.get()) is not None:
            group = [first]
            with suppress(Empty):
                while (more := self._asking.get_nowait()) is not None:
                    group.append(more)
                self._asking.put(None)  # closing: they are served first
            self._serve_group(group)

    def _serve_group(self, group: list[_Waiter]) -> None:
        failed: LedgerUnavailable | None = None
        try:
            self._flush()
        except LedgerUnavailable as error:
            failed = error
        for loop in {loop for loop, _ in group}:
            with suppress(RuntimeError):  # a loop that has ended has nobody left who waits
                loop.call_soon_threadsafe(_settle, [future for its, future in group if its is loop], failed)


def _settle(futures: list[asyncio.Future[None]], failed: LedgerUnavailable | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failed is None:
            future.set_result(None)
        else:
            future.set_exception(failed)
