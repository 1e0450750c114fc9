"""What does one journal line tell a patient? An item: what was asked and what each custodian gave, in one.

What was asked, and what came of it, stand in several lines of one call; she sees them as one item. Only what
`rules/journal.py` lists for the patient gets in. Source: domain.md section 7.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from gateway.rules.choice import Party
from gateway.rules.exchange import ORGANISATION_TYPES
from gateway.rules.identifiers import InvalidIdentifier, Ura
from gateway.rules.journal import Audience, Event, Json, view
from gateway.rules.network import Network
from gateway.stores import patient_lines
from gateway.stores.journal import Kept
from gateway.stores.ledger import Transaction


class Subject(StrEnum):
    """What an item is about, as a patient can filter by."""

    ASKED = "asked"
    MESSAGE = "message"
    CHOICE = "choice"
    ENTRY = "entry"
    LOG = "log"
    TECHNICAL = "technical"


SUBJECTS: Mapping[Event, Subject] = MappingProxyType(
    {
        Event.QUERY_DECIDED: Subject.ASKED,
        Event.QUERY_REFUSED: Subject.ASKED,
        Event.QUERY_FAILED: Subject.ASKED,
        Event.LOCALISED: Subject.ASKED,
        Event.EXPLAINED: Subject.ASKED,
        Event.CALL_REFUSED: Subject.ASKED,
        Event.MESSAGE_ACCEPTED: Subject.MESSAGE,
        Event.MESSAGE_REFUSED: Subject.MESSAGE,
        Event.MESSAGE_DELIVERED: Subject.MESSAGE,
        Event.MESSAGE_PARKED: Subject.MESSAGE,
        Event.MESSAGE_FAILED: Subject.MESSAGE,
        Event.CONSENT_STATED: Subject.CHOICE,
        Event.CONSENT_REFUSED: Subject.CHOICE,
        Event.OWN_CONSENTS_READ: Subject.CHOICE,
        Event.ENTRY_REGISTERED: Subject.ENTRY,
        Event.ENTRY_REFUSED: Subject.ENTRY,
        Event.ENTRY_ENDED: Subject.ENTRY,
        Event.OWN_ENTRIES_READ: Subject.ENTRY,
        Event.GP_OF_RECORD_CHANGED: Subject.ENTRY,
        Event.JOURNAL_READ: Subject.LOG,
        Event.OPERATOR_LOOKED: Subject.LOG,
        Event.DISCLOSURE_REVIEWED: Subject.LOG,
        Event.PATIENT_LOGGED_IN: Subject.LOG,
        Event.PATIENT_LOGIN_REFUSED: Subject.LOG,
        Event.PATIENT_LOGGED_OUT: Subject.LOG,
        Event.TOKEN_ISSUED: Subject.TECHNICAL,
        Event.TOKEN_REFUSED: Subject.TECHNICAL,
        Event.MESSAGE_POSTPONED: Subject.TECHNICAL,
        Event.MESSAGE_RESUMED: Subject.TECHNICAL,
    }
)
"""The events that begin an item. DISCLOSED and QUERY_ANSWERED are told with the query they belong to."""

_AFTERWARDS = frozenset({Event.QUERY_REFUSED, Event.QUERY_FAILED})
"""These begin an item only when no decision stands before them in the same call."""
_OWN = frozenset({Event.JOURNAL_READ, Event.PATIENT_LOGGED_IN, Event.PATIENT_LOGGED_OUT})


class Came(StrEnum):
    """What came of it."""

    SAW = "saw"
    NOTHING = "nothing"
    REFUSED = "refused"
    FAILED = "failed"
    DONE = "done"


class Gave(StrEnum):
    """What one custodian's data did: it was seen, closed to the requester, held back because the patient's choice or
    the rules changed meanwhile, or it did not arrive."""

    SEEN = "seen"
    CLOSED = "closed"
    DROPPED = "dropped"
    NOT_DELIVERED = "not-delivered"


@dataclass(frozen=True, slots=True)
class Part:
    """One custodian's share in what was asked. `reason` is a bar, or the failing the journal tells."""

    custodian: str
    gave: Gave
    row: str | None = None
    basis: str | None = None
    view: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Who:
    """Who acted, and who was responsible; roles are codes, `kind` a word of rules/exchange.py."""

    organisation: str
    kind: str | None
    department: str | None
    actor: str | None
    role: str | None
    responsible: str | None
    responsible_role: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that happened. `told` are the fields a patient may see; `own`: who looks now did it herself, `times` in
    a row. `names` maps the URAs in it to names; `later` are the numbers of the other lines it was put together from."""

    seq: int
    at: datetime
    event: Event
    subject: Subject
    came: Came
    told: Mapping[str, Json]
    chain: str | None = None
    who: Who | None = None
    custodian: str | None = None
    parts: tuple[Part, ...] = ()
    reason: str | None = None
    flags: tuple[str, ...] = ()
    own: bool = False
    times: int = 1
    names: Mapping[str, str] = field(default_factory=dict)
    later: tuple[int, ...] = ()

    @property
    def did(self) -> str:
        """Which sentence tells it."""
        return f"query-{self.came}" if self.event in _QUERIES else self.event.value


_QUERIES = frozenset({Event.QUERY_DECIDED, Event.QUERY_REFUSED, Event.QUERY_FAILED})


def is_afterwards(reader: Transaction, kept: Kept) -> bool:
    """Whether this line is told with the decision that stands before it in the same call."""
    return kept.line.event in _AFTERWARDS and patient_lines.began_with(reader, kept, Event.QUERY_DECIDED)


# --- one item --------------------------------------------------------------------------------------------------------


def item_of(reader: Transaction, network: Network, party: Party, kept: Kept) -> Item | None:
    """What this line tells to whom looks as `party`; None when another line tells it."""
    line = kept.line
    if is_afterwards(reader, kept):
        return None
    told = view(line, Audience.PATIENT)
    item = Item(
        kept.seq,
        line.at,
        line.event,
        SUBJECTS[line.event],
        _CAME.get(line.event, Came.DONE),
        told,
        chain=line.aorta.initial if line.aorta else None,
        who=_who(told),
        custodian=name_of(network, line.custodian.digits) if line.custodian else None,
        reason=_text(told.get("reason")),
        own=line.event in _OWN and party in (told.get("reader"), told.get("by")),
        names=_names(network, told),
    )
    if line.event is Event.QUERY_DECIDED:
        return _with_outcome(network, item, patient_lines.of_call_after(reader, kept))
    if line.event is Event.LOCALISED:
        return replace(item, parts=tuple(_localised(network, one) for one in _decisions(told)))
    return item


_CAME = MappingProxyType(
    {
        Event.QUERY_DECIDED: Came.NOTHING,
        Event.QUERY_REFUSED: Came.REFUSED,
        Event.QUERY_FAILED: Came.FAILED,
        Event.CALL_REFUSED: Came.REFUSED,
        Event.TOKEN_REFUSED: Came.REFUSED,
        Event.ENTRY_REFUSED: Came.REFUSED,
        Event.CONSENT_REFUSED: Came.REFUSED,
        Event.MESSAGE_REFUSED: Came.REFUSED,
        Event.MESSAGE_FAILED: Came.FAILED,
        Event.PATIENT_LOGIN_REFUSED: Came.REFUSED,
    }
)


def _with_outcome(network: Network, item: Item, later: Iterable[Kept]) -> Item:
    """The item of a decision together with what followed in the same call, up to the next decision in it."""
    disclosed: dict[str, list[Mapping[str, Json]]] = defaultdict(list)
    dropped: list[Json] = []
    for kept in later:
        told = view(kept.line, Audience.PATIENT)
        if kept.line.event is Event.QUERY_DECIDED:
            break
        item = replace(item, later=(*item.later, kept.seq))
        if kept.line.event is Event.DISCLOSED and kept.line.custodian is not None:
            disclosed[kept.line.custodian.digits].append(told)
        elif kept.line.event in (Event.QUERY_ANSWERED, Event.QUERY_FAILED):
            dropped, item = _list(told.get("dropped")), replace(item, flags=_texts(told.get("flags")))
        if kept.line.event in _AFTERWARDS:
            item = replace(item, came=_CAME[kept.line.event], reason=_text(told.get("reason")))
    saw = bool(disclosed)
    parts = [_part(network, one, disclosed, dropped) for one in _decisions(item.told)]
    left = [_seen(network, ura, told) for ura, several in disclosed.items() for told in several]
    return replace(item, parts=(*parts, *left), came=Came.SAW if saw else item.came)


def _part(
    network: Network, decision: Mapping[str, Json], disclosed: dict[str, list[Mapping[str, Json]]], dropped: list[Json]
) -> Part:
    """What became of one decision; takes its disclosure away from `disclosed`."""
    ura = str(decision.get("custodian"))
    name, row, basis = name_of(network, ura), _text(decision.get("row")), _text(decision.get("basis"))
    if decision.get("outcome") != "permitted":
        return Part(name, Gave.CLOSED, reason=_text(decision.get("reason")))
    if disclosed.get(ura):
        return _seen(network, ura, disclosed[ura].pop(0))
    return Part(name, Gave.DROPPED if ura in dropped else Gave.NOT_DELIVERED, row, basis)


def _seen(network: Network, ura: str, told: Mapping[str, Json]) -> Part:
    row, basis, seen = (_text(told.get(name)) for name in ("row", "basis", "view"))
    return Part(name_of(network, ura), Gave.SEEN, row, basis, seen)


def _localised(network: Network, decision: Mapping[str, Json]) -> Part:
    gave = Gave.SEEN if decision.get("outcome") == "permitted" else Gave.CLOSED
    row, basis, reason = (_text(decision.get(name)) for name in ("row", "basis", "reason"))
    return Part(name_of(network, str(decision.get("custodian"))), gave, row, basis, reason=reason)


# --- names and values ------------------------------------------------------------------------------------------------

_WITH_NAMES = ("scope_custodian", "former", "current", "recipient", "organisation", "reader")


def _who(told: Mapping[str, Json]) -> Who | None:
    name = _text(told.get("organisation_name")) or _text(told.get("organisation"))
    if name is None:
        return None
    kind = ORGANISATION_TYPES.get(str(told.get("organisation_type", "")))
    fields = ("department", "actor_name", "actor_role", "responsible_name", "responsible_role")
    return Who(name, kind, *(_text(told.get(one)) for one in fields))


def _names(network: Network, told: Mapping[str, Json]) -> dict[str, str]:
    """The names of the organisations that are named by number only."""
    numbers = [*(_text(told.get(one)) for one in _WITH_NAMES), *_texts(told.get("scope_requesters"))]
    return {number: name_of(network, number) for number in numbers if number and number.isdigit()}


def name_of(network: Network, ura: str) -> str:
    """The organisation's name, or its number when the register does not know it (any more)."""
    try:
        known = network.organisations.get(Ura(ura))
    except InvalidIdentifier:
        return ura
    return known.name if known else ura


def _decisions(told: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    return [one for one in _list(told.get("decisions")) if isinstance(one, dict)]


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(one for one in _list(value) if isinstance(one, str))


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None
