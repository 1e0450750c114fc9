"""Who is at the door of the exchange listener? Certificate, revocation and token, checked on every request.

Gives a Caller or a Problem; decides nothing about patients.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.flows.means import Call, Means
from gateway.identity.certificate import Authority, Certificate, NotUzi, read_certificate
from gateway.identity.claims import Claims
from gateway.identity.party import requester_from
from gateway.identity.tokens import BadToken, SigningKey
from gateway.rules.access import Bar
from gateway.rules.exchange import AortaId, Requester
from gateway.rules.network import Network
from gateway.stores.revocation import RevocationList, Standing
from gateway.web.problems import Problem, barred

CERTIFICATE = "switchpoint.certificate"


@dataclass(frozen=True, slots=True)
class Site:
    """What the exchange's pages need: the means of the flows, the signing key, and who is trusted."""

    means: Means
    signing: SigningKey
    authority: Authority
    revocation: RevocationList
    base: str
    token_seconds: int
    simulation: bool
    started: datetime
    version: str

    @property
    def token_endpoint(self) -> str:
        return self.base + "/token"

    @property
    def fhir_base(self) -> str:
        return self.base + "/fhir"

    def in_good_standing(self, certificate: Certificate) -> bool:
        return self.revocation.check(certificate.serial_number, self.means.live.wall()) is Standing.GOOD


@dataclass(frozen=True, slots=True)
class Caller:
    """A connection in good standing: its certificate, the claims of its token if it brought one, and the network by
    which it was let in."""

    certificate: Certificate
    claims: Claims | None
    network: Network


async def let_in(site: Site, scope: MutableMapping[str, Any]) -> tuple[Certificate, Network]:
    """The certificate of this connection, in good standing now, and the network that says so. Raises Problem."""
    der = scope.get("extensions", {}).get(CERTIFICATE)
    if der is None:
        raise Problem(401, Bar.UNKNOWN_PARTY, "This listener needs a client certificate.")
    try:
        certificate = read_certificate(der)
    except NotUzi as wrong:
        raise Problem(
            403, Bar.UNKNOWN_PARTY, f"The client certificate names no party on the network: {wrong}."
        ) from wrong
    wall = site.means.live.wall()
    if not certificate.not_before <= wall <= certificate.not_after:
        raise barred(Bar.UNKNOWN_PARTY)  # TLS saw to it at the handshake; a kept connection may outlive it
    standing = site.revocation.check(certificate.serial_number, wall)
    if standing is Standing.STALE:
        raise Problem(503, "revocation-unknown", "The revocation list is missing or expired; nobody is let in.")
    network = await site.means.live.network()
    revoked = standing is Standing.REVOKED or certificate.serial in network.revoked
    if revoked or certificate.ura not in network.organisations:
        raise barred(Bar.UNKNOWN_PARTY)
    return certificate, network


async def certificate_of(site: Site, scope: MutableMapping[str, Any]) -> Certificate:
    """The certificate of this connection, in good standing now. Raises Problem."""
    certificate, _ = await let_in(site, scope)
    return certificate


def claims_of(site: Site, certificate: Certificate, authorization: str | None) -> Claims:
    """The claims of the bearer token, bound to this certificate. Raises Problem (401)."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _unauthorised("no-token", "This interaction needs a bearer token from /token.", "")
    try:
        grant = site.signing.read_access_token(
            token.strip(), certificate, issuer=site.base, wall=site.means.live.wall()
        )
    except BadToken as wrong:
        raise _unauthorised(
            "bad-token", f"The bearer token is not valid: {wrong}.", ' error="invalid_token"'
        ) from wrong
    return grant.claims


def _unauthorised(code: str, sentence: str, error: str) -> Problem:
    return Problem(401, code, sentence, {"WWW-Authenticate": "Bearer" + error})


def call_of(site: Site, caller: Caller, aorta: AortaId, interaction: str, *, just_let_in: bool = False) -> Call:
    """The call a flow gets: who is calling can be asked again at the moment of release. `just_let_in`: the flow asks it
    first in this same moment, in which the revocation list has been looked at already."""
    claims = caller.claims
    if claims is None:
        raise _unauthorised("no-token", "This interaction needs a bearer token from /token.", "")
    looked_at = [just_let_in]

    def party(network: Network) -> Requester:
        standing = (looked_at and looked_at.pop()) or site.in_good_standing(caller.certificate)
        return requester_from(network, caller.certificate, claims, in_good_standing=standing)

    return Call(aorta, claims.situation, party, interaction, caller.network)


class Headers:
    """The headers of one request, by lower-case name. Repeated headers count as the first."""

    __slots__ = ("_given",)

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._given: dict[bytes, bytes] = dict(reversed(scope["headers"]))

    def get(self, name: bytes) -> str | None:
        """One header as text, or None."""
        found = self._given.get(name)
        return None if found is None else found.decode("latin-1")
