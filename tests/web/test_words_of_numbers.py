"""How are a number and a day of FHIR said in Dutch and in English?"""

from __future__ import annotations

import pytest

from gateway.web.language import words_of

NUMBERS = {
    "a tenth": (0.36, 1, "0,4", "0.4"),
    "no part": (0.0, 2, "0,00", "0.00"),
    "a whole": (1467.4, 0, "1467", "1467"),
}
DAYS = {
    "a day": ("2026-11-13", "vr 13 nov 2026"),
    "a moment, on its Dutch day": ("2026-11-28T23:40:00+00:00", "zo 29 nov 2026"),
    "a moment without a zone": ("2026-11-28T23:40:00", "za 28 nov 2026"),
    "a month": ("2026-11", "2026-11"),
    "a year": ("2026", "2026"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("value", "digits", "dutch", "english"), NUMBERS.values(), ids=NUMBERS)
def test_a_number_has_the_decimal_sign_of_its_language(value: float, digits: int, dutch: str, english: str) -> None:
    assert (words_of("nl").number(value, digits), words_of("en").number(value, digits)) == (dutch, english)


@pytest.mark.parametrize(("text", "told"), DAYS.values(), ids=DAYS)
def test_a_day_as_somebody_else_wrote_it(text: str, told: str) -> None:
    assert words_of("nl").written_day(text) == told
