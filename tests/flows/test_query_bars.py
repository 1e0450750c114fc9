"""When is a query refused, and when must the patient be asked? Each bar once, and every ground but recorded consent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flow_country import (
    AMBULANCE,
    ASSISTANT,
    GP,
    HOSPITAL,
    PARAMEDIC,
    PHARMACY,
    POST,
    POST_2,
    SEH_PHYSICIAN,
    THEM,
    US,
    Country,
    medication,
    summary,
)
from transcript import transcript

from gateway.flows.deciding import Refused
from gateway.flows.query import ask
from gateway.rules.access import Bar
from gateway.rules.choice import Say
from gateway.rules.exchange import Capacity, Category, Flag, GivenBy, Purpose, Regime, Responsible
from gateway.stores import once

CRISIS, EMERGENCY = Regime.CRISIS_OPT_IN, Regime.EMERGENCY_AVAILABLE


# --- bars about the requester ----------------------------------------------------------------------------------------

LAPSED = Responsible("000000002", "Test Responsible", GP, mandate_until=None)

BARS: dict[str, tuple[Bar, Any, dict[str, Any], Any]] = {
    "unknown role": (Bar.UNKNOWN_PARTY, POST, {"role": "99.001"}, summary()),
    "company doctor": (Bar.BARRED_PROFESSION, POST, {"role": "01.008"}, summary()),
    "assistant on her own": (Bar.NO_MANDATE, POST, {"role": ASSISTANT}, summary()),
    "a system by itself": (Bar.NO_MANDATE, POST, {"role": None}, summary()),
    "emergency department, standing rules": (
        Bar.NOT_AUTHORISED, HOSPITAL, {"role": SEH_PHYSICIAN, "department": "SEH"}, summary()),
    "no contact": (Bar.NO_TREATMENT_RELATION, POST, {"contact": None}, summary()),
    "no cover": (Bar.NO_COVER, POST, {"cover": False}, summary()),
    "no cover, medication": (Bar.NO_COVER, POST, {"cover": False}, medication()),
}  # fmt: skip


@pytest.mark.parametrize("case", BARS)
async def test_a_bar_about_the_requester_is_told_and_nobody_is_asked(country: Country, case: str) -> None:
    bar, of, more, query = BARS[case]
    await country.open()
    await country.open(PHARMACY, Category.MEDICATION)
    before = await country.forget()
    assert await ask(country.means, country.call(of, **{"role": GP, **more}), query) == Refused(bar)
    assert await transcript(country, before) == [f"query-refused {query.category} {bar}"]
    assert country.door.asked == []


async def test_a_revoked_organisation_is_refused(country: Country) -> None:
    await country.open()
    await country.revoke(POST)
    assert await ask(country.means, country.call(), summary()) == Refused(Bar.UNKNOWN_PARTY)
    assert country.door.asked == []


async def test_no_emergency_is_told(country: Country) -> None:
    await country.regime(EMERGENCY)
    await country.open()
    call = country.emergency(purpose=Purpose.TREAT)
    assert await ask(country.means, call, summary()) == Refused(Bar.NO_EMERGENCY)


TIMES = {
    "contact over for 72 hours": ({"hours_ago": 72}, None),
    "contact over for longer": ({"hours_ago": 72.01}, Bar.NO_TREATMENT_RELATION),
    "contact in the future": ({"hours_ago": -0.1}, Bar.NO_TREATMENT_RELATION),
}


@pytest.mark.parametrize("case", TIMES)
async def test_a_contact_ages(country: Country, case: str) -> None:
    given, bar = TIMES[case]
    await country.open()
    result = await ask(country.means, country.call(contact=country.contact(**given)), summary())
    assert (result.bar if isinstance(result, Refused) else None) is bar


async def test_under_mandate_of_a_responsible_both_are_journaled(country: Country) -> None:
    await country.open()
    responsible = Responsible("000000002", "Test Responsible", GP, country.now + timedelta(hours=1))
    call = country.call(role=ASSISTANT, responsible=responsible)
    assert not isinstance(await ask(country.means, call, summary()), Refused)
    (disclosed,) = [k.line for k in await country.lines() if k.line.event == "disclosed"]
    assert (disclosed.fields["actor_role"], disclosed.fields["responsible_role"]) == (ASSISTANT, GP)
    country.tick(hours=2)
    assert await ask(country.means, country.call(role=ASSISTANT, responsible=responsible), summary()) == Refused(
        Bar.NO_MANDATE
    )


# --- asking on the spot ----------------------------------------------------------------------------------------------


async def _latent(country: Country) -> None:
    await country.regime(CRISIS)
    await country.register(latent=True)


async def test_under_the_crisis_regime_the_patient_is_asked_first(country: Country) -> None:
    await _latent(country)
    before = await country.forget()
    assert await ask(country.means, country.call(), summary()) == Refused(Bar.VERBAL_CONSENT_REQUIRED)
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 verbal-consent-required",
        "query-refused gp-summary verbal-consent-required",
    ]
    assert country.door.asked == []


async def test_verbal_consent_opens_a_latent_entry_and_is_flagged(country: Country) -> None:
    await _latent(country)
    before = await country.forget()
    combined = await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    assert combined.flags == (Flag.VERBAL_CONSENT,)
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 CRI-1 verbal-consent",
        "disclosed 90000101 CRI-1 covering verbal-consent x1",
        "message-accepted disclosure-notice",
        "message-parked disclosure-notice no-gp-of-record",
        "query-answered complete, 90000101 answered, verbal-consent",
    ]


async def test_consent_is_presumed_for_an_unconscious_patient_and_flagged(country: Country) -> None:
    await country.regime(EMERGENCY)
    await country.say(requesters={"gp-care"})
    await country.register()
    call = country.emergency(AMBULANCE, PARAMEDIC, capacity=Capacity.INCAPABLE)
    before = await country.forget()
    combined = await ask(country.means, call, summary())
    assert combined.flags == (Flag.PRESUMED_CONSENT,)
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 EMA-2 presumed-consent",
        "disclosed 90000101 EMA-2 acute presumed-consent x1",
        "message-accepted disclosure-notice",
        "message-parked disclosure-notice no-gp-of-record",
        "query-answered complete, 90000101 answered, presumed-consent",
    ]


async def test_nothing_is_presumed_where_the_entry_stands_on_no_yes(country: Country) -> None:
    await country.regime(EMERGENCY)
    await country.open()
    country.tick(seconds=1)
    await country.say(Say.CLEARED)
    combined = await ask(country.means, country.emergency(capacity=Capacity.INCAPABLE), summary())
    assert combined.legs == ()
    assert country.door.asked == []


async def test_an_objection_is_not_outweighed_by_what_is_said_or_presumed(country: Country) -> None:
    await _latent(country)
    await country.say(Say.NO, requesters={"gp-care", "hospital"})
    for call in (
        country.call(verbal_consent=country.verbal()),
        country.emergency(capacity=Capacity.INCAPABLE),
    ):
        combined = await ask(country.means, call, summary())
        assert combined.legs == ()
    assert country.door.asked == []


async def _bound(country: Country) -> None:
    await country.regime(CRISIS)
    for patient in (US, THEM):
        await country.register(latent=True, patient=patient)
    combined = await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    assert len(combined.legs) == 1


ELSEWHERE: dict[str, tuple[Any, Any, str]] = {
    "another patient": (POST, THEM, "contact-1"),
    "another organisation": (POST_2, US, "contact-1"),
    "another contact": (POST, US, "contact-2"),
}


@pytest.mark.parametrize("case", ELSEWHERE)
async def test_an_attestation_is_bound_at_its_first_use(country: Country, case: str) -> None:
    of, patient, contact_id = ELSEWHERE[case]
    await _bound(country)
    contact = country.contact()
    contact = type(contact)(contact_id, contact.kind, contact.start)
    call = country.call(of, contact=contact, verbal_consent=country.verbal())
    assert await ask(country.means, call, summary(patient)) == Refused(Bar.BAD_ATTESTATION)
    again = await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    assert len(again.legs) == 1, "in its own contact it goes on counting"


WORDS: dict[str, tuple[dict[str, Any], Bar]] = {
    "incapable and consenting": ({"capacity": Capacity.INCAPABLE}, Bar.CONTRADICTION),
    "represented, given by the patient": ({"capacity": Capacity.REPRESENTED}, Bar.CONTRADICTION),
    "too old": ({"hours_ago": 72.1}, Bar.BAD_ATTESTATION),
    "in the future": ({"hours_ago": -1}, Bar.BAD_ATTESTATION),
}


@pytest.mark.parametrize("case", WORDS)
async def test_an_attestation_that_cannot_be(country: Country, case: str) -> None:
    more, bar = WORDS[case]
    await _latent(country)
    verbal = country.verbal(GivenBy.PATIENT, hours_ago=more.get("hours_ago", 0))
    call = country.call(verbal_consent=verbal, capacity=more.get("capacity", Capacity.CAPABLE))
    assert await ask(country.means, call, summary()) == Refused(bar)


async def test_an_attestation_used_elsewhere_at_the_same_moment_counts_once(country: Country) -> None:
    """Bound by another organisation between judging and writing: the later one is judged anew."""
    await _latent(country)
    key, verbal = country.means.keys.patient(US), country.verbal()

    async def first() -> None:
        country.index.after_find = None
        await country.real_ledger.commit(lambda tx: once.bind(tx, verbal.id, key, POST_2.ura, "c-9", country.now))

    country.index.after_find = first
    result = await ask(country.means, country.call(verbal_consent=verbal), summary())
    assert result == Refused(Bar.BAD_ATTESTATION)
    assert country.door.asked == []
