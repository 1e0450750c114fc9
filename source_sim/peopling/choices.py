"""What did somebody say to whom about the exchange, and what may therefore be registered? Drawn from survey shares.

It knows organisations by URA and the words of interface.md section 4. It may not know what the exchange makes of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from source_sim.country import Participant
from source_sim.peopling import surveys
from source_sim.peopling.households import drawn
from source_sim.peopling.surveys import CONSENT_SINCE, REFERENCE_DAY

HELD: Final = {"Z3": ("gp-summary", "treatment-limits"), "J8": ("medication", "allergies")}
"""What a custodian registers of a patient who said yes, by organisation type."""
_NOT_HOSPITAL: Final = ("ambulance", "gp-care", "pharmacy")


class Word(StrEnum):
    """What a statement says."""

    YES = "yes"
    NO = "no"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Said:
    """One statement. `custodian` None: about all; `requesters` empty: for all; `on` is the day it was said."""

    word: Word
    custodian: Participant | None
    on: date
    requesters: tuple[str, ...] = ()
    emergency_only: bool = False


@dataclass(frozen=True, slots=True)
class Custodians:
    """Where somebody is known: the practice of enrolment, the pharmacy, and the second pharmacy some also use."""

    practice: Participant
    pharmacy: Participant
    second_pharmacy: Participant


def objection(rng: random.Random, born: date) -> tuple[Said, ...]:
    """A no told to the exchange itself: everybody, everything."""
    return (Said(Word.NO, None, _day(rng, born)),)


def consents(rng: random.Random, known: Custodians, born: date) -> tuple[Said, ...]:
    """What somebody who is for it said, one statement after the other; never empty."""
    requesters = _NOT_HOSPITAL if drawn(rng, surveys.NOT_HOSPITAL) else ()
    urgent = drawn(rng, surveys.EMERGENCIES_ONLY)
    on = _day(rng, born)
    given = tuple(Said(Word.YES, one, on, requesters, urgent) for one in _to_whom(rng, known))
    if not drawn(rng, surveys.WITHDRAWN):
        return given
    later = on + timedelta(days=rng.randint(0, (REFERENCE_DAY - on).days))
    return given + tuple(Said(Word.WITHDRAWN, one.custodian, later) for one in given)


def _to_whom(rng: random.Random, known: Custodians) -> tuple[Participant, ...]:
    lot = rng.randrange(1000)
    if lot < surveys.GP_ONLY.of_thousand:
        return (known.practice,)
    practice = () if lot < surveys.GP_ONLY.of_thousand + surveys.PHARMACY_ONLY.of_thousand else (known.practice,)
    second = known.second_pharmacy != known.pharmacy and drawn(rng, surveys.SECOND_PHARMACY)
    return (*practice, known.pharmacy, *((known.second_pharmacy,) if second else ()))


def _day(rng: random.Random, born: date) -> date:
    """A day since there is an exchange to say it to, and since the person was born."""
    first = max(CONSENT_SINCE, born)
    return first + timedelta(days=rng.randint(0, max(0, (REFERENCE_DAY - first).days - 1)))
