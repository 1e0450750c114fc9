"""Which words may a scenario use for what the exchange does? Rows, reasons, outcomes, events: the published contract.

Names stand here once more because the simulated country shares no code with the gateway; a test holds both against
each other. Faults, questions, sentinels and records have their words in the simulated country itself.
"""

from __future__ import annotations

from typing import Final

ROWS: Final = (
    "REG-1", "REG-2", "REG-3", "REG-4", "CRI-1", "CRI-2", "EMA-1", "EMA-2", "EMA-3",
    "RET-1", "RET-2", "REF-1", "IDX-1", "IDX-2", "PAT-1",
)  # fmt: skip
BARS: Final = (
    "unknown-party", "barred-profession", "no-mandate", "not-authorised", "no-treatment-relation", "no-cover",
    "no-emergency", "contradiction", "bad-attestation", "verbal-consent-required", "objection", "no-consent",
    "silent-entry",
)  # fmt: skip
OUTCOMES: Final = (
    "answered", "timed-out", "refused", "unreachable", "malformed", "wrong-patient", "truncated", "withheld",
    "no-consent",
)  # fmt: skip
"""What may become of one source's share; `answered` and `no-consent` are told in the journal only."""
COMPLETENESS: Final = ("complete", "partial", "none")
FLAGS: Final = ("verbal-consent", "presumed-consent", "contradictory-limits")
REGIMES: Final = ("CRISIS_OPT_IN", "EMERGENCY_AVAILABLE")
CATEGORIES: Final = ("gp-summary", "medication", "allergies", "treatment-limits", "enrolment", "return-message")
GROUPS: Final = ("gp-care", "pharmacy", "hospital", "ambulance")
CONTACTS: Final = ("visit", "call", "ride", "triage", "consultation", "admission", "dispensing")
CAPACITIES: Final = ("capable", "incapable", "represented")
PARTIES: Final = ("patient", "parent", "guardian", "representative")
STATES: Final = ("requested", "in-progress", "completed", "failed", "on-hold")
OUTBOX: Final = ("waiting", "claimed", "parked", "delivered", "failed", "outcome-unknown")
MESSAGES: Final = ("return-message", "referral", "disclosure-notice", "enrolment-changed", "undeliverable")
EVENTS: Final = (
    "token-issued", "token-refused", "call-refused", "query-decided", "query-refused", "disclosed", "query-answered",
    "query-failed", "localised", "explained", "entry-registered", "entry-refused", "entry-ended", "consent-stated",
    "consent-refused", "own-entries-read", "own-consents-read", "journal-read", "participant-joined",
    "certificate-revoked", "regime-switched", "clock-set", "message-accepted", "message-refused", "message-postponed",
    "message-delivered", "message-parked", "message-failed", "message-resumed", "delivery-switched",
    "gp-of-record-changed", "alert-raised", "disclosure-reviewed", "patient-logged-in", "patient-login-refused",
    "patient-logged-out",
)  # fmt: skip
"""The journal's events that a story can bring about."""

CUSTODIANS: Final = ("gp-practice", "pharmacy")
REQUESTERS: Final = ("gp-post", "emergency-department", "ambulance", "specialist", "covering-pharmacy")
KINDS: Final = (*CUSTODIANS, *REQUESTERS)
"""What an organisation of a scenario can be; anything else is told by its type code."""
