"""What may every certificate in good standing read? The capability statement, the participants, our own definitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.fhir import catalogue, definitions, reading, showing, writing
from gateway.fhir.reading import DirectorySearch
from gateway.rules.identifiers import APPLICATION_SYSTEM, URA_SYSTEM
from gateway.rules.network import Network
from gateway.web.answer import Answering, Asked
from gateway.web.problems import Problem
from gateway.web.site import Site

Listed = list[tuple[str, bytes]]


async def capabilities(site: Site, asked: Asked) -> Answering:
    """The CapabilityStatement, from the registry that makes the routes; also the ping."""
    reading.plain(asked.query_string)
    body = definitions.capability(url=site.fhir_base, at=site.started, version=site.version, simulation=site.simulation)
    return Answering(200, body)


async def listing(site: Site, asked: Asked) -> Answering:
    """A list of participants, endpoints or definitions; `identifier` narrows."""
    word = reading.search(asked.interaction, asked.body, asked.content_type, asked.query_string)
    assert isinstance(word, DirectorySearch), "every list reads as a directory search"
    found = _listed(word.resource_type, await site.means.live.network(), word.identifier)
    resources = [(f"{site.fhir_base}/{word.resource_type}/{id}", body) for id, body in found]
    url = f"{site.fhir_base}/{word.resource_type}"
    return Answering(200, writing.listing(resources, id=site.means.new_id(), at=site.means.live.wall(), self_url=url))


def _listed(kind: str, network: Network, identifier: tuple[str, str] | None) -> Listed:
    if kind == "Organization":
        organisations = sorted(network.organisations.values(), key=lambda one: one.ura.digits)
        return [
            (one.ura.digits, showing.organisation(one))
            for one in organisations
            if identifier in (None, (URA_SYSTEM, one.ura.digits))
        ]
    if kind == "Endpoint":
        systems = sorted(network.systems.values(), key=lambda one: one.application.digits)
        return [
            (one.application.digits, showing.endpoint(one))
            for one in systems
            if one.endpoint and identifier in (None, (APPLICATION_SYSTEM, one.application.digits))
        ]
    return list(definitions.PUBLISHED[kind].items())


async def read(site: Site, asked: Asked) -> Answering:
    """One participant, endpoint or definition by id."""
    reading.plain(asked.query_string)
    kind = asked.interaction.resource_type or ""
    for id, body in _listed(kind, await site.means.live.network(), None):
        if id == asked.id:
            return Answering(200, body)
    raise Problem(404, "not-found", "There is no such resource.")


_KINDS = ("Organization", "Endpoint", *catalogue.DEFINITIONS)

HANDLERS: dict[str, Callable[[Site, Asked], Awaitable[Answering]]] = {
    "capabilities": capabilities,
    **{f"list-{kind}": listing for kind in _KINDS},
    **{f"read-{kind}": read for kind in _KINDS},
}
