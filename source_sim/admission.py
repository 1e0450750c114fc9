"""Who may ask a source? Only the gateway, by its certificate, with a token it signed for this source and this patient.

It knows X.509, JWS and the voucher of interface.md section 5. It may not know what is asked, nor read the wall clock:
the gate is given one. No claim is trusted before the signature is checked, and no refusal repeats what it was given.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Protocol

import httpx
from cryptography import x509
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from source_sim.faults import outcome

_SKEW: Final = 60
"""Seconds that two clocks may differ."""
_IDENTITY: Final = re.compile(r"[0-9.]+-[0-9]+-[0-9]{9}-S-([0-9]{8})-[0-9.]+-[0-9]{8}")
_PAUSE: Final = 1.0
"""Seconds between two fetches of the keys: a flood of unknown key ids shall not become a flood of fetches."""


class Refused(Exception):
    """This call is answered with a refusal: `reply`."""

    def __init__(self, status: int, code: str, text: str, issue: str = "forbidden") -> None:
        super().__init__(code)
        challenge = ((b"www-authenticate", b"Bearer"),) if status == 401 else ()
        self.reply = replace(outcome(status, code, text, issue), headers=challenge)


class KeysUnavailable(Exception):
    """The gateway's keys could not be fetched: nobody can be let in, and it is not the caller's fault."""


class Keys(Protocol):
    """The gateway's public keys."""

    async def find(self, kid: str | None) -> ECKey | None:
        """The key with that id; None asks for the only key there is. Raises KeysUnavailable."""


class KnownKeys:
    """Keys from a JWKS handed in. Raises ValueError or JoseError for what is no JWKS."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        listed = list(jwks.get("keys", ()))
        found = KeySet.import_key_set({"keys": listed}).keys if listed else []
        self._keys = {key.kid: key for key in found if isinstance(key, ECKey)}

    async def find(self, kid: str | None) -> ECKey | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)


class FetchedKeys:
    """Keys from the gateway's own address, fetched again when an unknown key id turns up.

    `tls` carries the source's own certificate; `ticks` counts seconds (monotonic).
    """

    def __init__(self, url: str, tls: ssl.SSLContext, ticks: Callable[[], float]) -> None:
        self._url, self._ticks = url, ticks
        self._web = httpx.AsyncClient(verify=tls, trust_env=False, timeout=5.0)
        self._known, self._fetched, self._lock = KnownKeys({}), float("-inf"), asyncio.Lock()

    async def find(self, kid: str | None) -> ECKey | None:
        if found := await self._known.find(kid):
            return found
        async with self._lock:
            if self._ticks() - self._fetched >= _PAUSE:
                self._known, self._fetched = await self._fetch(), self._ticks()
        return await self._known.find(kid)

    async def _fetch(self) -> KnownKeys:
        try:
            answer = await self._web.get(self._url)
            return KnownKeys(answer.raise_for_status().json())
        except (httpx.HTTPError, JoseError, ValueError, AttributeError, TypeError, KeyError) as problem:
            raise KeysUnavailable from problem

    async def close(self) -> None:
        await self._web.aclose()


@dataclass(frozen=True, slots=True)
class Voucher:
    """What the gateway vouches for: who asks, for which patient, under which row. Persons are as the token has them."""

    patient: str = field(repr=False)
    requester: str
    rule: str
    purpose: str = ""
    view: str = ""
    actor: Mapping[str, Any] | None = None
    responsible: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """Whom a system lets in. `application` is its own id, the audience of a token; `wall` is wall time.

    `gateway_ura` None: no certificate is asked for (in process, where there is none). `issuer` None: any issuer.
    """

    application: str
    keys: Keys = field(repr=False)
    wall: Callable[[], datetime] = field(repr=False)
    gateway_ura: str | None = None
    issuer: str | None = None

    def check_certificate(self, certificate: bytes | None) -> None:
        """`certificate` is DER, of a chain that TLS has verified. Raises Refused."""
        if self.gateway_ura is None:
            return
        if certificate is None or ura_of(certificate) != self.gateway_ura:
            raise Refused(403, "unknown-party", "Only the switchpoint may ask here.")

    async def admit(self, authorization: bytes) -> Voucher:
        """Verify the Authorization header of a search. Raises Refused."""
        return _voucher(await self._claims(authorization), ("patient", "requester", "rule"))

    async def admit_delivery(self, authorization: bytes) -> Voucher:
        """Verify the Authorization header of a message: the exchange's own has no requester, and some no patient, which
        are then empty. Raises Refused."""
        return _voucher(await self._claims(authorization), ("rule",))

    async def _claims(self, authorization: bytes) -> Mapping[str, Any]:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise _unauthorised("A bearer token is wanted.")
        try:
            key = await self.keys.find(_key_id(token))
            if key is None:
                raise _unauthorised("No such key.")
            claims = json.loads(jws.deserialize_compact(token, key, algorithms=["ES256"]).payload or b"")
        except (JoseError, ValueError, TypeError) as problem:
            raise _unauthorised("The token cannot be verified.") from problem
        except KeysUnavailable as problem:
            raise Refused(503, "unavailable", "The switchpoint's keys cannot be had.", "transient") from problem
        if not isinstance(claims, dict):
            raise _unauthorised("A token has claims.")
        self._check(claims)
        return claims

    def _check(self, claims: Mapping[str, Any]) -> None:
        if claims.get("aud") != self.application:
            raise _unauthorised("The token is meant for another.")
        if not isinstance(claims.get("iss"), str) or self.issuer not in (None, claims["iss"]):
            raise _unauthorised("The token is not the switchpoint's.")
        if not _in_time(claims, self.wall()):
            raise _unauthorised("The token is not valid now.")


def _voucher(claims: Mapping[str, Any], needed: tuple[str, ...]) -> Voucher:
    told = {name: claims.get(name, "") for name in ("patient", "requester", "rule")}
    if not all(isinstance(value, str) and (value or name not in needed) for name, value in told.items()):
        raise Refused(403, "not-authorised", "Who asks, about whom, and by which rule must be told.")
    actor, responsible = (claims.get(name) for name in ("actor", "responsible"))
    return Voucher(
        **told,
        purpose=str(claims.get("purpose", "")),
        view=str(claims.get("view", "")),
        actor=actor if isinstance(actor, dict) else None,
        responsible=responsible if isinstance(responsible, dict) else None,
    )


def _in_time(claims: Mapping[str, Any], now: datetime) -> bool:
    expires, issued = claims.get("exp"), claims.get("iat")
    return type(expires) is int and type(issued) is int and issued - _SKEW <= now.timestamp() < expires


def _key_id(token: bytes) -> str | None:
    """Raises ValueError for what is no token header."""
    header = json.loads(base64.urlsafe_b64decode(token.partition(b".")[0] + b"=="))
    kid = header.get("kid") if isinstance(header, dict) else None
    return kid if isinstance(kid, str) else None


def _unauthorised(text: str) -> Refused:
    return Refused(401, "invalid-token", text, "login")


@lru_cache(maxsize=1024)
def ura_of(certificate: bytes) -> str | None:
    """The URA in a UZI server certificate (DER): fifth of the seven parts in its otherName. None if it has none."""
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return None
    others = [each for each in names if isinstance(each, x509.OtherName) and each.type_id.dotted_string == "2.5.5.5"]
    # the value is a DER string: one byte of tag, one of length, the text
    text = others[0].value[2:].decode("ascii", "replace") if len(others) == 1 else ""
    parts = _IDENTITY.fullmatch(text)
    return parts[1] if parts else None
