"""Who is asked, and what do the answers amount to together? Answers and failures to outcome and completeness.

Nothing is merged, chosen or altered here: only counted. Source: domain.md section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from gateway.rules.access import Basis, Permit
from gateway.rules.exchange import Address, Answer, Completeness, Failing, Failure, Flag, Mode


@dataclass(frozen=True, slots=True)
class Leg:
    """One source asked under one permit, and what came of it. `ms` is how long it took; `request_id` of our message."""

    permit: Permit
    address: Address
    outcome: Answer | Failure
    ms: float
    request_id: str

    @property
    def matches(self) -> int:
        if isinstance(self.outcome, Failure):
            return 0
        return sum(1 for entry in self.outcome.entries if entry.mode is Mode.MATCH)

    @property
    def discloses(self) -> bool:
        return isinstance(self.outcome, Answer) and bool(self.outcome.entries)


@dataclass(frozen=True, slots=True)
class Combined:
    """What the requester gets: the legs it may see, or, when every source failed, the failure that names the error."""

    legs: tuple[Leg, ...]
    completeness: Completeness
    flags: tuple[Flag, ...]
    wholly_failed: Failing | None


def combine(legs: Sequence[Leg]) -> Combined:
    """Count what came back. A source that refused for consent is as if nothing were registered there."""
    seen = tuple(leg for leg in legs if not _is_neutral(leg))
    answered = [leg for leg in seen if _answered(leg)]
    if seen and not answered:
        return Combined(seen, Completeness.NONE, (), _common_failure(seen))
    whole = all(isinstance(leg.outcome, Answer) and not leg.outcome.truncated for leg in seen)
    return Combined(seen, Completeness.COMPLETE if whole else Completeness.PARTIAL, _flags(seen), None)


def _is_neutral(leg: Leg) -> bool:
    return isinstance(leg.outcome, Failure) and leg.outcome.failing is Failing.NO_CONSENT


def _answered(leg: Leg) -> bool:
    """Withheld counts as answered: the source chose, it did not fail."""
    return isinstance(leg.outcome, Answer) or leg.outcome.failing is Failing.WITHHELD


def _common_failure(legs: Sequence[Leg]) -> Failing:
    """All timed out is a time-out; otherwise the first failure that is something else names the error."""
    kinds = [leg.outcome.failing for leg in legs if isinstance(leg.outcome, Failure)]
    return next((kind for kind in kinds if kind is not Failing.TIMED_OUT), Failing.TIMED_OUT)


def _flags(legs: Sequence[Leg]) -> tuple[Flag, ...]:
    """Flags only on what is delivered: an empty answer must not tell on which ground it was asked."""
    grounds = {leg.permit.basis for leg in legs if leg.discloses}
    flags = []
    if Basis.VERBAL in grounds:
        flags.append(Flag.VERBAL_CONSENT)
    if Basis.PRESUMED in grounds:
        flags.append(Flag.PRESUMED_CONSENT)
    if _contradict(legs):
        flags.append(Flag.CONTRADICTORY_LIMITS)
    return tuple(flags)


def _contradict(legs: Sequence[Leg]) -> bool:
    """Whether two sources say different things about the same treatment."""
    told = [dict(_by_code(leg.outcome.limits)) for leg in legs if isinstance(leg.outcome, Answer)]
    return any(one[code] != other[code] for one, other in combinations(told, 2) for code in one.keys() & other.keys())


def _by_code(limits: frozenset[tuple[str, str]]) -> list[tuple[str, frozenset[str]]]:
    codes = {code for code, _ in limits}
    return [(code, frozenset(says for c, says in limits if c == code)) for code in codes]
