"""What stands in the journal in tests of the console? Calls as the exchange writes them, line by line.

No patient's number is here: a patient is a key, as in every journal.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Line
from gateway.stores import journal
from gateway.stores.transaction import Transaction

PATIENT = PatientKey(bytes.fromhex("a1b2c3d4e5f60718293a4b5c"))
_ids = itertools.count(1)
_WHO = {
    "organisation": "90000301",
    "organisation_name": "Test Post",
    "organisation_type": "N6",
    "application": "301",
    "actor": "000000001",
    "actor_name": "Test Actor",
    "actor_role": "01.015",
}
_SITUATION = {
    "purpose": "TREAT",
    "cover": True,
    "capacity": "capable",
    "local_hour": 3,
    "contact": "c-1",
    "contact_kind": "visit",
}


@dataclass(frozen=True)
class Made:
    """One call's lines, with the id of its chain."""

    chain: str
    lines: tuple[Line, ...]


def uuid() -> str:
    return f"00000000-0000-4000-8000-{next(_ids):012}"


def line(event: Event, chain: str, wall: datetime, *, custodian: str | None = None, **fields: Any) -> Line:
    return Line(
        event,
        at=wall,
        wall=wall,
        aorta=AortaId(chain, f"{chain[:-1]}f"),
        patient=PATIENT,
        custodian=Ura(custodian) if custodian else None,
        requester=Ura(str(fields.get("organisation", _WHO["organisation"]))),
        fields=fields,
    )


def leg(custodian: str = "90000101", outcome: str = "answered", ms: float = 12.0, **more: Any) -> dict[str, Any]:
    return {"custodian": custodian, "system": custodian[-3:], "ms": ms, "request": uuid(), "outcome": outcome, **more}


def answered(
    legs: Sequence[dict[str, Any]] = (),
    *,
    completeness: str = "complete",
    dropped: Iterable[str] = (),
    wall: datetime | None = None,
    who: dict[str, Any] | None = None,
    **situation: Any,
) -> Made:
    """A query that was decided, asked and answered: with a permitting decision for every leg."""
    chain, at, by = uuid(), wall or datetime.now(UTC), {**_WHO, **(who or {})}
    common = {**by, "category": "gp-summary", "interaction": "search-Bundle"}
    decisions = [
        {"custodian": one["custodian"], "system": one["system"], "outcome": "permitted", "row": "REG-1",
         "basis": "consent", "view": "covering"}
        for one in legs
    ]  # fmt: skip
    judged = {**common, **_SITUATION, **situation, "regimes": ["REGULAR"]}
    whole = max((one["ms"] for one in legs), default=0.0) + 3
    return Made(
        chain,
        (
            line(Event.QUERY_DECIDED, chain, at, **judged, decisions=decisions),
            line(Event.QUERY_ANSWERED, chain, at, **common, completeness=completeness, legs=list(legs), flags=[],
                 dropped=list(dropped), ms=whole),
        ),
    )  # fmt: skip


def refused(reason: str = "no-cover", *, wall: datetime | None = None, **situation: Any) -> Made:
    chain, at = uuid(), wall or datetime.now(UTC)
    fields = {**_WHO, **_SITUATION, "category": "gp-summary", "interaction": "search-Bundle", "regimes": ["REGULAR"]}
    return Made(chain, (line(Event.QUERY_REFUSED, chain, at, **{**fields, **situation}, reason=reason),))


def failed(legs: Sequence[dict[str, Any]], *, reason: str = "timed-out", wall: datetime | None = None) -> Made:
    made = answered(legs, wall=wall)
    last = made.lines[-1]
    fields = {name: value for name, value in last.fields.items() if name not in ("completeness", "flags")}
    return Made(made.chain, (made.lines[0], line(Event.QUERY_FAILED, made.chain, last.wall, **fields, reason=reason)))


def write(tx: Transaction, made: Iterable[Made]) -> list[int]:
    return [journal.append(tx, one) for one in _lines(made)]


def _lines(made: Iterable[Made]) -> Iterator[Line]:
    return (one for call in made for one in call.lines)
