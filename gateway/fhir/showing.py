"""How do our own records look in FHIR? Index entries, consents, journal lines and participants as R4 resources.

Nothing written here names a patient, save an AuditEvent to the custodian that asked by that very BSN: the switchpoint
does not keep the number. Source: interface.md sections 4 and 7; IHE BALP for AuditEvents.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from gateway.fhir import codes, moments
from gateway.fhir.choices import PARTIES, SAYS
from gateway.fhir.writing import encode
from gateway.rules.choice import ConsentState, Party, Scope, Statement
from gateway.rules.exchange import Group, Pointer
from gateway.rules.identifiers import APPLICATION_SYSTEM, URA_SYSTEM, UZI_SYSTEM_SYSTEM
from gateway.rules.network import Organisation, System

Json = dict[str, Any]

_STATUS = MappingProxyType({say: pair for pair, say in SAYS.items()})
_RELATION = MappingProxyType({party: code for code, party in PARTIES.items()})


def coding(system: str, code: str) -> Json:
    """One Coding."""
    return {"system": system, "code": code}


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one coding."""
    return {"coding": [coding(system, code)]}


def identified(system: str, value: str) -> Json:
    """A Reference by identifier only."""
    return {"identifier": {"system": system, "value": value}}


# --- the reference index ---------------------------------------------------------------------------------------------


def entry(pointer: Pointer) -> bytes:
    """An index entry as a List, without its subject."""
    device: Json = {
        "resourceType": "Device",
        "id": "s",
        "identifier": [{"system": APPLICATION_SYSTEM, "value": pointer.system.digits}],
        "owner": identified(URA_SYSTEM, pointer.custodian.digits),
    }
    shown: Json = {
        "resourceType": "List",
        "id": pointer.id,
        **({"meta": {"tag": [coding(codes.REGISTRATION, "latent")]}} if pointer.latent else {}),
        "contained": [device],
        "status": "current",
        "mode": "working",
        "code": concept(codes.DATA_CATEGORY, pointer.category),
        **({"date": pointer.date} if pointer.date else {}),
        "source": {"reference": "#s"},
        "emptyReason": concept(codes.EMPTY_REASON, "withheld"),
    }
    return encode(shown)


# --- consent ---------------------------------------------------------------------------------------------------------


def consent(id: str, version: int, statement: Statement, state: ConsentState) -> bytes:
    """A privacy consent as it now stands, with the state that results from everything the patient said."""
    status, type = _STATUS[statement.say]
    scope = statement.scope
    shown: Json = {
        "resourceType": "Consent",
        "id": id,
        "meta": {"versionId": str(version), "lastUpdated": moments.instant(statement.received)},
        "contained": _people(statement.by),
        "extension": [_method(statement), {"url": codes.CONSENT_STATE, "valueCode": state}],
        "status": status,
        "scope": concept(codes.CONSENT_SCOPE, codes.PRIVACY_SCOPE),
        "category": [concept(codes.LOINC, codes.PRIVACY_CATEGORY)],
        "patient": {"reference": "#p"},
        "dateTime": moments.instant(statement.effective),
        "performer": [{"reference": f"#{_person_id(party)}"} for party in sorted(statement.by)],
        **({"organization": [identified(URA_SYSTEM, scope.custodian.digits)]} if scope.custodian else {}),
        "policyRule": concept(codes.ACT_CODE, "OPTIN"),
        "provision": _provision(type, scope),
    }
    return encode(shown)


def _person_id(party: Party) -> str:
    return "p" if party is Party.PATIENT else str(party)


def _people(by: Iterable[Party]) -> list[Json]:
    """The patient without a number, and whoever stated on the patient's behalf."""
    related = [
        {
            "resourceType": "RelatedPerson",
            "id": _person_id(party),
            "patient": {"reference": "#p"},
            "relationship": [concept(codes.ROLE_CODE, _RELATION[party])],
        }
        for party in sorted(by)
        if party is not Party.PATIENT
    ]
    return [{"resourceType": "Patient", "id": "p"}, *related]


def _method(statement: Statement) -> Json:
    parts: list[Json] = [{"url": "method", "valueCode": statement.method}]
    if statement.recorder:
        parts.append({"url": "recorder", "valueString": statement.recorder})
    if statement.information:
        parts.append({"url": "information", "valueString": statement.information})
    return {"extension": parts, "url": codes.CONSENT_METHOD}


def _provision(type: str, scope: Scope) -> Json:
    shown: Json = {"type": type}
    if scope.requesters is not None:
        shown["actor"] = [_actor(requester) for requester in sorted(scope.requesters)]
    if scope.emergency_only:
        shown["purpose"] = [coding(codes.ACT_REASON, "ETREAT")]
    if scope.categories is not None:
        shown["class"] = [coding(codes.DATA_CATEGORY, category) for category in sorted(scope.categories)]
    return shown


def _actor(requester: str) -> Json:
    system = codes.REQUESTER_GROUP if requester in set(Group) else URA_SYSTEM
    return {"role": concept(codes.PARTICIPATION, "IRCP"), "reference": identified(system, requester)}


# --- the directory ---------------------------------------------------------------------------------------------------


def organisation(one: Organisation) -> bytes:
    """A participant. A department of the register is a second, textual type: no code exists for it."""
    types: list[Json] = [concept(codes.ORGANIZATION_TYPE, one.organisation_type)]
    numbers = [{"system": URA_SYSTEM, "value": one.ura.digits}]
    if one.agb:
        numbers.append({"system": codes.AGB_SYSTEM, "value": one.agb})
    shown: Json = {
        "resourceType": "Organization",
        "id": one.ura.digits,
        "identifier": numbers,
        "active": True,
        "type": types + [{"text": department} for department in sorted(one.departments)],
        "name": one.name,
    }
    return encode(shown)


def endpoint(one: System) -> bytes:
    """A registered system that can be asked, at its FHIR base. Raises ValueError for one without an address."""
    if one.endpoint is None:
        raise ValueError("a system without an address has no Endpoint")
    shown: Json = {
        "resourceType": "Endpoint",
        "id": one.application.digits,
        "identifier": [
            {"system": APPLICATION_SYSTEM, "value": one.application.digits},
            {"system": UZI_SYSTEM_SYSTEM, "value": one.uzi.digits},
        ],
        "status": "active",
        "connectionType": coding("http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "hl7-fhir-rest"),
        "managingOrganization": {
            "reference": f"Organization/{one.ura.digits}",
            **identified(URA_SYSTEM, one.ura.digits),
        },
        "payloadType": [concept("http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "any")],
        "payloadMimeType": ["application/fhir+json"],
        "address": one.endpoint,
    }
    return encode(shown)
