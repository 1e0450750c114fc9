"""How is a custodian answered? Its entries, its patients' consents, and a batch of both.

The owner is the certificate's organisation everywhere: what is another's is not there (404), naming another is 403.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from gateway.fhir import bodies, choices, headers, reading, showing, writing
from gateway.fhir.bodies import BatchEntry
from gateway.fhir.reading import ConsentSearch, OwnEntries
from gateway.fhir.writing import BatchAnswer
from gateway.flows import consent, registration
from gateway.flows.registration import Registered, Wrong
from gateway.rules.access import Bar
from gateway.rules.exchange import PatientKey, Pointer, Requester
from gateway.web.answer import Answering, Asked, call, requester
from gateway.web.problems import Problem, barred
from gateway.web.site import Site

_NOT_FOUND = "There is no such resource of this organisation."


async def party(site: Site, asked: Asked) -> Requester:
    """The custodian, still a party on the network. Raises Problem."""
    who = await requester(site, asked)
    if who.revoked:
        raise barred(Bar.UNKNOWN_PARTY)
    return who


def _wrong(wrong: Wrong) -> Problem:
    if wrong is Wrong.UNKNOWN:
        return Problem(404, "not-found", _NOT_FOUND)
    return Problem(403, Bar.UNKNOWN_PARTY, "The entry names another organisation or a system that is not its own.")


# --- index entries ---------------------------------------------------------------------------------------------------


async def create_list(site: Site, asked: Asked) -> Answering:
    """Register an entry: 201 first, 200 again."""
    headers.json_body(asked.content_type)
    reading.plain(asked.query_string)
    await party(site, asked)
    outcome = await registration.register_entry(site.means, call(site, asked), bodies.entry(asked.body))
    if isinstance(outcome, Wrong):
        raise _wrong(outcome)
    if isinstance(outcome, Bar):
        raise barred(outcome, journaled=True)
    return _entry_answer(site, outcome)


def _entry_answer(site: Site, outcome: Registered) -> Answering:
    location = f"{site.fhir_base}/List/{outcome.pointer.id}"
    return Answering(201 if outcome.created else 200, showing.entry(outcome.pointer), (("Location", location),))


async def read_list(site: Site, asked: Asked) -> Answering:
    reading.plain(asked.query_string)
    await party(site, asked)
    found = await registration.read_entry(site.means, call(site, asked), asked.id or "")
    if isinstance(found, Wrong):
        raise _wrong(found)
    return Answering(200, showing.entry(found))


async def delete_list(site: Site, asked: Asked) -> Answering:
    """End an entry (afmelden)."""
    reading.plain(asked.query_string)
    await party(site, asked)
    found = await registration.end_entry(site.means, call(site, asked), asked.id or "")
    if isinstance(found, Wrong):
        raise _wrong(found)
    return Answering(200, writing.outcome("ended", severity="information"))


async def own_entries(site: Site, asked: Asked, word: OwnEntries) -> Answering:
    await party(site, asked)
    found = await registration.own_entries(site.means, call(site, asked), word.application)
    if isinstance(found, Wrong):
        raise _wrong(found)
    return entry_listing(site, found)


def entry_listing(site: Site, pointers: Sequence[Pointer]) -> Answering:
    """A searchset of entries; never with a BSN."""
    listed = [(f"{site.fhir_base}/List/{pointer.id}", showing.entry(pointer)) for pointer in pointers]
    return Answering(200, _listing(site, "List", listed))


def _listing(site: Site, kind: str, resources: Sequence[tuple[str, bytes]]) -> bytes:
    url = f"{site.fhir_base}/{kind}/_search"
    return writing.listing(resources, id=site.means.new_id(), at=site.means.live.wall(), self_url=url)


# --- consent ---------------------------------------------------------------------------------------------------------


async def create_consent(site: Site, asked: Asked) -> Answering:
    """Take a patient's statement in, by a custodian for itself."""
    headers.json_body(asked.content_type)
    reading.plain(asked.query_string)
    sender = await party(site, asked)
    choice = choices.choice(asked.body, sender=sender.ura)
    kept = await consent.state_choice(site.means, choice, aorta=asked.aorta, sender=sender)
    return _consent_answer(site, kept, 201)


def _consent_answer(site: Site, kept: consent.Kept, status: int) -> Answering:
    body = showing.consent(kept.id, kept.version, kept.statement, kept.state)
    location = f"{site.fhir_base}/Consent/{kept.id}"
    return Answering(status, body, (("Location", location), ("ETag", f'W/"{kept.version}"')))


async def read_consent(site: Site, asked: Asked) -> Answering:
    reading.plain(asked.query_string)
    kept, _patient = await consent.read_consent(site.means, await party(site, asked), asked.id or "")
    return _consent_answer(site, kept, 200)


async def update_consent(site: Site, asked: Asked) -> Answering:
    """Change what is said about the same scope; `If-Match` guards against a version read earlier."""
    headers.json_body(asked.content_type)
    reading.plain(asked.query_string)
    sender = await party(site, asked)
    choice = choices.choice(asked.body, sender=sender.ura)
    kept = await consent.state_choice(
        site.means,
        choice,
        aorta=asked.aorta,
        sender=sender,
        resource=asked.id,
        expected_version=_version(asked.if_match),
    )
    return _consent_answer(site, kept, 200)


def _version(if_match: str | None) -> int | None:
    """The version in an If-Match header; None where there is none. Raises Problem for one we never gave out."""
    if if_match is None:
        return None
    found = re.fullmatch(r'(?:W/)?"([0-9]{1,9})"', if_match.strip())
    if found is None:
        raise Problem(412, "stale-version", "If-Match holds no version of this resource.")
    return int(found[1])


async def own_consents(site: Site, asked: Asked, word: ConsentSearch) -> Answering:
    """The consents about this custodian that it recorded for a patient."""
    sender = await party(site, asked)
    patient: PatientKey = site.means.keys.patient(word.patient)
    found = await consent.own_consents(site.means, sender, patient, asked.aorta)
    listed = [
        (f"{site.fhir_base}/Consent/{kept.id}", showing.consent(kept.id, kept.version, kept.statement, kept.state))
        for kept in found
    ]
    return Answering(200, _listing(site, "Consent", listed))


# --- batch -----------------------------------------------------------------------------------------------------------


async def batch(site: Site, asked: Asked) -> Answering:
    """Many Lists and Consents, each with its own status; one wrong entry spoils no other."""
    headers.json_body(asked.content_type)
    reading.plain(asked.query_string)
    await party(site, asked)
    answers = [await _batched(site, asked, entry) for entry in bodies.batch(asked.body)]
    return Answering(200, writing.batch_response(answers, id=site.means.new_id(), at=site.means.live.wall()))


_BATCHED: dict[tuple[str, str], Callable[[Site, Asked], Awaitable[Answering]]] = {
    ("POST", "List"): create_list,
    ("POST", "Consent"): create_consent,
}


async def _batched(site: Site, asked: Asked, entry: BatchEntry) -> BatchAnswer:
    from gateway.web.fhir_api import problem_of

    try:
        act = _BATCHED.get((entry.method, entry.url))
        if act is None or entry.body is None:
            raise Problem(400, "not-supported", "A batch takes POST of List and Consent.")
        one = replace(asked, body=entry.body, content_type="application/fhir+json")
        return _batch_answer(await act(site, one))
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            raise
        return BatchAnswer(problem.status, outcome=writing.outcome(problem.code, problem.sentence))


def _batch_answer(answering: Answering) -> BatchAnswer:
    told = dict(answering.headers)
    return BatchAnswer(answering.status, answering.body, location=told.get("Location"), etag=told.get("ETag"))


HANDLERS: dict[str, Callable[[Site, Asked], Awaitable[Answering]]] = {
    "batch": batch,
    "create-List": create_list,
    "read-List": read_list,
    "delete-List": delete_list,
    "create-Consent": create_consent,
    "read-Consent": read_consent,
    "update-Consent": update_consent,
}
