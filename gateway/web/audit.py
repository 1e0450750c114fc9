"""How is the journal read as FHIR? By a custodian about its own data, page by page; by a patient about herself, whole.

A further page is one GET of an opaque link; who reads, and about whom, is told by certificate and token as on the first
page. Every page read is journaled before it is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.fhir import auditing, reading, writing
from gateway.fhir.reading import AuditSearch
from gateway.flows.reading import Extract, read_as_custodian, read_on_as_custodian
from gateway.rules.identifiers import Bsn
from gateway.web.answer import Answering, Asked, call, claims, same_patient
from gateway.web.custody import party
from gateway.web.problems import Problem
from gateway.web.site import Site

_PAGE = 50


async def search_audit(site: Site, asked: Asked) -> Answering:
    """What happened with this custodian's own data about a patient, newest first; the token names the patient."""
    word = reading.search(asked.interaction, asked.body, asked.content_type, asked.query_string)
    if not isinstance(word, AuditSearch):
        raise Problem(400, "not-supported", "This search is not offered here.")
    await party(site, asked)
    same_patient(asked, word.patient)
    flow_call = call(site, asked)
    count = word.count or _PAGE
    found = await read_as_custodian(site.means, flow_call, word.patient, word.since, word.until, count)
    return _answer(site, found, word.patient, "_search")


async def page_audit(site: Site, asked: Asked) -> Answering:
    """A further page of such a search; a link that is not this custodian's about the token's patient is not there."""
    reading.plain(asked.query_string)
    await party(site, asked)
    patient = claims(asked).patient
    if patient is None:
        raise Problem(403, "token-patient-mismatch", "The token is for no patient.")
    page = asked.id or ""
    found = await read_on_as_custodian(site.means, call(site, asked), patient, page)
    if found is None:
        raise Problem(404, "not-found", "There is no such page.")
    return _answer(site, found, patient, f"_page/{page}")


def _answer(site: Site, found: Extract, patient: Bsn, here: str) -> Answering:
    base = f"{site.fhir_base}/AuditEvent"
    listed = [
        (f"{base}/{kept.seq}", auditing.audit_event(kept.seq, kept.line, patient=patient)) for kept in found.lines
    ]
    body = writing.listing(
        listed,
        id=site.means.new_id(),
        at=site.means.live.wall(),
        self_url=f"{base}/{here}",
        next_url=None if found.next_page is None else f"{base}/_page/{found.next_page}",
        total=found.total,
    )
    return Answering(200, body)


HANDLERS: dict[str, Callable[[Site, Asked], Awaitable[Answering]]] = {
    "search-AuditEvent": search_audit,
    "page-AuditEvent": page_audit,
}
