"""Which citizen service numbers may a made-up population have? Only those of the test range that are nobody's.

The test range 9999xxxxx holds 9,091 numbers that pass the eleven-test (domain.md section 1); every other valid number
may be a real person's and is never used. Half of the range is the simulation's own, half belongs to outsiders
(interface.md section 7). So a population gives a number only to whom the exchange hears of, and refuses to grow beyond.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from source_sim.population import is_bsn

_OWN: Final = range(999_900_400, 999_950_000)
"""The numbers before these are the named test persons'."""
_OUTSIDERS: Final = range(999_950_000, 1_000_000_000)
_OF_PUBLISHED_EXAMPLES: Final = frozenset({"999911120"})
"""A number that published example records carry: whoever serves those shall not meet it twice."""


@lru_cache(maxsize=2)
def free_numbers(outsiders_too: bool = False) -> tuple[str, ...]:
    """The numbers a population may use, in order."""
    return tuple(_free(_OWN)) + (tuple(_free(_OUTSIDERS)) if outsiders_too else ())


def _free(numbers: range) -> Iterator[str]:
    digits = (str(number) for number in numbers)
    return (one for one in digits if is_bsn(one) and one not in _OF_PUBLISHED_EXAMPLES)
