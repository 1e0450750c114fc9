"""Which entries may be asked, and why? Localisation and explanation: the query's rules, with nobody asked."""

from __future__ import annotations

import pytest
from flow_country import GP, HOSPITAL, NOBODY, PHARMACY, POST, PRACTICE, PRACTICE_2, US, Country, summary
from transcript import transcript

from gateway.flows.deciding import Refused, Unsettled
from gateway.flows.localise import explain_query, localise
from gateway.flows.query import ask
from gateway.rules.access import Bar
from gateway.rules.choice import Say
from gateway.rules.exchange import Category, Contact, Regime
from gateway.stores import consents
from gateway.stores.index import IndexUnavailable

SUMMARY, MEDICATION = Category.GP_SUMMARY, Category.MEDICATION


async def test_what_may_be_asked_is_shown_and_nothing_else(country: Country) -> None:
    await country.open(PRACTICE)
    await country.open(PRACTICE_2)
    await country.say(Say.NO, PRACTICE_2, requesters={"gp-care"})
    before = await country.forget()
    found = await localise(country.means, country.call(), US, SUMMARY)
    assert [one.custodian for one in found] == [PRACTICE.ura]
    assert country.door.asked == []
    assert await transcript(country, before) == [
        "localised gp-summary: 90000101 REG-1 consent; 90000102 objection shown 1"
    ]


async def test_all_categories_are_one_line_each_and_a_bar_on_one_hides_behind_the_others(country: Country) -> None:
    await country.open(PRACTICE)
    await country.open(PHARMACY, MEDICATION)
    before = await country.forget()
    found = await localise(country.means, country.call(), US, None)
    assert [one.category for one in found] == [SUMMARY, MEDICATION]
    assert await transcript(country, before) == [
        "localised gp-summary: 90000101 REG-1 consent shown 1",
        "localised medication: 90000201 REG-2 consent shown 1",
        "localised allergies: nothing shown 0",
        "query-refused treatment-limits not-authorised",
    ]


async def test_a_bar_is_told_when_every_category_is_barred(country: Country) -> None:
    await country.open()
    result = await localise(country.means, country.call(cover=False), US, None)
    assert result == Refused(Bar.NO_COVER)


async def test_an_enrolment_is_never_localised(country: Country) -> None:
    await country.register(category=Category.ENROLMENT)
    assert await localise(country.means, country.call(), US, Category.ENROLMENT) == Refused(Bar.NOT_AUTHORISED)
    assert await localise(country.means, country.call(), US, None) == ()


async def test_under_an_ask_row_localising_asks_first_too(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.register(latent=True)
    for patient in (US, NOBODY):
        result = await localise(country.means, country.call(), patient, SUMMARY)
        assert result == Refused(Bar.VERBAL_CONSENT_REQUIRED)


async def test_an_unavailable_index_is_journaled_and_told(country: Country) -> None:
    country.index.broken = True
    with pytest.raises(IndexUnavailable):
        await localise(country.means, country.call(), US, SUMMARY)
    assert await transcript(country) == ["query-failed index-unavailable"]


async def test_a_storm_localises_nothing(country: Country) -> None:
    key = country.means.keys.patient(US)

    async def move() -> None:
        await country.real_ledger.commit(lambda tx: consents.bump(tx, key))

    country.index.after_find = move
    for flow in (localise, explain_query):
        with pytest.raises(Unsettled):
            await flow(country.means, country.call(), US, SUMMARY)


# --- $explain --------------------------------------------------------------------------------------------------------


async def test_an_explanation_names_the_row_and_is_journaled_as_one(country: Country) -> None:
    await country.open()
    before = await country.forget()
    told = await explain_query(country.means, country.call(), US, SUMMARY)
    assert (told.outcome, told.reason) == ("permitted", "REG-1")
    assert await transcript(country, before) == ["explained gp-summary: permitted REG-1"]
    assert country.door.asked == []


REASONS: dict[str, tuple[dict[str, object], str, str]] = {
    "no cover": ({"cover": False}, "refused", "no-cover"),
    "no contact": ({"contact": None}, "refused", "no-treatment-relation"),
    "the emergency department": ({"of": HOSPITAL, "department": "SEH"}, "refused", "not-authorised"),
}


@pytest.mark.parametrize("case", REASONS)
async def test_an_explanation_tells_the_bar_and_the_smallest_change(country: Country, case: str) -> None:
    given, outcome, reason = REASONS[case]
    await country.open()
    told = await explain_query(country.means, country.call(**{"of": POST, "role": GP, **given}), US, SUMMARY)
    assert (told.outcome, told.reason) == (outcome, reason)
    assert told.change


async def test_an_explanation_may_say_what_an_answer_never_would(country: Country) -> None:
    await country.open()
    await country.say(Say.NO, requesters={"gp-care"})
    told = await explain_query(country.means, country.call(), US, SUMMARY)
    assert (told.outcome, told.reason) == ("neutral", "objection")


async def test_an_explanation_binds_no_attestation(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.register(latent=True)
    elsewhere = country.contact()
    elsewhere = Contact("contact-2", elsewhere.kind, elsewhere.start)
    told = await explain_query(
        country.means, country.call(contact=elsewhere, verbal_consent=country.verbal()), US, SUMMARY
    )
    assert told.outcome == "permitted"
    combined = await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    assert len(combined.legs) == 1, "still unbound, so it counts in its own contact"
    again = await explain_query(
        country.means, country.call(contact=elsewhere, verbal_consent=country.verbal()), US, SUMMARY
    )
    assert again.reason == "bad-attestation"
