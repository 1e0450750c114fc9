"""Which organisation is the next of its kind, and who is the next patient? Numbers and names, the same in every run.

The first of a kind is the one of the simulated country; further ones are numbered on. Knows numbers and names only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Final

from source_sim import country, population
from source_sim.country import Participant
from source_sim.population import Person

_FIRST: Final[Mapping[str, tuple[Participant, ...]]] = {
    "gp-practice": (country.GP, country.SECOND_GP),
    "pharmacy": (country.PHARMACY, country.SECOND_PHARMACY),
    "gp-post": (country.GP_POST,),
    "emergency-department": (country.HOSPITAL,),
    "specialist": (country.HOSPITAL,),
    "ambulance": (country.AMBULANCE,),
    "covering-pharmacy": (country.COVERING_PHARMACY,),
}
_FURTHER: Final[Mapping[str, tuple[int, str]]] = {
    "gp-practice": (90_001_101, "Test Huisarts"),
    "pharmacy": (90_001_201, "Test Apotheek"),
    "gp-post": (90_001_301, "Test Huisartsenpost"),
    "emergency-department": (90_001_401, "Test Ziekenhuis"),
    "specialist": (90_001_451, "Test Polikliniek"),
    "ambulance": (90_001_501, "Test Ambulancedienst"),
    "covering-pharmacy": (90_001_601, "Test Dienstapotheek"),
    "other": (90_001_901, "Test Organisatie"),
}
"""Number of the first further one of a kind, and how it is called."""

_PATIENTS: Final = 999_930_000
_SPREAD: Final = 90


def _as_it_is(one: Participant) -> Participant:
    return one


class Roll:
    """The organisations and patients one country has had so far. `seed` chooses among the patients' numbers, unless
    they come from `bsns`; `renumber` gives an organisation a number that is free."""

    def __init__(
        self,
        seed: int,
        bsns: Iterator[str] | None = None,
        renumber: Callable[[Participant], Participant] = _as_it_is,
    ) -> None:
        self._taken: dict[str, int] = {}
        self._own, self._renumber = bsns, renumber
        self._bsns = bsns or _numbers(_PATIENTS + 100 * (seed % _SPREAD))

    def next(self, kind: str, name: str | None = None, type: str | None = None) -> Participant:
        """The next organisation of this kind, called `name`, of another organisation `type` if one is given."""
        number = self._taken.get(kind, 0)
        self._taken[kind] = number + 1
        first = _FIRST.get(kind, ())
        one = first[number] if number < len(first) else _further(kind, number - len(first), first[0] if first else None)
        return self.settle(replace(one, name=name or one.name, organisation_type=type or one.organisation_type))

    def settle(self, one: Participant) -> Participant:
        """This organisation with the numbers it has here."""
        return self._renumber(one)

    def alike(self, person: Person) -> Person:
        """This person with the number she has here."""
        return replace(person, bsn=next(self._own)) if self._own else person

    def person(self, today: date) -> Person:
        """The next test person of nobody's in particular."""
        return population.person(next(self._bsns), today)


def _further(kind: str, number: int, like: Participant | None) -> Participant:
    first, called = _FURTHER[kind]
    ura = str(first + number)
    departments = like.departments if like else ()
    type = like.organisation_type if like else ""
    return Participant(f"{kind}-{number + 2}", ura, f"4{ura[-5:]}", type, f"{called} {number + 2}", departments)


def _numbers(start: int) -> Iterator[str]:
    return (digits for number in itertools.count(start) if population.is_bsn(digits := str(number)))
