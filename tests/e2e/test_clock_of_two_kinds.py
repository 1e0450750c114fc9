"""Which clock does what follow? Domain time, moved back and forth over `/sim/clock`, and wall time, which is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from running_country import Visit

from gateway.rules.exchange import Regime
from gateway.rules.journal import Event
from source_sim.country import GP, GP_POST
from source_sim.custodians import Choice
from source_sim.requesters import Ask, Reply, contact, verbally

pytestmark = pytest.mark.xdist_group("country")


def nothing(reply: Reply) -> bool:
    return (reply.status, reply.matches) == (200, [])


async def test_the_clock_goes_where_it_is_set_and_ticks_on(visit: Visit) -> None:
    async with visit.clock_back_afterwards():
        for days in (40, -400, 3):
            wanted = await visit.now() + timedelta(days=days)
            await visit.set_clock(wanted)
            assert timedelta(0) <= await visit.now() - wanted < timedelta(seconds=5)
    assert visit.country.lines(Event.CLOCK_SET)


async def test_a_consent_holds_from_its_own_moment_of_domain_time(visit: Visit) -> None:
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    async with visit.clock_back_afterwards():
        assert len((await visit.ask("gp-post", Ask.GP_SUMMARY, bsn)).matches) == 1
        await visit.set_clock(await visit.now() - timedelta(days=2))
        assert nothing(await visit.ask("gp-post", Ask.GP_SUMMARY, bsn))
        await visit.set_clock(await visit.now() + timedelta(days=2, minutes=1))
        assert len((await visit.ask("gp-post", Ask.GP_SUMMARY, bsn)).matches) == 1


async def test_a_regime_ends_by_itself_when_domain_time_says_so(visit: Visit) -> None:
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    async with visit.clock_back_afterwards():
        await visit.switch(Regime.EMERGENCY_AVAILABLE, True, until=timedelta(days=1))
        assert len((await visit.ask("ambulance", Ask.GP_SUMMARY, bsn)).matches) == 1
        await visit.set_clock(await visit.now() + timedelta(days=2))
        refused = await visit.ask("ambulance", Ask.GP_SUMMARY, bsn)
        assert (refused.status, refused.code) == (403, "not-authorised")
        await visit.set_clock(await visit.now() - timedelta(days=2))
        assert len((await visit.ask("ambulance", Ask.GP_SUMMARY, bsn)).matches) == 1
        await visit.switch(Regime.EMERGENCY_AVAILABLE, False)
    refused = await visit.ask("ambulance", Ask.GP_SUMMARY, bsn)
    assert (refused.status, refused.code) == (403, "not-authorised")


async def test_a_contact_ages_in_domain_time_and_its_token_does_not(visit: Visit) -> None:
    bsn, now = visit.country.patient(), await visit.now()
    await visit.enter(GP, bsn, "gp-summary")
    visited = contact("visit", now - timedelta(hours=2), end=now - timedelta(hours=1))
    token = await visit.token(bsn, contact=visited)
    async with visit.clock_back_afterwards():
        assert len((await visit.search(bsn, token)).matches) == 1
        await visit.set_clock(now + timedelta(hours=70))
        assert len((await visit.search(bsn, token)).matches) == 1, "a token of wall time aged with the domain"
        await visit.set_clock(now + timedelta(hours=73))
        late = await visit.search(bsn, token)
        assert (late.status, late.code) == (403, "no-treatment-relation")
        await visit.set_clock(now - timedelta(hours=3))
        early = await visit.search(bsn, token)
        assert (early.status, early.code) == (403, "no-treatment-relation")


async def test_an_attestation_ages_in_domain_time(visit: Visit) -> None:
    bsn = visit.country.patient()
    async with visit.regime(Regime.CRISIS_OPT_IN), visit.clock_back_afterwards():
        await visit.register(GP, bsn, "gp-summary", latent=True)
        now = await visit.now()
        attested = verbally(await visit.claims("gp-post"), now - timedelta(hours=71))
        token = await visit.system(GP_POST).token({**attested, "patient": bsn})
        assert len((await visit.search(bsn, token)).matches) == 1
        await visit.set_clock(now + timedelta(hours=2))
        late = await visit.search(bsn, token)
        assert (late.status, late.code) == (403, "bad-attestation")


async def test_a_statement_made_while_the_clock_stood_back_is_not_lost_when_it_returns(visit: Visit) -> None:
    bsn = visit.country.patient()
    async with visit.clock_back_afterwards():
        await visit.set_clock(await visit.now() - timedelta(days=10))
        await visit.enter(GP, bsn, "gp-summary")
        objection = await visit.custodian(GP).state_consent(bsn, Choice(permit=False, requesters=["gp-care"]))
        assert objection.status == 201
    assert nothing(await visit.ask("gp-post", Ask.GP_SUMMARY, bsn))


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        ('{"now": "tomorrow"}', "application/json", 400),
        ('{"now": "2026-11-21T10:00:00"}', "application/json", 400),
        ('{"now": 5}', "application/json", 400),
        ("[]", "application/json", 400),
        ("{", "application/json", 400),
        ('{"now": "2026-11-21T10:00:00Z"}', "text/plain", 415),
    ],
    ids=["word", "no-zone", "number", "list", "half", "media-type"],
)
async def test_a_clock_that_makes_no_sense_is_refused(visit: Visit, body: str, media: str, status: int) -> None:
    before = await visit.now()
    answer = await visit.desk.put("/sim/clock", content=body, headers={"content-type": media})
    assert answer.status_code == status
    assert await visit.now() - before < timedelta(seconds=5)
