"""Is the journal's catalogue whole, and does nothing unlisted get in or out? Walks every event and every field."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import FIELDS, WHO, Audience, Event, Json, Line, UnlistedField, view

AT = datetime(2026, 5, 2, 23, 30, tzinfo=UTC)
KEY = PatientKey(b"twelve-bytes")
READERS = (Audience.OPERATOR, Audience.CUSTODIAN, Audience.PATIENT)
EVENTS = pytest.mark.parametrize("event", Event, ids=str)

STORED_NAMES = {
    "token-issued",
    "token-refused",
    "call-refused",
    "query-decided",
    "query-refused",
    "disclosed",
    "query-answered",
    "query-failed",
    "localised",
    "explained",
    "entry-registered",
    "entry-refused",
    "entry-ended",
    "consent-stated",
    "consent-refused",
    "own-entries-read",
    "own-consents-read",
    "journal-read",
    "participant-joined",
    "certificate-revoked",
    "regime-switched",
    "clock-set",
    "message-accepted",
    "message-refused",
    "message-postponed",
    "message-delivered",
    "message-parked",
    "message-failed",
    "message-resumed",
    "delivery-switched",
    "gp-of-record-changed",
    "alert-raised",
    "journal-kept",
    "operator-logged-in",
    "operator-login-refused",
    "operator-logged-out",
    "operator-act-refused",
    "operator-account-changed",
    "operator-looked",
    "regime-proposed",
    "regime-proposal-closed",
    "disclosure-reviewed",
    "patient-logged-in",
    "patient-login-refused",
    "patient-logged-out",
}
"""Names that stand in journals already written."""

ACTS_OF_PEOPLE = {
    Event.PARTICIPANT_JOINED,
    Event.CERTIFICATE_REVOKED,
    Event.REGIME_SWITCHED,
    Event.CLOCK_SET,
    Event.DELIVERY_SWITCHED,
    Event.JOURNAL_KEPT,
    Event.OPERATOR_LOGGED_IN,
    Event.OPERATOR_LOGIN_REFUSED,
    Event.OPERATOR_LOGGED_OUT,
    Event.OPERATOR_ACT_REFUSED,
    Event.OPERATOR_ACCOUNT_CHANGED,
    Event.OPERATOR_LOOKED,
    Event.REGIME_PROPOSED,
    Event.REGIME_PROPOSAL_CLOSED,
    Event.DISCLOSURE_REVIEWED,
    Event.PATIENT_LOGGED_IN,
    Event.PATIENT_LOGIN_REFUSED,
    Event.PATIENT_LOGGED_OUT,
}

ACTS_OF_THE_EXCHANGE = {Event.ALERT_RAISED}
"""What it tells its operators by itself; nobody did it."""

CONTENT = re.compile(
    r"bsn|birth|patient|content|body|payload|bundle|composition|narrative|diagnos|medicat|allerg|dosage|observation"
    r"|password|secret|private|assertion$|access_token|^token$|^key$|^text$|^name$|^address$"
)


def full(event: Event) -> Line:
    """A line of this event with every listed field filled, each value naming its field."""
    fields: dict[str, Json] = {name: f"value of {name}" for name in FIELDS[event]}
    return Line(event, AT, AT, AortaId("i", "r"), KEY, Ura("90000101"), Ura("90000401"), fields)


def test_every_event_is_catalogued_and_no_stored_name_is_lost() -> None:
    assert FIELDS.keys() == set(Event)
    assert {event.value for event in Event} >= STORED_NAMES
    assert len({event.value for event in Event}) == len(Event)


@EVENTS
def test_every_event_has_fields_and_every_field_a_reader(event: Event) -> None:
    assert FIELDS[event]
    assert all(audience and audience in Audience.ALL for audience in FIELDS[event].values())


@EVENTS
def test_an_unlisted_field_is_refused_by_name(event: Event) -> None:
    with pytest.raises(UnlistedField, match=f"{event} has no field smuggled"):
        Line(event, AT, AT, fields={"smuggled": "x"})


@EVENTS
def test_a_field_of_another_event_is_refused_too(event: Event) -> None:
    foreign = {name for fields in FIELDS.values() for name in fields} - FIELDS[event].keys()
    assert foreign
    for name in foreign:
        with pytest.raises(UnlistedField):
            Line(event, AT, AT, fields={name: "x"})


@EVENTS
def test_a_refusal_names_the_field_and_never_its_value(event: Event) -> None:
    with pytest.raises(UnlistedField) as refused:
        Line(event, AT, AT, fields={"smuggled": "999900006"})
    assert "999900006" not in repr(refused.value)


@EVENTS
def test_no_field_is_named_like_content_or_like_the_patient(event: Event) -> None:
    assert [name for name in FIELDS[event] if CONTENT.search(name)] == []


@EVENTS
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name.lower())
def test_a_reader_sees_the_listed_fields_and_no_other(event: Event, reader: Audience) -> None:
    line = full(event)
    for name in line.fields:
        shown = name in view(line, reader)
        assert shown is bool(FIELDS[event][name] & reader), name
    assert all(view(line, reader)[name] == line.fields[name] for name in view(line, reader))


@EVENTS
def test_together_the_readers_see_each_field_and_alone_none_sees_more_than_listed(event: Event) -> None:
    line = full(event)
    seen = [set(view(line, reader)) for reader in READERS]
    assert set().union(*seen) == set(line.fields)
    assert set(view(line, Audience.ALL)) == set.intersection(*seen)


@EVENTS
def test_who_acted_and_who_was_responsible_stand_on_every_act_of_a_party(event: Event) -> None:
    if event in ACTS_OF_PEOPLE:
        assert FIELDS[event].keys() & {"by"} or event is Event.PARTICIPANT_JOINED
    elif event in ACTS_OF_THE_EXCHANGE:
        assert not WHO.items() <= FIELDS[event].items()
    else:
        assert WHO.items() <= FIELDS[event].items()


HIDDEN = {
    # what routing is made of is nothing to the patient; how a query was judged is nothing to a custodian
    "the patient does not see endpoints or certificates": (Audience.PATIENT, {"endpoint", "certificate", "legs"}),
    "the custodian does not see what was decided elsewhere": (Audience.CUSTODIAN, {"decisions", "legs", "dropped"}),
    "the custodian does not see counts of other sources": (Audience.CUSTODIAN, {"flags", "completeness", "shown"}),
}


@pytest.mark.parametrize(("reader", "names"), HIDDEN.values(), ids=HIDDEN.keys())
def test_what_a_reader_never_sees(reader: Audience, names: set[str]) -> None:
    assert names <= {name for event in Event for name in FIELDS[event]}
    for event in Event:
        assert not names & view(full(event), reader).keys(), event


def test_the_patient_sees_refused_attempts_with_their_reason() -> None:
    assert {"reason", "actor_role", "organisation", "purpose"} <= view(
        full(Event.QUERY_REFUSED), Audience.PATIENT
    ).keys()


@EVENTS
def test_the_patient_key_never_prints(event: Event) -> None:
    line = full(event)
    for text in (repr(line), str(line), f"{line}", repr([line])):
        assert "twelve-bytes" not in text
        assert KEY.hex() not in text
