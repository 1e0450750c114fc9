"""By which words is a journal line found again? A line's terms, and a search for the lines that carry all of them.

One definition for the stored search (`stores/finding.py`), for a live line that has just come in, and for what is
counted: a line matches when what is wanted is among its terms. Terms name organisations, rules and outcomes; never a
patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gateway.rules.exchange import ORGANISATION_TYPES, Category, Completeness, Failing, Kind
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json, Line

VERSION = 1
"""Of the terms a line has: stored ones of another version are made anew."""


class Outcome(StrEnum):
    """How something asked of the exchange ended, as an operator sees it."""

    PERMITTED = "permitted"
    NEUTRAL = "neutral"
    """Answered with nothing, and nobody was asked or nothing was left to show."""
    REFUSED = "refused"
    PARTIAL = "partial"
    FAILED = "failed"


_ENDED = MappingProxyType(
    {
        Event.TOKEN_REFUSED: Outcome.REFUSED,
        Event.CALL_REFUSED: Outcome.REFUSED,
        Event.QUERY_REFUSED: Outcome.REFUSED,
        Event.ENTRY_REFUSED: Outcome.REFUSED,
        Event.CONSENT_REFUSED: Outcome.REFUSED,
        Event.MESSAGE_REFUSED: Outcome.REFUSED,
        Event.QUERY_FAILED: Outcome.FAILED,
        Event.MESSAGE_FAILED: Outcome.FAILED,
        Event.DISCLOSED: Outcome.PERMITTED,
        Event.ENTRY_REGISTERED: Outcome.PERMITTED,
        Event.CONSENT_STATED: Outcome.PERMITTED,
        Event.MESSAGE_ACCEPTED: Outcome.PERMITTED,
        Event.MESSAGE_DELIVERED: Outcome.PERMITTED,
    }
)
"""Events whose name alone says how it ended."""

_SHOWN = MappingProxyType(
    {
        Completeness.COMPLETE: Outcome.PERMITTED,
        Completeness.PARTIAL: Outcome.PARTIAL,
        Completeness.NONE: Outcome.FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Search:
    """Which lines are looked for; a field left out is any.

    `organisation` is who acted, `source` whose data or system it concerned, `rule` a row's id, `reason` a bar or other
    reason, `failing` how some source did not deliver, `basis` the ground of a disclosure, `chain` an initialRequestID.
    """

    event: Event | None = None
    organisation: Ura | None = None
    kind: Kind | None = None
    category: Category | None = None
    outcome: Outcome | None = None
    rule: str | None = None
    reason: str | None = None
    source: Ura | None = None
    failing: str | None = None
    basis: str | None = None
    chain: str | None = None


def wanted(search: Search) -> frozenset[str]:
    """The terms a line must have; the chain is no term (it has an index of its own)."""
    given = {
        "event": search.event,
        "organisation": search.organisation and search.organisation.digits,
        "kind": search.kind,
        "category": search.category,
        "outcome": search.outcome,
        "rule": search.rule,
        "reason": search.reason,
        "source": search.source and search.source.digits,
        "failing": search.failing,
        "basis": search.basis,
    }
    return frozenset(f"{name}:{value}" for name, value in given.items() if value is not None)


def matches(search: Search, line: Line) -> bool:
    """Whether this line is one of those looked for."""
    if search.chain is not None and (line.aorta is None or line.aorta.initial != search.chain):
        return False
    return wanted(search) <= terms(line)


def terms(line: Line) -> frozenset[str]:
    """Every term this line is found by, as `name:value`."""
    return frozenset(f"{name}:{value}" for name, value in _named(line) if value)


def kind_of(line: Line) -> Kind | None:
    """What kind of organisation acted; None when nobody on the network did."""
    return ORGANISATION_TYPES.get(str(line.fields.get("organisation_type", "")))


def outcome_of(line: Line) -> Outcome | None:
    """How what was asked ended; None for a line that ends nothing."""
    if line.event is Event.QUERY_ANSWERED:
        return _answered(line)
    if line.event is Event.LOCALISED:
        return Outcome.PERMITTED if line.fields.get("shown") else Outcome.NEUTRAL
    return _ENDED.get(line.event)


def _answered(line: Line) -> Outcome:
    """Nobody asked, everything dropped at release, or refused for consent by the sources themselves: neutral."""
    dropped = line.fields.get("dropped")
    gone = dropped if isinstance(dropped, list) else []
    left = {leg.get("outcome") for leg in _items(line, "legs") if leg.get("custodian") not in gone}
    completeness = line.fields.get("completeness")
    if left <= {Failing.NO_CONSENT} or not isinstance(completeness, str):
        return Outcome.NEUTRAL
    return _SHOWN[Completeness(completeness)]


def _named(line: Line) -> Iterator[tuple[str, str | None]]:
    yield "event", line.event
    yield "organisation", line.requester.digits if line.requester else _text(line.fields.get("organisation"))
    yield "kind", kind_of(line)
    yield "category", _text(line.fields.get("category"))
    yield "outcome", outcome_of(line)
    yield "source", line.custodian.digits if line.custodian else None
    yield "source", _text(line.fields.get("recipient"))
    for name, field in (("rule", "row"), ("reason", "reason"), ("basis", "basis")):
        yield name, _text(line.fields.get(field))
    yield from _parts(line)


def _parts(line: Line) -> Iterator[tuple[str, str | None]]:
    """What the decisions about single pointers, and the legs to single sources, say."""
    for decision in _items(line, "decisions"):
        yield "source", _text(decision.get("custodian"))
        for name, field in (("rule", "row"), ("reason", "reason"), ("basis", "basis")):
            yield name, _text(decision.get(field))
    for leg in _items(line, "legs"):
        yield "source", _text(leg.get("custodian"))
        if leg.get("outcome") != "answered":
            yield "failing", _text(leg.get("outcome"))


def _items(line: Line, field: str) -> list[dict[str, Json]]:
    found = line.fields.get(field)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
