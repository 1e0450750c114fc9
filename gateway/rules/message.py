"""What is a message on its way? The words of the return message, the referral and the notice, and how each may end.

Frozen values only, no clock, no I/O. Times are aware datetimes in domain time. Sources: domain.md section 6,
interface.md sections 4, 5 and 7 "Delivery".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.rules.exchange import AortaId, PatientKey, Professional, Responsible, Situation
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.table import Action


class MessageEvent(StrEnum):
    """What a message is about (`MessageHeader.eventCoding`). The last three are the exchange's own."""

    RETURN_MESSAGE = "return-message"
    REFERRAL = "referral"
    DISCLOSURE_NOTICE = "disclosure-notice"
    ENROLMENT_CHANGED = "enrolment-changed"
    UNDELIVERABLE = "undeliverable"


ACTION_OF: dict[MessageEvent, Action] = {
    MessageEvent.RETURN_MESSAGE: Action.SEND_RETURN,
    MessageEvent.REFERRAL: Action.SEND_REFERRAL,
}
"""Which act of the rules a party's message is; what is not listed no party may send."""


class State(StrEnum):
    """Where a message stands. Waiting and claimed are on the way, parked waits for people, the rest are ends."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    PARKED = "parked"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "outcome-unknown"


ENDS = frozenset({State.DELIVERED, State.FAILED, State.UNKNOWN})


class Reason(StrEnum):
    """Why a message is parked, failed or of unknown outcome; beside these a bar's code, when the rule says no."""

    NO_GP_OF_RECORD = "no-gp-of-record"
    NO_ENDPOINT = "no-endpoint"
    PARKED_BY_OPERATOR = "parked-by-operator"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNREADABLE = "unreadable"
    NEVER_MARKED = "never-marked"
    REPLY_LOST = "reply-lost"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a party hands it in: `id` is MessageHeader.id, the deduplication key beside the sender; `receiver`
    is named in a referral only."""

    id: str
    event: MessageEvent
    sender: Ura
    patient: Bsn
    receiver: Ura | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent and in what situation, kept so that the rule can be asked again at every attempt. `certificate` is the
    serial number (upper-case hex) under which it was sent."""

    ura: Ura
    application: ApplicationId
    department: str | None
    actor: Professional | None
    responsible: Responsible | None
    certificate: str
    situation: Situation


@dataclass(frozen=True, slots=True)
class Envelope:
    """All of a message but its content. `id` is the Task's. `sender` None: the exchange itself. `recipient` None: the
    GP of record, resolved at every attempt; `recipient_system` None: any system of the recipient with an endpoint."""

    id: str
    event: MessageEvent
    message_id: str
    sender: Sender | None
    patient: PatientKey = field(repr=False)
    recipient: Ura | None
    recipient_system: ApplicationId | None
    accepted: datetime
    aorta: AortaId


class Taking(StrEnum):
    """How a recipient's system took a message at one attempt."""

    TAKEN = "taken"
    REJECTED = "rejected"
    """It read the message and will never take it (400, 409, 413, 415, 422)."""
    TURNED_AWAY = "turned-away"
    """It answered, and may yet take it: busy, broken, or not letting us in (any other status)."""
    UNREACHABLE = "unreachable"
    """No connection: it has certainly not got the message."""
    REPLY_LOST = "reply-lost"
    """The message was sent and no whole, sensible reply came back: it may have got it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one attempt. `detail` is for operators: never content, never a BSN. `retry_after` in seconds."""

    taking: Taking
    detail: str = ""
    retry_after: float | None = None
