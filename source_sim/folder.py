"""Which real instances lie in a folder, and whose are they? Any FHIR R4 JSON files, read into records without a change.

It knows how resources refer to one another. It may not know who asks, nor judge whether an instance is good FHIR: an
instance is served as the bytes that were found, outer whitespace included, or it is not served and the report says why.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from source_sim.medicine import NAMING
from source_sim.population import is_bsn
from source_sim.records import Instance, Record, View, chosen, is_absolute, references, resolve

_BSN: Final = NAMING + "bsn"
_BSN_SYSTEMS: Final = (_BSN, "urn:oid:2.16.840.1.113883.2.4.6.3")
_SUBJECTS: Final = ("subject", "patient", "beneficiary", "for", "individual")
"""Where R4 resources name the patient they are about."""
_NOBODYS: Final = frozenset(
    {"Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "Medication", "Substance"}
    | {"Device"}
)
"""What is about no patient in particular, and travels along when a patient's instance refers to it."""
_ANY_DAY: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""What a folder's records show does not depend on the day."""
_LIMIT_SCOPES: Final = frozenset({"treatment", "adr"})


class Why(StrEnum):
    """Why an instance (or a file) is not served."""

    NOT_JSON = "not-json"
    """No UTF-8 JSON, or JSON that means two things: a repeated name, NaN."""
    NOT_FHIR = "not-fhir"
    """JSON without a resource in it."""
    REPEATED = "repeated"
    """Another file holds the same type and id."""
    NO_PATIENT = "no-patient"
    """It does not say whose it is, and is not of a kind that belongs to nobody."""
    UNKNOWN_PATIENT = "unknown-patient"
    """It names a Patient who is not in the folder."""
    NO_BSN = "no-bsn"
    """Its Patient has no BSN, more than one, or one that fails the eleven-test."""
    OTHER_PATIENT = "other-patient"
    """It names a second patient beside its own."""
    NO_CATEGORY = "no-category"
    """Insurance, privacy consent: no category of the exchange covers it."""
    UNREFERRED = "unreferred"
    """It belongs to nobody, and no patient's instance refers to it."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """`file` is the path below the folder, `resource` is `Type/id` or empty."""

    file: str
    resource: str
    why: Why


@dataclass(frozen=True, slots=True)
class Folder:
    """What can be served, by BSN, and a report on the rest."""

    records: Mapping[str, Record] = field(repr=False)
    report: tuple[Unserved, ...]

    @property
    def patients(self) -> tuple[str, ...]:
        """The BSNs of the patients in the folder, sorted."""
        return tuple(sorted(self.records))


class _Unreadable(Exception):
    def __init__(self, why: Why) -> None:
        self.why = why


class _Entry(msgspec.Struct):
    fullUrl: str | None = None
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


def load(directory: Path) -> Folder:
    """Read every file below `directory`. Raises NotADirectoryError; a bad file is only reported."""
    if not directory.is_dir():
        raise NotADirectoryError(f"no folder of records: {directory.name}")
    report: list[Unserved] = []
    found: dict[str, tuple[str, Instance]] = {}
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = path.relative_to(directory).as_posix()
        try:
            instances = list(_read(path.read_bytes()))
        except (_Unreadable, OSError) as problem:
            report.append(Unserved(name, "", getattr(problem, "why", Why.NOT_JSON)))
            continue
        for one in instances:
            if one.key in found:
                report.append(Unserved(name, one.key, Why.REPEATED))
            else:
                found[one.key] = name, one
    shelf = _Shelf.of(one for _, one in found.values())
    verdicts = {key: shelf.whose(one) for key, (_, one) in found.items()}
    records = _records((one for _, one in found.values()), verdicts)
    travelling = {one.key for record in records.values() for one in chosen(record, View.COVERING, _ANY_DAY)}
    for key, (name, _) in found.items():
        verdict = Why.UNREFERRED if verdicts[key] is None and key not in travelling else verdicts[key]
        if isinstance(verdict, Why):
            report.append(Unserved(name, key, verdict))
    return Folder(records, tuple(report))


def _records(found: Iterable[Instance], verdicts: Mapping[str, str | Why | None]) -> dict[str, Record]:
    """`verdicts` by key: a BSN, a reason not to serve, or None for what is nobody's."""
    shared: dict[str, Instance] = {}
    patients, instances = defaultdict[str, list[Instance]](list), defaultdict[str, list[Instance]](list)
    for one in found:
        verdict = verdicts[one.key]
        if verdict is None:
            shared[one.key] = one
        elif not isinstance(verdict, Why):
            (patients if one.resource_type == "Patient" else instances)[verdict].append(one)
    return {
        bsn: Record(tuple(several), tuple(instances[bsn]), shared, dated=False) for bsn, several in patients.items()
    }


# --- files -----------------------------------------------------------------------------------------------------------


def _read(content: bytes) -> Iterator[Instance]:
    text = content.removeprefix(b"\xef\xbb\xbf")
    yield from _instances(text, _parse(text), None)


def _parse(text: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_never)
    except (ValueError, RecursionError) as problem:
        raise _Unreadable(Why.NOT_JSON) from problem
    if not isinstance(body, dict) or not re.fullmatch("[A-Z][A-Za-z]+", str(body.get("resourceType"))):
        raise _Unreadable(Why.NOT_FHIR)
    return body


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is repeated")
    return dict(pairs)


def _never(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _instances(text: bytes, body: Mapping[str, Any], full_url: str | None) -> Iterator[Instance]:
    """One resource as an instance; of a Bundle, the resources inside it."""
    kind = body["resourceType"]
    if kind != "Bundle":
        # without an id, a name that stays the same from run to run
        identity = body.get("id") or sha256(text).hexdigest()[:16]
        yield Instance(kind, full_url if full_url and is_absolute(full_url) else f"{kind}/{identity}", text, body)
        return
    try:
        entries = msgspec.json.decode(text, type=_Bundle).entry
    except msgspec.ValidationError as problem:
        raise _Unreadable(Why.NOT_FHIR) from problem
    for entry in entries:
        if inner := bytes(entry.resource):
            yield from _instances(inner, _parse(inner), entry.fullUrl)


# --- whose -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The Patients in the folder: BSN by key, or why the Patient has none to go by."""

    patients: Mapping[str, str | Why] = field(repr=False)

    @classmethod
    def of(cls, found: Iterable[Instance]) -> _Shelf:
        return cls({one.key: _number(one.body) for one in found if one.resource_type == "Patient"})

    def whose(self, one: Instance) -> str | Why | None:
        """The BSN of the patient it is about; None if it is nobody's; or why it cannot be served."""
        owners = {self.patients[one.key]} if one.resource_type == "Patient" else set(self._subjects(one))
        named = owners | set(self._mentions(one.body, one.key))
        unfit = next((each for each in sorted(named) if isinstance(each, Why)), None)
        if not owners and not named and one.resource_type in _NOBODYS:
            return None
        if not owners:
            return Why.NO_PATIENT
        if unfit or len(named) > 1:
            return unfit if unfit in owners else Why.OTHER_PATIENT
        return owners.pop() if _has_category(one) else Why.NO_CATEGORY

    def _subjects(self, one: Instance) -> Iterator[str | Why]:
        for name in _SUBJECTS:
            if name in one.body:
                yield from self._mentions(one.body[name], one.key)

    def _mentions(self, body: object, origin: str) -> Iterator[str | Why]:
        """Every patient named in `body`: by reference, by BSN, or as a contained resource."""
        for element in references(body):
            reference, identifier = element.get("reference"), element.get("identifier")
            if isinstance(reference, str) and (found := self._patient(resolve(reference, origin))):
                yield found
            if isinstance(identifier, Mapping) and identifier.get("system") in _BSN_SYSTEMS:
                yield str(identifier.get("value"))
        for inner in _contained(body):
            if inner.get("resourceType") == "Patient":
                yield _number(inner)

    def _patient(self, key: str) -> str | Why | None:
        looks_like_one = re.search(r"(^|/)Patient/[^/]+$", key)
        return self.patients.get(key, Why.UNKNOWN_PATIENT if looks_like_one else None)


def _contained(body: object) -> Iterator[Mapping[str, Any]]:
    inner = body.get("contained") if isinstance(body, Mapping) else None
    return (each for each in inner or () if isinstance(each, Mapping)) if isinstance(inner, list) else iter(())


def _number(patient: Mapping[str, Any]) -> str | Why:
    """The one valid BSN of a Patient."""
    identifiers = patient.get("identifier")
    numbers = {
        each.get("value")
        for each in (identifiers if isinstance(identifiers, list) else ())
        if isinstance(each, Mapping) and each.get("system") == _BSN
    }
    number = numbers.pop() if len(numbers) == 1 else None
    return number if isinstance(number, str) and is_bsn(number) else Why.NO_BSN


def _has_category(one: Instance) -> bool:
    if one.resource_type != "Consent":
        return one.resource_type != "Coverage"
    scope = one.body.get("scope")
    codings = scope.get("coding") if isinstance(scope, Mapping) else None
    codings = codings if isinstance(codings, list) else []
    return any(isinstance(each, Mapping) and each.get("code") in _LIMIT_SCOPES for each in codings)
