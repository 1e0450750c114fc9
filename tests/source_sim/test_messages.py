"""Is what the senders compose a whole and valid message, and is it handed in as it is?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class
from sources_at_hand import NOW, OTHER_BSN, Pki

from source_sim import cases, country, examples, messages, population, requesters, senders
from source_sim.cases import Case
from source_sim.custodians import Custodian
from source_sim.messages import Occasion
from source_sim.requesters import Claims, System

ID = "0f0c4d61-6c0e-4c6b-8d55-9d8e4a5b7c01"
PERSON = population.person("999900006", NOW.date())
URN = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def occasion(case: Case = cases.CYSTITIS, **changed: Any) -> Occasion:
    told = {"organisation": country.GP_POST, "author": requesters.gp_post} | changed
    return Occasion(**{"id": ID, "at": NOW, "person": PERSON, "case": case} | told)


def written(kind: str) -> dict[str, Any]:
    seen = {"organisation": country.HOSPITAL, "author": requesters.emergency_department}
    rode = {"organisation": country.AMBULANCE, "author": requesters.ambulance}
    plans = {"organisation": country.GP, "author": senders.own_gp}
    made = {
        "return-message": lambda: messages.return_message(occasion()),
        "emergency": lambda: messages.emergency_report(occasion(cases.BROKEN_WRIST, **seen)),
        "ride": lambda: messages.emergency_report(occasion(cases.LOW_SUGAR, **rode)),
        "referral": lambda: messages.referral(occasion(cases.CHEST_PAIN, **plans), country.HOSPITAL),
    }
    return json.loads(made[kind]())


KINDS = ("return-message", "emergency", "ride", "referral")


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from ([part["reference"]] if "reference" in part else [])
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from references(inner)


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_is_valid_and_every_reference_stays_inside(kind: str) -> None:
    bundle = written(kind)
    get_fhir_model_class("Bundle").model_validate(bundle)
    names = [each["fullUrl"] for each in bundle["entry"]]
    assert len(set(names)) == len(names)
    assert all(URN.fullmatch(name) for name in names)
    assert [each["resource"]["id"] for each in bundle["entry"]] == [name.removeprefix("urn:uuid:") for name in names]
    assert set(references(bundle)) <= set(names)
    # nothing lies beside the letter: from the header everything is reached
    reached, queue = {names[0]}, [bundle["entry"][0]["resource"]]
    shapes = {each["fullUrl"]: each["resource"] for each in bundle["entry"]}
    while queue:
        for found in set(references(queue.pop())) - reached:
            reached.add(found)
            queue.append(shapes[found])
    assert reached == set(names)


@pytest.mark.parametrize(
    ("kind", "event", "sender", "receivers", "contact", "letter"),
    [
        pytest.param("return-message", "return-message", "90000301", [], "HH", "18761-7", id="gp-post"),
        pytest.param("emergency", "return-message", "90000401", [], "EMER", "18761-7", id="emergency-department"),
        pytest.param("ride", "return-message", "90000501", [], "FLD", "18761-7", id="ambulance"),
        pytest.param("referral", "referral", "90000101", ["90000401"], "AMB", "57133-1", id="referral"),
    ],
)
def test_the_envelope(kind: str, event: str, sender: str, receivers: list[str], contact: str, letter: str) -> None:
    bundle = written(kind)
    header = bundle["entry"][0]["resource"]
    assert (bundle["type"], header["resourceType"], header["id"]) == ("message", "MessageHeader", ID)
    assert header["eventCoding"] == {
        "system": "https://switchpoint.example/fhir/CodeSystem/message-event",
        "code": event,
    }
    assert header["sender"]["identifier"] == {"system": "http://fhir.nl/fhir/NamingSystem/ura", "value": sender}
    assert [one["receiver"]["identifier"]["value"] for one in header.get("destination", [])] == receivers
    assert header["source"]["endpoint"] == f"urn:oid:2.16.840.1.113883.2.4.6.6.{header['source']['endpoint'][-6:]}"
    (composition,) = resources(bundle, "Composition")
    assert header["focus"] == [{"reference": f"urn:uuid:{composition['id']}"}]
    assert composition["type"]["coding"][0]["code"] == letter
    assert resources(bundle, "Encounter")[0]["class"]["code"] == contact
    assert len(resources(bundle, "ServiceRequest")) == (kind == "referral")


@pytest.mark.parametrize(
    ("kind", "icpc", "drugs", "measured"),
    [
        pytest.param("return-message", "U71", ["J01XE01"], {"8310-5", "8867-4"}, id="gp-post"),
        pytest.param("emergency", "L72", ["N02BE01"], {"8867-4", "59408-5"}, id="emergency-department"),
        pytest.param("ride", "T87", [], {"14749-6", "8867-4", "59408-5"}, id="ambulance"),
        pytest.param("referral", "K74", [], {"8867-4"}, id="referral"),
    ],
)
def test_the_content(kind: str, icpc: str, drugs: list[str], measured: set[str]) -> None:
    bundle = written(kind)
    (composition,), (problem,) = resources(bundle, "Composition"), resources(bundle, "Condition")
    titles = [section["title"] for section in composition["section"]]
    assert titles == ["Subjectief", "Objectief", "Evaluatie", "Plan", "Advies"]
    assert all(section["text"]["div"].count("<div") == 1 for section in composition["section"])
    assert problem["code"]["coding"] == [
        {
            "system": "http://hl7.org/fhir/sid/icpc-1-NL",
            "code": icpc,
            "display": problem["code"]["coding"][0]["display"],
        }
    ]
    assert [one["code"]["coding"][-1]["code"] for one in resources(bundle, "Medication")] == drugs
    assert len(resources(bundle, "MedicationRequest")) == len(drugs)
    values = {
        one["code"]["coding"][0]["code"]: one for one in resources(bundle, "Observation") if "valueQuantity" in one
    }
    assert values.keys() == measured
    stands = {one["title"]: set(references(one.get("entry", []))) for one in composition["section"]}
    assert {f"urn:uuid:{one['id']}" for one in values.values()} <= stands["Objectief"]
    assert f"urn:uuid:{problem['id']}" in stands["Evaluatie"]
    ordered = resources(bundle, "MedicationRequest") + resources(bundle, "ServiceRequest")
    assert {f"urn:uuid:{one['id']}" for one in ordered} == {
        name
        for name in stands["Plan"]
        if name not in {f"urn:uuid:{one['id']}" for one in resources(bundle, "Observation")}
    }


def test_equal_arguments_give_equal_bytes_and_another_id_another_message() -> None:
    first, again = messages.return_message(occasion()), messages.return_message(occasion())
    other = messages.return_message(occasion(id="0f0c4d61-6c0e-4c6b-8d55-9d8e4a5b7c02"))
    assert first == again
    ids = [{each["resource"]["id"] for each in json.loads(one)["entry"]} for one in (first, other)]
    assert not ids[0] & ids[1]


def test_a_measurement_keeps_its_digits() -> None:
    assert b'"value":37.2,' in messages.return_message(occasion())


def test_the_patient_of_a_message() -> None:
    assert messages.patient_of(messages.return_message(occasion())) == PERSON.bsn
    nobody = json.loads(messages.return_message(occasion()))
    nobody["entry"] = [each for each in nobody["entry"] if each["resource"]["resourceType"] != "Patient"]
    with pytest.raises(ValueError, match="one patient"):
        messages.patient_of(json.dumps(nobody).encode())


# --- samples ---------------------------------------------------------------------------------------------------------


def test_the_samples_in_the_repository_are_what_the_composer_makes(tmp_path: Path) -> None:
    examples.write(tmp_path)
    lying = {path.name: path.read_bytes() for path in examples.PLACE.iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == lying
    assert set(lying) == {"return-message.json", "emergency-report.json", "referral.json"}


@pytest.mark.parametrize("path", sorted(examples.PLACE.iterdir()), ids=lambda path: path.stem)
def test_a_sample_is_about_a_test_person(path: Path) -> None:
    body = path.read_bytes()
    get_fhir_model_class("Bundle").model_validate(json.loads(body))
    assert messages.patient_of(body) == PERSON.bsn
    assert PERSON.bsn.startswith("9999")


# --- sending ---------------------------------------------------------------------------------------------------------


class Exchange:
    """An exchange that notes what it is sent: gives any token, accepts any message as Task 17."""

    def __init__(self) -> None:
        self.seen = list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if request.url.path == "/token":
            return httpx.Response(200, json={"access_token": "t"})
        if request.method == "GET":
            return httpx.Response(200, json={"resourceType": "Task", "status": "completed"})
        location = str(request.url).replace("$process-message", "Task/17").replace("/List", "/List/9")
        return httpx.Response(202 if "process" in request.url.path else 201, headers={"Location": location})

    def claims(self) -> Claims:
        """The claims of the last assertion."""
        from base64 import urlsafe_b64decode
        from urllib.parse import parse_qs

        form = [parse_qs(one.content.decode()) for one in self.seen if one.url.path == "/token"][-1]
        claims: Claims = json.loads(urlsafe_b64decode(form["assertion"][0].split(".")[1] + "=="))
        return claims


def system(tmp_path: Path, exchange: Exchange) -> System:
    pki = Pki(tmp_path)
    cert, key = pki.issue("90000301")
    place = "https://exchange.test"
    return System(
        Path(cert),
        Path(key),
        tmp_path / "ca.pem",
        place,
        f"{place}/token",
        "400301",
        "90000301",
        transport=httpx.MockTransport(exchange),
    )


async def test_a_message_is_handed_in_byte_for_byte_with_a_token_about_its_patient(tmp_path: Path) -> None:
    exchange, body = Exchange(), messages.return_message(occasion()).replace(b",", b" ,\n", 1)
    async with system(tmp_path, exchange) as one:
        reply = await senders.send(one, body, requesters.gp_post(NOW))
    sent = exchange.seen[-1]
    assert (sent.method, sent.url.path, sent.content) == ("POST", "/fhir/$process-message", body)
    assert sent.headers["content-type"] == "application/fhir+json"
    assert exchange.claims()["patient"] == PERSON.bsn
    assert exchange.claims()["role"] == "01.015"
    assert senders.task_of(reply) == "17"


async def test_claims_may_name_another_patient(tmp_path: Path) -> None:
    exchange = Exchange()
    async with system(tmp_path, exchange) as one:
        claims = requesters.gp_post(NOW, patient=OTHER_BSN)
        await senders.send(one, messages.return_message(occasion()), claims)
    assert exchange.claims()["patient"] == OTHER_BSN


async def test_the_sender_reads_its_task_as_a_system(tmp_path: Path) -> None:
    exchange = Exchange()
    async with system(tmp_path, exchange) as one:
        task = await senders.read_task(one, "17")
        assert senders.task_of(task) == ""
    assert (exchange.seen[-1].method, exchange.seen[-1].url.path) == ("GET", "/fhir/Task/17")
    assert (exchange.claims()["sub"], "role" in exchange.claims()) == ("400301", False)
    assert task.json["status"] == "completed"


async def test_a_practice_enrols_a_patient_as_of_a_day_and_ends_it(tmp_path: Path) -> None:
    exchange = Exchange()
    async with system(tmp_path, exchange) as one:
        enrolled = await Custodian(one).enrol(PERSON.bsn, NOW.date() - timedelta(days=9))
        said = json.loads(exchange.seen[-1].content)
        await Custodian(one).end_enrolment(enrolled.headers["Location"].rpartition("/")[2])
    assert (said["resourceType"], said["code"]["coding"][0]["code"], said["date"]) == (
        "List",
        "enrolment",
        "2026-11-12",
    )
    assert (exchange.seen[-1].method, exchange.seen[-1].url.path) == ("DELETE", "/fhir/List/9")
