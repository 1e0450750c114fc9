"""What do we know about this request that rows and bars ask for? Who asks and in what situation, reduced to facts.

The one place where times are compared: contact, attestation and mandate against the moment, in domain time.
Source: domain.md section 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.rules.exchange import (
    SEH,
    Capacity,
    Category,
    Contact,
    ContactKind,
    GivenBy,
    Kind,
    Purpose,
    Regime,
    Requester,
    Situation,
)
from gateway.rules.table import Action

CONTACT_AGES = timedelta(hours=72)
SENDING_AGES = timedelta(days=30)
ATTESTATION_AGES = timedelta(hours=72)
CLOCK_SKEW = timedelta(seconds=60)
"""Two systems' clocks are never equal: a contact or attestation this little ahead of ours is not "in the future"."""

BARRED_ROLES = frozenset({"01.008", "01.048"})
ROLE_FAMILIES = frozenset({"01", "17", "30", "80", "81", "83"})
_ROLE_CODE = re.compile(r"[0-9]{2}\.[0-9]{3}")


def is_known_role(role: str) -> bool:
    """Whether a role code has the form of the code system and belongs to a family on the network."""
    return _ROLE_CODE.fullmatch(role) is not None and role[:2] in ROLE_FAMILIES


class Relation(StrEnum):
    """What the claimed contact amounts to at this moment."""

    NONE = "none"
    FUTURE = "future"
    OVER = "over"
    CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision about the requester rests on, reduced to what the rows and bars ask.

    `responsible_role` is None unless the mandate is valid at this moment; `responsible_barred` is told apart because a
    barred profession bars even with a lapsed mandate. `attested_by` None: no attestation came along.
    """

    action: Action
    category: Category | None
    kind: Kind | None
    revoked: bool
    department: str | None
    role: str | None
    responsible_role: str | None
    responsible_barred: bool
    regimes: frozenset[Regime]
    relation: Relation
    ride: bool
    cover: bool
    emergency: bool
    capacity: Capacity
    attested_by: GivenBy | None
    attestation_good: bool


def gather(
    requester: Requester,
    situation: Situation,
    action: Action,
    category: Category | None,
    *,
    at: datetime,
    regimes: frozenset[Regime],
    attestation_bound_elsewhere: bool,
) -> Facts:
    """Reduce who asks, in what situation, at `at` (domain time), to the facts that rows and bars look at."""
    contact, verbal = situation.contact, situation.verbal_consent
    responsible = requester.responsible
    mandated = responsible is not None and (responsible.mandate_until is None or at <= responsible.mandate_until)
    return Facts(
        action=action,
        category=category,
        kind=requester.kind,
        revoked=requester.revoked,
        department=requester.department,
        role=requester.actor.role if requester.actor else None,
        responsible_role=responsible.role if responsible and mandated else None,
        responsible_barred=responsible is not None and responsible.role in BARRED_ROLES,
        regimes=regimes,
        relation=_relation(contact, requester.kind, at, CONTACT_AGES if action is Action.QUERY else SENDING_AGES),
        ride=contact is not None and contact.kind is ContactKind.RIDE,
        cover=situation.cover,
        emergency=_is_emergency(situation, requester.department),
        capacity=situation.capacity,
        attested_by=verbal.given_by if verbal else None,
        attestation_good=verbal is not None
        and not attestation_bound_elsewhere
        and contact is not None
        and bool(verbal.recorded_by and verbal.recorded_by.strip())
        and at - ATTESTATION_AGES <= verbal.at <= at + CLOCK_SKEW,
    )


def _relation(contact: Contact | None, kind: Kind | None, at: datetime, ages: timedelta) -> Relation:
    if contact is None or (contact.end is not None and contact.end < contact.start):
        return Relation.NONE
    if contact.start > at + CLOCK_SKEW:
        return Relation.FUTURE
    ended = contact.end if contact.end is not None and contact.end <= at else None
    if ended is None and contact.kind is ContactKind.ADMISSION and kind is Kind.HOSPITAL:
        return Relation.CURRENT  # an admission lasts as long as it lasts; an announced end is not an end
    return Relation.CURRENT if at - (ended or contact.start) <= ages else Relation.OVER


def _is_emergency(situation: Situation, department: str | None) -> bool:
    if situation.purpose is not Purpose.ETREAT or situation.contact is None:
        return False
    kind = situation.contact.kind
    return kind in (ContactKind.TRIAGE, ContactKind.RIDE) or (kind is ContactKind.VISIT and department == SEH)
