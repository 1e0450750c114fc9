"""Does a withdrawal acknowledged win from every answer released later, on whichever worker? Also stop button, and end.

Two exchange workers; the connections are opened until both hold some, so that no worker is left out.
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from processes import holder_of
from running_country import Country, Visit

from gateway.rules.exchange import Regime
from gateway.rules.journal import Event
from source_sim.country import GP, GP_POST, SECOND_GP
from source_sim.custodians import Choice
from source_sim.requesters import Ask, Reply, System

pytestmark = pytest.mark.xdist_group("country")


def worker_of(country: Country, system: System) -> int | None:
    """Which worker holds this system's (only) connection."""
    (connection,) = system._client._transport._pool.connections  # type: ignore[attr-defined]
    stream = connection._connection._network_stream
    return holder_of(stream.get_extra_info("client_addr")[1], country.made.settings.exchange_port, country.workers())


async def on_both_workers(visit: Visit, each: int) -> dict[int, list[System]]:
    """Systems of the GP post by worker, `each` for every worker."""
    found: dict[int, list[System]] = {pid: [] for pid in visit.country.workers()}
    assert len(found) == 2
    for _ in range(40 * each):
        system = visit.another(GP_POST)
        assert (await system.call("GET", "/metadata")).status == 200
        worker = worker_of(visit.country, system)
        assert worker is not None
        if len(found[worker]) < each:
            found[worker].append(system)
        if all(len(systems) == each for systems in found.values()):
            return found
    raise AssertionError("one worker never got a connection")


def neutral(reply: Reply) -> bool:
    return (reply.status, reply.completeness, reply.matches, reply.outcomes) == (200, "complete", [], [])


@pytest.mark.parametrize("slow", [0.5, 1.0])
async def test_a_withdrawal_during_queries_on_both_workers_drops_every_answer_after_it(
    visit: Visit, slow: float
) -> None:
    """Queries start one after another around the withdrawal; whatever ends after its acknowledgement shows nothing."""
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    by_worker = await on_both_workers(visit, 6)
    systems = [system for pair in zip(*by_worker.values(), strict=True) for system in pair]
    tokens = [await visit.token(bsn, system=system) for system in systems]
    chains = [str(uuid4()) for _ in systems]
    await visit.fault(GP, "slow", slow)
    loop, ended = asyncio.get_running_loop(), dict[str, tuple[Reply, float]]()

    async def ask(place: int) -> None:
        await asyncio.sleep(place * slow / 6)
        reply = await visit.search(bsn, tokens[place], chain=chains[place], system=systems[place])
        ended[chains[place]] = reply, loop.time()

    asking = [asyncio.create_task(ask(place)) for place in range(len(systems))]
    await asyncio.sleep(slow * 1.2)
    assert (await visit.custodian(GP).state_consent(bsn, Choice(active=False))).status == 201
    acknowledged = loop.time()
    withdrawn_at = max(kept.seq for kept in visit.country.lines(Event.CONSENT_STATED))
    await asyncio.gather(*asking)
    late = {chain: reply for chain, (reply, at) in ended.items() if at > acknowledged + 0.05}
    assert len(late) >= 2, "the withdrawal came after the queries: nothing was tried"
    disclosed = [chain for chain in chains if Event.DISCLOSED in visit.country.told(chain)]
    assert all(kept.seq < withdrawn_at for chain in disclosed for kept in visit.country.chain(chain)
               if kept.line.event is Event.DISCLOSED)  # fmt: skip
    assert {chain for chain, (reply, _) in ended.items() if reply.matches} == set(disclosed)
    assert all(neutral(reply) for chain, reply in late.items() if chain not in disclosed)
    started_after = [chain for place, chain in enumerate(chains) if place * slow / 6 > slow * 0.4]
    assert not set(started_after) & set(disclosed)


async def test_after_an_acknowledged_withdrawal_no_worker_ever_answers_with_data_again(visit: Visit) -> None:
    by_worker = await on_both_workers(visit, 1)
    systems = [pair[0] for pair in by_worker.values()]
    for _ in range(8):
        bsn = visit.country.patient()
        await visit.enter(GP, bsn, "gp-summary")
        tokens = [await visit.token(bsn, system=system) for system in systems]
        for system, token in zip(systems, tokens, strict=True):
            assert len((await visit.search(bsn, token, system=system)).matches) == 1
        narrow = Choice(permit=False, requesters=["gp-care"])
        assert (await visit.custodian(GP).state_consent(bsn, narrow)).status == 201
        replies = await asyncio.gather(
            *(visit.search(bsn, token, system=system)
              for system, token in zip(systems, tokens, strict=True) for _ in range(3))
        )  # fmt: skip
        assert all(neutral(reply) for reply in replies)


async def test_a_withdrawal_at_one_practice_leaves_the_other_s_answer(visit: Visit) -> None:
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    await visit.enter(SECOND_GP, bsn, "gp-summary")
    await visit.fault(GP, "slow", 0.8)
    asking = asyncio.create_task(visit.ask("gp-post", Ask.GP_SUMMARY, bsn))
    await asyncio.sleep(0.4)
    assert (await visit.custodian(GP).state_consent(bsn, Choice(active=False))).status == 201
    reply = await asking
    assert (set(reply.sources), reply.completeness, reply.outcomes) == ({SECOND_GP.ura}, "complete", [])


async def test_an_entry_ended_during_a_query_is_not_disclosed(visit: Visit) -> None:
    bsn = visit.country.patient()
    stated = await visit.custodian(GP).state_consent(bsn, Choice())
    entered = await visit.custodian(GP).register_entry(bsn, "gp-summary", at=await visit.now())
    assert (stated.status, entered.status) == (201, 201)
    await visit.fault(GP, "slow", 0.8)
    asking = asyncio.create_task(visit.ask("gp-post", Ask.GP_SUMMARY, bsn))
    await asyncio.sleep(0.4)
    ended = await visit.custodian(GP).end_entry(entered.headers["location"].rpartition("/")[2])
    assert ended.status in (200, 204)
    assert neutral(await asking)


async def test_the_stop_button_during_a_query_silences_a_latent_entry(visit: Visit) -> None:
    bsn, chain = visit.country.patient(), str(uuid4())
    async with visit.regime(Regime.CRISIS_OPT_IN):
        await visit.register(GP, bsn, "gp-summary", latent=True)
        assert len((await visit.ask("gp-post", Ask.GP_SUMMARY, bsn, verbal=True)).matches) == 1
        await visit.fault(GP, "slow", 1.5)
        asking = asyncio.create_task(visit.ask("gp-post", Ask.GP_SUMMARY, bsn, verbal=True, chain=chain))
        assert await _decided(visit, chain)
        await visit.switch(Regime.CRISIS_OPT_IN, False)
        assert not asking.done(), "the query ended before the stop button was pressed"
        assert neutral(await asking)
    assert Event.DISCLOSED not in visit.country.told(chain)
    assert Event.QUERY_DECIDED in visit.country.told(chain)


async def _decided(visit: Visit, chain: str) -> bool:
    for _ in range(100):
        if Event.QUERY_DECIDED in visit.country.told(chain):
            return True
        await asyncio.sleep(0.02)
    return False
