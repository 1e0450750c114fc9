"""What does a token say? Every malformed claim by name, and no claim's value in the complaint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_made import NOW, PATIENT, envelope

from gateway.identity.claims import BadClaim, Claims, read_claims
from gateway.rules.exchange import Capacity, ContactKind, GivenBy, Purpose, Situation

ATTESTATION = "3f2c0f0e-1111-4222-8333-444455556666"
VERBAL = {"id": ATTESTATION, "given_by": "patient", "at": NOW.isoformat(), "recorded_by": "Test Recorder"}
RESPONSIBLE = {"uzi": "000000002", "name": "Test Responsible", "role": "01.015"}
CONTACT = {"id": "c-1", "kind": "visit", "start": NOW.isoformat()}


def test_a_person_with_everything() -> None:
    raw = envelope(
        department="SEH",
        purpose="ETREAT",
        capacity="represented",
        contact={**CONTACT, "end": (NOW + timedelta(hours=1)).isoformat()},
        responsible={**RESPONSIBLE, "mandate_until": "2026-11-22T00:00:00+01:00"},
        verbal_consent={**VERBAL, "id": ATTESTATION.upper()},
    )
    read = read_claims(raw)
    assert (read.application.digits, read.organisation.digits) == ("301", "90000301")
    assert read.patient is not None
    assert read.patient.digits == PATIENT
    assert read.department == "SEH"
    assert read.actor is not None
    assert (read.actor.uzi, read.actor.name, read.actor.role) == ("000000001", "Test Actor", "01.015")
    assert read.responsible is not None
    assert read.responsible.mandate_until == datetime(2026, 11, 21, 23, tzinfo=UTC)
    situation = read.situation
    assert (situation.purpose, situation.capacity, situation.cover) == (Purpose.ETREAT, Capacity.REPRESENTED, True)
    assert situation.contact is not None
    assert (situation.contact.kind, situation.contact.end) == (ContactKind.VISIT, NOW + timedelta(hours=1))
    assert situation.verbal_consent is not None
    assert situation.verbal_consent.id == ATTESTATION, "one uuid in two spellings is one attestation"
    assert situation.verbal_consent.given_by is GivenBy.PATIENT


def test_a_system_by_itself_names_no_person() -> None:
    raw = {"iss": "301", "organisation": "90000301", "sub": "301"}
    assert read_claims(raw) == Claims(
        *_identifiers(), actor=None, responsible=None, department=None, patient=None, situation=Situation()
    )


def _identifiers() -> tuple[Any, Any]:
    read = read_claims(envelope())
    return read.application, read.organisation


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no issuer": ({"iss": None}, "iss"),
    "an issuer with letters": ({"iss": "30X"}, "iss"),
    "a number as issuer": ({"iss": 301}, "iss"),
    "an issuer too long": ({"iss": "1" * 17}, "iss"),
    "no organisation": ({"organisation": None}, "organisation"),
    "an organisation of seven digits": ({"organisation": "9000030"}, "organisation"),
    "no subject": ({"sub": None}, "sub"),
    "an empty subject": ({"sub": ""}, "sub"),
    "a subject with a line break": ({"sub": "0000\n"}, "sub"),
    "a subject too long": ({"sub": "1" * 201}, "sub"),
    "a person without a role": ({"role": None}, "role"),
    "a role that is no text": ({"role": 1}, "role"),
    "a person without a name": ({"name": None}, "name"),
    "a name that is an object": ({"name": {}}, "name"),
    "a BSN that fails the eleven-test": ({"patient": f"{int(PATIENT) + 1}"}, "patient"),
    "a BSN of eight digits": ({"patient": PATIENT[1:]}, "patient"),
    "a BSN as a number": ({"patient": int(PATIENT)}, "patient"),
    "an empty BSN": ({"patient": ""}, "patient"),
    "a person without a purpose": ({"purpose": None}, "purpose"),
    "another purpose": ({"purpose": "HMARKT"}, "purpose"),
    "a purpose in lower case": ({"purpose": "treat"}, "purpose"),
    "another capacity": ({"capacity": "drunk"}, "capacity"),
    "cover as text": ({"cover": "true"}, "cover"),
    "cover as a number": ({"cover": 1}, "cover"),
    "a department that is a list": ({"department": ["SEH"]}, "department"),
    "a contact that is text": ({"contact": "visit"}, "contact"),
    "a contact without an id": ({"contact": {**CONTACT, "id": None}}, "id"),
    "a contact of another kind": ({"contact": {**CONTACT, "kind": "party"}}, "kind"),
    "a contact without a kind": ({"contact": {"id": "c", "start": NOW.isoformat()}}, "kind"),
    "a contact without a start": ({"contact": {"id": "c", "kind": "visit"}}, "start"),
    "a start without a zone": ({"contact": {**CONTACT, "start": "2026-11-21T20:00:00"}}, "start"),
    "a start that is a day": ({"contact": {**CONTACT, "start": "2026-11-21"}}, "start"),
    "a start that is a number": ({"contact": {**CONTACT, "start": 1}}, "start"),
    "an end that is nonsense": ({"contact": {**CONTACT, "end": "T"}}, "end"),
    "a responsible that is text": ({"responsible": "x"}, "responsible"),
    "a responsible without a role": ({"responsible": {"uzi": "1", "name": "x"}}, "role"),
    "a mandate without a zone": ({"responsible": {**RESPONSIBLE, "mandate_until": "2026-11-22T00:00"}}, "mandate"),
    "an attestation that is a list": ({"verbal_consent": []}, "verbal_consent"),
    "an attestation without an id": ({"verbal_consent": {**VERBAL, "id": None}}, "id"),
    "an attestation that is no uuid": ({"verbal_consent": {**VERBAL, "id": "1"}}, "verbal_consent.id"),
    "an attestation by somebody else": ({"verbal_consent": {**VERBAL, "given_by": "neighbour"}}, "given_by"),
    "an attestation of no time": ({"verbal_consent": {**VERBAL, "at": None}}, "at"),
    "a recorder that is a number": ({"verbal_consent": {**VERBAL, "recorded_by": 1}}, "recorded_by"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_claim_is_named_without_its_value(case: str) -> None:
    changes, name = BAD[case]
    with pytest.raises(BadClaim) as caught:
        read_claims(envelope(**changes))
    assert name in str(caught.value)
    assert PATIENT not in str(caught.value)
    assert str(int(PATIENT) + 1) not in str(caught.value)


def test_who_recorded_an_attestation_is_for_the_rules_to_judge() -> None:
    read = read_claims(envelope(verbal_consent={**VERBAL, "recorded_by": None}))
    assert read.situation.verbal_consent is not None
    assert read.situation.verbal_consent.recorded_by is None


def test_any_zone_is_the_same_moment() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=1)))
    read = read_claims(envelope(contact={**CONTACT, "start": local.isoformat()}))
    assert read.situation.contact is not None
    assert read.situation.contact.start == NOW
    zulu = read_claims(envelope(contact={**CONTACT, "start": "2026-11-21T20:00:00Z"}))
    assert zulu.situation.contact is not None
    assert zulu.situation.contact.start == NOW


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(PATIENT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
NAMES = sorted([*envelope(), "responsible", "verbal_consent", "department", "capacity"])


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_whatever_stands_in_a_claim_it_is_read_or_named(changes: dict[str, Any]) -> None:
    complaint = ""
    try:
        read_claims({**envelope(), **changes})
    except BadClaim as wrong:
        complaint = str(wrong)
    assert PATIENT not in complaint
