"""May this regime be switched on now? One operator proposes, another one confirms; switching off needs nobody else.

Pure: moments are arguments. `until` is domain time; when somebody proposed is wall time: people wait in that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.rules.exchange import Regime

OPEN_FOR = timedelta(hours=1)
"""How long a proposal waits for a second operator (ours)."""
LONGEST_REASON = 500


class Ended(StrEnum):
    """How a proposal ended."""

    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"
    """By who proposed it."""
    REFUSED = "refused"
    """By somebody else."""
    LAPSED = "lapsed"
    """Nobody confirmed it in time."""
    OVERTAKEN = "overtaken"
    """The regime was switched since, or the end it named has passed."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """`who` wants `regime` switched on, until when (None: no end) and why. `after` tells which switch of the regime was
    its newest then."""

    id: int
    regime: Regime
    until: datetime | None
    reason: str
    who: str
    at: datetime
    after: int

    def may_confirm(self, who: str) -> bool:
        """Nobody confirms what she proposed herself."""
        return who != self.who

    def expired(self, *, newest_switch: int, now: datetime, wall: datetime) -> Ended | None:
        """Why it cannot be confirmed any more, or None. `now` is domain time."""
        if wall >= self.at + OPEN_FOR:
            return Ended.LAPSED
        if newest_switch != self.after or (self.until is not None and self.until <= now):
            return Ended.OVERTAKEN
        return None
