"""When is the GP told that a summary was fetched without a consent made beforehand? Once per disclosure, or never."""

from __future__ import annotations

import pytest
from flow_country import AMBULANCE, PARAMEDIC, PRACTICE, PRACTICE_2, US, Country, limits, medication, summary
from transcript import transcript

from gateway.flows.query import ask
from gateway.rules.choice import Say
from gateway.rules.exchange import Capacity, Category, Failing, Failure, Regime
from gateway.stores.ledger import LedgerUnavailable

CRISIS, EMERGENCY = Regime.CRISIS_OPT_IN, Regime.EMERGENCY_AVAILABLE


async def test_verbal_consent_is_told_to_the_gp_of_record(country: Country) -> None:
    await country.enrol(PRACTICE_2)
    await country.regime(CRISIS)
    await country.register(latent=True)
    before = await country.forget()
    await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    await country.rounds(0)
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 CRI-1 verbal-consent",
        "disclosed 90000101 CRI-1 covering verbal-consent x1",
        "message-accepted disclosure-notice for 90000102",
        "query-answered complete, 90000101 answered, verbal-consent",
        "message-delivered disclosure-notice for 90000102 #1",
    ]
    assert country.post.told == ["90000102 notice CRI-1 verbal-consent 90000101"]
    assert country.post.posted[0].token == f"notice {US}"
    lines = [one.line for one in await country.lines()][-4:]
    assert len({line.aorta.initial for line in lines if line.aorta}) == 1, "one chain"


async def test_presumed_consent_is_told_once_per_summary_disclosed(country: Country) -> None:
    await country.enrol()
    await country.regime(EMERGENCY)
    for practice in (PRACTICE, PRACTICE_2):
        await country.say(Say.YES, practice, requesters={"gp-care"})
        await country.register(practice)
    call = country.emergency(AMBULANCE, PARAMEDIC, capacity=Capacity.INCAPABLE)
    await ask(country.means, call, summary())
    await country.rounds(0, 0)
    assert sorted(country.post.told) == [
        "90000101 notice EMA-2 presumed-consent 90000101",
        "90000101 notice EMA-2 presumed-consent 90000102",
    ]


async def test_a_notice_waits_parked_for_a_gp(country: Country) -> None:
    await country.regime(CRISIS)
    await country.register(latent=True)
    await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    await country.rounds(0)
    assert country.post.posted == []
    await country.enrol()
    await country.rounds(0)
    assert country.post.told == ["90000101 notice CRI-1 verbal-consent 90000101"]


async def test_consent_made_beforehand_is_no_news(country: Country) -> None:
    await country.enrol()
    await country.open()
    before = await country.forget()
    country.counted()
    await ask(country.means, country.call(), summary())
    assert not [one for one in await transcript(country, before) if one.startswith("message")]
    assert (await country.counts()).accepted == 0


async def test_only_summaries_are_told(country: Country) -> None:
    await country.enrol()
    await country.regime(EMERGENCY)
    await country.say(Say.YES, PRACTICE, requesters={"gp-care"})
    await country.register(category=Category.TREATMENT_LIMITS)
    call = country.emergency(AMBULANCE, PARAMEDIC, capacity=Capacity.INCAPABLE)
    await ask(country.means, call, limits())
    assert "disclosed 90000101 EMA-2 whole presumed-consent x1" in await transcript(country)
    assert (await country.counts()).accepted == 0
    assert await ask(country.means, country.call(), medication()) is not None


async def test_a_source_that_failed_disclosed_nothing_to_tell(country: Country) -> None:
    await country.enrol()
    await country.regime(CRISIS)
    await country.register(latent=True)
    country.door.answers[PRACTICE.ura] = Failure(Failing.TIMED_OUT, "slow")
    await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    assert (await country.counts()).accepted == 0


async def test_no_disclosure_without_its_notice_and_no_notice_without_its_disclosure(country: Country) -> None:
    await country.enrol()
    await country.regime(CRISIS)
    await country.register(latent=True)
    country.ledger.good_commits = 1
    with pytest.raises(LedgerUnavailable):
        await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    country.ledger.good_commits = None
    assert (await country.counts()).accepted == 0
    assert not [one for one in await transcript(country) if one.startswith(("disclosed", "message"))]
