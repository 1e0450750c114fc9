"""What wins when something moves while the sources are asked? Whatever was acknowledged before the release."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from flow_country import (
    HOSPITAL,
    PHARMACY,
    POST,
    PRACTICE,
    PRACTICE_2,
    THEM,
    US,
    Country,
    summary,
)
from transcript import transcript
from watched import answer

from gateway.flows import registration
from gateway.flows.deciding import Refused
from gateway.flows.query import ask
from gateway.flows.release import NOTHING
from gateway.rules.access import Bar
from gateway.rules.choice import Say
from gateway.rules.exchange import Category, Regime

CRISIS, EMERGENCY = Regime.CRISIS_OPT_IN, Regime.EMERGENCY_AVAILABLE
Act = Callable[[Country], Awaitable[None]]


async def _during(country: Country, act: Act, custodian: object = PRACTICE) -> None:
    """Let `act` happen while the practice is asked."""

    async def now() -> None:
        await act(country)

    country.door.during[PRACTICE.ura] = now


async def _withdraws(country: Country) -> None:
    await country.say(Say.WITHDRAWN)


async def _objects_to_gp_care(country: Country) -> None:
    await country.say(Say.NO, requesters={"gp-care"})


async def _objects_to_this_post(country: Country) -> None:
    await country.say(Say.NO, requesters={POST.ura.digits})


async def _custodian_ends_the_entry(country: Country) -> None:
    pointer = (await country.means.index.find(country.means.keys.patient(US), None))[0]
    await registration.end_entry(country.means, country.call(PRACTICE, None), pointer.id)


async def _endpoint_moves(country: Country) -> None:
    await country.move(PRACTICE, "https://elsewhere.test/fhir")


MOVED: dict[str, tuple[Act, list[str]]] = {
    "consent withdrawn": (_withdraws, ["consent-stated withdrawn", "entry-ended gp-summary by the patient"]),
    "objection to this group": (_objects_to_gp_care, ["consent-stated no"]),
    "objection to this organisation": (_objects_to_this_post, ["consent-stated no"]),
    "entry ended by the custodian": (_custodian_ends_the_entry, ["entry-ended gp-summary by the custodian"]),
    "the source has another endpoint": (_endpoint_moves, ["participant-joined"]),
}


@pytest.mark.parametrize("case", MOVED)
async def test_what_was_acknowledged_meanwhile_drops_the_answer(country: Country, case: str) -> None:
    act, lines = MOVED[case]
    await country.open()
    await _during(country, act)
    before = await country.forget()
    assert await ask(country.means, country.call(), summary()) == NOTHING
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 REG-1 consent",
        *lines,
        "query-answered complete, 90000101 answered, dropped 90000101",
    ]


async def test_only_the_withdrawn_sources_answer_is_dropped(country: Country) -> None:
    await country.open(PRACTICE)
    await country.open(PRACTICE_2)
    await _during(country, _withdraws)
    before = await country.forget()
    combined = await ask(country.means, country.call(), summary())
    assert [leg.address.ura for leg in combined.legs] == [PRACTICE_2.ura]
    assert (await transcript(country, before))[3:] == [
        "disclosed 90000102 REG-1 covering consent x1",
        "query-answered complete, 90000101 answered, 90000102 answered, dropped 90000101",
    ]


async def test_a_certificate_revoked_meanwhile_gets_nothing(country: Country) -> None:
    await country.open()
    await _during(country, lambda here: here.revoke(POST))
    before = await country.forget()
    assert await ask(country.means, country.call(), summary()) == Refused(Bar.UNKNOWN_PARTY)
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 REG-1 consent",
        f"certificate-revoked test {POST.serial}",
        "query-refused gp-summary unknown-party",
    ]


async def _stop(country: Country) -> None:
    await country.regime(CRISIS, on=False)


async def test_the_stop_button_drops_an_answer_on_verbal_consent(country: Country) -> None:
    await country.regime(CRISIS)
    await country.register(latent=True)
    await _during(country, _stop)
    before = await country.forget()
    call = country.call(verbal_consent=country.verbal())
    assert await ask(country.means, call, summary()) == NOTHING
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 CRI-1 verbal-consent",
        "regime-switched test CRISIS_OPT_IN False",
        "query-answered complete, 90000101 answered, dropped 90000101",
    ]


async def test_a_regime_that_ends_by_itself_drops_the_answer(country: Country) -> None:
    await country.regime(CRISIS, until=country.now + timedelta(minutes=1))
    await country.register(latent=True)

    async def a_minute_passes(here: Country) -> None:
        here.tick(minutes=1)

    await _during(country, a_minute_passes)
    call = country.call(verbal_consent=country.verbal())
    assert await ask(country.means, call, summary()) == NOTHING


async def test_another_row_with_another_view_does_not_stand_in(country: Country) -> None:
    """EMA-1 made the acute view; once its regime ends, CRI-2 would permit, but the covering view, not this one."""
    await country.regime(CRISIS)
    await country.regime(EMERGENCY)
    await country.open()
    await _during(country, lambda here: here.regime(EMERGENCY, on=False))
    before = await country.forget()
    call = country.emergency(verbal_consent=country.verbal())
    assert await ask(country.means, call, summary()) == NOTHING
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 EMA-1 consent",
        "regime-switched test EMERGENCY_AVAILABLE False",
        "query-answered complete, 90000101 answered, dropped 90000101",
    ]
    country.door.during.clear()
    again = await ask(country.means, call, summary())
    assert [leg.permit.row.id for leg in again.legs] == ["CRI-2"]


async def _other_patient(country: Country) -> None:
    await country.say(Say.NO, None, patient=THEM)


async def _adds_a_yes(country: Country) -> None:
    await country.say(Say.YES, PHARMACY)


async def _other_party_revoked(country: Country) -> None:
    await country.revoke(HOSPITAL)


async def _other_regime(country: Country) -> None:
    await country.regime(EMERGENCY)


UNRELATED: dict[str, Act] = {
    "another patient objects": _other_patient,
    "the patient says yes to somebody else": _adds_a_yes,
    "another party is revoked": _other_party_revoked,
    "another regime begins": _other_regime,
}


@pytest.mark.parametrize("case", UNRELATED)
async def test_what_changes_nothing_here_is_no_reason_to_drop(country: Country, case: str) -> None:
    await country.open()
    await _during(country, UNRELATED[case])
    combined = await ask(country.means, country.call(), summary())
    assert [leg.outcome for leg in combined.legs] == [answer("1")]
    assert "disclosed 90000101 REG-1 covering consent x1" in await transcript(country)


async def test_an_entry_that_turned_latent_meanwhile_is_dropped(country: Country) -> None:
    await country.regime(CRISIS)
    await country.open()

    async def turns_latent(here: Country) -> None:
        assert not (await here.register(latent=True)).created

    await _during(country, turns_latent)
    assert await ask(country.means, country.call(), summary()) == NOTHING


async def test_a_party_revoked_on_the_authoritys_list_meanwhile_gets_nothing(country: Country) -> None:
    """The list is a file: the ledger's version does not move, so the party itself must be asked again."""
    await country.open()
    call, listed = country.call(), []

    def party(network):
        from dataclasses import replace

        return replace(call.party(network), revoked=bool(listed))

    async def is_listed(here: Country) -> None:
        listed.append(1)

    await _during(country, is_listed)
    listing = type(call)(call.aorta, call.situation, party, call.interaction)
    assert await ask(country.means, listing, summary()) == Refused(Bar.UNKNOWN_PARTY)


async def test_the_clients_own_category_is_the_only_one_released(country: Country) -> None:
    await country.open(PRACTICE)
    await country.register(PRACTICE, Category.TREATMENT_LIMITS)
    await ask(country.means, country.call(), summary())
    assert [one.permit.pointer.category for one in country.door.asked] == [Category.GP_SUMMARY]
