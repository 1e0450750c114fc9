"""Which interactions does the exchange offer? One registry: routes, accepted search parameters, CapabilityStatement.

What is not a row here is not offered. Knows methods, paths and names; nothing of tokens, bodies or rules.
Source: interface.md section 4. A new interaction is one row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gateway.rules.exchange import Category

BASES = ("/fhir/R4", "/fhir")
"""Longest first: the alias would otherwise be read as a path under the base."""

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class Who(StrEnum):
    """What a caller must bring beside its certificate."""

    CERTIFICATE = "certificate"
    SYSTEM = "system-token"
    REQUESTER = "requester-token"
    TOKEN = "token"
    """Either kind: the search parameters tell whether a custodian or a requester speaks, or it does not matter."""


class Act(StrEnum):
    """What an interaction is in FHIR's words (restful interaction codes, and two that are ours)."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    SEARCH = "search-type"
    BATCH = "batch"
    OPERATION = "operation"
    CAPABILITIES = "capabilities"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter: the spelling that travels on, every spelling accepted, its FHIR type."""

    name: str
    kind: str
    spellings: tuple[str, ...] = ()
    required: bool = False
    definition: str | None = None

    @property
    def accepted(self) -> frozenset[str]:
        return frozenset({self.name, *self.spellings})


@dataclass(frozen=True, slots=True)
class Interaction:
    """One thing the exchange offers. `template` is below the base; `{id}` stands for one FHIR id."""

    name: str
    method: str
    template: str
    who: Who
    act: Act
    resource_type: str | None = None
    category: Category | None = None
    parameters: tuple[Parameter, ...] = ()
    simulation_only: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The interaction asked for, and the id in its path if its template has one."""

    interaction: Interaction
    id: str | None = None


@dataclass(frozen=True, slots=True)
class NotOffered:
    """404 where nothing is, 405 where something is but not by this method; `allow` is the value for Allow."""

    status: int
    allow: tuple[str, ...] = ()


def _spellings(*elements: str) -> tuple[str, ...]:
    """`patient:identifier` and the chained `patient.identifier` mean the same."""
    return tuple(f"{element}{joint}identifier" for element in elements for joint in (".", ":"))


PATIENT = Parameter("patient.identifier", "token", _spellings("patient", "subject"), required=True)
DOCUMENT_PATIENT = Parameter(
    "composition.patient.identifier",
    "token",
    _spellings("composition.patient", "composition.subject"),
    required=True,
)
DOCUMENT_TYPE = Parameter("composition.type", "token", required=True)
SUBJECT = Parameter("subject:identifier", "token", _spellings("subject", "patient"))
SOURCE = Parameter("source:Device.identifier", "token", ("source:Device:identifier", "source.identifier"))
CODE = Parameter("code", "token")
SCOPE = Parameter("scope", "token", required=True)
CATEGORY = Parameter("category", "token", definition="SearchParameter/medication-category")
INCLUDE = Parameter("_include", "special")
DATE = Parameter("date", "date")
COUNT = Parameter("_count", "number")
IDENTIFIER = Parameter("identifier", "token")

_MEDICATION = ("MedicationDispense", "MedicationRequest", "MedicationStatement")
_ALLERGIES = ("AllergyIntolerance", "Flag")
DEFINITIONS = ("CodeSystem", "StructureDefinition", "SearchParameter")


def _search(kind: str, who: Who, parameters: tuple[Parameter, ...], category: Category | None = None) -> Interaction:
    return Interaction(f"search-{kind}", "POST", f"{kind}/_search", who, Act.SEARCH, kind, category, parameters)


def _on(kind: str, act: Act, method: str, who: Who) -> Interaction:
    template = kind if act is Act.CREATE else f"{kind}/{{id}}"
    return Interaction(f"{act}-{kind}", method, template, who, act, kind)


def _open(kind: str) -> tuple[Interaction, ...]:
    """Readable for every certificate: by id, and as a list without patients."""
    listed = Interaction(
        f"list-{kind}", "GET", kind, Who.CERTIFICATE, Act.SEARCH, kind, None,
        () if kind in DEFINITIONS else (IDENTIFIER,),
    )  # fmt: skip
    return (listed, _on(kind, Act.READ, "GET", Who.CERTIFICATE))


REGISTRY: tuple[Interaction, ...] = (
    Interaction("capabilities", "GET", "metadata", Who.CERTIFICATE, Act.CAPABILITIES),
    Interaction("batch", "POST", "", Who.SYSTEM, Act.BATCH),
    _on("List", Act.CREATE, "POST", Who.SYSTEM),
    _on("List", Act.READ, "GET", Who.SYSTEM),
    _on("List", Act.DELETE, "DELETE", Who.SYSTEM),
    _search("List", Who.TOKEN, (SUBJECT, CODE, SOURCE)),
    _on("Consent", Act.CREATE, "POST", Who.SYSTEM),
    _on("Consent", Act.READ, "GET", Who.SYSTEM),
    _on("Consent", Act.UPDATE, "PUT", Who.SYSTEM),
    _search("Consent", Who.TOKEN, (PATIENT, SCOPE), Category.TREATMENT_LIMITS),
    _search("Bundle", Who.REQUESTER, (DOCUMENT_PATIENT, DOCUMENT_TYPE), Category.GP_SUMMARY),
    *(_search(kind, Who.REQUESTER, (PATIENT, CATEGORY, INCLUDE), Category.MEDICATION) for kind in _MEDICATION),
    *(_search(kind, Who.REQUESTER, (PATIENT,), Category.ALLERGIES) for kind in _ALLERGIES),
    _search("AuditEvent", Who.SYSTEM, (PATIENT, DATE, COUNT)),
    Interaction("page-AuditEvent", "GET", "AuditEvent/_page/{id}", Who.SYSTEM, Act.SEARCH, "AuditEvent"),
    Interaction("process-message", "POST", "$process-message", Who.TOKEN, Act.OPERATION),
    _on("Task", Act.READ, "GET", Who.TOKEN),
    Interaction("explain", "POST", "$explain", Who.REQUESTER, Act.OPERATION, simulation_only=True),
    *(interaction for kind in ("Organization", "Endpoint", *DEFINITIONS) for interaction in _open(kind)),
)

_PLAIN = MappingProxyType({(one.method, one.template): one for one in REGISTRY if "{" not in one.template})
"""The searches, found at once."""


def match(
    method: str, path: str, *, simulation: bool = True, registry: Iterable[Interaction] = REGISTRY
) -> Match | NotOffered:
    """The interaction behind a method and a decoded URL path, or what to say instead. Never raises."""
    below = _below_base(path)
    if below is None:
        return NotOffered(404)
    plain = _PLAIN.get((method, below)) if registry is REGISTRY else None
    if plain is not None and (simulation or not plain.simulation_only):
        return Match(plain)
    offered = [one for one in registry if simulation or not one.simulation_only]
    here = [(one, found) for one in offered if (found := _fits(one.template, below)) is not None]
    for interaction, id in here:
        if interaction.method == method:
            return Match(interaction, id or None)
    if here:
        return NotOffered(405, tuple(sorted({interaction.method for interaction, _ in here})))
    return NotOffered(405 if _is_offered_type(below, offered) else 404)


def _below_base(path: str) -> str | None:
    for base in BASES:
        if path == base:
            return ""
        if path.startswith(base + "/"):
            return path[len(base) + 1 :]
    return None


def _fits(template: str, below: str) -> str | None:
    """The id in the path, "" where the template has none, None where it does not fit."""
    if not template.endswith("{id}"):
        return "" if template == below else None
    prefix = template[: -len("{id}")]
    rest = below[len(prefix) :] if below.startswith(prefix) else ""
    return rest if _ID.fullmatch(rest) else None


def _is_offered_type(below: str, offered: list[Interaction]) -> bool:
    """Whether the path is a well-formed one of a type that is offered otherwise: wrong method rather than nothing."""
    kind, _, rest = below.partition("/")
    known = any(one.resource_type == kind for one in offered)
    return known and (rest in ("", "_search") or _ID.fullmatch(rest) is not None)
