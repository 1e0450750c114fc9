"""Is a line found by every word on it, by no other, and is how it ended told right?"""

from __future__ import annotations

from dataclasses import fields as fields_of
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.rules.exchange import AortaId, Category, Kind, PatientKey
from gateway.rules.finding import Outcome, Search, kind_of, matches, outcome_of, terms, wanted
from gateway.rules.identifiers import Ura
from gateway.rules.journal import FIELDS, Event, Json, Line

AT = datetime(2026, 11, 22, 3, tzinfo=UTC)
US, GP, PHARMACY = Ura("90000301"), Ura("90000101"), Ura("90000201")
KEY = PatientKey(b"twelve-bytes")


def line(event: Event, custodian: Ura | None = None, **fields: Json) -> Line:
    return Line(event, AT, AT, AortaId("chain-1", "request-1"), KEY, custodian, US, fields)


def leg(custodian: Ura, outcome: str) -> dict[str, Json]:
    return {"custodian": custodian.digits, "system": "101", "outcome": outcome, "ms": 4.0}


ANSWERED = line(
    Event.QUERY_ANSWERED,
    organisation_type="N6",
    category="gp-summary",
    completeness="partial",
    legs=[leg(GP, "answered"), leg(PHARMACY, "timed-out")],
    dropped=[],
)
DECIDED = line(
    Event.QUERY_DECIDED,
    organisation_type="AMB",
    category="medication",
    decisions=[
        {"custodian": GP.digits, "system": "101", "outcome": "permitted", "row": "EMA-2", "basis": "presumed-consent"},
        {"custodian": PHARMACY.digits, "system": "201", "outcome": "closed", "reason": "objection"},
    ],
)
DISCLOSED = line(
    Event.DISCLOSED, GP, organisation_type="V4", category="gp-summary", row="CRI-2", basis="verbal-consent"
)
SENT = line(Event.MESSAGE_PARKED, organisation_type="N6", recipient=GP.digits, reason="no-endpoint")

FOUND: dict[str, tuple[Search, Line]] = {
    "everything": (Search(), SENT),
    "event": (Search(event=Event.DISCLOSED), DISCLOSED),
    "who acted": (Search(organisation=US), ANSWERED),
    "kind": (Search(kind=Kind.GP_POST), ANSWERED),
    "category": (Search(category=Category.MEDICATION), DECIDED),
    "outcome": (Search(outcome=Outcome.PARTIAL), ANSWERED),
    "row of a disclosure": (Search(rule="CRI-2"), DISCLOSED),
    "row of one decision": (Search(rule="EMA-2"), DECIDED),
    "bar of one decision": (Search(reason="objection"), DECIDED),
    "reason": (Search(reason="no-endpoint"), SENT),
    "custodian": (Search(source=GP), DISCLOSED),
    "custodian of one decision": (Search(source=PHARMACY), DECIDED),
    "custodian of one leg": (Search(source=PHARMACY), ANSWERED),
    "recipient": (Search(source=GP), SENT),
    "failing leg": (Search(failing="timed-out"), ANSWERED),
    "basis of a disclosure": (Search(basis="verbal-consent"), DISCLOSED),
    "basis of one decision": (Search(basis="presumed-consent"), DECIDED),
    "chain": (Search(chain="chain-1"), DECIDED),
    "all at once": (
        Search(Event.QUERY_ANSWERED, US, Kind.GP_POST, Category.GP_SUMMARY, Outcome.PARTIAL, source=GP,
               failing="timed-out", chain="chain-1"),
        ANSWERED,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("search", "one"), FOUND.values(), ids=FOUND.keys())
def test_a_line_is_found_by_what_it_says(search: Search, one: Line) -> None:
    assert matches(search, one)


NOT_FOUND: dict[str, tuple[Search, Line]] = {
    "another event": (Search(event=Event.QUERY_FAILED), DISCLOSED),
    "another organisation": (Search(organisation=GP), DISCLOSED),
    "another kind": (Search(kind=Kind.HOSPITAL), ANSWERED),
    "another source": (Search(source=PHARMACY), DISCLOSED),
    "who acted is no source": (Search(source=US), DISCLOSED),
    "an answered leg does not fail": (Search(failing="answered"), ANSWERED),
    "another chain": (Search(chain="chain-2"), DECIDED),
    "a chain for an act outside any call": (Search(chain="chain-1"), Line(Event.CLOCK_SET, AT, AT)),
    "one right and one wrong": (Search(kind=Kind.GP_POST, category=Category.MEDICATION), ANSWERED),
    "a term's value under another name": (Search(rule="objection"), DECIDED),
}


@pytest.mark.parametrize(("search", "one"), NOT_FOUND.values(), ids=NOT_FOUND.keys())
def test_and_by_nothing_else(search: Search, one: Line) -> None:
    assert not matches(search, one)


def test_every_field_of_a_search_is_looked_at() -> None:
    for field in fields_of(Search):
        nobody: Any = Ura("00000000") if field.name in ("organisation", "source") else "nothing-has-this"
        assert not any(matches(Search(**{field.name: nobody}), one) for one in (ANSWERED, DECIDED, DISCLOSED, SENT))


ENDS: dict[str, tuple[Line, Outcome | None]] = {
    "asked and answered": (
        line(Event.QUERY_ANSWERED, completeness="complete", legs=[leg(GP, "answered")], dropped=[]),
        Outcome.PERMITTED,
    ),
    "one of two silent": (ANSWERED, Outcome.PARTIAL),
    "nobody asked": (line(Event.QUERY_ANSWERED, completeness="complete", legs=[], dropped=[]), Outcome.NEUTRAL),
    "refused for consent by the source": (
        line(Event.QUERY_ANSWERED, completeness="complete", legs=[leg(GP, "no-consent")], dropped=[]),
        Outcome.NEUTRAL,
    ),
    "all dropped at release": (
        line(Event.QUERY_ANSWERED, completeness="complete", legs=[leg(GP, "answered")], dropped=[GP.digits]),
        Outcome.NEUTRAL,
    ),
    "one dropped, one refused for consent": (
        line(
            Event.QUERY_ANSWERED,
            completeness="complete",
            legs=[leg(GP, "answered"), leg(PHARMACY, "no-consent")],
            dropped=[GP.digits],
        ),
        Outcome.NEUTRAL,
    ),
    "one dropped, one answered": (
        line(
            Event.QUERY_ANSWERED,
            completeness="complete",
            legs=[leg(GP, "answered"), leg(PHARMACY, "answered")],
            dropped=[GP.digits],
        ),
        Outcome.PERMITTED,
    ),
    "every source failed": (line(Event.QUERY_FAILED, reason="timed-out"), Outcome.FAILED),
    "told plainly": (line(Event.QUERY_REFUSED, reason="no-cover"), Outcome.REFUSED),
    "localised something": (line(Event.LOCALISED, shown=2), Outcome.PERMITTED),
    "localised nothing": (line(Event.LOCALISED, shown=0), Outcome.NEUTRAL),
    "only decided": (DECIDED, None),
    "only read": (line(Event.JOURNAL_READ), None),
}


@pytest.mark.parametrize(("one", "outcome"), ENDS.values(), ids=ENDS.keys())
def test_how_it_ended(one: Line, outcome: Outcome | None) -> None:
    assert outcome_of(one) is outcome
    assert (f"outcome:{outcome}" in terms(one)) is (outcome is not None)


@pytest.mark.parametrize("event", [event for event in Event if event.endswith("-refused")], ids=str)
def test_every_refusal_of_a_party_is_one(event: Event) -> None:
    of_a_party = "organisation" in FIELDS[event]
    assert outcome_of(line(event)) is (Outcome.REFUSED if of_a_party else None)


@pytest.mark.parametrize("event", Event, ids=str)
def test_no_term_names_a_patient_and_any_line_has_some(event: Event) -> None:
    full: dict[str, Json] = {name: f"value of {name}" for name in FIELDS[event] if name != "completeness"}
    found = terms(line(event, **full))
    assert f"event:{event}" in found
    assert not any(KEY.hex() in term or "twelve" in term for term in found)


def test_odd_values_are_passed_over() -> None:
    odd = line(Event.QUERY_ANSWERED, legs=["x", None, {"custodian": 5}], dropped="x", category=7)  # type: ignore[dict-item]
    assert terms(odd) >= {"event:query-answered", "outcome:neutral"}
    assert kind_of(line(Event.TOKEN_ISSUED, organisation_type="Z9")) is None
    assert wanted(Search()) == frozenset()
