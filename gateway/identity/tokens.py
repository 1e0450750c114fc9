"""What tokens does the exchange itself sign? Access tokens for requesters (RFC 8705 bound) and vouchers for sources."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from gateway.identity.certificate import Certificate
from gateway.identity.claims import Claims, read_claims
from gateway.rules.exchange import Professional, Query, Requester, Responsible, Situation
from gateway.rules.identifiers import ApplicationId, Bsn
from gateway.rules.message import Sender
from gateway.rules.table import Row

_CARRIED = (
    "organisation", "sub", "name", "role", "responsible", "department", "patient",
    "purpose", "contact", "cover", "capacity", "verbal_consent",
)  # fmt: skip

NOTICE = "notice"
"""The `rule` of a message of the exchange itself, which needs no row."""

_SHA256 = ec.ECDSA(hashes.SHA256())


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


class BadToken(Exception):
    """The bearer token is not valid here; the text says why, without any of its content."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A verified access token: its claims, until when (wall seconds), bound to which certificate."""

    claims: Claims
    expires: int
    thumbprint: str


class SigningKey:
    """The exchange's own ES256 key. `jwks` publishes the public half; verified tokens are remembered by SHA-256."""

    _REMEMBERED = 10_000

    def __init__(self, pem: bytes) -> None:
        self._key = ECKey.import_key(pem)
        self._kid = self._key.thumbprint()
        private = serialization.load_pem_private_key(pem, None)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
            raise ValueError("the signing key is not a P-256 key")
        self._private = private
        header = {"typ": "JWT", "alg": "ES256", "kid": self._kid}
        self._header = _base64url(json.dumps(header, separators=(",", ":")).encode())
        self._seen: OrderedDict[bytes, Grant] = OrderedDict()

    @classmethod
    def load_or_create(cls, path: Path) -> SigningKey:
        """Read the key from `path`, or make one there (mode 0600)."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
        return cls(path.read_bytes())

    def jwks(self) -> dict[str, Any]:
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self._kid, "use": "sig", "alg": "ES256"}]}

    def _sign(self, claims: Mapping[str, Any]) -> str:
        """A compact JWS (RFC 7515, ES256). One is signed for every source of every query: the header is made once, and
        the signature is cryptography's own. Reading is left to the library."""
        signed = self._header + b"." + _base64url(msgspec.json.encode(claims))
        r, s = decode_dss_signature(self._private.sign(signed, _SHA256))
        return (signed + b"." + _base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode("ascii")

    def access_token(
        self, assertion: Mapping[str, Any], certificate: Certificate, *, issuer: str, wall: datetime, seconds: int
    ) -> str:
        """A token carrying the assertion's claims, bound to `certificate`, valid for `seconds`."""
        now = int(wall.timestamp())
        carried = {name: assertion[name] for name in _CARRIED if assertion.get(name) is not None}
        envelope = {"iss": issuer, "aud": issuer, "iat": now, "exp": now + seconds, "client_id": assertion["iss"]}
        return self._sign({**carried, **envelope, "cnf": {"x5t#S256": certificate.thumbprint}})

    def read_access_token(self, text: str, certificate: Certificate, *, issuer: str, wall: datetime) -> Grant:
        """Verify a bearer token and its binding to this connection's certificate. Raises BadToken."""
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        grant = self._seen.get(digest)
        if grant is None:
            grant = self._verify(text, issuer)
            self._seen[digest] = grant
            if len(self._seen) > self._REMEMBERED:
                self._seen.popitem(last=False)
        if grant.expires <= wall.timestamp():
            raise BadToken("the access token has expired")
        if grant.thumbprint != certificate.thumbprint:
            raise BadToken("the access token is bound to another certificate")
        return grant

    def _verify(self, text: str, issuer: str) -> Grant:
        try:
            raw = jwt.decode(text, self._key, algorithms=["ES256"]).claims
        except (JoseError, ValueError) as wrong:
            raise BadToken("the access token is not one of ours") from wrong
        binding = raw.get("cnf")
        if raw.get("aud") != issuer or not isinstance(binding, dict):
            raise BadToken("the access token is not meant for this listener")
        claims = read_claims({**raw, "iss": raw.get("client_id")})
        return Grant(claims, int(raw["exp"]), str(binding.get("x5t#S256")))

    def voucher(
        self,
        requester: Requester,
        situation: Situation,
        query: Query,
        *,
        audience: ApplicationId,
        rule: str,
        view: str | None,
        issuer: str,
        request_id: str,
        wall: datetime,
        seconds: int = 60,
    ) -> str:
        """What a source gets with a query: who asks, under which row, for which patient (interface.md section 5)."""
        now = int(wall.timestamp())
        claims: dict[str, Any] = {
            "iss": issuer, "aud": audience.digits, "iat": now, "exp": now + seconds, "jti": request_id,
            "patient": query.patient.digits, "requester": requester.ura.digits,
            "purpose": situation.purpose.value, "rule": rule,
        }  # fmt: skip
        claims |= _persons(requester.actor, requester.responsible)
        if view:
            claims["view"] = view
        return self._sign(claims)

    def delivery_voucher(
        self,
        sender: Sender | None,
        patient: Bsn | None,
        *,
        audience: ApplicationId,
        row: Row | None,
        issuer: str,
        request_id: str,
        wall: datetime,
        seconds: int = 60,
    ) -> str:
        """What a recipient gets with a message: who sends, under which row, about which patient (interface.md section
        5). Without a sender it is the exchange's own message, under no row: `rule` is then `notice`."""
        now = int(wall.timestamp())
        claims: dict[str, Any] = {
            "iss": issuer, "aud": audience.digits, "iat": now, "exp": now + seconds, "jti": request_id,
            "rule": row.id if row else NOTICE,
        }  # fmt: skip
        if patient:
            claims["patient"] = patient.digits
        if sender:
            claims |= {"requester": sender.ura.digits, "purpose": sender.situation.purpose.value}
            claims |= _persons(sender.actor, sender.responsible)
        return self._sign(claims)


def _persons(actor: Professional | None, responsible: Responsible | None) -> dict[str, Any]:
    """The claims that name who acted, and under whose mandate."""
    named = (("actor", actor), ("responsible", responsible))
    return {claim: _person(one.uzi, one.name, one.role) for claim, one in named if one}


def _person(uzi: str, name: str, role: str) -> dict[str, str]:
    return {"uzi": uzi, "name": name, "role": role}
