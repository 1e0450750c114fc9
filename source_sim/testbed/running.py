"""On whose time does a country run? In process: a loop that leaps. Live: a thread of its own, in real time.

Either way the caller's code is plain: it hands over a coroutine and has its result. Knows loops and threads only.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import uvloop

from source_sim.testbed.loop import LeapingLoop

T = TypeVar("T")


class Running(Protocol):
    """Runs what it is given, to its end."""

    def run(self, work: Coroutine[Any, Any, T]) -> T: ...

    def time(self) -> float:
        """Seconds of the loop's own clock."""

    def outside(self) -> AbstractContextManager[None]:
        """While this lasts somebody outside the loop is at work. Entered within the loop."""

    def run_real(self) -> None:
        """From here on time is real, and stays so."""

    def close(self) -> None: ...


class InProcess:
    """One loop, run only while a caller waits; between two calls time stands still."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=self._make)
        self._loop = LeapingLoop()

    def _make(self) -> LeapingLoop:
        return self._loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_running():  # an act meanwhile, in a thread of its own
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._runner.run(work)
        return self._aside(work)

    def _aside(self, work: Coroutine[Any, Any, T]) -> T:
        """The caller's thread has a loop at work already (an asynchronous test): use another thread meanwhile."""
        ended: list[T] = []
        failed: list[BaseException] = []

        def act() -> None:
            try:
                ended.append(self._runner.run(work))
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=act, name="switchpoint-testbed")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return ended[0]

    def time(self) -> float:
        return self._loop.time()

    def outside(self) -> AbstractContextManager[None]:
        return self._loop.outside()

    def run_real(self) -> None:
        self._loop.hold()

    def close(self) -> None:
        self._runner.run(asyncio.sleep(0))  # a runner that never ran does not close its loop
        self._runner.close()


class InThread:
    """A loop that never rests, for a country on real sockets."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="switchpoint-testbed", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def time(self) -> float:
        return self._loop.time()

    def outside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def run_real(self) -> None:
        """It always does."""

    def close(self) -> None:
        self.run(_end_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
