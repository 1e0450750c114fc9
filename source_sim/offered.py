"""What does each kind of system in the country offer? Its searches, the messages it takes, and the statement of both.

It knows the names of interface.md sections 4 and 5. It may not know any record, nor who asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any, Final

from source_sim.records import MEDICATION_TYPES


class Kind(StrEnum):
    """Which systems of the country have an endpoint."""

    GP_PRACTICE = "gp-practice"
    PHARMACY = "pharmacy"
    HOSPITAL = "hospital"
    GP_POST = "gp-post"
    AMBULANCE = "ambulance"


PROCESS_MESSAGE: Final = "$process-message"
"""The operation by which a system takes a message; in logs and faults it stands where a resource type would."""

SERVED: Final[Mapping[Kind, Mapping[str, tuple[str, ...]]]] = {
    Kind.GP_PRACTICE: {"Bundle": ("composition.type",), "Consent": ("scope",)},
    Kind.PHARMACY: {
        **dict.fromkeys(MEDICATION_TYPES, ("category", "_include")),
        "AllergyIntolerance": (),
        "Flag": (),
    },
    Kind.HOSPITAL: {},
    Kind.GP_POST: {},
    Kind.AMBULANCE: {},
}
"""Resource types a kind of system answers for, with their parameters beside the patient's (interface.md 4 and 5)."""

_OF_RECORD: Final = frozenset({"return-message", "disclosure-notice", "enrolment-changed"})
TAKEN: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.GP_PRACTICE: _OF_RECORD | {"undeliverable"},
    Kind.PHARMACY: frozenset(),
    Kind.HOSPITAL: frozenset({"referral", "undeliverable"}),
    Kind.GP_POST: frozenset({"referral", "undeliverable"}),
    Kind.AMBULANCE: frozenset({"undeliverable"}),
}
"""Message events a kind of system takes: none, and it has no such operation (domain.md section 6)."""


def answers_for(kind: Kind) -> frozenset[str]:
    """What this kind of system can have a fault of its own for: its resource types, and the taking of messages."""
    return frozenset(SERVED[kind]) | ({PROCESS_MESSAGE} if TAKEN[kind] else frozenset())


def capabilities(kind: Kind, name: str, endpoint: str, today: date) -> bytes:
    """The CapabilityStatement: what the tables say."""
    rest: dict[str, Any] = {"mode": "server"}
    rest |= {"resource": [_capability(*each) for each in SERVED[kind].items()]} if SERVED[kind] else {}
    definition = "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message"
    rest |= {"operation": [{"name": "process-message", "definition": definition}]} if TAKEN[kind] else {}
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": today.isoformat(),
        "kind": "instance",
        "implementation": {"description": name, "url": endpoint},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [rest],
    }
    return json.dumps(statement).encode()


def _capability(kind: str, parameters: tuple[str, ...]) -> Mapping[str, Any]:
    patient = {"name": "composition" if kind == "Bundle" else "patient", "type": "reference"}
    others = [{"name": name, "type": "token"} for name in parameters if name in ("category", "scope")]
    included = {"searchInclude": [f"{kind}:medication"]} if "_include" in parameters else {}
    return {"type": kind, "interaction": [{"code": "search-type"}], **included, "searchParam": [patient, *others]}
