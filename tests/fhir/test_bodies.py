"""Are index entries, privacy consents and batches read whole, and refused where we would have to ignore something?"""

from __future__ import annotations

import copy
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from fhir_made import BAD_BSN, THEM, US, bsn, dumped, flag, named
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.fhir import bodies, choices, codes, plain_entry
from gateway.fhir.bodies import BatchEntry
from gateway.fhir.refusal import BadRequest
from gateway.fhir.strict import Malformed
from gateway.rules.choice import Choice, Method, Party, Say, Scope
from gateway.rules.exchange import Category
from gateway.rules.identifiers import APPLICATION_SYSTEM, URA_SYSTEM, ApplicationId, Ura
from gateway.rules.network import Registration

GP = Ura("90000101")
OTHER = Ura("90000102")


def ura(one: Ura = GP) -> dict[str, Any]:
    return {"identifier": {"system": URA_SYSTEM, "value": one.digits}}


ENTRY: dict[str, Any] = {
    "resourceType": "List",
    "status": "current",
    "mode": "working",
    "code": {"coding": [{"system": codes.DATA_CATEGORY, "code": "gp-summary"}]},
    "subject": named(),
    "source": {"reference": "#s"},
    "contained": [
        {
            "resourceType": "Device",
            "id": "s",
            "identifier": [{"system": APPLICATION_SYSTEM, "value": "400001"}],
            "owner": ura(),
        }
    ],
    "date": "2026-01-01",
    "emptyReason": {"coding": [{"system": codes.EMPTY_REASON, "code": "withheld"}]},
}


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


CONSENT: dict[str, Any] = {
    "resourceType": "Consent",
    "status": "active",
    "scope": concept(codes.CONSENT_SCOPE, "patient-privacy"),
    "category": [concept(codes.LOINC, "59284-0")],
    "patient": named(),
    "dateTime": "2026-01-01T12:00:00Z",
    "organization": [ura()],
    "policyRule": concept(codes.ACT_CODE, "OPTIN"),
    "provision": {"type": "permit"},
}


def changed(whole: dict[str, Any], *path_and_value: Any) -> dict[str, Any]:
    """A copy with the element at this path replaced by the last argument; ... takes it away."""
    *path, value = path_and_value
    made = copy.deepcopy(whole)
    node: Any = made
    for step in path[:-1]:
        node = node[step]
    if value is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return made


def code(word: str, system: str = codes.DATA_CATEGORY) -> dict[str, Any]:
    return concept(system, word)


LATENT = {"tag": [{"system": codes.REGISTRATION, "code": "latent"}]}


def registration(**more: Any) -> Registration:
    plain = {"category": Category.GP_SUMMARY, "latent": False, "date": "2026-01-01"} | more
    return Registration(patient=US, custodian=GP, system=ApplicationId("400001"), **plain)


ENTRIES = {
    "plain": (ENTRY, registration()),
    "latent": ({**ENTRY, "meta": LATENT}, registration(latent=True)),
    "with other tags": ({**ENTRY, "meta": {"tag": [{"system": "http://x.test", "code": "y"}]}}, registration()),
    "without date": (changed(ENTRY, "date", ...), registration(date="")),
    "without reason": (changed(ENTRY, "emptyReason", ...), registration()),
    "by a national word": ({**ENTRY, "code": code("MEDAFSPRAAK")}, registration(category=Category.MEDICATION)),
    "by two words for one": (
        {**ENTRY, "code": {"coding": [*code("medication")["coding"], *code("MEDVERSTREKKING")["coding"]]}},
        registration(category=Category.MEDICATION),
    ),
    "with a foreign code beside ours": (
        {**ENTRY, "code": {"coding": [*code("x", "http://x.test")["coding"], *code("allergies")["coding"]]}},
        registration(category=Category.ALLERGIES),
    ),
    "enrolment": ({**ENTRY, "code": code("enrolment")}, registration(category=Category.ENROLMENT)),
}


@pytest.mark.parametrize(("body", "expected"), ENTRIES.values(), ids=ENTRIES.keys())
def test_entry(body, expected):
    assert bodies.entry(dumped(body)) == expected


BAD_ENTRIES = {
    "retired": changed(ENTRY, "status", "retired"),
    "a snapshot": changed(ENTRY, "mode", "snapshot"),
    "unknown category": {**ENTRY, "code": code("zork")},
    "category of another system": {**ENTRY, "code": code("gp-summary", "http://x.test")},
    "two categories": {**ENTRY, "code": {"coding": [*code("medication")["coding"], *code("allergies")["coding"]]}},
    "return messages": {**ENTRY, "code": code("return-message")},
    "no category": changed(ENTRY, "code", ...),
    "enrolment without date": changed({**ENTRY, "code": code("enrolment")}, "date", ...),
    "no subject": changed(ENTRY, "subject", ...),
    "subject by reference": {**ENTRY, "subject": {"reference": "Patient/1"}},
    "subject of another system": {**ENTRY, "subject": {"identifier": {"system": "http://x.test", "value": "1"}}},
    "subject failing the eleven-test": {**ENTRY, "subject": {"identifier": {**bsn(), "value": BAD_BSN}}},
    "no source": changed(ENTRY, "source", ...),
    "source elsewhere": {**ENTRY, "source": {"reference": "Device/1"}},
    "source without owner": changed(ENTRY, "contained", 0, "owner", ...),
    "source of a short URA": changed(ENTRY, "contained", 0, "owner", "identifier", "value", "1"),
    "source of another numbering": changed(ENTRY, "contained", 0, "identifier", 0, "system", "http://x.test"),
    "source with two application ids": changed(
        ENTRY, "contained", 0, "identifier", [*ENTRY["contained"][0]["identifier"]] * 2
    ),
    "source that is a person": {**ENTRY, "contained": [{"resourceType": "Practitioner", "id": "s"}]},
    "with content": {**ENTRY, "entry": [{"item": {"reference": "Observation/1"}}]},
    "with a note": {**ENTRY, "note": [{"text": "x"}]},
    "with a title": {**ENTRY, "title": "x"},
    "with rules of its own": {**ENTRY, "implicitRules": "http://x.test"},
    "with a modifier": {**ENTRY, "modifierExtension": [{"url": "http://x.test", "valueBoolean": True}]},
    "another reason": {**ENTRY, "emptyReason": concept(codes.EMPTY_REASON, "nilknown")},
    "another tag of registration": {**ENTRY, "meta": {"tag": [{"system": codes.REGISTRATION, "code": "loud"}]}},
}


@pytest.mark.parametrize("body", BAD_ENTRIES.values(), ids=BAD_ENTRIES.keys())
def test_bad_entry(body):
    with pytest.raises(BadRequest) as caught:
        bodies.entry(dumped(body))
    assert caught.value.status == 422
    assert caught.value.code in codes.ISSUE_TYPES
    assert caught.value.path
    assert US.digits not in f"{caught.value} {caught.value.path}"


def test_an_invalid_number_has_a_code_of_its_own():
    with pytest.raises(BadRequest) as caught:
        bodies.entry(dumped(BAD_ENTRIES["subject failing the eleven-test"]))
    assert caught.value.code == "invalid-bsn"


def test_a_list_of_another_form_is_malformed():
    for body in (b"", dumped(CONSENT), dumped(changed(ENTRY, "status", "zork")), dumped({**ENTRY, "zork": 1})):
        with pytest.raises(Malformed):
            bodies.entry(body)


# --- consent ---------------------------------------------------------------------------------------------------------

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def stated(say: Say = Say.YES, effective: datetime | None = NOON, by: frozenset[Party] = frozenset({Party.PATIENT}),
           custodian: Ura | None = GP, categories: frozenset[Category] | None = None,
           requesters: frozenset[str] | None = None, emergency_only: bool = False, **more: Any) -> Choice:  # fmt: skip
    scope = Scope(custodian, categories, requesters, emergency_only)
    return Choice(patient=US, scope=scope, say=say, effective=effective, by=by, **more)


def provision(**more: Any) -> dict[str, Any]:
    return {**CONSENT, "provision": {"type": "permit", **more}}


def actor(system: str, value: str, role: str = "IRCP") -> dict[str, Any]:
    return {"role": concept(codes.PARTICIPATION, role), "reference": {"identifier": {"system": system, "value": value}}}


def related(relation: str, id: str = "r", patient: Any = None) -> dict[str, Any]:
    return {
        "resourceType": "RelatedPerson",
        "id": id,
        "patient": patient or {"reference": "#p"},
        "relationship": [concept(codes.ROLE_CODE, relation)],
    }


CHILD = {"resourceType": "Patient", "id": "p", "birthDate": "2013-05-06"}
BORN = date(2013, 5, 6)


def by(*performers: Any, contained: list[Any]) -> dict[str, Any]:
    return {**CONSENT, "performer": list(performers), "contained": contained}


def method(**parts: str) -> list[Any]:
    return [{"url": codes.CONSENT_METHOD, "extension": [{"url": k, "valueString": v} for k, v in parts.items()]}]


def purposes(*words: str) -> list[Any]:
    return [{"system": codes.ACT_REASON, "code": word} for word in words]


CHOICES = {
    "yes": (CONSENT, stated()),
    "no": (changed(CONSENT, "provision", "type", "deny"), stated(Say.NO)),
    "withdrawn": (changed(CONSENT, "status", "inactive"), stated(Say.WITHDRAWN)),
    "cleared": (
        changed(changed(CONSENT, "status", "inactive"), "provision", "type", "deny"),
        stated(Say.CLEARED),
    ),
    "effective now": (changed(CONSENT, "dateTime", ...), stated(effective=None)),
    "effective from a Dutch day": (
        changed(CONSENT, "dateTime", "2026-01-01"),
        stated(effective=datetime(2025, 12, 31, 23, tzinfo=UTC)),
    ),
    "per category": (
        provision(**{"class": [*code("gp-summary")["coding"], *code("BEHAANWIJZING")["coding"]]}),
        stated(categories=frozenset({Category.GP_SUMMARY, Category.TREATMENT_LIMITS})),
    ),
    "return messages": (
        provision(**{"class": code("return-message")["coding"]}),
        stated(categories=frozenset({Category.RETURN_MESSAGE})),
    ),
    "per group": (
        provision(actor=[actor(codes.REQUESTER_GROUP, "hospital"), actor(codes.REQUESTER_GROUP, "ambulance")]),
        stated(requesters=frozenset({"hospital", "ambulance"})),
    ),
    "one organisation": (
        provision(actor=[actor(URA_SYSTEM, OTHER.digits)]),
        stated(requesters=frozenset({OTHER.digits})),
    ),
    "emergencies only": (provision(purpose=purposes("ETREAT")), stated(emergency_only=True)),
    "both purposes": (provision(purpose=purposes("ETREAT", "TREAT")), stated()),
    "age by the contained patient": ({**CONSENT, "contained": [CHILD]}, stated(birth_date=BORN)),
    "age by month only": (
        {**CONSENT, "contained": [{**CHILD, "birthDate": "2013-05"}]},
        stated(birth_date=date(2013, 5, 31)),
    ),
    "by the patient, named": ({**CONSENT, "performer": [named()]}, stated()),
    "by a parent": (
        by({"reference": "#r"}, contained=[CHILD, related("PRN")]),
        stated(by=frozenset({Party.PARENT}), birth_date=BORN),
    ),
    "by a guardian of the number": (
        by({"reference": "#r"}, contained=[related("GUARD", patient=named())]),
        stated(by=frozenset({Party.GUARDIAN})),
    ),
    "by patient and parent": (
        by({"reference": "#p"}, {"reference": "#r"}, contained=[CHILD, related("PRN")]),
        stated(by=frozenset({Party.PATIENT, Party.PARENT}), birth_date=BORN),
    ),
    "by a representative": (
        by({"reference": "#r"}, contained=[CHILD, related("POWATT")]),
        stated(by=frozenset({Party.REPRESENTATIVE}), birth_date=BORN),
    ),
    "verbally": (
        {**CONSENT, "extension": method(method="verbal", recorder="900000001", information="v3")},
        stated(method=Method.VERBAL, recorder="900000001", information="v3"),
    ),
    "method as a code": (
        {**CONSENT, "extension": [{"url": codes.CONSENT_METHOD,
                                   "extension": [{"url": "method", "valueCode": "online"}]}]},
        stated(method=Method.ONLINE)),
    "with another extension": (
        {**CONSENT, "extension": [{"url": "http://x.test", "valueString": "x"}]}, stated()),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_choice(body, expected):
    assert choices.choice(dumped(body), sender=GP) == expected


def test_without_a_sender_any_custodian_or_all():
    assert choices.choice(dumped(CONSENT), sender=None) == stated()
    assert choices.choice(dumped(changed(CONSENT, "organization", ...)), sender=None) == stated(custodian=None)


@pytest.mark.parametrize("organization", [[ura(OTHER)], ...], ids=["another", "all"])
def test_a_custodian_states_for_itself_only(organization):
    with pytest.raises(BadRequest) as caught:
        choices.choice(dumped(changed(CONSENT, "organization", organization)), sender=GP)
    assert caught.value.status == 403


STRANGER = {"resourceType": "Patient", "id": "p", "identifier": [bsn(THEM)]}
BAD_CHOICES = {
    "a treatment limit": {**CONSENT, "scope": concept(codes.CONSENT_SCOPE, "treatment")},
    "scope of another system": {**CONSENT, "scope": concept("http://x.test", "patient-privacy")},
    "another category": {**CONSENT, "category": [concept(codes.LOINC, "1")]},
    "no policy rule": changed(CONSENT, "policyRule", ...),
    "opt-out": {**CONSENT, "policyRule": concept(codes.ACT_CODE, "OPTOUT")},
    "draft": changed(CONSENT, "status", "draft"),
    "no provision": changed(CONSENT, "provision", ...),
    "provision without type": {**CONSENT, "provision": {"purpose": purposes("ETREAT")}},
    "no patient": changed(CONSENT, "patient", ...),
    "patient by reference": {**CONSENT, "patient": {"reference": "Patient/1"}},
    "patient failing the eleven-test": {**CONSENT, "patient": {"identifier": {**bsn(), "value": BAD_BSN}}},
    "two custodians": {**CONSENT, "organization": [ura(), ura(OTHER)]},
    "custodian of another numbering": {**CONSENT, "organization": [named()]},
    "effective some time in a month": changed(CONSENT, "dateTime", "2026-01"),
    "unknown class": provision(**{"class": code("zork")["coding"]}),
    "class of another system": provision(**{"class": code("medication", "http://x.test")["coding"]}),
    "class enrolment": provision(**{"class": code("enrolment")["coding"]}),
    "one known and one unknown class": provision(
        **{"class": [*code("medication")["coding"], *code("zork")["coding"]]}),
    "actor in another role": provision(actor=[actor(URA_SYSTEM, OTHER.digits, "CST")]),
    "unknown group": provision(actor=[actor(codes.REQUESTER_GROUP, "insurers")]),
    "actor of another numbering": provision(actor=[actor("http://x.test", "1")]),
    "actor of a short URA": provision(actor=[actor(URA_SYSTEM, "1")]),
    "purpose research": provision(purpose=purposes("HRESCH")),
    "purpose everything but emergencies": provision(purpose=purposes("TREAT")),
    "a provision in the provision": provision(provision=[{"type": "deny"}]),
    "a period": provision(period={"end": "2026-02-01"}),
    "an action": provision(action=[{"text": "x"}]),
    "a data period": provision(dataPeriod={"start": "2026"}),
    "a security label": provision(securityLabel=[{"code": "R"}]),
    "a source document": {**CONSENT, "sourceAttachment": {"title": "x"}},
    "a modifier": {**CONSENT, "modifierExtension": [{"url": "http://x.test", "valueBoolean": True}]},
    "by nobody we know": {**CONSENT, "performer": [{"display": "x"}]},
    "by another patient": {**CONSENT, "performer": [named(THEM)]},
    "by a practitioner": by({"reference": "#x"}, contained=[{"resourceType": "Practitioner", "id": "x"}]),
    "by a neighbour": by({"reference": "#r"}, contained=[CHILD, related("NBOR")]),
    "by a parent and guardian in one": by(
        {"reference": "#r"},
        contained=[CHILD, {**related("PRN"), "relationship": [concept(codes.ROLE_CODE, "PRN"),
                                                             concept(codes.ROLE_CODE, "GUARD")]}]),
    "by a parent of another": by({"reference": "#r"}, contained=[related("PRN", patient=named(THEM))]),
    "by a parent of nobody": by({"reference": "#r"}, contained=[related("PRN", patient={"display": "x"})]),
    "with another contained patient": {**CONSENT, "contained": [STRANGER]},
    "with two contained patients": {**CONSENT, "contained": [CHILD, {**CHILD, "id": "q"}]},
    "unknown method": {**CONSENT, "extension": method(method="telepathy")},
    "unknown part of the method": {**CONSENT, "extension": method(mood="x")},
    "two methods": {**CONSENT, "extension": method(method="verbal") * 2},
}  # fmt: skip


@pytest.mark.parametrize("body", BAD_CHOICES.values(), ids=BAD_CHOICES.keys())
def test_bad_choice(body):
    with pytest.raises(BadRequest) as caught:
        choices.choice(dumped(body), sender=None)
    assert caught.value.status == 422
    assert caught.value.code in codes.ISSUE_TYPES
    assert US.digits not in f"{caught.value} {caught.value.path}"


# --- batch and explain -----------------------------------------------------------------------------------------------


def batch_of(*entries: Any, **more: Any) -> bytes:
    return dumped({"resourceType": "Bundle", "type": "batch", "entry": list(entries), **more})


def post(resource: Any, url: str = "List") -> dict[str, Any]:
    return {"request": {"method": "POST", "url": url}, "resource": resource}


def test_batch_keeps_each_resource_as_it_came():
    own = b'{ "resourceType":"List" , "x":0.10}'
    body = (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"resource": %s ,"request":{"method":"POST","url":"List"}}]}'
    )
    assert bodies.batch(body % own) == (BatchEntry("POST", "List", own),)


def test_batch_leaves_the_judgement_of_entries_to_later():
    read = bodies.batch(batch_of(post(ENTRY), post(flag(), "Flag"), {"request": {"method": "GET", "url": "List/1"}}))
    assert [(one.method, one.url, one.body is None) for one in read] == [
        ("POST", "List", False),
        ("POST", "Flag", False),
        ("GET", "List/1", True),
    ]
    assert US.digits not in repr(read)
    assert bodies.batch(dumped({"resourceType": "Bundle", "type": "batch"})) == ()


BAD_BATCHES = {
    "transaction": (dumped({"resourceType": "Bundle", "type": "transaction"}), 400),
    "searchset": (dumped({"resourceType": "Bundle", "type": "searchset"}), 400),
    "too many": (batch_of(*[post({}, "L")] * 5001), 413),
    "too large": (b" " * (bodies.MAX_BATCH_BYTES + 1), 413),
}


@pytest.mark.parametrize(("body", "status"), BAD_BATCHES.values(), ids=BAD_BATCHES.keys())
def test_bad_batch(body, status):
    with pytest.raises(BadRequest) as caught:
        bodies.batch(body)
    assert caught.value.status == status


MALFORMED_BATCHES = {
    "no JSON": b"x",
    "a list": b"[]",
    "another resource": dumped(ENTRY),
    "entry without request": batch_of({"resource": ENTRY}),
    "request without url": batch_of({"request": {"method": "POST"}, "resource": ENTRY}),
    "request with a condition": batch_of({"request": {"method": "POST", "url": "List", "ifNoneExist": "x"}}),
    "unknown element": batch_of(zork=1),
    "duplicate key in an entry": batch_of(post(ENTRY)).replace(b'"mode":"working"', b'"mode":"working","mode":"x"'),
    "too deep": batch_of(post(json.loads("[" * 80 + "]" * 80))),
}


@pytest.mark.parametrize("body", MALFORMED_BATCHES.values(), ids=MALFORMED_BATCHES.keys())
def test_malformed_batch(body):
    with pytest.raises(Malformed):
        bodies.batch(body)


def parameters(**more: Any) -> bytes:
    return dumped({"resourceType": "Parameters", "parameter": [{"name": "category", **more}]})


@pytest.mark.parametrize(
    "more",
    [{"valueCode": "medication"}, {"valueString": "medication"},
     {"valueCoding": {"system": codes.DATA_CATEGORY, "code": "medication"}}],
    ids=["code", "string", "coding"],
)  # fmt: skip
def test_explain(more):
    assert bodies.explain(parameters(**more)) is Category.MEDICATION


@pytest.mark.parametrize(
    "body",
    [
        dumped({"resourceType": "Parameters", "id": "x"}),
        dumped({"resourceType": "Parameters", "parameter": [{"name": "x", "valueCode": "medication"}]}),
        parameters(valueCode="zork"),
        parameters(valueCode="return-message"),
        parameters(valueBoolean=True),
    ],
    ids=["empty", "another name", "unknown", "return messages", "another type"],
)
def test_bad_explain(body):
    with pytest.raises(BadRequest) as caught:
        bodies.explain(body)
    assert caught.value.status == 422


# --- the quick way in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "latent", "enrolment"])
def test_the_quick_way_takes_the_form_of_the_interface(name):
    body, expected = ENTRIES[name]
    assert plain_entry.read(dumped(body)) == expected


@pytest.mark.parametrize("body", [*BAD_ENTRIES.values()], ids=[*BAD_ENTRIES])
def test_the_quick_way_leaves_refusing_to_the_models(body):
    assert plain_entry.read(dumped(body)) is None


@pytest.mark.parametrize(
    "path_and_value",
    [("meta", None), ("contained", 0, "id", "s\n"), ("date", "2026-02-30"), ("date", "2026"), ("id", "x")],
    ids=["null", "newline", "no such day", "a year", "an id"],
)
def test_the_quick_way_is_exact(path_and_value):
    assert plain_entry.read(dumped(changed({**ENTRY, "meta": LATENT}, *path_and_value))) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_quick_way_never_takes_what_the_models_would_not(data):
    body = spoiled(data, data.draw(st.sampled_from([whole for whole, _ in ENTRIES.values()])))
    quick = plain_entry.read(body)
    if quick is not None:
        assert bodies.modelled_entry(body) == quick


# --- anything at all -------------------------------------------------------------------------------------------------

ANY = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "#p", "#s", US.digits]) | st.just({})


def spoiled(data: Any, whole: dict[str, Any]) -> bytes:
    made = copy.deepcopy(whole)
    node: Any = made
    while True:
        step = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        inner = node[step]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 4)) == 0:
            break
        node = inner
    if isinstance(node, dict) and data.draw(st.booleans()):
        del node[step]
    else:
        node[step] = data.draw(ANY)
    return dumped(made)


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_nothing_else_is_ever_raised(data):
    rich = data.draw(st.sampled_from([body for body, _ in CHOICES.values()]))
    for read, whole in ((bodies.entry, ENTRY), (lambda body: choices.choice(body, sender=None), rich)):
        body = spoiled(data, whole)
        try:
            read(body)
        except (Malformed, BadRequest) as refused:
            assert US.digits not in str(refused)  # noqa: PT017
