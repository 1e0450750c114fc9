"""Does a receiver take each message once, from the exchange only, and does it show in the next summary?

Over real sockets with mutual TLS: the faults of delivery are faults of connections.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class
from sources_at_hand import (
    AORTA_ID,
    BSN,
    GATEWAY_URA,
    ISSUER,
    JWKS,
    NOW,
    OTHER_BSN,
    STRANGER,
    Pki,
    call,
    code,
    country,
    gateway,
    token,
    written,
)

from source_sim import cases, folding, messages, population, records, requesters, senders
from source_sim.country import AMBULANCE, GP, GP_POST, HOSPITAL, KINDS, RECEIVERS, SOURCES, Participant
from source_sim.faults import FaultName
from source_sim.messages import Occasion
from source_sim.offered import Kind, answers_for
from source_sim.population import Profile
from source_sim.records import View
from source_sim.serving import Config

URA = "90000001"
ID = "5f1d6d0e-2c55-4f62-9d6b-6a1c7c0e9f01"
PERSON = population.person(BSN, NOW.date())
PROCESS = "$process-message"


def report(id: str = ID, at: datetime = NOW, sender: Participant = GP_POST) -> bytes:
    return messages.return_message(Occasion(id, at, PERSON, sender, requesters.gp_post, cases.CYSTITIS))


def referral(to: Participant) -> bytes:
    return messages.referral(Occasion(ID, NOW, PERSON, GP, senders.own_gp, cases.CHEST_PAIN), to)


def own(event: str, *, patient: str | None = BSN) -> bytes:
    """A message of the exchange itself, as bare as it may be."""
    header = {
        "resourceType": "MessageHeader",
        "id": ID,
        "eventCoding": {"system": "https://switchpoint.example/fhir/CodeSystem/message-event", "code": event},
        "source": {"endpoint": "https://exchange.test/fhir"},
    }
    bsn = {"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": patient}
    about = [{"resource": {"resourceType": "Patient", "identifier": [bsn]}}] if patient else []
    bundle = {"resourceType": "Bundle", "type": "message", "entry": [{"resource": header}, *about]}
    return json.dumps(bundle).encode()


@dataclass(frozen=True)
class At:
    """A running receiver, who talks to it, and the control API."""

    web: httpx.AsyncClient
    control: httpx.AsyncClient
    base: str

    async def bring(self, body: bytes, media: str = "application/fhir+json", **changed: Any) -> httpx.Response:
        """Deliver as the exchange would; `changed` are claims of the voucher."""
        told = {"rule": "RET-1", "requester": GP_POST.ura} | changed
        key = told.pop("key", None)
        vouched = {"now": datetime.now(UTC), **told} | ({"key": key} if key else {})
        headers = {"authorization": f"Bearer {token(**vouched)}", "aorta-id": AORTA_ID, "content-type": media}
        return await self.web.post(f"{self.base}/{PROCESS}", content=body, headers=headers)

    async def inbox(self) -> list[dict[str, Any]]:
        return list((await self.control.get(f"/systems/{URA}/inbox")).json()["inbox"])

    async def log(self) -> list[dict[str, Any]]:
        return list((await self.control.get(f"/systems/{URA}/log")).json()["log"])

    async def switch(self, name: str, **more: Any) -> int:
        return (await self.control.put(f"/systems/{URA}/fault", json={"name": name, **more})).status_code

    async def mend(self, kind: str | None = None) -> None:
        await self.control.delete(f"/systems/{URA}/fault", params={"type": kind} if kind else {})

    async def summary(self, view: str = "covering") -> dict[str, Any]:
        return dict((await call(self.web, self.base, "Bundle", view=view)).json()["entry"][0]["resource"])


@asynccontextmanager
async def receiver(
    tmp_path: Path, kind: str = "gp-practice", caller: str = GATEWAY_URA, timeout: float = 5.0, **changed: Any
) -> AsyncIterator[At]:
    pki = Pki(tmp_path)
    whole = {
        "systems": [pki.entry(kind, URA, **changed)],
        "gateway_ura": GATEWAY_URA,
        "issuer": ISSUER,
        "jwks": JWKS,
        "now": NOW.isoformat(),
    }
    config = msgspec.json.decode(json.dumps(whole), type=Config)
    async with country(config) as (control, bases), gateway(pki, caller, timeout) as web:
        yield At(web, control, bases[URA])


# --- taking ----------------------------------------------------------------------------------------------------------


async def test_a_message_is_taken_once_and_its_repeats_are_counted(tmp_path: Path) -> None:
    async with receiver(tmp_path) as at:
        first, *again = [await at.bring(report()) for _ in range(3)]
        inbox, log = await at.inbox(), await at.log()
    assert [answer.status_code for answer in (first, *again)] == [200, 200, 200]
    for answer in (first, *again):
        get_fhir_model_class("OperationOutcome").model_validate(answer.json())
        assert answer.json()["issue"][0]["severity"] == "information"
        assert answer.headers["aorta-id"] == AORTA_ID
    (kept,) = inbox
    assert datetime.fromisoformat(kept.pop("at")) - NOW < timedelta(seconds=30)
    assert kept == {"id": ID, "event": "return-message", "sender": GP_POST.ura, "repeats": 2, "altered": 0}
    told = [(line["resource_type"], line["rule"], line["requester"], line["resources"]) for line in log]
    assert told == [(PROCESS, "RET-1", GP_POST.ura, taken) for taken in (1, 0, 0)]
    assert BSN not in json.dumps([inbox, log])


async def test_the_same_id_from_another_sender_is_another_message(tmp_path: Path) -> None:
    async with receiver(tmp_path) as at:
        await at.bring(report())
        await at.bring(report(sender=AMBULANCE), requester=AMBULANCE.ura)
        inbox = await at.inbox()
    assert [(one["sender"], one["repeats"]) for one in inbox] == [(GP_POST.ura, 0), (AMBULANCE.ura, 0)]


async def test_a_repeat_with_other_bytes_is_seen_and_changes_nothing(tmp_path: Path) -> None:
    other = report().replace(b"Blaasontsteking zonder", b"Nierbekkenontsteking zonder")
    async with receiver(tmp_path) as at:
        answers = [await at.bring(body) for body in (report(), other, report())]
        (kept,) = await at.inbox()
        summary = json.dumps(await at.summary(), ensure_ascii=False)
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert (kept["repeats"], kept["altered"]) == (2, 1)
    assert "Nierbekkenontsteking" not in summary


NOTICE = {"rule": "notice", "requester": None}
TAKING = [
    pytest.param("gp-practice", report(), {}, 200, id="practice-takes-return-message"),
    pytest.param("gp-practice", own("disclosure-notice"), NOTICE, 200, id="practice-takes-disclosure-notice"),
    pytest.param("gp-practice", own("enrolment-changed"), NOTICE, 200, id="practice-takes-enrolment-changed"),
    pytest.param("gp-practice", own("undeliverable"), NOTICE, 200, id="practice-takes-undeliverable"),
    pytest.param("gp-post", own("undeliverable", patient=None), NOTICE, 200, id="post-takes-undeliverable"),
    pytest.param(
        "ambulance", own("undeliverable", patient=None), {**NOTICE, "patient": None}, 200, id="no-patient-at-all"
    ),
    pytest.param("hospital", report(), {}, 422, id="hospital-takes-no-return-message"),
    pytest.param("ambulance", report(), {}, 422, id="ambulance-takes-no-return-message"),
    pytest.param("gp-practice", own("weather"), NOTICE, 422, id="no-such-event"),
    pytest.param("pharmacy", report(), {}, 404, id="pharmacy-takes-nothing"),
]


@pytest.mark.parametrize(("kind", "body", "changed", "status"), TAKING)
async def test_who_takes_what(tmp_path: Path, kind: str, body: bytes, changed: dict[str, Any], status: int) -> None:
    async with receiver(tmp_path, kind) as at:
        answer = await at.bring(body, **changed)
        assert (answer.status_code, len(await at.inbox())) == (status, int(status == 200)), answer.text


@pytest.mark.parametrize(
    ("kind", "to", "status"),
    [
        pytest.param("hospital", URA, 200, id="hospital"),
        pytest.param("gp-post", URA, 200, id="gp-post"),
        pytest.param("hospital", HOSPITAL.ura, 422, id="addressed-to-another"),
        pytest.param("gp-practice", URA, 422, id="no-referrals-to-a-practice"),
    ],
)
async def test_a_referral_goes_to_whom_it_names(tmp_path: Path, kind: str, to: str, status: int) -> None:
    body = referral(Participant("x", to, "500001", "V4", "Test Ziekenhuis"))
    async with receiver(tmp_path, kind) as at:
        answer = await at.bring(body, rule="REF-1", requester=GP.ura)
        assert (answer.status_code, len(await at.inbox())) == (status, int(status == 200)), answer.text


MISFITS = [
    pytest.param(report(), {"patient": OTHER_BSN}, 403, "token-patient-mismatch", id="voucher-of-another-patient"),
    pytest.param(report(), {"patient": None}, 403, "token-patient-mismatch", id="voucher-of-no-patient"),
    pytest.param(report(), {"requester": HOSPITAL.ura}, 403, "unknown-party", id="voucher-of-another-sender"),
    pytest.param(report(), {"requester": None}, 403, "unknown-party", id="a-party-s-message-without-its-sender"),
    pytest.param(own("undeliverable"), {}, 403, "unknown-party", id="the-exchange-s-own-sent-by-a-party"),
    pytest.param(
        own("undeliverable"), {**NOTICE, "patient": None}, 403, "token-patient-mismatch", id="a-patient-not-vouched-for"
    ),
    pytest.param(
        report().replace(BSN.encode(), OTHER_BSN.encode()), {}, 403, "token-patient-mismatch", id="another-patient"
    ),
    pytest.param(report(), {"rule": None}, 403, "not-authorised", id="no-rule"),
    pytest.param(report(), {"aud": "500002"}, 401, "invalid-token", id="meant-for-another"),
    pytest.param(report(), {"iss": "https://elsewhere.test"}, 401, "invalid-token", id="another-issuer"),
    pytest.param(report(), {"exp": 1}, 401, "invalid-token", id="expired"),
    pytest.param(report(), {"key": STRANGER}, 401, "invalid-token", id="another-key"),
    pytest.param(report(), {"media": "text/plain"}, 415, "not-supported", id="not-declared-as-json"),
    pytest.param(report()[:-2], {}, 400, "invalid", id="cut-off"),
    pytest.param(b"\xff{}", {}, 400, "invalid", id="not-utf-8"),
    pytest.param(b"[]", {}, 422, "invalid", id="a-list"),
    pytest.param(b'{"resourceType":"Bundle","type":"batch"}', {}, 422, "invalid", id="another-bundle"),
    pytest.param(b'{"resourceType":"Bundle","type":"message"}', {}, 422, "invalid", id="no-entries"),
    pytest.param(
        report().replace(b'"resourceType":"MessageHeader"', b'"resourceType":"Basic"'),
        {},
        422,
        "invalid",
        id="no-header",
    ),
    pytest.param(
        report().replace(b"CodeSystem/message-event", b"CodeSystem/other"),
        {},
        422,
        "invalid",
        id="another-event-system",
    ),
]


@pytest.fixture
async def practice(tmp_path: Path) -> AsyncIterator[At]:
    async with receiver(tmp_path) as at:
        yield at


@pytest.mark.parametrize(("body", "changed", "status", "said"), MISFITS)
async def test_what_does_not_fit_is_not_taken(
    practice: At, body: bytes, changed: dict[str, Any], status: int, said: str
) -> None:
    answer = await practice.bring(body, **changed)
    assert (answer.status_code, code(answer)) == (status, said)
    assert await practice.inbox() == []
    assert BSN not in answer.text


async def test_only_the_exchange_s_certificate_brings_messages(tmp_path: Path) -> None:
    async with receiver(tmp_path, caller="90000998") as at:
        answer = await at.bring(report())
        assert (answer.status_code, code(answer), await at.inbox()) == (403, "unknown-party", [])


async def test_a_message_is_a_post_and_has_an_end(practice: At) -> None:
    assert (await practice.web.get(f"{practice.base}/{PROCESS}")).status_code == 405
    assert (await practice.bring(b" " * (5 * 1024 * 1024))).status_code == 413
    assert (await practice.bring(b" " * 100_000 + report())).status_code == 200


# --- faults ----------------------------------------------------------------------------------------------------------

ANSWERED = [
    (FaultName.REFUSING, 403, None, False),
    (FaultName.ERROR, 503, "7", False),
    (FaultName.BUSY, 429, "7", False),
    (FaultName.REJECTING, 400, None, False),
    (FaultName.WITHHELD, 403, None, False),
    (FaultName.NO_CONSENT, 403, None, False),
    (FaultName.REDIRECT, 307, None, False),
    (FaultName.GARBAGE, 200, None, False),
    (FaultName.EMPTY, 200, None, True),
    (FaultName.TRUNCATED, 200, None, True),
    (FaultName.WRONG_PATIENT, 200, None, True),
    (FaultName.PAGING, 200, None, True),
    (FaultName.DUPLICATE_KEYS, 200, None, True),
    (FaultName.UNKNOWN_TYPE, 200, None, True),
    (FaultName.GZIP_BOMB, 200, None, True),
]
"""What is answered under a fault: status, Retry-After of 6.2 seconds, and whether the message is taken all the same."""


async def test_only_what_is_answered_as_taken_is_taken(practice: At) -> None:
    for name, status, patience, taken in ANSWERED:
        before = len(await practice.inbox())
        assert await practice.switch(name, seconds=6.2, type=PROCESS) == 200
        answer = await practice.bring(report(str(uuid4())))
        assert (name, answer.status_code, answer.headers.get("retry-after")) == (name, status, patience)
        assert (name, len(await practice.inbox()) - before) == (name, int(taken))
        await practice.mend(PROCESS)
    log = await practice.log()
    assert [line["fault"] for line in log] == [name.value for name, *_ in ANSWERED]


async def test_rubbish_is_html_with_a_success(practice: At) -> None:
    await practice.switch("garbage")
    answer = await practice.bring(report())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    await practice.mend()
    assert (await practice.bring(report())).json()["resourceType"] == "OperationOutcome"
    assert [one["repeats"] for one in await practice.inbox()] == [0]


@pytest.mark.parametrize("name", ["lost-reply", "reset"])
async def test_a_lost_reply_is_the_reply_of_a_message_that_was_taken(practice: At, name: str) -> None:
    await practice.switch(name, type=PROCESS)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await practice.bring(report())
    assert [one["repeats"] for one in await practice.inbox()] == [0]
    await practice.mend(PROCESS)
    assert (await practice.bring(report())).status_code == 200
    assert [one["repeats"] for one in await practice.inbox()] == [1]


async def test_a_lost_reply_loses_its_first_byte_too(practice: At) -> None:
    """Unlike `reset`, which breaks off half way: the caller sees no status at all."""
    told = dict[str, bool]()
    for name in ("reset", "lost-reply"):
        await practice.switch(name)
        request = practice.web.build_request(
            "POST",
            f"{practice.base}/{PROCESS}",
            content=report(),
            headers={
                "authorization": f"Bearer {token(now=datetime.now(UTC), requester=GP_POST.ura)}",
                "content-type": "application/fhir+json",
            },
        )
        try:
            answer = await practice.web.send(request, stream=True)
            told[name] = answer.status_code == 200
            await answer.aclose()
        except (httpx.ReadError, httpx.RemoteProtocolError):
            told[name] = False
    assert told == {"reset": True, "lost-reply": False}


async def test_a_slow_receiver_has_taken_the_message_before_it_says_so(tmp_path: Path) -> None:
    async with receiver(tmp_path, timeout=0.3) as at:
        await at.switch("slow", seconds=5)
        with pytest.raises(httpx.ReadTimeout):
            await at.bring(report())
        assert len(await at.inbox()) == 1
        await at.switch("slow", seconds=0.1)
        start = time.monotonic()
        assert (await at.bring(report())).status_code == 200
        assert time.monotonic() - start >= 0.1


async def test_a_stopped_receiver_keeps_its_inbox(practice: At) -> None:
    await practice.bring(report())
    await practice.switch("down")
    with pytest.raises(httpx.ConnectError):
        await practice.bring(report())
    await practice.mend()
    assert (await practice.bring(report())).status_code == 200
    assert [one["repeats"] for one in await practice.inbox()] == [1]


async def test_messages_have_a_fault_of_their_own_and_the_asked_for_patient_s_does_not_hold(tmp_path: Path) -> None:
    patients = [{"bsn": BSN, "fault": {"name": "withheld"}}]
    async with receiver(tmp_path, patients=patients) as at:
        assert (await at.bring(report())).status_code == 200
        await at.switch("error", type=PROCESS)
        assert (await at.bring(report())).status_code == 503
        assert (await call(at.web, at.base, "Bundle")).status_code == 403


async def test_who_takes_no_messages_can_have_no_fault_for_them(tmp_path: Path) -> None:
    async with receiver(tmp_path, "pharmacy") as at:
        assert await at.switch("error", type=PROCESS) == 400
    assert PROCESS not in answers_for(Kind.PHARMACY)
    assert all(PROCESS in answers_for(kind) for kind in set(Kind) - {Kind.PHARMACY})


# --- the next summary ------------------------------------------------------------------------------------------------


def shown(summary: dict[str, Any]) -> dict[str, list[str]]:
    """What stands under each heading of a summary, by what it is called."""
    by_name = {entry["fullUrl"].rpartition("/fhir/")[2]: entry["resource"] for entry in summary["entry"]}
    return {
        section["title"]: [named(by_name[one["reference"]]) for one in section.get("entry", ())]
        for section in summary["entry"][0]["resource"]["section"]
    }


def named(resource: dict[str, Any]) -> str:
    kind = resource["resourceType"]
    if kind == "MedicationRequest":
        return f"{kind} {resource['medicationReference']['display']}"
    if kind == "EpisodeOfCare":
        return f"{kind} {resource['extension'][0]['valueString']}"
    if kind == "Composition":
        return f"{kind} {resource['title']}"
    concept = (resource.get("reasonCode") or [resource.get("code")])[0]
    return f"{kind} {concept['coding'][0]['display'] if concept else ''}"


NEW = {
    "Episodes en problemen": ["Condition Blaasontsteking", "EpisodeOfCare Blaasontsteking"],
    "Contacten": [
        "Composition Waarneembericht: Blaasontsteking",
        "Encounter Blaasontsteking",
        "Observation Subjectief",
        "Observation Objectief",
        "Observation Evaluatie",
        "Observation Plan",
    ],
    "Metingen": ["Observation Lichaamstemperatuur", "Observation Hartfrequentie"],
    "Medicatie": ["MedicationRequest Nitrofurantoïne capsule mga 100 mg"],
}


@pytest.mark.parametrize("view", ["covering", "acute"])
async def test_a_return_message_shows_in_the_next_summary(tmp_path: Path, view: str) -> None:
    async with receiver(tmp_path, patients=[{"bsn": BSN, "profile": "empty"}]) as at:
        assert (await call(at.web, at.base, "Bundle", view=view)).json()["total"] == 0
        await at.bring(report())
        summary = await at.summary(view)
        await at.bring(report())
        again = await at.summary(view)
    assert shown(summary) == NEW
    assert shown(again) == NEW, "a repeat shows twice"
    get_fhir_model_class("Bundle").model_validate(summary)
    assert summary["type"] == "document"


@pytest.mark.parametrize("proof", ["reference", "identifier"])
async def test_it_stands_beside_what_the_practice_had(tmp_path: Path, proof: str) -> None:
    async with receiver(tmp_path, patients=[{"bsn": BSN, "proof": proof}]) as at:
        before = shown(await at.summary())
        await at.bring(report())
        summary = await at.summary()
    after = shown(summary)
    for title, names in before.items():
        assert after[title] == names + NEW.get(title, [])
    assert len([each for each in summary["entry"] if each["resource"]["resourceType"] == "Patient"]) == 1
    inside = {each["fullUrl"].rpartition("/fhir/")[2] for each in summary["entry"]}
    assert set(_references(summary)) <= inside
    assert b"urn:uuid" not in json.dumps(summary["entry"]).encode()


def _references(part: Any) -> list[str]:
    own = [part["reference"]] if isinstance(part, dict) and "reference" in part else []
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return own + [found for each in inner for found in _references(each)]


async def test_only_a_return_message_enters_the_record(tmp_path: Path) -> None:
    async with receiver(tmp_path, patients=[{"bsn": BSN, "profile": "empty"}]) as at:
        await at.bring(own("disclosure-notice"), **NOTICE)
        assert (await call(at.web, at.base, "Bundle")).json()["total"] == 0


async def test_a_patient_whom_the_practice_does_not_know_gets_no_record_by_message(tmp_path: Path) -> None:
    async with receiver(tmp_path, patients=[]) as at:
        assert (await at.bring(report())).status_code == 200
        assert (await call(at.web, at.base, "Bundle")).json()["total"] == 0


@pytest.mark.parametrize(
    ("ago", "covering", "acute"),
    [
        pytest.param(0, True, True, id="today"),
        pytest.param(10, True, True, id="ten-days"),
        pytest.param(11, True, False, id="eleven-days"),
        pytest.param(100, True, False, id="hundred-days"),
        pytest.param(130, False, False, id="over-four-months"),
    ],
)
def test_a_contact_ages_out_of_the_views_and_the_episode_stays(ago: int, covering: bool, acute: bool) -> None:
    record = folding.folded(written(Profile.EMPTY), [report(at=NOW - timedelta(days=ago))])
    for view, wanted in ((View.COVERING, covering), (View.ACUTE, acute)):
        types = [one.resource_type for one in records.chosen(record, view, NOW)]
        assert ("Encounter" in types, "Composition" in types) == (wanted, wanted)
        assert "EpisodeOfCare" in types


def test_a_course_ages_out_four_months_after_its_end() -> None:
    record = folding.folded(written(Profile.EMPTY), [report()])
    (course,) = (one for one in record.instances if one.resource_type == "MedicationRequest")
    assert course.last == (NOW + timedelta(days=5)).date()
    kept = [record.dated and one.key for one in records.chosen(record, View.ACUTE, NOW + timedelta(days=120))]
    gone = [one.key for one in records.chosen(record, View.ACUTE, NOW + timedelta(days=130))]
    assert (course.key in kept, course.key in gone) == (True, False)


def test_two_messages_are_two_contacts() -> None:
    twice = [report(), report("5f1d6d0e-2c55-4f62-9d6b-6a1c7c0e9f02")]
    keys = [one.key for one in folding.folded(written(Profile.EMPTY), twice).instances]
    assert len(set(keys)) == len(keys)
    assert sum(key.startswith("Encounter/") for key in keys) == 2


def test_digits_survive_the_folding() -> None:
    record = folding.folded(written(Profile.EMPTY), [report().replace(b'"value":37.2,', b'"value":37.20,')])
    assert any(b'"value":37.20,' in one.text for one in record.instances)


FOREIGN = {
    "resourceType": "Bundle",
    "type": "message",
    "timestamp": "2026-11-20T10:00:00+01:00",
    "entry": [
        {"fullUrl": "https://his.test/MessageHeader/1", "resource": {"resourceType": "MessageHeader", "id": "m-1"}},
        {"fullUrl": "https://his.test/Patient/1", "resource": {"resourceType": "Patient", "id": "1"}},
        {
            "fullUrl": "https://his.test/Composition/1",
            "resource": {
                "resourceType": "Composition",
                "id": "1",
                "date": "2026-11-20",
                "title": "Bericht",
                "subject": {"reference": "https://his.test/Patient/1"},
                "section": [{"entry": [{"reference": "Consent/1"}, {"reference": "Condition/1"}]}],
            },
        },
        {"resource": {"resourceType": "Consent", "id": "1", "patient": {"reference": "Patient/1"}}},
        {
            "resource": {
                "resourceType": "Condition",
                "id": "1",
                "onsetDateTime": "2026-11-19",
                "code": {"coding": [{"display": "Hoofdpijn"}]},
                "subject": {"reference": "Patient/1"},
            }
        },
        {"resource": {"resourceType": "CarePlan", "id": "1", "subject": {"reference": "Patient/1"}}},
        {
            "resource": {
                "resourceType": "EpisodeOfCare",
                "id": "1",
                "patient": {"reference": "Patient/1"},
                "period": {"start": "2026-11-19"},
            }
        },
    ],
}


def test_a_message_of_another_making_is_taken_over_too() -> None:
    """References by URL and by id, treatment limits that stay out, an episode of its own, a plan without a date."""
    before = written(Profile.EMPTY)
    record = folding.folded(before, [json.dumps(FOREIGN).encode()])
    found = {one.resource_type: one for one in record.instances}
    assert len(record.instances) == len(found) == 4
    assert found.keys() == {"Composition", "Condition", "CarePlan", "EpisodeOfCare"}
    patient = {"reference": before.patients[0].key}
    assert all(one.body.get("subject", one.body.get("patient")) == patient for one in found.values())
    entries = found["Composition"].body["section"][0]["entry"]
    assert entries == [{"display": "Niet overgenomen"}, {"reference": found["Condition"].key}]
    assert [(kind, str(one.last)) for kind, one in sorted(found.items())] == [
        ("CarePlan", "2026-11-20"),
        ("Composition", "2026-11-20"),
        ("Condition", "None"),
        ("EpisodeOfCare", "None"),
    ]


# --- who is in the country -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [*SOURCES, *RECEIVERS], ids=lambda one: one.key)
def test_every_endpoint_of_the_country_has_a_kind_of_system(one: Participant) -> None:
    assert answers_for(Kind(KINDS[one.organisation_type]))
