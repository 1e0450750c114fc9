"""How did one call go, from its first message to its last? Its journal lines as steps, and its decision told again.

The journal keeps what was decided, not every row that was tried: the rows are tried again here on the facts that were
recorded. What was not recorded (a contact's times, a mandate's end) is taken as the outcome says it was; where the
rules then come out otherwise, the account says that it does not hold. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.flows.means import Means
from gateway.rules.access import Admission, Bar, Basis, admit
from gateway.rules.choice import ConsentState
from gateway.rules.exchange import (
    ORGANISATION_TYPES,
    SEH,
    Capacity,
    Category,
    ContactKind,
    GivenBy,
    PatientKey,
    Purpose,
    Regime,
)
from gateway.rules.explain import Trial, explain
from gateway.rules.facts import BARRED_ROLES, Facts, Relation, is_known_role
from gateway.rules.journal import Audience, Event, Json, Line, view
from gateway.rules.table import Action
from gateway.stores import journal
from gateway.stores.journal import Kept
from gateway.stores.transaction import Transaction

MOST = 200
"""Lines of one chain that are shown; a batch can have thousands."""

_JUDGING = frozenset({Event.QUERY_DECIDED, Event.QUERY_REFUSED, Event.LOCALISED, Event.EXPLAINED})
_MESSAGES = frozenset(event for event in Event if event.value.startswith("message-"))


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the chain. `seen` is what an operator may see of it; `after_ms` wall time since the first line."""

    seq: int
    event: Event
    at: datetime
    wall: datetime
    after_ms: float
    request: str
    custodian: str
    seen: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Retold:
    """A decision, every row tried on the recorded facts. `holds`: the rules come to the recorded outcome again."""

    step: Step
    trials: tuple[Trial, ...]
    holds: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """One call, oldest step first. `more`: there are more lines than shown. `patients` are whom it concerned."""

    initial: str
    steps: tuple[Step, ...]
    retold: tuple[Retold, ...]
    more: int
    patients: tuple[PatientKey, ...] = field(repr=False)

    def of(self, *events: Event) -> list[Step]:
        return [step for step in self.steps if step.event in events]

    @property
    def messages(self) -> list[Step]:
        return [step for step in self.steps if step.event in _MESSAGES]


async def chain(means: Means, initial: str, *, most: int = MOST) -> Chain | None:
    """The call with this initialRequestID, its first `most` steps; None when the journal has none. Raises
    LedgerUnavailable."""

    def unit(reader: Transaction) -> list[Kept]:
        return journal.by_chain(reader, initial)

    found = await means.ledger.read(unit, single=True)
    return _told(initial, found, most) if found else None


def _told(initial: str, found: list[Kept], most: int) -> Chain:
    shown = found[:most]
    steps = tuple(_step(kept, shown[0].line.wall) for kept in shown)
    judging = [(step, kept.line) for step, kept in zip(steps, shown, strict=True) if kept.line.event in _JUDGING]
    retold = tuple(one for step, line in judging if (one := _retold(step, line)) is not None)
    patients = dict.fromkeys(kept.line.patient for kept in shown if kept.line.patient is not None)
    return Chain(initial, steps, retold, len(found) - len(shown), tuple(patients))


def _step(kept: Kept, first: datetime) -> Step:
    line = kept.line
    return Step(
        seq=kept.seq,
        event=line.event,
        at=line.at,
        wall=line.wall,
        after_ms=(line.wall - first).total_seconds() * 1000,
        request=line.aorta.request if line.aorta else "",
        custodian=line.custodian.digits if line.custodian else "",
        seen=view(line, Audience.OPERATOR),
    )


# --- the decision, told again ----------------------------------------------------------------------------------------


def _retold(step: Step, line: Line) -> Retold | None:
    """None where the line records too little, or nothing that the rows speak of."""
    try:
        facts = _facts(line)
    except ValueError:
        return None
    bar = _bar(line)
    decisions = _decisions(line)
    permitting = next((str(one["row"]) for one in decisions if one.get("outcome") == "permitted"), None)
    again = admit(facts)
    told = explain(again, tuple(_state(one) for one in decisions), permitting)
    return Retold(step, told.trials, _agrees(again, bar, permitting, told.outcome))


def _agrees(again: Admission, bar: Bar | None, permitting: str | None, outcome: str) -> bool:
    if permitting is not None:
        return any(row.id == permitting for row in again.rows)
    expected = again.bar or (Bar.VERBAL_CONSENT_REQUIRED if again.must_ask_first else None)
    return expected is bar if bar is not None else outcome != "permitted" and again.bar is None


def _bar(line: Line) -> Bar | None:
    reason = line.fields.get("reason")
    return Bar(reason) if isinstance(reason, str) and reason in set(Bar) else None


def _decisions(line: Line) -> list[dict[str, Json]]:
    found = line.fields.get("decisions")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _state(decision: Mapping[str, Json]) -> tuple[ConsentState, bool]:
    if decision.get("reason") == Bar.OBJECTION:
        return ConsentState.DENIED, False
    if decision.get("basis") == Basis.CONSENT:
        return ConsentState.GRANTED, True
    return ConsentState.UNDECIDED, decision.get("basis") == Basis.PRESUMED


def _facts(line: Line) -> Facts:
    """The facts as recorded. Raises ValueError for a word that is none of ours, or a record too scant."""
    get, bar = line.fields.get, _bar(line)
    kind = ORGANISATION_TYPES.get(_text(get("organisation_type")))
    role, responsible = _text(get("actor_role")) or None, _text(get("responsible_role")) or None
    contact = ContactKind(_text(get("contact_kind"))) if get("contact_kind") else None
    regimes = get("regimes")
    if not isinstance(regimes, list):
        raise ValueError("the regimes in force were not recorded")
    known = kind is not None and (role is None or is_known_role(role))
    return Facts(
        action=Action.QUERY,
        category=Category(_text(get("category"))),
        kind=kind,
        revoked=bar is Bar.UNKNOWN_PARTY and known,
        department=_text(get("department")) or None,
        role=role,
        responsible_role=None if bar is Bar.NO_MANDATE else responsible,
        responsible_barred=responsible in BARRED_ROLES,
        regimes=frozenset(Regime(str(one)) for one in regimes),
        relation=_relation(contact, bar),
        ride=contact is ContactKind.RIDE,
        cover=bool(get("cover")),
        emergency=_is_emergency(Purpose(_text(get("purpose"))), contact, _text(get("department"))),
        capacity=Capacity(_text(get("capacity"))),
        attested_by=_attested_by(line, bar),
        attestation_good=bool(get("attestation")) and bar is not Bar.BAD_ATTESTATION,
    )


def _relation(contact: ContactKind | None, bar: Bar | None) -> Relation:
    if contact is None:
        return Relation.NONE
    return Relation.OVER if bar is Bar.NO_TREATMENT_RELATION else Relation.CURRENT


def _is_emergency(purpose: Purpose, contact: ContactKind | None, department: str) -> bool:
    if purpose is not Purpose.ETREAT:
        return False
    return contact in (ContactKind.TRIAGE, ContactKind.RIDE) or (contact is ContactKind.VISIT and department == SEH)


def _attested_by(line: Line, bar: Bar | None) -> GivenBy | None:
    """Who gave the word is not recorded: only where it contradicts the patient's state does it matter."""
    if not line.fields.get("attestation"):
        return None
    return GivenBy.PATIENT if bar is Bar.CONTRADICTION else GivenBy.REPRESENTATIVE


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
