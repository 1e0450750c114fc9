"""Is a source worth another call right now? Opens on repeated failure, probes one call at a time, closes on success.

Pure: time is an argument in monotonic seconds, and no call is made here. Source: interface.md section 7.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Outcome(StrEnum):
    """How a call ended for the breaker; ABANDONED says nothing about the source (the caller went away)."""

    GOOD = "good"
    BAD = "bad"
    ABANDONED = "abandoned"


class Breaker:
    """Opens when `failures` of the last `window` calls were BAD; after `rest_s` seconds one probe decides."""

    __slots__ = ("_era", "_failures", "_last", "_rest_s", "_until", "state")

    def __init__(self, *, window: int, failures: int, rest_s: float) -> None:
        if not 0 < failures <= window:
            raise ValueError("a breaker opens within its window")
        self._failures = failures
        self._rest_s = rest_s
        self._last: deque[bool] = deque(maxlen=window)
        self._until = 0.0
        self._era = 0
        self.state = State.CLOSED

    def enter(self, now: float) -> int | None:
        """A ticket for one call, to be handed back to `leave` once; None: do not call."""
        if self.state is State.CLOSED:
            return self._era
        if self.state is State.PROBING or now < self._until:
            return None
        self._turn(State.PROBING)
        return self._era

    def leave(self, ticket: int, outcome: Outcome, now: float) -> None:
        """The call with this ticket ended. One begun before the breaker last turned no longer counts."""
        if ticket != self._era:
            return
        if self.state is State.PROBING:
            self._settle(outcome, now)
        elif outcome is not Outcome.ABANDONED:
            self._last.append(outcome is Outcome.BAD)
            if sum(self._last) >= self._failures:
                self._open(now + self._rest_s)

    def _settle(self, outcome: Outcome, now: float) -> None:
        if outcome is Outcome.GOOD:
            self._last.clear()
            self._turn(State.CLOSED)
        else:
            self._open(now if outcome is Outcome.ABANDONED else now + self._rest_s)

    def _open(self, until: float) -> None:
        self._until = until
        self._turn(State.OPEN)

    def _turn(self, state: State) -> None:
        self.state = state
        self._era += 1
