"""What do we publish about ourselves? CodeSystems, StructureDefinitions, a SearchParameter, the CapabilityStatement.

All generated from the words and the registry the gateway itself runs on, so that they cannot differ from it.
Source: interface.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from gateway.fhir import codes, moments
from gateway.fhir.catalogue import REGISTRY, Act, Interaction, Parameter
from gateway.fhir.writing import encode
from gateway.rules.choice import ConsentState
from gateway.rules.exchange import Category, Completeness, Flag, Group
from gateway.rules.journal import Event
from gateway.rules.message import ACTION_OF, MessageEvent, State

Json = dict[str, Any]


def _named(words: Iterable[str]) -> dict[str, str]:
    """Codes that say what they mean."""
    return {str(word): str(word).replace("-", " ").capitalize() for word in words}


_CATEGORIES = {
    Category.GP_SUMMARY: "Professional summary of the GP record",
    Category.MEDICATION: "Medication as the pharmacy knows it",
    Category.ALLERGIES: "Allergies and contra-indications as the pharmacy knows them",
    Category.TREATMENT_LIMITS: "Treatment limits and advance directives",
    Category.ENROLMENT: "Enrolment with a GP practice; routes messages, holds no content",
    Category.RETURN_MESSAGE: "Reports back to the GP of record; only a consent can name it",
}

_MESSAGE_EVENTS = {
    MessageEvent.RETURN_MESSAGE: "Report of a contact to the patient's GP of record",
    MessageEvent.REFERRAL: "Referral to a named hospital or GP post",
    MessageEvent.DISCLOSURE_NOTICE: "A summary was fetched on verbal or presumed consent; sent by the exchange",
    MessageEvent.ENROLMENT_CHANGED: "The patient has another GP of record; sent by the exchange to the former one",
    MessageEvent.UNDELIVERABLE: "A message could not be delivered, or perhaps not; sent by the exchange to its sender",
}

CODE_SYSTEMS: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        "data-category": ("Data categories", {str(category): title for category, title in _CATEGORIES.items()}),
        "outcome": ("Outcome codes", codes.OUTCOME_SENTENCES),
        "completeness": ("Completeness of an answer", _named(Completeness)),
        "flag": ("Flags on an answer", _named(Flag)),
        "requester-group": ("Requester groups a consent can name", _named(Group)),
        "registration": (
            "Ways of registering an index entry",
            {"latent": "Registered without a choice of the patient"},
        ),
        "message-event": ("Message events", {str(event): title for event, title in _MESSAGE_EVENTS.items()}),
        "message-state": ("Where a message stands", _named(State)),
        "journal-event": ("Journal events", _named(Event)),
    }
)

EXTENSIONS: Mapping[str, tuple[str, str, Mapping[str, str]]] = MappingProxyType(
    {
        "source": (
            "Which organisation's system an entry comes from",
            "Bundle.entry",
            {"ura": "string", "app-id": "string"},
        ),
        "consent-method": (
            "How a consent was given, who recorded it, on which information",
            "Consent",
            {"method": "code", "recorder": "string", "information": "string"},
        ),
        "consent-state": (
            f"What results for the scope of this consent: {', '.join(ConsentState)}",
            "Consent",
            {},
        ),
    }
)


def code_system(name: str) -> bytes:
    """One of our CodeSystems. Raises KeyError for a name that is not ours."""
    title, concepts = CODE_SYSTEMS[name]
    shown: Json = {
        "resourceType": "CodeSystem",
        "id": name,
        "url": codes.CODE_SYSTEM + name,
        "name": _computable(name),
        "title": title,
        "status": "active",
        "caseSensitive": True,
        "content": "complete",
        "count": len(concepts),
        "concept": [_concept(str(code), display) for code, display in concepts.items()],
    }
    return encode(shown)


def _concept(code: str, display: str) -> Json:
    national = [word for word, category in codes.NATIONAL_WORDS.items() if category == code]
    designations = [{"language": "nl", "value": word} for word in national]
    return {"code": code, "display": display, **({"designation": designations} if designations else {})}


def structure_definition(name: str) -> bytes:
    """One of our extensions. Raises KeyError for a name that is not ours."""
    description, context, parts = EXTENSIONS[name]
    shown: Json = {
        "resourceType": "StructureDefinition",
        "id": name,
        "url": codes.STRUCTURE + name,
        "name": _computable(name),
        "status": "active",
        "description": description,
        "fhirVersion": "4.0.1",
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": context}],
        "type": "Extension",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
        "derivation": "constraint",
        "differential": {"element": _elements(name, description, parts)},
    }
    return encode(shown)


def _elements(name: str, description: str, parts: Mapping[str, str]) -> list[Json]:
    root: Json = {"id": "Extension", "path": "Extension", "short": description, "min": 0, "max": "1"}
    url: Json = {"id": "Extension.url", "path": "Extension.url", "fixedUri": codes.STRUCTURE + name}
    inner = [element for part, type in parts.items() for element in _part(part, type)]
    value: Json = {"id": "Extension.value[x]", "path": "Extension.value[x]"}
    value |= {"max": "0"} if parts else {"type": [{"code": "code"}]}
    return [root, *inner, url, value]


def _part(part: str, type: str) -> list[Json]:
    place, path = f"Extension.extension:{part}", "Extension.extension"
    return [
        {"id": place, "path": path, "sliceName": part, "min": 0, "max": "1"},
        {"id": f"{place}.url", "path": f"{path}.url", "fixedUri": part},
        {"id": f"{place}.value[x]", "path": f"{path}.value[x]", "type": [{"code": type}]},
    ]


def search_parameter() -> bytes:
    """`category` on the medication types, which R4 does not define."""
    types = [one.resource_type for one in REGISTRY if any(p.definition for p in one.parameters) and one.resource_type]
    shown: Json = {
        "resourceType": "SearchParameter",
        "id": "medication-category",
        "url": codes.SWITCHPOINT + "SearchParameter/medication-category",
        "name": "MedicationCategory",
        "status": "active",
        "description": "What kind of medication data a resource is: dispense, agreement, use.",
        "code": "category",
        "base": types,
        "type": "token",
        "expression": " | ".join(f"{type}.category" for type in types),
    }
    return encode(shown)


def _computable(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


# --- the CapabilityStatement -----------------------------------------------------------------------------------------


def capability(
    *, at: datetime, url: str, version: str, simulation: bool, registry: Iterable[Interaction] = REGISTRY
) -> bytes:
    """The CapabilityStatement of the gateway at `url` (its FHIR base), generated from the registry of routes.
    `at` is when this program started, in wall time."""
    offered = [one for one in registry if simulation or not one.simulation_only]
    types = dict.fromkeys(one.resource_type for one in offered if one.resource_type is not None)
    rest: Json = {
        "mode": "server",
        "security": {"cors": False, "description": "Mutual TLS with a UZI-like certificate; a token bound to it."},
        "resource": [_resource(kind, [one for one in offered if one.resource_type == kind]) for kind in sorted(types)],
        "interaction": [{"code": "batch"}] if any(one.act is Act.BATCH for one in offered) else [],
        "operation": [_operation(one) for one in offered if one.act is Act.OPERATION],
    }
    shown: Json = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": moments.instant(at),
        "kind": "instance",
        "software": {"name": "switchpoint", "version": version},
        "implementation": {"description": "An open national health-exchange switchpoint", "url": url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{name: value for name, value in rest.items() if value != []}],
        **({"messaging": [_messaging(url)]} if any(one.name == "process-message" for one in offered) else {}),
    }
    return encode(shown)


_LISTED = (Act.READ, Act.CREATE, Act.UPDATE, Act.DELETE, Act.SEARCH)


def _resource(kind: str, offered: list[Interaction]) -> Json:
    acts = [act for act in _LISTED if any(one.act is act for one in offered)]
    parameters = {p.name: p for one in offered for p in one.parameters}
    shown: Json = {"type": kind, "interaction": [{"code": act} for act in acts]}
    if Act.UPDATE in acts:
        shown["versioning"] = "versioned-update"
    included = f"{kind}:medication"
    if "_include" in parameters:
        shown["searchInclude"] = [included]
    listed = [_parameter(p) for p in parameters.values() if p.name != "_include"]
    return {**shown, **({"searchParam": listed} if listed else {})}


def _parameter(parameter: Parameter) -> Json:
    definition = {"definition": codes.SWITCHPOINT + parameter.definition} if parameter.definition else {}
    required = "required" if parameter.required else "optional"
    spelled = sorted(parameter.accepted - {parameter.name})
    also = f"; also spelled {', '.join(spelled)}" if spelled else ""
    return {"name": parameter.name, "type": parameter.kind, "documentation": required + also, **definition}


_STANDARD_OPERATIONS: Mapping[str, str] = MappingProxyType(
    {"$process-message": "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message"}
)
"""Operations that FHIR R4 defines itself."""


def _operation(interaction: Interaction) -> Json:
    name = interaction.template.removeprefix("$")
    ours = f"{codes.SWITCHPOINT}OperationDefinition/{name}"
    return {"name": name, "definition": _STANDARD_OPERATIONS.get(interaction.template, ours)}


def _messaging(url: str) -> Json:
    taken = " and ".join(f"`{event}`" for event in ACTION_OF)
    transport = {"system": "http://terminology.hl7.org/CodeSystem/message-transport", "code": "http"}
    return {
        "endpoint": [{"protocol": transport, "address": f"{url.rstrip('/')}/$process-message"}],
        "documentation": f"Takes message Bundles of the events {taken} of {codes.MESSAGE_EVENT}. Accepted (202) means"
        " kept until it is delivered, or has failed and its sender is told; the Task in Location says how it stands."
        " A message is known by its sender and MessageHeader.id: sent again, it is the same one.",
    }


PUBLISHED: Mapping[str, Mapping[str, bytes]] = MappingProxyType(
    {
        "CodeSystem": {name: code_system(name) for name in CODE_SYSTEMS},
        "StructureDefinition": {name: structure_definition(name) for name in EXTENSIONS},
        "SearchParameter": {"medication-category": search_parameter()},
    }
)
"""Everything published, by type and id."""
