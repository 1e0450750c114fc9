"""What does a source hold about a patient, and what leaves of it? Records, the two views of a summary, Bundles of both.

A record is a handful of FHIR instances as *bytes*; Bundles are spliced around them and never re-encode one. It knows
which part a view shows (domain.md section 2). It may not know who asks, nor read a clock: `now` is an argument.
"""

from __future__ import annotations

import json
import random
import uuid
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from source_sim import medicine, population
from source_sim.medicine import Shape
from source_sim.population import Person, Profile

VIEW_TAG: Final = "https://switchpoint.example/fhir/CodeSystem/view"


class View(StrEnum):
    """Which selection of the summary: for the GP post, or for emergency department and ambulance."""

    COVERING = "covering"
    ACUTE = "acute"


class Proof(StrEnum):
    """How an instance says whose it is: a relative reference to the Patient beside it, or the BSN itself."""

    REFERENCE = "reference"
    IDENTIFIER = "identifier"


@dataclass(frozen=True, slots=True)
class Instance:
    """One FHIR resource: `text` is the bytes to send, `body` the same parsed.

    `key` is `Type/id`, or the absolute URL under which it was known in its own Bundle. `last` is the last day it
    concerns; None: it still holds, or bears no date.
    """

    resource_type: str
    key: str
    text: bytes = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    last: date | None = None

    def full_url(self, endpoint: str) -> str:
        return self.key if is_absolute(self.key) else f"{endpoint}/{self.key}"


@dataclass(frozen=True, slots=True)
class Record:
    """All about one patient. `patients` all carry her BSN, the first is the subject of a summary.

    `shared` are the instances of nobody in particular that hers may refer to, by key. `dated` False: the views leave
    out nothing for its age (real instances from a folder are years old). `note` is for the covering GP.
    """

    patients: tuple[Instance, ...]
    instances: tuple[Instance, ...]
    shared: Mapping[str, Instance]
    dated: bool = True
    note: str = ""


def is_absolute(key: str) -> bool:
    return "://" in key or key.startswith("urn:")


def resolve(reference: str, origin: str) -> str:
    """The key that `reference` means when it stands in the instance with key `origin` (FHIR R4, Bundle, resolving)."""
    plain = reference.partition("/_history/")[0]
    if is_absolute(plain) or "://" not in origin:
        return plain
    return f"{origin.rsplit('/', 2)[0]}/{plain}"


def references(body: object) -> Iterator[Mapping[str, Any]]:
    """Every element that names something by `reference` or `identifier`, in contained resources too."""
    queue = [body]
    while queue:
        part = queue.pop()
        if isinstance(part, Mapping):
            queue.extend(part.values())
            if "reference" in part or "identifier" in part:
                yield part
        elif isinstance(part, list):
            queue.extend(part)


def instance(shape: Shape, last: date | None = None) -> Instance:
    """Write a shape down as an instance."""
    kind = shape["resourceType"]
    return Instance(kind, f"{kind}/{shape['id']}", medicine.encode(shape).encode(), shape, last)


# --- writing a record ------------------------------------------------------------------------------------------------


class _Pen:
    """Writes one person's record: draws from a generator of its own, numbers what it writes, keeps it in order."""

    def __init__(self, person: Person, seed: int, proof: Proof, now: datetime) -> None:
        self.rng = random.Random(f"{seed}/{person.bsn}")
        self.salt = f"{self.rng.getrandbits(48):012x}"
        self.now, self.written, self.shared = now, list[Instance](), dict[str, Instance]()
        self.patient = instance(medicine.patient(self.id("patient"), person))
        identified = {"type": "Patient", "identifier": {"system": medicine.NAMING + "bsn", "value": person.bsn}}
        self.subject = {"reference": self.patient.key} if proof is Proof.REFERENCE else identified
        self.doctor = self.share(medicine.practitioner(self.id("doctor"), "Testarts", "900000001"))

    def id(self, kind: str) -> str:
        return f"{kind}-{self.salt}-{self.rng.getrandbits(32):08x}"

    def add(self, shape: Shape, last: date | None = None) -> None:
        self.written.append(instance(shape, last))

    def share(self, shape: Shape) -> Shape:
        made = instance(shape)
        self.shared[made.key] = made
        return {"reference": made.key}

    def day(self, ago: int) -> date:
        return (self.now - timedelta(days=ago)).date()


def write(person: Person, seed: int, profile: Profile, *, now: datetime, proof: Proof = Proof.REFERENCE) -> Record:
    """The record of a test person, both the practice's and the pharmacy's half; equal arguments give equal bytes."""
    pen = _Pen(person, seed, proof, now)
    if profile is not Profile.EMPTY:
        _fill(pen, profile, person.ailments)
    note = population.NOTE if profile not in (Profile.EMPTY, Profile.MINIMAL) else ""
    return Record((pen.patient,), tuple(pen.written), pen.shared, note=note)


def _fill(pen: _Pen, profile: Profile, ailments: Sequence[population.Problem] | None) -> None:
    plan = population.PLANS.get(profile, population.TYPICAL)
    for problem in pen.rng.sample(population.PROBLEMS, plan.problems) if ailments is None else ailments:
        since = pen.rng.randint(400, 2500)
        _problem(pen, problem, since, None)
        _medication(pen, problem.drug, since, None, plan.refills)
    for least, most in plan.contacts:
        _contact(pen, pen.rng.randint(least, most))
    if plan.full:
        _problem(pen, population.PASSED, 300, 280)
        _medication(pen, population.PASSED.drug, 300, 293, 1)
        _warnings(pen)
        _limits(pen, population.LIMITS.get(profile, population.USUAL_LIMITS))


def _problem(pen: _Pen, problem: population.Problem, since: int, until: int | None) -> None:
    start, end = pen.day(since), None if until is None else pen.day(until)
    identity = pen.id("problem")
    pen.add(medicine.condition(identity, pen.subject, problem.icpc, problem.name, start, end), end)
    pen.add(medicine.episode(pen.id("episode"), pen.subject, identity, problem.name, start, end), end)


def _contact(pen: _Pen, ago: int) -> None:
    start = (pen.now - timedelta(days=ago)).replace(hour=8 + pen.rng.randrange(9), minute=20, second=0, microsecond=0)
    day, complaint, identity = start.date(), pen.rng.choice(population.COMPLAINTS), pen.id("contact")
    pen.add(medicine.encounter(identity, pen.subject, pen.doctor, complaint, start, timedelta(minutes=10)), day)
    lines = [
        medicine.soap_line(pen.id("line"), pen.subject, pen.doctor, term, text, start)
        for term, text in zip(population.SOAP, complaint.lines, strict=True)
    ]
    report = medicine.soap_report(pen.id("report"), pen.subject, pen.doctor, identity, complaint, lines, start)
    for shape in (report, *lines, *_measured(pen, start)):
        pen.add(shape, day)


def _measured(pen: _Pen, at: datetime) -> Iterator[Shape]:
    systolic, diastolic = Decimal(pen.rng.randint(105, 180)), Decimal(pen.rng.randint(60, 100))
    yield medicine.blood_pressure(pen.id("measured"), pen.subject, systolic, diastolic, at)
    for kind in (population.WEIGHT, population.GLUCOSE, population.TSH):
        value = pen.rng.randint(kind.low, kind.high) * kind.step
        yield medicine.measurement(pen.id("measured"), pen.subject, kind, value, at)


def _medication(pen: _Pen, drug: population.Drug, since: int, until: int | None, refills: int) -> None:
    start, end, subject = pen.day(since), None if until is None else pen.day(until), pen.subject
    use = pen.id("medication")
    pen.share(medicine.medication(use, drug))
    pen.add(medicine.medication_request(pen.id("request"), subject, pen.doctor, drug, use, start, end), end)
    pen.add(medicine.administration_agreement(pen.id("agreed"), subject, drug, use, start, until is not None), end)
    pen.add(medicine.medication_use(pen.id("use"), subject, drug, use, start, end), end)
    for count in range(refills):
        on = pen.day(since if until else 15 + 90 * count % since)
        pen.add(medicine.medication_dispense(pen.id("dispense"), subject, drug, use, on, Decimal("90")), on)


def _warnings(pen: _Pen) -> None:
    substance, reaction, category = pen.rng.choice(population.ALLERGENS)
    since = pen.day(pen.rng.randint(1000, 9000))
    pen.add(medicine.allergy(pen.id("allergy"), pen.subject, substance, reaction, category, since))
    contra = pen.rng.choice(population.CONTRA_INDICATIONS)
    pen.add(medicine.contra_indication(pen.id("flag"), pen.subject, contra, since))


def _limits(pen: _Pen, limits: Sequence[tuple[population.Term, str]]) -> None:
    for term, decision in limits:
        pen.add(medicine.treatment_directive(pen.id("limit"), pen.subject, term, decision, pen.day(200)))
    ended = medicine.treatment_directive(pen.id("limit"), pen.subject, *population.HISTORY, pen.day(900), pen.day(700))
    pen.add(ended, pen.day(700))
    if limits is population.USUAL_LIMITS:
        pen.add(medicine.advance_directive(pen.id("will"), pen.subject, "NR", "Niet reanimeren", pen.day(200)))


# --- views -----------------------------------------------------------------------------------------------------------

MEDICATION_TYPES: Final = ("MedicationDispense", "MedicationRequest", "MedicationStatement")
_PROBLEMS: Final = ("EpisodeOfCare", "Condition")
_WARNINGS: Final = ("AllergyIntolerance", "Flag")
_APART: Final = ("Consent", "Coverage")
"""Never in a summary: treatment limits travel only as their own category, insurance is not medical."""
_SOAP_CODES: Final = frozenset(term.code for term in population.SOAP)
_SECTIONS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "Episodes en problemen": ("11450-4", _PROBLEMS),
    "Contacten": ("46240-8", ("Encounter", "Composition")),
    "Metingen": ("30954-2", ("Observation", "DiagnosticReport")),
    "Medicatie": ("10160-0", MEDICATION_TYPES),
    "Allergieën en contra-indicaties": ("48765-2", _WARNINGS),
    "Overig": ("", ()),
}
"""Headings of the summary, in order: LOINC code and the types that stand there; the last takes the rest."""


def chosen(record: Record, view: View, now: datetime) -> tuple[Instance, ...]:
    """What the view shows of the record, and after it everything those instances refer to."""
    today = now.date()
    wanted = [one for one in record.instances if _shown(one, record.dated, view, today)]
    return (*wanted, *_reached(wanted, record))


def _shown(one: Instance, dated: bool, view: View, today: date) -> bool:
    if one.resource_type in _APART:
        return False
    if not dated or one.resource_type in _WARNINGS:
        return True
    if one.resource_type in _PROBLEMS:
        return one.last is None
    if one.resource_type in MEDICATION_TYPES and view is View.COVERING:
        return True
    months = view is View.COVERING or one.resource_type in MEDICATION_TYPES
    start = months_before(today, 4) if months else today - timedelta(days=10)
    return one.last is None or one.last >= start


def months_before(day: date, months: int) -> date:
    """The same day `months` earlier, or the last day of that month where it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _reached(wanted: Iterable[Instance], record: Record) -> Iterator[Instance]:
    known, queue = {one.key for one in wanted}, list(wanted)
    while queue:
        origin = queue.pop()
        for element in references(origin.body):
            key = resolve(str(element.get("reference", "")), origin.key)
            found = record.shared.get(key)
            if found is not None and key not in known:
                known.add(key)
                queue.append(found)
                yield found


def _title(one: Instance) -> str:
    """Under which heading of the summary an instance stands."""
    code = one.body.get("code")
    codings = code.get("coding") if isinstance(code, Mapping) else None
    if any(isinstance(each, Mapping) and each.get("code") in _SOAP_CODES for each in codings or ()):
        return "Contacten"
    return next((title for title, (_, types) in _SECTIONS.items() if one.resource_type in types), "Overig")


def document(record: Record, view: View, *, now: datetime, endpoint: str, practice: Instance) -> Instance | None:
    """The professional summary: a `document` Bundle, every reference of ours inside; None when nothing is to be shown.

    `endpoint` is the FHIR base of the full URLs, `practice` the Organization that signs. Instances go in as they are.
    """
    parts = chosen(record, view, now)
    if not parts:
        return None
    name = f"{endpoint} {record.patients[0].key} {view} {now.isoformat()}"
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    composition = instance(_composition(identity, record, parts, view, now, practice))
    number = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{identity}"}
    head: Shape = {"resourceType": "Bundle", "id": identity, "identifier": number, "type": "document"}
    head["timestamp"] = medicine.instant(now)
    text = _splice(head, _entries((composition, *record.patients, practice, *parts), endpoint))
    return Instance("Bundle", f"Bundle/{identity}", text, head)


def searchset(matches: Sequence[Instance], included: Sequence[Instance], endpoint: str) -> bytes:
    """A searchset of whole instances; `total` counts the matches."""
    head = {"resourceType": "Bundle", "type": "searchset", "total": len(matches)}
    return _splice(head, [*_entries(matches, endpoint, "match"), *_entries(included, endpoint, "include")])


def _entries(instances: Iterable[Instance], endpoint: str, mode: str = "") -> list[bytes]:
    search = f',"search":{{"mode":"{mode}"}}'.encode() if mode else b""
    return [
        b'{"fullUrl":' + json.dumps(one.full_url(endpoint)).encode() + b',"resource":' + one.text + search + b"}"
        for one in instances
    ]


def _splice(head: Shape, entries: list[bytes]) -> bytes:
    start = medicine.encode(head).encode().removesuffix(b"}")
    # an empty array is not FHIR
    return start + (b',"entry":[' + b",".join(entries) + b"]" if entries else b"") + b"}"


def _composition(
    identity: str, record: Record, parts: Sequence[Instance], view: View, now: datetime, practice: Instance
) -> Shape:
    return {
        "resourceType": "Composition",
        "id": identity,
        "meta": {"tag": [{"system": VIEW_TAG, "code": view.value}]},
        "status": "final",
        "type": medicine.concept(medicine.LOINC, "60591-5", "Patient summary Document"),
        "subject": {"reference": record.patients[0].key},
        "date": medicine.instant(now),
        "author": [{"reference": practice.key}],
        "custodian": {"reference": practice.key},
        "title": "Professionele samenvatting",
        "section": list(_sections(record, parts, view)),
    }


def _sections(record: Record, parts: Sequence[Instance], view: View) -> Iterator[Shape]:
    own = [one for one in parts if one.key not in record.shared]
    for title, (code, _) in _SECTIONS.items():
        entries = [{"reference": one.key} for one in own if _title(one) == title]
        if entries:
            coded = {"code": medicine.concept(medicine.LOINC, code, title)} if code else {}
            yield {"title": title, **coded, "entry": entries}
    if record.note and view is View.COVERING:
        comment = medicine.concept(medicine.LOINC, "48767-8", "Annotation comment")
        yield {"title": "Voor de waarnemer", "code": comment, "text": medicine.narrative(record.note)}
