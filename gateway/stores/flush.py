"""When is what was written also on the disk? One wait at a time, for everybody who asks meanwhile.

Where the kernel tells when it is done, nobody waits at all: the loop hears of it like of any socket. Elsewhere a thread
waits in one call that blocks; it costs the loop some hundred microseconds a time, for it wants the interpreter, too.
Knows futures and descriptors. Knows nothing of databases or what was written.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol

from gateway.stores.transaction import LedgerUnavailable

_Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]
_AT_A_TIME = 1
_SIGNED = 1 << 63


class Disk(Protocol):
    """What is waited for."""

    def flush(self) -> None:
        """Block until all written so far is on the disk. Raises LedgerUnavailable."""

    def descriptor(self) -> int | None:
        """The file that `flush` would bring to the disk, if it is just one. Raises LedgerUnavailable."""

    def failed(self, error: OSError) -> LedgerUnavailable:
        """That file could not be brought to the disk: what to say, after letting go of whatever is now in doubt."""


class Kernel:
    """Asks the kernel to bring a file to the disk (Linux AIO, IOCB_CMD_FDSYNC), one at a time; `done` is called in the
    loop with 0 or a negative errno. Raises OSError where the kernel does not offer it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Callable[[int], None]) -> None:
        try:
            # only who writes waits for this library, not every command that opens a ledger
            from caio.linux_aio import Context, Operation

            self._context, self._fdsync = Context(_AT_A_TIME), Operation.fdsync
        except Exception as refused:  # another kernel, or a sandbox, which may refuse the call in several ways
            raise OSError("the kernel does not offer it") from refused
        self.loop, self._done = loop, done
        self._operation: object = None
        loop.add_reader(self._context.fileno, self._hear)

    def begin(self, descriptor: int) -> None:
        """Raises OSError."""
        operation = self._fdsync(descriptor)
        operation.set_callback(self._told)
        self._operation = operation  # must outlive the kernel's answer
        try:
            self._context.submit(operation)
        except OSError:
            raise
        except Exception as refused:  # whatever else it says: left to the loop, nobody would ever be told
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from refused

    def close(self) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(self._context.fileno)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            self._context.poll()
        self._context.process_events()

    def _told(self, result: int) -> None:
        self._done(result - 2 * _SIGNED if result >= _SIGNED else result)  # handed over without its sign


class Flusher:
    """Waits for the disk. The kernel is asked through the loop of the first who asks; others wait for a thread, which
    starts at their first question."""

    def __init__(
        self,
        disk: Disk,
        kernel: Callable[[asyncio.AbstractEventLoop, Callable[[int], None]], Kernel] = Kernel,
    ) -> None:
        self._disk = disk
        self._open_kernel = kernel
        self._kernel: Kernel | None = None
        self._offered = True
        self._group: list[asyncio.Future[None]] = []
        self._next: list[asyncio.Future[None]] = []
        self._under_way = False
        self._asking: SimpleQueue[_Waiter | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def flushed(self, patience: float) -> None:
        """Returns when everything written before this call is on the disk. Raises LedgerUnavailable, at the latest
        after `patience` seconds."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(patience, _settle, [future], LedgerUnavailable("no answer within patience"))
        # at the end of this turn of the loop: who else asks in it shares the wait
        if self._may_ask_kernel(loop):
            self._next.append(future)
            if not self._under_way:
                self._under_way = True
                loop.call_soon(self._begin)
        else:
            self._start_thread()
            loop.call_soon(self._asking.put, (loop, future))
        try:
            await future
        finally:
            timer.cancel()

    def close(self, patience: float) -> None:
        """Serve who asked before, at most `patience` seconds."""
        kernel, self._kernel, self._offered = self._kernel, None, False
        if kernel is not None:
            kernel.close()
            for future in (*self._group, *self._next):
                self._start_thread()
                self._asking.put((kernel.loop, future))
        if self._thread is not None:
            self._asking.put(None)
            self._thread.join(patience)

    # --- by the kernel -----------------------------------------------------------------------------------------------

    def _may_ask_kernel(self, loop: asyncio.AbstractEventLoop) -> bool:
        if self._kernel is not None and self._kernel.loop.is_closed():
            self._kernel, self._under_way, self._next = None, False, []
        if self._kernel is None and self._offered:
            try:
                self._offered = self._disk.descriptor() is not None
                self._kernel = self._open_kernel(loop, self._end) if self._offered else None
            except OSError:
                self._offered = False
            except LedgerUnavailable:
                return False
        return self._kernel is not None and self._kernel.loop is loop

    def _begin(self) -> None:
        self._group, self._next = [future for future in self._next if not future.done()], []
        if not self._group or self._kernel is None:
            self._under_way = False
            return
        try:
            descriptor = self._disk.descriptor()
            assert descriptor is not None, "asked before the kernel was"
            self._kernel.begin(descriptor)
        except LedgerUnavailable as told:
            self._end_group(told)
        except OSError as error:
            self._end_group(self._disk.failed(error))

    def _end(self, result: int) -> None:
        self._end_group(self._disk.failed(OSError(-result, os.strerror(-result))) if result < 0 else None)

    def _end_group(self, failed: LedgerUnavailable | None) -> None:
        group, self._group = self._group, []
        _settle(group, failed)
        self._begin()

    # --- by a thread -------------------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="ledger-flush", daemon=True)
            self._thread.start()

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
            self._disk.flush()
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
