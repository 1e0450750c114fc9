"""Does anything leave a message that may not? Numbers, tokens and values, wherever in a message they can stand."""

from __future__ import annotations

import base64
import json
import string
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inspecting import describing
from gateway.inspecting.describing import MASK
from source_sim import population

OWN = [one.bsn for one in population.crowd(50, date(2026, 1, 1))]
OUTSIDER = next(str(number) for number in range(999_950_000, 999_960_000) if population.is_bsn(str(number)))
REAL = next(str(number) for number in range(123_456_000, 123_457_000) if population.is_bsn(str(number)))


def bearer(claims: Any) -> bytes:
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({"alg": "ES256"}, claims)]
    return b"Bearer " + b".".join((*parts, b"c2lnbmF0dXJl"))


def resource(number: str, **more: Any) -> bytes:
    return json.dumps({"resourceType": "Patient", "identifier": [{"value": number}], **more}).encode()


# --- numbers ---------------------------------------------------------------------------------------------------------

AROUND = st.text(alphabet=[*"abc .,;|:-_/=&%\"'{}[]", *string.ascii_uppercase], max_size=20)


@given(AROUND, st.sampled_from([*OWN, OUTSIDER, REAL]), AROUND)
def test_no_number_survives_masking_whatever_stands_around_it(before: str, number: str, after: str) -> None:
    told = describing.masked(before + number + after)
    assert number not in told
    assert told == before + MASK + after


@pytest.mark.parametrize("text", ["90000101", "900000101", "9999000061", "0.10", "2026-11-21T23:40:00", ""])
def test_what_is_no_number_stays(text: str) -> None:
    assert describing.masked(text) == text


def test_headers_keep_neither_token_nor_number() -> None:
    lines = [
        (b"Authorization", bearer({"patient": OWN[0]})),
        (b"Cookie", b"sitting=abc"),
        (b"x-patient", OWN[0].encode()),
    ]
    told = dict(describing.headers(lines))
    assert told == {"authorization": "Bearer …", "cookie": "…", "x-patient": MASK}


def test_claims_are_told_without_the_number() -> None:
    told = describing.claims([(b"authorization", bearer({"patient": OWN[0], "role": "01.015"}))])
    assert json.loads(told) == {"patient": MASK, "role": "01.015"}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"Basic abc", id="another-scheme"),
        pytest.param(b"Bearer abc", id="one-part"),
        pytest.param(b"Bearer a.!!!.c", id="not-base64"),
        pytest.param(b"Bearer a.W10.c", id="a-list"),
        pytest.param(b"Bearer a." + base64.urlsafe_b64encode(b"[" * 100_000) + b".c", id="a-pit"),
        pytest.param(b"Bearer \xff.\xff.\xff", id="bytes"),
    ],
)
def test_a_token_that_cannot_be_read_tells_nothing(value: bytes) -> None:
    assert describing.claims([(b"authorization", value)]) == ""


# --- content ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "patient", "shown"),
    [
        pytest.param(resource(OWN[0]), OWN[0], True, id="own-person"),
        pytest.param(resource(OWN[0]), "", True, id="own-person-named-in-the-body-alone"),
        pytest.param(b'{"total":0}', OWN[0], True, id="nobody-named"),
        pytest.param(b'{"total":0}', "", False, id="about-nobody-known"),
        pytest.param(resource(OUTSIDER), OUTSIDER, False, id="outsider"),
        pytest.param(resource(OUTSIDER), OWN[0], False, id="outsider-in-an-own-person-s-answer"),
        pytest.param(resource(OWN[0]), OUTSIDER, False, id="own-person-in-an-outsider-s-answer"),
        pytest.param(resource(REAL), OWN[0], False, id="a-number-outside-the-test-range"),
        pytest.param(resource(OWN[0], x="\\u0039").replace(b"\\\\u", b"\\u"), OWN[0], False, id="digits-as-escapes"),
        pytest.param(b'{"x":{"code": "%s"}}' % REAL.encode(), OWN[0], True, id="a-code-that-passes-the-eleven-test"),
        pytest.param(b'{"x":{"code":"%s"}}' % OUTSIDER.encode(), OWN[0], False, id="an-outsider-as-a-code"),
        pytest.param(b'{"code":"12","value":"%s"}' % REAL.encode(), OWN[0], False, id="a-number-beside-a-code"),
        pytest.param(b"\xff\xfe", OWN[0], False, id="no-text"),
        pytest.param(b"", OWN[0], False, id="empty"),
    ],
)
def test_content_is_shown_of_a_simulation_s_own_persons_alone(body: bytes, patient: str, shown: bool) -> None:
    told = describing.content(body, patient)
    assert (told is not None) is shown
    assert told is None or not describing.numbers(told) - {REAL}


def test_a_code_is_told_as_it_was_and_a_number_is_not() -> None:
    body = json.dumps({"coding": [{"code": REAL}], "patient": OWN[0]}).encode()
    assert describing.content(body, OWN[0]) == body.decode().replace(OWN[0], MASK)


def test_long_content_is_cut() -> None:
    told = describing.content(resource(OWN[0], note="x" * 100_000), OWN[0])
    assert told is not None
    assert len(told) < describing.MOST_CONTENT + 10
    assert told.endswith(" …")


@pytest.mark.parametrize("digits", range(1, 10))
def test_a_cut_leaves_no_part_of_a_number(digits: int) -> None:
    room = describing.MOST_CONTENT - digits - 10
    told = describing.content(b'{"x":"' + b"y" * room + b'": "' + OWN[0].encode() + b'"}', OWN[0])
    assert told is not None
    assert OWN[0][:1] not in told.replace(MASK, "")


def test_of_a_long_list_only_the_beginning_is_looked_into() -> None:
    many = [
        {"resource": {"resourceType": "Observation", "code": {"text": "x" * 30}, "value": at}} for at in range(9000)
    ]
    told = describing.shape(json.dumps({"resourceType": "Bundle", "entry": many}).encode(), "application/json")
    assert told[2:4] == ("  entry: list of 9000", "    40 ×: object")


# --- shape -----------------------------------------------------------------------------------------------------------


def test_a_shape_tells_names_kinds_and_counts() -> None:
    drugs = [{"resource": {"resourceType": "Medication", "code": {"text": "Enalapril"}}} for _ in range(3)]
    body = json.dumps({"resourceType": "Bundle", "total": 3, "entry": [*drugs, {"fullUrl": "urn:x"}]}).encode()
    assert describing.shape(body, "application/fhir+json") == (
        "Bundle",
        "  resourceType: text of 6",
        "  total: number",
        "  entry: list of 4",
        "    3 ×: object",
        "      resource: Medication",
        "        resourceType: text of 10",
        "        code: object",
        "          text: text of 9",
        "    1 ×: object",
        "      fullUrl: text of 5",
    )


def test_a_form_tells_its_names() -> None:
    body = f"patient.identifier=http%3A%2F%2Fx%7C{OWN[0]}&_count=1".encode()
    told = describing.shape(body, "application/x-www-form-urlencoded; charset=utf-8")
    assert told == ("patient.identifier: text of 18", "_count: text of 1")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", ()),
        (b"<html>", ("not JSON",)),
        (b"[" * 100_000, ("not JSON",)),
        (b'"x"', ("text of 1",)),
        (b"\xff", ("not JSON",)),
    ],
    ids=["empty", "html", "pit", "bare-text", "bytes"],
)
def test_what_has_no_shape(body: bytes, told: tuple[str, ...]) -> None:
    assert describing.shape(body, "application/json") == told


SECRET = "Aangeboren hartafwijking"
LEAVES = st.just(SECRET) | st.integers() | st.booleans() | st.none()
TREES = st.recursive(LEAVES, lambda one: st.lists(one) | st.dictionaries(st.sampled_from("abcd"), one), max_leaves=40)


@given(TREES)
def test_no_value_is_in_a_shape(tree: object) -> None:
    told = "\n".join(describing.shape(json.dumps({"resourceType": SECRET, "x": tree}).encode(), "application/json"))
    assert SECRET not in told


def test_a_number_as_a_name_is_masked_and_long_names_are_cut() -> None:
    told = "\n".join(describing.shape(json.dumps({OWN[0]: 1, "n" * 500: 2}).encode(), "application/json"))
    assert OWN[0] not in told
    assert max(map(len, told.split("\n"))) < 100


def test_a_shape_stays_short() -> None:
    body = json.dumps({f"name-{'x' * (at % 50)}-{at}": {"a": [at]} for at in range(5000)}).encode()
    assert len(describing.shape(body, "application/json")) <= describing.MOST_LINES + 1
