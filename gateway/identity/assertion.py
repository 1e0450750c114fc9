"""Is this assertion really from the system on this connection? The envelope of RFC 7523, checked on wall time.

Only the envelope and the organisation: the rules are applied per call (interface.md section 3).
"""

from __future__ import annotations

import base64
import binascii
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError

from gateway.identity.certificate import Certificate, NotUzi, read_certificate
from gateway.identity.claims import BadClaim, Claims, read_claims

LONGEST_LIFE = 300
"""Seconds between `iat` and `exp` at most."""
SKEW = 30
"""Seconds by which a sender's wall clock may run ahead of ours."""
LARGEST = 16 * 1024
_REGISTRY = jws.JWSRegistry(algorithms=["ES256", "PS256", "EdDSA"])
_REGISTRY.max_header_length = LARGEST  # an x5c header holds whole certificates
_REGISTRY.max_payload_length = LARGEST


class Refused(Exception):
    """An OAuth error (RFC 6749 section 5.2): `error` is the code, the text a sentence without any claim's value."""

    def __init__(self, error: str, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.error, self.why, self.status = error, why, status


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified assertion: its content, and what must be used only once until `expires` (wall seconds)."""

    claims: Claims
    raw: Mapping[str, Any]
    jti: str
    expires: int


Signer = Callable[[bytes], Certificate | None]
"""Judges a separate signing certificate (DER): its identity if authority and revocation list stand behind it."""


def read_assertion(text: str, connection: Certificate, *, audience: str, wall: datetime, trusted: Signer) -> Assertion:
    """Verify a JWT against the certificate of this connection, or the signing certificate in its `x5c` header.
    Raises Refused."""
    if len(text) > LARGEST:
        raise Refused("invalid_request", "the assertion is too large")
    try:
        header = jws.extract_compact(text.encode("ascii"), registry=_REGISTRY).headers()
    except (JoseError, ValueError, UnicodeEncodeError) as wrong:
        raise Refused("invalid_grant", "the assertion is not a signed JWT") from wrong
    signer = _signing_certificate(header, connection, trusted)
    raw = _verified(text, header, signer.public_key_pem)
    jti, expires = _envelope(raw, audience, wall)
    try:
        claims = read_claims(raw)
    except BadClaim as wrong:
        raise Refused("invalid_request", str(wrong)) from wrong
    if claims.organisation != connection.ura:
        raise Refused("invalid_client", "the assertion names another organisation than the certificate", 401)
    return Assertion(claims, raw, jti, expires)


def _signing_certificate(header: Mapping[str, Any], connection: Certificate, trusted: Signer) -> Certificate:
    chain = header.get("x5c")
    if chain is None:
        return connection
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        raise Refused("invalid_grant", "x5c is not a list of certificates")
    try:
        der = base64.b64decode(chain[0], validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise Refused("invalid_grant", "x5c does not hold a certificate") from wrong
    signer = trusted(der)
    if signer is None:
        raise Refused("invalid_grant", "the signing certificate is not trusted")
    if (signer.ura, signer.uzi) != (connection.ura, connection.uzi):
        raise Refused("invalid_client", "the signing certificate is of another organisation or system", 401)
    return signer


def _verified(text: str, header: Mapping[str, Any], public_key_pem: bytes) -> Mapping[str, Any]:
    algorithm, key = _algorithm_for(public_key_pem)
    if header.get("alg") != algorithm:
        raise Refused("invalid_grant", "the algorithm does not belong to the certificate's key (ES256, PS256, EdDSA)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library calls EdDSA by its newer name; the contract by this one
            claims = jwt.decode(text, key, registry=_REGISTRY).claims
    except (JoseError, ValueError) as wrong:
        raise Refused("invalid_grant", "the signature does not verify") from wrong
    if not isinstance(claims, dict):
        raise Refused("invalid_grant", "the assertion has no claims")
    return claims


def _algorithm_for(public_key_pem: bytes) -> tuple[str, jwk.ECKey | jwk.RSAKey | jwk.OKPKey]:
    public = serialization.load_pem_public_key(public_key_pem)
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1":
        return "ES256", jwk.ECKey.import_key(public_key_pem)
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048:
        return "PS256", jwk.RSAKey.import_key(public_key_pem)
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "EdDSA", jwk.OKPKey.import_key(public_key_pem)
    raise Refused("invalid_grant", "the certificate's key is of a kind not accepted (P-256, RSA 2048+, Ed25519)")


def _envelope(raw: Mapping[str, Any], audience: str, wall: datetime) -> tuple[str, int]:
    for name in ("iss", "aud", "iat", "exp", "jti", "organisation", "sub"):
        if raw.get(name) in (None, ""):
            raise Refused("invalid_request", f"{name}: missing")
    issued, expires, jti, audiences = raw["iat"], raw["exp"], raw["jti"], raw["aud"]
    if not _is_number(issued) or not _is_number(expires) or not _is_plain(jti):
        raise Refused("invalid_request", "iat and exp are numbers, jti is text of at most 200 printable characters")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise Refused("invalid_grant", "aud is not this token endpoint")
    now = wall.timestamp()
    if expires <= now:
        raise Refused("invalid_grant", "the assertion has expired")
    if issued > now + SKEW:
        raise Refused("invalid_grant", "the assertion is issued in the future")
    if expires - issued > LONGEST_LIFE:
        raise Refused("invalid_grant", "the assertion lives longer than five minutes")
    return jti, int(expires)


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 200 and value.isprintable()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e11


def trusted_signer(vouches: Callable[[bytes], bool], good_standing: Callable[[Certificate], bool]) -> Signer:
    """Compose a Signer from the authority's word and the revocation lists' word."""

    def judge(der: bytes) -> Certificate | None:
        if not vouches(der):
            return None
        try:
            certificate = read_certificate(der)
        except NotUzi:
            return None
        return certificate if good_standing(certificate) else None

    return judge
