"""What ails people of which age, and what do they take for it? A small table of lasting problems and their medicines.

ICPC-1 and ATC codes are real; how often a problem occurs is ours, near what practices count; product numbers are made
up. It knows no FHIR and no person.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from source_sim.population import (
    ENALAPRIL,
    FUROSEMIDE,
    LEVOTHYROXINE,
    METFORMIN,
    METOPROLOL,
    TIOTROPIUM,
    Drug,
    Problem,
)

_ONCE: Final = "1 keer per dag 1 tablet"
_NIGHT: Final = "1 keer per dag 1 tablet voor de nacht"
_ACT: Final = "2 keer per dag 1 inhalatie"


@dataclass(frozen=True, slots=True)
class Prevalence:
    """How many of a thousand people have a problem: at `young` (0-17), `adult` (18-44), `middle` (45-64), `old` (65-79)
    and `oldest` age."""

    problem: Problem
    young: int
    adult: int
    middle: int
    old: int
    oldest: int

    def at(self, age: int) -> int:
        bands = ((18, self.young), (45, self.adult), (65, self.middle), (80, self.old))
        return next((share for below, share in bands if age < below), self.oldest)


def _drug(atc: str, name: str, directions: str, number: int, amount: str = "1.0") -> Drug:
    return Drug(atc, name, directions, number, Decimal(amount))


PREVALENCES: Final = (
    Prevalence(Problem("K86", "Hypertensie", ENALAPRIL), 1, 20, 190, 400, 450),
    Prevalence(Problem("T90.02", "Diabetes mellitus type 2", METFORMIN), 0, 10, 75, 160, 170),
    Prevalence(Problem("R95", "COPD", TIOTROPIUM), 0, 2, 35, 90, 95),
    Prevalence(Problem("K78", "Boezemfibrilleren", METOPROLOL), 0, 2, 15, 80, 190),
    Prevalence(Problem("T86", "Hypothyreoïdie", LEVOTHYROXINE), 2, 15, 40, 55, 60),
    Prevalence(Problem("K77", "Hartfalen", FUROSEMIDE), 0, 1, 8, 35, 130),
    Prevalence(
        Problem("R96", "Astma", _drug("R03AK07", "Budesonide/formoterol inhalatie 200/6", _ACT, 201, "1")),
        60,
        65,
        60,
        55,
        40,
    ),
    Prevalence(
        Problem("T93", "Vetstofwisselingsstoornis", _drug("C10AA01", "Simvastatine 40 mg", _NIGHT, 202)),
        0,
        10,
        120,
        230,
        180,
    ),
    Prevalence(
        Problem("K76", "Chronische ischemische hartziekte", _drug("B01AC06", "Acetylsalicylzuur 80 mg", _ONCE, 203)),
        0,
        2,
        40,
        140,
        190,
    ),
    Prevalence(
        Problem("D84.01", "Gastro-oesofageale reflux", _drug("A02BC01", "Omeprazol capsule 20 mg", _ONCE, 204)),
        2,
        35,
        70,
        95,
        100,
    ),
    Prevalence(Problem("P76", "Depressie", _drug("N06AB04", "Citalopram tablet 20 mg", _ONCE, 205)), 8, 55, 65, 50, 50),
    Prevalence(
        Problem("P06", "Slapeloosheid", _drug("N05CD07", "Temazepam tablet 10 mg", _NIGHT, 206)), 1, 15, 35, 60, 80
    ),
    Prevalence(
        Problem("N89", "Migraine", _drug("N02CC01", "Sumatriptan tablet 50 mg", "Zo nodig 1 tablet", 207)),
        8,
        50,
        40,
        20,
        8,
    ),
    Prevalence(
        Problem("N88", "Epilepsie", _drug("N03AX14", "Levetiracetam tablet 500 mg", "2 keer per dag 1 tablet", 208)),
        6,
        8,
        9,
        12,
        15,
    ),
    Prevalence(
        Problem(
            "L95", "Osteoporose", _drug("M05BA04", "Alendroninezuur tablet 70 mg", "1 keer per week 1 tablet", 209)
        ),
        0,
        1,
        20,
        80,
        140,
    ),
    Prevalence(Problem("L92", "Jicht", _drug("M04AA01", "Allopurinol tablet 100 mg", _ONCE, 210)), 0, 4, 25, 50, 60),
    Prevalence(
        Problem(
            "S87",
            "Constitutioneel eczeem",
            _drug("D07AB01", "Clobetason creme 0,5 mg/g", "1 keer per dag dun smeren", 211),
        ),
        90,
        35,
        20,
        15,
        15,
    ),
    Prevalence(
        Problem("P81", "ADHD", _drug("N06BA04", "Methylfenidaat tablet 10 mg", "2 keer per dag 1 tablet", 212)),
        35,
        18,
        3,
        0,
        0,
    ),
    Prevalence(
        Problem("R97", "Hooikoorts", _drug("R06AE07", "Cetirizine tablet 10 mg", _ONCE, 213)), 60, 90, 60, 35, 20
    ),
    Prevalence(
        Problem("Y85", "Benigne prostaathypertrofie", _drug("G04CA02", "Tamsulosine capsule 0,4 mg", _ONCE, 214)),
        0,
        1,
        20,
        60,
        80,
    ),
    Prevalence(
        Problem("L90", "Gonartrose", _drug("M01AE02", "Naproxen tablet 250 mg", "2 keer per dag 1 tablet", 215)),
        0,
        4,
        60,
        130,
        160,
    ),
    Prevalence(
        Problem(
            "N87", "Ziekte van Parkinson", _drug("N04BA02", "Levodopa/carbidopa 100/25", "3 keer per dag 1 tablet", 216)
        ),
        0,
        0,
        2,
        10,
        20,
    ),
    Prevalence(
        Problem(
            "P70", "Dementie", _drug("N06DA03", "Rivastigmine pleister 4,6 mg", "1 keer per dag 1 pleister", 217, "1")
        ),
        0,
        0,
        2,
        25,
        140,
    ),
    Prevalence(
        Problem("B80", "IJzergebreksanemie", _drug("B03AA02", "Ferrofumaraat tablet 200 mg", _ONCE, 218)),
        12,
        20,
        15,
        20,
        35,
    ),
)


def problems_of(age: int, rng: random.Random) -> tuple[Problem, ...]:
    """The lasting problems somebody of this age has; most of the young have none."""
    return tuple(one.problem for one in PREVALENCES if rng.randrange(1000) < one.at(age))
