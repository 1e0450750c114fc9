"""How does the exchange describe itself to a program that knows no FHIR? An OpenAPI 3.1 document from the registry.

Made from the same rows as the routes and the CapabilityStatement (fhir/catalogue.py), so that it cannot describe what
is not offered. Knows forms, statuses and media types; nothing of tokens' content or rules. Source: interface.md
section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gateway.fhir.catalogue import (
    CODE,
    COUNT,
    DATE,
    DOCUMENT_PATIENT,
    DOCUMENT_TYPE,
    PATIENT,
    REGISTRY,
    SCOPE,
    SUBJECT,
    Act,
    Interaction,
    Parameter,
    Who,
)
from gateway.fhir.codes import DATA_CATEGORY

Json = dict[str, Any]

FHIR_JSON, FORM = "application/fhir+json", "application/x-www-form-urlencoded"

_ALWAYS = (400, 401, 403, 404, 405, 406, 413, 429, 500, 503)
"""What every interaction may answer beside its success: an OperationOutcome."""
_WITH_BODY = (415, 422)
_GOOD: Mapping[Act, tuple[int, ...]] = MappingProxyType(
    {
        Act.CREATE: (200, 201),
        Act.UPDATE: (200,),
        Act.DELETE: (204,),
        Act.OPERATION: (200, 202),
    }
)
_MORE: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"process-message": (409,), "update-Consent": (409, 412), "create-Consent": (409,), "create-List": (409,)}
)
_FAILED_SOURCES = (502, 504)
_ANSWERS: Mapping[Act, str] = MappingProxyType({Act.SEARCH: "Bundle", Act.CAPABILITIES: "CapabilityStatement"})
_SENT: Mapping[str, str] = MappingProxyType({"batch": "Bundle", "process-message": "Bundle", "explain": "Parameters"})
_SAYS: Mapping[Who, list[Json]] = MappingProxyType(
    {
        Who.CERTIFICATE: [{"certificate": []}],
        Who.SYSTEM: [{"certificate": [], "token": []}],
        Who.REQUESTER: [{"certificate": [], "token": []}],
        Who.TOKEN: [{"certificate": [], "token": []}],
    }
)


def openapi(*, url: str, version: str, simulation: bool, registry: Iterable[Interaction] = REGISTRY) -> Json:
    """The OpenAPI document of the gateway whose FHIR base is `url`."""
    paths: dict[str, Json] = {}
    for one in registry:
        if simulation or not one.simulation_only:
            paths.setdefault("/" + one.template, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Switchpoint, the exchange",
            "version": version,
            "description": "FHIR R4 over mutual TLS. Generated from the registry of routes, as GET /metadata is.",
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "certificate": {"type": "mutualTLS"},
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT, bound to the certificate"},
            },
            "schemas": {
                "OperationOutcome": _outcome_schema(),
            },
        },
    }


def _operation(one: Interaction) -> Json:
    described: Json = {
        "operationId": one.name,
        "security": _SAYS[one.who],
        "parameters": [_aorta(), *_in_path(one), *_in_query(one)],
        "responses": _responses(one),
    }
    body = _body(one)
    return {**described, "requestBody": body} if body else described


def _aorta() -> Json:
    uuid = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    return {
        "name": "AORTA-ID",
        "in": "header",
        "required": False,
        "description": "The chain and this message; minted when absent.",
        "schema": {"type": "string", "pattern": f"^initialRequestID={uuid}; requestID={uuid}$"},
    }


def _in_path(one: Interaction) -> list[Json]:
    if "{id}" not in one.template:
        return []
    schema = {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
    return [{"name": "id", "in": "path", "required": True, "schema": schema}]


def _in_query(one: Interaction) -> list[Json]:
    """Only lists without patients are searched by GET: no BSN ever stands in a URL."""
    if one.method != "GET":
        return []
    return [{"name": p.name, "in": "query", "required": False, "schema": _schema(p)} for p in one.parameters]


_BSN = {"type": "string", "pattern": r"^http://fhir\.nl/fhir/NamingSystem/bsn\|[0-9]{9}$"}
_FORMS: Mapping[str, Json] = MappingProxyType(
    {
        **{one.name: _BSN for one in (PATIENT, DOCUMENT_PATIENT, SUBJECT)},
        DOCUMENT_TYPE.name: {"type": "string", "enum": ["http://loinc.org|60591-5"]},
        SCOPE.name: {"type": "string", "enum": ["patient-privacy", "treatment,adr", "treatment", "adr"]},
        COUNT.name: {"type": "integer", "minimum": 0},
        CODE.name: {"type": "string", "examples": [f"{DATA_CATEGORY}|gp-summary"]},
        DATE.name: {"type": "string", "pattern": r"^(eq|ge|gt|le|lt)?[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    }
)


def _schema(parameter: Parameter) -> Json:
    return _FORMS.get(parameter.name, {"type": "string"})


def _body(one: Interaction) -> Json | None:
    if one.act is Act.SEARCH and one.method == "POST":
        properties = {p.name: _schema(p) for p in one.parameters}
        required = [p.name for p in one.parameters if p.required]
        form = {"type": "object", "properties": properties, "additionalProperties": False}
        return {
            "required": True,
            "content": {FORM: {"schema": {**form, **({"required": required} if required else {})}}},
        }
    if one.method not in ("POST", "PUT"):
        return None
    kind = _SENT.get(one.name, one.resource_type)
    return {"required": True, "content": {FHIR_JSON: {"schema": _resource(kind)}}}


def _resource(kind: str | None) -> Json:
    known = {"const": kind} if kind else {"type": "string"}
    return {"type": "object", "required": ["resourceType"], "properties": {"resourceType": known}}


def _responses(one: Interaction) -> Json:
    statuses = [*_ALWAYS, *_MORE.get(one.name, ())]
    statuses += _WITH_BODY if one.method in ("POST", "PUT") else []
    statuses += _FAILED_SOURCES if one.category is not None else []
    wrong = {str(status): _answered("#/components/schemas/OperationOutcome") for status in sorted(statuses)}
    return {**{str(status): _good(one, status) for status in _GOOD.get(one.act, (200,))}, **wrong}


def _good(one: Interaction, status: int) -> Json:
    if status == 204:
        return {"description": "Done; there is nothing to say."}
    if one.name == "process-message":
        return {"description": "Accepted: see Location."}
    kind = _ANSWERS.get(one.act) or ("Bundle" if one.act is Act.BATCH else None)
    kind = kind or ("Parameters" if one.name == "explain" else one.resource_type)
    return {"description": "As asked.", "content": {FHIR_JSON: {"schema": _resource(kind)}}}


def _answered(schema: str) -> Json:
    return {
        "description": "What is wrong, with its machine code.",
        "content": {FHIR_JSON: {"schema": {"$ref": schema}}},
    }


def _outcome_schema() -> Json:
    coding = {"type": "object", "required": ["system", "code"]}
    details = {
        "type": "object",
        "required": ["coding", "text"],
        "properties": {"coding": {"type": "array", "minItems": 1, "items": coding}, "text": {"type": "string"}},
    }
    issue = {"type": "object", "required": ["severity", "code", "details"], "properties": {"details": details}}
    return {
        "type": "object",
        "required": ["resourceType", "issue"],
        "properties": {
            "resourceType": {"const": "OperationOutcome"},
            "issue": {"type": "array", "minItems": 1, "items": issue},
        },
    }
