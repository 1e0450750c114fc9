"""Does every AuditEvent that claims an IHE BALP profile keep to it, and does every event show who and how it ended?"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from balp import BALP, ENTITY, PART, PROFILES, Shown, having, only
from fhir.resources.R4B.auditevent import AuditEvent
from fhir_made import US

from gateway.fhir import auditing
from gateway.fhir.audit_patterns import PATTERNS
from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import FIELDS, Audience, Event, Json, Line

AT = datetime(2026, 1, 3, 2, 30, tzinfo=UTC)
CHAIN = AortaId("0b0e2f2a-4b44-4c3b-9c55-1f6f0a7b2d11", "7d3a5f5e-58c3-4a53-a9c4-b0f4e6f3a001")
EVENTS = pytest.mark.parametrize("event", Event, ids=str)

KNOWN: dict[str, Json] = {
    "organisation": "90000401", "organisation_type": "V4", "application": "0012", "actor": "900000001",
    "actor_role": "01.071", "responsible": "900000002", "recipient": "90000102", "category": "gp-summary",
    "message_event": "return-message", "purpose": "ETREAT", "row": "EMA-1", "interaction": "search-Bundle",
    "reason": "no-emergency", "statement": "s-1",
}  # fmt: skip


def line(event: Event, **more: Any) -> Line:
    """A line with every field filled: known ones with what stands there, the others with their own name."""
    fields = {name: KNOWN.get(name, f"value-of-{name}") for name in FIELDS[event]}
    given = {"aorta": CHAIN, "patient": PatientKey(b"k" * 12), "custodian": Ura("90000101"), "fields": fields}
    return Line(event, AT, AT, **(given | more))


def shown(event: Event, audience: Audience = Audience.CUSTODIAN, **more: Any) -> Shown:
    raw = auditing.audit_event(7, line(event, **more), patient=US, audience=audience)
    AuditEvent.model_validate(json.loads(raw))
    return dict(json.loads(raw))


CLAIMED = {
    Event.DISCLOSED: "PrivacyDisclosure.Source",
    Event.MESSAGE_DELIVERED: "PrivacyDisclosure.Source",
    Event.QUERY_DECIDED: "PatientQuery",
    Event.QUERY_ANSWERED: "PatientQuery",
    Event.LOCALISED: "PatientQuery",
    Event.OWN_ENTRIES_READ: "PatientQuery",
    Event.OWN_CONSENTS_READ: "PatientQuery",
    Event.ENTRY_REGISTERED: "PatientCreate",
    Event.CONSENT_STATED: "PatientCreate",
}
"""Which events claim which profile when all went well."""


@EVENTS
@pytest.mark.parametrize("audience", [Audience.CUSTODIAN, Audience.PATIENT, Audience.OPERATOR], ids=str)
def test_a_profile_that_is_claimed_is_kept_to(event: Event, audience: Audience) -> None:
    one = shown(event, audience)
    claimed = one.get("meta", {}).get("profile", [])
    assert claimed == ([BALP + CLAIMED[event]] if event in CLAIMED else [])
    for profile in claimed:
        PROFILES[profile](one)
    if event in (Event.DISCLOSED, Event.MESSAGE_DELIVERED):
        custodian = only(having(one["agent"], "http://snomed.info/sct", "159541003"))
        assert custodian["who"]["identifier"]["value"] == "90000101"
    if claimed:
        assert only(having(one["entity"], ENTITY, "1"))["what"]["identifier"]["value"] == US.digits


@pytest.mark.parametrize("event", CLAIMED, ids=str)
def test_no_profile_is_claimed_for_a_patient_who_is_not_named(event: Event) -> None:
    raw = auditing.audit_event(7, line(event), patient=None)
    assert "meta" not in json.loads(raw)
    assert US.digits.encode() not in raw


def test_nor_for_a_query_by_nobody_on_the_network() -> None:
    assert "meta" not in shown(Event.QUERY_ANSWERED, fields={"category": "gp-summary"})


# --- every event -----------------------------------------------------------------------------------------------------


@EVENTS
def test_exactly_one_agent_asked_and_everybody_is_of_some_part(event: Event) -> None:
    one = shown(event)
    assert [agent["requestor"] for agent in one["agent"]].count(True) == 1
    assert one["agent"][0]["requestor"]
    assert all(agent["type"]["coding"] for agent in one["agent"])


@EVENTS
def test_the_chain_can_be_followed(event: Event) -> None:
    found = having(shown(event)["entity"], "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
                   "XrequestId")  # fmt: skip
    assert [one["what"]["identifier"]["value"] for one in found] == [
        f"urn:uuid:{CHAIN.initial}",
        f"urn:uuid:{CHAIN.request}",
    ]


@pytest.mark.parametrize("event", [event for event in Event if event.endswith("-refused")], ids=str)
def test_a_refusal_is_a_failure_with_its_reason(event: Event) -> None:
    one = shown(event, Audience.OPERATOR)
    assert one["outcome"] == "4"
    assert one.get("outcomeDesc") == ("no-emergency" if "reason" in FIELDS[event] else None)


def test_what_went_well_has_no_reason_to_tell() -> None:
    assert "outcomeDesc" not in shown(Event.MESSAGE_PARKED)


def test_networks_are_the_numbers_of_the_network() -> None:
    oid = "urn:oid:2.16.840.1.113883.2.4.6.6.12"
    for audience, address in ((Audience.CUSTODIAN, oid), (Audience.PATIENT, "urn:oid:2.16.528.1.1007.3.3.90000401")):
        agent = only(having(shown(Event.DISCLOSED, audience)["agent"], PART, "PROV"))
        assert agent["network"] == {"address": address, "type": "5"}, audience


def test_the_question_is_told_without_its_words() -> None:
    query = only(having(shown(Event.QUERY_ANSWERED)["entity"], ENTITY, "2"))
    assert base64.b64decode(query["query"]) == b"search-Bundle gp-summary"
    patients = only(having(shown(Event.QUERY_ANSWERED, Audience.PATIENT)["entity"], ENTITY, "2"))
    assert base64.b64decode(patients["query"]) == b"query-answered gp-summary"


def test_every_pattern_is_of_an_event_and_its_action_fits() -> None:
    for event, pattern in PATTERNS.items():
        if pattern.profile:
            wanted = {"Query": "E", "Create": "C", "Source": "R"}[
                pattern.profile.rpartition(".")[2].removeprefix("Patient")
            ]
            assert auditing.ACTIONS[event] == wanted, event
