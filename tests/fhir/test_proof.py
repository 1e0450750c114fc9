"""Where can a foreign patient hide in a source's answer? Every place of proof.py's list, and some beside it."""

from __future__ import annotations

import pytest
from fhir_made import ENDPOINT, THEM, US, bsn, document, dumped, flag, item, limit, named, person, searchset

from gateway.fhir.answers import read_answer
from gateway.fhir.codes import BSN_OID
from gateway.rules.exchange import Answer, Failing, Failure
from gateway.rules.identifiers import BSN_SYSTEM

THEIRS = {"reference": "Patient/them"}
SOME_UUID = "urn:uuid:7b1d0c2e-0000-4000-8000-000000000001"


def observation(**more):
    return {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}, **more}


def extension(**value):
    return [{"url": "http://example.test/ext", **value}]


FOREIGN = {
    "match without subject": [item({k: v for k, v in flag().items() if k != "subject"}, "match")],
    "match about another by identifier": [item(flag(subject=named(THEM)), "match")],
    "match about another by reference": [item(flag(subject=THEIRS)), item(person("them", THEM), "include")],
    "match about a patient that is not sent": [item(flag(subject={"reference": "Patient/gone"}))],
    "match about a patient at another server": [
        item(flag(subject={"reference": "https://other.test/fhir/Patient/p"})),
        item(person(), "include"),
    ],
    "match about a patient of another id": [item(flag(subject={"reference": "Patient/q"})), item(person(), "include")],
    "match with empty subject": [item(flag(subject={"display": "x"}))],
    "match with a list of subjects, one foreign": [item(flag(subject=[named(), named(THEM)]))],
    "match with a subject that is text": [item(flag(subject="Patient/p")), item(person(), "include")],
    "subject and patient differ": [item(flag(patient=named(THEM)))],
    "foreign Patient as include": [item(flag()), item(person("them", THEM), "include")],
    "foreign Patient without mode": [item(flag()), item(person("them", THEM))],
    "foreign Patient contained": [item(flag(contained=[person("them", THEM)]))],
    "foreign Patient contained in an include": [
        item(flag()),
        item({"resourceType": "Device", "id": "d", "contained": [person("them", THEM)]}, "include"),
    ],
    "foreign Patient in a nested Bundle": [
        item(flag()),
        item({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": person("x", THEM)}]}),
    ],
    "foreign Patient in Parameters": [
        item(flag()),
        item({"resourceType": "Parameters", "parameter": [{"name": "x", "resource": person("x", THEM)}]}),
    ],
    "foreign Patient in an odd place": [item(flag(extension=extension(resource=person("x", THEM))))],
    "Patient without any number": [item(flag()), item(person("x", None), "include")],
    "Patient without any number, referred to": [
        item(flag(subject={"reference": "Patient/x"})),
        item(person("x", None), "include"),
    ],
    "contained Patient without any number": [item(flag(subject={"reference": "#x"}, contained=[person("x", None)]))],
    "Patient numbered under the OID only": [
        item(flag(subject={"reference": "Patient/x"})),
        item(person("x", None, identifier=[{"system": "urn:oid:" + BSN_OID, "value": US.digits}]), "include"),
    ],
    "Patient with two numbers that disagree": [
        item(flag(subject={"reference": "Patient/p"})),
        item(person(identifier=[bsn(), bsn(THEM)]), "include"),
    ],
    "Patient with a spaced number": [
        item(flag(subject={"reference": "Patient/p"})),
        item(person(identifier=[{"system": BSN_SYSTEM, "value": US.digits + " "}]), "include"),
    ],
    "subject by identifier in another system": [
        item(flag(subject={"identifier": {"system": "http://local.test/patients", "value": US.digits}}))
    ],
    "subject by another's number under the OID": [
        item(flag(subject={"reference": "Patient/p", "identifier": {"system": BSN_OID, "value": THEM.digits}})),
        item(person(), "include"),
    ],
    "subject by another's number under https": [
        item(
            flag(
                subject={
                    "reference": "Patient/p",
                    "identifier": {"system": BSN_SYSTEM.replace("http:", "https:"), "value": THEM.digits},
                }
            )
        ),
        item(person(), "include"),
    ],
    "subject by another's number under a slash": [
        item(
            flag(subject={"reference": "Patient/p", "identifier": {"system": BSN_SYSTEM + "/", "value": THEM.digits}})
        ),
        item(person(), "include"),
    ],
    "subject by another's number in capitals": [
        item(
            flag(subject={"reference": "Patient/p", "identifier": {"system": BSN_SYSTEM.upper(), "value": THEM.digits}})
        ),
        item(person(), "include"),
    ],
    "identifier ours, target theirs": [
        item(flag(subject={"reference": "Patient/them", **named()})),
        item(person("them", THEM), "include"),
    ],
    "identifier theirs, target ours": [
        item(flag(subject={"reference": "Patient/p", **named(THEM)})),
        item(person(), "include"),
    ],
    "identifier ours, target a Group": [
        item(flag(subject={"reference": "Group/g", **named()})),
        item({"resourceType": "Group", "id": "g", "type": "person", "actual": True}, "include"),
    ],
    "include that names nobody": [item(flag()), item(observation(), "include")],
    "include about another": [item(flag()), item(observation(subject=named(THEM)), "include")],
    "include about a patient not sent": [
        item(flag()),
        item(observation(subject={"reference": "Patient/x"}), "include"),
    ],
    "include about an unresolvable uuid": [
        item(flag()),
        item(observation(subject={"reference": SOME_UUID}), "include"),
    ],
    "subject is a Group": [
        item(flag(subject={"reference": "Group/g"})),
        item({"resourceType": "Group", "id": "g", "type": "person"}),
    ],
    "subject is a Device": [item(flag(subject={"reference": "Device/d"})), item({"resourceType": "Device", "id": "d"})],
    "Group with a foreign member": [
        item(flag()),
        item({"resourceType": "Group", "id": "g", "member": [{"entity": {"reference": "Patient/x"}}]}),
    ],
    "RelatedPerson of another": [
        item(flag()),
        item({"resourceType": "RelatedPerson", "id": "r", "patient": named(THEM)}, "include"),
    ],
    "RelatedPerson with an own number": [
        item(flag()),
        item({"resourceType": "RelatedPerson", "id": "r", "patient": named(), "identifier": [bsn(THEM)]}),
    ],
    "Coverage of another": [
        item(flag()),
        item({"resourceType": "Coverage", "id": "c", "beneficiary": named(THEM)}, "include"),
    ],
    "Device of another": [
        item(flag()),
        item({"resourceType": "Device", "id": "d", "patient": {"reference": "Patient/x"}}),
    ],
    "ResearchSubject, another individual": [
        item(flag()),
        item({"resourceType": "ResearchSubject", "id": "r", "individual": {"reference": "Patient/x"}}),
    ],
    "author is another patient": [item(flag(author={"reference": "Patient/x"}))],
    "author is a declared Patient behind a uuid": [item(flag(author={"reference": SOME_UUID, "type": "Patient"}))],
    "author is a Patient by another system": [
        item(flag(author={"type": "Patient", "identifier": {"system": "http://local.test", "value": "1"}}))
    ],
    "author is a Patient, said in full": [
        item(flag(author={"type": "http://hl7.org/fhir/StructureDefinition/Patient", "display": "x"}))
    ],
    "author says Patient, target a Practitioner": [
        item(flag(author={"type": "Patient", "reference": "Practitioner/x"}))
    ],
    "extension with another patient": [item(flag(extension=extension(valueReference={"reference": "Patient/x"})))],
    "extension with another number": [item(flag(extension=extension(valueIdentifier=bsn(THEM))))],
    "extension on a primitive with another patient": [
        item(flag(_status={"extension": extension(valueReference={"reference": "Patient/x"})}))
    ],
    "modifier extension with another patient": [
        item(flag(modifierExtension=extension(valueReference={"reference": "Patient/x"})))
    ],
    "coding with another number": [item(flag(category=[{"coding": [{"system": BSN_SYSTEM, "code": THEM.digits}]}]))],
    "meta tag with another number": [item(flag(meta={"tag": [{"system": BSN_SYSTEM, "code": THEM.digits}]}))],
    "number that is a number": [item(flag(identifier=[{"system": BSN_SYSTEM, "value": int(US.digits)}]))],
    "conditional reference": [item(flag(author={"reference": f"Patient?identifier={BSN_SYSTEM}|{THEM.digits}"}))],
    "reference in small letters": [item(flag(author={"reference": "patient/x"}))],
    "versioned reference to another": [item(flag(author={"reference": "Patient/x/_history/2"}))],
    "Patient linked to another": [
        item(flag()),
        item(person(link=[{"other": {"reference": "Patient/x"}, "type": "seealso"}]), "include"),
    ],
    "reference to a contained that is not there": [item(flag(subject={"reference": "#gone"}))],
    "reference to a contained Practitioner": [
        item(flag(subject={"reference": "#x"}, contained=[{"resourceType": "Practitioner", "id": "x"}]))
    ],
}

FOREIGN_DOCUMENTS = {
    "document about another": document(subject=named(THEM)),
    "document about nobody": document(first={"resourceType": "Composition", "id": "c", "status": "final"}),
    "document about a patient not inside": document(subject={"reference": "Patient/p"}),
    "other subject deep inside": document(observation(subject=named(THEM))),
    "other patient inside": document(person("them", THEM)),
    "unproven subject inside": document(observation(subject={"reference": "Patient/x"})),
    "other patient contained inside": document(observation(contained=[person("x", THEM)])),
    "other patient as attester": document(
        first={
            "resourceType": "Composition",
            "id": "c",
            "subject": named(),
            "attester": [{"mode": "personal", "party": {"reference": "Patient/x"}}],
        }
    ),
    "other patient in a section": document(
        first={
            "resourceType": "Composition",
            "id": "c",
            "subject": named(),
            "section": [{"focus": {"reference": "Patient/x"}}],
        }
    ),
    "a document in the document, about another": document(document(subject=named(THEM))),
    "a collection in the document": document(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": observation()}]}
    ),
}

PROVEN = {
    "by identifier": [item(flag(), "match")],
    "by relative reference": [item(flag(subject={"reference": "Patient/p"})), item(person(), "include")],
    "by absolute reference": [
        item(flag(subject={"reference": ENDPOINT + "/Patient/p"})),
        item(person(), "include", ENDPOINT + "/Patient/p"),
    ],
    "by absolute reference to an entry without URL": [
        item(flag(subject={"reference": ENDPOINT + "/Patient/p"})),
        item(person(), "include"),
    ],
    "by versioned reference": [item(flag(subject={"reference": "Patient/p/_history/3"})), item(person(), "include")],
    "by uuid": [item(flag(subject={"reference": SOME_UUID})), item(person(), "include", SOME_UUID)],
    "by contained patient": [item(flag(subject={"reference": "#p"}, contained=[person()]))],
    "by identifier and reference": [item(flag(subject={"reference": "Patient/elsewhere", **named()}))],
    "with a known author": [item(flag(author={"reference": "Patient/p"})), item(person(), "include")],
    "with things about nobody": [
        item(flag(author={"reference": "Practitioner/x", "type": "Practitioner"})),
        item({"resourceType": "Practitioner", "id": "x"}, "include"),
        item({"resourceType": "Medication", "id": "x"}, "include"),
        item({"resourceType": "Organization", "id": "x"}, "include"),
        item({"resourceType": "Location", "id": "x"}),
        item({"resourceType": "Device", "id": "x"}),
    ],
    "with a contained that names nobody": [item(flag(contained=[observation()]))],
    "with the same number under the OID": [
        item(flag(subject={"reference": "Patient/p"})),
        item(person(identifier=[bsn(), {"system": "urn:oid:" + BSN_OID, "value": US.digits}]), "include"),
    ],
    "with an identifier typed as a code": [
        item(
            flag(
                extension=extension(
                    valueCodeableConcept={"coding": [{"system": "http://snomed.info/sct", "code": THEM.digits}]}
                )
            )
        )
    ],
    "nothing at all": [],
}


def read(items, asked="Flag"):
    return read_answer(dumped(searchset(*items)), patient=US, resource_type=asked, endpoint=ENDPOINT)


@pytest.mark.parametrize("items", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_patient_is_found(items):
    answer = read(items)
    assert isinstance(answer, Failure)
    assert answer.failing is Failing.WRONG_PATIENT
    assert not answer.breaker
    assert THEM.digits not in answer.detail
    assert US.digits not in answer.detail


@pytest.mark.parametrize("bundle", FOREIGN_DOCUMENTS.values(), ids=FOREIGN_DOCUMENTS.keys())
def test_a_foreign_patient_in_a_document_is_found(bundle):
    answer = read([item(bundle, "match")], "Bundle")
    assert isinstance(answer, Failure)
    assert answer.failing is Failing.WRONG_PATIENT


@pytest.mark.parametrize("items", PROVEN.values(), ids=PROVEN.keys())
def test_our_patient_passes(items):
    answer = read(items)
    assert isinstance(answer, Answer), answer
    assert len(answer.entries) == len(items)


def test_a_document_passes_whole():
    inside = [
        person(),
        observation(),
        {**observation(subject={"reference": "Patient/p"}), "id": "o2"},
        {"resourceType": "Encounter", "id": "e", "status": "unknown"},
        limit(),
    ]
    answer = read([item(document(*inside, subject={"reference": "Patient/p"}), "match")], "Bundle")
    assert isinstance(answer, Answer), answer


def test_a_patient_outside_the_document_proves_nothing_inside():
    items = [item(document(subject={"reference": "Patient/p"})), item(person(), "include")]
    answer = read(items, "Bundle")
    assert isinstance(answer, Failure)
    assert answer.failing is Failing.WRONG_PATIENT
