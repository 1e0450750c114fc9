"""How does a choice get in force, and what does it end at once? Versions, entitlement, entries; line by line."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from flow_country import PHARMACY, PRACTICE, PRACTICE_2, THEM, US, Country
from transcript import transcript

from gateway.flows import consent
from gateway.flows.consent import NoSuchConsent, NotEntitled, ScopeChanged, StaleVersion
from gateway.rules.choice import ConsentState, Party, Say
from gateway.rules.exchange import Category, Group, Regime
from gateway.stores import consents
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable

GRANTED, UNDECIDED, DENIED = ConsentState.GRANTED, ConsentState.UNDECIDED, ConsentState.DENIED
EVERY_GROUP = {group.value for group in Group}


async def _listed(country: Country) -> list[str]:
    found = await country.means.index.find(country.means.keys.patient(US), None)
    return [f"{one.custodian} {one.category}" for one in found]


async def test_a_yes_is_in_force_at_once(country: Country) -> None:
    kept = await country.say(sender=PRACTICE)
    assert (kept.version, kept.state, kept.statement.say) == (1, GRANTED, Say.YES)
    (line,) = [one.line for one in await country.lines()]
    assert line.fields["statement"] == kept.id
    assert line.fields["organisation"] == "90000101"
    assert (line.custodian, line.requester) == (PRACTICE.ura, PRACTICE.ura)


async def test_what_the_patient_states_herself_names_no_organisation(country: Country) -> None:
    await country.say(Say.NO, None)
    (line,) = [one.line for one in await country.lines()]
    assert (line.custodian, line.requester) == (None, None)
    assert "organisation" not in line.fields


async def test_an_update_is_the_next_version_of_the_same_consent(country: Country) -> None:
    kept = await country.say(sender=PRACTICE)
    country.tick(seconds=1)
    withdrawn = await country.say(Say.WITHDRAWN, sender=PRACTICE, resource=kept.id, expected_version=1)
    assert (withdrawn.id, withdrawn.version, withdrawn.state) == (kept.id, 2, DENIED)
    with pytest.raises(StaleVersion):
        await country.say(Say.YES, sender=PRACTICE, resource=kept.id, expected_version=1)
    read, patient = await consent.read_consent(country.means, await _party(country, PRACTICE), kept.id)
    assert (read.version, read.state) == (2, DENIED)
    assert patient == country.means.keys.patient(US)


async def _party(country: Country, of: Any) -> Any:
    return country.call(of, None).party(await country.means.live.network())


WRONG_UPDATES: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "another scope": ({"categories": {Category.GP_SUMMARY}}, ScopeChanged),
    "another patient": ({"patient": THEM}, NoSuchConsent),
    "another custodian": ({"custodian": PRACTICE_2, "sender": PRACTICE_2}, NoSuchConsent),
    "an id of nothing": ({"resource": "nothing"}, NoSuchConsent),
    "a version to come": ({"expected_version": 2}, StaleVersion),
}


@pytest.mark.parametrize("case", WRONG_UPDATES)
async def test_an_update_changes_what_is_said_and_nothing_else(country: Country, case: str) -> None:
    more, wrong = WRONG_UPDATES[case]
    kept = await country.say(sender=PRACTICE)
    before = await country.forget()
    with pytest.raises(wrong):
        await country.say(**{"say": Say.NO, "sender": PRACTICE, "resource": kept.id, **more})
    assert await transcript(country, before) == []
    assert (await country.say(sender=PRACTICE, resource=kept.id)).version == 2


async def test_a_foreign_consent_is_not_there(country: Country) -> None:
    kept = await country.say(sender=PRACTICE)
    with pytest.raises(NoSuchConsent):
        await consent.read_consent(country.means, await _party(country, PRACTICE_2), kept.id)


async def test_own_consents_are_the_newest_of_each_and_the_reading_is_journaled(country: Country) -> None:
    kept = await country.say(sender=PRACTICE)
    await country.say(Say.WITHDRAWN, sender=PRACTICE, resource=kept.id)
    await country.say(Say.NO, PRACTICE_2, sender=PRACTICE_2)
    before = await country.forget()
    patient = country.means.keys.patient(US)
    found = await consent.own_consents(country.means, await _party(country, PRACTICE), patient, country.aorta())
    assert [(one.id, one.version) for one in found] == [(kept.id, 2)]
    assert await transcript(country, before) == ["own-consents-read 1"]


# --- what a denial ends ----------------------------------------------------------------------------------------------

ENDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a no": ({"say": Say.NO}, []),
    "a withdrawal": ({"say": Say.WITHDRAWN}, []),
    "a no to every custodian": ({"say": Say.NO, "custodian": None}, []),
    "a no naming every group": ({"say": Say.NO, "requesters": EVERY_GROUP}, []),
    "a no to this category": ({"say": Say.NO, "categories": {Category.GP_SUMMARY}}, []),
    "a narrower one, by group": ({"say": Say.NO, "requesters": {"gp-care"}}, ["90000101 gp-summary"]),
    "a narrower one, by organisation": ({"say": Say.NO, "requesters": {"90000301"}}, ["90000101 gp-summary"]),
    "a narrower one, in emergencies": ({"say": Say.NO, "emergency_only": True}, ["90000101 gp-summary"]),
    "a no to another category": (
        {"say": Say.NO, "categories": {Category.TREATMENT_LIMITS}}, ["90000101 gp-summary"]),
    "a no to another custodian": ({"say": Say.NO, "custodian": PRACTICE_2}, ["90000101 gp-summary"]),
    "a cleared no": ({"say": Say.CLEARED}, ["90000101 gp-summary"]),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
async def test_a_denial_to_everybody_ends_the_entry_at_once(country: Country, case: str) -> None:
    said, left = ENDS[case]
    await country.open()
    country.tick(seconds=1)
    before = await country.forget()
    await country.say(**said)
    assert await _listed(country) == left
    ended = [] if left else ["entry-ended gp-summary by the patient"]
    assert await transcript(country, before) == [f"consent-stated {said['say']}", *ended]


async def test_an_objection_ends_every_entry_it_covers_but_no_enrolment(country: Country) -> None:
    for custodian, category in ((PRACTICE, Category.GP_SUMMARY), (PHARMACY, Category.MEDICATION)):
        await country.open(custodian, category)
    await country.register(category=Category.ENROLMENT)
    country.tick(seconds=1)
    await country.say(Say.NO, None)
    assert await _listed(country) == ["90000101 enrolment"]
    ended = [one.line for one in await country.lines() if one.line.event == "entry-ended"]
    assert {line.custodian for line in ended} == {PRACTICE.ura, PHARMACY.ura}


async def test_an_older_objection_that_arrives_late_ends_nothing(country: Country) -> None:
    await country.open()
    country.tick(hours=1)
    kept = await country.say(Say.NO, effective=country.now - timedelta(days=30))
    assert kept.state is GRANTED
    assert await _listed(country) == ["90000101 gp-summary"]


async def test_an_objection_dated_in_the_future_counts_at_once(country: Country) -> None:
    await country.open()
    country.tick(hours=1)
    kept = await country.say(Say.NO, effective=country.now + timedelta(days=30))
    assert kept.state is DENIED
    assert await _listed(country) == []


async def test_a_new_yes_wants_a_new_registration(country: Country) -> None:
    await country.open()
    country.tick(seconds=1)
    await country.say(Say.NO)
    country.tick(seconds=1)
    await country.say(Say.YES)
    assert await _listed(country) == []
    assert (await country.register()).created


async def test_a_latent_entry_ends_on_an_objection_too(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.register(latent=True)
    await country.say(Say.NO)
    assert await _listed(country) == []


async def test_an_objection_stands_even_when_the_index_cannot_be_reached(country: Country) -> None:
    await country.open()
    country.tick(seconds=1)
    country.index.broken = True
    with pytest.raises(IndexUnavailable):
        await country.say(Say.NO)
    kept = await country.real_ledger.read(lambda tx: consents.of(tx, country.means.keys.patient(US)))
    assert [one.say for one in kept] == [Say.YES, Say.NO]


async def test_a_failing_ledger_takes_nothing_in(country: Country) -> None:
    country.ledger.good_commits = 0
    with pytest.raises(LedgerUnavailable):
        await country.say(Say.NO)
    assert await country.real_ledger.read(lambda tx: consents.of(tx, country.means.keys.patient(US))) == ()
    assert await country.lines() == []


# --- who may state ---------------------------------------------------------------------------------------------------

TODAY = date(2026, 11, 21)
PATIENT, PARENT, REPRESENTATIVE = {Party.PATIENT}, {Party.PARENT}, {Party.REPRESENTATIVE}
BOTH = PATIENT | PARENT

AGES: dict[str, tuple[int, Say, set[Party], bool]] = {
    "eleven, the parent": (11, Say.YES, PARENT, True),
    "eleven, the child": (11, Say.YES, PATIENT, False),
    "fourteen, both": (14, Say.YES, BOTH, True),
    "fourteen, the parent alone": (14, Say.YES, PARENT, False),
    "fourteen, the child alone": (14, Say.YES, PATIENT, False),
    "fourteen, one no suffices": (14, Say.NO, PATIENT, True),
    "sixteen, the patient": (16, Say.YES, PATIENT, True),
    "sixteen, the parent": (16, Say.NO, PARENT, False),
    "grown up, a representative": (40, Say.YES, REPRESENTATIVE, True),
}


@pytest.mark.parametrize("case", AGES)
async def test_who_may_state_depends_on_age(country: Country, case: str) -> None:
    years, say, by, entitled = AGES[case]
    born = TODAY.replace(year=TODAY.year - years)
    if entitled:
        assert (await country.say(say, by=by, birth_date=born)).statement.by == by
        return
    with pytest.raises(NotEntitled):
        await country.say(say, by=by, birth_date=born)
    assert await transcript(country) == ["consent-refused not-entitled"]
    assert await country.real_ledger.read(lambda tx: consents.birth_date(tx, country.means.keys.patient(US))) is None


async def test_the_birth_date_first_told_stands(country: Country) -> None:
    """Naming another day of birth must not change who may state."""
    await country.say(by=PARENT, birth_date=TODAY.replace(year=2016))
    with pytest.raises(NotEntitled):
        await country.say(Say.WITHDRAWN, by=PATIENT, birth_date=TODAY.replace(year=1980))
    with pytest.raises(NotEntitled):
        await country.say(Say.WITHDRAWN, by=PATIENT)


async def test_a_parents_yes_stays_and_the_parents_voice_ends_at_sixteen(country: Country) -> None:
    await country.say(by=PARENT, birth_date=date(2014, 11, 23))
    assert (await country.register()).created
    country.tick(days=5 * 366)
    with pytest.raises(NotEntitled):
        await country.say(Say.WITHDRAWN, by=PARENT)
    assert (await country.say(Say.YES, PHARMACY, by=PATIENT)).state is GRANTED
    assert await _listed(country) == ["90000101 gp-summary"]


async def test_clearing_a_no_gives_undecided(country: Country) -> None:
    await country.say(Say.NO)
    country.tick(seconds=1)
    assert (await country.say(Say.CLEARED)).state is UNDECIDED
