"""Can a requester tell an objection from a patient nobody knows? Answers compared byte for byte, over real sockets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
from running_country import Visit

from gateway.rules.exchange import Regime
from source_sim.country import GP, PHARMACY
from source_sim.custodians import Choice
from source_sim.requesters import Ask, Reply

pytestmark = pytest.mark.xdist_group("country")

HELD = {
    Ask.GP_SUMMARY: (GP, "gp-summary"),
    Ask.MEDICATION: (PHARMACY, "medication"),
    Ask.ALLERGIES: (PHARMACY, "allergies"),
    Ask.LOCALISE: (GP, "gp-summary"),
}
_UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def shape(reply: Reply) -> tuple[int, list[tuple[str, str]], list[bytes]]:
    """All that a requester can see, in order, but for ids and times; their lengths still count."""
    headers = [(name, value) for name, value in reply.headers.multi_items() if name not in ("aorta-id", "date")]
    return reply.status, headers, [_veiled(one.body) for one in (reply, *reply.others)]


def _veiled(body: bytes) -> bytes:
    body = re.sub(rb'"id":"' + _UUID + rb'"', lambda found: b'"id":"%d"' % len(found[0]), body)
    return re.sub(rb'"lastUpdated":"[^"]*"', lambda found: b'"lastUpdated":"%d"' % len(found[0]), body)


async def unknown(visit: Visit, ask: Ask) -> Reply:
    return await visit.ask("gp-post", ask, visit.country.patient())


async def undecided(visit: Visit, ask: Ask) -> Reply:
    """She said yes to somebody else's practice, so the index knows her; here she never chose."""
    bsn, (holder, category) = visit.country.patient(), HELD[ask]
    await visit.enter(holder, bsn, category, requesters=["hospital"])
    return await visit.ask("gp-post", ask, bsn)


async def objected(visit: Visit, ask: Ask) -> Reply:
    bsn, (holder, category) = visit.country.patient(), HELD[ask]
    await visit.enter(holder, bsn, category)
    said = await visit.custodian(holder).state_consent(bsn, Choice(permit=False))
    assert said.status == 201
    return await visit.ask("gp-post", ask, bsn)


async def objected_to_this_post(visit: Visit, ask: Ask) -> Reply:
    """A narrow objection leaves the entry in the index."""
    bsn, (holder, category) = visit.country.patient(), HELD[ask]
    await visit.enter(holder, bsn, category)
    said = await visit.custodian(holder).state_consent(bsn, Choice(permit=False, requesters=["gp-care"]))
    assert said.status == 201
    return await visit.ask("gp-post", ask, bsn)


async def refused_by_the_source(visit: Visit, ask: Ask) -> Reply:
    bsn, (holder, category) = visit.country.patient(), HELD[ask]
    await visit.enter(holder, bsn, category)
    await visit.fault(holder, "no-consent")
    reply = await visit.ask("gp-post", ask, bsn)
    await visit.mend(holder)
    return reply


async def withdrawn_in_flight(visit: Visit, ask: Ask) -> Reply:
    bsn, (holder, category) = visit.country.patient(), HELD[ask]
    await visit.enter(holder, bsn, category)
    await visit.fault(holder, "slow", 0.8)
    asking = asyncio.create_task(visit.ask("gp-post", ask, bsn))
    await asyncio.sleep(0.4)
    said = await visit.custodian(holder).state_consent(bsn, Choice(active=False))
    assert said.status == 201
    reply = await asking
    await visit.mend(holder)
    return reply


Situation = Callable[[Visit, Ask], Awaitable[Reply]]
ALWAYS: tuple[Situation, ...] = (undecided, objected, objected_to_this_post)
WHERE_A_SOURCE_IS_ASKED: tuple[Situation, ...] = (refused_by_the_source, withdrawn_in_flight)


@pytest.mark.parametrize("ask", HELD)
async def test_the_neutral_answer_is_the_same_bytes_whatever_lies_behind_it(visit: Visit, ask: Ask) -> None:
    situations = ALWAYS if ask is Ask.LOCALISE else (*ALWAYS, *WHERE_A_SOURCE_IS_ASKED)
    wanted = shape(await unknown(visit, ask))
    assert wanted[0] == 200
    for situation in situations:
        assert shape(await situation(visit, ask)) == wanted, situation.__name__


@pytest.mark.parametrize("ask", HELD)
async def test_the_comparison_sees_an_answer_that_does_hold_something(visit: Visit, ask: Ask) -> None:
    bsn, (holder, category) = visit.country.patient(), HELD[ask]
    await visit.enter(holder, bsn, category)
    assert shape(await visit.ask("gp-post", ask, bsn)) != shape(await unknown(visit, ask))


async def test_ask_first_is_said_in_the_same_bytes_to_everyone_not_open_by_consent(visit: Visit) -> None:
    async with visit.regime(Regime.CRISIS_OPT_IN):
        latent = visit.country.patient()
        await visit.register(GP, latent, "gp-summary", latent=True)
        latent_and_objected = visit.country.patient()
        await visit.register(GP, latent_and_objected, "gp-summary", latent=True)
        said = await visit.custodian(GP).state_consent(
            latent_and_objected, Choice(permit=False, requesters=["gp-care"])
        )
        assert said.status == 201
        replies = {
            "unknown": await unknown(visit, Ask.GP_SUMMARY),
            "undecided": await undecided(visit, Ask.GP_SUMMARY),
            "objected": await objected(visit, Ask.GP_SUMMARY),
            "latent": await visit.ask("gp-post", Ask.GP_SUMMARY, latent),
            "latent, then objected": await visit.ask("gp-post", Ask.GP_SUMMARY, latent_and_objected),
        }
        wanted = shape(replies["unknown"])
        assert (replies["unknown"].status, replies["unknown"].code) == (403, "verbal-consent-required")
        assert {name: shape(reply) == wanted for name, reply in replies.items()} == dict.fromkeys(replies, True)
        attested = await visit.ask("gp-post", Ask.GP_SUMMARY, latent_and_objected, verbal=True)
        stranger = await visit.ask("gp-post", Ask.GP_SUMMARY, visit.country.patient(), verbal=True)
        assert shape(attested) == shape(stranger)
        assert (stranger.status, stranger.completeness) == (200, "complete")
        assert len((await visit.ask("gp-post", Ask.GP_SUMMARY, latent, verbal=True)).matches) == 1
