"""Which names do the standard and this exchange use on the wire? Systems, URLs, R4 type names, outcome codes.

Tables only. Knows of no request and no answer. Sources: FHIR R4 (4.0.1), interface.md sections 4 and 7.
"""

from __future__ import annotations

from enum import StrEnum

from gateway.rules.access import SENTENCES as BAR_SENTENCES
from gateway.rules.access import Bar
from gateway.rules.exchange import Category, Failing
from gateway.rules.message import Reason, State

SWITCHPOINT = "https://switchpoint.example/fhir/"
CODE_SYSTEM = SWITCHPOINT + "CodeSystem/"
STRUCTURE = SWITCHPOINT + "StructureDefinition/"
DATA_CATEGORY = CODE_SYSTEM + "data-category"
OUTCOME = CODE_SYSTEM + "outcome"
COMPLETENESS = CODE_SYSTEM + "completeness"
FLAG = CODE_SYSTEM + "flag"
REQUESTER_GROUP = CODE_SYSTEM + "requester-group"
REGISTRATION = CODE_SYSTEM + "registration"
MESSAGE_EVENT = CODE_SYSTEM + "message-event"
MESSAGE_STATE = CODE_SYSTEM + "message-state"
JOURNAL_EVENT = CODE_SYSTEM + "journal-event"
SOURCE_EXTENSION = STRUCTURE + "source"
CONSENT_METHOD = STRUCTURE + "consent-method"
CONSENT_STATE = STRUCTURE + "consent-state"
RULE = SWITCHPOINT + "rule/"

LOINC = "http://loinc.org"
SUMMARY_TYPE = "60591-5"
PRIVACY_CATEGORY = "59284-0"
CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ROLE_CODE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
EMPTY_REASON = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
AGB_SYSTEM = "http://fhir.nl/fhir/NamingSystem/agb-z"
UZI_ROLE = "http://fhir.nl/fhir/NamingSystem/uzi-rolcode"
ORGANIZATION_TYPE = "http://nictiz.nl/fhir/NamingSystem/organization-type"
BSN_OID = "2.16.840.1.113883.2.4.6.3"

CLINICAL_SCOPES = frozenset({"treatment", "adr"})
PRIVACY_SCOPE = "patient-privacy"

NATIONAL_CATEGORIES = "http://minvws.github.io/generiekefuncties-docs/CodeSystem/aorta-data-categories-cs"
"""Where the national words are published; they are also read under our own code system."""

NATIONAL_WORDS: dict[str, Category] = {
    "OVERDRACHTSCONCERN": Category.GP_SUMMARY,
    "CONTACTVERSLAG": Category.GP_SUMMARY,
    "MEDVERSTREKKING": Category.MEDICATION,
    "TOEDIENINGSAFSPRAAK": Category.MEDICATION,
    "MEDAFSPRAAK": Category.MEDICATION,
    "ALLERGIEINTOLERANTIE": Category.ALLERGIES,
    "ALERT": Category.ALLERGIES,
    "BEHAANWIJZING": Category.TREATMENT_LIMITS,
}
"""National bouwsteentype to our data category (domain.md section 2); several words may mean one category."""

CATEGORY_SYSTEMS = frozenset({DATA_CATEGORY, NATIONAL_CATEGORIES})


class Problem(StrEnum):
    """Why a message was not accepted, beside the bars (rules) and the sources' failures."""

    NO_TOKEN = "no-token"
    BAD_TOKEN = "bad-token"
    TOKEN_PATIENT_MISMATCH = "token-patient-mismatch"
    NOT_ENTITLED = "not-entitled"
    INVALID_BSN = "invalid-bsn"
    BSN_IN_URL = "bsn-in-url"
    INVALID_PARAMETER = "invalid-parameter"
    INVALID_CONTENT = "invalid-content"
    INVALID_HEADER = "invalid-header"
    REQUIRED = "required"
    NOT_SUPPORTED = "not-supported"
    NOT_ACCEPTABLE = "not-acceptable"
    DESTINATION_NOT_ALLOWED = "destination-not-allowed"
    UNKNOWN_RECIPIENT = "unknown-recipient"
    REFERENCE_OUTSIDE = "reference-outside"
    MESSAGE_ID_TAKEN = "message-id-taken"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    CONFLICT = "conflict"
    STALE_VERSION = "stale-version"
    SCOPE_CHANGED = "scope-changed"
    UNSETTLED = "unsettled"
    TOO_LARGE = "too-large"
    TOO_MANY_REQUESTS = "too-many-requests"
    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"
    INDEX_UNAVAILABLE = "index-unavailable"
    LEDGER_UNAVAILABLE = "ledger-unavailable"
    REVOCATION_UNKNOWN = "revocation-unknown"
    INTERNAL = "internal"
    ENDED = "ended"
    """No problem at all: the entry is no longer there."""


ISSUE_TYPES: dict[str, str] = {
    Bar.UNKNOWN_PARTY: "security",
    Bar.BARRED_PROFESSION: "forbidden",
    Bar.NO_MANDATE: "forbidden",
    Bar.NOT_AUTHORISED: "forbidden",
    Bar.NO_TREATMENT_RELATION: "forbidden",
    Bar.NO_COVER: "forbidden",
    Bar.NO_EMERGENCY: "forbidden",
    Bar.CONTRADICTION: "business-rule",
    Bar.BAD_ATTESTATION: "business-rule",
    Bar.VERBAL_CONSENT_REQUIRED: "suppressed",
    Bar.OBJECTION: "suppressed",
    Bar.NO_CONSENT: "suppressed",
    Bar.SILENT_ENTRY: "suppressed",
    Failing.TIMED_OUT: "timeout",
    Failing.REFUSED: "processing",
    Failing.UNREACHABLE: "transient",
    Failing.MALFORMED: "structure",
    Failing.WRONG_PATIENT: "security",
    Failing.TRUNCATED: "incomplete",
    Failing.WITHHELD: "suppressed",
    Problem.NO_TOKEN: "login",
    Problem.BAD_TOKEN: "login",
    Problem.TOKEN_PATIENT_MISMATCH: "forbidden",
    Problem.NOT_ENTITLED: "business-rule",
    Problem.INVALID_BSN: "value",
    Problem.BSN_IN_URL: "security",
    Problem.INVALID_PARAMETER: "value",
    Problem.INVALID_CONTENT: "value",
    Problem.INVALID_HEADER: "value",
    Problem.REQUIRED: "required",
    Problem.NOT_SUPPORTED: "not-supported",
    Problem.NOT_ACCEPTABLE: "not-supported",
    Problem.DESTINATION_NOT_ALLOWED: "business-rule",
    Problem.UNKNOWN_RECIPIENT: "value",
    Problem.REFERENCE_OUTSIDE: "value",
    Problem.MESSAGE_ID_TAKEN: "duplicate",
    Problem.NOT_FOUND: "not-found",
    Problem.METHOD_NOT_ALLOWED: "not-supported",
    Problem.UNSUPPORTED_MEDIA_TYPE: "not-supported",
    Problem.CONFLICT: "conflict",
    Problem.STALE_VERSION: "conflict",
    Problem.SCOPE_CHANGED: "business-rule",
    Problem.UNSETTLED: "transient",
    Problem.TOO_LARGE: "too-long",
    Problem.TOO_MANY_REQUESTS: "throttled",
    Problem.TIMEOUT: "timeout",
    Problem.OVERLOADED: "transient",
    Problem.INDEX_UNAVAILABLE: "transient",
    Problem.LEDGER_UNAVAILABLE: "transient",
    Problem.REVOCATION_UNKNOWN: "transient",
    Problem.INTERNAL: "exception",
    Problem.ENDED: "informational",
    Reason.NO_GP_OF_RECORD: "incomplete",
    Reason.NO_ENDPOINT: "incomplete",
    Reason.PARKED_BY_OPERATOR: "informational",
    Reason.EXPIRED: "expired",
    Reason.REJECTED: "processing",
    Reason.UNREADABLE: "exception",
    Reason.NEVER_MARKED: "exception",
    Reason.REPLY_LOST: "incomplete",
    State.UNKNOWN: "incomplete",
}
"""Machine code to `OperationOutcome.issue.code` (R4 issue-type): one complete table, proved complete by a test."""

FAILING_SENTENCES: dict[Failing, str] = {
    Failing.TIMED_OUT: "This source did not answer in time.",
    Failing.REFUSED: "This source refused the question.",
    Failing.UNREACHABLE: "This source could not be reached.",
    Failing.MALFORMED: "This source's answer could not be understood; nothing of it is shown.",
    Failing.WRONG_PATIENT: "This source's answer did not prove to be about this patient; nothing of it is shown.",
    Failing.TRUNCATED: "This source holds more than it sent; what it sent is shown.",
    Failing.WITHHELD: "This source withholds data for reasons of good care.",
    Failing.NO_CONSENT: "The patient gave no consent that covers this.",
}

PROBLEM_SENTENCES: dict[Problem, str] = {
    Problem.NO_TOKEN: "No access token came along.",
    Problem.BAD_TOKEN: "The access token is not valid here.",
    Problem.TOKEN_PATIENT_MISMATCH: "The token names another patient than the message.",
    Problem.NOT_ENTITLED: "Who made this statement is not entitled to make it for this patient.",
    Problem.INVALID_BSN: "The citizen service number is not valid.",
    Problem.BSN_IN_URL: "A citizen service number never stands in a URL: use POST _search.",
    Problem.INVALID_PARAMETER: "A parameter has a value that cannot be used here.",
    Problem.INVALID_CONTENT: "The content is well-formed, but not what this interaction takes.",
    Problem.INVALID_HEADER: "A header has a value that cannot be used.",
    Problem.REQUIRED: "Something required is missing.",
    Problem.NOT_SUPPORTED: "This is not supported here.",
    Problem.NOT_ACCEPTABLE: "Only FHIR JSON is spoken here.",
    Problem.DESTINATION_NOT_ALLOWED: "A return message names no destination: it goes to the patient's GP of record.",
    Problem.UNKNOWN_RECIPIENT: "The recipient named is not on the network.",
    Problem.REFERENCE_OUTSIDE: "A reference leads to something that is not in the message.",
    Problem.MESSAGE_ID_TAKEN: "Another message was sent before under this MessageHeader id.",
    Problem.NOT_FOUND: "There is nothing here.",
    Problem.METHOD_NOT_ALLOWED: "This method is not offered here.",
    Problem.UNSUPPORTED_MEDIA_TYPE: "This media type is not taken here.",
    Problem.CONFLICT: "Something else was sent before under the same identity.",
    Problem.STALE_VERSION: "The resource has changed since the version named.",
    Problem.SCOPE_CHANGED: "An update may change what is said, not what it is about.",
    Problem.UNSETTLED: "Choices or rules kept changing while the request ran; nothing was released.",
    Problem.TOO_LARGE: "The message is larger than is taken here.",
    Problem.TOO_MANY_REQUESTS: "Too many requests from this organisation.",
    Problem.TIMEOUT: "The message did not arrive in time.",
    Problem.OVERLOADED: "The exchange is overloaded.",
    Problem.INDEX_UNAVAILABLE: "The reference index is not available.",
    Problem.LEDGER_UNAVAILABLE: "The ledger is not available.",
    Problem.REVOCATION_UNKNOWN: "The revocation list is missing or expired; nobody is let in.",
    Problem.INTERNAL: "Something went wrong inside the exchange.",
    Problem.ENDED: "The entry has ended.",
}

MESSAGE_SENTENCES: dict[str, str] = {
    Reason.NO_GP_OF_RECORD: "No GP of record is known for the patient; the message is kept until there is one.",
    Reason.NO_ENDPOINT: "The recipient has no system that takes messages; the message is kept until it has.",
    Reason.PARKED_BY_OPERATOR: "The operator holds the message back for now.",
    Reason.EXPIRED: "The recipient's system could not be reached in time; the message was not delivered.",
    Reason.REJECTED: "The recipient's system read the message and will not take it.",
    Reason.UNREADABLE: "The exchange can no longer open the sealed message; it was not delivered.",
    Reason.NEVER_MARKED: "Delivering the message was broken off again and again; the recipient may have it.",
    Reason.REPLY_LOST: "The recipient's system was sent the message and its reply was lost; it may have it.",
    State.UNKNOWN: "The message was sent and no reply came back: the recipient may or may not have it.",
}
"""Why a message waits for people or has ended other than delivered, beside the bars."""

OUTCOME_SENTENCES: dict[str, str] = {
    **{str(bar): sentence for bar, sentence in BAR_SENTENCES.items()},
    **{str(failing): FAILING_SENTENCES[failing] for failing in Failing if failing is not Failing.NO_CONSENT},
    **{str(problem): PROBLEM_SENTENCES[problem] for problem in Problem},
    **{str(word): sentence for word, sentence in MESSAGE_SENTENCES.items()},
}
"""Every code of `CodeSystem/outcome` with the sentence people read. `no-consent` is the bar's, for both."""
