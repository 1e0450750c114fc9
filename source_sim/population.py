"""Who lives in the simulated country, and what ails people there? Test persons, and small tables of ailments.

It knows numbers, names, ages and codes. It may not know any FHIR, nor read a clock: `today` is an argument, because
some test persons must stay eleven years old. Every surname begins with Test: nobody shall take one for a real person.
Product numbers of the medicines are made up; diagnosis, substance and observation codes are real.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

_WEIGHTS: Final = (9, 8, 7, 6, 5, 4, 3, 2, -1)
_CROWD: Final = range(999_920_000, 999_949_900)


class Sex(StrEnum):
    """Administrative gender (FHIR code)."""

    MALE = "male"
    FEMALE = "female"


class Profile(StrEnum):
    """What a generated record holds."""

    TYPICAL = "typical"
    MINIMAL = "minimal"
    """One open episode, one contact, one medicine; no allergy, no treatment limit."""
    EMPTY = "empty"
    """The patient is known and nothing is written down: searches find nothing."""
    LARGE = "large"
    """A summary of about 1 MB in the covering view."""
    LIMITS_PERMIT = "limits-permit"
    """As typical; the one active treatment limit says: resuscitate."""
    LIMITS_DENY = "limits-deny"
    """As typical; the one active treatment limit says: do not resuscitate."""
    CONTRADICTORY_LIMITS = "contradictory-limits"
    """As typical; resuscitation is both permitted and denied in the one record."""


@dataclass(frozen=True, slots=True)
class Person:
    """A test person. `key` is what scenarios call her; `bsn` has nine digits, starts with 9999 and never prints."""

    key: str
    bsn: str = field(repr=False)
    given: str
    family: str
    sex: Sex
    birth_date: date
    profile: Profile = Profile.TYPICAL
    ailments: tuple[Problem, ...] | None = None
    """The lasting problems of the record; None: the record's generator draws some."""

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"


@dataclass(frozen=True, slots=True)
class _Named:
    """A person of the fixed list: born on a day, or always `age` years and a hundred days old."""

    key: str
    bsn: str
    given: str
    family: str
    sex: Sex
    born: date | int
    profile: Profile = Profile.TYPICAL


_F, _M = Sex.FEMALE, Sex.MALE

_NAMED: Final = (
    _Named("all-open", "999900006", "Annelies", "Testbeek", _F, date(1948, 3, 14)),
    _Named("objected", "999900018", "Bram", "Testdijk", _M, date(1961, 7, 2)),
    _Named("undecided", "999900031", "Carla", "Testhof", _F, date(1975, 11, 23)),
    _Named("latent", "999900043", "Dirk", "Testkamp", _M, date(1983, 1, 9)),
    _Named("withdrawn", "999900055", "Elske", "Testland", _F, date(1969, 9, 30)),
    _Named("unknown", "999900067", "Frits", "Testmeer", _M, date(1957, 5, 17)),
    _Named("gp-only", "999900079", "Greet", "Testoord", _F, date(1942, 12, 1)),
    _Named("pharmacy-only", "999900080", "Henk", "Testpoort", _M, date(1990, 4, 26)),
    _Named("hospital-objected", "999900092", "Ilse", "Testrade", _F, date(1979, 8, 8)),
    _Named("emergency-only", "999900109", "Jelle", "Testsluis", _M, date(1953, 2, 19)),
    _Named("slow-pharmacy", "999900110", "Klaasje", "Testveen", _F, date(1966, 6, 6)),
    _Named("down-gp", "999900122", "Lieuwe", "Testwaard", _M, date(1971, 10, 12)),
    _Named("garbage-pharmacy", "999900134", "Marjan", "Testzicht", _F, date(1987, 3, 3)),
    _Named("wrong-patient", "999900146", "Nico", "Testakker", _M, date(1950, 1, 28)),
    _Named("two-gps", "999900158", "Olga", "Testbosch", _F, date(1994, 7, 21)),
    _Named("two-pharmacies-one-objected", "999900171", "Pieter", "Testdal", _M, date(1963, 11, 5)),
    _Named(
        "contradictory-limits", "999900183", "Quirina", "Testeinde", _F, date(1936, 5, 9), Profile.CONTRADICTORY_LIMITS
    ),
    _Named("withholding-gp", "999900195", "Ruud", "Testgaarde", _M, date(1981, 9, 16)),
    _Named("minor-11", "999900201", "Sanne", "Testheuvel", _F, 11),
    _Named("minor-14", "999900213", "Teun", "Testlinde", _M, 14),
    _Named("parent-consent-now-16", "999900225", "Uilkje", "Testmolen", _F, 16),
    _Named("no-gp-of-record", "999900237", "Victor", "Testpad", _M, date(1973, 4, 4)),
    _Named("large-record", "999900249", "Wilma", "Testrust", _F, date(1945, 8, 31), Profile.LARGE),
    _Named("empty-record", "999900250", "Xander", "Teststee", _M, date(1999, 12, 24), Profile.EMPTY),
)

_PLAYERS: Final = (
    _Named("saturday-night", "999900262", "Yvonne", "Testduin", _F, date(1951, 6, 18)),
    _Named("saturday-objected", "999900274", "Zeger", "Testwal", _M, date(1967, 2, 11)),
)

_GIVEN: Final = {
    _F: ("Aaltje", "Brechtje", "Doortje", "Femke", "Geesje", "Hilde", "Jannie", "Loes", "Mieke", "Roos"),
    _M: ("Arend", "Berend", "Cor", "Douwe", "Evert", "Gijs", "Hidde", "Joris", "Koen", "Wouter"),
}
_FAMILY: Final = ("Testbrug", "Testgracht", "Testhaven", "Testkade", "Testplein", "Testtuin", "Testvaart", "Testweide")


def is_bsn(digits: str) -> bool:
    """Does the text pass the eleven-test (domain.md section 1)? Any nine digits; the test range is not asked for."""
    if len(digits) != 9 or not (digits.isascii() and digits.isdigit()) or digits == "000000000":
        return False
    return sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True)) % 11 == 0


def persons(today: date) -> tuple[Person, ...]:
    """The named test persons, one for every sentinel of interface.md section 6, with the ages they have `today`."""
    return _of(_NAMED, today)


def players(today: date) -> tuple[Person, Person]:
    """Who plays in the demo's story what would change a sentinel: the patient of that night, and one who objects."""
    patient, objector = _of(_PLAYERS, today)
    return patient, objector


def _of(rows: Iterable[_Named], today: date) -> tuple[Person, ...]:
    return tuple(
        Person(row.key, row.bsn, row.given, row.family, row.sex, _birth_date(row.born, today), row.profile)
        for row in rows
    )


def person(bsn: str, today: date) -> Person:
    """The person with this number: a named one, or one made up from the number. Raises ValueError if it is no BSN."""
    if not is_bsn(bsn):
        raise ValueError("not a BSN: nine digits that pass the eleven-test are wanted")
    named = {one.bsn: one for one in (*persons(today), *players(today))}
    return named.get(bsn) or _invented(bsn, today)


def crowd(count: int, today: date) -> Iterator[Person]:
    """`count` further test persons, always the same ones in the same order. Raises ValueError beyond the test range."""
    numbers = [digits for number in _CROWD if is_bsn(digits := str(number))]
    if count > len(numbers):
        raise ValueError(f"the test range holds {len(numbers)} further persons")
    return (_invented(bsn, today) for bsn in numbers[:count])


def _birth_date(born: date | int, today: date) -> date:
    if isinstance(born, date):
        return born
    return _years_before(today, born) - timedelta(days=100)


def _years_before(day: date, years: int) -> date:
    # the 29th of February has no birthday in most years
    return day.replace(year=day.year - years, day=min(day.day, 28))


def _invented(bsn: str, today: date) -> Person:
    rng = random.Random(bsn)
    sex = rng.choice((_F, _M))
    born = _years_before(today, rng.randint(18, 95)) - timedelta(days=rng.randrange(365))
    return Person(f"crowd-{rng.getrandbits(32):08x}", bsn, rng.choice(_GIVEN[sex]), rng.choice(_FAMILY), sex, born)


# --- ailments --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drug:
    """A medicine: ATC code, name, directions, a made-up number to build GPK, PRK and HPK from, amount per time."""

    atc: str
    name: str
    directions: str
    number: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Problem:
    """A lasting problem and what it is treated with."""

    icpc: str
    name: str
    drug: Drug


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why somebody came, in the four lines a GP writes: subjective, objective, evaluation, plan."""

    icpc: str
    name: str
    lines: tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A kind of measurement: LOINC code, UCUM unit; values are a whole number from `low` to `high` times `step`."""

    loinc: str
    name: str
    unit: str
    low: int
    high: int
    step: Decimal


@dataclass(frozen=True, slots=True)
class Term:
    """A SNOMED CT concept with a Dutch name."""

    code: str
    name: str


_ONCE: Final = "1 keer per dag 1 tablet"
METFORMIN: Final = Drug("A10BA02", "Metformine tablet 500 mg", "2 keer per dag 1 tablet", 101, Decimal("1.0"))
ENALAPRIL: Final = Drug("C09AA02", "Enalapril tablet 10 mg", _ONCE, 102, Decimal("1.0"))
TIOTROPIUM: Final = Drug(
    "R03BB04", "Tiotropium inhalatiepoeder 18 mcg", "1 keer per dag 1 inhalatie", 103, Decimal("1")
)
METOPROLOL: Final = Drug("C07AB02", "Metoprolol tablet mga 50 mg", _ONCE, 104, Decimal("1.0"))
LEVOTHYROXINE: Final = Drug(
    "H03AA01", "Levothyroxine tablet 25 mcg", "1 keer per dag een halve tablet", 105, Decimal("0.50")
)
FUROSEMIDE: Final = Drug("C03CA01", "Furosemide tablet 40 mg", "1 keer per dag een halve tablet", 106, Decimal("0.50"))
AMOXICILLIN: Final = Drug(
    "J01CA04", "Amoxicilline capsule 500 mg", "3 keer per dag 1 capsule, 7 dagen", 107, Decimal("1")
)

PROBLEMS: Final = (
    Problem("T90.02", "Diabetes mellitus type 2", METFORMIN),
    Problem("K86", "Hypertensie", ENALAPRIL),
    Problem("R95", "COPD", TIOTROPIUM),
    Problem("K78", "Boezemfibrilleren", METOPROLOL),
    Problem("T86", "Hypothyreoïdie", LEVOTHYROXINE),
    Problem("K77", "Hartfalen", FUROSEMIDE),
)
PASSED: Final = Problem("R81", "Longontsteking", AMOXICILLIN)
"""The problem of the closed episode."""

COMPLAINTS: Final = (
    Complaint(
        "R05",
        "Hoesten",
        ("Hoest sinds een week, geen koorts.", "Longen schoon.", "Verkoudheid.", "Afwachten, zo nodig terug."),
    ),
    Complaint(
        "L03",
        "Lage-rugpijn",
        ("Pijn onder in de rug na tillen.", "Geen uitval.", "Rugpijn zonder alarmtekens.", "Bewegen, paracetamol."),
    ),
    Complaint(
        "N17",
        "Duizeligheid",
        ("Licht in het hoofd bij opstaan.", "Bloeddruk daalt bij staan.", "Orthostase.", "Rustig opstaan, drinken."),
    ),
    Complaint(
        "U71",
        "Blaasontsteking",
        ("Vaak kleine beetjes plassen.", "Nitriet positief, geen koorts.", "Blaasontsteking.", "Kuur van vijf dagen."),
    ),
    Complaint(
        "A04",
        "Moeheid",
        ("Al weken moe, slaapt slecht.", "Geen bijzonderheden.", "Moeheid, oorzaak nog open.", "Bloedonderzoek."),
    ),
)

WEIGHT: Final = Measurement("29463-7", "Lichaamsgewicht", "kg", 100, 220, Decimal("0.50"))
GLUCOSE: Final = Measurement("14749-6", "Glucose", "mmol/L", 45, 120, Decimal("0.10"))
TSH: Final = Measurement("11579-0", "TSH", "m[IU]/L", 1, 40, Decimal("0.10"))

ALLERGENS: Final = (
    (Term("764146007", "Penicilline"), Term("271807003", "Exantheem"), "medication"),
    (Term("387207008", "Ibuprofen"), Term("126485001", "Urticaria"), "medication"),
    (Term("288328004", "Bijengif"), Term("39579001", "Anafylaxie"), "biologic"),
)
CONTRA_INDICATIONS: Final = (
    Term("709044004", "Chronische nierziekte"),
    Term("195967001", "Astma"),
    Term("84114007", "Hartfalen"),
)
CONTRA_INDICATION: Final = Term("140401000146105", "Contra-indicatie voor medicatiebewaking")
SOAP: Final = (
    Term("255362007", "Subjectief"),
    Term("260224007", "Objectief"),
    Term("129265001", "Evaluatie"),
    Term("129271007", "Plan"),
)
RESUSCITATION: Final = Term("89666000", "Cardiopulmonale resuscitatie")
INTENSIVE_CARE: Final = Term("305351004", "Opname op intensive care")
VENTILATION: Final = Term("40617009", "Kunstmatige beademing")
ADMISSION: Final = Term("32485007", "Ziekenhuisopname")


# --- how much of it a profile has ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything: lasting problems, days since each contact as (least, most), refills per medicine."""

    problems: int
    contacts: tuple[tuple[int, int], ...]
    refills: int
    full: bool = True


_DAYS: Final = ((1, 9), (12, 110), (130, 300))
"""One contact inside the acute window, one inside the covering window only, one outside both."""
TYPICAL: Final = Plan(3, _DAYS, 3)
PLANS: Final[Mapping[Profile, Plan]] = {
    Profile.MINIMAL: Plan(1, _DAYS[:1], 1, full=False),
    Profile.LARGE: Plan(5, (*_DAYS, *((2, 110),) * 100), 60),
}
HISTORY: Final = (VENTILATION, "deny")
LIMITS: Final[Mapping[Profile, tuple[tuple[Term, str], ...]]] = {
    Profile.LIMITS_PERMIT: ((RESUSCITATION, "permit"),),
    Profile.LIMITS_DENY: ((RESUSCITATION, "deny"),),
    Profile.CONTRADICTORY_LIMITS: ((RESUSCITATION, "permit"), (RESUSCITATION, "deny")),
}
USUAL_LIMITS: Final = (
    (RESUSCITATION, "deny"),
    (ADMISSION, "permit"),
    (INTENSIVE_CARE, "Alleen na overleg met de familie"),
)
NOTE: Final = "Dochter is eerste aanspreekpunt; sleutel ligt bij de buren."
