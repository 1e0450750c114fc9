"""Does `check client` pass our own client, and find each planted fault under exactly the rule that names it?

A real front of a real exchange, over mutual TLS; the clients are our own with one thing wrong each.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import uvloop
from client_checked import KNOWN, OTHER, SUMMARY, Act, Client, Exchange, message, session, wall, watched

from source_sim import requesters
from source_sim.checking import client_rules
from source_sim.checking.findings import Report, Verdict
from source_sim.checking.observing import RETRY_AFTER
from source_sim.country import GP_POST
from source_sim.requesters import SEARCHES, Ask, TokenRefused, aorta_id, bsn_token

DISPENSES, REQUESTS, _ = SEARCHES[Ask.MEDICATION]


def complaints(report: Report) -> frozenset[str]:
    return report.of(Verdict.FAIL) | report.of(Verdict.WARN)


def see(exchange: Exchange, act: Act, *, trouble: bool = False) -> Report:
    return uvloop.run(watched(exchange, act, trouble=trouble))


# --- our own ---------------------------------------------------------------------------------------------------------


async def _patiently(client: Client, what: Ask, claims: dict[str, Any]) -> None:
    reply = await client.ask(what, KNOWN, claims)
    if reply.status == 503:
        await asyncio.sleep(float(reply.headers["Retry-After"]))
        await client.ask(what, KNOWN, claims)


async def well(client: Client) -> None:
    """Everything that can be done, done well: also when the exchange has too much to do."""
    for what in (Ask.GP_SUMMARY, Ask.MEDICATION, Ask.ALLERGIES, Ask.LOCALISE):
        await _patiently(client, what, client.claims())
    written = message()
    reply = await client.send(written)
    assert reply.status == 503
    await asyncio.sleep(float(reply.headers["Retry-After"]))
    reply = await client.send(written)
    assert reply.status == 202
    assert (await client.send(written)).status == 202
    own = await client.token({"sub": client.application})
    await client.call("GET", f"/Task/{reply.headers['Location'].rpartition('/')[2]}", token=own)
    await client.call("GET", "/metadata")
    await client.call("GET", "/Organization")


def test_our_own_client_passes_entirely(exchange: Exchange) -> None:
    report = see(exchange, well, trouble=True)
    assert complaints(report) == frozenset()
    assert report.of(Verdict.PASS) == frozenset(client_rules.RULES)


def test_a_session_without_trouble_does_not_claim_what_it_has_not_seen(exchange: Exchange) -> None:
    async def act(client: Client) -> None:
        await client.ask(Ask.GP_SUMMARY, KNOWN, client.claims())

    report = see(exchange, act)
    assert complaints(report) == frozenset()
    assert {"retry-after", "message-repeat", "message-kept"} <= report.of(Verdict.NOT_TRIED)


def test_only_the_application_that_is_asked_for_is_judged(exchange: Exchange) -> None:
    async def act() -> tuple[Report, Report]:
        async with session(exchange) as one:
            await one.client.ask(Ask.GP_SUMMARY, KNOWN, one.client.claims())
            return one.report(GP_POST.application), one.report("499999")

    ours, another = uvloop.run(act())
    assert complaints(ours) == frozenset()
    assert complaints(another) == {"token-organisation"}


def test_no_patient_stands_in_a_report(exchange: Exchange) -> None:
    async def act(client: Client) -> None:
        token = await client.token(client.claims())
        await client.call("GET", f"/Bundle?composition.patient.identifier={KNOWN}", token=token)
        await client.call("GET", f"/Patient/{KNOWN}", token=token)

    report = see(exchange, act)
    assert "url-silent" in complaints(report)
    assert KNOWN not in " ".join(one.saw for one in report.findings)


# --- planted faults --------------------------------------------------------------------------------------------------


async def _token(client: Client, **claims: Any) -> str:
    """A token if there is one to be had."""
    try:
        return await client.token(client.claims(**claims))
    except TokenRefused:
        return ""


async def long_assertion(client: Client) -> None:
    await _token(client, exp=int(wall().timestamp()) + 3600)


async def assertion_again(client: Client) -> None:
    jti = str(uuid4())
    await _token(client, jti=jti)
    await _token(client, jti=jti)


async def wrong_audience(client: Client) -> None:
    await _token(client, aud="https://elsewhere.test/token")


async def other_organisation(client: Client) -> None:
    await _token(client, organisation="90000999")


async def nobody_acts(client: Client) -> None:
    await _token(client, name=None)


async def mandate_without_name(client: Client) -> None:
    await _token(client, responsible={"uzi": "900000199", "role": "01.015"})


async def json_for_a_token(client: Client) -> None:
    body = {"grant_type": requesters.GRANT, "assertion": client.assertion(client.claims())}
    await client._client.post(client.token_endpoint, json=body)


async def shared_secret(client: Client) -> None:
    """An assertion under HS256."""
    from joserfc import jwt
    from joserfc.jwk import OctKey

    now = int(wall().timestamp())
    said = {"iss": client.application, "aud": client.token_endpoint, "iat": now, "exp": now + 60, "jti": str(uuid4())}
    key = OctKey.import_key("s" * 32)
    assertion = jwt.encode({"alg": "HS256"}, {**said, "organisation": client.ura, **client.claims()}, key)
    await client._client.post(client.token_endpoint, data={"grant_type": requesters.GRANT, "assertion": assertion})


async def unheard_of_purpose(client: Client) -> None:
    """Well made by every rule of its own, and still refused: the contact's kind is no kind."""
    await _token(client, contact={"id": "c", "kind": "séance", "start": wall().isoformat()})


async def no_bearer(client: Client) -> None:
    form = [(SUMMARY.patient, bsn_token(KNOWN)), *SUMMARY.others]
    await client.call("POST", "/Bundle/_search", form=form)


async def old_token(client: Client) -> None:
    token = await client.token(client.claims())
    await asyncio.sleep(2.1)
    await client.search(token)


async def somebody_else_s_token(client: Client) -> None:
    await client.search(await client.token(client.claims()), bsn=OTHER)


async def token_per_call(client: Client) -> None:
    chain = str(uuid4())
    for search in SEARCHES[Ask.MEDICATION]:
        await client.search(await client.token(client.claims()), search, chain=chain)


async def patient_in_url(client: Client) -> None:
    token = await client.token(client.claims())
    form = [(SUMMARY.patient, bsn_token(KNOWN)), *SUMMARY.others]
    await client.call("POST", f"/Bundle/_search?log={KNOWN}", token=token, form=form)


async def search_by_get(client: Client) -> None:
    await client.call("GET", "/MedicationDispense?category=x", token=await client.token(client.claims()))


async def search_in_json(client: Client) -> None:
    token, parameters = await client.token(client.claims()), {"resourceType": "Parameters"}
    await client.call("POST", "/Bundle/_search", token=token, resource=parameters)


async def bare_number(client: Client) -> None:
    token = await client.token(client.claims())
    await client.call("POST", "/Bundle/_search", token=token, form=[(SUMMARY.patient, KNOWN), *SUMMARY.others])


async def wants_xml(client: Client) -> None:
    await client.search(await client.token(client.claims()), Accept="application/fhir+xml")


async def unknown_parameter(client: Client) -> None:
    token = await client.token(client.claims())
    form = [(SUMMARY.patient, bsn_token(KNOWN)), *SUMMARY.others, ("_sort", "date")]
    await client.call("POST", "/Bundle/_search", token=token, form=form)


async def no_chain(client: Client) -> None:
    token = await client.token(client.claims())
    form = {SUMMARY.patient: bsn_token(KNOWN), **dict(SUMMARY.others)}
    headers = {"Authorization": f"Bearer {token}", "Accept": requesters.FHIR_JSON}
    await client._client.post(f"{client.exchange_url}/fhir/Bundle/_search", data=form, headers=headers)


async def one_message_id(client: Client) -> None:
    token, aorta = await client.token(client.claims()), aorta_id()
    for search in SEARCHES[Ask.MEDICATION]:
        await client.search(token, search, AORTA_ID=aorta)


async def one_chain_for_all(client: Client) -> None:
    chain = str(uuid4())
    for bsn in (KNOWN, OTHER):
        await client.search(await client.token(client.claims(patient=bsn)), bsn=bsn, chain=chain)


async def a_chain_per_search(client: Client) -> None:
    token = await client.token(client.claims())
    for search in SEARCHES[Ask.MEDICATION]:
        await client.search(token, search)


async def back_at_once(client: Client) -> None:
    claims = client.claims()
    for _ in range(2):
        await client.ask(Ask.GP_SUMMARY, KNOWN, claims)


async def hammering(client: Client) -> None:
    token = await client.token(client.claims())
    for _ in range(5):
        await client.search(token)


async def altered_message(client: Client) -> None:
    id = str(uuid4())
    await client.send(message(id, at=wall()))
    reply = await client.send(message(id).replace(b"Blaasontsteking", b"Blaas-ontsteking"))
    assert reply.status == 409


async def new_id_per_attempt(client: Client) -> None:
    at = wall()
    for wait in (RETRY_AFTER, 0):
        await client.send(message(at=at))
        await asyncio.sleep(wait)


async def gives_up(client: Client) -> None:
    assert (await client.send(message())).status == 503


async def another_s_message(client: Client) -> None:
    await client.send(message().replace(GP_POST.ura.encode(), b"90000302"))


async def message_for_another(client: Client) -> None:
    token = await client.token(client.claims(patient=OTHER))
    await client.call("POST", "/$process-message", token=token, resource=message())


async def addressed(client: Client) -> None:
    """A return message that names its recipient: 422."""
    written = json.loads(message())
    written["entry"][0]["resource"]["destination"] = [{"endpoint": "urn:oid:2.16.528.1.1007.3.3.90000101"}]
    assert (await client.send(json.dumps(written).encode())).status == 422


async def never_looks(client: Client) -> None:
    assert (await client.send(message())).status == 202


async def message_as_text(client: Client) -> None:
    token = await client.token(client.claims())
    await client.call("POST", "/$process-message", token=token, resource=message(),
                      headers={"Content-Type": "text/plain"})  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """A fault of a client, and the rules that must complain, no others; with `trouble`, when the exchange is busy."""

    act: Act
    found: frozenset[str]
    trouble: bool = False


def planted(act: Act, *found: str, trouble: bool = False) -> Planted:
    return Planted(act, frozenset(found), trouble)


FAULTS = (
    planted(long_assertion, "token-lifetime"),
    planted(assertion_again, "token-once"),
    planted(wrong_audience, "token-audience"),
    planted(other_organisation, "token-organisation"),
    planted(nobody_acts, "token-person"),
    planted(mandate_without_name, "token-person"),
    planted(json_for_a_token, "token-form"),
    planted(shared_secret, "token-algorithm"),
    planted(unheard_of_purpose, "token-granted"),
    planted(no_bearer, "bearer-there"),
    planted(old_token, "bearer-current"),
    planted(somebody_else_s_token, "bearer-patient"),
    planted(token_per_call, "bearer-economy"),
    planted(patient_in_url, "url-silent"),
    planted(search_by_get, "search-post"),
    planted(search_in_json, "search-form"),
    planted(bare_number, "search-patient"),
    planted(wants_xml, "media"),
    planted(message_as_text, "media"),
    planted(unknown_parameter, "well-made"),
    planted(addressed, "well-made"),
    planted(no_chain, "chain-there"),
    planted(one_message_id, "chain-message"),
    planted(one_chain_for_all, "chain-kept"),
    planted(a_chain_per_search, "chain-kept"),
    planted(back_at_once, "retry-after", trouble=True),
    planted(hammering, "repeats"),
    planted(altered_message, "message-identity", "message-followed"),
    planted(new_id_per_attempt, "message-repeat", "message-followed", trouble=True),
    planted(gives_up, "message-kept", trouble=True),
    planted(another_s_message, "message-sender"),
    planted(message_for_another, "message-sender"),
    planted(never_looks, "message-followed"),
)


@pytest.mark.parametrize("one", FAULTS, ids=[one.act.__name__ for one in FAULTS])
def test_a_planted_fault_is_found_by_its_rule(exchange: Exchange, one: Planted) -> None:
    assert complaints(see(exchange, one.act, trouble=one.trouble)) == one.found


def test_every_rule_has_a_planted_fault() -> None:
    assert frozenset(client_rules.RULES) == frozenset().union(*(one.found for one in FAULTS))
