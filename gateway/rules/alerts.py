"""What should an operator be woken for? A few rules over what was counted lately; every number here is ours.

Pure: gathered facts in, alerts out. Counts name organisations, never a patient. Sources: domain.md section 4 "Never",
promises.md section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from gateway.rules.exchange import Kind
from gateway.rules.identifiers import Ura

WINDOW = timedelta(hours=1)
"""How far back calls are counted (wall time)."""
NOTHING_FOUND_FOR = 20
"""Different patients about whom one organisation found nothing within the window."""
NOTHING_FOUND_SHARE = 0.5
"""And what part of all patients it asked about that is, at least: a busy post asks much and finds much."""
FEWEST_ASKED = 20
"""Below so many calls a share says nothing."""
USUAL_SHARE: Mapping[Kind, float] = MappingProxyType(
    {Kind.GP_PRACTICE: 0.1, Kind.PHARMACY: 0.1, Kind.GP_POST: 0.5, Kind.HOSPITAL: 0.95}
)
"""From which part of emergencies on a kind of organisation is unusual; an ambulance service has nothing else."""
EXPIRES_SOON = timedelta(days=30)
EXPIRES_NOW = timedelta(days=7)
LIST_EXPIRES_SOON = timedelta(hours=12)
"""A revocation list lives for days, and fails closed."""
OLDEST_MESSAGE = timedelta(hours=4)


class Alert(StrEnum):
    """What is wrong. Each has a sentence, and a sentence that says what to do."""

    ENUMERATION = "enumeration"
    EMERGENCY_SHARE = "emergency-share"
    ENROLMENT_GRAB = "enrolment-grab"
    SEAL = "seal"
    CERTIFICATE = "certificate"
    REVOCATION_LIST = "revocation-list"
    DISK = "disk"
    OUTBOX_OLD = "outbox-old"
    DELIVERY_STOPPED = "delivery-stopped"
    """To everybody."""
    LANES_STOPPED = "lanes-stopped"
    """To some recipients."""
    INDEX = "index"
    LEDGER = "ledger"
    REVIEW_OVERDUE = "review-overdue"


class Level(StrEnum):
    WARN = "warn"
    BAD = "bad"


class Paper(StrEnum):
    """What the exchange shows or believes for a limited time."""

    CERTIFICATE = "certificate"
    AUTHORITY = "authority"
    REVOCATION_LIST = "revocation-list"


@dataclass(frozen=True, slots=True)
class Expiry:
    """One of the exchange's papers: `name` as it calls itself, `until` None when it cannot be read (wall time)."""

    paper: Paper
    name: str
    until: datetime | None
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one organisation asked in the window: calls and how many of them as emergencies, how many different patients
    it asked about, and about how many of them it found nothing."""

    kind: Kind | None
    calls: int
    emergencies: int
    patients: int
    found_nothing: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the rules look at. `grabs` are the highest counts of taken-over enrolments told today; `wrong` are the
    failing readiness checks by name; `oldest_message` is the age of the oldest message on its way."""

    wall: datetime
    traffic: Mapping[Ura, Traffic] = field(default_factory=dict)
    grabs: Mapping[Ura, int] = field(default_factory=dict)
    expiries: tuple[Expiry, ...] = ()
    wrong: Mapping[str, str] = field(default_factory=dict)
    oldest_message: timedelta = timedelta()
    all_stopped: bool = False
    lanes_stopped: int = 0
    reviews_overdue: int = 0


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert. `organisation` whom it concerns, `what` which paper or check, `count` and `of` how much; `share` in per
    cent; `until` when something ends."""

    alert: Alert
    level: Level
    organisation: Ura | None = None
    what: str = ""
    count: int = 0
    of: int = 0
    until: datetime | None = None

    @property
    def share(self) -> int:
        return round(100 * self.count / self.of) if self.of else 0


def raised(facts: Facts) -> tuple[Raised, ...]:
    """Every alert there is reason for, the worst first."""
    found = [one for rule in _RULES for one in rule(facts)]
    return tuple(sorted(found, key=lambda one: one.level is not Level.BAD))


def _enumeration(facts: Facts) -> Iterator[Raised]:
    """Many different patients with nothing found: somebody may be trying numbers."""
    for ura, told in facts.traffic.items():
        many = told.found_nothing >= NOTHING_FOUND_FOR
        if many and told.found_nothing >= NOTHING_FOUND_SHARE * told.patients:
            yield Raised(Alert.ENUMERATION, Level.BAD, ura, count=told.found_nothing, of=told.patients)


def _emergency_share(facts: Facts) -> Iterator[Raised]:
    for ura, told in facts.traffic.items():
        usual = USUAL_SHARE.get(told.kind) if told.kind else None
        if usual is not None and told.calls >= FEWEST_ASKED and told.emergencies >= usual * told.calls:
            yield Raised(Alert.EMERGENCY_SHARE, Level.WARN, ura, count=told.emergencies, of=told.calls)


def _grabs(facts: Facts) -> Iterator[Raised]:
    for ura, count in facts.grabs.items():
        yield Raised(Alert.ENROLMENT_GRAB, Level.BAD, ura, count=count)


def _papers(facts: Facts) -> Iterator[Raised]:
    for one in facts.expiries:
        alert = Alert.REVOCATION_LIST if one.paper is Paper.REVOCATION_LIST else Alert.CERTIFICATE
        level = _urgency(one, facts.wall)
        if level is not None:
            yield Raised(alert, level, what=one.name, until=one.until)


def _urgency(one: Expiry, wall: datetime) -> Level | None:
    if one.until is None or one.until <= wall:
        return Level.BAD
    left = one.until - wall
    if one.paper is Paper.REVOCATION_LIST:
        return Level.WARN if left <= LIST_EXPIRES_SOON else None
    if left <= EXPIRES_NOW:
        return Level.BAD
    return Level.WARN if left <= EXPIRES_SOON else None


_BY_CHECK = MappingProxyType({"seal": Alert.SEAL, "disk": Alert.DISK, "index": Alert.INDEX, "ledger": Alert.LEDGER})
"""The failing readiness checks that are alerts; the revocation list is told with the papers, where it has a date."""


def _checks(facts: Facts) -> Iterator[Raised]:
    for name, why in facts.wrong.items():
        if name in _BY_CHECK:
            yield Raised(_BY_CHECK[name], Level.BAD, what=why)
    if "revocation" in facts.wrong and not any(one.alert is Alert.REVOCATION_LIST for one in _papers(facts)):
        yield Raised(Alert.REVOCATION_LIST, Level.BAD, what=facts.wrong["revocation"])


def _messages(facts: Facts) -> Iterator[Raised]:
    if facts.oldest_message >= OLDEST_MESSAGE:
        yield Raised(Alert.OUTBOX_OLD, Level.WARN, count=int(facts.oldest_message.total_seconds() // 3600))
    if facts.all_stopped:
        yield Raised(Alert.DELIVERY_STOPPED, Level.BAD)
    if facts.lanes_stopped:
        yield Raised(Alert.LANES_STOPPED, Level.WARN, count=facts.lanes_stopped)


def _reviews(facts: Facts) -> Iterator[Raised]:
    if facts.reviews_overdue:
        yield Raised(Alert.REVIEW_OVERDUE, Level.WARN, count=facts.reviews_overdue)


_RULES = (_checks, _papers, _enumeration, _grabs, _emergency_share, _messages, _reviews)
