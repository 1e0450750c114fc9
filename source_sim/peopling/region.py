"""How is a whole population made from one number? Households, practices, pharmacies, choices: same seed, same people.

Only whom the exchange hears of gets a citizen service number: there are too few in the test range for all (see
`numbers.py`). Who never chose, or said no at the practice's desk alone, is not known to the exchange in life either.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property, lru_cache
from typing import Final

from source_sim.country import Participant
from source_sim.peopling import surveys
from source_sim.peopling.ailments import problems_of
from source_sim.peopling.choices import HELD, Custodians, Said, Word, consents, objection
from source_sim.peopling.households import Resident, age_of, drawn, households
from source_sim.peopling.numbers import free_numbers
from source_sim.peopling.surveys import PEOPLE_EACH, REFERENCE_DAY, Leaning
from source_sim.population import Person, Problem, Profile

_TREES: Final = ("Es", "Iep", "Els", "Wilg", "Berk", "Eik", "Esdoorn", "Hazelaar", "Kastanje", "Populier", "Spar")
_QUARTERS: Final = ("Oost", "West", "Centrum", "Haven", "Station", "Markt", "Dorp", "Plein")


class TooMany(ValueError):
    """The test range has no numbers for so many inhabitants."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a population is made from: how many inhabitants, the seed, and whether the half of the test range that
    outsiders may use is taken, too."""

    patients: int
    seed: int = 1
    outsiders_too: bool = False


@dataclass(frozen=True, slots=True)
class Inhabitant:
    """Somebody of the region. `bsn` is None for whom the exchange never hears of; `said` in the order it was said;
    `enrolled` is since when she is on the practice's list."""

    bsn: str | None = field(repr=False)
    resident: Resident
    household: int
    known: Custodians
    enrolled: date
    leaning: Leaning
    said: tuple[Said, ...]
    problems: tuple[Problem, ...]

    @property
    def age(self) -> int:
        """In whole years, on the reference day."""
        return age_of(self.resident.birth_date, REFERENCE_DAY)

    @property
    def entries(self) -> tuple[tuple[Participant, str], ...]:
        """What is registered after a yes: custodian and category. A yes that was taken back ended its entries."""
        asked = [one.custodian for one in self.said if one.word is Word.YES and one.custodian is not None]
        return tuple((one, category) for one in asked for category in HELD[one.organisation_type])

    @property
    def person(self) -> Person:
        """Who she is to a source that writes her record. Raises ValueError for somebody without a number."""
        if self.bsn is None:
            raise ValueError("no record is kept for the exchange of somebody it never hears of")
        one = self.resident
        key = hashlib.sha256(self.bsn.encode()).hexdigest()[:8]
        return Person(
            f"inhabitant-{key}", self.bsn, one.given, one.family, one.sex, one.birth_date, self._profile, self.problems
        )

    @property
    def _profile(self) -> Profile:
        """Treatment limits are talked over with the old and with the ill."""
        return Profile.TYPICAL if self.age >= 75 or len(self.problems) >= 4 else Profile.MINIMAL


@dataclass(frozen=True)
class Region:
    """A population and the organisations that keep its records."""

    recipe: Recipe
    practices: tuple[Participant, ...]
    pharmacies: tuple[Participant, ...]
    inhabitants: tuple[Inhabitant, ...] = field(repr=False)

    @property
    def custodians(self) -> tuple[Participant, ...]:
        return self.practices + self.pharmacies

    @cached_property
    def numbered(self) -> tuple[Inhabitant, ...]:
        """Those the exchange hears of."""
        return tuple(one for one in self.inhabitants if one.bsn is not None)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over everything about everybody: equal for equal recipes, on every machine and day."""
        summed = hashlib.sha256()
        for one in self.inhabitants:
            summed.update(json.dumps(_told(one), separators=(",", ":")).encode() + b"\n")
        return summed.hexdigest()

    def held_by(self, ura: str) -> dict[str, Inhabitant]:
        """Whose records this organisation keeps for the exchange, by number."""
        return {one.bsn: one for one in self.numbered if one.bsn and ura in _keepers(one)}


def _keepers(one: Inhabitant) -> frozenset[str]:
    """A second pharmacy keeps records only of who goes there, and told so by a yes."""
    said_to = {said.custodian.ura for said in one.said if said.custodian is not None}
    return frozenset({one.known.practice.ura, one.known.pharmacy.ura, *said_to})


def _told(one: Inhabitant) -> list[object]:
    who = one.resident
    said = [
        [s.word, s.custodian and s.custodian.ura, s.on.isoformat(), s.requesters, s.emergency_only] for s in one.said
    ]
    return [one.bsn, who.given, who.family, who.sex, who.birth_date.isoformat(), one.household, one.known.practice.ura,
            one.known.pharmacy.ura, one.known.second_pharmacy.ura, one.enrolled.isoformat(), one.leaning, said,
            [problem.icpc for problem in one.problems]]  # fmt: skip


@lru_cache(maxsize=2)
def region(recipe: Recipe) -> Region:
    """Make the population of a recipe; the last two are remembered. Raises TooMany, ValueError for nobody."""
    if recipe.patients < 1:
        raise ValueError("a population has at least one inhabitant")
    _check_enough(recipe, round(recipe.patients * surveys.OPTED_IN), len(free_numbers(recipe.outsiders_too)))
    rng = random.Random(f"region/{recipe.seed}/{recipe.patients}")
    practices = _organisations("gp-practice", recipe.patients)
    pharmacies = _organisations("pharmacy", recipe.patients)
    leanings = _leanings(recipe.patients, rng)
    living = _living(recipe.patients, practices, pharmacies, leanings, rng)
    return Region(recipe, practices, pharmacies, _numbered(tuple(living), recipe, rng))


# --- organisations ---------------------------------------------------------------------------------------------------


def _organisations(kind: str, people: int) -> tuple[Participant, ...]:
    """As many of a kind as the nation has for so many people, rounded up."""
    count = -(-people // PEOPLE_EACH[kind])
    make = _practice if kind == "gp-practice" else _pharmacy
    return tuple(make(number) for number in range(1, count + 1))


def _practice(number: int) -> Participant:
    name = f"Test Huisarts De {_TREES[(number - 1) % len(_TREES)]} {number}"
    return Participant(f"population-practice-{number}", f"9001{number:04}", f"41{number:04}", "Z3", name, serves=True)


def _pharmacy(number: int) -> Participant:
    name = f"Test Apotheek {_QUARTERS[(number - 1) % len(_QUARTERS)]} {number}"
    return Participant(f"population-pharmacy-{number}", f"9002{number:04}", f"42{number:04}", "J8", name, serves=True)


# --- people ----------------------------------------------------------------------------------------------------------


def _leanings(people: int, rng: random.Random) -> list[Leaning]:
    """Exactly the survey's shares, in an order of chance."""
    yes, undecided = round(people * surveys.OPTED_IN), round(people * surveys.UNDECIDED)
    kinds = [Leaning.YES] * yes + [Leaning.UNDECIDED] * undecided
    kinds = (kinds + [Leaning.NO] * people)[:people]
    rng.shuffle(kinds)
    return kinds


def _living(
    people: int,
    practices: Sequence[Participant],
    pharmacies: Sequence[Participant],
    leanings: Sequence[Leaning],
    rng: random.Random,
) -> Iterator[Inhabitant]:
    """Everybody, still without numbers: one practice for a household, mostly one pharmacy, too."""
    decided = iter(leanings)
    for number, home in enumerate(households(people, rng), 1):
        practice, pharmacy = rng.choice(practices), rng.choice(pharmacies)
        moved_in = REFERENCE_DAY - timedelta(days=rng.randint(1, surveys.LONGEST_ENROLLED.days))
        for resident in home:
            own = pharmacy if drawn(rng, surveys.TOGETHER) else rng.choice(pharmacies)
            known = Custodians(practice, own, rng.choice(pharmacies))
            yield _inhabitant(resident, number, known, moved_in, next(decided), rng)


def _inhabitant(
    resident: Resident, household: int, known: Custodians, moved_in: date, leaning: Leaning, rng: random.Random
) -> Inhabitant:
    said: tuple[Said, ...] = ()
    if leaning is Leaning.YES:
        said = consents(rng, known, resident.birth_date)
    elif leaning is Leaning.NO and drawn(rng, surveys.OBJECTED_AT_EXCHANGE):
        said = objection(rng, resident.birth_date)
    problems = problems_of(age_of(resident.birth_date, REFERENCE_DAY), rng)
    enrolled = max(moved_in, resident.birth_date)
    return Inhabitant(None, resident, household, known, enrolled, leaning, said, problems)


def _numbered(living: tuple[Inhabitant, ...], recipe: Recipe, rng: random.Random) -> tuple[Inhabitant, ...]:
    """Numbers for all who told the exchange something, then for who has not decided, as far as they reach. Raises
    TooMany."""
    free = list(free_numbers(recipe.outsiders_too))
    speaking = [place for place, one in enumerate(living) if one.said]
    _check_enough(recipe, len(speaking), len(free))
    silent = [place for place, one in enumerate(living) if one.leaning is Leaning.UNDECIDED]
    rng.shuffle(free)
    given = dict(zip([*speaking, *silent], free, strict=False))
    return tuple(replace(one, bsn=given.get(place)) for place, one in enumerate(living))


def _check_enough(recipe: Recipe, wanted: int, free: int) -> None:
    """Raises TooMany when more people need a number than there are numbers."""
    if wanted <= free:
        return
    hint = "" if recipe.outsiders_too else "; --all-numbers also takes those meant for outsiders"
    raise TooMany(
        f"of {recipe.patients} inhabitants the exchange hears of {wanted} or more, and the test range has numbers for "
        f"{free} (about {free * recipe.patients // wanted} inhabitants){hint}. Other numbers may be real people's and "
        "are never used"
    )
