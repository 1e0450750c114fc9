"""What do the tests of `check source` look at? A simulated source at a real port, with one thing about it spoiled.

A spoiler is ASGI around the source's own application: it changes what is asked or what is answered, and leaves all else
as it was. Vouchers are signed by a pen of the tests' own.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.fhir.answers import read_answer
from gateway.rules.exchange import Failure
from gateway.rules.identifiers import Bsn
from source_sim import pki, population, records
from source_sim.admission import Gate, KnownKeys
from source_sim.checking.calling import Papers, Said, Subject
from source_sim.checking.findings import Report
from source_sim.checking.probing import check_source
from source_sim.faults import FaultName, fault
from source_sim.offered import Kind
from source_sim.serving import Listener
from source_sim.systems import SimulatedSystem, app

GATEWAY, OURS, POST = "90000001", "90000101", "90000301"
APPLICATION, ISSUER = "400101", "https://exchange.test"
KNOWN, UNKNOWN, WITHHELD = "999900006", "999900067", "999900195"
HELD = {
    Kind.GP_PRACTICE: (("gp-summary", "treatment-limits"), "return-message"),
    Kind.PHARMACY: (("medication", "allergies"), ""),
    Kind.HOSPITAL: ((), "referral"),
}
"""What each kind of system holds, and which message it takes."""

Scope = dict[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
Spoil = Callable[[App], App]


def wall() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Pen:
    """Signs vouchers as the exchange does, with a key of its own."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", parameters={"kid": "the-tests"}), repr=False)
    sender: str = POST

    def search(self, said: Said) -> str:
        return self._signed(said, view=said.view or None)

    def delivery(self, said: Said) -> str:
        return self._signed(said)

    def _signed(self, said: Said, **more: Any) -> str:
        at = int(said.wall.timestamp())
        claims = {
            "iss": ISSUER, "aud": said.audience, "iat": at, "exp": at + 60, "jti": "j", "patient": said.patient,
            "requester": self.sender, "rule": said.rule, "purpose": "TREAT", **more,
        }  # fmt: skip
        told = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": "the-tests"}, told, self.key)


@dataclass(frozen=True)
class Network:
    """A throw-away authority with the papers of everybody in these tests."""

    folder: Path
    pen: Pen = field(default_factory=Pen)

    @classmethod
    def made(cls, folder: Path) -> Network:
        authority, now = pki.create(folder / "pki", now=wall()), wall()
        for stem, ura, application in (
            ("gateway", GATEWAY, "400001"), ("source", OURS, APPLICATION), ("post", POST, "400301"),
        ):  # fmt: skip
            authority.issue(
                ura, application, f"Test {stem}", now=now, dns=["127.0.0.1", "localhost"], out=folder, stem=stem
            )
        return cls(folder)

    @property
    def papers(self) -> Papers:
        there = self.folder
        stranger = (there / "post.pem", there / "post.key")
        return Papers(there / "gateway.pem", there / "gateway.key", there / "ca.pem", stranger)

    def tls(self, stem: str = "source", demanded: bool = True) -> dict[str, Any]:
        asked = ssl.CERT_REQUIRED if demanded else ssl.CERT_NONE
        pair = {"ssl_certfile": f"{self.folder / stem}.pem", "ssl_keyfile": f"{self.folder / stem}.key"}
        return {**pair, "ssl_ca_certs": str(self.folder / "ca.pem"), "ssl_cert_reqs": asked}


@cache
def _record(bsn: str, day: datetime) -> records.Record:
    person = population.person(bsn, day.date())
    return records.write(person, 1, person.profile, now=day)


def _same(application: App) -> App:
    return application


@asynccontextmanager
async def source(
    network: Network,
    kind: Kind = Kind.GP_PRACTICE,
    spoil: Spoil = _same,
    tls: Mapping[str, Any] | None = None,
    **gate: Any,
) -> AsyncIterator[Subject]:
    """A source at a port of its own; `gate` changes whom it lets in."""
    day = wall().replace(hour=12, minute=0, second=0, microsecond=0)
    keys = KnownKeys({"keys": [network.pen.key.as_dict(private=False)]})
    let_in = replace(Gate(APPLICATION, keys, wall, GATEWAY, ISSUER), **gate)
    listener = Listener("127.0.0.1", 0)
    endpoint = f"https://127.0.0.1:{listener.port}/fhir"
    held = {bsn: _record(bsn, day) for bsn in (KNOWN, WITHHELD)}
    stuck = {WITHHELD: fault(FaultName.WITHHELD)}
    system = SimulatedSystem(kind, OURS, "Test Bron", endpoint, let_in, held.get, wall, stuck)
    await listener.open(spoil(app(system)), tls or network.tls())
    categories, message = HELD[kind]
    try:
        yield Subject(
            endpoint, APPLICATION, OURS, KNOWN, UNKNOWN, categories, WITHHELD if categories else "", message=message
        )
    finally:
        await listener.close(abruptly=True)
        listener.release()


def reads(body: bytes, bsn: str, resource_type: str) -> str:
    """What the gateway's own reader says of a body."""
    found = read_answer(body, patient=Bsn(bsn), resource_type=resource_type, endpoint="https://source.test/fhir")
    return f"{found.failing}: {found.detail}" if isinstance(found, Failure) else ""


async def checked(network: Network, subject: Subject, **changed: Any) -> Report:
    return await check_source(replace(subject, **changed), network.papers, network.pen, wall, reads)


# --- spoilers --------------------------------------------------------------------------------------------------------

Headers = dict[bytes, bytes]


def answering(change: Callable[[Scope, int, Headers, bytes], tuple[int, Headers, bytes]]) -> Spoil:
    """Change each answer: scope, status, headers and body in; status, headers and body out."""

    def spoil(application: App) -> App:
        async def spoiled(scope: Any, receive: Any, send: Any) -> None:
            sent: list[dict[str, Any]] = []

            async def keep(message: dict[str, Any]) -> None:
                sent.append(message)

            await application(scope, receive, keep)
            body = b"".join(part.get("body", b"") for part in sent[1:])
            status, headers, body = change(scope, sent[0]["status"], dict(sent[0]["headers"]), body)
            lines = [(name, value) for name, value in headers.items() if name != b"content-length"]
            lines.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": status, "headers": lines})
            await send({"type": "http.response.body", "body": body})

        return spoiled

    return spoil


def searchset(change: Callable[[Any], Any]) -> Spoil:
    """Change the Bundle of every answer that holds something."""

    def changed(_: Scope, status: int, headers: Headers, body: bytes) -> Any:
        bundle = json.loads(body) if status == 200 and body.startswith(b"{") else {}
        if bundle.get("type") != "searchset" or not bundle.get("entry"):
            return status, headers, body
        made = change(bundle)
        return status, headers, made if isinstance(made, bytes) else json.dumps(made).encode()

    return answering(changed)
