"""Does the hot path take what sources send, byte for byte, and refuse everything else without ever raising?"""

from __future__ import annotations

import json
import os
import random
import time
import tracemalloc
from pathlib import Path

import pytest
from fhir_made import ENDPOINT, THEM, US, document, dumped, flag, item, limit, named, person, searchset

from gateway.fhir.answers import read_answer
from gateway.fhir.types import PERSONAL_TYPES, R4_TYPES
from gateway.rules.exchange import Answer, Failing, Failure, Mode
from gateway.rules.identifiers import Bsn

ROOT = Path(__file__).resolve().parents[2]
RECORDS = Path(os.environ.get("SWITCHPOINT_RECORDS", ROOT.parent / "shared" / "data" / "zib2020"))


def read(body, asked="Flag", who=US):
    raw = body if isinstance(body, bytes) else dumped(body)
    return read_answer(raw, patient=who, resource_type=asked, endpoint=ENDPOINT)


ONE = dumped(searchset(item(flag(), "match")))
DEEP = {"a": 1}
for _ in range(70):
    DEEP = {"extension": [DEEP]}

MALFORMED = {
    "empty body": b"",
    "HTML": b"<html><body>502</body></html>",
    "cut off": ONE[:-20],
    "something after": ONE + b"x",
    "byte order mark": b"\xef\xbb\xbf" + ONE,
    "UTF-16": ONE.decode().encode("utf-16"),
    "Latin-1": ONE.replace(b'"x"', b'"\xe9"'),
    "overlong UTF-8": ONE.replace(b'"x"', b'"\xc0\xaf"'),
    "surrogate in UTF-8": ONE.replace(b'"x"', b'"\xed\xa0\x80"'),
    "lone surrogate escape": ONE.replace(b'"x"', rb'"\ud800"'),
    "control character": ONE.replace(b'"x"', b'"\x01"'),
    "NaN": ONE.replace(b'"total":1', b'"total":NaN'),
    "Infinity": ONE.replace(b'"total":1', b'"total":Infinity'),
    "minus Infinity": ONE.replace(b'"total":1', b'"total":-Infinity'),
    "infinite number": ONE.replace(b'"total":1', b'"total":1e999'),
    "endless number": ONE.replace(b'"total":1', b'"total":' + b"1" * 5000),
    "leading zero": ONE.replace(b'"total":1', b'"total":01'),
    "trailing comma": ONE.replace(b'"total":1', b'"total":1,'),
    "single quotes": ONE.replace(b'"', b"'"),
    "comment": b"/* x */" + ONE,
    "duplicate key on top": ONE.replace(b'"total":1', b'"total":1,"total":1'),
    "duplicate key deep down": ONE.replace(b'"text":"x"', b'"text":"x","text":"y"'),
    "duplicate key, escaped": ONE.replace(b'"text":"x"', rb'"text":"x","te\u0078t":"y"'),
    "duplicate key offset by an escaped colon": ONE.replace(b'"text":"x"', rb'"id":"\u003a","text":"x","text":"y"'),
    "duplicate key offset by a capital escaped colon": ONE.replace(
        b'"text":"x"', rb'"id":"\u003A","text":"x","text":"y"'
    ),
    "duplicate key offset by an escaped quote": ONE.replace(b'"text":"x"', rb'"id":"\u0022:","text":"x","text":"y"'),
    "duplicate key between spaces, offset by an escaped quote": ONE.replace(
        b'"text":"x"', rb'"id" : "\u0022:" , "text" : "x" , "text" : "y"'
    ),
    "duplicate key between spaces beside a decimal": ONE.replace(
        b'"text":"x"', b'"id" : 0.10 , "text" : "x" , "text" : "y"'
    ),
    "duplicate key offset by a space before a colon": ONE.replace(b'"text":"x"', b'"id" :"a","text":"x","text":"y"'),
    "duplicate key offset by two spaces before a colon": ONE.replace(
        b'"text":"x"', b'"id"  :"a","text":"x","text":"y"'
    ),
    "duplicate key offset by a tab before a colon": ONE.replace(b'"text":"x"', b'"id"\t:"a","text":"x","text":"y"'),
    "duplicate key offset by a line before a colon": ONE.replace(b'"text":"x"', b'"id"\r\n:"a","text":"x","text":"y"'),
    "duplicate resource in an entry": ONE.replace(b'"resource":{', b'"resource":{},"resource":{', 1),
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "no resourceType": b"{}",
    "another resource": dumped(flag()),
    "a Bundle of another type": dumped({**searchset(), "type": "collection"}),
    "a Bundle without type": dumped({"resourceType": "Bundle"}),
    "an OperationOutcome": dumped({"resourceType": "OperationOutcome", "issue": []}),
    "entry is an object": dumped({**searchset(), "entry": {}}),
    "entry is null": dumped({**searchset(), "entry": None}),
    "entry holds a string": dumped({**searchset(), "entry": ["x"]}),
    "entry holds null": dumped({**searchset(), "entry": [None]}),
    "entry without resource": dumped(searchset({"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000000"})),
    "resource is a list": dumped(searchset({"resource": []})),
    "resource is null": dumped(searchset({"resource": None})),
    "resource without type": dumped(searchset(item({"id": "x"}))),
    "resource of a number type": dumped(searchset(item({"resourceType": 1}))),
    "resource of an unknown type": dumped(searchset(item(flag()), item({"resourceType": "Sjamaan", "id": "x"}))),
    "resource of a later release": dumped(searchset(item({"resourceType": "ActorDefinition", "id": "x"}))),
    "unknown type contained": dumped(searchset(item(flag(contained=[{"resourceType": "Zork", "id": "x"}])))),
    "id is a number": dumped(searchset(item(flag(id=1)))),
    "id with a slash": dumped(searchset(item(flag(id="a/b")))),
    "id too long": dumped(searchset(item(flag(id="a" * 65)))),
    "match of another type": dumped(searchset(item(limit(), "match"))),
    "match that is an OperationOutcome": dumped(searchset(item({"resourceType": "OperationOutcome"}, "match"))),
    "outcome that is content": dumped(searchset(item(flag(), "outcome"))),
    "unknown search mode": dumped(searchset(item(flag(), "hit"))),
    "search mode is a list": dumped(searchset({**item(flag()), "search": {"mode": ["match"]}})),
    "search is a list": dumped(searchset({**item(flag()), "search": []})),
    "link is an object": dumped(searchset(item(flag()), link={"relation": "next"})),
    "full URL is a number": dumped(searchset({**item(flag()), "fullUrl": 1})),
    "full URL is a script": dumped(searchset(item(flag(), url="javascript:alert(1)"))),
    "full URL with a query": dumped(searchset(item(flag(), url=ENDPOINT + "/Flag/f?x=1"))),
    "full URL of another type": dumped(searchset(item(flag(), url=ENDPOINT + "/Consent/f"))),
    "full URL of another id": dumped(searchset(item(flag(), url=ENDPOINT + "/Flag/g"))),
    "full URL of a Patient on something else": dumped(searchset(item(flag(), url=ENDPOINT + "/Patient/f"))),
    "one full URL twice": dumped(
        searchset(item(flag("a", code={"text": "y"}), url="urn:oid:1.2"), item(flag("b"), url="urn:oid:1.2"))
    ),
    "one id twice": dumped(searchset(item(flag()), item(flag(code={"text": "y"})))),
    "nested too deeply": dumped(searchset(item(flag(extension=[DEEP])))),
    "list of lists": dumped(searchset(item(flag(extension=[[{"url": "x"}]])))),
    "contained shares an id": dumped(searchset(item(flag(contained=[person(), person()])))),
    "contained is text": dumped(searchset(item(flag(contained=["x"])))),
    "bracket bomb": b"[" * 100_000,
    "object bomb": b'{"a":' * 100_000,
    "bracket bomb in an entry": ONE.replace(b'"x"', b"[" * 100_000 + b"]" * 100_000),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(body):
    answer = read(body)
    assert isinstance(answer, Failure), answer
    assert (answer.failing, answer.breaker) == (Failing.MALFORMED, True)
    assert US.digits not in answer.detail


MALFORMED_DOCUMENTS = {
    "a match that is a collection": {**document(), "type": "collection"},
    "a document without entries": {"resourceType": "Bundle", "id": "d", "type": "document"},
    "a document that opens otherwise": {**document(), "entry": [{"resource": person()}]},
    "a document with an entry that is text": {**document(), "entry": ["x"]},
    "a document with one URL twice": {**document(), "entry": document()["entry"] + document(person())["entry"][:1]},
    "a document of an unknown type inside": document({"resourceType": "Zork"}),
    "a document whose URL and content disagree": {
        **document(),
        "entry": [*document()["entry"], {"fullUrl": ENDPOINT + "/Patient/q", "resource": person()}],
    },
}


@pytest.mark.parametrize("bundle", MALFORMED_DOCUMENTS.values(), ids=MALFORMED_DOCUMENTS.keys())
def test_malformed_documents(bundle):
    answer = read(searchset(item(bundle, "match")), "Bundle")
    assert isinstance(answer, Failure)
    assert answer.failing is Failing.MALFORMED


def test_a_privacy_consent_is_not_a_treatment_limit():
    other = limit(
        scope={"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]}
    )
    answer = read(searchset(item(other, "match")), "Consent")
    assert isinstance(answer, Failure)
    assert answer.failing is Failing.MALFORMED


def test_a_match_names_its_patient_whatever_its_type():
    answer = read(searchset(item({"resourceType": "Device", "id": "d"}, "match")), "Device")
    assert answer == Failure(Failing.WRONG_PATIENT, "a match names no patient")


def test_an_escaped_colon_alone_is_no_harm():
    assert isinstance(read(ONE.replace(b'"x"', rb'"x\u003a"')), Answer)


# --- what comes through ----------------------------------------------------------------------------------------------


def test_bytes_are_the_sources_own():
    own = (
        b'{ "resourceType":"Flag","id":"f",  "subject":%s,\n "valueX":[0.10, 1e2, 7.300],"t":"\\u00e9\xc3\xab\\/" }'
        % dumped(named())
    )
    body = (
        b'{"type":"searchset","entry":[ {"resource":' + own + b' , "search":{"mode":"match"}}],"resourceType":"Bundle"}'
    )
    answer = read(body)
    assert isinstance(answer, Answer), answer
    assert answer.entries[0].resource == own
    assert "resource" not in repr(answer.entries[0]).split("resource_type")[0]


def test_modes():
    practitioner = {"resourceType": "Practitioner", "id": "x"}
    told = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]}
    body = searchset(
        item(flag("a"), "match"),
        item(flag("b")),
        item(flag("c"), "include"),
        item(practitioner),
        item(told, "outcome"),
        item(told),
    )
    answer = read(body)
    assert isinstance(answer, Answer), answer
    assert [(e.id, e.mode) for e in answer.entries] == [
        ("a", Mode.MATCH), ("b", Mode.MATCH), ("c", Mode.INCLUDE), ("x", Mode.INCLUDE),
    ]  # fmt: skip
    assert not answer.truncated


COMPLAINT = item({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "x"}]}, "outcome")


def test_a_source_that_complains_has_not_told_everything():
    answer = read(searchset(item(flag()), COMPLAINT))
    assert isinstance(answer, Answer)
    assert answer.truncated
    assert len(answer.entries) == 1


def test_a_source_that_only_complains_refused():
    answer = read(searchset(COMPLAINT))
    assert answer == Failure(Failing.REFUSED, "the source reports an error")


@pytest.mark.parametrize(("relation", "truncated"), [("next", True), ("self", False), ("previous", False)])
def test_paging(relation, truncated):
    answer = read(searchset(item(flag()), link=[{"relation": relation, "url": "https://x.test"}]))
    assert isinstance(answer, Answer)
    assert answer.truncated is truncated


def test_a_total_that_lies_is_ignored():
    assert isinstance(read(searchset(item(flag()), total=99)), Answer)


def test_an_exact_repeat_is_shown_once():
    answer = read(searchset(item(flag()), item(flag())))
    assert isinstance(answer, Answer)
    assert len(answer.entries) == 1


def test_full_urls_are_kept_when_absolute():
    body = searchset(item(flag("a"), url=ENDPOINT + "/Flag/a"), item(flag("b"), url="Flag/b"), item(flag("c")))
    answer = read(body)
    assert isinstance(answer, Answer), answer
    assert [entry.full_url for entry in answer.entries] == [ENDPOINT + "/Flag/a", None, None]


def test_an_answer_without_entries():
    assert read({"resourceType": "Bundle", "type": "searchset"}) == Answer(())


LIMITS = {
    "deny": (limit(said="deny"), {("89666000", "deny")}),
    "permit": (limit(said="permit"), {("89666000", "permit")}),
    "other": (limit(said=None), {("89666000", "other")}),
    "history": (limit(status="inactive"), set()),
    "advance directive": (
        limit(scope={"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "adr"}]}),
        {("89666000", "deny")},
    ),
    "without provision": ({k: v for k, v in limit().items() if k != "provision"}, set()),
    "provision without code": (limit(provision={"type": "deny"}), set()),
}


@pytest.mark.parametrize(("consent", "pairs"), LIMITS.values(), ids=LIMITS.keys())
def test_limits(consent, pairs):
    answer = read(searchset(item(consent, "match")), "Consent")
    assert isinstance(answer, Answer), answer
    assert answer.limits == pairs


def test_consents_in_another_search_are_no_limits():
    answer = read(searchset(item(flag()), item(limit(), "include")))
    assert isinstance(answer, Answer)
    assert answer.limits == frozenset()


# --- real instances --------------------------------------------------------------------------------------------------


def records():
    assert RECORDS.is_dir(), f"no records at {RECORDS}: set SWITCHPOINT_RECORDS"
    return {path.name: path.read_bytes() for path in sorted(RECORDS.glob("*.json"))}


def numbered(kept):
    """Each Patient of the folder that has a BSN: (name, bytes, number)."""
    for name, raw in kept.items():
        found = json.loads(raw)
        for one in found.get("identifier", []) if found["resourceType"] == "Patient" else []:
            if one["system"].endswith("/bsn"):
                yield name, found["id"], raw, Bsn(one["value"])


def test_real_instances_pass_byte_for_byte():
    kept, passed = records(), 0
    for _, id, patient, number in numbered(kept):
        for raw in kept.values():
            found = json.loads(raw)
            if (found.get("subject") or found.get("patient") or {}).get("reference") != f"Patient/{id}":
                continue
            body = b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":%s},{"resource":%s}]}' % (
                raw,
                patient,
            )
            answer = read(body, found["resourceType"], number)
            assert isinstance(answer, Answer), (found["id"], answer)
            assert [entry.resource for entry in answer.entries] == [raw.strip(), patient.strip()]
            passed += 1
    assert passed > 150


def test_real_instances_fit_a_document():
    kept = records()
    for _, id, patient, number in numbered(kept):
        inside = [raw for raw in kept.values() if f'"Patient/{id}"'.encode() in raw and b'"beneficiary"' not in raw]
        entries = b",".join(b'{"resource":' + raw + b"}" for raw in [patient, *inside])
        first = dumped({"resourceType": "Composition", "id": "c", "subject": {"reference": f"Patient/{id}"}})
        whole = b'{"resourceType":"Bundle","id":"d","type":"document","entry":[{"resource":%s},%s]}' % (first, entries)
        body = b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":%s}]}' % whole
        answer = read(body, "Bundle", number)
        assert isinstance(answer, Answer), answer
        assert answer.entries[0].resource == whole
        other = read(body, "Bundle", US)
        assert isinstance(other, Failure)
        assert other.failing is Failing.WRONG_PATIENT


# --- garbage ---------------------------------------------------------------------------------------------------------


def mutated(random_, body: bytes) -> bytes:
    """One of a dozen ways to spoil a body: cuts, flips, repeats, swaps, and foreign numbers slipped in."""
    place = random_.randrange(len(body))
    span = random_.randrange(1, 40)
    tokens = [
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"NaN",
        b"\x00",
        b"\xff",
        b"\\ud800",
        b"0",
        b"true",
        b"-",
    ]
    names = [
        b'"reference"',
        b'"identifier"',
        b'"subject"',
        b'"system"',
        b'"value"',
        b'"resourceType"',
        b'"type"',
        b'"Flag"',
    ]
    ways = [
        lambda: body[:place],
        lambda: body[:place] + body[place + span :],
        lambda: body[:place] + bytes([random_.randrange(256)]) + body[place + 1 :],
        lambda: body[:place] + random_.choice(tokens) + body[place:],
        lambda: body[:place] + body[place : place + span] * 2 + body[place + span :],
        lambda: body.replace(random_.choice(names), random_.choice(names), random_.randrange(1, 4)),
        lambda: body.replace(US.digits.encode(), THEM.digits.encode(), random_.randrange(1, 3)),
        lambda: body.replace(b'"Patient/p"', random_.choice([b'"Patient/q"', b"null", b"{}", b'"#p"', b'""'])),
        lambda: body.replace(b'"Patient"', random_.choice([b'"Group"', b'"Zork"', b"1"])),
        lambda: body.replace(b'"match"', random_.choice([b'"include"', b'"outcome"', b"null", b"{}"])),
    ]
    return random_.choice(ways)()


def seeds():
    theirs = {"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/p"}, "valueDecimal": 1}
    return [
        (dumped(searchset(item(flag(subject={"reference": "Patient/p"}), "match"), item(person(), "include"))), "Flag"),
        (dumped(searchset(item(document(person(), theirs, subject={"reference": "Patient/p"}), "match"))), "Bundle"),
        (dumped(searchset(item(limit(), "match"), item(person(), "include"), item(theirs, "include"))), "Consent"),
        (dumped(searchset(item(flag(contained=[person()], subject={"reference": "#p"})))), "Flag"),
    ]


def test_garbage_never_raises_and_never_yields_a_foreign_patient():
    random_ = random.Random(20261121)
    kept = 0
    for turn in range(int(os.environ.get("SWITCHPOINT_GARBAGE", "1200"))):
        body, asked = seeds()[turn % 4]
        for _ in range(random_.randrange(1, 4)):
            body = mutated(random_, body) or b" "
        answer = read(body, asked)
        if isinstance(answer, Answer):
            kept += 1
            assert not any(THEM.digits.encode() in entry.resource for entry in answer.entries), body
            assert all(entry.resource_type in R4_TYPES for entry in answer.entries)
            for entry in answer.entries:
                assert entry.resource_type not in PERSONAL_TYPES or US.digits.encode() in body, body
                json.loads(entry.resource)
    assert kept > 20, "some mutations are harmless; if none were, the test would prove nothing"


# --- bombs -----------------------------------------------------------------------------------------------------------

BOMBS = {
    "20 MB of empty objects": b'{"resourceType":"Bundle","type":"searchset","entry":[' + b"{}," * 6_900_000 + b"{}]}",
    "20 MB of numbers": b'{"resourceType":"Bundle","type":"searchset","x":[' + b"1.5," * 5_000_000 + b"1]}",
    "20 MB of keys": b'{"resourceType":"Bundle",' + b",".join(b'"%x":1' % n for n in range(1_900_000)) + b"}",
    "50 MB of spaces": b'{"resourceType":"Bundle","type":"searchset"' + b" " * 50_000_000 + b"}",
    "brackets, 5 MB": b"[" * 5_000_000,
    "one digit run of 5 MB": b'{"a":' + b"9" * 5_000_000 + b"}",
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_cost_little(body):
    tracemalloc.start()
    begun = time.process_time()
    answer = read(body)
    spent, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(answer, Failure)
    assert answer.failing is Failing.MALFORMED
    assert peak < 100_000_000
    assert spent < 5


def test_a_large_honest_answer_passes():
    body = dumped(searchset(*(item(flag(f"f{n}", code={"text": "x" * 1000}), "match") for n in range(5000))))
    answer = read(body)
    assert isinstance(answer, Answer)
    assert len(answer.entries) == 5000
