"""What does a medical fact look like in FHIR? One shape for each fact a practice or a pharmacy writes down.

It knows code systems and the nl-core shapes (domain.md section 2). It may not know who has what, nor what is recent:
persons, ailments and dates are arguments. Numbers are `Decimal`, so that 7.30 stays 7.30.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from xml.sax.saxutils import escape

from source_sim.population import CONTRA_INDICATION, Complaint, Drug, Measurement, Person, Term

Shape = dict[str, Any]
"""One FHIR resource or element, as it will be encoded; never holds a float."""

NAMING: Final = "http://fhir.nl/fhir/NamingSystem/"
NICTIZ: Final = "http://nictiz.nl/fhir/StructureDefinition/"
SNOMED: Final = "http://snomed.info/sct"
LOINC: Final = "http://loinc.org"
ICPC: Final = "http://hl7.org/fhir/sid/icpc-1-NL"
ATC: Final = "http://www.whocc.no/atc"
UCUM: Final = "http://unitsofmeasure.org"
HL7: Final = "http://terminology.hl7.org/CodeSystem/"
_G_STANDAARD: Final = "urn:oid:2.16.840.1.113883.2.4.4."
ADVANCE_TYPES: Final = "urn:oid:2.16.840.1.113883.2.4.3.11.60.40.4.14.1"
SPECIFICATION_OTHER: Final = NICTIZ + "ext-TreatmentDirective2.SpecificationOther"

_TEST_DATA: Final = {"system": HL7 + "v3-ActReason", "code": "HTEST", "display": "test health data"}

DISPENSE, AGREEMENT, REQUEST, USE = "373784005", "422037009", "33633005", "422979000"


def encode(value: object) -> str:
    """JSON in which a Decimal keeps its digits as written. Raises TypeError for a float, whose digits nobody wrote."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(name)}:{encode(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(encode, value)) + "]"
    if isinstance(value, str | int | None):
        return json.dumps(value, ensure_ascii=False)
    raise TypeError(f"{type(value).__name__} has no place in a resource")


# --- elements --------------------------------------------------------------------------------------------------------


def concept(system: str, code: str, display: str) -> Shape:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def snomed(term: Term) -> Shape:
    return concept(SNOMED, term.code, term.name)


def instant(moment: datetime) -> str:
    """A FHIR dateTime with offset, to the second."""
    return moment.isoformat(timespec="seconds")


def quantity(value: Decimal, unit: str) -> Shape:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def narrative(text: str) -> Shape:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{escape(text)}</div>'
    return {"status": "generated", "div": div}


def _of(kind: str, profile: str, identity: str) -> Shape:
    return {"resourceType": kind, "id": identity, "meta": {"profile": [NICTIZ + profile], "tag": [_TEST_DATA]}}


def patient(identity: str, person: Person) -> Shape:
    """The person as a Patient carrying her BSN, marked as test data."""
    return {
        **_of("Patient", "nl-core-Patient", identity),
        "identifier": [{"system": NAMING + "bsn", "value": person.bsn}],
        "name": [{"use": "official", "text": person.name, "family": person.family, "given": [person.given]}],
        "gender": person.sex.value,
        "birthDate": person.birth_date.isoformat(),
    }


# --- the practice's side ---------------------------------------------------------------------------------------------


def practitioner(identity: str, family: str, uzi: str) -> Shape:
    """A test professional; `uzi` is a made-up UZI number."""
    return {
        **_of("Practitioner", "nl-core-HealthProfessional-Practitioner", identity),
        "identifier": [{"system": NAMING + "uzi-nr-pers", "value": uzi}],
        "name": [{"use": "official", "text": f"Dr. {family}", "family": family}],
    }


def organization(identity: str, ura: str, name: str) -> Shape:
    return {
        **_of("Organization", "nl-core-HealthcareProvider-Organization", identity),
        "identifier": [{"system": NAMING + "ura", "value": ura}],
        "name": name,
    }


def condition(identity: str, subject: Shape, icpc: str, name: str, since: date, until: date | None) -> Shape:
    status = "active" if until is None else "resolved"
    return {
        **_of("Condition", "nl-core-Problem", identity),
        "clinicalStatus": concept(HL7 + "condition-clinical", status, status.capitalize()),
        "verificationStatus": concept(HL7 + "condition-ver-status", "confirmed", "Confirmed"),
        "category": [concept(HL7 + "condition-category", "problem-list-item", "Problem List Item")],
        "code": concept(ICPC, icpc, name),
        "subject": subject,
        "onsetDateTime": since.isoformat(),
        **({"abatementDateTime": until.isoformat()} if until else {}),
    }


def episode(identity: str, patient: Shape, problem: str, name: str, since: date, until: date | None) -> Shape:
    """An episode of care, open when `until` is None; `problem` is the id of its Condition."""
    return {
        **_of("EpisodeOfCare", "nl-core-EpisodeOfCare", identity),
        "extension": [{"url": NICTIZ + "ext-EpisodeOfCare.EpisodeOfCareName", "valueString": name}],
        "status": "active" if until is None else "finished",
        "diagnosis": [{"condition": {"reference": f"Condition/{problem}"}}],
        "patient": patient,
        "period": {"start": since.isoformat(), **({"end": until.isoformat()} if until else {})},
    }


def encounter(identity: str, subject: Shape, by: Shape, complaint: Complaint, at: datetime, length: timedelta) -> Shape:
    return {
        **_of("Encounter", "nl-core-Encounter", identity),
        "status": "finished",
        "class": {"system": HL7 + "v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "subject": subject,
        "participant": [{"individual": by}],
        "period": {"start": instant(at), "end": instant(at + length)},
        "reasonCode": [concept(ICPC, complaint.icpc, complaint.name)],
    }


def soap_line(identity: str, subject: Shape, by: Shape, term: Term, text: str, at: datetime) -> Shape:
    return {
        **_of("Observation", "nl-core-SOAPReport.SOAPLine", identity),
        "status": "final",
        "code": snomed(term),
        "subject": subject,
        "effectiveDateTime": instant(at),
        "performer": [by],
        "valueString": text,
    }


def soap_report(
    identity: str, subject: Shape, by: Shape, contact: str, complaint: Complaint, lines: list[Shape], at: datetime
) -> Shape:
    """The contact's report: one section for each of `lines` (soap_line shapes); `contact` is the Encounter's id."""
    sections = [
        {
            "code": line["code"],
            "text": narrative(line["valueString"]),
            "entry": [{"reference": f"Observation/{line['id']}"}],
        }
        for line in lines
    ]
    return {
        **_of("Composition", "nl-core-SOAPReport", identity),
        "status": "final",
        "type": concept(SNOMED, "11591000146107", "Contactverslag"),
        "subject": subject,
        "encounter": {"reference": f"Encounter/{contact}"},
        "date": instant(at),
        "author": [by],
        "title": complaint.name,
        "section": sections,
    }


def measurement(identity: str, subject: Shape, kind: Measurement, value: Decimal, at: datetime) -> Shape:
    return {
        **_of("Observation", "nl-core-LaboratoryTestResult", identity),
        "status": "final",
        "code": concept(LOINC, kind.loinc, kind.name),
        "subject": subject,
        "effectiveDateTime": instant(at),
        "valueQuantity": quantity(value, kind.unit),
    }


def blood_pressure(identity: str, subject: Shape, systolic: Decimal, diastolic: Decimal, at: datetime) -> Shape:
    parts = (("8480-6", "Systolische bloeddruk", systolic), ("8462-4", "Diastolische bloeddruk", diastolic))
    return {
        **_of("Observation", "nl-core-BloodPressure", identity),
        "status": "final",
        "code": concept(LOINC, "85354-9", "Bloeddruk"),
        "subject": subject,
        "effectiveDateTime": instant(at),
        "component": [
            {"code": concept(LOINC, code, name), "valueQuantity": quantity(value, "mm[Hg]")}
            for code, name, value in parts
        ],
    }


# --- the pharmacy's side ---------------------------------------------------------------------------------------------


def medication(identity: str, drug: Drug) -> Shape:
    codes = ((_G_STANDAARD + "1", "GPK", 1), (_G_STANDAARD + "10", "PRK", 2), (_G_STANDAARD + "7", "HPK", 3))
    products = [{"system": system, "code": f"{drug.number}{last}", "display": drug.name} for system, _, last in codes]
    return {
        **_of("Medication", "nl-core-PharmaceuticalProduct", identity),
        "code": {"coding": [*products, {"system": ATC, "code": drug.atc, "display": drug.name}], "text": drug.name},
    }


def _dosage(drug: Drug) -> Shape:
    dose = {"doseQuantity": {"value": drug.amount, "unit": "stuk", "system": UCUM, "code": "1"}}
    return {"text": drug.directions, "doseAndRate": [dose]}


def medication_request(
    identity: str, subject: Shape, by: Shape, drug: Drug, use: str, since: date, end: date | None
) -> Shape:
    """The prescriber's agreement; `use` is the Medication's id, `end` None is ongoing."""
    until = {"dispenseRequest": {"validityPeriod": {"start": since.isoformat(), "end": end.isoformat()}}} if end else {}
    return {
        **_of("MedicationRequest", "nl-core-MedicationAgreement", identity),
        "status": "completed" if end else "active",
        "intent": "order",
        "category": [concept(SNOMED, REQUEST, "Voorschrijven van medicatie")],
        "medicationReference": {"reference": f"Medication/{use}", "display": drug.name},
        "subject": subject,
        "authoredOn": since.isoformat(),
        "requester": by,
        "dosageInstruction": [_dosage(drug)],
        **until,
    }


def administration_agreement(identity: str, subject: Shape, drug: Drug, use: str, since: date, ended: bool) -> Shape:
    return {
        **_of("MedicationDispense", "nl-core-AdministrationAgreement", identity),
        "status": "completed" if ended else "in-progress",
        "category": concept(SNOMED, AGREEMENT, "Toedieningsafspraak"),
        "medicationReference": {"reference": f"Medication/{use}", "display": drug.name},
        "subject": subject,
        "whenPrepared": since.isoformat(),
        "dosageInstruction": [_dosage(drug)],
    }


def medication_dispense(identity: str, subject: Shape, drug: Drug, use: str, on: date, units: Decimal) -> Shape:
    return {
        **_of("MedicationDispense", "nl-core-MedicationDispense", identity),
        "status": "completed",
        "category": concept(SNOMED, DISPENSE, "Verstrekken van medicatie"),
        "medicationReference": {"reference": f"Medication/{use}", "display": drug.name},
        "subject": subject,
        "quantity": {"value": units, "unit": "stuk", "system": UCUM, "code": "1"},
        "whenHandedOver": on.isoformat(),
        "dosageInstruction": [_dosage(drug)],
    }


def medication_use(identity: str, subject: Shape, drug: Drug, use: str, since: date, end: date | None) -> Shape:
    return {
        **_of("MedicationStatement", "nl-core-MedicationUse2", identity),
        "status": "completed" if end else "active",
        "category": concept(SNOMED, USE, "Medicatiegebruik"),
        "medicationReference": {"reference": f"Medication/{use}", "display": drug.name},
        "subject": subject,
        "effectivePeriod": {"start": since.isoformat(), **({"end": end.isoformat()} if end else {})},
        "dosage": [_dosage(drug)],
    }


def allergy(identity: str, patient: Shape, substance: Term, reaction: Term, category: str, since: date) -> Shape:
    return {
        **_of("AllergyIntolerance", "nl-core-AllergyIntolerance", identity),
        "clinicalStatus": concept(HL7 + "allergyintolerance-clinical", "active", "Active"),
        "verificationStatus": concept(HL7 + "allergyintolerance-verification", "confirmed", "Confirmed"),
        "category": [category],
        "criticality": "high",
        "code": snomed(substance),
        "patient": patient,
        "onsetDateTime": since.isoformat(),
        "reaction": [{"manifestation": [snomed(reaction)], "severity": "moderate"}],
    }


def contra_indication(identity: str, subject: Shape, term: Term, since: date) -> Shape:
    return {
        **_of("Flag", "nl-core-MedicationContraIndication", identity),
        "status": "active",
        "category": [snomed(CONTRA_INDICATION)],
        "code": snomed(term),
        "subject": subject,
        "period": {"start": since.isoformat()},
    }


# --- treatment limits ------------------------------------------------------------------------------------------------


def treatment_directive(
    identity: str, patient: Shape, term: Term, decision: str, on: date, ended: date | None = None
) -> Shape:
    """A treatment limit. `decision` is permit or deny; any other text is the decision "other" in the patient's words,
    which has no provision.type and stands in a root modifierExtension (domain.md section 2). Inactive when `ended`."""
    plain = decision in ("permit", "deny")
    other = {} if plain else {"modifierExtension": [{"url": SPECIFICATION_OTHER, "valueString": decision}]}
    return {
        **_of("Consent", "nl-core-TreatmentDirective2", identity),
        **other,
        "status": "inactive" if ended else "active",
        "scope": concept(HL7 + "consentscope", "treatment", "Treatment"),
        "category": [concept(SNOMED, "129125009", "Verrichting met expliciete context")],
        "patient": patient,
        "dateTime": on.isoformat(),
        "policy": [{"uri": "https://wetten.overheid.nl/"}],
        "provision": {
            **({"type": decision} if plain else {}),
            **({"period": {"end": ended.isoformat()}} if ended else {}),
            "code": [snomed(term)],
        },
    }


def advance_directive(identity: str, patient: Shape, code: str, name: str, on: date) -> Shape:
    """A will put down in advance; `code` from the national list of kinds (NR: not to be resuscitated)."""
    return {
        **_of("Consent", "nl-core-AdvanceDirective", identity),
        "status": "active",
        "scope": concept(HL7 + "consentscope", "adr", "Advanced Care Directive"),
        "category": [concept(HL7 + "consentcategorycodes", "acd", "Advance Directive")],
        "patient": patient,
        "dateTime": on.isoformat(),
        "policy": [{"uri": "https://wetten.overheid.nl/"}],
        "provision": {"code": [concept(ADVANCE_TYPES, code, name)]},
    }
