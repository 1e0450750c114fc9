"""Did it come as told? What a step expects against what came, each difference with its line in the file.

It knows expectations and values. It may not know how the values were come by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from source_sim.scenarios.form import hyphened
from source_sim.scenarios.hearing import Names, fits, heard, transcript
from source_sim.scenarios.played import Difference
from source_sim.scenarios.reading import Read
from source_sim.scenarios.steps import Then
from source_sim.testbed import Told

Path = tuple[str | int, ...]
_HELD = frozenset({"sentence", "change"})
_ANY_ORDER = frozenset({"sources", "flags"})
_MOST_LINES = 12


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a step: values by the names of the expectation's fields, and what helps to understand them."""

    values: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares within one scenario; `names` tells organisations by the scenario's names."""

    read: Read
    names: Names

    def differences(self, then: Then, came: Came, lines: Sequence[Told], path: Path) -> list[Difference]:
        """Everything that came otherwise. `path` is where `then` stands in the file."""
        found: list[Difference] = []
        for name, expected in then.told.items():
            place = (*path, hyphened(name))
            if name == "journal":
                found += self._journal(expected, lines, place)
            elif name == "never":
                found += self._never(expected, lines, place)
            elif name in ("inboxes", "patient_sees", "outbox", "outcomes") and isinstance(expected, dict):
                found += self._each(hyphened(name), expected, came, name, place)
            elif not _as_told(name, expected, came.values.get(name)):
                found.append(self._difference(hyphened(name), expected, came.values.get(name), place, came.why))
        return found

    def _difference(self, what: str, expected: Any, actual: Any, place: Path, why: str = "") -> Difference:
        return Difference(self.read.line(*place), what, _plain(expected), _plain(actual), why)

    def _journal(self, patterns: list[str], lines: Sequence[Told], place: Path) -> Iterator[Difference]:
        missing = heard(lines, patterns, self.names)
        if missing is not None:
            at = patterns.index(missing)
            came = "; ".join(transcript(lines, self.names)[-_MOST_LINES:]) or "nothing was written down"
            why = self._nearest(missing, lines)
            yield Difference(self.read.line(*place, at), "journal", f"a line {missing!r}, in this order", came, why)

    def _nearest(self, pattern: str, lines: Sequence[Told]) -> str:
        """Why the line is missing: written at another place, or written with other words."""
        event = pattern.split()[0]
        if any(fits(told, pattern, self.names) for told in lines):
            return "there is such a line, but before the one expected before it"
        same = [told for told in lines if told.event == event]
        if same:
            return f"nearest: {transcript(same[-1:], self.names)[0]}"
        return f"no {event} was written at all"

    def _never(self, patterns: list[str], lines: Sequence[Told], place: Path) -> Iterator[Difference]:
        for at, pattern in enumerate(patterns):
            found = [told for told in lines if fits(told, pattern, self.names)]
            if found:
                came = transcript(found[:1], self.names)[0]
                yield Difference(self.read.line(*place, at), "never", f"no line {pattern!r}", came)

    def _each(self, what: str, expected: dict[str, Any], came: Came, name: str, place: Path) -> Iterator[Difference]:
        """A mapping: each key by itself; of `outcomes` also those nobody expected."""
        actual = came.values.get(name) or {}
        for key, wanted in expected.items():
            got = actual.get(key, 0 if name == "outbox" else None)
            if not _as_told(name, wanted, got):
                yield self._difference(f"{what} of {key}", wanted, got, (*place, key), came.why)
        for key in sorted(actual.keys() - expected.keys()) if name == "outcomes" else ():
            yield self._difference(f"{what} of {key}", "none", actual[key], place, came.why)


def _as_told(name: str, expected: Any, actual: Any) -> bool:
    if name in _HELD:
        return str(expected) in str(actual)
    if name == "within":
        return actual is not None and actual <= expected
    if name in _ANY_ORDER:
        return sorted(expected) == sorted(actual or ())
    if name == "status" and isinstance(expected, list):
        return actual in expected
    if name == "inboxes":
        return _in_box(expected, actual or [])
    if name in ("sees", "patient_sees"):
        return _seen(expected, actual or [])
    return bool(expected == actual)


def _in_box(expected: int | list[str], actual: list[str]) -> bool:
    return len(actual) == expected if isinstance(expected, int) else sorted(expected) == sorted(actual)


def _seen(expected: Sequence[str], actual: Sequence[str]) -> bool:
    """Whether the items expected stand there in this order; each is told by words its item holds."""
    left = iter(actual)
    return all(any(set(one.split()) <= set(item.split()) for item in left) for one in expected)


def _plain(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "nothing"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(map(str, value)) if not isinstance(value, list) else map(str, value))
    return str(value)
