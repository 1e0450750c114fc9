"""Is everything that leaves the house valid R4, exactly as agreed (golden files), without a number, bytes untouched?

`SWITCHPOINT_GOLDEN=write` writes the golden files anew; read the difference before keeping it.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir_made import ENDPOINT, US, dumped, flag, shown

from gateway.fhir import auditing, bodies, choices, codes, definitions, showing, strict, writing
from gateway.fhir.catalogue import REGISTRY, Act
from gateway.fhir.failed import failed_search
from gateway.fhir.writing import BatchAnswer
from gateway.rules.access import Bar
from gateway.rules.choice import ConsentState, Method, Party, Say, Scope, Statement
from gateway.rules.exchange import (
    Address,
    Answer,
    AortaId,
    Category,
    Completeness,
    Entry,
    Failing,
    Failure,
    Flag,
    Mode,
    PatientKey,
    Pointer,
    Regime,
)
from gateway.rules.explain import Explanation, Trial
from gateway.rules.identifiers import ApplicationId, Ura, UziNumber
from gateway.rules.journal import FIELDS, WHO, Audience, Event, Line
from gateway.rules.message import ACTION_OF, MessageEvent, Reason, State
from gateway.rules.network import Organisation, System
from gateway.rules.table import ROWS

GOLDEN = Path(__file__).parent / "golden"
AT = datetime(2026, 1, 3, 2, 30, tzinfo=UTC)
ID = "0b0e2f2a-4b44-4c3b-9c55-1f6f0a7b2d11"
KEY = PatientKey(bytes(range(12)))
GP = Address(Ura("90000101"), ApplicationId("400001"), ENDPOINT)
PHARMACY = Address(Ura("90000201"), ApplicationId("400002"), "https://pharmacy.test/fhir/")


def entry(id="f", url=None, mode=Mode.MATCH, raw=None, kind="Flag"):
    return Entry(raw or dumped(flag(id) if kind == "Flag" else {"resourceType": kind, "id": id}), kind, id, url, mode)


def answered(*legs, completeness=Completeness.COMPLETE, **more):
    return writing.searchset(
        id=ID, at=AT, self_url="https://exchange.test/fhir/Flag/_search", legs=legs, completeness=completeness, **more
    )


def statement(say=Say.YES, by=frozenset({Party.PATIENT}), scope=None, **more):
    return Statement(ID, scope or Scope(GP.ura), say, AT, AT, by, **more)


def pointer(**more):
    plain = {"category": Category.GP_SUMMARY, "latent": False, "date": "2026-01-01"} | more
    return Pointer("opaque-1", KEY, GP.ura, GP.application, **plain)


NARROW = Scope(
    GP.ura,
    frozenset({Category.GP_SUMMARY, Category.TREATMENT_LIMITS}),
    frozenset({"hospital", "90000301"}),
    emergency_only=True,
)
DISCLOSED = Line(
    Event.DISCLOSED,
    at=AT,
    wall=AT,
    aorta=AortaId(ID, "7d3a5f5e-58c3-4a53-a9c4-b0f4e6f3a001"),
    patient=KEY,
    custodian=GP.ura,
    requester=Ura("90000401"),
    fields={
        "organisation": "90000401",
        "organisation_name": "Test GP post",
        "organisation_type": "N6",
        "application": "400009",
        "actor": "900000001",
        "actor_name": "Test actor",
        "actor_role": "30.000",
        "responsible": "900000002",
        "responsible_name": "Test responsible",
        "responsible_role": "01.015",
        "purpose": "TREAT",
        "contact_kind": "visit",
        "cover": True,
        "local_hour": 3,
        "category": "gp-summary",
        "row": "REG-1",
        "view": "covering",
        "basis": "consent",
        "resources": 12,
    },
)
DELIVERED = Line(
    Event.MESSAGE_DELIVERED,
    at=AT,
    wall=AT,
    aorta=AortaId(ID, "7d3a5f5e-58c3-4a53-a9c4-b0f4e6f3a001"),
    patient=KEY,
    custodian=GP.ura,
    requester=Ura("90000401"),
    fields={
        **{name: value for name, value in DISCLOSED.fields.items() if name in WHO},
        "message": ID,
        "message_event": "return-message",
        "recipient": GP.ura.digits,
        "recipient_name": "Test practice",
        "row": "RET-1",
        "attempt": 2,
        "system": "400001",
        "ms": 12,
    },
)
BARE = Line(Event.CLOCK_SET, at=AT, wall=AT, fields={"now": "2026-01-01T00:00:00Z", "by": "operator"})
EXPLANATION = Explanation(
    "refused",
    Bar.NO_COVER,
    "The rule holds only for declared cover.",
    (Trial(ROWS[0], ("regime", "role"), ("cover",)), Trial(ROWS[1], (), ("category",))),
    "REG-1: cover would have to be declared",
)
FULL = (
    (GP, Answer((entry(), entry("o", mode=Mode.INCLUDE, kind="Practitioner")))),
    (PHARMACY, Answer((entry(url="https://pharmacy.test/fhir/Flag/f"),), truncated=True)),
    (PHARMACY, Failure(Failing.TIMED_OUT, "8 s")),
    (PHARMACY, Failure(Failing.NO_CONSENT, "403")),
    (GP, Failure(Failing.WITHHELD, "403")),
)
OUT = {
    "outcome": writing.outcome("no-cover", expression="Bundle.type"),
    "searchset": answered(
        *FULL, completeness=Completeness.PARTIAL, flags=(Flag.VERBAL_CONSENT, Flag.CONTRADICTORY_LIMITS)
    ),
    "searchset-neutral": answered(),
    "failed-search": failed_search(Failing.TIMED_OUT, "No source answered in time.", FULL[2:3]),
    "listing": writing.listing(
        [("https://exchange.test/fhir/List/opaque-1", showing.entry(pointer()))],
        id=ID, at=AT, self_url="https://exchange.test/fhir/List/_search", next_url="https://exchange.test/x", total=9),
    "batch-response": writing.batch_response(
        [
            BatchAnswer(201, resource=showing.entry(pointer()), location="List/opaque-1", etag='W/"1"'),
            BatchAnswer(403, outcome=writing.outcome("no-consent")),
        ],
        id=ID, at=AT),
    "entry": showing.entry(pointer()),
    "entry-latent": showing.entry(pointer(latent=True, date="")),
    "consent": showing.consent("c1", 1, statement(), ConsentState.GRANTED),
    "consent-narrow": showing.consent(
        "c1", 2,
        statement(Say.WITHDRAWN, frozenset({Party.PATIENT, Party.PARENT}), NARROW, method=Method.VERBAL,
                  recorder="900000001", information="v3"),
        ConsentState.DENIED),
    "consent-of-all": showing.consent("c1", 1, statement(scope=Scope()), ConsentState.GRANTED),
    "audit-disclosed": auditing.audit_event(7, DISCLOSED, patient=US),
    "audit-delivered": auditing.audit_event(9, DELIVERED, patient=None),
    "audit-bare": auditing.audit_event(8, BARE, patient=None, audience=Audience.OPERATOR),
    "organisation": showing.organisation(
        Organisation(GP.ura, "V4", "Test hospital", frozenset({"SEH"}), agb="06000000")),
    "endpoint": showing.endpoint(System(GP.application, GP.ura, UziNumber("900000009"), ENDPOINT)),
    "explained": writing.parameters_explained(EXPLANATION),
    "capability": definitions.capability(at=AT, url="https://exchange.test/fhir", version="0.1.0", simulation=True),
    **{f"codesystem-{name}": raw for name, raw in definitions.PUBLISHED["CodeSystem"].items()},
    **{f"extension-{name}": raw for name, raw in definitions.PUBLISHED["StructureDefinition"].items()},
    **{f"parameter-{name}": raw for name, raw in definitions.PUBLISHED["SearchParameter"].items()},
}  # fmt: skip


@pytest.mark.parametrize("name", OUT)
def test_golden(name):
    path = GOLDEN / f"{name}.json"
    if os.environ.get("SWITCHPOINT_GOLDEN") == "write":
        path.write_text(shown(OUT[name]), "utf-8")
    assert shown(OUT[name]) == path.read_text("utf-8")


def test_no_golden_file_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(OUT)


@pytest.mark.parametrize("name", OUT)
def test_valid_r4_with_single_keys(name):
    resource = strict.parse(OUT[name])
    assert isinstance(resource, dict)
    model = get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    strict.shape.refuse_hollow(resource, "")
    if "Bundle" not in resource["resourceType"]:
        strict.shape.check(model, resource, resource["resourceType"])


@pytest.mark.parametrize("name", sorted(set(OUT) - {"audit-disclosed", "searchset"}))
def test_no_number_leaves(name):
    assert US.digits.encode() not in OUT[name]
    assert KEY.hex().encode() not in OUT[name]


# --- searchsets ------------------------------------------------------------------------------------------------------


def test_the_sources_bytes_stand_in_the_answer():
    own = b'{ "resourceType":"Flag", "id":"f","x":0.10,\n"y":1.0e2,"z":"\\u00e9\\/" }'
    assert own in answered((GP, Answer((entry(raw=own),))))


def test_neutral_answers_are_equal_to_the_byte():
    refused = (GP, Failure(Failing.NO_CONSENT, "403"))
    assert answered() == answered(refused) == answered(refused, refused)
    assert json.loads(answered())["total"] == 0


def test_total_counts_matches():
    assert json.loads(OUT["searchset"])["total"] == 2


def test_every_silent_source_is_told_once_and_a_refusal_for_consent_never():
    told = [e for e in json.loads(OUT["searchset"])["entry"] if e["search"]["mode"] == "outcome"]
    assert [e["resource"]["issue"][0]["details"]["coding"][0]["code"] for e in told] == [
        "truncated",
        "timed-out",
        "withheld",
    ]
    assert all(e["extension"][0]["url"] == codes.SOURCE_EXTENSION for e in told)


def urls(*legs):
    return [e.get("fullUrl") for e in json.loads(answered(*legs)).get("entry", [])]


def test_full_urls():
    kept, ours = "https://pharmacy.test/fhir/Flag/f", ENDPOINT + "/Flag/f"
    assert urls((PHARMACY, Answer((entry(url=kept),)))) == [kept]
    assert urls((GP, Answer((entry(),))), (PHARMACY, Answer((entry(),)))) == [ours, kept]
    shared = "https://shared.test/Flag/f"
    assert urls((GP, Answer((entry(url=shared),))), (PHARMACY, Answer((entry(url=shared),)))) == [ours, kept]


def test_a_full_url_is_never_given_twice():
    sly = entry(url=ENDPOINT + "/Flag/f")
    found = urls((GP, Answer((entry(),))), (PHARMACY, Answer((sly,))))
    assert found == [None, ENDPOINT + "/Flag/f"]
    anonymous = Entry(b"{}", "Flag", None, None, Mode.MATCH)
    assert urls((GP, Answer((anonymous, anonymous)))) == [None, None]


def test_urls_are_escaped():
    odd = 'https://x.test/"},{"é'
    assert urls((GP, Answer((entry(url=odd),)))) == [odd]


# --- tables ----------------------------------------------------------------------------------------------------------

R4_ISSUE_TYPES = set(
    """invalid structure required value invariant security login unknown expired forbidden suppressed processing
    not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly business-rule
    conflict transient lock-error no-store exception timeout incomplete throttled informational""".split()  # noqa: SIM905
)


def test_every_code_has_an_issue_type_and_a_sentence():
    every = {*map(str, Bar), *map(str, Failing), *map(str, codes.Problem), *map(str, Reason), str(State.UNKNOWN)}
    assert set(codes.ISSUE_TYPES) == set(codes.OUTCOME_SENTENCES) == every
    assert set(codes.ISSUE_TYPES.values()) <= R4_ISSUE_TYPES
    assert all(sentence.endswith(".") for sentence in codes.OUTCOME_SENTENCES.values())


def test_an_unknown_code_cannot_be_told():
    with pytest.raises(KeyError):
        writing.outcome("zork")


def test_every_event_has_an_action():
    assert set(auditing.ACTIONS) == set(Event)


@pytest.mark.parametrize("event", Event)
def test_every_event_can_be_shown_to_a_custodian_without_more_than_the_catalogue_opens(event):
    fields = {name: f"secret-{name}" for name in FIELDS[event]}
    line = Line(event, at=AT, wall=AT, patient=KEY, custodian=GP.ura, fields=fields)
    raw = auditing.audit_event(1, line, patient=None)
    get_fhir_model_class("AuditEvent").model_validate(json.loads(raw))
    for name, audience in FIELDS[event].items():
        assert (f"secret-{name}".encode() + b'"' in raw) == (Audience.CUSTODIAN in audience), name


def test_actor_and_responsible_are_two_agents_and_the_row_is_policy():
    agents = json.loads(OUT["audit-disclosed"])["agent"]
    assert [agent["requestor"] for agent in agents] == [True, False, False, False, False]
    assert [agent["who"]["identifier"]["value"] for agent in agents[:-1]] == [
        "900000001",
        "900000002",
        "90000401",
        GP.ura.digits,
    ]
    assert agents[-1]["who"] == json.loads(OUT["audit-disclosed"])["source"]["observer"]
    assert agents[0]["policy"] == [codes.RULE + "REG-1"]


def test_a_messages_recipient_is_an_agent_of_its_own():
    agents = json.loads(OUT["audit-delivered"])["agent"]
    assert [agent["type"]["coding"][0]["code"] for agent in agents] == ["AUT", "RESP", "PROV", "PRCP", "CST", "110153"]
    assert (agents[3]["who"]["identifier"]["value"], agents[3]["who"]["display"]) == (GP.ura.digits, "Test practice")


def test_who_gets_a_notice_of_the_exchange_did_not_ask_for_it():
    line = Line(Event.MESSAGE_DELIVERED, at=AT, wall=AT, custodian=GP.ura, fields={"recipient": GP.ura.digits})
    agents = json.loads(auditing.audit_event(1, line, patient=None))["agent"]
    assert [(agent["type"]["coding"][0]["code"], agent["requestor"]) for agent in agents] == [
        ("AUT", True),
        ("PRCP", False),
        ("CST", False),
    ]


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (Event.MESSAGE_ACCEPTED, "0"),
        (Event.MESSAGE_DELIVERED, "0"),
        (Event.MESSAGE_PARKED, "0"),
        (Event.MESSAGE_REFUSED, "4"),
        (Event.MESSAGE_POSTPONED, "4"),
        (Event.MESSAGE_FAILED, "8"),
    ],
)
def test_what_came_of_a_message_is_the_outcome(event, outcome):
    assert json.loads(auditing.audit_event(1, Line(event, at=AT, wall=AT), patient=None))["outcome"] == outcome


# --- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latent", [True, False])
def test_an_entry_reads_back(latent):
    raw = json.loads(showing.entry(pointer(latent=latent))) | {"subject": {"identifier": {
        "system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": US.digits}}}  # fmt: skip
    read = bodies.entry(dumped(raw))
    assert (read.custodian, read.system, read.category, read.latent) == (
        GP.ura, GP.application, Category.GP_SUMMARY, latent)  # fmt: skip


@pytest.mark.parametrize("say", Say)
@pytest.mark.parametrize("by", [frozenset({party}) for party in Party] + [frozenset({Party.PATIENT, Party.PARENT})])
@pytest.mark.parametrize("scope", [Scope(GP.ura), Scope(), NARROW], ids=["custodian", "all", "narrow"])
def test_a_consent_reads_back(say, by, scope):
    kept = statement(say, by, scope, method=Method.ONLINE, recorder="x", information="v1")
    raw = json.loads(showing.consent("c1", 1, kept, ConsentState.GRANTED))
    raw["patient"]["identifier"] = {"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": US.digits}
    raw["extension"] = [one for one in raw["extension"] if one["url"] == codes.CONSENT_METHOD]
    read = choices.choice(dumped(raw), sender=None)
    assert (read.say, read.by, read.scope, read.effective) == (say, by, scope, AT)
    assert (read.method, read.recorder, read.information) == (Method.ONLINE, "x", "v1")


# --- the CapabilityStatement -----------------------------------------------------------------------------------------


def test_the_capability_statement_says_what_the_registry_offers():
    rest = json.loads(OUT["capability"])["rest"][0]
    stated = {(r["type"], i["code"]) for r in rest["resource"] for i in r["interaction"]}
    listed = {Act.READ, Act.CREATE, Act.UPDATE, Act.DELETE, Act.SEARCH}
    assert stated == {(row.resource_type, row.act) for row in REGISTRY if row.act in listed}
    assert [one["name"] for one in rest["operation"]] == ["process-message", "explain"]
    for resource in rest["resource"]:
        names = [p["name"] for p in resource.get("searchParam", [])]
        assert len(names) == len(set(names))


def test_the_capability_statement_tells_where_messages_go_and_which():
    whole = json.loads(OUT["capability"])
    [messaging] = whole["messaging"]
    assert [one["address"] for one in messaging["endpoint"]] == ["https://exchange.test/fhir/$process-message"]
    assert {event for event in MessageEvent if f"`{event}`" in messaging["documentation"]} == set(ACTION_OF)
    [operation] = [one for one in whole["rest"][0]["operation"] if one["name"] == "process-message"]
    assert operation["definition"] == "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message"
    without = definitions.capability(
        at=AT, url="https://exchange.test/fhir", version="0.1.0", simulation=True, registry=REGISTRY[:2]
    )
    assert "messaging" not in json.loads(without)


def test_without_simulation_explain_is_not_stated():
    raw = definitions.capability(at=AT, url="https://exchange.test/fhir", version="0.1.0", simulation=False)
    assert b"explain" not in raw


def test_the_published_systems_hold_our_words():
    for name, words in (
        ("data-category", Category),
        ("completeness", Completeness),
        ("flag", Flag),
        ("message-event", MessageEvent),
        ("message-state", State),
    ):
        system = json.loads(definitions.PUBLISHED["CodeSystem"][name])
        assert [one["code"] for one in system["concept"]] == [str(word) for word in words]
    assert Regime.REGULAR.encode() not in definitions.PUBLISHED["CodeSystem"]["outcome"]
