"""Does a source answer the gateway, only the gateway, and only for the patient the gateway vouches for?"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from sources_at_hand import (
    AORTA_ID,
    BSN,
    BSN_SYSTEM,
    GATEWAY_URA,
    ISSUER,
    JWKS,
    NOW,
    OTHER_BSN,
    STRANGER,
    TYPES,
    Pki,
    ask,
    call,
    claims,
    code,
    country,
    gateway,
    system,
    token,
    written,
)

from source_sim import medicine, population, records
from source_sim.admission import FetchedKeys, KeysUnavailable, ura_of
from source_sim.faults import Reply
from source_sim.offered import Kind
from source_sim.population import Profile
from source_sim.sending import Receive, Send, Wire, plainly
from source_sim.serving import BadConfig, Config, Listener, load_config
from source_sim.systems import Scope, SimulatedSystem, app

ENTRY = tuple[str, dict[str, Any]]


def entries(answer: httpx.Response) -> list[str]:
    """Mode and type of every entry, each once."""
    assert answer.status_code == 200, answer.text
    found = answer.json().get("entry", [])
    return sorted({f"{each['search']['mode']} {each['resource']['resourceType']}" for each in found})


# --- searches --------------------------------------------------------------------------------------------------------

GP, PHARMACY = Kind.GP_PRACTICE, Kind.PHARMACY
USE = "MedicationStatement"
SEARCHES = [
    pytest.param(GP, "Bundle", {}, ["match Bundle"], id="summary"),
    pytest.param(GP, "Bundle", {"composition.type": "http://loinc.org|60591-5"}, ["match Bundle"], id="by-type"),
    pytest.param(GP, "Bundle", {"composition.type": "http://loinc.org|11503-0"}, [], id="by-another-type"),
    pytest.param(GP, "Consent", {}, ["include Patient", "match Consent"], id="limits"),
    pytest.param(GP, "Consent", {"scope": "treatment,adr"}, ["include Patient", "match Consent"], id="by-scope"),
    pytest.param(GP, "Consent", {"scope": "research"}, [], id="by-another-scope"),
    pytest.param(PHARMACY, USE, {}, ["include Patient", f"match {USE}"], id="medication-in-use"),
    pytest.param(PHARMACY, USE, {"category": "422979000"}, ["include Patient", f"match {USE}"], id="by-bare-category"),
    pytest.param(
        PHARMACY,
        USE,
        {"category": "http://snomed.info/sct|373784005,http://snomed.info/sct|422979000"},
        ["include Patient", f"match {USE}"],
        id="by-either-category",
    ),
    pytest.param(PHARMACY, USE, {"category": "373784005"}, [], id="by-another-category"),
    pytest.param(PHARMACY, USE, {"category": "http://loinc.org|422979000"}, [], id="by-another-system"),
    pytest.param(
        PHARMACY,
        "MedicationDispense",
        {"_include": "MedicationDispense:medication"},
        ["include Medication", "include Patient", "match MedicationDispense"],
        id="with-medication",
    ),
    pytest.param(
        PHARMACY, "MedicationRequest", {}, ["include Patient", "match MedicationRequest"], id="without-medication"
    ),
    pytest.param(PHARMACY, "AllergyIntolerance", {}, ["include Patient", "match AllergyIntolerance"], id="allergies"),
    pytest.param(PHARMACY, "Flag", {"_format": "json"}, ["include Patient", "match Flag"], id="contra-indications"),
]


@pytest.mark.parametrize(("kind", "resource_type", "form", "found"), SEARCHES)
async def test_searches(kind: Kind, resource_type: str, form: dict[str, str], found: list[str]) -> None:
    answer = await ask(system(kind), resource_type, form)
    assert entries(answer) == found
    assert answer.json()["total"] == sum(each["search"]["mode"] == "match" for each in answer.json().get("entry", []))
    get_fhir_model_class("Bundle").model_validate(answer.json())


@pytest.mark.parametrize(("category", "status"), [("373784005", "completed"), ("422037009", "in-progress")])
async def test_a_category_divides_dispenses_from_agreements(category: str, status: str) -> None:
    answer = await ask(system(Kind.PHARMACY), "MedicationDispense", {"category": f"{medicine.SNOMED}|{category}"})
    found = [each["resource"] for each in answer.json()["entry"] if each["search"]["mode"] == "match"]
    assert {one["category"]["coding"][0]["code"] for one in found} == {category}
    assert status in {one["status"] for one in found}


@pytest.mark.parametrize("profile", Profile)
async def test_every_match_proves_its_patient(profile: Profile) -> None:
    held = {BSN: written(profile)}
    for kind, types in TYPES.items():
        for resource_type in types:
            found = (await ask(system(Kind(kind), held), resource_type)).json().get("entry", [])
            for inside in [entry["resource"]["entry"] for entry in found] if resource_type == "Bundle" else [found]:
                patients = [each["resource"] for each in inside if each["resource"]["resourceType"] == "Patient"]
                numbers = [one["identifier"][0] for one in patients]
                assert numbers == ([{"system": BSN_SYSTEM, "value": BSN}] if found else [])


async def test_the_view_is_the_token_s() -> None:
    sizes = [len((await ask(system(), "Bundle", view=view)).content) for view in ("covering", "acute")]
    assert sizes[0] > sizes[1]
    assert [code(await ask(system(), "Bundle", view=view)) for view in (None, "everything")] == ["not-authorised"] * 2


async def test_an_unknown_patient_and_an_empty_record_look_alike() -> None:
    empty = system(held={BSN: written(Profile.EMPTY)})
    answers = [await ask(empty, "Bundle", bsn=bsn) for bsn in (BSN, OTHER_BSN)]
    assert answers[0].content == answers[1].content == b'{"resourceType":"Bundle","type":"searchset","total":0}'


async def test_privacy_consent_is_never_served() -> None:
    subject = {"reference": "Patient/p"}
    limit = medicine.treatment_directive("x", subject, population.RESUSCITATION, "deny", NOW.date())
    private = records.instance(
        limit | {"scope": medicine.concept(medicine.HL7 + "consentscope", "patient-privacy", "")}
    )
    held = records.Record(written(Profile.EMPTY).patients, (private, records.instance(limit)), {})
    found = (await ask(system(held={BSN: held}), "Consent")).json()["entry"]
    assert [each["resource"]["scope"] for each in found if each["search"]["mode"] == "match"] == [limit["scope"]]
    assert (await ask(system(), "Consent", {"scope": "treatment,patient-privacy"})).status_code == 400


@pytest.mark.parametrize(
    ("kind", "resource_type", "form", "status"),
    [
        pytest.param(GP, "Flag", {}, 404, id="a-practice-keeps-no-flags"),
        pytest.param(PHARMACY, "Bundle", {}, 404, id="a-pharmacy-has-no-summary"),
        pytest.param(PHARMACY, "Flag", {"category": "x"}, 400, id="unknown-parameter"),
        pytest.param(PHARMACY, "Flag", {"_count": "1"}, 400, id="paging-is-not-offered"),
        pytest.param(PHARMACY, "MedicationRequest", {"_include": "*"}, 400, id="include-everything"),
        pytest.param(PHARMACY, "Flag", {"subject.identifier": f"{BSN_SYSTEM}|{BSN}"}, 400, id="two-patients"),
        pytest.param(PHARMACY, "Flag", {"composition.patient.identifier": "x"}, 400, id="another-type-s-parameter"),
    ],
)
async def test_what_is_not_offered_is_refused(
    kind: Kind, resource_type: str, form: dict[str, str], status: int
) -> None:
    answer = await ask(system(kind), resource_type, form)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
    get_fhir_model_class("OperationOutcome").model_validate(answer.json())


@pytest.mark.parametrize("name", [f"{who}{mark}identifier" for who in ("patient", "subject") for mark in ".:"])
async def test_every_spelling_of_the_patient_parameter(name: str) -> None:
    one = system(Kind.PHARMACY)
    for value, status in ((f"{BSN_SYSTEM}|{BSN}", 200), (BSN, 400), (f"{BSN_SYSTEM}|999940003", 400), ("", 400)):
        answer = await raw(one, "/fhir/Flag/_search", content=urlencode({name: value}).encode())
        assert answer.status_code == status


async def raw(one: SimulatedSystem, path: str, method: str = "POST", **options: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {token()}", "content-type": "application/x-www-form-urlencoded"}
    options["headers"] = headers | options.get("headers", {})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app(one)), base_url="https://gp.test") as web:
        return await web.request(method, path, **options)


FLAG = "/fhir/Flag/_search"


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        pytest.param(FLAG, {"method": "GET"}, 405, id="search-by-get"),
        pytest.param(FLAG, {"headers": {"content-type": "application/json"}}, 415, id="not-a-form"),
        pytest.param(FLAG, {"content": b"%ff=1"}, 400, id="not-utf8"),
        pytest.param(FLAG, {"content": b"x" * 70_000}, 413, id="too-long"),
        pytest.param(FLAG, {"content": b""}, 400, id="nobody"),
        pytest.param("/fhir/Flag", {}, 404, id="no-create"),
        pytest.param("/elsewhere", {}, 404, id="elsewhere"),
        pytest.param("/fhir/metadata", {"method": "POST"}, 405, id="metadata-is-read"),
    ],
)
async def test_malformed_calls(path: str, options: dict[str, Any], status: int) -> None:
    answer = await raw(system(Kind.PHARMACY), path, **options)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


@pytest.mark.parametrize("kind", Kind)
async def test_metadata_is_a_capability_statement(kind: Kind) -> None:
    answer = await raw(system(kind), "/fhir/metadata", "GET")
    statement = answer.json()
    get_fhir_model_class("CapabilityStatement").model_validate(statement)
    (rest,) = statement["rest"]
    assert tuple(each["type"] for each in rest.get("resource", ())) == TYPES[kind]
    assert [each["name"] for each in rest.get("operation", ())] == (
        [] if kind is Kind.PHARMACY else ["process-message"]
    )


# --- tokens ----------------------------------------------------------------------------------------------------------

AT = int(NOW.timestamp())


def unsigned() -> str:
    parts = ({"alg": "none", "kid": "one"}, claims())
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


SHARED = jwt.encode({"alg": "HS256", "kid": "one"}, claims(), OctKey.generate_key(256))


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({}, 200, id="as-it-should-be"),
        pytest.param({"actor": None, "purpose": None}, 200, id="a-system-by-itself"),
        pytest.param({"iat": AT + 59}, 200, id="clocks-may-differ-a-little"),
        pytest.param({"iat": AT + 61}, 401, id="from-the-future"),
        pytest.param({"exp": AT}, 401, id="expired"),
        pytest.param({"exp": None}, 401, id="for-ever"),
        pytest.param({"exp": True}, 401, id="expires-true"),
        pytest.param({"iat": None}, 401, id="of-no-time"),
        pytest.param({"aud": "500002"}, 401, id="for-another"),
        pytest.param({"aud": None}, 401, id="for-nobody"),
        pytest.param({"iss": "https://elsewhere.test"}, 401, id="another-issuer"),
        pytest.param({"iss": None}, 401, id="no-issuer"),
        pytest.param({"key": STRANGER}, 401, id="a-stranger-s-signature"),
        pytest.param({"kid": "two"}, 401, id="unknown-key"),
        pytest.param({"rule": None}, 403, id="no-rule"),
        pytest.param({"rule": ""}, 403, id="empty-rule"),
        pytest.param({"requester": None}, 403, id="no-requester"),
        pytest.param({"patient": None}, 403, id="no-patient"),
        pytest.param({"patient": OTHER_BSN}, 403, id="another-patient"),
        pytest.param({"patient": 999900006}, 403, id="a-number-for-a-patient"),
    ],
)
async def test_tokens(changed: dict[str, Any], status: int) -> None:
    one = system(Kind.PHARMACY)
    headers = {"authorization": f"Bearer {token(**changed)}"}
    answer = await ask(one, "Flag", headers=headers)
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert len(one.log) == 1
    assert one.log[0].status == status


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("", id="nothing"),
        pytest.param(f"Basic {token()}", id="another-scheme"),
        pytest.param("Bearer", id="no-token"),
        pytest.param("Bearer a.b.c", id="no-jwt"),
        pytest.param("Bearer W10.W10.W10", id="lists"),
        pytest.param("Bearer " + token()[:-6], id="cut"),
        pytest.param(f"Bearer {SHARED}", id="another-algorithm"),
        pytest.param(f"Bearer {unsigned()}", id="unsigned"),
    ],
)
async def test_what_is_no_token(authorization: str) -> None:
    answer = await ask(system(Kind.PHARMACY), "Flag", headers={"authorization": authorization})
    assert (answer.status_code, code(answer)) == (401, "invalid-token")


# --- log -------------------------------------------------------------------------------------------------------------


async def test_the_log_tells_who_asked_what_and_never_about_whom() -> None:
    one = system(Kind.PHARMACY)
    responsible = {"uzi": "900000010", "name": "Testarts", "role": "01.015"}
    answer = await ask(one, "Flag", headers={"aorta-version": "3"}, responsible=responsible)
    await ask(one, "Flag", headers={"authorization": "nonsense"})
    assert [answer.headers[name] for name in ("aorta-id", "aorta-version")] == [AORTA_ID, "3"]
    first, second = (asdict(line) for line in one.log)
    assert first == {
        "at": "2026-11-21T20:30:00+00:00",
        "initial": "2f6b5dd4-1b1c-4f5e-9d8a-0d7f1a3c9b10",
        "request": "7a1e5c0e-8f4a-4a53-9f7e-2f2b64c1c6aa",
        "resource_type": "Flag",
        "requester": "90000401",
        "actor": {"uzi": "900000009", "name": "Testwaarnemer", "role": "01.015"},
        "responsible": responsible,
        "purpose": "TREAT",
        "rule": "REG-1",
        "view": "covering",
        "status": 200,
        "reason": "",
        "resources": 1,
        "fault": "",
    }
    assert (second["status"], second["reason"], second["requester"]) == (401, "invalid-token", "")
    assert BSN not in f"{first}{second}{one!r}"


# --- real sockets ----------------------------------------------------------------------------------------------------


def configured(pki: Pki, *systems: dict[str, Any], **shared: Any) -> Config:
    whole = {"systems": systems, "gateway_ura": GATEWAY_URA, "issuer": ISSUER, "jwks": JWKS} | shared
    text = json.dumps({name: each for name, each in whole.items() if each is not None})
    return msgspec.json.decode(text, type=Config)


IDENTITY = f"2.16.528.1.1007.99.2110-1-900025039-S-{GATEWAY_URA}-00.000-00000000"


@pytest.mark.parametrize(
    ("certificate", "status"),
    [
        pytest.param(lambda pki: pki.issue(GATEWAY_URA), 200, id="the-gateway"),
        pytest.param(lambda pki: pki.issue("90000401"), 403, id="another-organisation"),
        pytest.param(lambda pki: pki.issue("x", IDENTITY, type_id="2.5.5.6"), 403, id="under-another-type"),
        pytest.param(lambda pki: pki.issue("x", IDENTITY.replace("-S-", "-Z-")), 403, id="a-person-s-pass"),
        pytest.param(lambda pki: pki.issue("x", IDENTITY + "-1"), 403, id="eight-parts"),
    ],
)
async def test_the_certificate_must_be_the_gateway_s(
    tmp_path: Path, certificate: Callable[[Pki], tuple[str, str]], status: int
) -> None:
    pki = Pki(tmp_path)
    known = httpx.AsyncClient(verify=pki.tls(certificate(pki)), trust_env=False)
    async with country(configured(pki, pki.entry())) as (_, bases), known as web:
        answer = await call(web, bases["90000001"], "Bundle")
        ping = await web.get(f"{bases['90000001']}/metadata")
    assert (answer.status_code, ping.status_code) == (status, status)
    assert (code(answer) == "unknown-party") if status == 403 else answer.json()["total"] == 1


async def test_without_a_certificate_of_this_country_there_is_no_connection(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    (tmp_path / "abroad").mkdir()
    foreign = Pki(tmp_path / "abroad").issue(GATEWAY_URA)
    async with country(configured(pki, pki.entry())) as (_, bases):
        for certificate in (None, foreign):
            async with httpx.AsyncClient(verify=pki.tls(certificate), trust_env=False) as web:
                with pytest.raises((httpx.TransportError, ssl.SSLError)):
                    await web.get(f"{bases['90000001']}/metadata")


async def test_many_systems_each_with_its_own_patients_and_log(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    other = pki.entry("pharmacy", "90000002", application="500002", patients=[{"bsn": OTHER_BSN, "seed": 4}])
    async with country(configured(pki, pki.entry(), other)) as (control, bases), gateway(pki) as web:
        totals = [
            (await call(web, bases[ura], kind, bsn, aud=aud)).json()["total"]
            for ura, kind, aud in (("90000001", "Bundle", "500001"), ("90000002", "Flag", "500002"))
            for bsn in (BSN, OTHER_BSN)
        ]
        logs = [(await control.get(f"/systems/{ura}/log")).json()["log"] for ura in bases]
        listing = (await control.get("/systems")).json()["systems"]
    assert totals == [1, 0, 0, 1]
    assert [[line["resource_type"] for line in log] for log in logs] == [["Bundle"] * 2, ["Flag"] * 2]
    assert [(one["kind"], one["ura"], one["application"], one["listening"]) for one in listing] == [
        ("gp-practice", "90000001", "500001", True),
        ("pharmacy", "90000002", "500002", True),
    ]
    assert BSN not in json.dumps([listing, logs])


async def jwks_server(pki: Pki, seen: list[str | None], answers: list[bytes]) -> tuple[Listener, str]:
    """The gateway's key address: notes whose certificate came, gives `answers` in turn, the last one for ever."""

    async def keys(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(ura_of(scope["state"]["client_certificate"]))
        await plainly(Reply(200, answers.pop(0) if len(answers) > 1 else answers[0]), Wire(receive, send))

    cert, key = pki.issue(GATEWAY_URA)
    listener = Listener("127.0.0.1", 0)
    options = {"ssl_certfile": cert, "ssl_keyfile": key, "ssl_ca_certs": str(pki.directory / "ca.pem")}
    await listener.open(keys, options | {"ssl_cert_reqs": ssl.CERT_REQUIRED})
    return listener, f"https://127.0.0.1:{listener.port}/jwks.json"


async def test_keys_are_fetched_with_the_source_s_own_certificate(tmp_path: Path) -> None:
    pki, seen = Pki(tmp_path), list[str | None]()
    listener, url = await jwks_server(pki, seen, [json.dumps(JWKS).encode()])
    async with country(configured(pki, pki.entry(), jwks=None, jwks_url=url)) as (_, bases), gateway(pki) as web:
        statuses = [(await call(web, bases["90000001"], "Bundle")).status_code for _ in range(3)]
    await listener.close()
    listener.release()
    assert (statuses, seen) == ([200] * 3, ["90000001"])


async def test_an_unknown_key_id_fetches_again_but_not_in_a_flood(tmp_path: Path) -> None:
    pki, seen, ticks = Pki(tmp_path), list[str | None](), [0.0]
    new = ECKey.generate_key("P-256", parameters={"kid": "two"})
    both = {"keys": [*JWKS["keys"], new.as_dict(private=False)]}
    listener, url = await jwks_server(pki, seen, [json.dumps(JWKS).encode(), json.dumps(both).encode(), b"<html>"])
    keys = FetchedKeys(url, pki.tls(pki.issue("90000001")), lambda: ticks[0])
    assert await keys.find("one") is not None
    assert [await keys.find("two") for _ in range(5)] == [None] * 5
    assert len(seen) == 1
    ticks[0] = 1.5
    assert await keys.find("two") is not None
    ticks[0] = 3.0
    with pytest.raises(KeysUnavailable):
        await keys.find("three")
    assert await keys.find("one") is not None
    await keys.close()
    await listener.close()
    listener.release()
    assert len(seen) == 3


async def test_unreachable_keys_are_not_the_caller_s_fault(tmp_path: Path) -> None:
    pki, claim = Pki(tmp_path), Listener("127.0.0.1", 0)
    url = f"https://127.0.0.1:{claim.port}/jwks.json"
    async with country(configured(pki, pki.entry(), jwks=None, jwks_url=url)) as (_, bases), gateway(pki) as web:
        answer = await call(web, bases["90000001"], "Bundle")
    claim.release()
    assert (answer.status_code, code(answer)) == (503, "unavailable")


async def test_the_program_says_ready_and_ends_on_sigterm(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    entry = pki.entry() | {name: Path(pki.entry()[name]).name for name in ("ca",)}
    path = tmp_path / "sources.json"
    path.write_text(json.dumps({"systems": [entry], "gateway_ura": GATEWAY_URA, "issuer": ISSUER, "jwks": JWKS}))
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "source_sim.serving", str(path), stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    assert program.stdout is not None
    ready = json.loads(await program.stdout.readline())["ready"]
    async with gateway(pki) as web:
        answer = await call(web, ready["systems"][0]["endpoint"], "Bundle")
        program.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(program.wait(), 10) == 0
    assert answer.json()["total"] == 1
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ready["control"])
    assert BSN not in json.dumps(ready)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"jwks": None}, id="no-keys"),
        pytest.param({"jwks_url": "https://127.0.0.1/jwks"}, id="two-kinds-of-keys"),
        pytest.param({"surprise": 1}, id="unknown-setting"),
        pytest.param({"systems": [{"ura": "90000001"}]}, id="half-a-system"),
        pytest.param({"now": "2026-11-21T20:30:00"}, id="now-without-offset"),
    ],
)
def test_bad_configuration(tmp_path: Path, changed: dict[str, Any]) -> None:
    whole = {"systems": [], "gateway_ura": GATEWAY_URA, "jwks": JWKS} | changed
    path = tmp_path / "sources.json"
    path.write_text(json.dumps({name: each for name, each in whole.items() if each is not None}))
    with pytest.raises(BadConfig):
        load_config(path)


@pytest.mark.parametrize(
    "bsn", [pytest.param("111222333", id="a-real-range"), pytest.param("999940003", id="no-number")]
)
async def test_only_test_persons_are_invented(tmp_path: Path, bsn: str) -> None:
    pki = Pki(tmp_path)
    with pytest.raises(BadConfig) as refused:
        async with country(configured(pki, pki.entry(patients=[{"bsn": bsn}]))):
            pass
    assert bsn not in str(refused.value)


async def test_two_systems_of_one_organisation_are_refused(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    with pytest.raises(BadConfig, match="URA"):
        async with country(configured(pki, pki.entry(), pki.entry())):
            pass


async def test_domain_time_starts_where_it_is_told(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with country(configured(pki, pki.entry(), now="2031-02-03T04:05:06Z")) as (_, bases), gateway(pki) as web:
        answer = await call(web, bases["90000001"], "Bundle")
    summary = answer.json()["entry"][0]["resource"]
    assert datetime.fromisoformat(summary["timestamp"]) - datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC) < timedelta(
        minutes=1
    )
    contacts = [each["resource"] for each in summary["entry"] if each["resource"]["resourceType"] == "Encounter"]
    assert {one["period"]["start"][:4] for one in contacts} <= {"2030", "2031"}
