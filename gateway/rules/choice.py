"""What can a patient say about who sees what? The words of consent: a statement, its scope, who stated it.

Frozen values only; what statements add up to is consent.py's. Source: domain.md section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from gateway.rules.exchange import Category
from gateway.rules.identifiers import Bsn, Ura


class Say(StrEnum):
    """What a consent statement says. WITHDRAWN takes back a yes (an objection); CLEARED takes back a no (undecided)."""

    YES = "yes"
    NO = "no"
    WITHDRAWN = "withdrawn"
    CLEARED = "cleared"


class ConsentState(StrEnum):
    GRANTED = "granted"
    UNDECIDED = "undecided"
    DENIED = "denied"


class Party(StrEnum):
    """Who stated: RelatedPerson PRN, GUARD, POWATT, or the patient."""

    PATIENT = "patient"
    PARENT = "parent"
    GUARDIAN = "guardian"
    REPRESENTATIVE = "representative"


class Method(StrEnum):
    WRITTEN = "written"
    VERBAL = "verbal"
    ONLINE = "online"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement is about; None means all. `requesters` holds Group values and URAs as text."""

    custodian: Ura | None = None
    categories: frozenset[Category] | None = None
    requesters: frozenset[str] | None = None
    emergency_only: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """One consent statement of a patient. `effective` is as stated; `received` is when the switchpoint took it."""

    id: str
    scope: Scope
    say: Say
    effective: datetime
    received: datetime
    by: frozenset[Party] = frozenset({Party.PATIENT})
    method: Method = Method.WRITTEN
    recorder: str = ""
    information: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A consent statement as a custodian or patient hands it in, before age and entitlement are judged.

    `effective` None means now. `birth_date` is what the sender knows of the patient's age.
    """

    patient: Bsn
    scope: Scope
    say: Say
    effective: datetime | None
    by: frozenset[Party]
    method: Method = Method.WRITTEN
    recorder: str = ""
    information: str = ""
    birth_date: date | None = None
