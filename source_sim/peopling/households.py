"""Who lives with whom? Households of made-up people with names and ages, drawn from a generator that is handed in.

Every surname begins with Test: nobody shall take one for a real person. It knows no numbers, records or choices.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from source_sim.peopling.surveys import ADULT_AGES, HOUSEHOLD_SIZES, REFERENCE_DAY, SINGLE_PARENT, Share
from source_sim.population import Sex

_BEFORE: Final = ("berk", "duin", "els", "gors", "heide", "iep", "klaver", "linde", "meer", "noord", "ooster", "polder")
_BEHIND: Final = ("berg", "brink", "dam", "geest", "horst", "hout", "kreek", "loo", "oever", "stede", "voorde", "wijk")
_GIVEN: Final = {
    Sex.FEMALE: (
        "Aagje", "Antje", "Betje", "Dieuwke", "Eefje", "Fenna", "Gerda", "Hanneke", "Imke", "Jikke", "Karlijn", "Lotte",
        "Maaike", "Nienke", "Oda", "Pleuntje", "Riet", "Sietske", "Trijntje", "Veerle", "Willemijn", "Yfke", "Zwaantje",
    ),
    Sex.MALE: (
        "Aart", "Bas", "Coen", "Durk", "Eelke", "Floris", "Geert", "Harmen", "Ids", "Jelmer", "Klaas", "Lammert",
        "Maarten", "Nanne", "Okke", "Peter", "Rinse", "Siebe", "Thijs", "Ubbo", "Vincent", "Wiebe", "Ype",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Resident:
    """Somebody of a household: name, sex, birth date."""

    given: str
    family: str
    sex: Sex
    birth_date: date


def drawn(rng: random.Random, share: Share) -> bool:
    """Whether somebody belongs to this share."""
    return rng.randrange(1000) < share.of_thousand


def households(people: int, rng: random.Random) -> Iterator[tuple[Resident, ...]]:
    """Households until there are exactly `people` people; the last one may be cut short."""
    while people > 0:
        home = _household(rng)[:people]
        people -= len(home)
        yield home


def _household(rng: random.Random) -> tuple[Resident, ...]:
    size = rng.choices(list(HOUSEHOLD_SIZES), list(HOUSEHOLD_SIZES.values()))[0]
    head = _adult(rng, _family(rng), _age(rng))
    if size == 1:
        return (head,)
    alone = size in (2, 3) and drawn(rng, SINGLE_PARENT)
    home = [head] if alone else [head, _partner(rng, head)]
    return (*home, *_children(rng, home, size - len(home)))


def _family(rng: random.Random) -> str:
    return "Test" + rng.choice(_BEFORE) + rng.choice(_BEHIND)


def _age(rng: random.Random) -> int:
    youngest, oldest, _ = rng.choices(ADULT_AGES, [share for *_, share in ADULT_AGES])[0]
    return rng.randint(youngest, oldest)


def _adult(rng: random.Random, family: str, age: int) -> Resident:
    sex = rng.choice((Sex.FEMALE, Sex.MALE))
    return Resident(rng.choice(_GIVEN[sex]), family, sex, _born(rng, age))


def _partner(rng: random.Random, head: Resident) -> Resident:
    return _adult(rng, _family(rng), max(18, min(99, age_of(head.birth_date, REFERENCE_DAY) + rng.randint(-6, 6))))


def _children(rng: random.Random, parents: Sequence[Resident], count: int) -> Iterator[Resident]:
    """Children live at home until 25; who has none that young lives with grown-ups, here brothers and sisters."""
    youngest = min(age_of(one.birth_date, REFERENCE_DAY) for one in parents)
    for _ in range(count):
        age = youngest - rng.randint(20, 38)
        if not 0 <= age <= 25:
            age = rng.randint(0, 3) if age < 0 else rng.randint(18, 25)
        sex = rng.choice((Sex.FEMALE, Sex.MALE))
        yield Resident(rng.choice(_GIVEN[sex]), parents[0].family, sex, _born(rng, age))


def _born(rng: random.Random, age: int) -> date:
    """A birth date that makes somebody this old on the reference day."""
    birthday = REFERENCE_DAY.replace(year=REFERENCE_DAY.year - age)
    return birthday - timedelta(days=rng.randrange(365))


def age_of(birth_date: date, day: date) -> int:
    """Whole years on a day."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))
