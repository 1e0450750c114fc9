"""Which disclosures does somebody look at afterwards, and when is that late? The words of the review.

Every disclosure on presumed or on verbal consent is a case (domain.md section 4). Pure: no clock, no store.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.rules.exchange import Flag

REVIEWED = (Flag.PRESUMED_CONSENT, Flag.VERBAL_CONSENT)
"""The grounds of disclosure that are reviewed."""
DUE_IN = timedelta(days=7)
"""How long a case may wait for a verdict that closes it, from the disclosure on (ours)."""
LONGEST_NOTE = 1000


class Verdict(StrEnum):
    """What a reviewer found. Asking the organisation leaves the case open until there is an answer."""

    IN_ORDER = "in-order"
    NOT_IN_ORDER = "not-in-order"
    ASK = "ask"

    @property
    def closes(self) -> bool:
        return self is not Verdict.ASK


@dataclass(frozen=True, slots=True)
class Case:
    """One disclosure to review: its journal line's number, its ground, when it was (domain time), the last verdict."""

    line: int
    basis: str
    disclosed: datetime
    verdict: Verdict | None

    def is_overdue(self, now: datetime) -> bool:
        """Whether it still waits although its time is up; `now` in domain time."""
        waits = self.verdict is None or not self.verdict.closes
        return waits and now > self.disclosed + DUE_IN


@dataclass(frozen=True, slots=True)
class Judgement:
    """Somebody's verdict on a case, with a note; `at` wall time."""

    verdict: Verdict
    note: str
    who: str
    at: datetime
