"""What came out of a check? Rules in our own words, what was seen, and one verdict per rule.

It knows verdicts and text. It may not know how anything was looked at, nor print a BSN: whatever is said about a system
goes through `masked`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from source_sim.population import is_bsn

_NINE: Final = re.compile(r"(?<![0-9])[0-9]{9}(?![0-9])")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")
_LONGEST: Final = 400
_MOST_SAID: Final = 4


class Verdict(StrEnum):
    """How a rule came out."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_TRIED = "not-tried"


_WEIGHT: Final = {Verdict.NOT_TRIED: 0, Verdict.PASS: 1, Verdict.WARN: 2, Verdict.FAIL: 3}


class Rule(NamedTuple):
    """One line of the contract: what it is called, what it says and where it stands, and how a breach is mended."""

    id: str
    about: str
    title: str
    contract: str
    reference: str
    mend: str


@dataclass(frozen=True, slots=True)
class Finding:
    """How one rule came out: `saw` is what the system did, without any BSN or content."""

    rule: Rule
    verdict: Verdict
    saw: str


@dataclass(frozen=True, slots=True)
class Report:
    """A whole check: of what, when (wall time), and one finding per rule, in the order of the rules."""

    title: str
    subject: str
    at: datetime
    findings: tuple[Finding, ...]

    def count(self, verdict: Verdict) -> int:
        return sum(1 for one in self.findings if one.verdict is verdict)

    @property
    def conforms(self) -> bool:
        """Nothing failed; a warning is advice."""
        return not self.count(Verdict.FAIL)

    def of(self, verdict: Verdict) -> frozenset[str]:
        """The ids of the rules with this verdict."""
        return frozenset(one.rule.id for one in self.findings if one.verdict is verdict)


@dataclass(slots=True)
class Book:
    """Notes under rules while a check goes on: the worst verdict of a rule counts, and what was seen with it."""

    rules: Mapping[str, Rule]
    _notes: dict[str, list[tuple[Verdict, str]]] = field(default_factory=dict, repr=False)

    def note(self, rule: str, verdict: Verdict, saw: str) -> None:
        """Raises KeyError for a rule that is not in the table."""
        self._notes.setdefault(self.rules[rule].id, []).append((verdict, masked(saw)))

    def passed(self, rule: str, saw: str) -> None:
        self.note(rule, Verdict.PASS, saw)

    def failed(self, rule: str, saw: str) -> None:
        self.note(rule, Verdict.FAIL, saw)

    def warned(self, rule: str, saw: str) -> None:
        self.note(rule, Verdict.WARN, saw)

    def skipped(self, rule: str, why: str) -> None:
        self.note(rule, Verdict.NOT_TRIED, why)

    def judged(self, rule: str, good: bool, saw: str) -> None:
        self.note(rule, Verdict.PASS if good else Verdict.FAIL, saw)

    def worst(self, rule: str) -> Verdict:
        """The verdict so far; not tried when nothing is noted."""
        return max((verdict for verdict, _ in self._notes.get(rule, ())), key=_WEIGHT.__getitem__, default=_UNTRIED)

    def broken(self, rules: Sequence[str]) -> bool:
        """Whether one of these rules failed or warned so far."""
        return any(self.worst(rule) in (Verdict.FAIL, Verdict.WARN) for rule in rules)

    def findings(self, otherwise: str) -> tuple[Finding, ...]:
        """One finding per rule, in the table's order; `otherwise` is said of rules that nothing was noted under."""
        return tuple(self._finding(rule, otherwise) for rule in self.rules.values())

    def _finding(self, rule: Rule, otherwise: str) -> Finding:
        verdict = self.worst(rule.id)
        said = [saw for noted, saw in self._notes.get(rule.id, ()) if noted is verdict]
        several = list(dict.fromkeys(said)) or [otherwise]
        more = f"; and {len(several) - _MOST_SAID} more" if len(several) > _MOST_SAID else ""
        return Finding(rule, verdict, "; ".join(several[:_MOST_SAID]) + more)


_UNTRIED: Final = Verdict.NOT_TRIED


def table(rules: Sequence[Rule]) -> Mapping[str, Rule]:
    """The rules by id. Raises ValueError when two have the same."""
    made = {rule.id: rule for rule in rules}
    if len(made) < len(rules):
        raise ValueError("two rules have the same id")
    return made


def masked(text: str) -> str:
    """The text on one line, at most 400 characters, each BSN in it as stars."""
    plain = _NINE.sub(lambda found: "*********" if is_bsn(found[0]) else found[0], _CONTROL.sub(" ", text))
    return plain if len(plain) <= _LONGEST else plain[:_LONGEST] + " …"
