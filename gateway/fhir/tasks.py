"""How does a message on its way look to its sender? A Task: the state, the reason, and no word of content or patient.

Knows the envelope only. Source: interface.md section 4 (`GET /fhir/Task/{id}`), FHIR R4 Task.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.fhir import codes, moments
from gateway.fhir.showing import coding, concept, identified
from gateway.fhir.writing import encode
from gateway.rules.identifiers import URA_SYSTEM
from gateway.rules.message import Envelope, State

Json = dict[str, Any]

_ENDED: dict[State, str] = {
    State.PARKED: "on-hold",
    State.DELIVERED: "completed",
    State.FAILED: "failed",
    State.UNKNOWN: "failed",
}


def status(state: State, attempts: int) -> str:
    """Task.status: requested until the first attempt, then in-progress, until it is parked or has ended."""
    return _ENDED.get(state) or ("requested" if state is State.WAITING and not attempts else "in-progress")


def task(envelope: Envelope, *, state: State, reason: str | None, attempts: int, changed: datetime) -> bytes:
    """The Task of a message. `reason` is a Reason or a bar's code, told only where the message is parked or failed;
    an unknown outcome is its own reason. `attempts` counts those begun; `changed` is in domain time.

    The GP of record is never named to the sender; a referral's recipient, whom the sender named itself, is the owner.
    """
    shown: Json = {
        "resourceType": "Task",
        "id": envelope.id,
        "meta": {"lastUpdated": moments.instant(changed)},
        "status": status(state, attempts),
        **_reason(state, reason),
        "businessStatus": concept(codes.MESSAGE_STATE, state),
        "intent": "order",
        "code": concept(codes.MESSAGE_EVENT, envelope.event),
        "focus": {"type": "MessageHeader", "identifier": {"value": envelope.message_id}},
        "authoredOn": moments.instant(envelope.accepted),
        "lastModified": moments.instant(changed),
    }
    if envelope.sender is not None:
        shown["requester"] = identified(URA_SYSTEM, envelope.sender.ura.digits)
    if envelope.recipient is not None:
        shown["owner"] = identified(URA_SYSTEM, envelope.recipient.digits)
    return encode(shown)


def _reason(state: State, reason: str | None) -> Json:
    code = State.UNKNOWN if state is State.UNKNOWN else reason
    if state not in (State.PARKED, State.FAILED, State.UNKNOWN) or code is None:
        return {}
    text = codes.OUTCOME_SENTENCES.get(code)
    told = {"coding": [coding(codes.OUTCOME, code)], **({"text": text} if text else {})}
    return {"statusReason": told}
