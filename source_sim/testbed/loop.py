"""How do eight seconds pass in no time? An event loop whose clock leaps to the next timer when nothing else can happen.

Its time starts at zero and moves by leaps only, so the same work gives the same times on every machine. While somebody
outside the loop is at work (`hold`: a thread, another process) its clock runs with the real one. Knows nothing of what
it runs.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_STUCK_SECONDS = 60.0
_LATE = 1e-6
"""A timer is never early: who asks what time it is must find that it has come, whatever was rounded on the way."""


class Stuck(RuntimeError):
    """Everybody waits, no timer is set, and nobody outside has spoken for a minute."""


class LeapingLoop(asyncio.SelectorEventLoop):
    """A selector loop in virtual time."""

    def __init__(self) -> None:
        self._at, self._since, self._holders = 0.0, 0.0, 0
        super().__init__(_Leaping(self._leap))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._at + (time.monotonic() - self._since if self._holders else 0.0)

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While this lasts somebody outside the loop is at work, and time is real."""
        self.hold()
        try:
            yield
        finally:
            self.let_go()

    def hold(self) -> None:
        if not self._holders:
            self._since = time.monotonic()
        self._holders += 1

    def let_go(self) -> None:
        self._at = self.time()
        self._since = time.monotonic()
        self._holders -= 1

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """A thread works in real time."""
        self.hold()
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self.let_go())
        return future

    def _leap(self, seconds: float | None) -> float | None:
        """What to do with this much patience: None, it is spent by leaping; else to be waited for in real seconds."""
        if self._holders:
            return _STUCK_SECONDS if seconds is None else seconds
        if seconds is None:
            return _STUCK_SECONDS
        self._at += seconds + _LATE
        return None


class _Leaping(selectors.DefaultSelector):
    """Looks at what has come; where nothing has, `leap` says whether to wait for it."""

    def __init__(self, leap: Callable[[float | None], float | None]) -> None:
        super().__init__()
        self._leaping = leap

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        patience = self._leaping(timeout)
        if patience is None:
            return found
        found = super().select(patience)
        if timeout is None and not found:
            raise Stuck("everybody waits, and nothing can happen any more")
        return found
