"""How are real instances from a folder served in a running simulation? A practice and a pharmacy join with them.

Their patients (fictitious, as published examples are) are stated to have said yes, so that a query finds them.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from gateway.cli.ask import system_from
from gateway.cli.opened import with_means
from gateway.cli.pki import authority
from gateway.cli.place import Misuse, Place
from gateway.cli.ports import free_port
from gateway.cli.staging import participant, write_join
from gateway.flows.operating import join
from source_sim import country
from source_sim.country import Participant
from source_sim.custodians import Choice, Custodian
from source_sim.requesters import TokenRefused

HOLDERS = (
    Participant("recorded-practice", "90000191", "400191", "Z3", "Test Praktijk Voorbeelden", serves=True),
    Participant("recorded-pharmacy", "90000291", "400291", "J8", "Test Apotheek Voorbeelden", serves=True),
)
_HELD = {"Z3": ("gp-summary", "treatment-limits"), "J8": ("medication", "allergies")}
_KINDS = {"Z3": "gp-practice", "J8": "pharmacy"}


def prepare(place: Place, directory: Path, patients: tuple[str, ...]) -> Path:
    """Join the two holders, record the patients' yes, register them; returns the configuration to serve.
    Raises Misuse."""
    if not patients:
        raise Misuse(f"no patient with a BSN in {directory}; nothing there can be served")
    systems = [_joined(place, one, directory) for one in HOLDERS]
    try:
        asyncio.run(_register(place, patients))
    except (httpx.HTTPError, TokenRefused) as wrong:
        raise Misuse(f"the exchange did not let the holders in: {type(wrong).__name__}") from wrong
    told = {
        "gateway_ura": country.GATEWAY.ura,
        "issuer": place.exchange,
        "jwks_url": place.exchange + "/.well-known/jwks.json",
        "systems": systems,
    }
    path = place.state / "recorded.json"
    path.write_text(json.dumps(told, indent=2), "utf-8")
    return path


def _folder(place: Place, one: Participant) -> Path:
    return place.state / "systems" / one.key


def _joined(place: Place, one: Participant, directory: Path) -> dict[str, Any]:
    port, own = free_port(), _folder(place, one)
    endpoint = f"https://127.0.0.1:{port}/fhir"
    hosts = ("localhost", "127.0.0.1")
    authority(place.pki).issue(one.ura, one.application, one.name, now=datetime.now(UTC), dns=hosts, out=own)
    with_means(place, lambda means: join(means, *participant(one, endpoint), by="switchpoint sources"))
    write_join(own, one, endpoint, exchange=place.exchange, token_endpoint=place.token_endpoint)
    return {
        "kind": _KINDS[one.organisation_type],
        "ura": one.ura,
        "application": one.application,
        "name": one.name,
        "port": port,
        "cert": str(own / "client.pem"),
        "key": str(own / "client.key"),
        "ca": str(own / "ca.pem"),
        "records": str(directory.absolute()),
    }


async def _register(place: Place, patients: tuple[str, ...]) -> None:
    for one in HOLDERS:
        async with system_from(_folder(place, one)) as system:
            custodian = Custodian(system)
            for bsn in patients:
                await custodian.state_consent(bsn, Choice())
                for category in _HELD[one.organisation_type]:
                    reply = await custodian.register_entry(bsn, category)
                    if reply.status not in (200, 201):
                        raise Misuse(f"a patient was not registered: {reply.status} {reply.sentence}")
