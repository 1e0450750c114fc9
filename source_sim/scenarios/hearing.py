"""What does a journal line say, in the scenario's own names? Its words, to be matched and to be told.

It knows lines as the testbed tells them: an event, and fields that may nest. It may not know what any of it means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from source_sim.testbed import Told

Names = Mapping[str, str]
"""From URA or name in the country to the name the scenario has for it."""


def words(told: Told, names: Names) -> frozenset[str]:
    """Everything the line says: its event, each value it holds at whatever depth, and whom it names."""
    said = {told.event, *(_named(one, names) for one in _texts(told.fields))}
    said |= {_named(one, names) for one in (told.organisation, told.custodian)}
    return frozenset(said - {""})


def fits(told: Told, pattern: str, names: Names) -> bool:
    """Whether every word of the pattern stands in the line, its first as the event."""
    event, *others = pattern.split()
    return told.event == event and words(told, names) >= set(others)


def heard(lines: Sequence[Told], patterns: Sequence[str], names: Names) -> str | None:
    """The first pattern that no line fits any more, when each is looked for after the one before; None if all were
    heard."""
    left = iter(lines)
    return next((one for one in patterns if not any(fits(told, one, names) for told in left)), None)


def legs(told: Told) -> list[dict[str, Any]]:
    """The sources a query asked, each with custodian and outcome."""
    return [one for one in told.fields.get("legs") or () if isinstance(one, dict)]


def decisions(told: Told) -> list[dict[str, Any]]:
    """What was decided about each entry."""
    return [one for one in told.fields.get("decisions") or () if isinstance(one, dict)]


def transcript(lines: Iterable[Told], names: Names) -> list[str]:
    """The lines for people, organisations by the scenario's names."""
    return [_line(str(told), names) for told in lines]


def _line(text: str, names: Names) -> str:
    """Numbers and full names become the scenario's; short words are left, since they mean other things, too."""
    for known in sorted((one for one in names if " " in one or one.isdigit()), key=len, reverse=True):
        text = text.replace(known, names[known])
    return text


def _named(text: str, names: Names) -> str:
    return names.get(text, text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value
