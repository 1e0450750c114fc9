"""How is a requester answered? The five query types, localisation and `$explain`: read, flow, write."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from gateway.fhir import bodies, headers, reading, writing
from gateway.fhir.failed import failed_search
from gateway.fhir.reading import ConsentSearch, Localise, OwnEntries
from gateway.flows import localise, query
from gateway.flows.deciding import Refused
from gateway.rules.exchange import Category, Query
from gateway.rules.routing import Combined
from gateway.web import custody
from gateway.web.answer import Answering, Asked, call, claims, same_patient
from gateway.web.problems import SOURCE_FAILURES, Problem, barred
from gateway.web.site import Site

_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]{1,5})\"?\s*(?:$|[,;])")


def wish(prefer: str | None) -> float | None:
    """How many seconds the caller will wait (`Prefer: wait=N`, RFC 7240), or None. Zero and nonsense are ignored."""
    found = _WAIT.search(prefer) if prefer else None
    seconds = float(found[1]) if found else 0.0
    return seconds if seconds > 0 else None


async def search(site: Site, asked: Asked) -> Answering:
    """One clinical search of one type."""
    word = reading.search(asked.interaction, asked.body, asked.content_type, asked.query_string)
    if isinstance(word, ConsentSearch):
        return await custody.own_consents(site, asked, word)
    if not isinstance(word, Query):
        raise Problem(400, "not-supported", "This search is not offered here.")
    same_patient(asked, word.patient)
    combined = await query.ask(site.means, call(site, asked, just_let_in=True), word, wish(asked.prefer))
    if isinstance(combined, Refused):
        raise barred(combined.bar, combined.sentence, journaled=True)
    return _answer(site, asked, combined)


def _answer(site: Site, asked: Asked, combined: Combined) -> Answering:
    if combined.wholly_failed is not None:
        return _failed(combined)
    body = writing.searchset(
        id=site.means.new_id(),
        at=site.means.live.wall(),
        self_url=f"{site.fhir_base}/{asked.interaction.resource_type}/_search",
        legs=_legs(combined),
        completeness=combined.completeness,
        flags=combined.flags,
    )
    return Answering(200, body)


def _failed(combined: Combined) -> Answering:
    """Every source failed: the common failure is the status, one issue per source says which."""
    assert combined.wholly_failed is not None, "only asked for a wholly failed search"
    status, sentence = SOURCE_FAILURES[combined.wholly_failed]
    return Answering(status, failed_search(combined.wholly_failed, sentence, _legs(combined)))


def _legs(combined: Combined) -> list[writing.Leg]:
    return [(leg.address, leg.outcome) for leg in combined.legs]


async def search_list(site: Site, asked: Asked) -> Answering:
    """Localisation for a requester; own entries for a custodian."""
    word = reading.search(asked.interaction, asked.body, asked.content_type, asked.query_string)
    if isinstance(word, OwnEntries):
        return await custody.own_entries(site, asked, word)
    if not isinstance(word, Localise):
        raise Problem(400, "not-supported", "This search is not offered here.")
    same_patient(asked, word.patient)
    found = await localise.localise(site.means, call(site, asked), word.patient, word.category)
    if isinstance(found, Refused):
        raise barred(found.bar, found.sentence, journaled=True)
    return custody.entry_listing(site, found)


async def explain(site: Site, asked: Asked) -> Answering:
    """The decision without any query, in a simulation."""
    headers.json_body(asked.content_type)
    reading.plain(asked.query_string)
    category = bodies.explain(asked.body)
    patient = claims(asked).patient
    if patient is None:
        raise Problem(403, "token-patient-mismatch", "The token is for no patient.")
    told = await localise.explain_query(site.means, call(site, asked), patient, Category(category))
    return Answering(200, writing.parameters_explained(told))


_SEARCHED = ("Bundle", "MedicationDispense", "MedicationRequest", "MedicationStatement", "AllergyIntolerance", "Flag")

HANDLERS: dict[str, Callable[[Site, Asked], Awaitable[Answering]]] = {
    **{f"search-{kind}": search for kind in _SEARCHED},
    "search-Consent": search,
    "search-List": search_list,
    "explain": explain,
}
