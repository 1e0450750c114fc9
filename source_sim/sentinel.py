"""What is told of a sentinel patient? The words of one row: what happened before, what goes wrong, what is answered.

Values only: it may not know which sentinels there are, nor a socket, a ledger or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, NamedTuple

from source_sim import population
from source_sim.country import Participant
from source_sim.population import Person, Profile

# --- what happened before --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """A statement of consent. `custodian` None: about all, on the patient's own page; else recorded by that custodian.
    Empty `categories` or `requesters` mean all. Inactive takes back: an inactive permit is a withdrawal."""

    custodian: Participant | None = None
    permit: bool = True
    active: bool = True
    categories: tuple[str, ...] = ()
    requesters: tuple[str, ...] = ()
    emergency_only: bool = False
    by: tuple[str, ...] = ("patient",)


@dataclass(frozen=True, slots=True)
class Held:
    """A custodian registered that it holds these categories about the patient."""

    custodian: Participant
    categories: tuple[str, ...]
    latent: bool = False


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The patient is enrolled with this practice: it is her GP of record."""

    practice: Participant


Act = Said | Held | Enrolled


DOWN: Final = "down"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong whenever this custodian is asked about this patient: a name of the fault catalogue. DOWN holds
    for the whole system, whoever is asked for."""

    custodian: Participant
    fault: str
    seconds: float = 0.0


# --- what comes of asking --------------------------------------------------------------------------------------------


class Question(NamedTuple):
    """Who asks for what; `regime` is what must be in force beside REGULAR. `requester` is a persona's key."""

    requester: str
    category: str
    regime: str = ""


_EMERGENCY: Final = "EMERGENCY_AVAILABLE"
POST_SUMMARY: Final = Question("gp-post", "gp-summary")
POST_MEDICATION: Final = Question("gp-post", "medication")
POST_ALLERGIES: Final = Question("gp-post", "allergies")
HOSPITAL_MEDICATION: Final = Question("emergency-department", "medication")
HOSPITAL_SUMMARY: Final = Question("emergency-department", "gp-summary", _EMERGENCY)
HOSPITAL_LIMITS: Final = Question("emergency-department", "treatment-limits", _EMERGENCY)
AMBULANCE_SUMMARY: Final = Question("ambulance", "gp-summary", _EMERGENCY)
AMBULANCE_LIMITS: Final = Question("ambulance", "treatment-limits", _EMERGENCY)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a question is answered with. `sources` are the custodians whose data came; `missing` those the answer names
    as not having delivered, each with its outcome code; `code` is that of a search that failed as a whole."""

    status: int = 200
    completeness: str = "complete"
    sources: tuple[Participant, ...] = ()
    missing: tuple[tuple[Participant, str], ...] = ()
    flags: tuple[str, ...] = ()
    code: str = ""

    def __str__(self) -> str:
        if self.status != 200:
            return f"{self.status} `{self.code}`"
        came = " + ".join(one.key for one in self.sources) or "nothing found"
        lacks = "".join(f"; {one.key} `{code}`" for one, code in self.missing)
        return came + lacks + "".join(f", flagged `{flag}`" for flag in self.flags)


NOTHING: Final = Answered()
"""Complete, and nothing found: what a requester sees of an objection, of no choice, and of nobody, alike."""


# --- the row ---------------------------------------------------------------------------------------------------------

NUMBERS: Final = {one.key: one.bsn for one in population.persons(date(2026, 1, 1))}
"""The BSN of every sentinel by key, in the order of interface.md section 6."""


@dataclass(frozen=True, slots=True)
class Sentinel:
    """One patient. `acts` happened in this order, `days_ago` before the country opened, while `regime` (if named) was
    in force too. `records` is who keeps a record about her, and of what kind. `returned`: how a return message ends
    (the Task's status)."""

    key: str
    stands_for: str
    acts: tuple[Act, ...]
    answers: Mapping[Question, Answered] = field(repr=False)
    records: Mapping[Participant, Profile]
    troubles: tuple[Trouble, ...] = ()
    days_ago: int = 900
    regime: str = ""
    returned: str = "completed"

    @property
    def number(self) -> str:
        """Her BSN."""
        return NUMBERS[self.key]

    def person(self, today: date) -> Person:
        """Who she is; minors keep their age."""
        return population.person(self.number, today)

    @property
    def latent(self) -> bool:
        return any(isinstance(act, Held) and act.latent for act in self.acts)
