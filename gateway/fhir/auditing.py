"""How does a journal line look to the custodian whose data it concerns? One line, one AuditEvent, BALP-shaped.

Only fields the catalogue opens to the audience leave (rules/journal.py). Source: IHE BALP; NEN 7513.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from gateway.fhir import codes, moments
from gateway.fhir.showing import coding, concept, identified
from gateway.fhir.writing import encode
from gateway.rules.identifiers import BSN_SYSTEM, URA_SYSTEM, UZI_PERSON_SYSTEM, Bsn
from gateway.rules.journal import Audience, Event, Line, view
from gateway.rules.journal import Json as Field

Json = dict[str, Any]

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"

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
        Event.OWN_ENTRIES_READ: "R",
        Event.OWN_CONSENTS_READ: "R",
        Event.JOURNAL_READ: "R",
        Event.PARTICIPANT_JOINED: "C",
        Event.CERTIFICATE_REVOKED: "U",
        Event.REGIME_SWITCHED: "U",
        Event.CLOCK_SET: "U",
    }
)
"""AuditEvent.action (create, read, update, delete, execute) of every event; a test proves it complete."""

_REFUSALS = frozenset({Event.TOKEN_REFUSED, Event.CALL_REFUSED, Event.QUERY_REFUSED, Event.ENTRY_REFUSED})
_FAILED = MappingProxyType(
    {**dict.fromkeys(_REFUSALS | {Event.CONSENT_REFUSED}, MINOR_FAILURE), Event.QUERY_FAILED: SERIOUS_FAILURE}
)
_SHOWN_ELSEWHERE = frozenset(
    {"organisation", "organisation_name", "actor", "actor_name", "actor_role", "purpose"}
    | {"responsible", "responsible_name", "responsible_role"}
)


def audit_event(seq: int, line: Line, *, patient: Bsn | None, audience: Audience = Audience.CUSTODIAN) -> bytes:
    """One journal line as an AuditEvent. `patient` is the number the asker itself named; the journal has only a key."""
    fields = view(line, audience)
    shown: Json = {
        "resourceType": "AuditEvent",
        "id": str(seq),
        "type": coding(_TERMINOLOGY + "audit-event-type", "rest"),
        "subtype": [coding(codes.JOURNAL_EVENT, line.event)],
        "action": ACTIONS[line.event],
        "period": {"start": moments.instant(line.at)},
        "recorded": moments.instant(line.wall),
        "outcome": _FAILED.get(line.event, SUCCESS),
        **_purpose(fields),
        "agent": _agents(line, fields),
        "source": {
            "observer": {"display": "switchpoint"},
            "type": [coding(_TERMINOLOGY + "security-source-type", "4")],
        },
        "entity": [*_patient(patient), *_chain(line), _asked(fields)],
    }
    return encode(shown)


def _purpose(fields: dict[str, Field]) -> Json:
    purpose = fields.get("purpose")
    return {"purposeOfEvent": [concept(codes.ACT_REASON, str(purpose))]} if purpose else {}


# --- who -------------------------------------------------------------------------------------------------------------


def _agents(line: Line, fields: dict[str, Field]) -> list[Json]:
    """Actor, responsible, requesting organisation, custodian: as far as the line names them, never none."""
    people = [
        agent
        for prefix, role in (("actor", "IRCP"), ("responsible", "RESP"))
        if (agent := _person(fields, prefix, role)) is not None
    ]
    organisation = _organisation(line, fields)
    agents = people + ([organisation] if organisation is not None else [])
    if line.custodian is not None:
        agents.append(_agent("CST", identified(URA_SYSTEM, line.custodian.digits)))
    agents = agents or [_agent("AUT", {"display": "switchpoint"})]
    agents[0]["requestor"] = True
    if fields.get("row"):
        agents[0]["policy"] = [codes.RULE + str(fields["row"])]
    return agents


def _agent(participation: str, who: Json) -> Json:
    return {"type": concept(codes.PARTICIPATION, participation), "who": who, "requestor": False}


def _person(fields: dict[str, Field], prefix: str, participation: str) -> Json | None:
    number, name, role = fields.get(prefix), fields.get(f"{prefix}_name"), fields.get(f"{prefix}_role")
    if not number:
        return None
    display = {"display": str(name)} if name else {}
    agent = _agent(participation, {**identified(UZI_PERSON_SYSTEM, str(number)), **display})
    if role:
        agent["role"] = [concept(codes.UZI_ROLE, str(role))]
    return agent


def _organisation(line: Line, fields: dict[str, Field]) -> Json | None:
    number = fields.get("organisation") or (line.requester.digits if line.requester else None)
    if not number:
        return None
    name = fields.get("organisation_name")
    display = {"display": str(name)} if name else {}
    return _agent("PROV", {**identified(URA_SYSTEM, str(number)), **display})


# --- what ------------------------------------------------------------------------------------------------------------


def _patient(patient: Bsn | None) -> list[Json]:
    if patient is None:
        return []
    return [_entity("1", "1", {"what": identified(BSN_SYSTEM, patient.digits)})]


def _entity(type: str, role: str, more: Json) -> Json:
    kinds = {
        "type": coding(_TERMINOLOGY + "audit-entity-type", type),
        "role": coding(_TERMINOLOGY + "object-role", role),
    }
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


def _asked(fields: dict[str, Field]) -> Json:
    """Everything else the audience may see, named as in the journal."""
    details = [
        {"type": name, "valueString": _text(value)}
        for name, value in sorted(fields.items())
        if name not in _SHOWN_ELSEWHERE and value not in (None, "", [], {})
    ]
    return _entity("2", "24", {"name": str(fields.get("category") or "exchange"), **_detail(details)})


def _detail(details: list[Json]) -> Json:
    return {"detail": details} if details else {}


def _text(value: Field) -> str:
    return value if isinstance(value, str) else encode(value).decode()
