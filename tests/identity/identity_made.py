"""What do the tests of identity show? Certificates of a throw-away authority, and assertions signed with their keys."""

from __future__ import annotations

import base64
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier
from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError

from gateway.identity.certificate import Certificate, read_certificate
from gateway.rules.identifiers import Bsn, InvalidIdentifier
from source_sim.pki import Flaw, Pki, uzi_of

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
URA, APPLICATION = "90000301", "301"
OTHER_URA, OTHER_APPLICATION = "90000302", "302"
AUDIENCE = "https://exchange.test/token"
ALGORITHMS = ["ES256", "ES384", "PS256", "RS256", "EdDSA", "HS256", "none"]
_serials = count(1)


def _first_number() -> str:
    for number in range(999_955_000, 999_960_000):
        try:
            return Bsn(str(number)).digits
        except InvalidIdentifier:
            continue
    raise AssertionError("one in eleven passes")


PATIENT = _first_number()


@dataclass(frozen=True)
class Held:
    """A certificate somebody holds, with its private key."""

    certificate: Certificate
    der: bytes
    key: Any

    def sign(self, claims: dict[str, Any], alg: str = "ES256", **header: Any) -> str:
        return signed(jwk_of(self.key), claims, alg, **header)


def issued(pki: Pki, ura: str = URA, application: str = APPLICATION, flaw: Flaw | None = None) -> Held:
    """A certificate with a P-256 key, as the authority issues them."""
    made = pki.issue(ura, application, "Test", now=NOW, flaw=flaw)
    der = x509.load_pem_x509_certificate(made.cert_pem).public_bytes(serialization.Encoding.DER)
    return Held(read_certificate(der), der, serialization.load_pem_private_key(made.key_pem, None))


def der_of(pki: Pki, flaw: Flaw) -> bytes:
    made = pki.issue(URA, APPLICATION, "Test", now=NOW, flaw=flaw)
    return x509.load_pem_x509_certificate(made.cert_pem).public_bytes(serialization.Encoding.DER)


def built(pki: Pki, key: Any = None, *others: x509.GeneralName, is_ca: bool | None = False, san: bool = True) -> bytes:
    """A certificate of the same authority, by hand: any kind of key, any names (DER)."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    names = others or (other_name(identity()),)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test")]))
        .issuer_name(pki.issuing.subject)
        .public_key(key.public_key())
        .serial_number(10**9 + next(_serials))
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(is_ca, None), True)
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(pki.issuing_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def held(pki: Pki, key: Any) -> Held:
    der = built(pki, key)
    return Held(read_certificate(der), der, key)


def identity(ura: str = URA, application: str = APPLICATION) -> str:
    return f"2.16.528.1.1007.99.2110-1-{uzi_of(ura, application)}-S-{ura}-00.000-00000000"


def other_name(text: str | bytes, tag: int = 22, type_id: str = "2.5.5.5") -> x509.OtherName:
    said = text if isinstance(text, bytes) else text.encode("utf-8")
    return x509.OtherName(ObjectIdentifier(type_id), bytes([tag, len(said)]) + said)


def jwk_of(key: Any) -> Any:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for kind in (jwk.ECKey, jwk.RSAKey, jwk.OKPKey):
        try:
            return kind.import_key(pem)
        except (ValueError, JoseError):
            continue
    raise AssertionError("no such key")


def signed(key: Any, claims: dict[str, Any], alg: str = "ES256", **header: Any) -> str:
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    registry.max_header_length = registry.max_payload_length = 10**6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode({"alg": alg, **header}, claims, key, registry=registry)


def envelope(**changes: Any) -> dict[str, Any]:
    """Claims of a covering GP that are in order; a None leaves a claim out."""
    now = int(NOW.timestamp())
    person = {"sub": "000000001", "name": "Test Actor", "role": "01.015", "purpose": "TREAT", "cover": True}
    started = (NOW - timedelta(hours=1)).isoformat()
    said = {
        "iss": APPLICATION,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 60,
        "jti": "j-1",
        "organisation": URA,
        "patient": PATIENT,
        "contact": {"id": "c-1", "kind": "visit", "start": started},
        **person,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def x5c(*ders: bytes) -> list[str]:
    return [base64.b64encode(der).decode() for der in ders]
