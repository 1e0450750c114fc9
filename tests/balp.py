"""What does an AuditEvent owe the IHE BALP profile it claims? The constraints as a table of their own.

Read from IHE BALP 1.1, not from the code under test; used on what the writer makes and on what really left.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

Shown = dict[str, Any]
DCM, REST = "http://dicom.nema.org/resources/ontology/DCM", "http://hl7.org/fhir/restful-interaction"
PART = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


def having(items: list[Shown], system: str, code: str) -> list[Shown]:
    """The agents or entities whose type is this code."""
    return [one for one in items if {"system": system, "code": code} in one["type"].get("coding", [one["type"]])]


def only(items: list[Shown]) -> Shown:
    assert len(items) == 1
    return items[0]


def ends(one: Shown, client: str, server: str) -> tuple[Shown, Shown]:
    """The two ends, each once, with who and a network address."""
    found = only(having(one["agent"], DCM, client)), only(having(one["agent"], DCM, server))
    for agent in found:
        assert agent["who"]
        assert agent["network"]["address"]
    return found


def about_a_patient(one: Shown) -> None:
    patient = only(having(one["entity"], ENTITY, "1"))
    assert (patient["role"]["system"], patient["role"]["code"]) == (ROLE, "1")
    assert patient["what"]["type"] == "Patient"
    assert len(patient["what"]["identifier"]["value"]) == 9


def subtyped(one: Shown, system: str, code: str) -> bool:
    return {"system": system, "code": code} in one["subtype"]


def a_query(one: Shown) -> None:
    assert one["type"]["code"] == "rest"
    assert subtyped(one, REST, "search")
    assert (one["action"], one["outcome"]) == ("E", "0")
    ends(one, "110153", "110152")
    for user in having(one["agent"], PART, "IRCP"):
        assert user["requestor"]
        assert "network" not in user
    query = only(having(one["entity"], ENTITY, "2"))
    assert query["role"]["code"] == "24"
    assert base64.b64decode(query["query"], validate=True)
    assert not query.keys() & {"what", "lifecycle", "detail"}
    about_a_patient(one)


def a_creation(one: Shown) -> None:
    assert one["type"]["code"] == "rest"
    assert subtyped(one, REST, "create")
    assert (one["action"], one["outcome"]) == ("C", "0")
    ends(one, "110153", "110152")
    # the user is optional: a system that registers by itself is its own requestor
    (asking,) = [agent for agent in one["agent"] if agent["requestor"]]
    assert having([asking], PART, "AUT") or having([asking], DCM, "110153")
    data = only(having(one["entity"], ENTITY, "2"))
    assert data["role"]["code"] in ("3", "4", "20")
    assert data["what"]
    about_a_patient(one)


def a_disclosure(one: Shown) -> None:
    assert (one["type"]["system"], one["type"]["code"], one["action"]) == (DCM, "110106", "R")
    assert subtyped(one, "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "disclose")
    source, _ = ends(one, "110153", "110152")
    assert source["who"] == one["source"]["observer"]
    assert only(having(one["agent"], "http://snomed.info/sct", "159541003"))["who"]["identifier"]["value"]
    assert having(one["entity"], ENTITY, "2")
    about_a_patient(one)


PROFILES: dict[str, Callable[[Shown], None]] = {
    BALP + "PatientQuery": a_query,
    BALP + "PatientCreate": a_creation,
    BALP + "PrivacyDisclosure.Source": a_disclosure,
}
