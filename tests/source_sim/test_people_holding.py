"""Does a source have the records of the population's people it keeps, of nobody else, and fit for their age?"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from sources_at_hand import BSN, JWKS, NOW, Pki, call, country, gateway

from source_sim import population, records
from source_sim.configuring import BadConfig, Config, SystemConfig, check, newcomer
from source_sim.peopling.choices import Word
from source_sim.peopling.holding import beside
from source_sim.peopling.region import Inhabitant, Recipe, region

RECIPE = Recipe(400, 3)
MADE = region(RECIPE)
PRACTICE, PHARMACY = MADE.practices[0], MADE.pharmacies[0]


def _known_at(ura: str) -> Inhabitant:
    return next(iter(region(RECIPE).held_by(ura).values()))


def _nobody(_bsn: str) -> None:
    return None


def test_records_are_the_populations_and_those_known_go_first() -> None:
    one = _known_at(PRACTICE.ura)
    assert one.bsn
    look = beside(_nobody, RECIPE, PRACTICE.ura, NOW)
    found = look(one.bsn)
    assert found == records.write(one.person, RECIPE.seed, one.person.profile, now=NOW)
    assert look(BSN) is None
    other = records.write(population.person(BSN, NOW.date()), 1, population.Profile.MINIMAL, now=NOW)
    assert beside({one.bsn: other}.get, RECIPE, PRACTICE.ura, NOW)(one.bsn) is other


def test_without_a_population_nothing_is_added() -> None:
    assert beside(_nobody, None, PRACTICE.ura, NOW) is _nobody


def test_a_second_pharmacy_keeps_records_of_who_goes_there_only() -> None:
    made = region(Recipe(10_000))
    first, second = made.pharmacies
    for one in made.held_by(second.ura).values():
        told = {said.custodian for said in one.said if said.word is Word.YES}
        assert one.known.pharmacy == second or second in told
    elsewhere = next(bsn for bsn in made.held_by(first.ura) if bsn not in made.held_by(second.ura))
    assert beside(_nobody, made.recipe, first.ura, NOW)(elsewhere) is not None
    assert beside(_nobody, made.recipe, second.ura, NOW)(elsewhere) is None
    both = made.held_by(first.ura).keys() & made.held_by(second.ura).keys()
    assert 0 < len(both) < 1_000


def test_a_record_holds_the_problems_of_its_person_and_their_medicines() -> None:
    one = max(MADE.numbered, key=lambda each: len(each.problems))
    written = records.write(one.person, 1, one.person.profile, now=NOW)
    codes = {
        coding["code"]
        for each in written.instances
        if each.resource_type == "Condition"
        for coding in each.body["code"]["coding"]
    }
    assert {problem.icpc for problem in one.problems} <= codes
    drugs = {each.body["medicationReference"]["display"] for each in written.instances
             if each.resource_type == "MedicationRequest"}  # fmt: skip
    assert {problem.drug.name for problem in one.problems} <= drugs


def test_somebody_healthy_has_a_record_without_problems_and_without_limits() -> None:
    one = next(each for each in MADE.numbered if not each.problems and each.age < 60)
    kinds = {each.resource_type for each in records.write(one.person, 1, one.person.profile, now=NOW).instances}
    assert "Encounter" in kinds
    assert not kinds & {"Condition", "MedicationRequest", "Consent"}


# --- joining a running process of sources ----------------------------------------------------------------------------


@pytest.fixture
def pki(tmp_path) -> Pki:  # type: ignore[no-untyped-def]
    return Pki(tmp_path)


def _config(pki: Pki) -> Config:
    return Config((_system(pki),), "90000999", jwks=JWKS, now=datetime.now(UTC))


def _system(pki: Pki, people: Recipe | None = None) -> SystemConfig:
    return msgspec.convert({**pki.entry(patients=[]), "people": people}, SystemConfig)


def _wish(pki: Pki, ura: str, kind: str, **changed: object) -> dict[str, object]:
    return pki.entry(kind, ura, patients=[], application="500001", people={"patients": 400, "seed": 3}) | changed


async def test_a_system_joins_while_the_others_run_and_answers_for_its_patients(pki: Pki) -> None:
    one = max(MADE.held_by(PHARMACY.ura).values(), key=lambda each: len(each.problems))
    assert one.bsn
    assert one.problems
    async with country(_config(pki)) as (control, endpoints), gateway(pki) as web:
        joined = await control.put(f"/systems/{PHARMACY.ura}", json=_wish(pki, PHARMACY.ura, "pharmacy"))
        assert (joined.status_code, joined.json()["ura"], joined.json()["listening"]) == (200, PHARMACY.ura, True)
        mine = await call(web, joined.json()["endpoint"], "MedicationDispense", one.bsn)
        stranger = await call(web, joined.json()["endpoint"], "MedicationDispense", BSN)
        assert (mine.status_code, stranger.status_code) == (200, 200)
        assert mine.json()["total"] == _dispenses(one)
        assert stranger.json()["total"] == 0
        listed = {each["ura"] for each in (await control.get("/systems")).json()["systems"]}
        assert listed == {*endpoints, PHARMACY.ura}


def _dispenses(one: Inhabitant) -> int:
    written = records.write(one.person, RECIPE.seed, one.person.profile, now=NOW)
    return sum(each.resource_type == "MedicationDispense" for each in written.instances)


async def test_a_system_that_is_there_stays_as_it_is(pki: Pki) -> None:
    async with country(_config(pki)) as (control, _):
        wish = _wish(pki, PRACTICE.ura, "gp-practice")
        first = await control.put(f"/systems/{PRACTICE.ura}", json=wish)
        again = await control.put(f"/systems/{PRACTICE.ura}", json={**wish, "name": "Test Anders"})
        assert first.json() == again.json()


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"people": {"patients": 90_000}}, id="too-many-people"),
        pytest.param({"people": {"patients": 0}}, id="nobody"),
        pytest.param({"ura": "90010009"}, id="another-in-the-body"),
        pytest.param({"cert": "/nowhere.pem"}, id="no-certificate"),
        pytest.param({"loud": 1}, id="unknown-field"),
        pytest.param({"kind": "mayor"}, id="unknown-kind"),
    ],
)
async def test_what_cannot_join_is_told_and_the_rest_goes_on(pki: Pki, changed: dict[str, object]) -> None:
    async with country(_config(pki)) as (control, endpoints):
        wish = _wish(pki, PRACTICE.ura, "gp-practice") | changed
        refused = await control.put(f"/systems/{PRACTICE.ura}", json=wish)
        assert refused.status_code == 400
        assert refused.json()["error"]
        listed = {each["ura"] for each in (await control.get("/systems")).json()["systems"]}
        assert listed == set(endpoints)


async def test_only_json_of_this_machine_may_add_a_system(pki: Pki) -> None:
    async with country(_config(pki)) as (control, _):
        plain = await control.put(f"/systems/{PRACTICE.ura}", content="{}", headers={"content-type": "text/plain"})
        foreign = await control.put(f"/systems/{PRACTICE.ura}", json={}, headers={"host": "evil.example"})
        assert (plain.status_code, foreign.status_code) == (415, 421)


def test_a_configuration_with_too_many_people_is_refused_at_the_start(pki: Pki) -> None:
    config = _config(pki)
    one = _system(pki, Recipe(90_000))
    with pytest.raises(BadConfig, match="never used"):
        check(Config((one,), config.gateway_ura, jwks=JWKS))
    with pytest.raises(BadConfig):
        newcomer(PRACTICE.ura, b"[]", config)
