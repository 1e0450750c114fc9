"""What do the desk's pages know of a story that can be played? Plain values, and who plays it, handed in.

Stories are told and played by the simulated country, which no page may know: the composition brings it along.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Theme(StrEnum):
    """What a story is mainly about, in the order of the page."""

    ACCESS = "access"
    EMERGENCY = "emergency"
    CHOICES = "choices"
    MESSAGES = "messages"
    FAULTS = "faults"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Story:
    """One story of the library. `file` and `text`: its file's name and what stands in it; `wrong`: why it cannot be
    read (file, line and mistake), empty when it can."""

    name: str
    file: str
    title: str
    story: str
    theme: Theme
    covers: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    wrong: str = ""

    def line(self, number: int) -> str:
        """A line of the file, counted from 1; empty where there is none."""
        lines = self.text.splitlines()
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """Something came otherwise than the file says in this line; `why` are lines of text that help to understand it."""

    line: int
    what: str
    expected: str
    actual: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class StepTold:
    """One step: what the file says in one line, and what came otherwise."""

    number: int
    title: str
    note: str
    line: int
    otherwise: tuple[Otherwise, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What came of playing a story. `diagram` is an SVG document; `seconds` playing took on this machine."""

    steps: tuple[StepTold, ...]
    finally_: tuple[Otherwise, ...]
    transcript: tuple[str, ...]
    shown: tuple[str, ...]
    diagram: str = field(repr=False)
    seconds: float

    @property
    def differences(self) -> int:
        """How much came otherwise than told."""
        return sum(len(step.otherwise) for step in self.steps) + len(self.finally_)


class Why(StrEnum):
    """Why nothing can be told of a play."""

    UNREADABLE = "unreadable"
    TOO_LONG = "too-long"
    BROKEN = "broken"


class NotPlayed(Exception):
    """A story could not be played to its end; `told` is one line for whoever wrote the file."""

    def __init__(self, why: Why, told: str = "") -> None:
        super().__init__(why.value)
        self.why, self.told = why, told


class Stories(Protocol):
    """The library, and who plays from it: in a country of its own, never in the running one."""

    async def stories(self) -> tuple[Story, ...]:
        """All there are, each name once."""

    async def play(self, name: str) -> Told:
        """Play the story of this name to its end. Raises NotPlayed; KeyError for a name that is not there."""
