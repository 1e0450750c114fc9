"""Does the short look at an answer ever clear what the walk through it would refuse? Does it clear what is plain?"""

from __future__ import annotations

import json
from typing import Any

import pytest
import test_answers
import test_proof
from fhir_made import ENDPOINT, THEM, US, bsn, document, dumped, flag, item, named, person, searchset
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.fhir import plain_answer
from gateway.fhir.answers import read_answer
from gateway.fhir.codes import BSN_OID
from gateway.rules.exchange import Answer, Failure
from gateway.rules.identifiers import BSN_SYSTEM


class Watched:
    """The short look, watched; or never content, so that everything is walked through."""

    def __init__(self, *, content: bool) -> None:
        self.content, self.cleared = content, False

    def __call__(self, text: bytes, held: Any, bsn: str, patients: Any, *, levels: int) -> bool:
        self.cleared = self.content and plain_answer.clears(text, held, bsn, patients, levels=levels)
        return self.cleared


def both(body: bytes, asked: str = "Flag") -> tuple[Answer | Failure, bool]:
    """What both ways say, which must be the same, and whether the short one sufficed."""
    quick, slow = Watched(content=True), Watched(content=False)
    found = [read_answer(body, patient=US, resource_type=asked, endpoint=ENDPOINT, clears=way) for way in (quick, slow)]
    assert found[0] == found[1]
    return found[0], quick.cleared


def hands() -> dict[str, tuple[bytes, str]]:
    """Every hand-made answer of the tests beside this one."""
    made = {f"malformed: {name}": (body, "Flag") for name, body in test_answers.MALFORMED.items()}
    made |= {f"foreign: {name}": (dumped(searchset(*items)), "Flag") for name, items in test_proof.FOREIGN.items()}
    return made


@pytest.mark.parametrize(("body", "asked"), hands().values(), ids=hands().keys())
def test_what_the_hand_set_holds_is_judged_alike(body: bytes, asked: str) -> None:
    said, _ = both(body, asked)
    assert isinstance(said, Failure)


def practitioner(id: str = "a") -> dict[str, Any]:
    return {"resourceType": "Practitioner", "id": id}


PLAIN = {
    "one match by identifier": [item(flag())],
    "several, with text": [item(flag(str(n), text={"div": "<div>patient: \"x\", 1 [a]</div>"})) for n in range(9)],
    "a name with accents": [item(flag(code={"text": "patiënt Jürgen ☃"}))],
    "the national form of an identifier": [item(flag(subject={"identifier": {"use": "official", **bsn()}}))],
    "a subject that says it is a Patient": [item(flag(subject={"type": "Patient", "identifier": bsn()}))],
    "by reference to the Patient sent along": [
        item(flag(subject={"reference": "Patient/p", "type": "Patient", "display": "x"}), "match"),
        item(person(meta={"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Patient"]}), "include"),
    ],
    "by full URL": [
        item(flag(subject={"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"})),
        item(person(), "include", "urn:uuid:00000000-0000-4000-8000-000000000001"),
    ],
    "references to others": [item(flag(author={"reference": "Practitioner/a", "display": "Dr. Patient"}))],
    "more objects than levels": [item(flag(extension=[{"url": str(n), "valueCode": {}} for n in range(60)]))],
}  # fmt: skip


@pytest.mark.parametrize("items", PLAIN.values(), ids=PLAIN.keys())
def test_what_is_plain_is_cleared(items: list[Any]) -> None:
    said, cleared = both(dumped(searchset(*items)))
    assert isinstance(said, Answer)
    assert cleared


ODD = {
    "another number": {"identifier": {"system": BSN_SYSTEM, "value": THEM.digits}},
    "another number in capitals": {"x": {"system": BSN_SYSTEM.upper(), "value": THEM.digits}},
    "another number, dotless": {"x": {"system": BSN_SYSTEM.replace("i", "ı"), "value": THEM.digits}},
    "another number, long s": {"x": {"system": BSN_SYSTEM.replace("s", "ſ"), "value": THEM.digits}},
    "another number under the OID": {"x": {"system": f"urn:oid:{BSN_OID}", "value": THEM.digits}},
    "another number as a code": {"x": {"code": THEM.digits, **bsn()}},
    "another number after ours": {"x": {**bsn(), "code": THEM.digits}},
    "a Patient elsewhere": {"focus": {"reference": "Patient/elsewhere"}},
    "a Patient elsewhere in capitals": {"focus": {"reference": "PATIENT/elsewhere"}},
    "a Patient elsewhere, dotless": {"focus": {"reference": "patıent/elsewhere"}},
    "a Patient's history": {"focus": {"reference": "Patient/elsewhere/_history/1"}},
    "a Patient before an odd space": {"focus": {"reference": "Patient\u00a0/elsewhere"}},
    "a conditional reference": {"focus": {"reference": "Patient?identifier=1"}},
    "a declared Patient": {"focus": {"type": "Patient", "display": "x"}},
    "a declared Patient by another number": {"focus": {"type": "Patient", "identifier": {"value": "1"}}},
    "a declared Patient that is none": {"focus": {"reference": "Practitioner/a", "type": "Patient"}},
    "a declared Patient that is none, by our number": {
        "focus": {"type": "Patient", "identifier": bsn(), "reference": "Practitioner/a"}
    },
    "a Patient by URL": {"focus": {"type": "http://hl7.org/fhir/StructureDefinition/Patient"}},
    "a Patient behind a quote": {"focus": {"type": '"/Patient'}},
    "a Patient before a line's end": {"focus": {"type": "Patient\n"}},
    "a reference in a text": {"text": {"div": '"reference":"Patient/x" \\"type\\":\\"Patient'}},
    "a number in a text": {"text": {"div": json.dumps(bsn(THEM))}},
    "a contained Patient": {"contained": [person("x", THEM)]},
    "a contained device": {"contained": [{"resourceType": "Device", "id": "x"}]},
    "contained without a type": {"contained": [{"id": "x"}]},
    "contained text": {"contained": ["x"]},
    "a list of lists": {"extension": [[{"url": "x"}]]},
    "a list of lists, later": {"extension": [{"url": "x"}, ["y"]]},
    "a number where a reference stands": {"focus": {"reference": 5}},
    "a reference with an escape": {"focus": {"reference": "Patient\t/x"}},
    "subject and patient": {"patient": named()},
    "deep": {"extension": test_answers.DEEP},
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "plain"])
def test_what_is_odd_is_judged_alike(odd: dict[str, Any], ascii_only: bool) -> None:
    for resource in (flag(**odd), {**practitioner(), **odd}, {**flag(), "extension": [{"url": "x", "value": odd}]}):
        body = searchset(item(flag("g")), item(resource), item(person(), "include"))
        both(json.dumps(body, ensure_ascii=ascii_only, indent=1 if ascii_only else None).encode())


_texts = st.sampled_from(
    ["Patient", "patient", "Patient/p", "Patient/q", "PATIENT/p", "Practitioner/a", "#x", "#p", "Group/g", "", "x y",
     "urn:uuid:00000000-0000-4000-8000-000000000001", "patıent?x", "\u00a0Patient", "Patient ", "/Patient", "ë",
     ENDPOINT + "/Patient/p", "https://other.test/fhir/Patient/p", BSN_SYSTEM, BSN_SYSTEM.upper(), "urn:oid:" + BSN_OID,
     US.digits, THEM.digits, '"', "\\", '"type":"Patient"']
)  # fmt: skip
_names = st.sampled_from(
    ["reference", "type", "identifier", "system", "value", "code", "display", "extension", "subject", "patient",
     "focus", "contained", "resourceType", "id", "use", "valueReference"]
)  # fmt: skip
_values = st.recursive(
    _texts | st.sampled_from([1, True, None, 0.5]) | st.just(bsn()) | st.just(named()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=8,
)
_resources = st.one_of(
    st.just(flag()),
    st.just(person()),
    st.dictionaries(_names, _values, max_size=3).map(lambda more: flag(**{k: v for k, v in more.items() if k != "id"})),
    st.dictionaries(_names, _values, max_size=3).map(lambda more: {**more, **practitioner()}),
    st.dictionaries(_names, _values, max_size=3).map(lambda more: {**person(), **more}),
    st.dictionaries(_names, _values, max_size=2).map(lambda more: document(flag(**more))),
)
_urls = st.sampled_from([None, None, "urn:uuid:00000000-0000-4000-8000-000000000001", ENDPOINT + "/Patient/p"])
_items = st.lists(st.builds(item, _resources, st.sampled_from([None, "match", "include"]), _urls), max_size=4)


@given(items=_items, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_judged_alike(items: list[Any], indent: int | None, ascii_only: bool) -> None:
    both(json.dumps(searchset(*items), indent=indent, ensure_ascii=ascii_only).encode())
