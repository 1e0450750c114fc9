"""Does every interaction of the exchange do what the interface says, and every misuse get its own code?"""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from exchange_made import BAD_BSN, FHIR_JSON, NOBODY, SEARCHES, THEM, US, Exchange, N
from fhir.resources.R4B.bundle import Bundle

from gateway.rules.exchange import Failing, Failure
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event

UUIDS = "initialRequestID={}; requestID={}"
CHAIN, REQUEST = "11111111-2222-4333-8444-555555555555", "99999999-8888-4777-8666-555555555555"


async def _searched(exchange: Exchange, kind: str, token: str, members: Any, **more: Any) -> Any:
    return await exchange.call("POST", f"/{kind}/_search", by=members.post, token=token, form=SEARCHES[kind], **more)


# --- searches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SEARCHES)
async def test_a_clinical_search_returns_the_sources_bytes(
    exchange: Exchange, members: SimpleNamespace, kind: str
) -> None:
    custodian = members.practice if kind == "Bundle" else members.pharmacy
    category = {"Bundle": "gp-summary", "Flag": "allergies", "AllergyIntolerance": "allergies"}.get(kind, "medication")
    await exchange.open(custodian, category)
    reply = await _searched(exchange, kind, await exchange.doctor(members.post), members)
    assert reply.status == 200
    assert b'"value":0.10' in reply.body
    assert (reply.json["type"], reply.json["total"]) == ("searchset", 1)
    assert reply.json["meta"]["tag"][0]["code"] == "complete"
    (source,) = reply.json["entry"][0]["extension"]
    assert [one["valueString"] for one in source["extension"]] == [custodian.ura, custodian.application]
    assert US.encode() not in reply.body
    assert [one.resource_type for one in exchange.door.asked] == [kind]


async def test_treatment_limits_are_searched_as_consents(exchange: Exchange, members: SimpleNamespace) -> None:
    form = [("patient.identifier", f"{N}bsn|{US}"), ("scope", "treatment,adr")]
    token = await exchange.doctor(members.post)
    refused = await exchange.call("POST", "/Consent/_search", by=members.post, token=token, form=form)
    assert (refused.status, refused.code) == (403, "not-authorised")
    assert "EMA-3" in refused.json["issue"][0]["details"]["text"], "the row that sleeps is named"
    mixed = [form[0], ("scope", "treatment,patient-privacy")]
    reply = await exchange.call("POST", "/Consent/_search", by=members.post, token=token, form=mixed)
    assert (reply.status, reply.code) == (400, "invalid-parameter")


async def test_the_alias_means_the_same(exchange: Exchange, members: SimpleNamespace) -> None:
    await exchange.open(members.practice)
    token = await exchange.doctor(members.post)
    reply = await exchange.call("POST", "/R4/Bundle/_search", by=members.post, token=token, form=SEARCHES["Bundle"])
    assert (reply.status, reply.json["total"]) == (200, 1)


async def test_objected_and_unknown_are_the_same_bytes(exchange: Exchange, members: SimpleNamespace) -> None:
    await exchange.open(members.practice)
    token = await exchange.token(members.practice)
    no = members.practice.consent(permit=False, requesters=["gp-care"])
    assert (await exchange.call("POST", "/Consent", by=members.practice, token=token, resource=no)).status == 201
    bodies = []
    for patient in (US, NOBODY):
        form = [("composition.patient.identifier", f"{N}bsn|{patient}"), SEARCHES["Bundle"][1]]
        doctor = await exchange.doctor(members.post, patient)
        reply = await exchange.call("POST", "/Bundle/_search", by=members.post, token=doctor, form=form)
        assert reply.status == 200
        bodies.append(re.sub(rb'"(id|lastUpdated)":"[^"]*"', b"", reply.body))
    assert bodies[0] == bodies[1]
    assert b'"total":0' in bodies[0]
    assert exchange.door.asked == []


FAILURES = {Failing.TIMED_OUT: 504, Failing.MALFORMED: 502, Failing.UNREACHABLE: 502, Failing.WRONG_PATIENT: 502}


@pytest.mark.parametrize("failing", FAILURES)
async def test_a_search_that_failed_everywhere_is_an_outcome(
    exchange: Exchange, members: SimpleNamespace, failing: Failing
) -> None:
    await exchange.open(members.practice)
    exchange.door.answers[members.practice.ura] = Failure(failing, "test")
    reply = await _searched(exchange, "Bundle", await exchange.doctor(members.post), members)
    assert (reply.status, reply.code) == (FAILURES[failing], failing)
    assert reply.json["meta"]["tag"][0]["code"] == "none"


async def test_localisation_lists_entries_without_a_number(exchange: Exchange, members: SimpleNamespace) -> None:
    id = await exchange.open(members.practice)
    form = [("subject:identifier", f"{N}bsn|{US}"), ("code", "gp-summary")]
    token = await exchange.doctor(members.post)
    reply = await exchange.call("POST", "/List/_search", by=members.post, token=token, form=form)
    assert [one["id"] for one in reply.resources] == [id]
    assert US.encode() not in reply.body
    Bundle.model_validate(reply.json)


async def test_explain_is_for_simulations(exchange: Exchange, members: SimpleNamespace) -> None:
    asked = {"resourceType": "Parameters", "parameter": [{"name": "category", "valueCode": "gp-summary"}]}
    token = await exchange.doctor(members.post)
    reply = await exchange.call("POST", "/$explain", by=members.post, token=token, resource=asked)
    assert reply.status == 200
    told = {one["name"]: one.get("valueString") for one in reply.json["parameter"]}
    assert (told["outcome"], told["reason"]) == ("neutral", "silent-entry")
    anybody = await exchange.token(members.post)
    nobody = await exchange.call("POST", "/$explain", by=members.post, token=anybody, resource=asked)
    assert (nobody.status, nobody.code) == (403, "token-patient-mismatch")


# --- the token -------------------------------------------------------------------------------------------------------


async def test_without_a_good_token_nothing_is_asked(exchange: Exchange, members: SimpleNamespace) -> None:
    missing = await _searched(exchange, "Bundle", "", members)
    assert (missing.status, missing.code) == (401, "no-token")
    assert missing.headers["www-authenticate"] == "Bearer"
    foreign = await exchange.doctor(members.post_2)
    for token in ("nonsense", foreign):
        reply = await _searched(exchange, "Bundle", token, members)
        assert (reply.status, reply.code) == (401, "bad-token")
        assert reply.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    scheme = await _searched(exchange, "Bundle", "", members, authorization="Basic abc")
    assert scheme.code == "no-token"
    journaled = [exchange.outcome_of(line) for line in await exchange.journal() if line.event == Event.CALL_REFUSED]
    assert journaled == [("call-refused", code) for code in ("no-token", "bad-token", "bad-token", "no-token")]


@pytest.mark.parametrize("patient", [THEM, None], ids=["another patient", "no patient"])
async def test_one_token_one_patient(exchange: Exchange, members: SimpleNamespace, patient: str | None) -> None:
    token = await exchange.doctor(members.post, patient)
    for kind in SEARCHES:
        reply = await _searched(exchange, kind, token, members)
        assert (reply.status, reply.code) == (403, "token-patient-mismatch")
    form = [("subject:identifier", f"{N}bsn|{US}")]
    listed = await exchange.call("POST", "/List/_search", by=members.post, token=token, form=form)
    audit = [("patient.identifier", f"{N}bsn|{US}")]
    audited = await exchange.call("POST", "/AuditEvent/_search", by=members.post, token=token, form=audit)
    assert (listed.code, audited.code) == ("token-patient-mismatch", "token-patient-mismatch")
    assert exchange.door.asked == []
    attempts = [line for line in await exchange.journal() if line.event == Event.CALL_REFUSED]
    whose = exchange.gateway.means.keys.patient(Bsn(US))
    assert {line.patient for line in attempts} == {whose}, "the attempt is missing in the log of whom it was about"


# --- what is not offered, and how ------------------------------------------------------------------------------------

MISUSE: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "a type not offered": ("GET", "/Patient/1", {}, 404, "not-found"),
    "a path of nothing": ("GET", "/nothing/at/all", {}, 404, "not-found"),
    "searching by GET": ("GET", "/Bundle/_search", {}, 405, "method-not-allowed"),
    "GET on a type with POST only": ("GET", "/List", {}, 405, "method-not-allowed"),
    "PUT on a List": ("PUT", "/List/x", {}, 405, "method-not-allowed"),
    "PATCH on a Consent": ("PATCH", "/Consent/x", {}, 405, "method-not-allowed"),
    "GET on the base": ("GET", "", {}, 405, "method-not-allowed"),
    "a search as JSON": ("POST", "/Bundle/_search", {"resource": {}}, 415, "unsupported-media-type"),
    "a resource as a form": ("POST", "/List", {"form": [("a", "b")]}, 415, "unsupported-media-type"),
    "XML wanted by header": ("GET", "/metadata", {"accept": "application/fhir+xml"}, 406, "not-acceptable"),
    "XML wanted by _format": ("GET", "/metadata", {"query": "_format=xml"}, 406, "not-acceptable"),
    "a parameter on metadata": ("GET", "/metadata", {"query": "x=1"}, 400, "not-supported"),
    "a parameter on a search's URL": (
        "POST", "/Bundle/_search", {"form": SEARCHES["Bundle"], "query": "_count=1"}, 400, "not-supported"),
    "a BSN in a search's URL": (
        "POST", "/Bundle/_search", {"form": SEARCHES["Bundle"], "query": f"patient={US}"}, 400, "bsn-in-url"),
    "an unknown parameter": (
        "POST", "/Bundle/_search", {"form": [*SEARCHES["Bundle"], ("_sort", "date")]}, 400, "not-supported"),
    "a repeated parameter": (
        "POST", "/Flag/_search", {"form": SEARCHES["Flag"] * 2}, 400, "invalid-parameter"),
    "no patient": ("POST", "/Flag/_search", {"form": []}, 400, "required"),
    "a BSN that is none": (
        "POST", "/Flag/_search", {"form": [("patient.identifier", f"{N}bsn|{BAD_BSN}")]}, 400, "invalid-bsn"),
    "a body that is no JSON": ("POST", "/List", {"resource": "x"}, 400, "malformed"),
    "malformed AORTA-ID": ("GET", "/metadata", {"aorta_id": "x"}, 400, "invalid-header"),
    "half an AORTA-ID": ("GET", "/metadata", {"aorta_id": f"requestID={REQUEST}"}, 400, "invalid-header"),
    "an AORTA-ID that is no uuid": ("GET", "/metadata", {"aorta_id": UUIDS.format("1", "2")}, 400, "invalid-header"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISUSE)
async def test_a_misuse_has_its_status_and_code(exchange: Exchange, members: SimpleNamespace, case: str) -> None:
    method, path, more, status, code = MISUSE[case]
    token = await exchange.doctor(members.post)
    reply = await exchange.call(method, path, by=members.post, token=token, **more)
    assert (reply.status, reply.code) == (status, code)
    assert US.encode() not in reply.body
    assert ("allow" in reply.headers) == (status == 405)


ALLOWED = {"/Bundle/_search": "POST", "/List/x": "DELETE, GET", "/Consent/x": "GET, PUT", "/metadata": "GET"}


@pytest.mark.parametrize("path", ALLOWED)
async def test_a_wrong_method_is_told_the_right_ones(exchange: Exchange, members: SimpleNamespace, path: str) -> None:
    reply = await exchange.call("OPTIONS", path, by=members.post)
    assert (reply.status, reply.headers["allow"]) == (405, ALLOWED[path])


@pytest.mark.parametrize("path", ["/List/x", "/Consent/x"])
async def test_reading_by_id_takes_no_parameters_either(
    exchange: Exchange, members: SimpleNamespace, path: str
) -> None:
    token = await exchange.token(members.practice)
    codes = []
    for query in (f"patient={US}", "x=1", "_format=xml"):
        codes.append((await exchange.call("GET", path, by=members.practice, token=token, query=query)).code)
    assert codes == ["bsn-in-url", "not-supported", "not-acceptable"]


async def test_every_405_has_an_allow_header(exchange: Exchange, members: SimpleNamespace) -> None:
    reply = await exchange.call("GET", "/Bundle/x", by=members.post)
    assert reply.status == 405
    assert "allow" in reply.headers


# --- the chain of messages -------------------------------------------------------------------------------------------


def _ids(reply: Any) -> tuple[str, str]:
    found = re.fullmatch(r"initialRequestID=([0-9a-f-]{36}); requestID=([0-9a-f-]{36})", reply.headers["aorta-id"])
    assert found is not None
    return found[1], found[2]


async def test_the_chain_is_echoed_and_the_message_is_ours(exchange: Exchange, members: SimpleNamespace) -> None:
    await exchange.open(members.practice)
    token = await exchange.doctor(members.post)
    sent = {"aorta_id": UUIDS.format(CHAIN, REQUEST), "aorta_version": "2.0"}
    reply = await _searched(exchange, "Bundle", token, members, **sent)
    initial, request = _ids(reply)
    assert initial == CHAIN
    assert request not in (CHAIN, REQUEST)
    assert reply.headers["aorta-version"] == "2.0"
    chain = {line.event for line in await exchange.journal() if line.aorta.initial == CHAIN}
    assert chain == {Event.QUERY_DECIDED, Event.DISCLOSED, Event.QUERY_ANSWERED}


async def test_a_chain_is_minted_where_none_came(exchange: Exchange, members: SimpleNamespace) -> None:
    one, other = [await exchange.call("GET", "/metadata", by=members.post) for _ in range(2)]
    assert _ids(one)[0] != _ids(other)[0]
    wrong = await exchange.call("GET", "/metadata", by=members.post, aorta_id="x")
    assert _ids(wrong)


async def test_the_chain_is_echoed_also_to_who_is_not_let_in(exchange: Exchange) -> None:
    line = (b"aorta-id", UUIDS.format(CHAIN, REQUEST).encode())
    reply = await exchange.send("GET", "/fhir/metadata", headers=[line])
    assert reply.status == 401
    assert _ids(reply)[0] == CHAIN


async def test_answers_are_fhir_json_and_never_cached(exchange: Exchange, members: SimpleNamespace) -> None:
    for accept in (FHIR_JSON, "application/json", "*/*", "text/html, application/json;q=0.9"):
        reply = await exchange.call("GET", "/metadata", by=members.post, accept=accept)
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/fhir+json; charset=utf-8"
        assert reply.headers["cache-control"] == "no-store"
        assert int(reply.headers["content-length"]) == len(reply.body)
        assert json.loads(reply.body)["resourceType"] == "CapabilityStatement"
