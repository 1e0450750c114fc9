"""Is a population plausible, the same from the same seed, and made of numbers that are nobody's?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_sim.peopling import surveys
from source_sim.peopling.ailments import PREVALENCES, problems_of
from source_sim.peopling.choices import HELD, Word
from source_sim.peopling.numbers import free_numbers
from source_sim.peopling.region import Inhabitant, Recipe, Region, TooMany, region
from source_sim.peopling.surveys import REFERENCE_DAY, Leaning
from source_sim.population import persons, players

WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2, -1)
TEN_THOUSAND = Recipe(10_000)


@pytest.fixture(scope="module")
def many() -> Region:
    return region(TEN_THOUSAND)


# --- the same --------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_people_in_another_process_on_another_day() -> None:
    code = "from source_sim.peopling.region import Recipe, region; print(region(Recipe(700, 5)).fingerprint)"
    told = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, check=True
        ).stdout.decode()
        for salt in ("1", "2")
    ]
    assert told == [region(Recipe(700, 5)).fingerprint + "\n"] * 2


def test_the_fingerprint_tells_every_difference() -> None:
    prints = [region(Recipe(*one)).fingerprint for one in ((300, 1), (300, 2), (301, 1), (300, 1, True))]
    assert len(set(prints)) == len(prints)


# --- numbers ---------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(0, 10**9), st.booleans())
def test_numbers_pass_the_eleven_test_and_are_nobodys(people: int, seed: int, outsiders_too: bool) -> None:
    made = region(Recipe(people, seed, outsiders_too))
    numbers = [one.bsn for one in made.numbered if one.bsn]
    assert len(set(numbers)) == len(numbers)
    top = 10**9 if outsiders_too else 999_950_000
    for number in numbers:
        assert 999_900_400 <= int(number) < top
        assert sum(w * int(d) for w, d in zip(WEIGHTS, number, strict=True)) % 11 == 0


def test_nobody_else_has_a_number_of_the_population() -> None:
    today = date(2026, 11, 21)
    named = {one.bsn for one in (*persons(today), *players(today))}
    assert not named & set(free_numbers(True))
    assert "999911120" not in free_numbers(), "published example records carry it"


def test_the_range_holds_what_the_arithmetic_says() -> None:
    assert len(free_numbers()) == 4_507
    assert len(free_numbers(True)) == 4_507 + 4_546


@pytest.mark.parametrize("seed", range(1, 8))
def test_ten_thousand_always_fit(seed: int) -> None:
    assert len(region(Recipe(10_000, seed)).inhabitants) == 10_000


def test_more_than_the_range_holds_is_refused_in_plain_words() -> None:
    with pytest.raises(TooMany, match=r"of 30000 inhabitants .* never used") as refused:
        region(Recipe(30_000))
    assert "--all-numbers" in str(refused.value)
    assert len(region(Recipe(20_000, 1, True)).numbered) > 8_000
    with pytest.raises(ValueError, match="at least one"):
        region(Recipe(0))


def test_who_told_the_exchange_something_has_a_number_and_who_never_did_mostly_not(many: Region) -> None:
    assert all(one.bsn for one in many.inhabitants if one.said)
    silent = [one for one in many.inhabitants if not one.said]
    assert {one.leaning for one in silent if one.bsn} == {Leaning.UNDECIDED}
    assert sum(one.bsn is None for one in silent) > 5_000
    unknown = next(one for one in silent if one.bsn is None)
    with pytest.raises(ValueError, match="never hears"):
        _ = unknown.person


def test_a_number_is_seen_by_nobody_who_prints_a_person(many: Region) -> None:
    one = many.numbered[0]
    assert one.bsn
    assert one.bsn not in repr(one)
    assert one.bsn not in repr(many)
    assert one.bsn not in repr(one.person)


# --- what people said ------------------------------------------------------------------------------------------------


def test_decisions_have_the_shares_of_the_nation(many: Region) -> None:
    counted = Counter(one.leaning for one in many.inhabitants)
    assert counted == {Leaning.YES: 4_444, Leaning.UNDECIDED: 4_444, Leaning.NO: 1_112}


def _share(people: list[Inhabitant], narrower: list[Inhabitant]) -> float:
    return 1000 * len(narrower) / len(people)


@pytest.mark.parametrize(
    ("share", "holds"),
    [
        pytest.param(surveys.WITHDRAWN, lambda one: one.said[-1].word is Word.WITHDRAWN, id="withdrawn"),
        pytest.param(surveys.NOT_HOSPITAL, lambda one: bool(one.said[0].requesters), id="not-hospital"),
        pytest.param(surveys.EMERGENCIES_ONLY, lambda one: one.said[0].emergency_only, id="emergencies-only"),
        pytest.param(surveys.GP_ONLY, lambda one: _asked(one) == {"Z3"}, id="gp-only"),
        pytest.param(surveys.PHARMACY_ONLY, lambda one: _asked(one) == {"J8"}, id="pharmacy-only"),
    ],
)
def test_who_is_for_it_says_so_in_every_way_patients_asked_for(many: Region, share: surveys.Share, holds) -> None:  # type: ignore[no-untyped-def]
    people = [one for one in many.inhabitants if one.leaning is Leaning.YES]
    assert _share(people, [one for one in people if holds(one)]) == pytest.approx(share.of_thousand, abs=20)


def _asked(one: Inhabitant) -> set[str]:
    return {said.custodian.organisation_type for said in one.said if said.custodian}


def test_only_a_yes_to_a_custodian_registers_there(many: Region) -> None:
    for one in many.numbered:
        allowed = {said.custodian for said in one.said if said.word is Word.YES}
        assert {holder for holder, _ in one.entries} == allowed - {None}
        assert all(category in HELD[holder.organisation_type] for holder, category in one.entries)


def test_entries_come_near_the_nations_number(many: Region) -> None:
    """About 2.6 for each inhabitant, enrolment included (domain.md section 8): of everybody, as in life."""
    each = 1 + sum(len(one.entries) for one in many.inhabitants) / len(many.inhabitants)
    assert each == pytest.approx(2.6, abs=0.15)


def test_nothing_was_said_before_birth_nor_after_the_reference_day(many: Region) -> None:
    for one in many.numbered:
        days = [said.on for said in one.said]
        assert days == sorted(days)
        assert all(max(one.resident.birth_date, surveys.CONSENT_SINCE) <= day <= REFERENCE_DAY for day in days)
        assert one.resident.birth_date <= one.enrolled < REFERENCE_DAY


# --- who lives there -------------------------------------------------------------------------------------------------


def test_organisations_are_as_many_as_the_nation_has_for_so_many_people() -> None:
    made = region(TEN_THOUSAND)
    assert (len(made.practices), len(made.pharmacies)) == (3, 2)
    assert len({one.ura for one in made.custodians}) == len({one.application for one in made.custodians}) == 5
    assert (len(region(Recipe(5)).practices), len(region(Recipe(5)).pharmacies)) == (1, 1)


def test_households_are_plausible(many: Region) -> None:
    sizes = Counter(Counter(one.household for one in many.inhabitants).values())
    assert sum(sizes) / len(sizes) > 1
    assert 10_000 / sum(sizes.values()) == pytest.approx(2.1, abs=0.15)
    homes: dict[int, list[Inhabitant]] = {}
    for one in many.inhabitants:
        homes.setdefault(one.household, []).append(one)
    assert all(max(one.age for one in home) >= 18 for home in homes.values())
    assert all(len({one.known.practice for one in home}) == 1 for home in homes.values())
    assert all(one.resident.family.startswith("Test") for one in many.inhabitants)


def test_there_are_people_of_every_age_that_a_rule_speaks_of(many: Region) -> None:
    ages = [one.age for one in many.numbered]
    for low, high in ((0, 11), (12, 15), (16, 17), (18, 64), (65, 120)):
        assert any(low <= age <= high for age in ages), (low, high)
    assert min(ages) >= 0


def test_ailments_follow_age(many: Region) -> None:
    old = [one for one in many.inhabitants if 65 <= one.age < 80]
    young = [one for one in many.inhabitants if one.age < 18]
    tense = [one for one in old if any(problem.icpc == "K86" for problem in one.problems)]
    assert _share(old, tense) == pytest.approx(400, abs=50)
    assert not any(problem.icpc in ("P70", "K77", "R95") for one in young for problem in one.problems)
    assert sum(len(one.problems) for one in young) / len(young) < 0.5 < sum(len(one.problems) for one in old) / len(old)


def test_the_table_of_ailments_names_everything_once() -> None:
    problems = [one.problem for one in PREVALENCES]
    assert len({one.icpc for one in problems}) == len({one.drug.number for one in problems}) == len(problems) >= 20


def test_an_age_a_band_begins_with_is_in_that_band() -> None:
    class Always:
        def randrange(self, _below: int) -> int:
            return 0

    has = {age: {one.icpc for one in problems_of(age, Always())} for age in (17, 18, 44, 45, 64, 65, 79, 80)}  # type: ignore[arg-type]
    assert "P70" not in has[44]
    assert "P70" in has[45]
    assert ("R95" in has[17], "R95" in has[18]) == (False, True)
