"""How does a journal line look to the custodian whose data it concerns? One line, one AuditEvent, BALP-shaped.

Only fields the catalogue opens to the audience leave (rules/journal.py). The question itself is not kept, since it
names the patient: `entity.query` tells what was asked, not in which words. Network addresses are those of the network
the exchange knows: application and organisation numbers, as OIDs. Source: IHE BALP 1.1; NEN 7513.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from gateway.fhir import codes, moments
from gateway.fhir.audit_patterns import DESTINATION_ROLE, RECORD_KEEPER, Code, Pattern, Thing, pattern_of
from gateway.fhir.showing import coding, concept, identified
from gateway.fhir.writing import encode
from gateway.rules.identifiers import BSN_SYSTEM, URA_SYSTEM, UZI_PERSON_SYSTEM, Bsn
from gateway.rules.journal import Audience, Event, Line, view
from gateway.rules.journal import Json as Field

Json = dict[str, Any]

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"

_APPLICATION_OID, _URA_OID = "2.16.840.1.113883.2.4.6.6", "2.16.528.1.1007.3.3"
_EXCHANGE = MappingProxyType({"display": "switchpoint"})

SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE = "0", "4", "8"

ACTIONS = MappingProxyType(
    {
        Event.TOKEN_ISSUED: "E",
        Event.TOKEN_REFUSED: "E",
        Event.CALL_REFUSED: "E",
        Event.QUERY_DECIDED: "E",
        Event.QUERY_REFUSED: "E",
        Event.DISCLOSED: "R",
        Event.QUERY_ANSWERED: "E",
        Event.QUERY_FAILED: "E",
        Event.LOCALISED: "E",
        Event.EXPLAINED: "E",
        Event.ENTRY_REGISTERED: "C",
        Event.ENTRY_REFUSED: "C",
        Event.ENTRY_ENDED: "D",
        Event.CONSENT_STATED: "C",
        Event.CONSENT_REFUSED: "C",
        Event.OWN_ENTRIES_READ: "E",
        Event.OWN_CONSENTS_READ: "E",
        Event.JOURNAL_READ: "R",
        Event.PARTICIPANT_JOINED: "C",
        Event.CERTIFICATE_REVOKED: "U",
        Event.REGIME_SWITCHED: "U",
        Event.CLOCK_SET: "U",
        Event.MESSAGE_ACCEPTED: "C",
        Event.MESSAGE_REFUSED: "C",
        Event.MESSAGE_POSTPONED: "U",
        Event.MESSAGE_DELIVERED: "R",
        Event.MESSAGE_PARKED: "U",
        Event.MESSAGE_FAILED: "U",
        Event.MESSAGE_RESUMED: "U",
        Event.DELIVERY_SWITCHED: "U",
        Event.GP_OF_RECORD_CHANGED: "U",
        Event.JOURNAL_KEPT: "E",
        Event.ALERT_RAISED: "E",
        Event.OPERATOR_LOGGED_IN: "E",
        Event.OPERATOR_LOGIN_REFUSED: "E",
        Event.OPERATOR_LOGGED_OUT: "E",
        Event.OPERATOR_ACT_REFUSED: "E",
        Event.OPERATOR_ACCOUNT_CHANGED: "U",
        Event.OPERATOR_LOOKED: "R",
        Event.REGIME_PROPOSED: "E",
        Event.REGIME_PROPOSAL_CLOSED: "E",
        Event.DISCLOSURE_REVIEWED: "E",
        Event.PATIENT_LOGGED_IN: "E",
        Event.PATIENT_LOGIN_REFUSED: "E",
        Event.PATIENT_LOGGED_OUT: "E",
    }
)
"""AuditEvent.action (create, read, update, delete, execute) of every event; a test proves it complete."""

_REFUSALS = frozenset({Event.TOKEN_REFUSED, Event.CALL_REFUSED, Event.QUERY_REFUSED, Event.ENTRY_REFUSED})
_TURNED_AWAY = frozenset({Event.OPERATOR_LOGIN_REFUSED, Event.OPERATOR_ACT_REFUSED, Event.PATIENT_LOGIN_REFUSED})
_MINOR = _REFUSALS | _TURNED_AWAY | {Event.CONSENT_REFUSED, Event.MESSAGE_REFUSED, Event.MESSAGE_POSTPONED}
_SERIOUS = frozenset({Event.QUERY_FAILED, Event.MESSAGE_FAILED})
_FAILED = MappingProxyType({**dict.fromkeys(_MINOR, MINOR_FAILURE), **dict.fromkeys(_SERIOUS, SERIOUS_FAILURE)})
_SHOWN_ELSEWHERE = frozenset(
    {"organisation", "organisation_name", "actor", "actor_name", "actor_role", "purpose"}
    | {"responsible", "responsible_name", "responsible_role", "recipient", "recipient_name"}
)


def audit_event(seq: int, line: Line, *, patient: Bsn | None, audience: Audience = Audience.CUSTODIAN) -> bytes:
    """One journal line as an AuditEvent. `patient` is the number the asker itself named; the journal has only a key."""
    fields, pattern = view(line, audience), pattern_of(line.event)
    outcome = _FAILED.get(line.event, SUCCESS)
    agents = _agents(line, fields, pattern)
    subtypes = [coding(codes.JOURNAL_EVENT, line.event), *([coding(*pattern.subtype)] if pattern.subtype else [])]
    shown: Json = {
        "resourceType": "AuditEvent",
        "id": str(seq),
        **_profile(pattern, agents, fulfilled=patient is not None and outcome == SUCCESS),
        "type": coding(*pattern.type),
        "subtype": subtypes,
        "action": ACTIONS[line.event],
        "period": {"start": moments.instant(line.at)},
        "recorded": moments.instant(line.wall),
        "outcome": outcome,
        **({"outcomeDesc": str(fields["reason"])} if outcome != SUCCESS and fields.get("reason") else {}),
        **_purpose(fields),
        "agent": agents,
        "source": {
            "observer": dict(_EXCHANGE),
            "type": [coding(_TERMINOLOGY + "security-source-type", "4")],
        },
        "entity": [*_patient(patient), *_chain(line), _asked(line, fields, pattern), *_details(fields)],
    }
    return encode(shown)


def _profile(pattern: Pattern, agents: Sequence[Json], *, fulfilled: bool) -> Json:
    """The pattern's profile, claimed only where both ends are named and so is the patient."""
    parts = {one["code"] for agent in agents for one in agent["type"]["coding"]}
    ends = {"110152", "110153"} <= parts
    return {"meta": {"profile": [pattern.profile]}} if pattern.profile and fulfilled and ends else {}


def _purpose(fields: dict[str, Field]) -> Json:
    purpose = fields.get("purpose")
    return {"purposeOfEvent": [concept(codes.ACT_REASON, str(purpose))]} if purpose else {}


# --- who -------------------------------------------------------------------------------------------------------------


def _agents(line: Line, fields: dict[str, Field], pattern: Pattern) -> list[Json]:
    """Actor, responsible and organisation, or else the exchange itself; then recipient, custodian and the exchange."""
    people = [
        agent
        for prefix, part in (("actor", pattern.person), ("responsible", _part("RESP")))
        if (agent := _person(fields, prefix, part)) is not None
    ]
    asking = people + _organisation(line, fields, pattern)
    exchange = _exchange(pattern, acting=not asking)
    others = [*_recipient(fields), *_custodian(line)]
    agents = [*asking, *others, *exchange] if asking else [*exchange, *others]
    agents[0]["requestor"] = True
    if fields.get("row"):
        agents[0]["policy"] = [codes.RULE + str(fields["row"])]
    return agents


def _part(participation: str) -> Code:
    return (codes.PARTICIPATION, participation)


def _agent(who: Json, *parts: Code | None) -> Json:
    return {"type": {"coding": [coding(*part) for part in parts if part]}, "who": who, "requestor": False}


def _named(system: str, number: Field, name: Field) -> Json:
    return {**identified(system, str(number)), **({"display": str(name)} if name else {})}


def _person(fields: dict[str, Field], prefix: str, part: Code) -> Json | None:
    number, name, role = fields.get(prefix), fields.get(f"{prefix}_name"), fields.get(f"{prefix}_role")
    if not number:
        return None
    agent = _agent(_named(UZI_PERSON_SYSTEM, number, name), part)
    if role:
        agent["role"] = [concept(codes.UZI_ROLE, str(role))]
    return agent


def _organisation(line: Line, fields: dict[str, Field], pattern: Pattern) -> list[Json]:
    number = fields.get("organisation") or (line.requester.digits if line.requester else None)
    if not number:
        return []
    who = _named(URA_SYSTEM, number, fields.get("organisation_name"))
    agent = _agent(who, _part("PROV"), pattern.party)
    return [agent | _network(_address(number, fields.get("application")))]


def _address(number: Field, application: Field = None) -> str:
    """The system's address on the network by its application id, or its organisation's."""
    system, digits = (_APPLICATION_OID, application) if application else (_URA_OID, number)
    return f"urn:oid:{system}.{int(str(digits))}" if str(digits).isdecimal() else str(digits)


def _network(address: str, type: str = "5") -> Json:
    return {"network": {"address": address, "type": type}}


def _exchange(pattern: Pattern, *, acting: bool) -> list[Json]:
    """The exchange, when it acted by itself or was one of the two ends."""
    parts = (_part("AUT") if acting else None, pattern.exchange)
    return [_agent(dict(_EXCHANGE), *parts) | _network("switchpoint", "1")] if any(parts) else []


def _recipient(fields: dict[str, Field]) -> list[Json]:
    """Who should get the message, or got it."""
    number = fields.get("recipient")
    if not number:
        return []
    who = _named(URA_SYSTEM, number, fields.get("recipient_name"))
    return [_agent(who, _part("PRCP"), DESTINATION_ROLE) | _network(_address(number))]


def _custodian(line: Line) -> list[Json]:
    if line.custodian is None:
        return []
    return [_agent(identified(URA_SYSTEM, line.custodian.digits), _part("CST"), RECORD_KEEPER)]


# --- what ------------------------------------------------------------------------------------------------------------


def _patient(patient: Bsn | None) -> list[Json]:
    if patient is None:
        return []
    return [_entity("1", "1", {"what": {"type": "Patient", **identified(BSN_SYSTEM, patient.digits)}})]


def _entity(type: str, role: str | None, more: Json) -> Json:
    kinds = {"type": coding(_TERMINOLOGY + "audit-entity-type", type)}
    if role is not None:
        kinds["role"] = coding(_TERMINOLOGY + "object-role", role)
    return {**more, **kinds}


def _chain(line: Line) -> list[Json]:
    """The AORTA-ID: the chain's id and the message's, as BALP shows a request id."""
    if line.aorta is None:
        return []
    ids = (("initialRequestID", line.aorta.initial), ("requestID", line.aorta.request))
    return [
        {
            "what": identified("urn:ietf:rfc:3986", f"urn:uuid:{value}"),
            "type": coding(_BALP_ENTITY, "XrequestId"),
            "description": name,
        }
        for name, value in ids
    ]


def _asked(line: Line, fields: dict[str, Field], pattern: Pattern) -> Json:
    """What was asked for, or what it was about; never its content."""
    about = str(fields.get("category") or fields.get("message_event") or line.event)
    if pattern.thing is Thing.QUERY:
        asked = f"{fields.get('interaction') or line.event} {about}"
        return _entity("2", pattern.thing.value, {"description": about, "query": _encoded(asked)})
    return _entity("2", pattern.thing.value, {"what": {"display": about}})


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _details(fields: dict[str, Field]) -> list[Json]:
    """Everything else the audience may see, named as in the journal."""
    details = [
        {"type": name, "valueString": _text(value)}
        for name, value in sorted(fields.items())
        if name not in _SHOWN_ELSEWHERE and value not in (None, "", [], {})
    ]
    return [_entity("4", None, {"name": "journal", "detail": details})] if details else []


def _text(value: Field) -> str:
    return value if isinstance(value, str) else encode(value).decode()
