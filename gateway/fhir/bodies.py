"""What does somebody hand in? An index entry (List), a privacy consent, a batch, a question to explain.

Form is proven by strict.py (`Malformed`, 400); what is well-formed but not what this exchange takes is 422, with the
place. Nothing that changes meaning is ever dropped in silence: an element we would not act on is refused.
Judges no entitlement and no rule. Source: interface.md sections 4 and 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from gateway.fhir import codes, moments, plain_entry, strict
from gateway.fhir.codes import Problem
from gateway.fhir.reading import category_word
from gateway.fhir.refusal import BadRequest, refuse
from gateway.fhir.strict import Malformed
from gateway.rules.exchange import Category
from gateway.rules.identifiers import (
    APPLICATION_SYSTEM,
    BSN_SYSTEM,
    URA_SYSTEM,
    ApplicationId,
    Bsn,
    InvalidIdentifier,
    Ura,
)
from gateway.rules.network import Registration

Json = dict[str, Any]

MAX_BATCH = 5_000
MAX_BATCH_BYTES = 10 * 1024 * 1024

_ENVELOPE = frozenset({"resourceType", "id", "meta", "language", "text", "contained", "extension", "identifier"})
_ENTRY = _ENVELOPE | {"status", "mode", "code", "subject", "source", "date", "emptyReason"}


def content(path: str, sentence: str | None = None, problem: Problem = Problem.INVALID_CONTENT) -> BadRequest:
    """The refusal of well-formed content (422)."""
    return refuse(422, problem, path, sentence)


# --- index entries ---------------------------------------------------------------------------------------------------


def entry(body: bytes) -> Registration:
    """The index entry a List names. Raises Malformed (400) and BadRequest (422)."""
    return plain_entry.read(body) or modelled_entry(body)


def modelled_entry(body: bytes) -> Registration:
    """As `entry`, by the models alone: the slow way, which takes every form and says what is wrong."""
    resource = cast("Json", strict.resource(body, "List"))
    only("List", resource, _ENTRY)
    if resource["status"] != "current" or resource["mode"] != "working":
        raise content("List.status", "An index entry is current and working; it ends by DELETE.")
    reason = resource.get("emptyReason")
    if reason is not None and not has_code(reason, codes.EMPTY_REASON, "withheld"):
        raise content("List.emptyReason", "The content of an index entry is withheld: the switchpoint holds none.")
    custodian, system = _source(resource)
    category = _category(resource)
    date = resource.get("date", "")
    if category is Category.ENROLMENT and not date:
        raise content("List.date", "An enrolment says since when.", Problem.REQUIRED)
    return Registration(
        patient=patient_of(resource, "subject", "List"),
        custodian=custodian,
        system=system,
        category=category,
        latent=_latent(resource),
        date=date,
    )


def _category(resource: Json) -> Category:
    named = [one for system in codes.CATEGORY_SYSTEMS for one in codings(resource.get("code"), system)]
    found = {category_word(one["code"]) for one in named if "code" in one}
    category = found.pop() if len(found) == 1 else None
    if category is None or category is Category.RETURN_MESSAGE:
        raise content("List.code", f"An index entry names one category of {codes.DATA_CATEGORY}.")
    return category


def _source(resource: Json) -> tuple[Ura, ApplicationId]:
    device = contained_at(resource, resource.get("source"), "Device")
    if device is None:
        raise content("List.source", "The source is a contained Device.", Problem.REQUIRED)
    owner = device.get("owner", {}).get("identifier")
    numbers = [one for one in device.get("identifier", []) if one.get("system") == APPLICATION_SYSTEM]
    try:
        if len(numbers) == 1 and owner is not None and owner.get("system") == URA_SYSTEM:
            return Ura(owner.get("value", "")), ApplicationId(numbers[0].get("value", ""))
    except InvalidIdentifier:
        pass
    raise content("List.contained", "The Device names its application id, and as owner its organisation's URA.")


def _latent(resource: Json) -> bool:
    tags = {
        one.get("code") for one in resource.get("meta", {}).get("tag", []) if one.get("system") == codes.REGISTRATION
    }
    if not tags <= {"latent"}:
        raise content("List.meta.tag", "The only tag of registration is latent.")
    return bool(tags)


# --- batch and explain -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One message of a batch: `url` relative to the base, `body` the resource's own bytes or None."""

    method: str
    url: str
    body: bytes | None = field(repr=False)


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    method: str
    url: str


class _BatchItem(msgspec.Struct, forbid_unknown_fields=True):
    request: _Request
    resource: msgspec.Raw = msgspec.Raw()
    fullUrl: str | None = None
    id: str | None = None


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    resourceType: str
    type: str
    entry: list[_BatchItem] = []
    id: str | None = None
    meta: dict[str, Any] | None = None


_BATCH = msgspec.json.Decoder(_Batch)


def batch(body: bytes) -> tuple[BatchEntry, ...]:
    """The messages in a batch Bundle, at most MAX_BATCH. Each is judged by itself later: an entry that is wrong gets
    its own status, and does not spoil the others. Raises Malformed (400) and BadRequest (400, 413)."""
    if len(body) > MAX_BATCH_BYTES:
        raise refuse(413, Problem.TOO_LARGE)
    bundle = strict.parse(body)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Malformed("resourceType", "a Bundle is expected")
    if bundle.get("type") != "batch":
        raise refuse(400, Problem.NOT_SUPPORTED, "Bundle.type", "Only a batch is taken here.")
    try:
        read = _BATCH.decode(body)
    except msgspec.DecodeError:
        raise Malformed("Bundle.entry", "each entry holds a request with method and url, and a resource") from None
    if len(read.entry) > MAX_BATCH:
        raise refuse(413, Problem.TOO_LARGE, "Bundle.entry")
    return tuple(BatchEntry(one.request.method, one.request.url, bytes(one.resource) or None) for one in read.entry)


def explain(body: bytes) -> Category:
    """The category to explain: Parameters with one `category`, as code, string or coding.

    Raises Malformed (400), BadRequest (422)."""
    resource = cast("Json", strict.resource(body, "Parameters"))
    parameters = resource.get("parameter", [])
    if len(parameters) != 1 or parameters[0]["name"] != "category":
        raise content("Parameters.parameter", "There is one parameter, category.", Problem.REQUIRED)
    given = parameters[0]
    word = given.get("valueCode") or given.get("valueString") or given.get("valueCoding", {}).get("code", "")
    found = category_word(word)
    if found in (None, Category.RETURN_MESSAGE):
        raise content("Parameters.parameter[0]", f"The category is a code of {codes.DATA_CATEGORY}.")
    return cast("Category", found)


# --- parts of resources ----------------------------------------------------------------------------------------------


def only(path: str, element: Mapping[str, object], understood: Iterable[str]) -> None:
    """Refuse what this exchange would have to ignore, modifiers first of all. Raises BadRequest (422)."""
    strange = [name for name in element if name.lstrip("_") not in set(understood)]
    if strange:
        raise content(
            f"{path}.{strict.safe_name(strange[0])}", "This element is not taken here.", Problem.NOT_SUPPORTED
        )


def codings(concept: Json | None, system: str) -> list[Json]:
    """The codings of a CodeableConcept in one system."""
    return [one for one in (concept or {}).get("coding", []) if one.get("system") == system]


def has_code(concept: Json | None, system: str, code: str) -> bool:
    return any(one.get("code") == code for one in codings(concept, system))


def patient_of(resource: Json, element: str, path: str) -> Bsn:
    """The patient a reference names by BSN. Raises BadRequest (422)."""
    identifier = resource.get(element, {}).get("identifier", {})
    if identifier.get("system") != BSN_SYSTEM:
        raise content(f"{path}.{element}", f"The patient is named by an identifier of {BSN_SYSTEM}.", Problem.REQUIRED)
    try:
        return Bsn(identifier.get("value", ""))
    except InvalidIdentifier:
        raise content(f"{path}.{element}", problem=Problem.INVALID_BSN) from None


def contained_at(resource: Json, reference: Json | None, kind: str) -> Json | None:
    """The contained resource of this type that a reference leads to, or None."""
    target = (reference or {}).get("reference", "")
    for one in resource.get("contained", []):
        if target == f"#{one['id']}" and one["resourceType"] == kind:
            return cast("Json", one)
    return None


def effective(resource: Json, element: str, path: str) -> Any:
    """The moment of a dateTime element, or None where it is absent. Raises BadRequest (422)."""
    if element not in resource:
        return None
    try:
        return moments.effective(resource[element])
    except ValueError:
        raise content(f"{path}.{element}", "The moment is at least a whole date.") from None
