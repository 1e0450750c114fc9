"""What may be written in the journal, and who may read which field of it? One catalogue; nothing unlisted leaves.

The journal is the one log of the exchange (NEN 7513, domain.md section 7): permitted, refused and failed attempts
alike. It never holds content, and names a patient only by key. Console, patient page and AuditEvent are views of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Flag, StrEnum, auto
from types import MappingProxyType

from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class Audience(Flag):
    """Who reads a field. The operator sees routing, the custodian what concerns its own data, the patient everything
    about herself."""

    OPERATOR = auto()
    CUSTODIAN = auto()
    PATIENT = auto()
    ALL = OPERATOR | CUSTODIAN | PATIENT
    ROUTING = OPERATOR | CUSTODIAN


class Event(StrEnum):
    """What happened. Names are a contract: they stand in stored journals and are never reused."""

    TOKEN_ISSUED = "token-issued"
    TOKEN_REFUSED = "token-refused"
    CALL_REFUSED = "call-refused"
    QUERY_DECIDED = "query-decided"
    QUERY_REFUSED = "query-refused"
    DISCLOSED = "disclosed"
    QUERY_ANSWERED = "query-answered"
    QUERY_FAILED = "query-failed"
    LOCALISED = "localised"
    EXPLAINED = "explained"
    ENTRY_REGISTERED = "entry-registered"
    ENTRY_REFUSED = "entry-refused"
    ENTRY_ENDED = "entry-ended"
    CONSENT_STATED = "consent-stated"
    CONSENT_REFUSED = "consent-refused"
    OWN_ENTRIES_READ = "own-entries-read"
    OWN_CONSENTS_READ = "own-consents-read"
    JOURNAL_READ = "journal-read"
    PARTICIPANT_JOINED = "participant-joined"
    CERTIFICATE_REVOKED = "certificate-revoked"
    REGIME_SWITCHED = "regime-switched"
    CLOCK_SET = "clock-set"
    MESSAGE_ACCEPTED = "message-accepted"
    MESSAGE_REFUSED = "message-refused"
    MESSAGE_POSTPONED = "message-postponed"
    MESSAGE_DELIVERED = "message-delivered"
    MESSAGE_PARKED = "message-parked"
    MESSAGE_FAILED = "message-failed"
    MESSAGE_RESUMED = "message-resumed"
    DELIVERY_SWITCHED = "delivery-switched"
    GP_OF_RECORD_CHANGED = "gp-of-record-changed"
    ALERT_RAISED = "alert-raised"
    JOURNAL_KEPT = "journal-kept"
    OPERATOR_LOGGED_IN = "operator-logged-in"
    OPERATOR_LOGIN_REFUSED = "operator-login-refused"
    OPERATOR_LOGGED_OUT = "operator-logged-out"
    OPERATOR_ACT_REFUSED = "operator-act-refused"
    OPERATOR_ACCOUNT_CHANGED = "operator-account-changed"
    OPERATOR_LOOKED = "operator-looked"
    REGIME_PROPOSED = "regime-proposed"
    REGIME_PROPOSAL_CLOSED = "regime-proposal-closed"
    DISCLOSURE_REVIEWED = "disclosure-reviewed"
    PATIENT_LOGGED_IN = "patient-logged-in"
    PATIENT_LOGIN_REFUSED = "patient-login-refused"
    PATIENT_LOGGED_OUT = "patient-logged-out"


_A = Audience

WHO: dict[str, Audience] = {
    "organisation": _A.ALL,
    "organisation_name": _A.ALL,
    "organisation_type": _A.ALL,
    "department": _A.ALL,
    "application": _A.ROUTING,
    "actor": _A.ALL,
    "actor_name": _A.ALL,
    "actor_role": _A.ALL,
    "responsible": _A.ALL,
    "responsible_name": _A.ALL,
    "responsible_role": _A.ALL,
}
"""The fields that name who acted and who was responsible; on every event caused by a party."""

_SITUATION: dict[str, Audience] = {
    "purpose": _A.ALL,
    "contact": _A.ROUTING,
    "contact_kind": _A.ALL,
    "cover": _A.ALL,
    "capacity": _A.ALL,
    "attestation": _A.ROUTING,
    "local_hour": _A.OPERATOR | _A.PATIENT,
}
_MESSAGE: dict[str, Audience] = {
    **WHO,
    # the Task's id, the kind of message, and who should get it
    "message": _A.ROUTING,
    "message_event": _A.ALL,
    "recipient": _A.ALL,
    "recipient_name": _A.ALL,
    "row": _A.ALL,
}
_QUERY: dict[str, Audience] = {**WHO, **_SITUATION, "category": _A.ALL, "interaction": _A.ROUTING}

FIELDS: dict[Event, dict[str, Audience]] = {
    Event.TOKEN_ISSUED: {**WHO, "purpose": _A.ALL, "certificate": _A.OPERATOR},
    Event.TOKEN_REFUSED: {**WHO, "error": _A.OPERATOR, "why": _A.OPERATOR, "certificate": _A.OPERATOR},
    Event.CALL_REFUSED: {
        **WHO,
        "interaction": _A.OPERATOR | _A.PATIENT,
        "status": _A.OPERATOR,
        "reason": _A.OPERATOR | _A.PATIENT,
    },
    Event.QUERY_DECIDED: {
        **_QUERY,
        # one item per pointer considered: custodian, system, outcome, row, view, basis, reason
        "decisions": _A.OPERATOR | _A.PATIENT,
        "deadline_ms": _A.OPERATOR,
        "regimes": _A.ALL,
    },
    Event.QUERY_REFUSED: {**_QUERY, "reason": _A.ALL, "regimes": _A.ALL},
    Event.DISCLOSED: {
        **_QUERY,
        "system": _A.ROUTING,
        "row": _A.ALL,
        "view": _A.ALL,
        "basis": _A.ALL,
        "resources": _A.OPERATOR | _A.CUSTODIAN,
        "source_request": _A.ROUTING,
    },
    Event.QUERY_ANSWERED: {
        **WHO,
        "category": _A.ALL,
        "interaction": _A.ROUTING,
        # one item per source asked: custodian, system, outcome, ms, resources, detail, released
        "legs": _A.OPERATOR,
        "completeness": _A.OPERATOR,
        "flags": _A.OPERATOR | _A.PATIENT,
        "dropped": _A.OPERATOR | _A.PATIENT,
        "ms": _A.OPERATOR,
    },
    Event.QUERY_FAILED: {
        **WHO,
        "category": _A.ALL,
        "interaction": _A.ROUTING,
        "legs": _A.OPERATOR,
        "reason": _A.OPERATOR,
        "dropped": _A.OPERATOR | _A.PATIENT,
        "ms": _A.OPERATOR,
    },
    Event.LOCALISED: {**_QUERY, "decisions": _A.OPERATOR | _A.PATIENT, "shown": _A.OPERATOR, "regimes": _A.ALL},
    Event.EXPLAINED: {**_QUERY, "reason": _A.ALL, "outcome": _A.ALL},
    Event.ENTRY_REGISTERED: {**WHO, "category": _A.ALL, "system": _A.ROUTING, "latent": _A.ALL, "created": _A.OPERATOR},
    Event.ENTRY_REFUSED: {**WHO, "category": _A.ALL, "system": _A.ROUTING, "reason": _A.ALL},
    Event.ENTRY_ENDED: {**WHO, "category": _A.ALL, "system": _A.ROUTING, "why": _A.ALL},
    Event.CONSENT_STATED: {
        **WHO,
        "statement": _A.ALL,
        "say": _A.ALL,
        "scope_custodian": _A.ALL,
        "scope_categories": _A.ALL,
        "scope_requesters": _A.ALL,
        "emergency_only": _A.ALL,
        "by": _A.ALL,
        "method": _A.ALL,
        "recorder": _A.ALL,
        "effective": _A.ALL,
    },
    Event.CONSENT_REFUSED: {**WHO, "reason": _A.ALL},
    Event.OWN_ENTRIES_READ: {**WHO, "shown": _A.OPERATOR},
    Event.OWN_CONSENTS_READ: {**WHO, "shown": _A.OPERATOR},
    Event.JOURNAL_READ: {**WHO, "reader": _A.ALL, "shown": _A.OPERATOR},
    Event.PARTICIPANT_JOINED: {
        "organisation": _A.ALL,
        "organisation_name": _A.ALL,
        "organisation_type": _A.ALL,
        "application": _A.ROUTING,
        "endpoint": _A.OPERATOR,
        "by": _A.OPERATOR,
    },
    Event.CERTIFICATE_REVOKED: {"serial": _A.OPERATOR, "by": _A.OPERATOR, "reason": _A.OPERATOR},
    Event.REGIME_SWITCHED: {"regime": _A.ALL, "on": _A.ALL, "until": _A.ALL, "by": _A.OPERATOR, "reason": _A.ALL},
    Event.CLOCK_SET: {"now": _A.OPERATOR, "by": _A.OPERATOR},
    Event.MESSAGE_ACCEPTED: {**_MESSAGE, **_SITUATION, "regimes": _A.ALL, "bytes": _A.OPERATOR},
    Event.MESSAGE_REFUSED: {**_MESSAGE, **_SITUATION, "regimes": _A.ALL, "reason": _A.ALL},
    Event.MESSAGE_POSTPONED: {
        **_MESSAGE,
        "attempt": _A.OPERATOR,
        "outcome": _A.OPERATOR,
        "detail": _A.OPERATOR,
        "due": _A.OPERATOR,
        "ms": _A.OPERATOR,
    },
    Event.MESSAGE_DELIVERED: {**_MESSAGE, "attempt": _A.OPERATOR, "system": _A.ROUTING, "ms": _A.OPERATOR},
    Event.MESSAGE_PARKED: {**_MESSAGE, "reason": _A.ALL, "by": _A.OPERATOR},
    # an unknown outcome is told here, too: `outcome` is the state it ended in
    Event.MESSAGE_FAILED: {
        **_MESSAGE,
        "outcome": _A.ALL,
        "reason": _A.ALL,
        "attempt": _A.OPERATOR,
        "detail": _A.OPERATOR,
    },
    Event.MESSAGE_RESUMED: {**_MESSAGE, "by": _A.OPERATOR, "why": _A.OPERATOR},
    Event.DELIVERY_SWITCHED: {
        "recipient": _A.OPERATOR,
        "on": _A.OPERATOR,
        "by": _A.OPERATOR,
        "reason": _A.OPERATOR,
        "spread_s": _A.OPERATOR,
    },
    # `former` is empty for a first enrolment; `why`: enrolled, moved or ended
    Event.GP_OF_RECORD_CHANGED: {**WHO, "former": _A.ALL, "current": _A.ALL, "since": _A.ALL, "why": _A.ALL},
    # `act`: exported, archived or key-rotated; `what`: through which entry, or which key
    Event.JOURNAL_KEPT: {"act": _A.OPERATOR, "by": _A.OPERATOR, "what": _A.OPERATOR},
    Event.ALERT_RAISED: {
        "alert": _A.OPERATOR,
        "organisation": _A.OPERATOR,
        "count": _A.OPERATOR,
        "advice": _A.OPERATOR,
    },
    Event.OPERATOR_LOGGED_IN: {"by": _A.OPERATOR, "roles": _A.OPERATOR, "remote": _A.OPERATOR},
    # `by` is empty when there is no such account: what was typed there may be anything
    Event.OPERATOR_LOGIN_REFUSED: {"by": _A.OPERATOR, "why": _A.OPERATOR, "remote": _A.OPERATOR},
    Event.OPERATOR_LOGGED_OUT: {"by": _A.OPERATOR, "remote": _A.OPERATOR},
    Event.OPERATOR_ACT_REFUSED: {
        "by": _A.OPERATOR,
        "act": _A.OPERATOR,
        "why": _A.OPERATOR,
        "remote": _A.OPERATOR,
    },
    Event.OPERATOR_ACCOUNT_CHANGED: {
        "account": _A.OPERATOR,
        "roles": _A.OPERATOR,
        "why": _A.OPERATOR,
        "by": _A.OPERATOR,
    },
    # an operator looked at what the journal has on one patient: she sees that, too
    Event.OPERATOR_LOOKED: {
        "by": _A.OPERATOR | _A.PATIENT,
        "looked_at": _A.OPERATOR | _A.PATIENT,
        "shown": _A.OPERATOR,
    },
    Event.REGIME_PROPOSED: {"regime": _A.OPERATOR, "until": _A.OPERATOR, "by": _A.OPERATOR, "reason": _A.OPERATOR},
    # `why`: withdrawn, refused by the second operator, or tried to be confirmed by the first
    Event.REGIME_PROPOSAL_CLOSED: {"regime": _A.OPERATOR, "by": _A.OPERATOR, "why": _A.OPERATOR},
    Event.DISCLOSURE_REVIEWED: {
        "by": _A.OPERATOR | _A.PATIENT,
        "verdict": _A.OPERATOR | _A.PATIENT,
        "disclosure": _A.OPERATOR,
    },
    # here `by` is a party: the patient, or in which quality somebody acted for her
    Event.PATIENT_LOGGED_IN: {"by": _A.OPERATOR | _A.PATIENT, "method": _A.OPERATOR | _A.PATIENT},
    Event.PATIENT_LOGIN_REFUSED: {"by": _A.OPERATOR | _A.PATIENT, "why": _A.OPERATOR | _A.PATIENT},
    Event.PATIENT_LOGGED_OUT: {"by": _A.OPERATOR | _A.PATIENT},
}


class UnlistedField(ValueError):
    """A field not in the catalogue for its event: refused, so that nothing unlisted can reach the journal."""


@dataclass(frozen=True, slots=True)
class Line:
    """One journal line. `at` is domain time, `wall` wall time; `custodian`: whose data; `requester`: who acted.

    `aorta` is None only for acts outside any call (an operator's). Sequence numbers are the ledger's.
    """

    event: Event
    at: datetime
    wall: datetime
    aorta: AortaId | None = None
    patient: PatientKey | None = field(default=None, repr=False)
    custodian: Ura | None = None
    requester: Ura | None = None
    fields: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unlisted = self.fields.keys() - FIELDS[self.event].keys()
        if unlisted:
            raise UnlistedField(f"{self.event} has no field {', '.join(sorted(unlisted))}")
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))


def view(line: Line, audience: Audience) -> dict[str, Json]:
    """The fields of this line that `audience` may see."""
    listed = FIELDS[line.event]
    return {name: value for name, value in line.fields.items() if audience and audience in listed[name]}
