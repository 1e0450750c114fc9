"""Whose records does a source of a population have? Everybody's it keeps, written when they are asked for.

It knows the population by its recipe alone, so that one line of configuration stands for thousands of people. It may
not know who asks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from source_sim import records
from source_sim.peopling.region import Recipe, region
from source_sim.records import Record

_KEPT = 256
"""Records kept once written: a patient is mostly asked for several times in a row, and a record is some 100 KB."""

Look = Callable[[str], Record | None]


def beside(known: Look, recipe: Recipe | None, ura: str, now: datetime) -> Look:
    """Records by BSN: those that are `known` first, then those this organisation keeps of the population. Making the
    population takes a second for 10,000 people. Raises TooMany, ValueError."""
    if recipe is None:
        return known
    held, seed = region(recipe).held_by(ura), recipe.seed

    @lru_cache(_KEPT)
    def written(bsn: str) -> Record | None:
        one = held.get(bsn)
        return None if one is None else records.write(one.person, seed, one.person.profile, now=now)

    return lambda bsn: known(bsn) or written(bsn)
