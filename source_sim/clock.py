"""What time is it for the simulated sources? One domain clock for a whole process, turned from outside.

It knows how a domain time goes on from an anchor of wall time. It may not read a clock: wall time is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

FASTEST: Final = 3600.0
"""Domain seconds in a second: no clock goes faster."""


class BadTime(ValueError):
    """No time a clock can be turned to."""


class Clock:
    """Domain time: from `start` on as fast as `wall`, until it is turned."""

    def __init__(self, wall: Callable[[], datetime], start: datetime | None = None) -> None:
        self.wall = wall
        self._anchor = wall()
        self._domain = start or self._anchor
        self.speed = 1.0

    def now(self) -> datetime:
        return self._domain + (self.wall() - self._anchor) * self.speed

    def turn(self, domain: datetime, *, speed: float = 1.0, wall: datetime | None = None) -> None:
        """Go on from `domain`, which it was (or is) at `wall`, now when none is given; `speed` is domain seconds in a
        second, 0 stands still. Raises BadTime."""
        if domain.tzinfo is None or (wall is not None and wall.tzinfo is None):
            raise BadTime("a time has an offset")
        if not 0 <= speed <= FASTEST:
            raise BadTime(f"a speed lies between 0 and {FASTEST:g}")
        self._anchor, self._domain, self.speed = wall or self.wall(), domain, speed

    def told(self) -> dict[str, Any]:
        """`now` and `speed`, as the control API tells them."""
        return {"now": self.now().isoformat(), "speed": self.speed}

    def obey(self, wanted: Mapping[str, Any]) -> None:
        """Turn as a message of the control API says: `now`, and if given `speed` and `wall`. Raises BadTime."""
        if not wanted.keys() <= {"now", "speed", "wall"}:
            raise BadTime("a clock has now, speed, wall")
        try:
            domain, wall = datetime.fromisoformat(wanted["now"]), wanted.get("wall")
            self.turn(
                domain, speed=float(wanted.get("speed", 1.0)), wall=datetime.fromisoformat(wall) if wall else None
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise BadTime(str(problem)) from problem
