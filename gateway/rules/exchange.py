"""What does the exchange talk about? The words every room uses: who asks, in what situation, what for, what came back.

Frozen values only. No word here knows of HTTP, SQL, FHIR JSON or a clock. Times are aware datetimes in *domain time*
unless a name says wall. Sources: domain.md sections 1 to 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from gateway.rules.identifiers import ApplicationId, Bsn, Ura

PatientKey = NewType("PatientKey", bytes)
"""Twelve bytes of keyed HMAC over a BSN: the only form in which a patient is named at rest."""


class Kind(StrEnum):
    """What an organisation is on the network (domain.md section 1)."""

    GP_PRACTICE = "gp-practice"
    PHARMACY = "pharmacy"
    GP_POST = "gp-post"
    HOSPITAL = "hospital"
    AMBULANCE = "ambulance"


ORGANISATION_TYPES: dict[str, Kind] = {
    "Z3": Kind.GP_PRACTICE,
    "K3": Kind.GP_PRACTICE,
    "H1": Kind.GP_PRACTICE,
    "J8": Kind.PHARMACY,
    "K9": Kind.PHARMACY,
    "A1": Kind.PHARMACY,
    "N6": Kind.GP_POST,
    "V4": Kind.HOSPITAL,
    "V5": Kind.HOSPITAL,
    "V6": Kind.HOSPITAL,
    "AMB": Kind.AMBULANCE,
}
"""Organisation-type code to kind; a code not listed is not on the network."""


class Group(StrEnum):
    """Requester groups a patient can name in a consent (national RPZAC001, 005, 104)."""

    GP_CARE = "gp-care"
    PHARMACY = "pharmacy"
    HOSPITAL = "hospital"
    AMBULANCE = "ambulance"


GROUP_OF: dict[Kind, Group] = {
    Kind.GP_PRACTICE: Group.GP_CARE,
    Kind.GP_POST: Group.GP_CARE,
    Kind.PHARMACY: Group.PHARMACY,
    Kind.HOSPITAL: Group.HOSPITAL,
    Kind.AMBULANCE: Group.AMBULANCE,
}


class Category(StrEnum):
    """Data categories (domain.md section 2), and `return-message`, which only a consent can name."""

    GP_SUMMARY = "gp-summary"
    MEDICATION = "medication"
    ALLERGIES = "allergies"
    TREATMENT_LIMITS = "treatment-limits"
    ENROLMENT = "enrolment"
    RETURN_MESSAGE = "return-message"


HELD_BY: dict[Category, Kind] = {
    Category.GP_SUMMARY: Kind.GP_PRACTICE,
    Category.TREATMENT_LIMITS: Kind.GP_PRACTICE,
    Category.ENROLMENT: Kind.GP_PRACTICE,
    Category.MEDICATION: Kind.PHARMACY,
    Category.ALLERGIES: Kind.PHARMACY,
}


class View(StrEnum):
    """Which selection of the GP summary the source builds (domain.md section 2)."""

    COVERING = "covering"
    ACUTE = "acute"


class Regime(StrEnum):
    """The three arrangements of domain.md section 4. REGULAR is always on."""

    REGULAR = "REGULAR"
    CRISIS_OPT_IN = "CRISIS_OPT_IN"
    EMERGENCY_AVAILABLE = "EMERGENCY_AVAILABLE"


class Purpose(StrEnum):
    TREAT = "TREAT"
    ETREAT = "ETREAT"


class ContactKind(StrEnum):
    VISIT = "visit"
    CALL = "call"
    RIDE = "ride"
    TRIAGE = "triage"
    CONSULTATION = "consultation"
    ADMISSION = "admission"
    DISPENSING = "dispensing"


class Capacity(StrEnum):
    CAPABLE = "capable"
    INCAPABLE = "incapable"
    REPRESENTED = "represented"


class GivenBy(StrEnum):
    PATIENT = "patient"
    REPRESENTATIVE = "representative"


SEH = "SEH"
"""The one department the register knows: the emergency department of a hospital."""


@dataclass(frozen=True, slots=True)
class Professional:
    """A person at work: UZI number, name, role code (`http://fhir.nl/fhir/NamingSystem/uzi-rolcode`)."""

    uzi: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Responsible:
    """Under whose mandate the actor works; `mandate_until` in domain time, None is open-ended."""

    uzi: str
    name: str
    role: str
    mandate_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks: the register's facts on the organisation, and the persons its token names.

    `kind` is None for an organisation type that is not on the network. `department` is already narrowed: set only when
    the token claims it and the register knows it. `actor` is None for a system acting by itself.
    """

    ura: Ura
    name: str
    organisation_type: str
    application: ApplicationId
    department: str | None = None
    actor: Professional | None = None
    responsible: Responsible | None = None
    revoked: bool = False

    @property
    def kind(self) -> Kind | None:
        return ORGANISATION_TYPES.get(self.organisation_type)


@dataclass(frozen=True, slots=True)
class Contact:
    """The treatment contact the requester claims; `end` None is open."""

    id: str
    kind: ContactKind
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class VerbalConsent:
    """The attestation that somebody said yes on the spot."""

    id: str
    given_by: GivenBy
    at: datetime
    recorded_by: str | None


@dataclass(frozen=True, slots=True)
class Situation:
    """In what situation the requester says to be (the token's claims)."""

    purpose: Purpose = Purpose.TREAT
    contact: Contact | None = None
    cover: bool = False
    capacity: Capacity = Capacity.CAPABLE
    verbal_consent: VerbalConsent | None = None


@dataclass(frozen=True, slots=True)
class AortaId:
    """`initial` stays the same through the chain, `request` is per message (uuid text, lower case)."""

    initial: str
    request: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Pointer:
    """One entry of the reference index: this custodian holds this category about a patient in this system."""

    id: str
    patient: PatientKey = field(repr=False)
    custodian: Ura
    system: ApplicationId
    category: Category
    latent: bool
    date: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where a registered system is reached; only such endpoints are ever called."""

    ura: Ura
    application: ApplicationId
    endpoint: str


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a source: one FHIR type, its search parameters without the patient's, and the patient.

    `parameters` are (name, value) as they travel to the source; the patient parameter is added by the outbound door
    under `patient_parameter` (`patient.identifier`, `composition.patient.identifier`, ...).
    """

    category: Category
    resource_type: str
    patient: Bsn
    patient_parameter: str
    parameters: tuple[tuple[str, str], ...] = ()


class Failing(StrEnum):
    """How a source did not deliver (domain.md section 5)."""

    TIMED_OUT = "timed-out"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"
    WRONG_PATIENT = "wrong-patient"
    TRUNCATED = "truncated"
    WITHHELD = "withheld"
    NO_CONSENT = "no-consent"
    """The source itself refused for consent: neutral to the requester, told in the journal only."""


class Mode(StrEnum):
    MATCH = "match"
    INCLUDE = "include"


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource as the source sent it: `resource` is the source's own UTF-8 bytes, never re-serialised."""

    resource: bytes = field(repr=False)
    resource_type: str
    id: str | None
    full_url: str | None
    mode: Mode


@dataclass(frozen=True, slots=True)
class Answer:
    """A source answered. `truncated`: it paged, its entries are delivered but more exist. `limits` are the treatment
    limits found, as (code, permit or deny) pairs, to flag contradictions between sources."""

    entries: tuple[Entry, ...]
    truncated: bool = False
    limits: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Failure:
    """A source did not deliver. `detail` is for the journal: never content or a BSN. `breaker`: counts against it."""

    failing: Failing
    detail: str
    breaker: bool = False


class Completeness(StrEnum):
    COMPLETE = "complete"
    PARTIAL = "partial"
    NONE = "none"


class Flag(StrEnum):
    """Tags on an answer's meta (interface.md section 7)."""

    VERBAL_CONSENT = "verbal-consent"
    PRESUMED_CONSENT = "presumed-consent"
    CONTRADICTORY_LIMITS = "contradictory-limits"
