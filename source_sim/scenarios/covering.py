"""What has a played scenario shown? Rows, bars, outcomes and the rest, counted from what really happened.

Told from the journal, the answers and the faults that were met: a claim in the file proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from source_sim.scenarios import words
from source_sim.scenarios.hearing import decisions, legs
from source_sim.testbed import Told

_ROW_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "entry-registered": "IDX-1",
        "entry-ended": "IDX-1",
        "gp-of-record-changed": "IDX-2",
        "patient-logged-in": "PAT-1",
    }
)
"""Acts whose journal line names no row, because only one row permits them."""
_ASKED: Final = frozenset({"query-answered", "query-failed"})


def shown(lines: Iterable[Told]) -> Iterator[str]:
    """The words of `scenario.COVERABLE` that these lines show; the same may come more than once."""
    for told in lines:
        yield from _rows(told)
        yield from _bars(told)
        yield from (f"outcome {leg.get('outcome')}" for leg in legs(told) if leg.get("outcome") in words.OUTCOMES)
        yield from (f"flag {flag}" for flag in told.fields.get("flags") or ())
        yield from (f"regime {one}" for one in told.fields.get("regimes") or () if one in words.REGIMES)
        if told.event in _ASKED:
            yield f"completeness {told.fields.get('completeness') or 'none'}"


def _rows(told: Told) -> Iterator[str]:
    if told.event == "entry-registered" and told.category == "enrolment":
        yield "IDX-2"
    elif told.event in _ROW_OF:
        yield _ROW_OF[told.event]
    if told.event == "journal-read" and told.fields.get("reader") in words.PARTIES:
        yield "PAT-1"
    yield from (row for row in (told.row, *_from_decisions(told, "row")) if row in words.ROWS)


def _bars(told: Told) -> Iterator[str]:
    yield from (f"bar {bar}" for bar in (told.reason, *_from_decisions(told, "reason")) if bar in words.BARS)


def _from_decisions(told: Told, name: str) -> Iterator[Any]:
    yield from (one.get(name) for one in decisions(told))


def met(lines: Iterable[Told], faulty: Mapping[str, str]) -> Iterator[str]:
    """Faults that were met: `faulty` says per custodian (URA) which fault is switched on there."""
    for told in lines:
        asked = {str(leg.get("custodian")) for leg in legs(told)}
        if told.event.startswith("message-"):
            asked.add(str(told.fields.get("recipient")))
        yield from (f"fault {faulty[ura]}" for ura in asked if ura in faulty)
