"""What does a sender hand in? A return message of about ten kilobytes, and a referral, as plain values to spoil.

Made apart from the simulator's, so that the two can disagree.
"""

from __future__ import annotations

from typing import Any

from fhir_made import US, bsn, named

from gateway.rules.identifiers import NAMING, Bsn

Json = dict[str, Any]

EVENTS = "https://switchpoint.example/fhir/CodeSystem/message-event"
POST = {"system": NAMING + "ura", "value": "90000401"}
HOSPITAL = {"system": NAMING + "ura", "value": "90000501"}
MESSAGE_ID = "5f1c0f6e-6c1e-4c36-8a83-3e0a8d3a3e11"
PAGE = '<div xmlns="http://www.w3.org/1999/xhtml">'


def urn(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


def header(event: str = "return-message", **more: Any) -> Json:
    return {
        "resourceType": "MessageHeader",
        "id": MESSAGE_ID,
        "eventCoding": {"system": EVENTS, "code": event},
        "sender": {"identifier": dict(POST)},
        "source": {"name": "Test post", "endpoint": "https://post.test/fhir"},
        "focus": [{"reference": urn(1)}],
        **more,
    }


def composition(**more: Any) -> Json:
    return {
        "resourceType": "Composition",
        "id": "report",
        "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/test-report"]},
        "text": {"status": "generated", "div": f"{PAGE}<p>Contact <b>Test</b></p></div>"},
        "status": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "18761-7"}]},
        "subject": {"reference": urn(2), "type": "Patient", "identifier": bsn()},
        "date": "2026-01-03T02:30:00+01:00",
        "author": [{"reference": urn(3), "display": "Test doctor"}],
        "title": "Waarneemretourbericht",
        "section": [
            {
                "title": letter,
                "code": {"text": letter},
                "text": {"status": "generated", "div": f"{PAGE}<ul><li>Test {letter}</li></ul></div>"},
                "entry": [{"reference": urn(4)}, {"reference": urn(5 + index)}],
            }
            for index, letter in enumerate("SOEP")
        ],
        **more,
    }


def patient(who: Bsn = US, **more: Any) -> Json:
    return {
        "resourceType": "Patient",
        "id": "patient",
        "identifier": [bsn(who)],
        "name": [{"text": "A. Test", "family": "Test", "given": ["A", None], "_given": [None, {"id": "second"}]}],
        **more,
    }


def doctor() -> Json:
    return {
        "resourceType": "PractitionerRole",
        "id": "doctor",
        "contained": [{"resourceType": "Practitioner", "id": "who", "name": [{"text": "Test doctor"}]}],
        "practitioner": {"reference": "#who"},
        "organization": {"identifier": dict(POST)},
    }


def observation(index: int) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"line-{index}",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "exam"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5", "display": "Body temperature"}]},
        "subject": {"reference": urn(2)},
        "encounter": {"reference": urn(4)},
        "effectiveDateTime": "2026-01-03T02:10:00+01:00",
        "performer": [{"reference": urn(3)}],
        "valueQuantity": {"value": 38.10, "unit": "Cel", "system": "http://unitsofmeasure.org", "code": "Cel"},
        "note": [{"text": "Test note " * 12}],
    }  # fmt: skip


def encounter() -> Json:
    return {
        "resourceType": "Encounter",
        "id": "contact",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HH"},
        "subject": {"reference": "Patient/patient"},
        "period": {"start": "2026-01-03T02:00:00+01:00", "end": "2026-01-03T02:25:00+01:00"},
    }


def message(*resources: Json, head: Json | None = None, main: Json | None = None, **more: Any) -> Json:
    """A message of a header, a Composition and its resources, each under a full URL of its own: urn(0), urn(1), ..."""
    content = resources or (patient(), doctor(), encounter(), *(observation(index) for index in range(9)))
    whole = (head or header(), main or composition(), *content)
    return {
        "resourceType": "Bundle",
        "id": "bundle",
        "type": "message",
        "timestamp": "2026-01-03T02:30:00+01:00",
        "entry": [{"fullUrl": urn(index), "resource": one} for index, one in enumerate(whole)],
        **more,
    }


def plain_message(**of_header: Any) -> Json:
    """The smallest: a header and a Composition that names the patient by number."""
    main = composition(subject=named(), author=[{"display": "Test doctor"}])
    del main["section"], main["meta"]
    return message(head=header(**of_header), main=main) | {
        "entry": [
            {"fullUrl": urn(0), "resource": header(**of_header)},
            {"fullUrl": urn(1), "resource": main},
        ]
    }


def referral(**of_header: Any) -> Json:
    to = {"destination": [{"name": "Test hospital", "endpoint": "https://hospital.test/fhir",
                           "receiver": {"identifier": dict(HOSPITAL)}}]}  # fmt: skip
    return message(head=header("referral", **(to | of_header)))
