"""What do the tests of the exchange's pages call? The real application, opened in process, without a socket.

Certificates come from a throw-away authority and go into the scope as the listener puts them there; tokens come from
the real `/token`. Only the outbound door is scripted.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from fhir.resources.R4B.operationoutcome import OperationOutcome
from joserfc import jwk, jwt

from gateway.app import Gateway, open_gateway
from gateway.rules.exchange import Address, Answer, AortaId, Entry, Failure, Mode, Query
from gateway.rules.identifiers import ApplicationId, Bsn, InvalidIdentifier, Ura, UziNumber
from gateway.rules.network import Organisation, System
from gateway.settings import Settings
from gateway.stores import journal, register
from source_sim import custodians
from source_sim.pki import Pki

FHIR_JSON, FORM = "application/fhir+json", "application/x-www-form-urlencoded"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
N, S = "http://fhir.nl/fhir/NamingSystem/", "https://switchpoint.example/fhir/"


def _numbers():
    for number in range(999_950_000, 999_955_000):
        try:
            yield Bsn(str(number)).digits
        except InvalidIdentifier:
            continue


US, THEM, NOBODY, PLANTED = itertools.islice(_numbers(), 4)
BAD_BSN = US[:-1] + str((int(US[-1]) + 1) % 10)


@dataclass(frozen=True)
class Reply:
    """One answer of the application."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The machine code of an OperationOutcome, after holding it against the R4 model."""
        assert self.headers["content-type"].startswith(FHIR_JSON)
        outcome = OperationOutcome.model_validate(self.json)
        details = outcome.issue[0].details
        assert details is not None
        assert details.text
        assert details.coding is not None
        assert details.coding[0].system == f"{S}CodeSystem/outcome"
        return str(details.coding[0].code)

    @property
    def resources(self) -> list[Any]:
        return [entry["resource"] for entry in self.json.get("entry", [])]


@dataclass
class Door:
    """The outbound door: answers per custodian, and what was asked."""

    answers: dict[str, Answer | Failure] = field(default_factory=dict)
    asked: list[Query] = field(default_factory=list)

    async def ask(
        self, permit: Any, query: Query, address: Address, *, token: str, aorta: AortaId, deadline: float
    ) -> Answer | Failure:
        self.asked.append(query)
        body = b'{"resourceType":"%s","id":"1","value":0.10}' % query.resource_type.encode()
        whole = Answer((Entry(body, query.resource_type, "1", None, Mode.MATCH),))
        return self.answers.get(address.ura.digits, whole)


class Member:
    """A participant's system with its certificate, at work on one exchange."""

    def __init__(self, pki: Pki, ura: str, type: str, *departments: str, flaw: Any = None) -> None:
        self.ura, self.application = ura, ura[-3:]
        issued = pki.issue(ura, self.application, "Test", now=datetime.now(UTC), flaw=flaw)
        self.uzi, self.serial = issued.uzi, issued.serial_hex
        self.der = x509.load_pem_x509_certificate(issued.cert_pem).public_bytes(serialization.Encoding.DER)
        self.key = jwk.ECKey.import_key(issued.key_pem)
        self.organisation = Organisation(Ura(ura), type, f"Test {ura}", frozenset(departments))
        endpoint = f"https://source-{ura}.test/fhir" if type in ("Z3", "J8") else None
        self.system = System(ApplicationId(self.application), Ura(ura), UziNumber(self.uzi), endpoint)

    def entry(self, patient: str = US, category: str = "gp-summary", **more: Any) -> dict[str, Any]:
        given = {"ura": self.ura, "application": self.application, "at": datetime.now(UTC).date()}
        return custodians.entry(patient, category, **{**given, **more})

    def consent(self, patient: str = US, **choice: Any) -> dict[str, Any]:
        return custodians.consent(patient, custodians.Choice(**{"custodian": self.ura, **choice}))


class Exchange:
    """The application under test, and calls to it."""

    def __init__(self, gateway: Gateway) -> None:
        self.door = Door()
        means = replace(gateway.means, sources=self.door)
        self.gateway = replace(gateway, means=means, site=replace(gateway.site, means=means))
        self.app = self.gateway.exchange()

    async def admit(self, *members: Member) -> None:
        def unit(tx: Any) -> None:
            for one in members:
                register.put_organisation(tx, one.organisation)
                register.put_system(tx, one.system)

        await self.gateway.means.ledger.commit(unit)

    async def send(
        self,
        method: str,
        path: str,
        *,
        by: Member | None = None,
        der: bytes | None = None,
        body: bytes = b"",
        query: bytes = b"",
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> Reply:
        """One raw call: the certificate of `by`, or any bytes as certificate."""
        shown = der if der is not None else by.der if by else None
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "https",
            "method": method, "path": path, "raw_path": path.encode("utf-8", "replace"), "root_path": "",
            "query_string": query, "headers": headers or [], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
            "extensions": {} if shown is None else {"switchpoint.certificate": shown},
        }  # fmt: skip
        sent: list[Any] = []
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return parts.pop() if parts else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, *rest = sent
        names = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Reply(start["status"], names, b"".join(one.get("body", b"") for one in rest))

    async def call(
        self,
        method: str,
        path: str,
        *,
        by: Member,
        token: str | None = None,
        resource: Any = None,
        form: Any = None,
        query: str = "",
        **headers: str,
    ) -> Reply:
        """One FHIR interaction below `/fhir`; header names with `_` for `-`."""
        given = {"content-type": FORM if form is not None else FHIR_JSON if resource is not None else None}
        given |= {"authorization": f"Bearer {token}" if token else None}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = urlencode(form) if form is not None else "" if resource is None else json.dumps(resource)
        lines = [(name.encode(), value.encode()) for name, value in given.items() if value is not None]
        return await self.send(
            method, "/fhir" + path, by=by, body=content.encode(), query=query.encode(), headers=lines
        )

    def assertion(self, of: Member, **claims: Any) -> str:
        now = int(datetime.now(UTC).timestamp())
        envelope = {"iss": of.application, "aud": self.gateway.site.token_endpoint, "iat": now, "exp": now + 60}
        said = {**envelope, "jti": str(uuid4()), "organisation": of.ura, "sub": of.application, **claims}
        kept = {name: value for name, value in said.items() if value is not None}
        return jwt.encode({"alg": "ES256"}, kept, of.key)

    async def post_token(self, by: Member, form: Any, content_type: str = FORM) -> Reply:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        return await self.send("POST", "/token", by=by, body=body, headers=[(b"content-type", content_type.encode())])

    async def token(self, of: Member, **claims: Any) -> str:
        reply = await self.post_token(of, {"grant_type": GRANT, "assertion": self.assertion(of, **claims)})
        assert reply.status == 200, reply.body
        return str(reply.json["access_token"])

    async def doctor(self, of: Member, patient: str | None = US, **claims: Any) -> str:
        """The token of a covering GP in a visit."""
        started = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        person = {"sub": "000000001", "name": "Test Actor", "role": "01.015", "purpose": "TREAT", "cover": True}
        contact = {"id": "c-1", "kind": "visit", "start": started}
        return await self.token(of, **{**person, "patient": patient, "contact": contact, **claims})

    async def open(self, custodian: Member, category: str = "gp-summary", patient: str = US) -> str:
        """A yes and an entry; returns the entry's id."""
        token = await self.token(custodian)
        said = await self.call("POST", "/Consent", by=custodian, token=token, resource=custodian.consent(patient))
        assert said.status == 201, said.body
        entry = custodian.entry(patient, category)
        made = await self.call("POST", "/List", by=custodian, token=token, resource=entry)
        assert made.status in (200, 201), made.body
        return str(made.json["id"])

    async def journal(self) -> list[Any]:
        read = self.gateway.means.ledger.read
        return [kept.line for kept in await read(lambda tx: journal.tail(tx, 0, 10_000))]

    def outcome_of(self, line: Any) -> tuple[str, str]:
        return str(line.event), str(line.fields.get("reason", line.fields.get("error", "")))


SEARCHES: dict[str, list[tuple[str, str]]] = {
    "Bundle": [("composition.patient.identifier", f"{N}bsn|{US}"), ("composition.type", "http://loinc.org|60591-5")],
    "MedicationDispense": [("patient.identifier", f"{N}bsn|{US}"), ("_include", "MedicationDispense:medication")],
    "MedicationRequest": [("patient.identifier", f"{N}bsn|{US}")],
    "MedicationStatement": [("patient:identifier", f"{N}bsn|{US}")],
    "AllergyIntolerance": [("patient.identifier", f"{N}bsn|{US}")],
    "Flag": [("patient.identifier", f"{N}bsn|{US}")],
}
"""A well-formed search of every type a covering GP may ask under the standing rules."""


async def open_exchange(folder: Path, pki_folder: Path, **settings: Any) -> Exchange:
    """A fresh exchange with the authority of `pki_folder`, which also holds `gateway.pem`."""
    given = Settings(
        state_dir=folder,
        certificate=pki_folder / "gateway.pem",
        key=pki_folder / "gateway.key",
        ca=pki_folder / "ca.pem",
        crl=pki_folder / "crl.pem",
        exchange_url="https://exchange.test",
        **{"simulation": True, **settings},
    )
    return Exchange(await open_gateway(given))
