"""What came of playing a scenario? Steps with what was expected and what came, the transcript, what it has shown.

Frozen values only; it may not know how they were come by, nor how they are printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from source_sim.scenarios.reading import Read


class Kind(StrEnum):
    """How an arrow of the diagram looks."""

    ASKS = "asks"
    GIVES = "gives"
    FAILS = "fails"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Arrow:
    """Something that went from one to another, by the scenario's names; `switchpoint` is the exchange itself."""

    source: str
    target: str
    label: str
    kind: Kind = Kind.ASKS


@dataclass(frozen=True, slots=True)
class Difference:
    """Something came otherwise than told: in which line of the file, what, and what would help to understand it."""

    line: int
    what: str
    expected: str
    actual: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class StepPlayed:
    """One step: its verb and what it says in a few words, what came, and every difference."""

    number: int
    verb: str
    title: str
    line: int
    note: str = ""
    came: dict[str, Any] = field(default_factory=dict)
    arrows: tuple[Arrow, ...] = ()
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario played to its end, or to the step that could not be carried out.

    `shown` are the words of `scenario.COVERABLE` that really happened, told from journal, answers and faults set.
    `seconds` is what playing took on this machine.
    """

    read: Read
    steps: tuple[StepPlayed, ...]
    finally_: tuple[Difference, ...] = ()
    transcript: tuple[str, ...] = ()
    shown: frozenset[str] = frozenset()
    seconds: float = 0.0

    @property
    def differences(self) -> tuple[Difference, ...]:
        """All of them, in the file's order of steps."""
        return (*(one for step in self.steps for one in step.differences), *self.finally_)

    @property
    def passed(self) -> bool:
        return not self.differences
