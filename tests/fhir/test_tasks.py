"""Does a sender see in the Task how its message stands, in R4's words, and nothing of patient or GP of record?"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fhir.resources.R4B.task import Task

from gateway.fhir import codes, shape
from gateway.fhir.tasks import status, task
from gateway.rules.access import Bar
from gateway.rules.exchange import AortaId, PatientKey, Situation
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.message import Envelope, MessageEvent, Reason, Sender, State

AT = datetime(2026, 1, 3, 2, 30, tzinfo=UTC)
KEY = PatientKey(bytes(range(12)))
SENDER = Sender(Ura("90000401"), ApplicationId("400009"), None, None, None, "0A", Situation())
RETURNED = Envelope(
    "0b0e2f2a-4b44-4c3b-9c55-1f6f0a7b2d11",
    MessageEvent.RETURN_MESSAGE,
    "message-1",
    SENDER,
    KEY,
    None,
    None,
    AT,
    AortaId("chain", "request"),
)
REFERRED = replace(RETURNED, event=MessageEvent.REFERRAL, recipient=Ura("90000501"))
OWN = replace(RETURNED, event=MessageEvent.DISCLOSURE_NOTICE, sender=None)


def shown(envelope=RETURNED, state=State.WAITING, reason=None, attempts=0):
    raw = task(envelope, state=state, reason=reason, attempts=attempts, changed=AT + timedelta(seconds=1))
    whole = json.loads(raw)
    shape.refuse_hollow(whole, "Task")
    shape.check(Task.model_validate(whole), whole, "Task")
    return whole


STATES = [
    # state, attempts, status
    (State.WAITING, 0, "requested"),
    (State.WAITING, 1, "in-progress"),
    (State.CLAIMED, 0, "in-progress"),
    (State.CLAIMED, 3, "in-progress"),
    (State.PARKED, 0, "on-hold"),
    (State.PARKED, 3, "on-hold"),
    (State.DELIVERED, 1, "completed"),
    (State.FAILED, 1, "failed"),
    (State.UNKNOWN, 1, "failed"),
]


@pytest.mark.parametrize(("state", "attempts", "expected"), STATES)
def test_status(state, attempts, expected):
    assert status(state, attempts) == expected
    told = shown(state=state, attempts=attempts)
    assert told["status"] == expected
    assert told["businessStatus"]["coding"] == [{"system": codes.MESSAGE_STATE, "code": str(state)}]


def test_every_state_has_a_status():
    assert {state for state, _, _ in STATES} == set(State)


@pytest.mark.parametrize("reason", [*Reason, *Bar])
@pytest.mark.parametrize("state", [State.PARKED, State.FAILED])
def test_the_reason_is_told_with_its_sentence(state, reason):
    told = shown(state=state, reason=str(reason))["statusReason"]
    assert told == {
        "coding": [{"system": codes.OUTCOME, "code": str(reason)}],
        "text": codes.OUTCOME_SENTENCES[reason],
    }


def test_an_unknown_outcome_is_its_own_reason():
    told = shown(state=State.UNKNOWN, reason="reply-lost")["statusReason"]["coding"]
    assert [one["code"] for one in told] == ["outcome-unknown"]


@pytest.mark.parametrize("state", [State.WAITING, State.CLAIMED, State.DELIVERED])
def test_what_is_on_its_way_or_delivered_has_no_reason(state):
    assert "statusReason" not in shown(state=state, reason="reply-lost")


def test_what_a_return_messages_sender_sees():
    assert shown() == {
        "resourceType": "Task",
        "id": RETURNED.id,
        "meta": {"lastUpdated": "2026-01-03T02:30:01.000Z"},
        "status": "requested",
        "businessStatus": {"coding": [{"system": codes.MESSAGE_STATE, "code": "waiting"}]},
        "intent": "order",
        "code": {"coding": [{"system": codes.MESSAGE_EVENT, "code": "return-message"}]},
        "focus": {"type": "MessageHeader", "identifier": {"value": "message-1"}},
        "authoredOn": "2026-01-03T02:30:00.000Z",
        "lastModified": "2026-01-03T02:30:01.000Z",
        "requester": {"identifier": {"system": "http://fhir.nl/fhir/NamingSystem/ura", "value": "90000401"}},
    }


def test_a_referrals_recipient_is_its_owner_and_the_exchange_has_no_number():
    assert shown(REFERRED)["owner"]["identifier"]["value"] == "90000501"
    assert "requester" not in shown(OWN)
    assert KEY.hex() not in json.dumps(shown(OWN))
