"""What does a handler get and give? One request let in, one answer; no HTTP machinery."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.fhir.catalogue import Interaction
from gateway.flows.means import Call
from gateway.identity.claims import Claims
from gateway.rules.exchange import AortaId, Requester
from gateway.rules.identifiers import Bsn
from gateway.web.problems import Problem
from gateway.web.site import Caller, Site, call_of


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, matched and let in; `id` is the one in its path."""

    interaction: Interaction
    id: str | None
    caller: Caller
    aorta: AortaId
    body: bytes = field(repr=False)
    content_type: str | None = None
    query_string: bytes = b""
    if_match: str | None = None
    prefer: str | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """Status, body (FHIR JSON), extra headers."""

    status: int
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()


def call(site: Site, asked: Asked, *, just_let_in: bool = False) -> Call:
    """The flow's view of this request (`just_let_in`: see `call_of`)."""
    return call_of(site, asked.caller, asked.aorta, asked.interaction.name, just_let_in=just_let_in)


def claims(asked: Asked) -> Claims:
    """The token's claims; the registry says which interactions have them."""
    found = asked.caller.claims
    if found is None:
        raise Problem(401, "no-token", "This interaction needs a bearer token from /token.")
    return found


def same_patient(asked: Asked, patient: Bsn) -> None:
    """One token, one patient. Raises Problem (403 token-patient-mismatch)."""
    if claims(asked).patient != patient:
        sentence = "The token is for another patient, or for none."
        raise Problem(403, "token-patient-mismatch", sentence, patient=patient)


async def requester(site: Site, asked: Asked) -> Requester:
    """Who asks, by the register, now. Raises LedgerUnavailable."""
    return call(site, asked).party(await site.means.live.network())
