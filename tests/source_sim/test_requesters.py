"""Do the simulated requesters and custodians speak the published interface, and keep every BSN out of every URL?"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.consent import Consent
from fhir.resources.R4B.list import List
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from source_sim import pki
from source_sim.custodians import Choice, Custodian, batch, consent
from source_sim.requesters import (
    Ask,
    Claims,
    Reply,
    System,
    TokenRefused,
    ambulance,
    aorta_id,
    contact,
    covering_pharmacy,
    emergency_department,
    gp_post,
    patience,
    specialist,
    under_mandate,
    verbally,
)

BSN = "999900006"
OTHER = "999900018"
NOW = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
N = "http://fhir.nl/fhir/NamingSystem/"
S = "https://switchpoint.example/fhir/"
EXCHANGE = "https://exchange.example"


@dataclass
class Seen:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.url.split("?")[0]

    @property
    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(), strict_parsing=True)


@dataclass
class Exchange:
    """A tiny exchange: hands out tokens t1, t2, ... and answers paths as told; everything else with an empty 200."""

    told: dict[str, tuple[int, Any]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        url = scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append(Seen(scope["method"], url, headers, body))
        status, said = self.told.get(url, (200, {"access_token": f"t{len(self.seen)}"} if url == "/token" else {}))
        extra = [(b"aorta-id", headers.get("aorta-id", "").encode()), (b"location", f"{EXCHANGE}/elsewhere".encode())]
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send(
            {"type": "http.response.body", "body": said if isinstance(said, bytes) else json.dumps(said).encode()}
        )

    @property
    def asked(self) -> list[Seen]:
        return [one for one in self.seen if one.path != "/token"]

    @property
    def assertions(self) -> list[str]:
        return [dict(one.form)["assertion"] for one in self.seen if one.path == "/token"]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `client` and `signing` of one system, and `server`."""
    folder = tmp_path_factory.mktemp("papers")
    authority, now = pki.create(folder / "pki", now=datetime.now(UTC)), datetime.now(UTC)
    for stem in ("client", "signing"):
        authority.issue("90000401", "400001", "Test requester", now=now, out=folder, stem=stem)
    authority.issue("90000301", "300001", "Test exchange", now=now, out=folder, stem="server", dns=["localhost"])
    return folder


def system(papers: Path, exchange: Exchange | None, **options: Any) -> System:
    files = papers / "client.pem", papers / "client.key", papers / "ca.pem"
    address = options.pop("address", EXCHANGE)
    transport = httpx.ASGITransport(exchange) if exchange else None
    return System(*files, address, f"{address}/token", "400001", "90000401", transport=transport, **options)


def verified(papers: Path, stem: str, assertion: str) -> jwt.Token:
    """The assertion, if the key in certificate `stem` signed it with ES256."""
    leaf = x509.load_pem_x509_certificate((papers / f"{stem}.pem").read_bytes())
    public = leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    registry = JWSRegistry(algorithms=["ES256"])
    registry.max_header_length = 8192  # a chain in x5c is longer than the library's default allows
    return jwt.decode(assertion, ECKey.import_key(public), registry=registry)


# --- tokens


async def test_the_assertion_says_all_that_is_asked(papers: Path) -> None:
    exchange = Exchange()
    async with system(papers, exchange, wall=lambda: NOW) as asking:
        assert await asking.token(gp_post(NOW, patient=BSN)) == "t1"
        await asking.token(gp_post(NOW, patient=BSN))
    assert dict(exchange.seen[0].form)["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    token, again = (verified(papers, "client", one) for one in exchange.assertions)
    claims = token.claims
    assert token.header == {"alg": "ES256", "typ": "JWT"}
    assert UUID(claims["jti"]) != UUID(again.claims["jti"])
    assert UUID(claims["contact"]["id"])
    assert claims == {
        "iss": "400001",
        "aud": f"{EXCHANGE}/token",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 60,
        "jti": claims["jti"],
        "organisation": "90000401",
        "sub": "900000101",
        "name": "Test Waarnemend-Huisarts",
        "role": "01.015",
        "patient": BSN,
        "purpose": "TREAT",
        "contact": {"id": claims["contact"]["id"], "kind": "visit", "start": "2026-11-21T23:25:00+00:00"},
        "cover": True,
    }


async def test_a_separate_signing_certificate_travels_along(papers: Path) -> None:
    async with system(papers, Exchange(), signing=(papers / "signing.pem", papers / "signing.key")) as asking:
        assertion = asking.assertion({})
    chain = [
        x509.load_der_x509_certificate(base64.b64decode(one))
        for one in verified(papers, "signing", assertion).header["x5c"]
    ]
    assert chain == x509.load_pem_x509_certificates((papers / "signing.pem").read_bytes())
    with pytest.raises(BadSignatureError):
        verified(papers, "client", assertion)


async def test_claims_can_forge_the_envelope_and_leave_claims_out(papers: Path) -> None:
    async with system(papers, Exchange()) as asking:
        said = verified(papers, "client", asking.assertion({"aud": "elsewhere", "jti": None})).claims
    assert said["aud"] == "elsewhere"
    assert "jti" not in said


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [(400, {"error": "invalid_grant"}, "invalid_grant"), (502, b"<html>", ""), (200, {}, "")],
)
async def test_a_refused_token_is_an_exception(papers: Path, status: int, said: Any, error: str) -> None:
    exchange = Exchange({"/token": (status, said)})
    async with system(papers, exchange) as asking:
        with pytest.raises(TokenRefused) as refused:
            await asking.ask(Ask.GP_SUMMARY, BSN, gp_post(NOW))
    assert (refused.value.status, refused.value.error) == (status, error)
    assert BSN not in str(refused.value)
    assert exchange.asked == []


PERSONAS: dict[str, tuple[Claims, dict[str, Any]]] = {
    "GP post": (gp_post(NOW), {"role": "01.015", "purpose": "TREAT", "cover": True, "kind": "visit"}),
    "emergency department": (
        emergency_department(NOW),
        {"role": "01.071", "purpose": "ETREAT", "department": "SEH", "kind": "triage"},
    ),
    "ambulance": (ambulance(NOW), {"role": "30.000", "purpose": "ETREAT", "kind": "ride"}),
    "specialist": (specialist(NOW), {"role": "01.016", "purpose": "TREAT", "kind": "consultation"}),
    "pharmacy": (covering_pharmacy(NOW), {"role": "17.075", "purpose": "TREAT", "cover": True, "kind": "dispensing"}),
    "changed": (
        gp_post(NOW, role="01.004", cover=False),
        {"role": "01.004", "purpose": "TREAT", "cover": False, "kind": "visit"},
    ),
    "other contact": (
        ambulance(NOW, contact=contact("visit", NOW)),
        {"role": "30.000", "purpose": "ETREAT", "kind": "visit"},
    ),
}


@pytest.mark.parametrize(("claims", "expected"), PERSONAS.values(), ids=PERSONAS.keys())
def test_a_persona_claims_what_is_typical(claims: Claims, expected: dict[str, Any]) -> None:
    known = {name: value for name, value in claims.items() if name not in ("sub", "name", "contact")}
    assert known | {"kind": claims["contact"]["kind"]} == expected
    assert claims["sub"].isdigit()
    assert claims["name"].startswith("Test ")
    assert datetime.fromisoformat(claims["contact"]["start"]) <= NOW


def test_options_add_to_claims_without_changing_them() -> None:
    before = ambulance(NOW, capacity="incapable")
    kept = json.dumps(before)
    mandated = under_mandate(before, "01.015", until=NOW)
    said = verbally(before, NOW, given_by="representative")
    assert mandated["responsible"].items() >= {"role": "01.015", "mandate_until": NOW.isoformat()}.items()
    assert "mandate_until" not in under_mandate(before, "01.015")["responsible"]
    assert said["verbal_consent"].items() >= {"given_by": "representative", "at": NOW.isoformat()}.items()
    assert UUID(said["verbal_consent"]["id"]) != UUID(verbally(before, NOW)["verbal_consent"]["id"])
    assert said["verbal_consent"]["recorded_by"] == before["name"]
    assert verbally(before, NOW, recorded_by="")["verbal_consent"]["recorded_by"] == ""
    assert contact("ride", NOW, end=NOW, id="c")["end"] == NOW.isoformat()
    assert json.dumps(before) == kept


# --- questions

PATIENT = ("patient.identifier", f"{N}bsn|{BSN}")
QUESTIONS: dict[Ask, dict[str, list[tuple[str, str]]]] = {
    Ask.GP_SUMMARY: {
        "Bundle": [("composition.patient.identifier", PATIENT[1]), ("composition.type", "http://loinc.org|60591-5")]
    },
    Ask.MEDICATION: {
        "MedicationDispense": [PATIENT, ("_include", "MedicationDispense:medication")],
        "MedicationRequest": [PATIENT, ("_include", "MedicationRequest:medication")],
        "MedicationStatement": [PATIENT, ("_include", "MedicationStatement:medication")],
    },
    Ask.ALLERGIES: {"AllergyIntolerance": [PATIENT], "Flag": [PATIENT]},
    Ask.TREATMENT_LIMITS: {"Consent": [PATIENT, ("scope", "treatment,adr")]},
    Ask.LOCALISE: {"List": [("subject:identifier", PATIENT[1])]},
}


@pytest.mark.parametrize("kind", Ask)
async def test_a_question_is_posted_as_forms_in_one_chain(papers: Path, kind: Ask) -> None:
    exchange = Exchange()
    async with system(papers, exchange) as asking:
        await asking.ask(kind, BSN, gp_post(NOW), headers=patience(4), parameters=[("_format", "json")])
    assert {one.path: one.form for one in exchange.asked} == {
        f"/fhir/{name}/_search": [*form, ("_format", "json")] for name, form in QUESTIONS[kind].items()
    }
    chains, requests = zip(*(one.headers["aorta-id"].split("; ") for one in exchange.asked), strict=True)
    assert len(set(chains)) == 1
    assert len(set(requests)) == len(QUESTIONS[kind])
    assert all(UUID(part.partition("=")[2]) for part in chains + requests)
    for one in exchange.asked:
        assert one.method == "POST"
        assert one.headers["content-type"] == "application/x-www-form-urlencoded"
        assert one.headers["authorization"] == "Bearer t1"
        assert one.headers["prefer"] == "wait=4"
    assert verified(papers, "client", exchange.assertions[0]).claims["patient"] == BSN


async def test_claims_may_name_another_patient_and_headers_another_chain(papers: Path) -> None:
    exchange = Exchange()
    async with system(papers, exchange) as asking:
        await asking.ask(Ask.GP_SUMMARY, BSN, gp_post(NOW, patient=OTHER), headers={"AORTA-ID": aorta_id("a")})
    assert verified(papers, "client", exchange.assertions[0]).claims["patient"] == OTHER
    assert dict(exchange.asked[0].form)["composition.patient.identifier"].endswith(BSN)
    assert exchange.asked[0].headers["aorta-id"].startswith("initialRequestID=a; requestID=")


def source(ura: str) -> list[dict[str, Any]]:
    parts = [
        {"url": "app-id", "valueString": "1"},
        {"url": "ura", "valueIdentifier": {"system": f"{N}ura", "value": ura}},
    ]
    return [{"url": f"{S}StructureDefinition/source", "extension": parts}]


def problem(code: str, sentence: str) -> dict[str, Any]:
    details = {"coding": [{"system": f"{S}CodeSystem/outcome", "code": code}], "text": sentence}
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "processing", "details": details}],
    }


def searchset(completeness: str, *flags: str, match: str | None = None, silent: str | None = None) -> dict[str, Any]:
    tags = [{"system": f"{S}CodeSystem/completeness", "code": completeness}]
    tags += [{"system": f"{S}CodeSystem/flag", "code": flag} for flag in flags]
    entries = [{"resource": {"id": match}, "search": {"mode": "match"}, "extension": source(match)}] if match else []
    entries += [{"resource": {"id": "x"}, "search": {"mode": "include"}}]
    if silent:
        late = problem("timed-out", "No answer in time.")
        entries += [{"resource": late, "search": {"mode": "outcome"}, "extension": source(silent)}]
    return {"resourceType": "Bundle", "type": "searchset", "meta": {"tag": tags}, "entry": entries}


def reply(*answers: tuple[int, Any]) -> Reply:
    headers = httpx.Headers({"AORTA-ID": "initialRequestID=i; requestID=r"})
    first, *rest = (Reply(status, headers, json.dumps(said).encode()) for status, said in answers)
    return replace(first, others=tuple(rest))


FULL, EMPTY = (200, searchset("complete", "verbal-consent", match="90000001")), (200, searchset("complete"))
PART = (200, searchset("partial", "presumed-consent", match="90000002", silent="90000003"))
FAILED, NONE = (504, problem("timed-out", "Nobody answered.")), (200, searchset("none"))
READ = {
    # name: answers, status, completeness, matches, silent sources, flags, code
    "full": ([FULL], 200, "complete", ["90000001"], [], {"verbal-consent"}, ""),
    "empty": ([EMPTY], 200, "complete", [], [], set(), ""),
    "partial": ([PART], 200, "partial", ["90000002"], ["90000003"], {"presumed-consent"}, ""),
    "full and partial": (
        [FULL, PART],
        200,
        "partial",
        ["90000001", "90000002"],
        ["90000003"],
        {"verbal-consent", "presumed-consent"},
        "",
    ),
    "full and none": ([FULL, NONE], 200, "partial", ["90000001"], [], {"verbal-consent"}, ""),
    "one failed": ([FAILED, FULL, FULL], 504, "partial", ["90000001"] * 2, [], {"verbal-consent"}, "timed-out"),
    "all failed": ([FAILED, FAILED], 504, None, [], [], set(), "timed-out"),
    "not JSON": ([(502, "x")], 502, None, [], [], set(), ""),
}


@pytest.mark.parametrize("row", READ.values(), ids=READ.keys())
def test_replies_are_read(row: tuple[Any, ...]) -> None:
    answers, status, completeness, matches, silent, flags, code = row
    got = reply(*answers)
    assert (got.status, got.completeness, got.code, got.flags) == (status, completeness, code, flags)
    assert [match["id"] for match in got.matches] == matches
    assert got.sources == set(matches)
    assert got.outcomes == [("timed-out", "No answer in time.", ura) for ura in silent]
    assert got.sentence == ("Nobody answered." if code else "")
    assert got.aorta_id == "initialRequestID=i; requestID=r"


async def test_the_first_error_tells_the_story(papers: Path) -> None:
    exchange = Exchange({"/fhir/MedicationRequest/_search": FAILED, "/fhir/MedicationStatement/_search": FULL})
    async with system(papers, exchange) as asking:
        got = await asking.ask(Ask.MEDICATION, BSN, gp_post(NOW))
    assert (got.status, got.code, got.completeness) == (504, "timed-out", "partial")
    assert json.loads(got.body) == FAILED[1]
    assert [one.status for one in got.others] == [200, 200]


# --- custodians


async def acting(papers: Path, act: Callable[[Custodian], Any]) -> Seen:
    """What the exchange saw when a custodian did this; its token must be the system's own."""
    exchange = Exchange()
    async with system(papers, exchange, wall=lambda: NOW) as own:
        await act(Custodian(own))
    claims = verified(papers, "client", exchange.assertions[0]).claims
    assert claims["sub"] == claims["iss"] == "400001"
    assert claims.keys() - {"patient"} == {"iss", "aud", "iat", "exp", "jti", "organisation", "sub"}
    (seen,) = exchange.asked
    assert ("patient" in claims) == (seen.path == "/fhir/AuditEvent/_search")
    return seen


ACTS: dict[str, tuple[Callable[[Custodian], Any], str, list[tuple[str, str]] | None]] = {
    "end entry": (lambda own: own.end_entry("e1"), "DELETE /fhir/List/e1", None),
    "read entry": (lambda own: own.read_entry("e1"), "GET /fhir/List/e1", None),
    "read consent": (lambda own: own.read_consent("c1"), "GET /fhir/Consent/c1", None),
    "own entries": (
        lambda own: own.own_entries(),
        "POST /fhir/List/_search",
        [("source:Device.identifier", f"{N}aorta-app-id|400001")],
    ),
    "own consents": (
        lambda own: own.own_consents(BSN),
        "POST /fhir/Consent/_search",
        [PATIENT, ("scope", "patient-privacy")],
    ),
    "audit": (
        lambda own: own.audit_events(BSN, dates=["ge2026-11-21", "lt2026-11-22"], count=5),
        "POST /fhir/AuditEvent/_search",
        [PATIENT, ("date", "ge2026-11-21"), ("date", "lt2026-11-22"), ("_count", "5")],
    ),
}


@pytest.mark.parametrize(("act", "line", "form"), ACTS.values(), ids=ACTS.keys())
async def test_a_custodian_acts(papers: Path, act: Any, line: str, form: list[tuple[str, str]] | None) -> None:
    seen = await acting(papers, act)
    assert f"{seen.method} {seen.url}" == line
    assert (seen.form if form else seen.body) == (form or b"")


async def test_an_entry_is_the_list_of_the_interface(papers: Path) -> None:
    seen = await acting(papers, lambda own: own.register_entry(BSN, "gp-summary"))
    assert (seen.method, seen.url, seen.headers["content-type"]) == ("POST", "/fhir/List", "application/fhir+json")
    said = json.loads(seen.body)
    List.model_validate_json(seen.body)
    withheld = {"system": "http://terminology.hl7.org/CodeSystem/list-empty-reason", "code": "withheld"}
    assert said == {
        "resourceType": "List",
        "status": "current",
        "mode": "working",
        "code": {"coding": [{"system": f"{S}CodeSystem/data-category", "code": "gp-summary"}]},
        "subject": {"identifier": {"system": f"{N}bsn", "value": BSN}},
        "source": {"reference": "#s"},
        "contained": [
            {
                "resourceType": "Device",
                "id": "s",
                "identifier": [{"system": f"{N}aorta-app-id", "value": "400001"}],
                "owner": {"identifier": {"system": f"{N}ura", "value": "90000401"}},
            }
        ],
        "date": NOW.isoformat(),
        "emptyReason": {"coding": [withheld]},
    }
    latent = await acting(papers, lambda own: own.register_entry(BSN, "gp-summary", True, at=date(2026, 1, 2)))
    changed = {"meta": {"tag": [{"system": f"{S}CodeSystem/registration", "code": "latent"}]}, "date": "2026-01-02"}
    assert json.loads(latent.body) == said | changed
    List.model_validate_json(latent.body)


CHOICES = {
    "yes to all": Choice(),
    "no": Choice(permit=False),
    "withdrawn, narrow": Choice(active=False, categories=["medication"], requesters=["gp-care", "90000401"]),
    "emergencies only, dated": Choice(emergency_only=True, at=NOW),
    "parent and child": Choice(by=("patient", "parent"), birth_date=date(2012, 3, 4)),
    "guardian alone": Choice(by=("guardian",), birth_date=date(2020, 3, 4)),
    "told on the phone": Choice(
        by=("representative",), method="verbal", recorder="Test Assistent", information="2026-1"
    ),
}


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES.keys())
async def test_a_consent_says_the_choice(papers: Path, choice: Choice) -> None:
    seen = await acting(papers, lambda own: own.state_consent(BSN, choice))
    assert (seen.method, seen.url) == ("POST", "/fhir/Consent")
    said = json.loads(seen.body)
    Consent.model_validate_json(seen.body)
    assert said["scope"]["coding"][0]["code"] == "patient-privacy"
    assert said["category"][0]["coding"][0]["code"] == "59284-0"
    assert said["policyRule"]["coding"][0]["code"] == "OPTIN"
    assert said["patient"]["identifier"] == {"system": f"{N}bsn", "value": BSN}
    assert said["organization"] == [{"identifier": {"system": f"{N}ura", "value": "90000401"}}]
    assert said["status"] == ("active" if choice.active else "inactive")
    assert said.get("dateTime") == (choice.at and choice.at.isoformat())
    provision = said["provision"]
    assert provision["type"] == ("permit" if choice.permit else "deny")
    assert [one["code"] for one in provision.get("class", [])] == list(choice.categories)
    actors = [
        (one["role"]["coding"][0]["code"], *one["reference"]["identifier"].values())
        for one in provision.get("actor", [])
    ]
    systems = {"gp-care": f"{S}CodeSystem/requester-group", "90000401": f"{N}ura"}
    assert actors == [("IRCP", systems[who], who) for who in choice.requesters]
    assert [one["code"] for one in provision.get("purpose", [])] == ["ETREAT"] * choice.emergency_only
    people = {f"#{one['id']}": one for one in said["contained"]}
    assert people["#patient"].get("birthDate") == (choice.birth_date and choice.birth_date.isoformat())
    codes = {"patient": None, "parent": "PRN", "guardian": "GUARD", "representative": "POWATT"}
    stated = [people[one["reference"]].get("relationship", [{}])[0] for one in said["performer"]]
    assert [one.get("coding", [{}])[0].get("code") for one in stated] == [codes[party] for party in choice.by]
    (how,) = said["extension"]
    assert how["url"] == f"{S}StructureDefinition/consent-method"
    parts = {one.pop("url"): one.popitem()[1] for one in how["extension"]}
    told = {"method": choice.method, "recorder": choice.recorder, "information": choice.information}
    assert parts == {name: text for name, text in told.items() if text}


async def test_a_consent_is_changed_at_a_version(papers: Path) -> None:
    seen = await acting(papers, lambda own: own.change_consent("c1", BSN, Choice(active=False), etag='W/"2"'))
    assert (seen.method, seen.url, seen.headers["if-match"]) == ("PUT", "/fhir/Consent/c1", 'W/"2"')
    assert json.loads(seen.body) == {**consent(BSN, Choice(active=False, custodian="90000401")), "id": "c1"}


async def test_a_batch_carries_entries_and_consents(papers: Path) -> None:
    many = [consent(BSN, Choice(custodian="90000401"))]
    seen = await acting(papers, lambda own: own.batch([*many, own.entry(BSN, "medication")]))
    Bundle.model_validate_json(seen.body)
    said = json.loads(seen.body)
    assert (seen.method, seen.url, said["type"]) == ("POST", "/fhir", "batch")
    assert [one["request"] for one in said["entry"]] == [
        {"method": "POST", "url": name} for name in ("Consent", "List")
    ]
    assert said["entry"][0]["resource"] == many[0]
    assert batch([]) == {"resourceType": "Bundle", "type": "batch", "entry": []}


# --- on the wire


@asynccontextmanager
async def serving(papers: Path, app: Exchange) -> AsyncIterator[str]:
    """The exchange on a real socket that demands a certificate of the authority; yields its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    files = {
        "ssl_certfile": papers / "server.pem",
        "ssl_keyfile": papers / "server.key",
        "ssl_ca_certs": papers / "ca.pem",
    }
    config = uvicorn.Config(app, lifespan="off", log_config=None, ssl_cert_reqs=ssl.CERT_REQUIRED, **files)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"https://localhost:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


async def test_nobody_sees_a_bsn_in_a_url_or_a_log(
    papers: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over real mutual TLS, past a proxy the environment names and a redirect the exchange sends."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    caplog.set_level(logging.DEBUG)
    exchange = Exchange({"/fhir/Flag/_search": (302, {}), "/fhir/Bundle/_search": (200, {"echo": BSN})})
    async with serving(papers, exchange) as address, system(papers, None, address=address) as asking:
        replies = [await asking.ask(kind, BSN, gp_post(NOW)) for kind in Ask]
        await Custodian(asking).register_entry(BSN, "medication")
        await Custodian(asking).state_consent(BSN, Choice())
        await Custodian(asking).own_consents(BSN)
        await Custodian(asking).audit_events(BSN)
        printed = repr(asking) + repr(replies)
    assert [one.status for one in replies] == [200, 200, 302, 200, 200]
    assert len(exchange.asked) == 12
    assert [one.url for one in exchange.seen if BSN in one.url or "?" in one.url or BSN in str(one.headers)] == []
    assert BSN in exchange.asked[0].body.decode()
    assert "/_search" in caplog.text
    assert BSN not in caplog.text
    assert replies[0].json == {"echo": BSN}
    assert BSN not in printed


async def test_a_system_without_a_believed_certificate_gets_nowhere(papers: Path, tmp_path: Path) -> None:
    authority = pki.create(tmp_path / "pki", now=datetime.now(UTC))
    authority.issue("90000401", "400001", "Test stranger", now=datetime.now(UTC), out=tmp_path)
    files = tmp_path / "client.pem", tmp_path / "client.key"
    exchange = Exchange()
    async with serving(papers, exchange) as address:
        for anchor in (papers / "ca.pem", tmp_path / "ca.pem"):
            async with System(*files, anchor, address, f"{address}/token", "400001", "90000401") as stranger:
                with pytest.raises(httpx.TransportError):
                    await stranger.ask(Ask.GP_SUMMARY, BSN, gp_post(NOW))
    assert exchange.seen == []
