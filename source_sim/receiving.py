"""What is this message, may it be left here, and what is said to whoever brings it? Reading one delivered message.

It knows the message Bundle of interface.md section 4 as a receiver reads it, and the voucher that comes along. It may
not know what the message tells about the patient, nor whether it came before: the inbox does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from source_sim.admission import Refused, Voucher
from source_sim.faults import FHIR_JSON, Reply
from source_sim.medicine import NAMING

EVENTS: Final = "https://switchpoint.example/fhir/CodeSystem/message-event"
FROM_PARTIES: Final = frozenset({"return-message", "referral"})
"""Events that an organisation sends; all others are the exchange's own."""
_MEDIA: Final = frozenset({"application/fhir+json", "application/json"})


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message: `id` is the MessageHeader's, `sender` and `receivers` are URAs (sender empty when not said),
    `patients` every BSN in it."""

    id: str
    event: str
    sender: str
    receivers: frozenset[str]
    patients: frozenset[str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same message: two senders may hit upon the same id."""
        return self.sender, self.id


def read_message(media: str, body: bytes) -> Delivered:
    """`media` is the Content-Type. Raises Refused for what is no message of the exchange."""
    if media.partition(";")[0].strip().lower() not in _MEDIA:
        raise Refused(415, "not-supported", "A message is FHIR JSON.", "not-supported")
    bundle = _parsed(body)
    header = _header(bundle)
    identity, coding = header.get("id"), header.get("eventCoding")
    if not isinstance(identity, str) or not isinstance(coding, Mapping) or coding.get("system") != EVENTS:
        raise _unfit("A message has a header with an id and an event of the exchange.")
    destinations = header.get("destination")
    receivers = [each.get("receiver") for each in _objects(destinations)]
    return Delivered(
        identity,
        str(coding.get("code", "")),
        "".join(_values(header.get("sender"), "ura")),
        frozenset(_values(receivers, "ura")),
        frozenset(_values(bundle, "bsn")),
        body,
    )


def check(message: Delivered, voucher: Voucher, ura: str, events: frozenset[str]) -> None:
    """Raises Refused unless the system of `ura`, which takes `events`, may take this message with this voucher."""
    if message.event not in events:
        raise _unfit("No such message is taken here.", "not-supported")
    if voucher.requester != (message.sender if message.event in FROM_PARTIES else ""):
        raise Refused(403, "unknown-party", "The voucher is not about the sender of this message.")
    about = frozenset({voucher.patient} - {""})
    # the exchange's own messages need not name the patient; a party's do
    if not message.patients <= about or (message.event in FROM_PARTIES and not message.patients):
        raise Refused(403, "token-patient-mismatch", "The voucher is about another patient.")
    if message.event == "referral" and message.receivers != {ura}:
        raise _unfit("The referral is addressed to another.")


def receipt(before: bool) -> Reply:
    """What is said for a message that is taken now, or was taken `before`."""
    text = "This message was taken before." if before else "The message is taken."
    issue = {"severity": "information", "code": "informational", "details": {"text": text}}
    return Reply(200, json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode())


def says_taken(reply: Reply) -> bool:
    """Whether this answer, once a fault has had its way with it, is that of a system that took the message."""
    return reply.status == 200 and reply.media == FHIR_JSON


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        bundle = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise Refused(400, "invalid", "The message cannot be read.", "invalid") from problem
    if not isinstance(bundle, dict) or (bundle.get("resourceType"), bundle.get("type")) != ("Bundle", "message"):
        raise _unfit("A message is a Bundle of type message.")
    return bundle


def _header(bundle: Mapping[str, Any]) -> Mapping[str, Any]:
    entries = _objects(bundle.get("entry"))
    first = entries[0].get("resource") if entries else None
    if not isinstance(first, Mapping) or first.get("resourceType") != "MessageHeader":
        raise _unfit("A message begins with its header.")
    return first


def _objects(element: object) -> list[Mapping[str, Any]]:
    return [each for each in element if isinstance(each, Mapping)] if isinstance(element, list) else []


def _values(body: object, system: str) -> Iterator[str]:
    """The value of every identifier of that naming system, wherever it stands."""
    queue = [body]
    while queue:
        part = queue.pop()
        if isinstance(part, Mapping):
            if part.get("system") == NAMING + system:
                yield str(part.get("value"))
            queue.extend(part.values())
        elif isinstance(part, list):
            queue.extend(part)


def _unfit(text: str, code: str = "invalid") -> Refused:
    return Refused(422, code, text, "invalid")
