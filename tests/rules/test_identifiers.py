"""Can an invalid identifier exist, and can a valid one slip out in clear? Tables, enumeration and properties."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from io import StringIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.rules.exchange import Category, Query
from gateway.rules.identifiers import ApplicationId, Bsn, InvalidIdentifier, Ura, UziNumber

TEST_PERSON = "999900006"


def eleven_test(digits: str) -> bool:
    """9a+8b+7c+6d+5e+4f+3g+2h−i ≡ 0 mod 11, written out (domain.md section 1)."""
    a, b, c, d, e, f, g, h, i = map(int, digits)
    return (9 * a + 8 * b + 7 * c + 6 * d + 5 * e + 4 * f + 3 * g + 2 * h - i) % 11 == 0


def refusal(kind: Callable[[str], object], text: str) -> str | None:
    try:
        kind(text)
    except InvalidIdentifier as refused:
        return str(refused)
    return None


def accepted(digits: str) -> bool:
    return refusal(Bsn, digits) is None


def test_the_whole_test_range_agrees_with_the_formula() -> None:
    disagreeing = sum(accepted(f"9999{n:05d}") != eleven_test(f"9999{n:05d}") for n in range(100_000))
    assert disagreeing == 0
    assert sum(accepted(f"9999{n:05d}") for n in range(1_100)) == 100


@given(st.text("0123456789", min_size=9, max_size=9))
@settings(deadline=None, max_examples=500)
def test_any_nine_digits_agree_with_the_formula(digits: str) -> None:
    assert accepted(digits) is (eleven_test(digits) and digits != "000000000")


@given(st.integers(0, 99_999), st.integers(0, 8), st.integers(1, 9))
@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_one_wrong_digit_is_always_noticed(n: int, place: int, shift: int) -> None:
    right = next(f"9999{m % 100_000:05d}" for m in range(n, n + 100) if eleven_test(f"9999{m % 100_000:05d}"))
    wrong = right[:place] + str((int(right[place]) + shift) % 10) + right[place + 1 :]
    assert accepted(right)
    assert not accepted(wrong)


@given(st.text(max_size=12))
@settings(deadline=None)
def test_whatever_is_no_number_is_refused_without_being_repeated(text: str) -> None:
    for kind in (Bsn, Ura, UziNumber, ApplicationId):
        told = refusal(kind, text)
        if told is None:
            assert text.isascii()
            assert text.isdigit()
        else:
            assert len(text) < 4 or text not in told


NOT_A_BSN = {
    "fails the eleven-test": "999940003",
    "all zeros": "000000000",
    "eight digits": "99990000",
    "ten digits": "9999000060",
    "empty": "",
    "a space in front": " 99990000",
    "a line feed behind": "99990000\n",
    "a letter": "99990000O",
    "a sign": "-99990006",
    "digits of another script": "٩٩٩٩٠٠٠٠٦",
    "superscript": "99990000⁶",
    "full width": "".join(chr(ord(digit) + 0xFEE0) for digit in TEST_PERSON),
}


@pytest.mark.parametrize("text", NOT_A_BSN.values(), ids=NOT_A_BSN.keys())
def test_what_is_not_a_bsn_cannot_exist(text: str) -> None:
    with pytest.raises(InvalidIdentifier):
        Bsn(text)


OTHERS = {
    "ura": (Ura, "90000401", ("9000401", "900004010", "9000040A", "90000401\n", "")),
    "uzi number": (UziNumber, "900025039", ("90002503", "9000250390", "90002503X", "900025039\n", "")),
    "application id": (ApplicationId, "400001", ("", "12345678901234567", "4000-1", "400001\n", "४०")),
}


@pytest.mark.parametrize(("kind", "right", "wrong"), OTHERS.values(), ids=OTHERS.keys())
def test_the_other_numbers(kind: Callable[[str], object], right: str, wrong: tuple[str, ...]) -> None:
    assert str(kind(right)) == right
    assert kind(right) == kind(right)
    for text in wrong:
        with pytest.raises(InvalidIdentifier):
            kind(text)


def logged(bsn: Bsn) -> str:
    sink = StringIO()
    logger = logging.Logger("one-line")
    logger.addHandler(logging.StreamHandler(sink))
    logger.warning("patient %s, %r, %s", bsn, bsn, [bsn])
    return sink.getvalue()


def raised(bsn: Bsn) -> str:
    try:
        raise KeyError(bsn)
    except KeyError:
        return traceback.format_exc()


PRINTERS: dict[str, Callable[[Bsn], str]] = {
    "repr": repr,
    "str": str,
    "f-string": lambda bsn: f"{bsn}",
    "f-string with !r": lambda bsn: f"{bsn!r}",
    "f-string with !a": lambda bsn: f"{bsn!a}",
    "f-string with =": lambda bsn: f"{bsn=}",
    "format method": lambda bsn: str.format("patient {}", bsn),
    "percent s": lambda bsn: "%s" % bsn,  # noqa: UP031
    "percent r": lambda bsn: "%r" % (bsn,),  # noqa: UP031
    "in a list": lambda bsn: str([bsn]),
    "as a key": lambda bsn: str({bsn: 1}),
    "in a frozen word": lambda bsn: repr(Query(Category.MEDICATION, "MedicationDispense", bsn, "patient.identifier")),
    "in a log line": logged,
    "in a traceback": raised,
}


@pytest.mark.parametrize("printer", PRINTERS.values(), ids=PRINTERS.keys())
def test_a_bsn_prints_masked(printer: Callable[[Bsn], str]) -> None:
    text = printer(Bsn(TEST_PERSON))
    assert "******006" in text
    assert TEST_PERSON[:-3] not in text


def test_a_format_specification_cannot_unmask() -> None:
    with pytest.raises(TypeError) as refused:
        format(Bsn(TEST_PERSON), ">12")
    assert TEST_PERSON[:-3] not in str(refused.value)


@pytest.mark.parametrize("text", [t for t in NOT_A_BSN.values() if len(t) >= 8])
def test_a_refusal_never_carries_the_digits(text: str) -> None:
    with pytest.raises(InvalidIdentifier) as refused:
        Bsn(text)
    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value) + repr(refused.value.args)
    assert text.strip() not in told


def test_a_bsn_is_a_value() -> None:
    bsn = Bsn(TEST_PERSON)
    assert bsn == Bsn(TEST_PERSON)
    assert len({bsn, Bsn(TEST_PERSON)}) == 1
    assert bsn.digits == TEST_PERSON
    with pytest.raises(FrozenInstanceError):
        bsn.digits = "999900018"  # type: ignore[misc]
