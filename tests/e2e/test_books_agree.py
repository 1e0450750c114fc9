"""Do the exchange's journal, the sources' own logs and what the clients got tell the same story? Compared both ways."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from running_country import Visit

from gateway.rules.exchange import Regime
from gateway.rules.journal import Event
from gateway.stores.journal import Kept
from source_sim.country import GP, PHARMACY, SECOND_GP, SECOND_PHARMACY, SOURCES
from source_sim.custodians import Choice
from source_sim.requesters import Ask, Reply

pytestmark = pytest.mark.xdist_group("country")


async def mixed_batch(visit: Visit) -> dict[str, Reply]:
    """Questions of every kind and fate, by chain."""
    replies: dict[str, Reply] = {}

    async def ask(persona: str, what: Ask, bsn: str, **more: Any) -> None:
        chain = str(uuid4())
        replies[chain] = await visit.ask(persona, what, bsn, chain=chain, **more)

    known, unknown, objected = (visit.country.patient() for _ in range(3))
    for who, categories in {
        GP: ("gp-summary", "treatment-limits"),
        SECOND_GP: ("gp-summary",),
        PHARMACY: ("medication", "allergies"),
        SECOND_PHARMACY: ("medication", "allergies"),
    }.items():
        await visit.enter(who, known, *categories)
    await visit.enter(GP, objected, "gp-summary")
    await visit.custodian(GP).state_consent(objected, Choice(permit=False, requesters=["gp-care"]))
    for what in (Ask.GP_SUMMARY, Ask.MEDICATION, Ask.ALLERGIES, Ask.LOCALISE):
        await asyncio.gather(*(ask("gp-post", what, bsn) for bsn in (known, unknown, objected)))
    await ask("emergency-department", Ask.GP_SUMMARY, known)
    await ask("specialist", Ask.MEDICATION, known)
    await ask("covering-pharmacy", Ask.ALLERGIES, known)
    async with visit.regime(Regime.EMERGENCY_AVAILABLE):
        await ask("ambulance", Ask.GP_SUMMARY, known)
        await ask("emergency-department", Ask.TREATMENT_LIMITS, known)
    for name in ("garbage", "withheld", "no-consent", "paging", "wrong-patient", "empty"):
        await visit.fault(SECOND_GP, name)
        await ask("gp-post", Ask.GP_SUMMARY, known)
        await visit.mend(SECOND_GP)
        await asyncio.gather(*(ask("gp-post", Ask.GP_SUMMARY, known) for _ in range(3)))
    await visit.fault(GP, "slow", 0.8)
    chain = str(uuid4())
    asking = asyncio.create_task(visit.ask("gp-post", Ask.GP_SUMMARY, known, chain=chain))
    await asyncio.sleep(0.4)
    assert (await visit.custodian(GP).state_consent(known, Choice(active=False))).status == 201
    replies[chain] = await asking
    await visit.mend(GP)
    return replies


async def test_journal_logs_and_answers_agree_on_a_mixed_batch(visit: Visit) -> None:
    replies = await mixed_batch(visit)
    logs = {who.ura: [line for line in await visit.log(who) if line["initial"] in replies] for who in SOURCES}
    lines = [kept for chain in replies for kept in visit.country.chain(chain)]
    disclosed = [kept for kept in lines if kept.line.event is Event.DISCLOSED]
    assert len(disclosed) > 20
    _every_line_has_its_log_entry(disclosed, logs)
    _every_answer_with_data_is_accounted_for(lines, logs)
    for chain, reply in replies.items():
        _the_client_got_what_the_journal_says(reply, [kept for kept in disclosed if _initial(kept) == chain])


def _initial(kept: Kept) -> str:
    assert kept.line.aorta is not None
    return kept.line.aorta.initial


def _every_line_has_its_log_entry(disclosed: list[Kept], logs: dict[str, list[dict[str, object]]]) -> None:
    for kept in disclosed:
        line = kept.line
        assert line.custodian is not None
        request = line.fields["source_request"]
        (entry,) = [one for one in logs[line.custodian.digits] if one["request"] == request]
        assert (entry["initial"], entry["status"]) == (_initial(kept), 200)
        assert entry["requester"] == line.fields["organisation"]
        assert (entry["rule"], entry["view"]) == (line.fields["row"], line.fields["view"] or "")
        assert isinstance(entry["actor"], dict)
        assert entry["actor"]["uzi"] == line.fields["actor"]


def _every_answer_with_data_is_accounted_for(lines: list[Kept], logs: dict[str, list[dict[str, object]]]) -> None:
    """Data that a source gave was disclosed, or the exchange says why not: answer dropped, or of no use."""
    disclosed = {kept.line.fields["source_request"] for kept in lines if kept.line.event is Event.DISCLOSED}
    ended = [kept for kept in lines if kept.line.event in (Event.QUERY_ANSWERED, Event.QUERY_FAILED)]
    kept_back = set()
    for kept in ended:
        legs, dropped = kept.line.fields["legs"], kept.line.fields["dropped"]
        assert isinstance(legs, list)
        assert isinstance(dropped, list)
        for leg in legs:
            assert isinstance(leg, dict)
            if leg["custodian"] in dropped or leg["outcome"] not in ("answered", "truncated"):
                kept_back.add(leg["request"])
    gave = {entry["request"] for log in logs.values() for entry in log if entry["resources"]}
    assert gave == disclosed | (gave & kept_back)
    assert not disclosed & kept_back
    assert gave & kept_back, "nothing was kept back: the batch tried too little"


def _the_client_got_what_the_journal_says(reply: Reply, disclosed: list[Kept]) -> None:
    came: Counter[str] = Counter()
    for one in (reply, *reply.others):
        for entry in one.json.get("entry", []):
            if entry["search"]["mode"] != "outcome" and "extension" in entry:
                came[entry["extension"][0]["extension"][0]["valueString"]] += 1
    told: Counter[str] = Counter()
    for kept in disclosed:
        resources = kept.line.fields["resources"]
        assert kept.line.custodian is not None
        assert isinstance(resources, int)
        told[kept.line.custodian.digits] += resources
    assert came == told


async def test_refusals_are_in_the_journal_and_no_source_hears_of_them(visit: Visit) -> None:
    bsn, chain = visit.country.patient(), str(uuid4())
    await visit.enter(GP, bsn, "gp-summary")
    reply = await visit.ask("gp-post", Ask.GP_SUMMARY, bsn, chain=chain, cover=False)
    assert (reply.status, reply.code) == (403, "no-cover")
    assert visit.country.told(chain) == [Event.QUERY_REFUSED]
    assert await visit.seen(GP, chain) == []


async def test_the_chain_keeps_its_id_and_every_message_has_its_own(visit: Visit) -> None:
    bsn, chain = visit.country.patient(), str(uuid4())
    await visit.enter(GP, bsn, "gp-summary")
    await visit.enter(SECOND_GP, bsn, "gp-summary")
    reply = await visit.ask("gp-post", Ask.GP_SUMMARY, bsn, chain=chain)
    seen = [*(await visit.seen(GP, chain)), *(await visit.seen(SECOND_GP, chain))]
    assert len(seen) == 2
    assert f"initialRequestID={chain}" in reply.aorta_id
    told = {_request(kept) for kept in visit.country.chain(chain)}
    assert len({one["request"] for one in seen} | told | {reply.aorta_id.rpartition("=")[2]}) == 4


def _request(kept: Kept) -> str:
    assert kept.line.aorta is not None
    return kept.line.aorta.request
