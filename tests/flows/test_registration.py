"""How does a custodian register, read and end its own entries, and nobody else's? The journal line by line."""

from __future__ import annotations

from typing import Any

import pytest
from flow_country import HOSPITAL, PHARMACY, PRACTICE, PRACTICE_2, THEM, US, Country
from transcript import transcript

from gateway.flows import registration
from gateway.flows.deciding import Unsettled
from gateway.flows.registration import Registered, Wrong
from gateway.rules.access import Bar
from gateway.rules.choice import Say
from gateway.rules.exchange import Category, Regime
from gateway.rules.identifiers import ApplicationId
from gateway.stores import consents
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable

LATENT = {"latent": True}


async def _listed(country: Country, patient: Any = US) -> list[str]:
    found = await country.means.index.find(country.means.keys.patient(patient), None)
    return [f"{one.custodian} {one.category}{' latent' if one.latent else ''}" for one in found]


async def test_an_entry_after_a_yes_is_new_once(country: Country) -> None:
    await country.say()
    before = await country.forget()
    first, again = await country.register(), await country.register()
    assert (first.created, again.created) == (True, False)
    assert first.pointer == again.pointer
    assert await _listed(country) == ["90000101 gp-summary"]
    assert await transcript(country, before) == [
        "entry-registered gp-summary False True",
        "entry-registered gp-summary False False",
    ]
    assert US.digits not in first.pointer.id


REFUSED: dict[str, tuple[Say | None, dict[str, Any], dict[str, Any], Bar]] = {
    "nobody said anything": (None, {}, {}, Bar.NO_CONSENT),
    "the patient said no": (Say.NO, {}, {}, Bar.NO_CONSENT),
    "the yes was to another": (Say.YES, {"custodian": PRACTICE_2}, {}, Bar.NO_CONSENT),
    "the yes names another category": (
        Say.YES, {"categories": {Category.TREATMENT_LIMITS}}, {}, Bar.NO_CONSENT),
    "a category this kind does not hold": (Say.YES, {}, {"category": Category.MEDICATION}, Bar.NOT_AUTHORISED),
    "latent without the regime": (Say.YES, {}, LATENT, Bar.NOT_AUTHORISED),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_an_entry_that_may_not_be_is_refused_and_journaled(country: Country, case: str) -> None:
    say, about, wanted, bar = REFUSED[case]
    if say is not None:
        await country.say(say, **about)
    before = await country.forget()
    assert await country.register(**wanted) is bar
    category = wanted.get("category", Category.GP_SUMMARY)
    assert await transcript(country, before) == [f"entry-refused {category} {bar}"]
    assert await _listed(country) == []


async def test_who_is_no_custodian_registers_nothing(country: Country) -> None:
    await country.say(Say.YES, HOSPITAL)
    assert await country.register(HOSPITAL) is Bar.NOT_AUTHORISED


async def test_a_revoked_custodian_registers_nothing(country: Country) -> None:
    await country.say()
    await country.revoke(PRACTICE)
    assert await country.register() is Bar.UNKNOWN_PARTY
    assert await _listed(country) == []


FOREIGN: dict[str, tuple[dict[str, Any], Wrong]] = {
    "another organisation": ({"named": PRACTICE_2}, Wrong.FOREIGN_ORGANISATION),
    "another's system": ({"system": PRACTICE_2.application}, Wrong.FOREIGN_SYSTEM),
    "a system nobody has": ({"system": ApplicationId("999")}, Wrong.FOREIGN_SYSTEM),
}


@pytest.mark.parametrize("case", FOREIGN)
async def test_only_own_entries_are_registered(country: Country, case: str) -> None:
    wanted, wrong = FOREIGN[case]
    await country.say(Say.YES, None)
    assert await country.register(**wanted) is wrong
    assert await _listed(country) == []


async def test_latent_entries_need_the_crisis_regime_and_no_objection(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    assert (await country.register(latent=True)).created
    assert await _listed(country) == ["90000101 gp-summary latent"]
    assert await country.register(PHARMACY, Category.MEDICATION, latent=True) is Bar.NOT_AUTHORISED
    assert await country.register(category=Category.TREATMENT_LIMITS, latent=True) is Bar.NOT_AUTHORISED
    await country.say(Say.NO, patient=THEM)
    assert await country.register(patient=THEM, latent=True) is Bar.NO_CONSENT


async def test_an_enrolment_needs_no_yes_and_only_a_practice_has_one(country: Country) -> None:
    assert (await country.register(category=Category.ENROLMENT)).created
    assert await country.register(PHARMACY, Category.ENROLMENT) is Bar.NOT_AUTHORISED


# --- reading and ending ----------------------------------------------------------------------------------------------


async def test_an_entry_is_read_and_ended_by_its_custodian_only(country: Country) -> None:
    pointer = (await country.open()).pointer
    own, other = country.call(PRACTICE, None), country.call(PRACTICE_2, None)
    assert await registration.read_entry(country.means, own, pointer.id) == pointer
    assert await registration.read_entry(country.means, other, pointer.id) is Wrong.UNKNOWN
    before = await country.forget()
    assert await registration.end_entry(country.means, other, pointer.id) is Wrong.UNKNOWN
    assert await _listed(country) == ["90000101 gp-summary"]
    assert await registration.end_entry(country.means, own, pointer.id) == pointer
    assert await registration.end_entry(country.means, own, pointer.id) is Wrong.UNKNOWN
    assert await _listed(country) == []
    assert await transcript(country, before) == ["entry-ended gp-summary by the custodian"]


@pytest.mark.parametrize("id", ["", "x", "e" * 50, "1"])
async def test_an_id_of_nothing_is_unknown(country: Country, id: str) -> None:
    assert await registration.read_entry(country.means, country.call(PRACTICE, None), id) is Wrong.UNKNOWN


async def test_own_entries_are_one_systems_and_the_reading_is_journaled(country: Country) -> None:
    await country.open()
    await country.open(patient=THEM)
    await country.open(PRACTICE_2)
    before = await country.forget()
    own = country.call(PRACTICE, None)
    found = await registration.own_entries(country.means, own, PRACTICE.application)
    assert {one.custodian for one in found} == {PRACTICE.ura}
    assert len(found) == 2
    assert await registration.own_entries(country.means, own, PRACTICE_2.application) is Wrong.FOREIGN_SYSTEM
    assert await transcript(country, before) == ["own-entries-read 2"]


# --- when things move or fail ----------------------------------------------------------------------------------------


async def test_a_refusal_that_arrives_between_judging_and_writing_wins(country: Country) -> None:
    """The entry was put already: it goes again, and the patient's no is what counts."""
    await country.say()
    real, hit = country.ledger.commit, []

    async def commit(unit: Any) -> Any:
        if not hit:
            hit.append(1)
            await country.say(Say.NO)
        return await real(unit)

    country.ledger.commit = commit
    assert await country.register() is Bar.NO_CONSENT
    assert await _listed(country) == []


async def test_a_failing_ledger_leaves_no_new_entry_behind(country: Country) -> None:
    await country.say()
    country.ledger.good_commits = 0
    with pytest.raises(LedgerUnavailable):
        await country.register()
    assert await _listed(country) == []


async def test_a_failing_ledger_leaves_the_former_entry_as_it_was(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.open()
    country.ledger.good_commits = 0
    with pytest.raises(LedgerUnavailable):
        await country.register(latent=True)
    assert await _listed(country) == ["90000101 gp-summary"]


async def test_an_unavailable_index_is_told(country: Country) -> None:
    await country.say()
    country.index.broken = True
    with pytest.raises(IndexUnavailable):
        await country.register()


async def test_a_storm_registers_nothing(country: Country) -> None:
    await country.say()
    key, real = country.means.keys.patient(US), country.ledger.commit

    async def commit(unit: Any) -> Any:
        await country.real_ledger.commit(lambda tx: consents.bump(tx, key))
        return await real(unit)

    country.ledger.commit = commit
    with pytest.raises(Unsettled):
        await country.register()
    assert await _listed(country) == []


async def test_registering_again_replaces_what_was_latent(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.register(latent=True)
    opened = await country.open()
    assert isinstance(opened, Registered)
    assert not opened.created
    assert await _listed(country) == ["90000101 gp-summary"]
