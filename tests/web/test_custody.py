"""Can a custodian do all that is its own, and nothing with what is another's? Entries, consents, batch, journal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from exchange_made import BAD_BSN, THEM, US, Exchange, Member, N, S
from fhir.resources.R4B.auditevent import AuditEvent
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.consent import Consent
from fhir.resources.R4B.list import List

from gateway.rules.journal import Event
from source_sim import custodians


class At:
    """One member at the exchange, with its system token."""

    def __init__(self, exchange: Exchange, member: Member, token: str) -> None:
        self._exchange, self._member, self._token = exchange, member, token

    async def __call__(self, method: str, path: str, resource: Any = None, **more: Any) -> Any:
        return await self._exchange.call(method, path, by=self._member, token=self._token, resource=resource, **more)


async def _at(exchange: Exchange, member: Member, patient: str | None = None) -> At:
    return At(exchange, member, await exchange.token(member, patient=patient))


# --- entries ---------------------------------------------------------------------------------------------------------


async def test_an_entry_from_registration_to_its_end(exchange: Exchange, members: SimpleNamespace) -> None:
    practice = await _at(exchange, members.practice)
    entry = members.practice.entry()
    refused = await practice("POST", "/List", entry)
    assert (refused.status, refused.code) == (403, "no-consent")
    assert (await practice("POST", "/Consent", members.practice.consent())).status == 201
    made, again = await practice("POST", "/List", entry), await practice("POST", "/List", entry)
    assert (made.status, again.status) == (201, 200)
    assert made.headers["location"] == f"https://exchange.test/fhir/List/{made.json['id']}"
    assert made.body == again.body
    assert US.encode() not in made.body
    List.model_validate(made.json)
    read = await practice("GET", f"/List/{made.json['id']}")
    assert (read.status, read.body) == (200, made.body)
    form = [("source:Device.identifier", f"{N}aorta-app-id|{members.practice.application}")]
    own = await practice("POST", "/List/_search", form=form)
    assert [one["id"] for one in own.resources] == [made.json["id"]]
    ended = await practice("DELETE", f"/List/{made.json['id']}")
    assert (ended.status, ended.code) == (200, "ended")
    assert (await practice("GET", f"/List/{made.json['id']}")).status == 404
    events = [line.event for line in await exchange.journal() if line.event is not Event.TOKEN_ISSUED]
    assert events == [
        Event.ENTRY_REFUSED, Event.CONSENT_STATED, Event.ENTRY_REGISTERED, Event.ENTRY_REGISTERED,
        Event.OWN_ENTRIES_READ, Event.ENTRY_ENDED,
    ]  # fmt: skip


ENTRIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "another organisation": ({"ura": "90000102"}, 403, "unknown-party"),
    "another's system": ({"application": "102"}, 403, "unknown-party"),
    "a category of pharmacies": ({"category": "medication"}, 403, "not-authorised"),
    "latent, outside the crisis": ({"latent": True}, 403, "not-authorised"),
    "a BSN that is none": ({"patient": BAD_BSN}, 422, "invalid-bsn"),
}


@pytest.mark.parametrize("case", ENTRIES)
async def test_an_entry_that_is_not_taken(exchange: Exchange, members: SimpleNamespace, case: str) -> None:
    changes, status, code = ENTRIES[case]
    practice = await _at(exchange, members.practice)
    await practice("POST", "/Consent", members.practice.consent())
    reply = await practice("POST", "/List", members.practice.entry(**changes))
    assert (reply.status, reply.code) == (status, code)


# --- consents --------------------------------------------------------------------------------------------------------


def _state(resource: Any) -> str:
    (state,) = [one for one in resource["extension"] if one["url"] == f"{S}StructureDefinition/consent-state"]
    return str(state["valueCode"])


async def test_a_consent_from_yes_to_withdrawn(exchange: Exchange, members: SimpleNamespace) -> None:
    practice = await _at(exchange, members.practice)
    made = await practice("POST", "/Consent", members.practice.consent())
    assert (made.status, made.headers["etag"], _state(made.json)) == (201, 'W/"1"', "granted")
    assert made.headers["location"].endswith("/fhir/Consent/" + made.json["id"])
    Consent.model_validate(made.json)
    assert US.encode() not in made.body
    path = "/Consent/" + made.json["id"]
    withdrawn = members.practice.consent(active=False) | {"id": made.json["id"]}
    changed = await practice("PUT", path, withdrawn, if_match='W/"1"')
    assert (changed.status, changed.headers["etag"], _state(changed.json)) == (200, 'W/"2"', "denied")
    for stale in ('W/"1"', '"7"', "*", "nonsense"):
        reply = await practice("PUT", path, withdrawn, if_match=stale)
        assert (reply.status, reply.code) == (412, "stale-version")
    read = await practice("GET", path)
    assert (read.status, read.headers["etag"]) == (200, 'W/"2"')
    form = [("patient.identifier", f"{N}bsn|{US}"), ("scope", "patient-privacy")]
    own = await practice("POST", "/Consent/_search", form=form)
    assert [one["id"] for one in own.resources] == [made.json["id"]]
    narrower = members.practice.consent(categories=["gp-summary"])
    scope = await practice("PUT", path, narrower)
    assert (scope.status, scope.code) == (422, "scope-changed")


CONSENTS: dict[str, tuple[dict[str, Any], int, str]] = {
    "for another custodian": ({"custodian": "90000102"}, 403, "not-authorised"),
    "for every custodian": ({"custodian": None}, 403, "not-authorised"),
    "a child of eleven by itself": ({"birth_date": date(datetime.now(UTC).year - 11, 1, 1)}, 422, "not-entitled"),
    "a group nobody is in": ({"requesters": ["insurers"]}, 422, "invalid-content"),
    "a category nobody holds": ({"categories": ["enrolment"]}, 422, "invalid-content"),
    "a method unheard of": ({"method": "dreamt"}, 422, "invalid-content"),
}


@pytest.mark.parametrize("case", CONSENTS)
async def test_a_consent_that_is_not_taken(exchange: Exchange, members: SimpleNamespace, case: str) -> None:
    changes, status, code = CONSENTS[case]
    practice = await _at(exchange, members.practice)
    reply = await practice("POST", "/Consent", members.practice.consent(**changes))
    assert (reply.status, reply.code) == (status, code)


# --- batch -----------------------------------------------------------------------------------------------------------


async def test_a_batch_judges_every_entry_by_itself(exchange: Exchange, members: SimpleNamespace) -> None:
    practice, own = await _at(exchange, members.practice), members.practice
    sent = custodians.batch([
        own.consent(), own.entry(), own.entry(), own.entry(THEM), own.entry(patient=BAD_BSN),
        members.practice_2.entry(), own.consent(custodian="90000102"), {"resourceType": "List"},
    ])  # fmt: skip
    sent["entry"].append({"request": {"method": "DELETE", "url": "List/x"}})
    sent["entry"].append({"request": {"method": "POST", "url": "Patient"}, "resource": {"resourceType": "Patient"}})
    reply = await practice("POST", "", sent)
    assert reply.status == 200
    statuses = [one["response"]["status"] for one in reply.json["entry"]]
    assert statuses == ["201", "201", "200", "403", "422", "403", "403", "400", "400", "400"]
    codes = [
        one["response"]["outcome"]["issue"][0]["details"]["coding"][0]["code"]
        for one in reply.json["entry"]
        if "outcome" in one["response"]
    ]
    assert codes == [
        "no-consent", "invalid-bsn", "unknown-party", "not-authorised", "malformed", "not-supported", "not-supported",
    ]  # fmt: skip
    assert reply.json["entry"][1]["response"]["location"].startswith("https://exchange.test/fhir/List/")
    Bundle.model_validate(reply.json)


BATCHES: dict[str, tuple[Any, int, str]] = {
    "a transaction": ({"resourceType": "Bundle", "type": "transaction", "entry": []}, 400, "not-supported"),
    "no Bundle": ({"resourceType": "List"}, 400, "malformed"),
    "an entry without a request": ({"resourceType": "Bundle", "type": "batch", "entry": [{}]}, 400, "malformed"),
}


@pytest.mark.parametrize("case", BATCHES)
async def test_a_batch_that_is_none(exchange: Exchange, members: SimpleNamespace, case: str) -> None:
    resource, status, code = BATCHES[case]
    reply = await (await _at(exchange, members.practice))("POST", "", resource)
    assert (reply.status, reply.code) == (status, code)


# --- the journal -----------------------------------------------------------------------------------------------------


async def test_a_custodian_reads_what_happened_with_its_own_data(exchange: Exchange, members: SimpleNamespace) -> None:
    await exchange.open(members.practice)
    await exchange.open(members.pharmacy, "medication")
    form = [("composition.patient.identifier", f"{N}bsn|{US}"), ("composition.type", "http://loinc.org|60591-5")]
    asked = {"by": members.post, "token": await exchange.doctor(members.post), "form": form}
    assert (await exchange.call("POST", "/Bundle/_search", **asked)).status == 200
    practice = await _at(exchange, members.practice, US)
    reply = await practice("POST", "/AuditEvent/_search", form=[("patient.identifier", f"{N}bsn|{US}")])
    events = [one["subtype"][0]["code"] for one in reply.resources]
    assert events == ["disclosed", "entry-registered", "consent-stated"]
    for one in reply.resources:
        AuditEvent.model_validate(one)
    assert members.pharmacy.ura not in reply.body.decode()
    newest = await practice(
        "POST", "/AuditEvent/_search", form=[("patient.identifier", f"{N}bsn|{US}"), ("_count", "1")]
    )
    assert [one["subtype"][0]["code"] for one in newest.resources] == ["journal-read"]
    past = [("patient.identifier", f"{N}bsn|{US}"), ("date", "lt2020-01-01")]
    assert (await practice("POST", "/AuditEvent/_search", form=past)).resources == []


# --- two organisations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["practice_2", "pharmacy", "post", "hospital"])
async def test_nobody_reads_changes_or_ends_what_is_anothers(
    exchange: Exchange, members: SimpleNamespace, other: str
) -> None:
    entry = await exchange.open(members.practice)
    owner = await _at(exchange, members.practice)
    form = [("patient.identifier", f"{N}bsn|{US}"), ("scope", "patient-privacy")]
    consent = (await owner("POST", "/Consent/_search", form=form)).resources[0]["id"]
    stranger = getattr(members, other)
    foreign = await _at(exchange, stranger, US)
    no = members.practice.consent(permit=False)
    mine = stranger.consent(permit=False)
    system = [("source:Device.identifier", f"{N}aorta-app-id|{members.practice.application}")]
    attempts = {
        "read the entry": (await foreign("GET", f"/List/{entry}"), 404),
        "end the entry": (await foreign("DELETE", f"/List/{entry}"), 404),
        "list its entries": (await foreign("POST", "/List/_search", form=system), 403),
        "register for it": (await foreign("POST", "/List", members.practice.entry()), 403),
        "read the consent": (await foreign("GET", f"/Consent/{consent}"), 404),
        "change the consent in its name": (await foreign("PUT", f"/Consent/{consent}", no), 403),
        "change the consent in its own": (await foreign("PUT", f"/Consent/{consent}", mine), 404),
        "state for it": (await foreign("POST", "/Consent", no), 403),
    }
    assert {name: reply.status for name, (reply, _) in attempts.items()} == {
        name: status for name, (_, status) in attempts.items()
    }
    assert all(entry not in reply.body.decode() for reply, _ in attempts.values())
    assert (await foreign("POST", "/Consent/_search", form=form)).json["total"] == 0
    audit = await foreign("POST", "/AuditEvent/_search", form=form[:1])
    assert members.practice.ura not in audit.body.decode()
    batch = await foreign("POST", "", custodians.batch([members.practice.entry(), no]))
    assert [one["response"]["status"] for one in batch.json["entry"]] == ["403", "403"]
    assert (await owner("GET", f"/List/{entry}")).status == 200
    assert (await owner("GET", f"/Consent/{consent}")).headers["etag"] == 'W/"1"'


async def test_who_is_no_party_any_more_reads_nothing(exchange: Exchange, members: SimpleNamespace) -> None:
    """Its system was handed to another certificate: the token still lives, the party does not."""
    entry = await exchange.open(members.practice)
    practice = await _at(exchange, members.practice)
    await exchange.gateway.means.ledger.commit(lambda tx: tx.run(
        "UPDATE system SET uzi = '000000009' WHERE application = '101'"))  # fmt: skip
    exchange.gateway.means.live.forget()
    form = [("source:Device.identifier", f"{N}aorta-app-id|{members.practice.application}")]
    replies = [await practice("GET", f"/List/{entry}"), await practice("POST", "/List/_search", form=form)]
    assert [reply.status for reply in replies] == [403, 403]
