"""What happened, told line by line? The country's journal as a transcript that can be read, narrowed and expected.

A line names event, row, reason, outcome and who; never a BSN, and no id that differs from run to run. Knows the
journal's words; decides nothing.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.rules.journal import Event, Line

DUTCH_TIME = ZoneInfo("Europe/Amsterdam")
ANYTHING = "..."
TECHNICAL = frozenset({Event.TOKEN_ISSUED, Event.PARTICIPANT_JOINED, Event.CLOCK_SET, Event.JOURNAL_READ})
"""Events that a story leaves out: they stand in the journal all the same (`Transcript.all`)."""

_WORDS = ("category", "row", "view", "basis", "reason", "error", "outcome", "completeness", "say", "regime", "why")
_NAMES = {True: "on", False: "off"}


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the journal. `seq` is its number, `at` domain time, `chain` the AORTA-ID's initialRequestID;
    `organisation` acted, `custodian` is whose data it is about (names, empty where the line has none)."""

    seq: int
    event: str
    at: datetime
    chain: str
    organisation: str
    custodian: str
    category: str
    row: str
    reason: str
    outcome: str
    fields: dict[str, Any] = field(repr=False)
    patient: bytes | None = field(default=None, repr=False)
    """Under which key the journal has the patient."""

    @property
    def words(self) -> tuple[str, ...]:
        """Event first, then what it says: row, reason, outcome, who."""
        said = [_word(self.fields[name]) for name in _WORDS if self.fields.get(name) not in (None, "")]
        said += [_NAMES[self.fields["on"]]] if isinstance(self.fields.get("on"), bool) else []
        closed = [_decided(one) for one in self.fields.get("decisions") or ()]
        return (self.event, *said, *closed, *(one for one in (self.organisation, self.custodian) if one))

    def __str__(self) -> str:
        event, *said = self.words
        return f"{self.at.astimezone(DUTCH_TIME):%Y-%m-%d %H:%M:%S}  {event:<20} {' · '.join(said)}".rstrip()

    def fits(self, pattern: str) -> bool:
        """Whether the pattern's first word is the event, and each other word (`*` is any) stands in the line."""
        event, *said = pattern.split()
        words = [part for word in self.words[1:] for part in (word, *word.split())]
        return fnmatch.fnmatchcase(self.event, event) and all(fnmatch.filter(words, one) for one in said)


def tell(seq: int, line: Line, name: Callable[[str], str]) -> Told:
    """A journal line as told; `name` gives the name of an organisation (URA)."""
    fields = dict(line.fields)
    custodian = name(line.custodian.digits) if line.custodian else ""
    by = str(fields.get("organisation_name") or (name(line.requester.digits) if line.requester else ""))
    fields["decisions"] = [{**one, "name": name(str(one["custodian"]))} for one in _decisions(fields)]
    return Told(
        seq,
        line.event.value,
        line.at,
        line.aorta.initial if line.aorta else "",
        by,
        custodian if custodian != by else "",
        str(fields.get("category", "")),
        str(fields.get("row") or ""),
        str(fields.get("reason") or fields.get("error") or ""),
        str(fields.get("outcome") or fields.get("completeness") or ""),
        fields,
        line.patient,
    )


def _decisions(fields: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in fields.get("decisions") or () if isinstance(one, dict)]


def _decided(one: dict[str, Any]) -> str:
    return f"{one['name']}: {one['outcome']} {one.get('row') or one.get('reason', '')}".rstrip()


def _word(value: object) -> str:
    return str(value)


class Transcript(Sequence[Told]):
    """The lines of a country's journal, oldest first, without the technical ones (`all` has every line)."""

    def __init__(self, read: Callable[[], list[Told]]) -> None:
        self._read = read

    @property
    def all(self) -> tuple[Told, ...]:
        """Every line, tokens and set-up included."""
        return tuple(self._read())

    @property
    def mark(self) -> int:
        """Where the journal stands now, for `since`."""
        return max((told.seq for told in self._read()), default=0)

    def since(self, mark: int) -> Transcript:
        """What came after a mark."""
        return Transcript(lambda: [told for told in self._read() if told.seq > mark])

    def of(self, answer: Any) -> Transcript:
        """What one answer's call wrote (anything with an `aorta_id` or a `chain`)."""
        chain = chain_of(str(getattr(answer, "aorta_id", "")))
        return Transcript(lambda: [told for told in self._read() if told.chain == chain])

    def events(self) -> list[str]:
        return [told.event for told in self]

    def lines(self) -> list[str]:
        return [str(told) for told in self]

    def _story(self) -> list[Told]:
        return [told for told in self._read() if Event(told.event) not in TECHNICAL]

    def __iter__(self) -> Iterator[Told]:
        return iter(self._story())

    def __len__(self) -> int:
        return len(self._story())

    def __getitem__(self, at: Any) -> Any:
        return self._story()[at]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def expect(self, patterns: Sequence[str]) -> None:
        """The whole transcript is this: one pattern a line, `...` for any number of lines. A pattern is the event and
        words that stand in the line, as in `disclosed REG-1`. Raises AssertionError with what differs."""
        story = self._story()
        if not _matches(story, list(patterns)):
            raise AssertionError("the journal tells something else:\n" + _differences(story, patterns))


def chain_of(aorta_id: str) -> str:
    """The initialRequestID of an AORTA-ID header."""
    parts = (part.strip().partition("=") for part in aorta_id.split(";"))
    return next((value for name, _, value in parts if name == "initialRequestID"), "")


def _matches(story: Sequence[Told], patterns: Sequence[str]) -> bool:
    """Patterns against lines; `reached` are the numbers of lines that the patterns so far can have taken up."""
    reached = {0}
    for pattern in patterns:
        if pattern == ANYTHING:
            reached = set(range(min(reached, default=len(story) + 1), len(story) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(story) and story[at].fits(pattern)}
    return len(story) in reached


def _differences(story: Sequence[Told], patterns: Sequence[str]) -> str:
    """Expected against told, a line that fits its pattern written as the pattern."""
    written = [next((pattern for pattern in patterns if told.fits(pattern)), str(told)) for told in story]
    compared = difflib.ndiff([*patterns], written)
    return "\n".join(f"  {line}" for line in compared if not line.startswith("?"))
