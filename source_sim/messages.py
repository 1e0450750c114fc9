"""How does a return message, an emergency report or a referral read? Whole FHIR message Bundles, made from a case.

It knows the message of interface.md section 4 and the content of domain.md section 6. It may not know who will receive
a return message, nor read a clock: the moment and the message's id are arguments, and equal arguments give equal bytes.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from source_sim import medicine, population
from source_sim.cases import Case, Measured
from source_sim.country import Participant
from source_sim.medicine import LOINC, NAMING, SNOMED, Shape
from source_sim.population import Person
from source_sim.receiving import EVENTS
from source_sim.requesters import Persona

_APPLICATIONS: Final = "urn:oid:2.16.840.1.113883.2.4.6.6."
_ORGANISATIONS: Final = "urn:oid:2.16.528.1.1007.3.3."
_RETURN: Final = ("18761-7", "Transfer summary note")
_REFERRAL: Final = ("57133-1", "Referral note")
_ADVICE: Final = ("69730-0", "Instructions")
_REFER: Final = ("3457005", "Patient referral")
_CLASSES: Final[Mapping[str, tuple[str, str]]] = {
    "visit": ("HH", "home health"),
    "call": ("VR", "virtual"),
    "ride": ("FLD", "field"),
    "triage": ("EMER", "emergency"),
    "consultation": ("AMB", "ambulatory"),
}
"""How FHIR calls a kind of contact (v3-ActCode)."""
_LOCAL: Final = re.compile(r"(?:[A-Z][A-Za-z]+)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a message tells: who saw whom, when it began (domain time, aware), and what it was.

    `id` (a uuid) becomes the MessageHeader's: the same id is the same message. The author's kind of contact (that of a
    token's claim) says what kind the Encounter is of.
    """

    id: str
    at: datetime
    person: Person
    organisation: Participant
    author: Persona
    case: Case

    def name(self, what: str) -> str:
        """The id of one of the message's resources: always the same for the same message."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.organisation.ura}/{self.id}/{what}"))

    def refer(self, kind: str, what: str) -> Shape:
        return {"reference": f"{kind}/{self.name(what)}"}


def return_message(occasion: Occasion) -> bytes:
    """What the covering doctor tells the patient's own GP; it names no recipient (row RET-1)."""
    return _message(occasion, "return-message", _RETURN, "Waarneembericht")


def emergency_report(occasion: Occasion) -> bytes:
    """What an emergency department or ambulance tells the patient's own GP (row RET-2): the same form."""
    return _message(occasion, "return-message", _RETURN, "Spoedbericht")


def referral(occasion: Occasion, to: Participant) -> bytes:
    """What a GP asks of a hospital or GP post (row REF-1)."""
    return _message(occasion, "referral", _REFERRAL, "Verwijsbrief", to)


def patient_of(message: bytes) -> str:
    """The BSN of the Patient in a message. Raises ValueError for a message with none or several."""
    numbers = {
        each["value"]
        for entry in json.loads(message).get("entry", ())
        if entry["resource"]["resourceType"] == "Patient"
        for each in entry["resource"].get("identifier", ())
        if each.get("system") == NAMING + "bsn"
    }
    if len(numbers) != 1:
        raise ValueError("a message is about one patient, by BSN")
    return str(numbers.pop())


# --- the Bundle ------------------------------------------------------------------------------------------------------


def _message(occasion: Occasion, event: str, kind: tuple[str, str], title: str, to: Participant | None = None) -> bytes:
    content = _content(occasion, referred=to is not None)
    composition = _composition(occasion, content, kind, title)
    people = (_patient(occasion), _author(occasion), _organisation(occasion))
    shapes = (_header(occasion, event, to), composition, *people, *content.shapes())
    bundle = {
        "resourceType": "Bundle",
        "id": occasion.name("bundle"),
        "type": "message",
        "timestamp": medicine.instant(occasion.at + occasion.case.length),
        "entry": [{"fullUrl": f"urn:uuid:{shape['id']}", "resource": _absolute(shape)} for shape in shapes],
    }
    return medicine.encode(bundle).encode()


def _absolute(part: Any) -> Any:
    """The same with every reference by urn:uuid: a message has no base to be relative to."""
    if isinstance(part, Mapping):
        return {name: _urn(value) if name == "reference" else _absolute(value) for name, value in part.items()}
    return [_absolute(each) for each in part] if isinstance(part, list) else part


def _urn(reference: Any) -> Any:
    found = _LOCAL.fullmatch(reference) if isinstance(reference, str) else None
    return f"urn:uuid:{found[1]}" if found else _absolute(reference)


def _header(occasion: Occasion, event: str, to: Participant | None) -> Shape:
    ours = occasion.organisation
    header: Shape = {
        "resourceType": "MessageHeader",
        "id": occasion.id,
        "eventCoding": {"system": EVENTS, "code": event},
    }
    if to is not None:
        receiver = {"identifier": _ura(to), "display": to.name}
        header["destination"] = [{"endpoint": f"{_ORGANISATIONS}{int(to.ura)}", "receiver": receiver}]
    return {
        **header,
        "sender": {"identifier": _ura(ours), "display": ours.name},
        "author": occasion.refer("Practitioner", "author"),
        "source": {"name": ours.name, "endpoint": f"{_APPLICATIONS}{ours.application}"},
        "focus": [occasion.refer("Composition", "composition")],
    }


def _ura(one: Participant) -> Shape:
    return {"system": NAMING + "ura", "value": one.ura}


def _patient(occasion: Occasion) -> Shape:
    return medicine.patient(occasion.name("patient"), occasion.person)


def _author(occasion: Occasion) -> Shape:
    made = medicine.practitioner(occasion.name("author"), occasion.author.name, occasion.author.uzi)
    return {**made, "name": [{"use": "official", "text": occasion.author.name}]}


def _organisation(occasion: Occasion) -> Shape:
    return medicine.organization(occasion.name("organisation"), occasion.organisation.ura, occasion.organisation.name)


# --- content ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Content:
    """The clinical part. `ordered` is what the plan led to: prescription, referral; `medicines` are their drugs."""

    contact: Shape
    problem: Shape
    lines: list[Shape]
    measured: list[Shape]
    ordered: list[Shape]
    medicines: list[Shape]

    def shapes(self) -> list[Shape]:
        return [self.contact, self.problem, *self.lines, *self.measured, *self.ordered, *self.medicines]


def _content(occasion: Occasion, *, referred: bool) -> _Content:
    complaint, at = occasion.case.complaint, occasion.at
    subject, author = occasion.refer("Patient", "patient"), occasion.refer("Practitioner", "author")
    problem = occasion.name("problem")
    return _Content(
        _contact(occasion, subject, author),
        medicine.condition(problem, subject, complaint.icpc, complaint.name, at.date(), None),
        [
            medicine.soap_line(occasion.name(term.name), subject, author, term, text, at)
            for term, text in zip(population.SOAP, complaint.lines, strict=True)
        ],
        [_measured(occasion, subject, one) for one in occasion.case.measured],
        [*_prescription(occasion, subject, author), *([_order(occasion, subject, author)] if referred else [])],
        [medicine.medication(occasion.name("medication"), occasion.case.drug)] if occasion.case.drug else [],
    )


def _contact(occasion: Occasion, subject: Shape, author: Shape) -> Shape:
    case, (code, display) = occasion.case, _CLASSES[occasion.author.contact_kind]
    made = medicine.encounter(occasion.name("contact"), subject, author, case.complaint, occasion.at, case.length)
    made["class"] = {"system": medicine.HL7 + "v3-ActCode", "code": code, "display": display}
    made["diagnosis"] = [{"condition": occasion.refer("Condition", "problem")}]
    made["serviceProvider"] = occasion.refer("Organization", "organisation")
    return made


def _measured(occasion: Occasion, subject: Shape, one: Measured) -> Shape:
    made = medicine.measurement(occasion.name(one.kind.loinc), subject, one.kind, one.value, occasion.at)
    # the profile of that shape is a laboratory's; this was measured at the bedside
    del made["meta"]["profile"]
    return made


def _prescription(occasion: Occasion, subject: Shape, author: Shape) -> Iterator[Shape]:
    drug, use, start = occasion.case.drug, occasion.name("medication"), occasion.at.date()
    if drug is None:
        return
    end = start + occasion.case.course
    made = medicine.medication_request(occasion.name("prescription"), subject, author, drug, use, start, end)
    # the course has only begun
    made["status"] = "active"
    made["reasonReference"] = [occasion.refer("Condition", "problem")]
    yield made


def _order(occasion: Occasion, subject: Shape, author: Shape) -> Shape:
    return {
        "resourceType": "ServiceRequest",
        "id": occasion.name("order"),
        "status": "active",
        "intent": "order",
        "code": medicine.concept(SNOMED, *_REFER),
        "subject": subject,
        "encounter": occasion.refer("Encounter", "contact"),
        "authoredOn": medicine.instant(occasion.at),
        "requester": author,
        "reasonReference": [occasion.refer("Condition", "problem")],
    }


def _composition(occasion: Occasion, content: _Content, kind: tuple[str, str], title: str) -> Shape:
    return {
        "resourceType": "Composition",
        "id": occasion.name("composition"),
        "status": "final",
        "type": medicine.concept(LOINC, *kind),
        "subject": occasion.refer("Patient", "patient"),
        "encounter": occasion.refer("Encounter", "contact"),
        "date": medicine.instant(occasion.at + occasion.case.length),
        "author": [occasion.refer("Practitioner", "author")],
        "title": f"{title}: {occasion.case.complaint.name}",
        "custodian": occasion.refer("Organization", "organisation"),
        "section": list(_sections(occasion, content)),
    }


def _sections(occasion: Occasion, content: _Content) -> Iterator[Shape]:
    """S, O, E and P in that order: measurements stand with O, the problem with E, what was ordered with P; advice."""
    beside: tuple[list[Shape], ...] = ([], content.measured, [content.problem], content.ordered)
    for line, others in zip(content.lines, beside, strict=True):
        yield {
            "title": line["code"]["coding"][0]["display"],
            "code": line["code"],
            "text": medicine.narrative(line["valueString"]),
            "entry": [{"reference": f"{each['resourceType']}/{each['id']}"} for each in (line, *others)],
        }
    if occasion.case.advice:
        text = medicine.narrative(occasion.case.advice)
        yield {"title": "Advies", "code": medicine.concept(LOINC, *_ADVICE), "text": text}
