"""What is asked? A search form or a URL's query in; our words out, or `BadRequest`.

Pure: no token, no register, no clock. Never echoes a value it was sent: it might be a BSN. Bodies that hand something
in are read in bodies.py. Source: interface.md section 4, FHIR R4 search.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote_plus

from gateway.fhir import catalogue, codes, moments
from gateway.fhir.catalogue import Interaction, Parameter
from gateway.fhir.codes import Problem
from gateway.fhir.headers import JSON_TYPES, form_body
from gateway.fhir.refusal import BadRequest, refuse
from gateway.rules.exchange import Category, Query
from gateway.rules.identifiers import APPLICATION_SYSTEM, BSN_SYSTEM, ApplicationId, Bsn, InvalidIdentifier

FORMATS = frozenset({"json", *JSON_TYPES, "application/fhir json"})
"""Values of `_format`; in a form an unescaped plus reads as a space."""
MAX_FIELDS = 100
MAX_COUNT = 200

_REPEATABLE = frozenset({"_include", "date"})
_TOKENS = re.compile(r"(?:[^\s,|]*\|)?[^\s,|]+(?:,(?:[^\s,|]*\|)?[^\s,|]+)*")
_SHOWABLE = re.compile(r"[A-Za-z_:.\-]{1,60}")
_NINE_DIGITS = re.compile(r"(?<![0-9])[0-9]{9}(?![0-9])")


@dataclass(frozen=True, slots=True)
class Localise:
    """Which entries may this requester ask? `category` None is all."""

    patient: Bsn
    category: Category | None


@dataclass(frozen=True, slots=True)
class OwnEntries:
    """Which entries did this custodian register from this system?"""

    application: ApplicationId


@dataclass(frozen=True, slots=True)
class ConsentSearch:
    """Which privacy consents did this custodian record for this patient?"""

    patient: Bsn


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """What happened with this custodian's data about this patient, from `since` up to, not including, `until`?"""

    patient: Bsn
    since: datetime | None
    until: datetime | None
    count: int | None


@dataclass(frozen=True, slots=True)
class DirectorySearch:
    """Which participants (or published definitions) are there? `identifier` as (system, value) narrows."""

    resource_type: str
    identifier: tuple[str, str] | None


Word = Query | Localise | OwnEntries | ConsentSearch | AuditSearch | DirectorySearch
_Given = Mapping[str, tuple[str, ...]]


def search(interaction: Interaction, body: bytes, content_type: str | None, query_string: bytes) -> Word:
    """The word for a search: from the form of a POST, or from the query of a GET (directory only). Raises BadRequest.

    On POST the query string may hold nothing but `_format`.
    """
    if interaction.method == "GET":
        given = _given(interaction, _fields(query_string))
    else:
        plain(query_string)
        form_body(content_type)
        given = _given(interaction, _fields(body))
    return _READERS[interaction.resource_type or ""](interaction, given)


def plain(query_string: bytes) -> None:
    """Check the query string of a URL that takes no parameters: only `_format`, and never a BSN. Raises BadRequest."""
    if not query_string:
        return
    _refuse_bsn(query_string)
    for name, value in _fields(query_string):
        if name != "_format":
            raise _unknown(name)
        _check_format(value)


# --- the form --------------------------------------------------------------------------------------------------------


def _fields(text: bytes) -> list[tuple[str, str]]:
    """The fields of a form, strictly: UTF-8, whole escapes, at most MAX_FIELDS. Raises BadRequest.

    Forms differ in little but the number at their end. That is cut off before anything is remembered.
    """
    form, number = text[:-9], text[-9:]
    if not (number.isdigit() and form.endswith(_BARS)) or len(form) > _FORM_KEPT or _DIGITS.search(form):
        return _parsed(text)
    fields = _form(form + _PLACE)
    name, value = fields[-1]
    return [*fields[:-1], (name, value[: -len(_PLACE)] + number.decode())]


_BARS = (b"%7C", b"%7c", b"|")
_DIGITS = re.compile(rb"[0-9]{4}")
_PLACE = b"_________"
_FORM_KEPT = 512


@lru_cache(maxsize=256)
def _form(text: bytes) -> tuple[tuple[str, str], ...]:
    return tuple(_parsed(text))


def _parsed(text: bytes) -> list[tuple[str, str]]:
    if re.search(rb"%(?![0-9A-Fa-f]{2})", text):
        raise refuse(400, Problem.INVALID_PARAMETER, sentence="The form holds a broken escape.")
    if not text:
        return []
    try:
        return parse_qsl(
            text.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise refuse(400, Problem.INVALID_PARAMETER, sentence="The form cannot be read.") from None


def _given(interaction: Interaction, fields: Iterable[tuple[str, str]]) -> _Given:
    """The fields by canonical parameter name; unknown, empty, repeated and missing ones are errors."""
    known = {spelling: parameter for parameter in interaction.parameters for spelling in parameter.accepted}
    given: dict[str, tuple[str, ...]] = {}
    for name, value in fields:
        if name == "_format":
            _check_format(value)
            continue
        if name not in known:
            raise _unknown(name)
        canonical = known[name].name
        if not value or (canonical in given and canonical not in _REPEATABLE):
            raise refuse(400, Problem.INVALID_PARAMETER, canonical, "A parameter is empty or repeated.")
        given[canonical] = (*given.get(canonical, ()), value)
    _check_required(interaction.parameters, given)
    return given


def _check_required(parameters: Iterable[Parameter], given: _Given) -> None:
    for parameter in parameters:
        if parameter.required and parameter.name not in given:
            raise refuse(400, Problem.REQUIRED, parameter.name, f"The parameter {parameter.name} is required.")


def _unknown(name: str) -> BadRequest:
    shown = name if _SHOWABLE.fullmatch(name) else None
    return refuse(400, Problem.NOT_SUPPORTED, shown, "This search parameter is not supported here.")


def _check_format(value: str) -> None:
    if value.split(";")[0].strip().lower() not in FORMATS:
        raise refuse(406, Problem.NOT_ACCEPTABLE, "_format")


def _refuse_bsn(query_string: bytes) -> None:
    text = unquote_plus(query_string.decode("utf-8", "replace"))
    if BSN_SYSTEM in text or any(_is_bsn(digits) for digits in _NINE_DIGITS.findall(text)):
        raise refuse(400, Problem.BSN_IN_URL)


def _is_bsn(digits: str) -> bool:
    try:
        Bsn(digits)
    except InvalidIdentifier:
        return False
    return True


# --- values ----------------------------------------------------------------------------------------------------------


def _patient(given: _Given, name: str) -> Bsn:
    system, bar, value = given[name][0].partition("|")
    if not bar or system != BSN_SYSTEM or "," in value or "|" in value:
        raise refuse(400, Problem.INVALID_PARAMETER, name, f"One patient is named as {BSN_SYSTEM}|#########.")
    try:
        return Bsn(value)
    except InvalidIdentifier:
        raise refuse(400, Problem.INVALID_BSN, name) from None


def category_word(value: str) -> Category | None:
    """The data category a code names, in our words or the national ones; None for any other."""
    if value in codes.NATIONAL_WORDS:
        return codes.NATIONAL_WORDS[value]
    return Category(value) if value in set(Category) else None


def _category(given: _Given) -> Category | None:
    if "code" not in given:
        return None
    system, bar, value = given["code"][0].rpartition("|")
    found = category_word(value)
    if (bar and system not in codes.CATEGORY_SYSTEMS) or found in (None, Category.RETURN_MESSAGE):
        raise refuse(400, Problem.INVALID_PARAMETER, "code", "This is not the code of a data category.")
    return found


def _tokens(given: _Given, name: str) -> list[str]:
    value = given[name][0]
    if not _TOKENS.fullmatch(value):
        raise refuse(400, Problem.INVALID_PARAMETER, name, "This is not a list of codes.")
    return value.split(",")


def _includes(interaction: Interaction, given: _Given) -> list[tuple[str, str]]:
    wanted = f"{interaction.resource_type}:medication"
    if any(value not in (wanted, wanted + ":Medication") for value in given.get("_include", ())):
        raise refuse(400, Problem.NOT_SUPPORTED, "_include", f"Only {wanted} can be included here.")
    return [("_include", wanted)] if "_include" in given else []


# --- one reader per resource type ------------------------------------------------------------------------------------


def _clinical(interaction: Interaction, given: _Given) -> Query:
    category = [("category", ",".join(_tokens(given, "category")))] if "category" in given else []
    parameters = (*category, *_includes(interaction, given))
    return _query(interaction, _patient(given, "patient.identifier"), "patient.identifier", parameters)


def _query(
    interaction: Interaction, patient: Bsn, parameter: str, parameters: tuple[tuple[str, str], ...] = ()
) -> Query:
    assert interaction.category is not None, "every clinical search has a category"
    assert interaction.resource_type is not None, "every search has a type"
    return Query(interaction.category, interaction.resource_type, patient, parameter, parameters)


def _summary(interaction: Interaction, given: _Given) -> Query:
    wanted = f"{codes.LOINC}|{codes.SUMMARY_TYPE}"
    if given["composition.type"] != (wanted,):
        raise refuse(400, Problem.INVALID_PARAMETER, "composition.type", f"Only {wanted} is offered.")
    name = catalogue.DOCUMENT_PATIENT.name
    return _query(interaction, _patient(given, name), name, (("composition.type", wanted),))


def _consents(interaction: Interaction, given: _Given) -> Query | ConsentSearch:
    scopes = [token.removeprefix(codes.CONSENT_SCOPE + "|") for token in _tokens(given, "scope")]
    patient = _patient(given, "patient.identifier")
    if set(scopes) == {codes.PRIVACY_SCOPE}:
        return ConsentSearch(patient)
    if not set(scopes) <= codes.CLINICAL_SCOPES:
        sentence = "The scope is patient-privacy, or treatment and adr; the two are never mixed."
        raise refuse(400, Problem.INVALID_PARAMETER, "scope", sentence)
    return _query(interaction, patient, "patient.identifier", (("scope", ",".join(dict.fromkeys(scopes))),))


def _entries(interaction: Interaction, given: _Given) -> Localise | OwnEntries:
    if catalogue.SOURCE.name in given:
        if len(given) > 1:
            raise refuse(400, Problem.NOT_SUPPORTED, catalogue.SOURCE.name, "Own entries are searched by system only.")
        return OwnEntries(_application(given))
    if catalogue.SUBJECT.name not in given:
        raise refuse(400, Problem.REQUIRED, catalogue.SUBJECT.name)
    return Localise(_patient(given, catalogue.SUBJECT.name), _category(given))


def _application(given: _Given) -> ApplicationId:
    system, _, value = given[catalogue.SOURCE.name][0].partition("|")
    try:
        if system == APPLICATION_SYSTEM:
            return ApplicationId(value)
    except InvalidIdentifier:
        pass
    raise refuse(400, Problem.INVALID_PARAMETER, catalogue.SOURCE.name, f"A system is {APPLICATION_SYSTEM}|<number>.")


def _audit(interaction: Interaction, given: _Given) -> AuditSearch:
    count = given.get("_count", ("",))[0]
    if count and not re.fullmatch(r"[1-9][0-9]{0,8}", count):
        raise refuse(400, Problem.INVALID_PARAMETER, "_count")
    try:
        since, until = moments.window(given.get("date", ()))
    except ValueError:
        raise refuse(400, Problem.INVALID_PARAMETER, "date") from None
    patient = _patient(given, "patient.identifier")
    return AuditSearch(patient, since, until, min(int(count), MAX_COUNT) if count else None)


def _directory(interaction: Interaction, given: _Given) -> DirectorySearch:
    assert interaction.resource_type is not None, "every directory search has a type"
    if "identifier" not in given:
        return DirectorySearch(interaction.resource_type, None)
    system, bar, value = given["identifier"][0].partition("|")
    if not bar or not value or system == BSN_SYSTEM:
        raise refuse(400, Problem.INVALID_PARAMETER, "identifier", "An identifier is <system>|<value>.")
    return DirectorySearch(interaction.resource_type, (system, value))


_READERS: Mapping[str, Callable[[Interaction, _Given], Word]] = MappingProxyType(
    {
        "Bundle": _summary,
        "Consent": _consents,
        "List": _entries,
        "AuditEvent": _audit,
        **dict.fromkeys(("MedicationDispense", "MedicationRequest", "MedicationStatement"), _clinical),
        **dict.fromkeys(("AllergyIntolerance", "Flag"), _clinical),
        **dict.fromkeys(("Organization", "Endpoint", *catalogue.DEFINITIONS), _directory),
    }
)
