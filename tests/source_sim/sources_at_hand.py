"""What do the tests of the sources need at hand? A tiny authority, the gateway's pen, and a country on port 0."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from source_sim import population, records
from source_sim.admission import Gate, KnownKeys
from source_sim.offered import Kind
from source_sim.records import Proof, Record
from source_sim.serving import Config, serving
from source_sim.systems import SimulatedSystem, app

NOW = datetime(2026, 11, 21, 20, 30, tzinfo=UTC)
GATEWAY_URA = "90000999"
ISSUER = "https://exchange.test"
BSN = "999900006"
OTHER_BSN = "999900018"
BSN_SYSTEM = "http://fhir.nl/fhir/NamingSystem/bsn"
AORTA_ID = "initialRequestID=2f6b5dd4-1b1c-4f5e-9d8a-0d7f1a3c9b10; requestID=7a1e5c0e-8f4a-4a53-9f7e-2f2b64c1c6aa"
TYPES = {
    "gp-practice": ("Bundle", "Consent"),
    "pharmacy": ("MedicationDispense", "MedicationRequest", "MedicationStatement", "AllergyIntolerance", "Flag"),
    **dict.fromkeys(("hospital", "gp-post", "ambulance"), ()),
}

KEY = ECKey.generate_key("P-256", parameters={"kid": "one"})
STRANGER = ECKey.generate_key("P-256", parameters={"kid": "one"})
JWKS = {"keys": [KEY.as_dict(private=False)]}


def claims(now: datetime = NOW, **changed: Any) -> dict[str, Any]:
    """A voucher's claims; a change to None leaves the claim out."""
    at = int(now.timestamp())
    told = {
        "iss": ISSUER, "aud": "500001", "iat": at, "exp": at + 60, "jti": "j", "patient": BSN, "requester": "90000401",
        "rule": "REG-1", "view": "covering", "purpose": "TREAT",
        "actor": {"uzi": "900000009", "name": "Testwaarnemer", "role": "01.015"},
    }  # fmt: skip
    return {name: value for name, value in (told | changed).items() if value is not None}


def token(key: ECKey = KEY, kid: str = "one", now: datetime = NOW, **changed: Any) -> str:
    return jwt.encode({"alg": "ES256", "kid": kid}, claims(now, **changed), key)


def system(kind: Kind = Kind.GP_PRACTICE, held: Mapping[str, Record] | None = None, **changed: Any) -> SimulatedSystem:
    """A system in process, which stands at NOW and asks for no certificate."""
    person = population.person(BSN, NOW.date())
    held = {BSN: records.write(person, 1, person.profile, now=NOW)} if held is None else held
    gate = Gate("500001", KnownKeys(JWKS), lambda: NOW, None, ISSUER)
    defaults: dict[str, Any] = {"gate": gate, "record": held.get, "today": lambda: NOW}
    return SimulatedSystem(kind, "90000001", "Huisartsenpraktijk De Test", "https://gp.test/fhir", **defaults | changed)


async def ask(
    one: SimulatedSystem,
    resource_type: str,
    form: Mapping[str, Any] | None = None,
    *,
    bsn: str = BSN,
    headers: Mapping[str, str] | None = None,
    **changed: Any,
) -> httpx.Response:
    """Search in process, as the gateway would."""
    carried = {"authorization": f"Bearer {token(patient=bsn, **changed)}", "aorta-id": AORTA_ID} | dict(headers or {})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app(one)), base_url="https://gp.test") as web:
        return await web.post(f"/fhir/{resource_type}/_search", data=search(resource_type, bsn, form), headers=carried)


def search(resource_type: str, bsn: str = BSN, form: Mapping[str, Any] | None = None) -> dict[str, Any]:
    name = "composition.patient.identifier" if resource_type == "Bundle" else "patient.identifier"
    return {name: f"{BSN_SYSTEM}|{bsn}", **(form or {})}


def code(answer: httpx.Response) -> str:
    """The machine code of an OperationOutcome."""
    return str(answer.json()["issue"][0]["details"]["coding"][0]["code"])


class Pki:
    """A certificate authority with one level; certificates carry the seven parts of a UZI certificate."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self._sign(self._name("Test-CA"), self.key, x509.BasicConstraints(ca=True, path_length=None))
        (directory / "ca.pem").write_bytes(self.ca.public_bytes(Encoding.PEM))

    def _name(self, text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        issuer = self._name("Test-CA")
        builder = (
            x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
        )
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        for extension in (own, by, *extensions):
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, ura: str, identity: str | None = None, type_id: str = "2.5.5.5") -> tuple[str, str]:
        """Paths of a certificate and its key; `identity` overrides the seven parts."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = (identity or f"2.16.528.1.1007.99.2110-1-900025039-S-{ura}-00.000-00000000").encode()
        other = x509.OtherName(x509.ObjectIdentifier(type_id), bytes((22, len(parts))) + parts)
        names = x509.SubjectAlternativeName([other, x509.IPAddress(ip_address("127.0.0.1"))])
        leaf = self._sign(self._name(f"Test {ura}"), key, names)
        stem = self.directory / f"{ura}-{leaf.serial_number:x}"
        stem.with_suffix(".pem").write_bytes(leaf.public_bytes(Encoding.PEM))
        stem.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(stem.with_suffix(".pem")), str(stem.with_suffix(".key"))

    def tls(self, certificate: tuple[str, str] | None) -> ssl.SSLContext:
        """What a client needs to talk to this country."""
        context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    def entry(self, kind: str = "gp-practice", ura: str = "90000001", **changed: Any) -> dict[str, Any]:
        """One system of a configuration file, with the test's patient."""
        cert, key = self.issue(ura)
        return {
            "kind": kind, "ura": ura, "application": "500001", "name": "Praktijk De Test", "cert": cert, "key": key,
            "ca": str(self.directory / "ca.pem"), "patients": [{"bsn": BSN}],
        } | changed  # fmt: skip


@asynccontextmanager
async def country(config: Config) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, str]]]:
    """The sources running; yields a client of the control API and the FHIR bases by URA."""
    async with serving(config) as (control, places), httpx.AsyncClient(base_url=control, trust_env=False) as web:
        yield web, {ura: place.system.endpoint for ura, place in places.items()}


def gateway(pki: Pki, ura: str = GATEWAY_URA, timeout: float = 5.0) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=pki.tls(pki.issue(ura)), trust_env=False, timeout=timeout)


async def call(
    web: httpx.AsyncClient, endpoint: str, resource_type: str, bsn: str = BSN, **changed: Any
) -> httpx.Response:
    """Search over a real socket, with a token of this very moment."""
    carried = {"authorization": f"Bearer {token(now=datetime.now(UTC), patient=bsn, **changed)}", "aorta-id": AORTA_ID}
    return await web.post(f"{endpoint}/{resource_type}/_search", data=search(resource_type, bsn), headers=carried)


def written(profile: population.Profile, proof: Proof = Proof.REFERENCE, seed: int = 1) -> Record:
    return records.write(population.person(BSN, NOW.date()), seed, profile, now=NOW, proof=proof)
