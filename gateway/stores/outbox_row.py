"""How does a message's envelope stand in its row? The words of a message to columns and back, without loss.

Who sent and in what situation is one column of JSON: nothing searches it, and it must come back exactly, so that the
rule asked at the hundredth attempt sees what it saw at the first. Knows no BSN and no content.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from gateway.rules import redelivery
from gateway.rules.exchange import (
    AortaId,
    Capacity,
    Contact,
    ContactKind,
    GivenBy,
    PatientKey,
    Professional,
    Purpose,
    Responsible,
    Situation,
    VerbalConsent,
)
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.message import Envelope, MessageEvent, Sender, State
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Row

COLUMNS = (
    "o.id, o.event, o.message_id, o.origin, o.patient, o.recipient, o.recipient_system, o.accepted, o.initial,"
    " o.request, o.version, o.state, o.reason, o.attempts, o.unmarked, o.doubtful, o.begun, o.due, o.expires,"
    " o.changed, o.lane, o.delivered_to"
)
"""What `held` reads, of an outbox row called `o`, in its order."""

INSERT = (
    "INSERT INTO outbox (id, event, message_id, sender, origin, patient, recipient, recipient_system, accepted,"
    " initial, request, version, digest, state, reason, due, planned, expires, changed, lane, attempts, unmarked,"
    " doubtful, seq)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0,"
    " (SELECT coalesce(max(seq), 0) + 1 FROM outbox))"
)
"""A new row, with what `values` gives."""

FREED = "claimant = NULL, claimed = NULL, lease = NULL"
ANEW = "reason = NULL, unmarked = 0, begun = NULL"


@dataclass(frozen=True, slots=True)
class Held:
    """A message as the outbox holds it.

    `reason` is a Reason or a bar's code, while parked or ended otherwise than delivered. `unmarked` counts the claims
    in a row of which nobody told the outcome, `doubtful`: some attempt may have arrived. `begun`: its first attempt
    since it was put on its way. `due` is its next turn, `expires` when it is given up. `lane` is the recipient it
    queues for, None while parked. `delivered_to` is the organisation that took it.
    """

    envelope: Envelope
    state: State
    reason: str | None
    attempts: int
    unmarked: int
    doubtful: bool
    begun: datetime | None
    due: datetime
    expires: datetime
    changed: datetime
    lane: Ura | None
    delivered_to: Ura | None


def marks(values: Collection[object]) -> str:
    """A placeholder for each."""
    return ", ".join("?" * len(values))


def sender_key(sender: Ura | None) -> str:
    """How a sender stands in the deduplication key; the exchange itself is nobody's URA."""
    return "" if sender is None else sender.digits


def values(envelope: Envelope, digest: bytes, *, lane: Ura | None, reason: str | None) -> tuple[object, ...]:
    """The columns of a new row: waiting in `lane`, or parked for `reason` when that is None."""
    sender, now = envelope.sender, instant(envelope.accepted)
    stays = redelivery.PARKED if lane is None else redelivery.ON_THE_WAY
    return (
        envelope.id,
        envelope.event.value,
        envelope.message_id,
        sender_key(sender.ura if sender else None),
        None if sender is None else origin(sender),
        envelope.patient,
        None if envelope.recipient is None else envelope.recipient.digits,
        None if envelope.recipient_system is None else envelope.recipient_system.digits,
        now,
        envelope.aorta.initial,
        envelope.aorta.request,
        envelope.aorta.version,
        digest,
        (State.PARKED if lane is None else State.WAITING).value,
        reason,
        now,
        now,
        instant(envelope.accepted + stays),
        now,
        None if lane is None else lane.digits,
    )


def just_accepted(envelope: Envelope, *, lane: Ura | None, reason: str | None) -> Held:
    """The message as a new row with these `values` would be read: it need not be."""
    stays = redelivery.PARKED if lane is None else redelivery.ON_THE_WAY
    return Held(
        envelope=envelope,
        state=State.PARKED if lane is None else State.WAITING,
        reason=reason,
        attempts=0,
        unmarked=0,
        doubtful=False,
        begun=None,
        due=envelope.accepted,
        expires=envelope.accepted + stays,
        changed=envelope.accepted,
        lane=lane,
        delivered_to=None,
    )


def held(row: Row) -> Held:
    """The message that stands in these COLUMNS."""
    state, reason, attempts, unmarked, doubtful, begun, due, expires, changed, lane, to = row[11:22]
    return Held(
        envelope=_envelope(row),
        state=State(state),
        reason=reason,
        attempts=int(attempts),
        unmarked=int(unmarked),
        doubtful=bool(doubtful),
        begun=None if begun is None else moment(begun),
        due=moment(due),
        expires=moment(expires),
        changed=moment(changed),
        lane=_ura(lane),
        delivered_to=_ura(to),
    )


def _envelope(row: Row) -> Envelope:
    own, event, message_id, sender, patient, recipient, system, accepted, initial, request, version = row[:11]
    return Envelope(
        id=own,
        event=MessageEvent(event),
        message_id=message_id,
        sender=None if sender is None else sender_of(sender),
        patient=PatientKey(bytes(patient)),
        recipient=_ura(recipient),
        recipient_system=None if system is None else ApplicationId(system),
        accepted=moment(accepted),
        aorta=AortaId(initial, request, version),
    )


def _ura(digits: str | None) -> Ura | None:
    return None if digits is None else Ura(digits)


# --- who sent, and in what situation ---------------------------------------------------------------------------------


def origin(sender: Sender) -> str:
    """The sender as JSON text; times keep their offset and their microseconds."""
    return msgspec.json.encode(sender).decode()


def sender_of(text: str) -> Sender:
    """The sender `origin` wrote."""
    told: dict[str, Any] = json.loads(text)
    return Sender(
        ura=Ura(told["ura"]["digits"]),
        application=ApplicationId(told["application"]["digits"]),
        department=told["department"],
        actor=None if told["actor"] is None else Professional(**told["actor"]),
        responsible=None if told["responsible"] is None else _responsible(told["responsible"]),
        certificate=told["certificate"],
        situation=_situation(told["situation"]),
    )


def _responsible(told: Mapping[str, Any]) -> Responsible:
    return Responsible(told["uzi"], told["name"], told["role"], _time(told["mandate_until"]))


def _situation(told: Mapping[str, Any]) -> Situation:
    contact, verbal = told["contact"], told["verbal_consent"]
    return Situation(
        purpose=Purpose(told["purpose"]),
        contact=None if contact is None else _contact(contact),
        cover=told["cover"],
        capacity=Capacity(told["capacity"]),
        verbal_consent=None if verbal is None else _verbal(verbal),
    )


def _contact(told: Mapping[str, Any]) -> Contact:
    return Contact(told["id"], ContactKind(told["kind"]), datetime.fromisoformat(told["start"]), _time(told["end"]))


def _verbal(told: Mapping[str, Any]) -> VerbalConsent:
    at = datetime.fromisoformat(told["at"])
    return VerbalConsent(told["id"], GivenBy(told["given_by"]), at, told["recorded_by"])


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
