"""Is every message a sender may hand in read, and every other one refused with code and place, without its content?"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir_made import BAD_BSN, THEM, US, bsn, dumped, named
from hypothesis import given, settings
from hypothesis import strategies as st
from message_made import (
    EVENTS,
    HOSPITAL,
    MESSAGE_ID,
    PAGE,
    POST,
    composition,
    encounter,
    header,
    message,
    observation,
    patient,
    plain_message,
    referral,
    urn,
)

from gateway.fhir import narrative
from gateway.fhir.codes import OUTCOME_SENTENCES
from gateway.fhir.message import MAX_BYTES, read_message
from gateway.fhir.refusal import BadRequest
from gateway.fhir.strict import Malformed
from gateway.rules.identifiers import Ura
from gateway.rules.message import ACTION_OF, Message, MessageEvent

Json = dict[str, Any]

READ = Message(MESSAGE_ID, MessageEvent.RETURN_MESSAGE, Ura(POST["value"]), US)
REFERRED = Message(MESSAGE_ID, MessageEvent.REFERRAL, Ura(POST["value"]), US, Ura(HOSPITAL["value"]))


def put(whole: Json, path: str, value: Any) -> Json:
    """The message with the element at a dotted path replaced; `...` removes it. `header`, `main`, `patient` and `line`
    stand for the resource of an entry."""
    changed = copy.deepcopy(whole)
    places = {"header": 0, "main": 1, "patient": 2, "doctor": 3, "line": 5}
    first, *steps = path.split(".")
    node: Any = changed
    if first in places:
        node = changed["entry"][places[first]]["resource"]
    else:
        steps = [first, *steps]
    for step in steps[:-1]:
        node = node[int(step)] if step.isdigit() else node[step]
    last: Any = int(steps[-1]) if steps[-1].isdigit() else steps[-1]
    if value is ...:
        del node[last]
    elif isinstance(node, list) and last == len(node):
        node.append(value)
    else:
        node[last] = value
    return changed


def spoilt(path: str, value: Any) -> Json:
    return put(message(), path, value)


def entry(resource: Json, url: str | None = None) -> Json:
    return {"resource": resource} | ({"fullUrl": url} if url else {})


def refusal(body: bytes) -> tuple[int, str, str | None]:
    """Status, code and path of the refusal, as the web tells it."""
    try:
        read_message(body)
    except Malformed as malformed:
        return 400, "malformed", malformed.path
    except BadRequest as refused:
        return refused.status, refused.code, refused.path
    return 202, "accepted", None


# --- what is taken ---------------------------------------------------------------------------------------------------


def restful(base: str = "https://post.test/fhir") -> Json:
    """The same message with RESTful full URLs and relative references."""
    names = [f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in message()["entry"]]
    text = json.dumps(message())
    for index, name in enumerate(names):
        text = text.replace(f'"{urn(index)}"', json.dumps(name))
    entries = [one | {"fullUrl": f"{base}/{name}"} for name, one in zip(names, json.loads(text)["entry"], strict=True)]
    return message() | {"entry": entries}


def nameless() -> Json:
    whole = restful()
    for one in whole["entry"]:
        del one["fullUrl"]
    return whole


NL_CORE = message(
    patient(
        meta={"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-Patient"]},
        name=[{
            "family": "van der Test", "_family": {"extension": [
                {"url": "http://hl7.org/fhir/StructureDefinition/humanname-own-prefix", "valueString": "van der"}]},
            "given": ["Anna", "A."], "_given": [{"extension": [
                {"url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-qualifier", "valueCode": "BR"}]}, None],
        }],
        generalPractitioner=[{"type": "Organization", "identifier": {"system": POST["system"], "value": "90000101"}}],
        contact=[{"relationship": [{"text": "moeder"}], "name": {"text": "B. Test"}}],
    ),
)  # fmt: skip
NL_CORE["entry"][1]["resource"] |= {"author": [{"identifier": {"system": "urn:oid:1.2", "value": "900000002"}}]}
del NL_CORE["entry"][1]["resource"]["section"]

TAKEN = {
    "as composed": message(),
    "the smallest": plain_message(),
    "full URLs of a server, relative references": restful(),
    "without full URLs, relative references": nameless(),
    "names as nl-core writes them": NL_CORE,
    "status amended": spoilt("main.status", "amended"),
    "a day as date": spoilt("main.date", "2026-01-03"),
    "a type in words": spoilt("main.type", {"text": "verslag"}),
    "a versioned reference": put(restful(), "main.subject.reference", "Patient/patient/_history/3"),
    "subject by reference only": spoilt("main.subject", {"reference": urn(2)}),
    "subject by number only": spoilt("main.subject", named()),
    "subject contained": put(
        spoilt("main.contained", [patient() | {"id": "p"}]), "main.subject", {"reference": "#p"}),
    "contained under a strange name": put(spoilt("doctor.contained.0.id", "None"), "doctor.practitioner.reference",
                                          "#None"),
    "a reference to the container": spoilt("doctor.contained.0.extension", [
        {"url": "https://x.test/in", "valueReference": {"reference": "#"}}]),
    "a resource that names nobody, under the Composition": spoilt("line.subject", ...),
    "a reference by identifier elsewhere": spoilt("line.performer", [{"identifier": dict(POST)}]),
    "a header with text, language, reason": spoilt("header.reason", {"text": "na visite"}),
    "a canonical and an attachment elsewhere": spoilt("line.extension", [
        {"url": "https://x.test/a", "valueCanonical": "https://elsewhere.test/fhir/Questionnaire/1"},
        {"url": "https://x.test/b", "valueAttachment": {"url": "https://elsewhere.test/Patient/1"}}]),
    "zero, false, and a placeholder": spoilt("line.extension", [
        {"url": "https://x.test/a", "valueBoolean": False}, {"url": "https://x.test/b", "valueInteger": 0}]),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name):
    assert read_message(dumped(TAKEN[name])) == READ
    Bundle.model_validate(TAKEN[name])


@pytest.mark.parametrize("more", [{}, {"destination": [{"receiver": {"identifier": HOSPITAL}}]}], ids=["whole", "bare"])
def test_a_referral_names_its_receiver(more):
    assert read_message(dumped(referral(**more))) == REFERRED


SAMPLES = sorted((Path(__file__).parents[2] / "source_sim" / "samples").glob("*.json"))


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_the_sample_messages_are_taken(sample):
    assert read_message(sample.read_bytes()).event in ACTION_OF


# --- what is not -----------------------------------------------------------------------------------------------------

NOBODY = {"resourceType": "Patient", "id": "patient", "name": [{"text": "A. Test"}]}
TEXT = {"status": "generated", "div": f"{PAGE}<script>1</script></div>"}
CODE = {"system": EVENTS, "code": "return-message"}
HEADER, MAIN, LINE = "MessageHeader", "Composition", "Bundle.entry[5].resource"

MALFORMED = {
    "a list": ([], "resourceType"),
    "another resource": ({"resourceType": "Patient"}, "resourceType"),
    "a document": (spoilt("type", "document"), "Bundle.type"),
    "no type": (spoilt("type", ...), "Bundle.type"),
    "no entries": (spoilt("entry", ...), "Bundle.entry"),
    "entries that are no list": (spoilt("entry", {"resource": header()}), "Bundle.entry"),
    "empty": (spoilt("entry", []), "Bundle.entry[0]"),
    "an entry that is no object": (spoilt("entry.5", "x"), "Bundle.entry[5]"),
    "an entry without a resource": (spoilt("entry.5.resource", ...), "Bundle.entry[5]"),
    "a type R4 does not know": (spoilt("line.resourceType", "Zork"), LINE),
    "no resource type": (spoilt("line.resourceType", ...), LINE),
    "an id of another form": (spoilt("line.id", "a b"), f"{LINE}.id"),
    "an id that is a number": (spoilt("line.id", 5), f"{LINE}.id"),
    "a message id of another form": (spoilt("header.id", "é"), "Bundle.entry[0].resource.id"),
    "a message id too long": (spoilt("header.id", "a" * 65), "Bundle.entry[0].resource.id"),
    "one full URL twice": (spoilt("entry.6.fullUrl", urn(5)), "Bundle.entry.fullUrl"),
    "a relative full URL": (spoilt("entry.5.fullUrl", "Observation/line-0"), "Bundle.entry[5].fullUrl"),
    "a full URL of a version": (
        spoilt("entry.5.fullUrl", "https://x.test/Observation/line-0/_history/1"), "Bundle.entry[5].fullUrl"),
    "a full URL of a version, whoever that is": (
        put(spoilt("line.id", ...), "entry.5.fullUrl", "https://x.test/Observation/line-0/_history/1"),
        "Bundle.entry[5].fullUrl"),
    "a full URL of another type": (spoilt("entry.5.fullUrl", "https://x.test/Flag/line-0"), "Bundle.entry[5].fullUrl"),
    "a full URL of another id": (spoilt("entry.5.fullUrl", "https://x.test/Observation/9"), "Bundle.entry[5].fullUrl"),
    "a full URL of null": (spoilt("entry.5.fullUrl", None), "Bundle.entry[5].fullUrl"),
    "the header second": (
        spoilt("entry", [entry(composition(), urn(1)), entry(header(), urn(0))]), "Bundle.entry[0]"),
    "no header": (spoilt("entry.0", entry(composition() | {"id": "c"}, urn(99))), "Bundle.entry[0]"),
    "no source": (spoilt("header.source", ...), f"{HEADER}.source"),
    "no endpoint": (spoilt("header.source", {"name": "x"}), f"{HEADER}.source.endpoint"),
    "an endpoint with a blank": (spoilt("header.source.endpoint", "https://x y"), f"{HEADER}.source.endpoint"),
    "an event that is no coding": (spoilt("header.eventCoding", "return-message"), f"{HEADER}.eventCoding"),
    "a focus that is no list": (spoilt("header.focus", {"reference": urn(1)}), f"{HEADER}.focus"),
    "a focus that is a number": (spoilt("header.focus", [{"reference": 7}]), f"{HEADER}.focus[0].reference"),
    "a sender in a list": (spoilt("header.sender", [{"identifier": POST}]), f"{HEADER}.sender"),
    "a URA that is a number": (spoilt("header.sender.identifier.value", 90000401), f"{HEADER}.sender.identifier.value"),
    "no status": (spoilt("main.status", ...), f"{MAIN}.status"),
    "no type of Composition": (spoilt("main.type", ...), f"{MAIN}.type"),
    "no title": (spoilt("main.title", ...), f"{MAIN}.title"),
    "no date": (spoilt("main.date", ...), f"{MAIN}.date"),
    "a date of another form": (spoilt("main.date", "3 januari"), f"{MAIN}.date"),
    "a date no calendar has": (spoilt("main.date", "2026-02-30"), f"{MAIN}.date"),
    "no author": (spoilt("main.author", ...), f"{MAIN}.author"),
    "an author outside a list": (spoilt("main.author", {"reference": urn(3)}), f"{MAIN}.author"),
    "an empty title": (spoilt("main.title", ""), "Bundle.entry[1].resource.title"),
    "authors, but none": (spoilt("main.author", []), "Bundle.entry[1].resource.author"),
    "null": (spoilt("line.note.0.text", None), f"{LINE}.note[0].text"),
    "an empty object": (spoilt("line.valueQuantity", {}), f"{LINE}.valueQuantity"),
    "an empty list in the Bundle": (spoilt("link", []), "Bundle.link"),
    "an empty list in an entry": (spoilt("entry.5.link", []), "Bundle.entry[5].link"),
    "script in the narrative": (spoilt("line.text", TEXT), f"{LINE}.text.div"),
    "script in a section": (spoilt("main.section.3.text", TEXT), "Bundle.entry[1].resource.section[3].text.div"),
    "script in a contained narrative": (
        spoilt("doctor.contained.0.text", TEXT), "Bundle.entry[3].resource.contained[0].text.div"),
    "a narrative that is a list": (spoilt("line.text", {"status": "generated", "div": ["x"]}), f"{LINE}.div"),
    "a reference that is a list": (spoilt("line.subject", {"reference": [urn(2)]}), f"{LINE}.reference"),
    "contained without an id": (spoilt("doctor.contained.0.id", ...), "Bundle.entry[3].resource.contained"),
    "contained twice under one id": (
        spoilt("doctor.contained.1", {"resourceType": "Location", "id": "who"}), "Bundle.entry[3].resource.contained"),
    "contained outside a list": (
        spoilt("doctor.contained", {"resourceType": "Location", "id": "who"}), "Bundle.entry[3].resource.contained"),
    "a list in a list": (spoilt("line.note", [[{"text": "x"}]]), LINE),
}  # fmt: skip

REFUSED = {
    "an unknown element of the Bundle": (spoilt("implicitRules", "https://x.test"), "not-supported",
                                         "Bundle.implicitRules"),
    "a total": (spoilt("total", 1), "not-supported", "Bundle.total"),
    "a request in an entry": (spoilt("entry.5.request", {"method": "POST", "url": "x"}), "not-supported",
                              "Bundle.entry[5].request"),
    "a modifier in the header": (spoilt("header.modifierExtension", [{"url": "https://x.test"}]), "not-supported",
                                 f"{HEADER}.modifierExtension"),
    "an event by uri": (spoilt("header.eventUri", "https://x.test"), "not-supported", f"{HEADER}.eventUri"),
    "a second header": (spoilt("entry.5", entry(header(id="other"), urn(5))),
                        "invalid-content", LINE),
    "no message id": (spoilt("header.id", ...), "required", f"{HEADER}.id"),
    "the patient's number as message id": (spoilt("header.id", US.digits), "invalid-content", f"{HEADER}.id"),
    "the patient's number in the message id": (spoilt("header.id", f"m-{US.digits}.1"), "invalid-content",
                                               f"{HEADER}.id"),
    "no event": (spoilt("header.eventCoding", ...), "required", f"{HEADER}.eventCoding"),
    "an event of another system": (spoilt("header.eventCoding.system", "https://x.test"), "not-supported",
                                   f"{HEADER}.eventCoding"),
    "an unknown event": (spoilt("header.eventCoding.code", "zork"), "not-supported", f"{HEADER}.eventCoding"),
    **{f"the exchange's own event {event}": (spoilt("header.eventCoding.code", event), "not-supported",
                                             f"{HEADER}.eventCoding")
       for event in ("disclosure-notice", "enrolment-changed", "undeliverable")},
    "no sender": (spoilt("header.sender", ...), "required", f"{HEADER}.sender"),
    "a sender by name": (spoilt("header.sender", {"display": "x"}), "required", f"{HEADER}.sender"),
    "a sender under another system": (spoilt("header.sender.identifier.system", "urn:oid:2.16.528.1.1007.3.3"),
                                      "required", f"{HEADER}.sender"),
    "a URA of seven digits": (spoilt("header.sender.identifier.value", "9000040"), "invalid-content",
                              f"{HEADER}.sender.identifier"),
    "a return message to somebody": (spoilt("header.destination", [{"endpoint": "https://x.test"}]),
                                     "destination-not-allowed", f"{HEADER}.destination"),
    "a return message to nobody": (spoilt("header.destination", []), "destination-not-allowed",
                                   f"{HEADER}.destination"),
    "a referral to nobody": (put(referral(), "header.destination", ...), "required", f"{HEADER}.destination"),
    "a referral to two": (put(referral(), "header.destination.1", {"receiver": {"identifier": HOSPITAL}}),
                          "invalid-content", f"{HEADER}.destination"),
    "a referral to an address only": (put(referral(), "header.destination.0.receiver", ...), "required",
                                      f"{HEADER}.destination[0].receiver"),
    "a referral to no URA": (put(referral(), "header.destination.0.receiver.identifier.value", "x"),
                             "invalid-content", f"{HEADER}.destination[0].receiver.identifier"),
    "no focus": (spoilt("header.focus", ...), "required", f"{HEADER}.focus"),
    "two foci": (spoilt("header.focus.1", {"reference": urn(1)}), "invalid-content", f"{HEADER}.focus"),
    "a focus on a Patient": (spoilt("header.focus.0.reference", urn(2)), "invalid-content", f"{HEADER}.focus[0]"),
    "a focus by identifier": (spoilt("header.focus.0", {"identifier": POST}), "invalid-content", f"{HEADER}.focus[0]"),
    "a focus elsewhere": (spoilt("header.focus.0.reference", urn(77)), "reference-outside",
                          "Bundle.entry[0].resource.focus[0].reference"),
    "a focus that is contained": (
        put(spoilt("header.contained", [composition(subject=named(), author=[{"display": "x"}], section=[
            {"title": "x"}]) | {"id": "c"}]), "header.focus.0.reference", "#c"),
        "invalid-content", f"{HEADER}.focus[0]"),
    "a reference to another server": (spoilt("line.performer.0.reference", "https://x.test/Practitioner/1"),
                                      "reference-outside", f"{LINE}.performer[0].reference"),
    "a reference to a urn not here": (spoilt("line.performer.0.reference", urn(99)), "reference-outside",
                                      f"{LINE}.performer[0].reference"),
    "a relative reference to nothing": (spoilt("line.performer.0.reference", "Practitioner/1"), "reference-outside",
                                        f"{LINE}.performer[0].reference"),
    "a relative reference to another base": (
        put(put(restful(), "entry.5.fullUrl", "https://other.test/Observation/line-0"), "line.performer",
            [{"reference": "PractitionerRole/doctor"}]),
        "reference-outside", "Bundle.entry[1].resource.section[0].entry[1].reference"),
    "a relative reference to either of two": (
        put(put(message(), "line.hasMember", [{"reference": "Observation/line-1"}]), "entry.7.resource.id", "line-1"),
        "reference-outside", f"{LINE}.hasMember[0].reference"),
    "a conditional reference": (spoilt("line.subject.reference", "Patient?identifier=x"), "reference-outside",
                                f"{LINE}.subject.reference"),
    "a reference to what nobody contains": (spoilt("line.performer.0.reference", "#who"), "reference-outside",
                                            f"{LINE}.performer[0].reference"),
    "a reference in an extension": (
        spoilt("line.extension", [{"url": "https://x.test", "valueReference": {"reference": "Group/1"}}]),
        "reference-outside", f"{LINE}.extension[0].valueReference.reference"),
    "a reference in what is contained": (spoilt("doctor.contained.0.extension", [
        {"url": "https://x.test", "valueReference": {"reference": "#gone"}}]), "reference-outside",
        "Bundle.entry[3].resource.contained[0].extension[0].valueReference.reference"),
    "a Bundle within": (spoilt("entry.5.resource", {"resourceType": "Bundle", "type": "collection", "entry": [
        {"resource": patient()}]}), "not-supported", LINE),
    "a resource in Parameters": (spoilt("entry.5.resource", {"resourceType": "Parameters", "parameter": [
        {"name": "x", "resource": patient()}]}), "not-supported", LINE),
    "contained in what is contained": (
        spoilt("doctor.contained.0.contained", [{"resourceType": "Location", "id": "deep"}]), "not-supported",
        "Bundle.entry[3].resource"),
    **{f"status {status}": (spoilt("main.status", status), "invalid-content", f"{MAIN}.status")
       for status in ("preliminary", "entered-in-error", "zork")},
    "a type that says nothing": (spoilt("main.type", {"id": "x"}), "invalid-content", f"{MAIN}.type"),
    "no subject": (spoilt("main.subject", ...), "required", f"{MAIN}.subject"),
    "a subject by name": (spoilt("main.subject", {"display": "A. Test"}), "required", f"{MAIN}.subject"),
    "a subject under another system": (
        spoilt("main.subject", {"identifier": {"system": "urn:oid:1.2", "value": "1"}}), "required", f"{MAIN}.subject"),
    "a patient without a number": (
        spoilt("main.subject", {"reference": urn(2)}) | {"entry": [
            entry(header(), urn(0)),
            entry(composition(subject={"reference": urn(2)}, author=[{"display": "x"}], section=[{"title": "x"}]),
                  urn(1)),
            entry(NOBODY, urn(2))]}, "required", f"{MAIN}.subject"),
    "a number that fails the eleven-test": (
        put(plain_message(), "main.subject.identifier.value", BAD_BSN), "invalid-bsn", f"{MAIN}.subject"),
}  # fmt: skip

WRONG_PATIENT = {
    "the subject's number and its Patient's differ": (spoilt("main.subject.identifier", bsn(THEM)), f"{MAIN}.subject"),
    "a Patient with two numbers": (spoilt("patient.identifier", [bsn(), bsn(THEM)]), f"{MAIN}.subject"),
    "a second Patient": (spoilt("entry.5.resource", patient(THEM) | {"id": "other"}), LINE),
    "a second Patient without a number": (spoilt("entry.5.resource", NOBODY | {"id": "other"}), LINE),
    "another's number under a subject": (spoilt("line.subject", named(THEM)), LINE),
    "a contained Patient": (spoilt("doctor.contained.1", patient(THEM) | {"id": "p"}), "Bundle.entry[3].resource"),
    "another's number in an extension": (
        spoilt("line.extension", [{"url": "https://x.test", "valueIdentifier": bsn(THEM)}]), LINE),
    "another's number as a code": (
        spoilt("line.code.coding.0", {"system": bsn()["system"], "code": THEM.digits}), LINE),
    "another's number in the header": (
        spoilt("header.enterer", {"identifier": bsn(THEM)}), "Bundle.entry[0].resource"),
    "another's number under the oid": (
        spoilt("line.identifier", [{"system": "urn:oid:2.16.840.1.113883.2.4.6.3", "value": THEM.digits}]), LINE),
    "a subject that is a Device": (spoilt("line.subject", {"reference": urn(3)}), LINE),
    "a subject that says nothing": (spoilt("line.subject", {"display": "x"}), LINE),
    "a parent with a number": (
        spoilt("entry.5.resource", {"resourceType": "RelatedPerson", "id": "parent", "identifier": [bsn(THEM)],
                                    "patient": {"reference": urn(2)}}), LINE),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name):
    whole, path = MALFORMED[name]
    assert refusal(dumped(whole)) == (400, "malformed", path)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    whole, code, path = REFUSED[name]
    assert refusal(dumped(whole)) == (422, code, path)


@pytest.mark.parametrize("name", WRONG_PATIENT)
def test_about_somebody_else(name):
    whole, path = WRONG_PATIENT[name]
    assert refusal(dumped(whole)) == (422, "wrong-patient", path)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (dumped(message())[:-1] + b',"type":"message"}', 400),
        (dumped(message()).replace(b'"38.1"', b"NaN").replace(b"38.1", b"NaN"), 400),
        (dumped(message()).replace(b"Test note", b"Test \xff note"), 400),
        (dumped(spoilt("line.extension", json.loads("[" * 70 + "]" * 70))), 400),
        (dumped(message()) + b" " * MAX_BYTES, 413),
    ],
    ids=["empty", "half", "a key twice", "NaN", "not UTF-8", "deep", "large"],
)
def test_no_json_we_take(body, status):
    assert refusal(body)[0] == status


def told(body: bytes) -> str:
    with pytest.raises((BadRequest, Malformed)) as raised:
        read_message(body)
    return "".join((str(raised.value), repr(raised.value), repr(vars(raised.value))))


def test_no_refusal_tells_what_was_sent():
    for name, (whole, *_) in (MALFORMED | REFUSED | WRONG_PATIENT).items():
        said = told(dumped(whole))
        for secret in (US.digits, THEM.digits, BAD_BSN, "Test note", "A. Test", "x.test", "zork", MESSAGE_ID):
            assert secret not in said, name


def test_every_code_told_is_published():
    codes = {code for _, code, _ in REFUSED.values()} | {"wrong-patient", "malformed", "too-large"}
    assert codes <= set(OUTCOME_SENTENCES)


# --- properties ------------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
LINES = st.lists(
    st.fixed_dictionaries(
        {"note": NAMES.map(lambda text: [{"text": text}]), "id": st.text("abcdefgh.-", min_size=1, max_size=8)}
    ),
    max_size=6,
    unique_by=lambda line: line["id"],
)


@settings(max_examples=60, deadline=None)
@given(lines=LINES, style=st.sampled_from(["urn", "restful", "none"]), title=NAMES, message_id=st.uuids(),
       order=st.randoms(use_true_random=False), by=st.sampled_from(["reference", "number", "both"]))  # fmt: skip
def test_any_well_made_message_is_read(lines, style, title, message_id, order, by):
    resources = [patient(), encounter()] + [observation(0) | line for line in lines]
    order.shuffle(resources)
    whole = [header(id=str(message_id)), composition(title=title), *resources]
    names = {f"{one['resourceType']}/{one['id']}": urn(index) for index, one in enumerate(whole)}
    url = {"urn": names.get, "restful": lambda name: f"https://post.test/{name}", "none": lambda name: None}[style]
    to = names.get if style == "urn" else str
    subject = {"reference": to("Patient/patient")} if by != "number" else {}
    whole[0]["focus"] = [{"reference": to("Composition/report")}]
    whole[1] |= {"subject": subject | (named() if by != "reference" else {}), "author": [{"display": title}]}
    whole[1]["section"] = [{"entry": [{"reference": to(name)}]} for name in names if name.startswith("Obs")]
    whole[1]["section"] = whole[1]["section"] or [{"title": title}]
    for one in resources:
        if one["resourceType"] != "Patient":
            one |= {"subject": {"reference": to("Patient/patient")}}
        if one["resourceType"] == "Observation":
            one |= {"encounter": {"reference": to("Encounter/contact")}, "performer": [{"display": title}]}
    entries = [entry(one, url(f"{one['resourceType']}/{one['id']}")) for one in whole]
    read = read_message(dumped({"resourceType": "Bundle", "type": "message", "entry": entries}))
    assert (read.id, read.patient, read.sender, read.event) == (str(message_id), US, READ.sender, READ.event)


def nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [pair for key, child in items for pair in [(value, key), *nodes(child)]]


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5),
    st.sampled_from([[], {}, [[]], [None], {"reference": "#x"}, {"reference": 5}, {"identifier": None},
                     {"resourceType": "Patient"}, {"resourceType": 7}, {"contained": [{"id": 1}]}, "#", THEM.digits]),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_whatever_is_spoilt_is_read_or_refused_and_never_breaks(data):
    whole = copy.deepcopy(data.draw(st.sampled_from([message(), referral(), plain_message()])))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(nodes(whole)))
        container[key] = copy.deepcopy(data.draw(JUNK))
    status, code, _ = refusal(dumped(whole))
    assert status in (202, 400, 413, 422)
    assert code == "accepted" or code in OUTCOME_SENTENCES


# --- narratives at a glance ------------------------------------------------------------------------------------------

PIECES = ["<div>", "</div>", "<p>", "</p>", "<br/>", "<b>", "</b>", "<script>", "</script>", "<", ">", "a", "&lt;",
          "<p class='x'>", "<img/>", "<!--", "-->", "</p/>", "<P>", "\n", '<div xmlns="http://www.w3.org/1999/xhtml">',
          "<a href='javascript:1'>", "</a>"]  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_a_glance_at_a_narrative_sees_no_more_than_reading_it(inside):
    div = f"<div>{inside}</div>"
    reader = narrative._Reader()
    reader.feed(div)
    reader.close()
    read = not reader.harmful and not reader.open and "<" not in reader.rawdata
    assert narrative.is_harmless(div) == read
