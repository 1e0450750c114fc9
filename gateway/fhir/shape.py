"""What do the fhir.resources models let through that R4 forbids? The walk behind them: forms, codes, hollow elements.

Walks a validated model and its raw JSON side by side, since only the raw JSON tells `"true"` from `true`.
Knows R4's primitive forms and the required bindings of the few types we act on; nothing of what they mean to us.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from pydantic import BaseModel

from gateway.fhir import narrative

CONTAINED_TYPES = frozenset({"Device", "Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization"})
"""What may be contained in a resource we act on: the types whose codes stand in REQUIRED_CODES."""

_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_DATE = r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
PATTERNS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        name: re.compile(pattern)
        for name, pattern in {
            "Id": r"[A-Za-z0-9\-.]{1,64}",
            "Code": r"[^\s]+( [^\s]+)*",
            "Uri": r"\S+",
            "Url": r"\S+",
            "Canonical": r"\S+",
            "Oid": r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+",
            "UuidVersion": r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "String": r"[ \r\n\t\u0021-\U0010FFFF]+",
            "Markdown": r"[ \r\n\t\u0021-\U0010FFFF]+",
            "Xhtml": r"[ \r\n\t\u0021-\U0010FFFF]+",
            "Date": _DATE,
            "DateTime": rf"[0-9]{{4}}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])(T{_TIME}{_ZONE})?)?)?",
            "Instant": rf"[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T{_TIME}{_ZONE}",
            "Time": _TIME,
            "Base64Binary": r"(\s*([0-9a-zA-Z+/]{4}|[0-9a-zA-Z+/]{2}==|[0-9a-zA-Z+/]{3}=)\s*)+",
        }.items()
    }
)
"""R4 primitive to the form of its JSON string (R4 datatypes, section 2.24); names as fhir.resources marks them."""

WHOLE = frozenset({"Integer", "PositiveInt", "UnsignedInt"})

_SEX = "male female other unknown"
_USE = "usual official temp secondary old"
_UNITS_OF_TIME = "s min h d wk mo a"
_QUANTITIES = ("Quantity", "Age", "Count", "Distance", "Duration")
REQUIRED_CODES: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType(
    {
        place: frozenset(words.split())
        for place, words in {
            ("List", "status"): "current retired entered-in-error",
            ("List", "mode"): "working snapshot changes",
            ("Consent", "status"): "draft proposed active rejected inactive entered-in-error",
            ("ConsentProvision", "type"): "deny permit",
            ("ConsentProvisionData", "meaning"): "instance related dependents authoredby",
            ("Narrative", "status"): "generated extensions additional empty",
            ("Identifier", "use"): _USE,
            ("HumanName", "use"): "usual official temp nickname anonymous old maiden",
            ("Address", "use"): "home work temp old billing",
            ("Address", "type"): "postal physical both",
            ("ContactPoint", "system"): "phone fax email pager url sms other",
            ("ContactPoint", "use"): "home work temp old mobile",
            ("Patient", "gender"): _SEX,
            ("PatientContact", "gender"): _SEX,
            ("PatientLink", "type"): "replaced-by replaces refer seealso",
            ("RelatedPerson", "gender"): _SEX,
            ("Practitioner", "gender"): _SEX,
            ("PractitionerRoleAvailableTime", "daysOfWeek"): "mon tue wed thu fri sat sun",
            ("Device", "status"): "active inactive entered-in-error unknown",
            ("DeviceUdiCarrier", "entryType"): "barcode rfid manual card self-reported unknown",
            ("DeviceDeviceName", "type"): "udi-label-name user-friendly-name patient-reported-name manufacturer-name"
            " model-name other",
            **{(kind, "comparator"): "< <= >= >" for kind in _QUANTITIES},
            ("TimingRepeat", "dayOfWeek"): "mon tue wed thu fri sat sun",
            ("TimingRepeat", "durationUnit"): _UNITS_OF_TIME,
            ("TimingRepeat", "periodUnit"): _UNITS_OF_TIME,
            ("Contributor", "type"): "author editor reviewer endorser",
            ("DataRequirementSort", "direction"): "ascending descending",
            ("ParameterDefinition", "use"): "in out",
            ("RelatedArtifact", "type"): "documentation justification citation predecessor successor derived-from"
            " depends-on composed-of",
            ("TriggerDefinition", "type"): "named-event periodic data-changed data-added data-modified data-removed"
            " data-accessed data-access-ended",
        }.items()
    }
)
"""Required bindings of the types we act on and of every data type an extension can hold; from the R4 definitions, not
from the models."""


class Misshapen(Exception):
    """An element is not as R4 wants it. `path` is FHIRPath-like; neither it nor `why` carries content."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type: the model's attribute, and for a primitive the name of its kind."""

    attribute: str
    primitive: str | None


def refuse_hollow(value: object, path: str) -> None:
    """Refuse what R4 JSON never holds: null (save as a placeholder beside `_name`), empty objects, arrays, strings."""
    if value is None or value in ({}, [], ""):
        raise Misshapen(path, "an element is empty or null")
    if isinstance(value, dict):
        for name, child in value.items():
            _refuse_hollow_child(value, name, child, f"{path}.{_shown(name)}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            refuse_hollow(child, f"{path}[{index}]")


def _refuse_hollow_child(parent: dict[str, object], name: str, child: object, path: str) -> None:
    twin = parent.get(name[1:] if name.startswith("_") else "_" + name)
    paired = isinstance(child, list) and isinstance(twin, list) and len(child) == len(twin)
    if not paired or not isinstance(child, list) or not isinstance(twin, list):
        return refuse_hollow(child, path)
    for index, (one, other) in enumerate(zip(child, twin, strict=True)):
        if one is not None or other is None:
            refuse_hollow(one, f"{path}[{index}]")
    return None


def refuse_strange_contained(value: Mapping[str, object], path: str) -> None:
    """Refuse contained resources of other types than CONTAINED_TYPES, without an id, or sharing one."""
    contained = value.get("contained", [])
    seen: set[object] = set()
    for index, item in enumerate(contained if isinstance(contained, list) else [contained]):
        here = f"{path}.contained[{index}]"
        kind = item.get("resourceType") if isinstance(item, dict) else None
        if not isinstance(kind, str) or kind not in CONTAINED_TYPES or "contained" in item:
            raise Misshapen(here, "a resource of this type cannot be contained here")
        if not isinstance(item.get("id"), str) or item["id"] in seen:
            raise Misshapen(here, "a contained resource needs an id of its own")
        seen.add(item["id"])


def check(model: BaseModel, raw: Mapping[str, object], path: str) -> None:
    """Walk model and raw JSON together: every name an R4 name, every primitive in its JSON form, required codes."""
    known = elements(type(model))
    for name, value in raw.items():
        here = f"{path}.{_shown(name)}"
        element = known.get(name)
        if name == "resourceType":
            continue
        if element is None:
            raise Misshapen(here, "this element does not exist here")
        codes = REQUIRED_CODES.get((type(model).__name__, name))
        parsed = getattr(model, element.attribute)
        for place, one, twin in _pairs(here, value, parsed):
            _check_one(element, codes, one, twin, place)


def _pairs(path: str, value: object, parsed: object) -> Iterator[tuple[str, object, object]]:
    if not isinstance(value, list):
        if isinstance(parsed, list):
            raise Misshapen(path, "a list is expected")
        yield path, value, parsed
        return
    if not isinstance(parsed, list) or len(parsed) != len(value):
        raise Misshapen(path, "no list is expected")
    for index, (one, twin) in enumerate(zip(value, parsed, strict=True)):
        if one is not None:
            yield f"{path}[{index}]", one, twin


def _check_one(element: Element, codes: frozenset[str] | None, value: object, parsed: object, path: str) -> None:
    if element.primitive is not None:
        if not _has_form(element.primitive, value):
            raise Misshapen(path, f"this is not the form of a {element.primitive.lower()}")
        if codes is not None and value not in codes:
            raise Misshapen(path, "this code is not one of the codes required here")
    elif isinstance(parsed, BaseModel) and isinstance(value, dict):
        check(parsed, value, path)
    else:
        raise Misshapen(path, "an object is expected")


def _has_form(primitive: str, value: object) -> bool:
    if primitive == "Boolean":
        return isinstance(value, bool)
    if primitive in WHOLE:
        return isinstance(value, int) and not isinstance(value, bool)
    if primitive == "Decimal":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str) or not PATTERNS[primitive].fullmatch(value):
        return False
    return primitive != "Xhtml" or narrative.is_harmless(value)


@lru_cache(maxsize=512)
def elements(model: type[BaseModel]) -> Mapping[str, Element]:
    """The elements of a modelled type by their JSON name."""
    return MappingProxyType(
        {field.alias or name: Element(name, _primitive(field.annotation)) for name, field in model.model_fields.items()}
    )


def _primitive(annotation: object) -> str | None:
    """The mark fhir.resources puts on a primitive (`Annotated[str, Code()]`), or None for an object type."""
    if annotation is bool:
        return "Boolean"
    for mark in getattr(annotation, "__metadata__", ()):
        if (name := type(mark).__name__) in PATTERNS or name in WHOLE or name == "Decimal":
            return name
    return next((found for part in typing.get_args(annotation) if (found := _primitive(part))), None)


def _shown(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").isalpha() and len(name) <= 64 else "?"
