"""Why was the asker refused, and by how much? What the bars of domain.md section 4 left unsaid.

Every sentence says what was, and what would have done. Judges nothing: the bar is the gateway's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.rules.access import Bar, admit
from gateway.rules.exchange import Regime
from gateway.rules.facts import ATTESTATION_AGES, CONTACT_AGES, Facts
from gateway.rules.network import Network
from gateway.rules.table import ROWS, Row
from source_sim.testbed.ago import ago, length
from source_sim.testbed.transcript import DUTCH_TIME


def of(case: Any) -> list[str]:
    """What is to be said about this refusal."""
    found = _OF.get(case.code)
    return found(case) if found else []


def _contact(case: Any) -> list[str]:
    contact = case.claims.get("contact")
    if not contact:
        return ['no contact was given: `contact="visit"` would name one']
    start = datetime.fromisoformat(contact["start"])
    end = datetime.fromisoformat(contact["end"]) if contact.get("end") else None
    if start > case.at:
        return [f"the contact begins {ago(start, case.at)}"]
    if end is not None and end < start:
        return ["the contact ends before it begins"]
    over, word = (end, "ended") if end is not None and end <= case.at else (start, "began, without an end,")
    late = case.at - over - CONTACT_AGES
    return [f"the contact {word} {ago(over, case.at)}; {_hours(CONTACT_AGES)} are allowed: {length(late)} too old"]


def _hours(time: timedelta) -> str:
    return f"{int(time.total_seconds() // 3600)} hours"


def _cover(case: Any) -> list[str]:
    return ["cover of the patient's own practice or pharmacy was not declared: `cover=True`"]


def _emergency(case: Any) -> list[str]:
    kind = (case.claims.get("contact") or {}).get("kind", "none")
    return [f"purpose {case.claims.get('purpose')} with contact {kind}: ETREAT with triage or ride is an emergency"]


def _mandate(case: Any) -> list[str]:
    role, responsible = case.claims.get("role"), case.claims.get("responsible")
    if not responsible:
        return [f"role {role} is on no row that fits; `mandate=` with a role that is would do"]
    until = responsible.get("mandate_until")
    lapsed = until is not None and datetime.fromisoformat(until) < case.at
    if lapsed:
        return [f"the mandate of role {responsible['role']} lapsed {ago(datetime.fromisoformat(until), case.at)}"]
    return [f"neither role {role} nor the responsible's role {responsible['role']} is on a row that fits"]


def _attestation(case: Any) -> list[str]:
    verbal = case.claims.get("verbal_consent") or {}
    if not case.claims.get("contact"):
        return ["an attestation counts within a contact, and none was given"]
    if not (verbal.get("recorded_by") or "").strip():
        return ["nobody recorded the attestation"]
    at = datetime.fromisoformat(verbal["at"])
    if at > case.at:
        return [f"the attestation is of a moment to come ({ago(at, case.at)})"]
    late = case.at - at - ATTESTATION_AGES
    if late > timedelta():
        old = length(case.at - at)
        return [f"the attestation is {old} old; {_hours(ATTESTATION_AGES)} are allowed: {length(late)} too old"]
    return ["the attestation was used before, for another patient, organisation or contact"]


def _regimes(case: Any) -> list[str]:
    """Rows that fit but sleep, and what became of their regime."""
    if case.judged is None:
        return []
    facts = case.judged.admission.facts
    asleep = [row for row in ROWS if row.regime not in facts.regimes and row.action is facts.action]
    asleep = [row for row in asleep if _fits(row, facts)]
    return [f"row {row.id} would permit this, but {_standing(case.network, row.regime, case.at)}" for row in asleep]


def _fits(row: Row, facts: Facts) -> bool:
    """Whether this row would admit the asker, were its regime in force."""
    return row in admit(replace(facts, regimes=frozenset({row.regime}))).rows


def _standing(network: Network, regime: Regime, at: datetime) -> str:
    switches = [one for one in network.switches if one.regime is regime]
    if not switches:
        return f"{regime.value} was never switched on"
    last = max(switches, key=lambda one: one.at)
    if last.at > at:
        return f"{regime.value} is switched on {ago(last.at, at)}"
    if last.on and last.until is not None and last.until <= at:
        return f"{regime.value} ended {ago(last.until, at)} ({last.until.astimezone(DUTCH_TIME):%Y-%m-%d %H:%M})"
    return f"{regime.value} was switched off {ago(last.at, at)}"


def standing(network: Network, regime: Regime, at: datetime) -> str:
    """What became of a regime that is not in force."""
    return _standing(network, regime, at)


def _ask_first(case: Any) -> list[str]:
    return ['the patient has to be asked first: `verbal="patient"` sends the attestation along']


def _contradiction(case: Any) -> list[str]:
    verbal = (case.claims.get("verbal_consent") or {}).get("given_by")
    return [f"capacity {case.claims.get('capacity')} and an attestation given by {verbal} contradict each other"]


def _party(case: Any) -> list[str]:
    role = case.claims.get("role")
    return [f"organisation type {case.asker.organisation_type or 'none'} or role {role} is not on the network"]


def _other_patient(case: Any) -> list[str]:
    return ["the token is about another patient than the search"]


_OF: Final[dict[str, Callable[[Any], list[str]]]] = {
    Bar.NO_TREATMENT_RELATION: _contact,
    Bar.NO_COVER: _cover,
    Bar.NO_EMERGENCY: _emergency,
    Bar.NO_MANDATE: _mandate,
    Bar.BAD_ATTESTATION: _attestation,
    Bar.NOT_AUTHORISED: _regimes,
    Bar.VERBAL_CONSENT_REQUIRED: _ask_first,
    Bar.CONTRADICTION: _contradiction,
    Bar.UNKNOWN_PARTY: _party,
    "token-patient-mismatch": _other_patient,
}
