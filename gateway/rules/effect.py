"""What would a choice change? Who sees what before and after it, asked of the same evaluator that judges requests.

Every kind of requester the table knows stands at its best (in contact, covering, on a ride), so that what differs is
what the patient said. Pure; statements, entries and the moment are arguments. Source: domain.md sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from types import MappingProxyType

from gateway.rules import consent
from gateway.rules.access import admit, decide
from gateway.rules.choice import ConsentState, Statement
from gateway.rules.exchange import (
    GROUP_OF,
    HELD_BY,
    SEH,
    Capacity,
    Category,
    GivenBy,
    Group,
    Kind,
    PatientKey,
    Pointer,
    Regime,
)
from gateway.rules.facts import Facts, Relation
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.table import Action


class Onlooker(StrEnum):
    """Who may come to ask, as a patient would say it; the same post in an emergency
    and without is two."""

    GP_POST = "gp-post"
    GP_POST_URGENT = "gp-post-urgent"
    PHARMACY = "pharmacy"
    SPECIALIST = "specialist"
    EMERGENCY_DEPARTMENT = "emergency-department"
    AMBULANCE = "ambulance"


class Sight(StrEnum):
    """What an onlooker gets to see. ASKS: after asking on the spot, or without when the patient cannot answer.
    UNLESS_ABLE: only when she cannot answer and nobody can for her."""

    SEES = "sees"
    ASKS = "asks"
    UNLESS_ABLE = "unless-able"
    NOTHING = "nothing"


class When(StrEnum):
    """From when a change is felt: at once, when the practice or pharmacy registers her data (again), or while a special
    arrangement is in force."""

    NOW = "now"
    REGISTERED = "registered"
    ARRANGED = "arranged"


@dataclass(frozen=True, slots=True)
class Held:
    """Data that a custodian has or may have; `registered`: the reference index names it, `latent` or not."""

    custodian: Ura
    category: Category
    registered: bool
    latent: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """For one onlooker (`organisation`: one that a statement names) what changes alike, and from when."""

    onlooker: Onlooker
    organisation: Ura | None
    before: Sight
    after: Sight
    when: When
    what: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class Reports:
    """Whether these onlookers may report back to the GP of record, before and after."""

    onlooker: Onlooker
    before: bool
    after: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """Everything a choice changes: who sees what, which entries end, who may report back."""

    changes: tuple[Change, ...]
    ended: tuple[Held, ...]
    reports: tuple[Reports, ...]

    @property
    def nothing(self) -> bool:
        return not (self.changes or self.ended or self.reports)


@dataclass(frozen=True, slots=True)
class Place:
    """One cell: who looks (as whom), at what."""

    onlooker: Onlooker
    organisation: Ura | None
    held: Held


_NAMELESS = Ura("00000000")
"""Stands for an organisation that no statement names."""
_NOBODY, _NO_SYSTEM = PatientKey(b""), ApplicationId("0")

_BEST = Facts(
    action=Action.QUERY,
    category=None,
    kind=None,
    revoked=False,
    department=None,
    role=None,
    responsible_role=None,
    responsible_barred=False,
    regimes=frozenset(),
    relation=Relation.CURRENT,
    ride=False,
    cover=False,
    emergency=False,
    capacity=Capacity.CAPABLE,
    attested_by=None,
    attestation_good=False,
)
_AS: Mapping[Onlooker, Facts] = MappingProxyType(
    {
        Onlooker.GP_POST: replace(_BEST, kind=Kind.GP_POST, role="01.015", cover=True),
        Onlooker.GP_POST_URGENT: replace(_BEST, kind=Kind.GP_POST, role="01.015", cover=True, emergency=True),
        Onlooker.PHARMACY: replace(_BEST, kind=Kind.PHARMACY, role="17.075", cover=True),
        Onlooker.SPECIALIST: replace(_BEST, kind=Kind.HOSPITAL, role="01.016"),
        Onlooker.EMERGENCY_DEPARTMENT: replace(
            _BEST, kind=Kind.HOSPITAL, role="01.071", department=SEH, emergency=True
        ),
        Onlooker.AMBULANCE: replace(_BEST, kind=Kind.AMBULANCE, role="80.000", ride=True, emergency=True),
    }
)
_REPORTING = (Onlooker.GP_POST, Onlooker.EMERGENCY_DEPARTMENT, Onlooker.AMBULANCE)
_NAMED_WITHIN: Mapping[Kind, tuple[Onlooker, ...]] = MappingProxyType(
    {kind: tuple(one for one, facts in _AS.items() if facts.kind is kind) for kind in Kind}
)


# --- what is seen ----------------------------------------------------------------------------------------------------


def sight(place: Place, statements: Sequence[Statement], regimes: frozenset[Regime], at: datetime) -> Sight:
    """What this onlooker gets to see of this entry, supposing it is registered, under these regimes."""
    facts = replace(_AS[place.onlooker], category=place.held.category, regimes=regimes)
    if _opens(facts, place, statements, at):
        return Sight.SEES
    asked = replace(facts, attested_by=GivenBy.PATIENT, attestation_good=True)
    if _opens(asked, place, statements, at):
        return Sight.ASKS
    unable = replace(facts, capacity=Capacity.INCAPABLE)
    return Sight.UNLESS_ABLE if _opens(unable, place, statements, at) else Sight.NOTHING


def _opens(facts: Facts, place: Place, statements: Sequence[Statement], at: datetime) -> bool:
    admission, held = admit(facts), place.held
    if admission.bar is not None:
        return False
    pointer = Pointer("", _NOBODY, held.custodian, _NO_SYSTEM, held.category, held.latent, "")
    state = consent.state(statements, _asked(place, facts, held.category), at)
    on_yes = consent.stands_on_yes(statements, held.custodian, held.category, at)
    return decide(admission, pointer, state, on_yes).permitted


def _asked(place: Place, facts: Facts, category: Category) -> consent.Asked:
    return consent.Asked(
        custodian=place.held.custodian,
        category=category,
        requester=place.organisation or _NAMELESS,
        group=GROUP_OF[facts.kind] if facts.kind else None,
        emergency=facts.emergency,
    )


def may_be_seen(held: Iterable[Held], statements: Sequence[Statement], kinds: Mapping[Ura, Kind]) -> Iterator[Place]:
    """Every cell there is: each onlooker, and each organisation these statements name, by each entry that somebody
    could ever be permitted to see."""
    named = sorted({Ura(name) for one in statements for name in one.scope.requesters or () if name not in _GROUPS})
    for one in held:
        yield from (Place(onlooker, None, one) for onlooker in Onlooker)
        for ura in named:
            for onlooker in _NAMED_WITHIN[kinds[ura]] if ura in kinds else ():
                yield Place(onlooker, ura, one)


_GROUPS = frozenset(group.value for group in Group)


# --- what changes ----------------------------------------------------------------------------------------------------


def effect(
    before: Sequence[Statement],
    after: Sequence[Statement],
    held: Sequence[Held],
    *,
    regimes: frozenset[Regime],
    kinds: Mapping[Ura, Kind],
    gp: Ura | None,
    at: datetime,
) -> Effect:
    """What differs between these statements and those at `at` (domain time): `held` are the entries known or possible,
    `kinds` what the organisations are that statements name, `gp` the GP of record."""
    places = may_be_seen(held, [*before, *after], kinds)
    changes = [change for place in places if (change := _change(place, before, after, regimes, at))]
    ended = tuple(one for one in held if one.registered and _ends(one, after, at) and not _ends(one, before, at))
    return Effect(_together(changes), ended, _reports(before, after, gp, at))


def _ends(held: Held, statements: Sequence[Statement], at: datetime) -> bool:
    return consent.ends_entry(statements, held.custodian, held.category, at)


def _change(
    place: Place, before: Sequence[Statement], after: Sequence[Statement], regimes: frozenset[Regime], at: datetime
) -> Change | None:
    if place.held.category not in HELD_BY:
        return None
    now = (sight(place, before, regimes, at), sight(place, after, regimes, at))
    any_time = (sight(place, before, _EVERY_REGIME, at), sight(place, after, _EVERY_REGIME, at))
    felt = now if now[0] is not now[1] else any_time
    if felt[0] is felt[1]:
        return None
    when = When.NOW if place.held.registered else When.REGISTERED
    when = when if felt is now else When.ARRANGED
    return Change(place.onlooker, place.organisation, *felt, when, (place.held,))


_EVERY_REGIME = frozenset(Regime)


def _together(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Changes that differ only in what is seen, as one; what is felt first goes first. What changes for an organisation
    by name just as for others of its kind is not told again."""
    everybody = [one for one in changes if one.organisation is None]
    own = (one for one in changes if one.organisation and replace(one, organisation=None) not in everybody)
    told = sorted([*everybody, *own], key=_order)
    return tuple(
        replace(same[0], what=tuple(held for one in same for held in one.what))
        for same in (list(group) for _, group in groupby(told, key=_order))
    )


def _order(change: Change) -> tuple[int, int, str, str, str]:
    """By when, who and how; within that the order in which the data were given stays."""
    place = list(Onlooker).index(change.onlooker)
    named = change.organisation.digits if change.organisation else ""
    return (list(When).index(change.when), place, named, change.before, change.after)


def _reports(
    before: Sequence[Statement], after: Sequence[Statement], gp: Ura | None, at: datetime
) -> tuple[Reports, ...]:
    """Who may (no longer) report back; only an objection that names return messages keeps them from it."""
    held = Held(gp or _NAMELESS, Category.RETURN_MESSAGE, registered=True)
    told = []
    for onlooker in _REPORTING:
        asked = _asked(Place(onlooker, None, held), _AS[onlooker], Category.RETURN_MESSAGE)
        may = [consent.state(said, asked, at) is not ConsentState.DENIED for said in (before, after)]
        if may[0] != may[1]:
            told.append(Reports(onlooker, *may))
    return tuple(told)
