"""Can a requester tell an objection from a patient nobody knows? Same answer, same work, for every neutral reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from flow_country import NOBODY, PHARMACY, PRACTICE, PRACTICE_2, THEM, US, Country, medication, summary
from transcript import transcript

from gateway.flows.deciding import Refused
from gateway.flows.localise import localise
from gateway.flows.query import ask
from gateway.flows.release import NOTHING
from gateway.rules.access import Bar
from gateway.rules.choice import Say
from gateway.rules.exchange import Answer, Category, Completeness, Failing, Failure, Regime
from gateway.rules.routing import Combined


async def _unknown(country: Country) -> None:
    """Nobody ever heard of this patient."""


async def _objected(country: Country) -> None:
    await country.open()
    await country.say(Say.NO, requesters={"gp-care"})


async def _objected_everywhere(country: Country) -> None:
    await country.open()
    await country.say(Say.NO, None)


async def _undecided(country: Country) -> None:
    await country.say(Say.YES, requesters={"hospital"})
    await country.register()


async def _latent_and_silent(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.register(latent=True)
    await country.regime(Regime.CRISIS_OPT_IN, on=False)


async def _agreed_but_not_registered(country: Country) -> None:
    await country.say(Say.YES)


async def _another_category(country: Country) -> None:
    await country.open(PHARMACY, Category.MEDICATION)


async def _ended_by_the_custodian(country: Country) -> None:
    await country.open()
    await country.index.remove(country.means.keys.patient(US), PRACTICE.ura, PRACTICE.application, Category.GP_SUMMARY)


SILENT: dict[str, tuple[Callable[[Country], Awaitable[None]], str]] = {
    "unknown": (_unknown, "nothing"),
    "objected": (_objected, "90000101 objection"),
    "objected everywhere": (_objected_everywhere, "nothing"),
    "undecided": (_undecided, "90000101 no-consent"),
    "latent and silent": (_latent_and_silent, "90000101 silent-entry"),
    "agreed, not registered": (_agreed_but_not_registered, "nothing"),
    "another category": (_another_category, "nothing"),
    "ended by the custodian": (_ended_by_the_custodian, "nothing"),
}


async def _work(country: Country, patient: Any = US) -> dict[str, int]:
    country.counted()
    assert await ask(country.means, country.call(), summary(patient)) == NOTHING
    return country.counted()


@pytest.mark.parametrize("case", SILENT)
async def test_every_reason_gives_the_same_answer_for_the_same_work(country: Country, case: str) -> None:
    await SILENT[case][0](country)
    await ask(country.means, country.call(), summary(NOBODY))  # the network is known from here on
    before = await country.forget()
    work = await _work(country)
    assert work == await _work(country, NOBODY)
    assert work["commit"] == 1
    assert work["index find"] == 1
    assert country.door.asked == []
    assert await transcript(country, before) == [
        f"query-decided gp-summary: {SILENT[case][1]}",
        "query-answered complete",
        "query-decided gp-summary: nothing",
        "query-answered complete",
    ]


async def test_a_source_that_refuses_for_consent_gives_the_same_answer(country: Country) -> None:
    await country.open()
    country.door.answers[PRACTICE.ura] = Failure(Failing.NO_CONSENT, "said so")
    before = await country.forget()
    assert await ask(country.means, country.call(), summary()) == NOTHING
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 REG-1 consent",
        "query-answered complete, 90000101 no-consent",
    ]


async def test_an_empty_answer_on_a_verbal_consent_carries_no_flag(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.register(latent=True)
    country.door.answers[PRACTICE.ura] = Failure(Failing.NO_CONSENT, "said so")
    attested = country.call(verbal_consent=country.verbal())
    assert await ask(country.means, attested, summary()) == NOTHING


async def test_an_empty_record_asked_on_a_verbal_consent_carries_no_flag(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.register(latent=True)
    country.door.answers[PRACTICE.ura] = Answer(())
    combined = await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    assert isinstance(combined, Combined)
    assert (combined.completeness, combined.flags) == (Completeness.COMPLETE, ())


@pytest.mark.parametrize("case", [name for name in SILENT if name != "latent and silent"])
async def test_where_the_patient_is_asked_first_everybody_hears_the_same(country: Country, case: str) -> None:
    """Not attested: 403 for everybody not open by consent, registered, objected or unknown alike."""
    await SILENT[case][0](country)
    await country.regime(Regime.CRISIS_OPT_IN)
    for patient in (US, NOBODY):
        country.counted()
        result = await ask(country.means, country.call(), summary(patient))
        assert result == Refused(Bar.VERBAL_CONSENT_REQUIRED)
        assert country.counted()["commit"] == 1
    assert country.door.asked == []


async def test_one_objection_is_invisible_in_another_sources_answer(country: Country) -> None:
    await country.open(PRACTICE)
    await country.open(PRACTICE_2)
    alone = await country.open(PRACTICE, patient=THEM)
    assert alone.created
    await country.say(Say.NO, PRACTICE_2, requesters={"gp-care"})
    mixed = await ask(country.means, country.call(), summary())
    plain = await ask(country.means, country.call(), summary(THEM))
    assert [leg.outcome for leg in mixed.legs] == [leg.outcome for leg in plain.legs]
    assert (mixed.completeness, mixed.flags) == (plain.completeness, plain.flags)
    assert country.door.custodians == ["90000101", "90000101"]


@pytest.mark.parametrize("case", SILENT)
async def test_localisation_keeps_the_same_silence(country: Country, case: str) -> None:
    await SILENT[case][0](country)
    await localise(country.means, country.call(), NOBODY, Category.GP_SUMMARY)
    country.counted()
    assert await localise(country.means, country.call(), US, Category.GP_SUMMARY) == ()
    work = country.counted()
    assert await localise(country.means, country.call(), NOBODY, Category.GP_SUMMARY) == ()
    assert work == country.counted()


async def test_permission_for_one_category_says_nothing_of_another(country: Country) -> None:
    await country.open()
    assert await ask(country.means, country.call(), medication()) == NOTHING
