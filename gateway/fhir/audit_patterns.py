"""Which audit pattern does an event follow? One table: event to pattern, pattern to the codes that show it.

The patterns are those of IHE BALP 1.1 where it has one (query, create, disclosure at the source); a pattern's profile
is claimed only by an event that fulfils it. What BALP does not know follows DICOM's audit events, as ATNA does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from gateway.fhir import codes
from gateway.rules.journal import Event

DCM = "http://dicom.nema.org/resources/ontology/DCM"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
RESTFUL = "http://hl7.org/fhir/restful-interaction"
EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

Code = tuple[str, str]
"""System and code."""

SOURCE_ROLE, DESTINATION_ROLE = (DCM, "110153"), (DCM, "110152")
RECORD_KEEPER = ("http://snomed.info/sct", "159541003")
"""The custodian in a disclosure, beside our own CST."""

RECIPIENT, AUTHOR = (codes.PARTICIPATION, "IRCP"), (codes.PARTICIPATION, "AUT")


class Thing(Enum):
    """What an event was about, beside the patient: audit entity role."""

    QUERY = "24"
    REPORT = "3"
    RESOURCE = "4"
    JOB = "20"
    SECURITY = "13"


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a group of events is shown. `party` is the asking organisation's part beside PROV and `exchange` ours, when
    the pattern tells who was at the two ends; `person` is the acting person's part."""

    type: Code
    subtype: Code | None
    thing: Thing
    party: Code | None = SOURCE_ROLE
    exchange: Code | None = DESTINATION_ROLE
    person: Code = RECIPIENT
    profile: str | None = None


def _rest(interaction: str, thing: Thing, **more: str | Code | None) -> Pattern:
    return Pattern((EVENT_TYPE, "rest"), (RESTFUL, interaction), thing, **more)  # type: ignore[arg-type]


QUERY = _rest("search", Thing.QUERY, profile=_PROFILE + "PatientQuery")
CREATE = _rest("create", Thing.RESOURCE, person=AUTHOR, profile=_PROFILE + "PatientCreate")
DELETE = _rest("delete", Thing.RESOURCE, person=AUTHOR)
OPERATION = _rest("operation", Thing.JOB)
DISCLOSURE = Pattern(
    (DCM, "110106"),
    (LIFECYCLE, "disclose"),
    Thing.REPORT,
    party=DESTINATION_ROLE,
    exchange=SOURCE_ROLE,
    profile=_PROFILE + "PrivacyDisclosure.Source",
)
"""The exchange discloses, for the custodian, to who asked."""
DELIVERY = Pattern(
    (DCM, "110106"), (LIFECYCLE, "disclose"), Thing.REPORT, None, SOURCE_ROLE, AUTHOR, DISCLOSURE.profile
)
"""The same to a message's recipient, for its author."""
LOG_USED = Pattern((DCM, "110101"), None, Thing.SECURITY)
ADMITTED = Pattern((DCM, "110114"), (DCM, "110122"), Thing.SECURITY)
LEFT = Pattern((DCM, "110114"), (DCM, "110123"), Thing.SECURITY)
ALERTED = Pattern((DCM, "110113"), None, Thing.SECURITY)
MANAGED = Pattern((DCM, "110100"), None, Thing.JOB, person=AUTHOR)

PATTERNS = MappingProxyType(
    {
        Event.TOKEN_ISSUED: ADMITTED,
        Event.TOKEN_REFUSED: ADMITTED,
        Event.CALL_REFUSED: OPERATION,
        Event.QUERY_DECIDED: QUERY,
        Event.QUERY_REFUSED: QUERY,
        Event.DISCLOSED: DISCLOSURE,
        Event.QUERY_ANSWERED: QUERY,
        Event.QUERY_FAILED: QUERY,
        Event.LOCALISED: QUERY,
        Event.EXPLAINED: OPERATION,
        Event.ENTRY_REGISTERED: CREATE,
        Event.ENTRY_REFUSED: CREATE,
        Event.ENTRY_ENDED: DELETE,
        Event.CONSENT_STATED: CREATE,
        Event.CONSENT_REFUSED: CREATE,
        Event.OWN_ENTRIES_READ: QUERY,
        Event.OWN_CONSENTS_READ: QUERY,
        Event.JOURNAL_READ: LOG_USED,
        Event.PARTICIPANT_JOINED: ALERTED,
        Event.CERTIFICATE_REVOKED: ALERTED,
        Event.REGIME_SWITCHED: ALERTED,
        Event.MESSAGE_ACCEPTED: OPERATION,
        Event.MESSAGE_REFUSED: OPERATION,
        Event.MESSAGE_DELIVERED: DELIVERY,
        Event.ALERT_RAISED: ALERTED,
        Event.OPERATOR_LOGGED_IN: ADMITTED,
        Event.OPERATOR_LOGIN_REFUSED: ADMITTED,
        Event.OPERATOR_LOGGED_OUT: LEFT,
        Event.OPERATOR_ACT_REFUSED: ALERTED,
        Event.OPERATOR_ACCOUNT_CHANGED: ALERTED,
        Event.OPERATOR_LOOKED: LOG_USED,
        Event.PATIENT_LOGGED_IN: ADMITTED,
        Event.PATIENT_LOGIN_REFUSED: ADMITTED,
        Event.PATIENT_LOGGED_OUT: LEFT,
    }
)


def pattern_of(event: Event) -> Pattern:
    """The pattern of an event; one that is not listed is an act of the exchange's own."""
    return PATTERNS.get(event, MANAGED)
