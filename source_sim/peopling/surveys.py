"""How large is everything, and what do people say? The shares a population is made with, as data, each with its source.

Shares of the nation come from domain.md section 8; where that is silent, the line says ours: chosen to be plausible and
to exercise every kind of choice, measured nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final

REFERENCE_DAY: Final = date(2026, 1, 1)
"""Ages and dates are counted back from this day, so that a seed gives the same people on every day."""
CONSENT_SINCE: Final = date(2013, 1, 1)
"""No consent is older. Ours."""

LONGEST_ENROLLED: Final = timedelta(days=30 * 365)
"""Nobody is on a practice's list for longer. Ours."""

NATION: Final = 18_000_000
OPTED_IN: Final = Fraction(8, 18)
UNDECIDED: Final = Fraction(8, 18)
"""domain.md section 8: 8 million of 18 opted in, 8 million undecided. The rest said no."""

PEOPLE_EACH: Final = {"gp-practice": NATION // 4_300, "pharmacy": NATION // 2_000}
"""Inhabitants for each organisation of a kind (domain.md section 8). A post, an emergency department or
an ambulance service has 180,000 and more: those of the country serve any population that fits the test range."""


class Leaning(StrEnum):
    """What somebody decided about the exchange."""

    YES = "yes"
    UNDECIDED = "undecided"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of those it is about, in a thousand."""

    of_thousand: int
    sentence: str


OBJECTED_AT_EXCHANGE: Final = Share(30, "of who said no also told the exchange; the others told their practice only")

GP_ONLY: Final = Share(180, "of who said yes said it to the practice only")
PHARMACY_ONLY: Final = Share(120, "of who said yes said it to the pharmacy only")
SECOND_PHARMACY: Final = Share(90, "of who said yes to a pharmacy use a second one and said yes there, too")
WITHDRAWN: Final = Share(30, "of who said yes took it back later")
NOT_HOSPITAL: Final = Share(50, "of who said yes left hospitals out")
EMERGENCIES_ONLY: Final = Share(40, "of who said yes said so for emergencies only")

HOUSEHOLD_SIZES: Final = {1: 390, 2: 325, 3: 120, 4: 120, 5: 45}
"""Households of a thousand by size. Ours, near the national statistics."""
SINGLE_PARENT: Final = Share(250, "of households of two or three are a parent and children")
TOGETHER: Final = Share(950, "of households go to one pharmacy, all of them")
ADULT_AGES: Final = ((18, 29, 190), (30, 44, 240), (45, 59, 250), (60, 74, 210), (75, 84, 80), (85, 99, 30))
"""Age bands of heads of households: youngest, oldest, of a thousand. Ours."""
