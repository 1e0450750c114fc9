"""Are the exchange's own messages whole, valid, about the right patient or none, and free of what names smuggle in?"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir_made import US, shown

from gateway.fhir import codes, narrative, strict
from gateway.fhir.letters import Writer
from gateway.fhir.references import Names, check_whole, parts
from gateway.rules.access import Bar, Basis
from gateway.rules.exchange import Professional, Requester, Responsible
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.message import ACTION_OF, MessageEvent, Reason, State
from gateway.rules.network import Organisation

GOLDEN = Path(__file__).parent / "golden" / "letters"
AT = datetime(2026, 1, 3, 2, 30, tzinfo=UTC)
ID = "0b0e2f2a-4b44-4c3b-9c55-1f6f0a7b2d11"
WRITER = Writer("https://exchange.test/fhir/")
DOCTOR = Professional("900000001", "Test actor", "30.000")
OVER = Responsible("900000002", "Test responsible", "01.015")
POST = Requester(Ura("90000401"), "Test GP post", "N6", ApplicationId("400009"), actor=DOCTOR, responsible=OVER)
PRACTICE = Organisation(Ura("90000102"), "Z3", "Test practice")
NASTY = "<script>alert(1)</script> & 'co'\""


def notice(requester=POST, basis=Basis.VERBAL, row="CRI-1"):
    return WRITER.disclosure_notice(
        ID, at=AT, patient=US, requester=requester, basis=basis.value, row=row, custodian=Ura("90000101")
    )


def moved(current=PRACTICE):
    return WRITER.enrolment_changed(ID, at=AT, patient=US, current=current, since="2026-01-02")


def undelivered(event=MessageEvent.RETURN_MESSAGE, state=State.FAILED, reason="expired"):
    return WRITER.undeliverable(ID, at=AT, message_id="message-1", event=event, state=state, reason=str(reason))


LETTERS = {
    "disclosure-verbal": notice(),
    "disclosure-presumed": notice(replace(POST, responsible=None), Basis.PRESUMED, "EMA-1"),
    "disclosure-by-a-system": notice(replace(POST, actor=None, responsible=None)),
    "enrolment-changed": moved(),
    "undeliverable": undelivered(),
    "undeliverable-referral": undelivered(MessageEvent.REFERRAL, reason=Bar.OBJECTION),
    "outcome-unknown": undelivered(state=State.UNKNOWN, reason=Reason.REPLY_LOST),
    "nasty-requester": notice(replace(POST, name=NASTY, actor=replace(DOCTOR, name=NASTY))),
    "nasty-practice": moved(replace(PRACTICE, name=NASTY)),
}
GOLD = [name for name in LETTERS if not name.startswith("nasty")]


def header(raw: bytes) -> dict[str, Any]:
    return json.loads(raw)["entry"][0]["resource"]


def texts(raw: bytes) -> str:
    return "".join(one["text"]["div"] for one in json.loads(raw)["entry"][1]["resource"]["section"])


@pytest.mark.parametrize("name", GOLD)
def test_golden(name):
    path = GOLDEN / f"{name}.json"
    if os.environ.get("SWITCHPOINT_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown(LETTERS[name]), "utf-8")
    assert shown(LETTERS[name]) == path.read_text("utf-8")


def test_no_golden_letter_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(GOLD)


@pytest.mark.parametrize("name", LETTERS)
def test_a_letter_is_a_whole_valid_message(name):
    bundle = strict.parse(LETTERS[name])
    model = Bundle.model_validate(bundle)
    strict.shape.refuse_hollow(bundle, "Bundle")
    for one in model.entry:
        strict.shape.check(one.resource, bundle["entry"][model.entry.index(one)]["resource"], "resource")
    known = parts(bundle)
    names = Names(known)
    check_whole(known, names)
    head = known[0].resource
    assert (bundle["type"], head["resourceType"], head["id"]) == ("message", "MessageHeader", ID)
    assert names.part(head["focus"][0]["reference"], known[0]) is known[1]
    assert all(narrative.is_harmless(one["text"]["div"]) for one in known[1].resource["section"])


@pytest.mark.parametrize("name", LETTERS)
def test_the_exchange_sends_as_itself(name):
    head = header(LETTERS[name])
    assert "sender" not in head
    assert "destination" not in head
    assert head["source"]["endpoint"] == "https://exchange.test/fhir"
    assert head["eventCoding"]["system"] == codes.MESSAGE_EVENT
    assert MessageEvent(head["eventCoding"]["code"]) not in ACTION_OF


@pytest.mark.parametrize("name", LETTERS)
def test_the_patients_number_stands_once_where_the_receiver_needs_it_and_never_in_words(name):
    wanted = 0 if header(LETTERS[name])["eventCoding"]["code"] == "undeliverable" else 1
    assert LETTERS[name].count(US.digits.encode()) == wanted
    assert US.digits not in texts(LETTERS[name])


def test_a_notice_tells_who_in_whose_name_why_and_under_which_row():
    said = texts(LETTERS["disclosure-verbal"])
    for word in ("Test GP post", "90000401", "Test actor", "Test responsible", "90000101", "CRI-1", "03-01-2026 03:30",
                 "mondeling", "word of mouth"):  # fmt: skip
        assert word in said, word
    assert header(LETTERS["disclosure-presumed"])["reason"]["coding"][0]["code"] == "presumed-consent"
    assert "verondersteld" in texts(LETTERS["disclosure-presumed"])
    assert "Handelend" not in texts(LETTERS["disclosure-by-a-system"])


def test_disclosure_by_a_choice_made_before_is_no_cause_for_a_notice():
    with pytest.raises(KeyError):
        notice(basis=Basis.CONSENT)


def test_word_of_a_change_names_the_new_practice():
    about = json.loads(LETTERS["enrolment-changed"])["entry"][2]["resource"]
    assert (about["resourceType"], about["identifier"][0]["value"]) == ("Organization", "90000102")
    assert "2026-01-02" in texts(LETTERS["enrolment-changed"])


@pytest.mark.parametrize(
    ("state", "reason", "code", "again"),
    [
        (State.FAILED, Reason.EXPIRED, "expired", True),
        (State.FAILED, Reason.NEVER_MARKED, "never-marked", True),
        (State.FAILED, Reason.REJECTED, "rejected", False),
        (State.FAILED, Bar.OBJECTION, "objection", False),
        (State.UNKNOWN, Reason.REPLY_LOST, "outcome-unknown", True),
        (State.UNKNOWN, Reason.EXPIRED, "outcome-unknown", True),
    ],
)
def test_a_sender_is_told_which_message_and_why(state, reason, code, again):
    head = header(undelivered(state=state, reason=reason))
    assert head["response"] == {"identifier": "message-1", "code": "transient-error" if again else "fatal-error"}
    assert head["reason"]["coding"] == [{"system": codes.OUTCOME, "code": code}]
    said = texts(undelivered(state=state, reason=reason))
    assert codes.OUTCOME_SENTENCES[code].split("'")[0] in said
    assert ("misschien" in said) == (state is State.UNKNOWN)


@pytest.mark.parametrize("reason", [*Reason, *Bar])
@pytest.mark.parametrize("event", ACTION_OF)
def test_no_reason_is_without_words(event, reason):
    assert str(reason) in texts(undelivered(event, State.FAILED, reason))


def test_equal_arguments_give_equal_bytes_and_each_letter_urls_of_its_own():
    again = WRITER.enrolment_changed("another", at=AT, patient=US, current=PRACTICE, since="2026-01-02")
    assert moved() == moved()
    urls = [{one["fullUrl"] for one in json.loads(raw)["entry"]} for raw in (moved(), again)]
    assert not urls[0] & urls[1]
