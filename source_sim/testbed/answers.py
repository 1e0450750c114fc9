"""What did the asker get, and what did the journal say of it? An answer with its decision, and expectations that teach.

The answer is what came over the wire; the decision is what the journal tells of the same call. `why` puts both into
sentences, with what came close. Decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from source_sim.requesters import Reply
from source_sim.testbed.transcript import Told, Transcript

_ANY = object()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One source that did not deliver: machine code, sentence, and the source's key (its URA where it has none)."""

    code: str
    sentence: str
    source: str


@dataclass(frozen=True, slots=True)
class Tried:
    """The judgement on one entry: whose it is (key), permitted or closed, by which row or for which reason."""

    source: str
    outcome: str
    row: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the journal tells: `outcome` is permitted, neutral, refused or failed; `row` is the first that permitted,
    `reason` the bar, or why an entry stayed closed, or how it failed."""

    row: str | None
    reason: str | None
    outcome: str
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question. `status` 0: no token was given, and nothing was asked; `code` then says why.

    `sources` are the keys of those whose data came, `elapsed` the exchange's own time in seconds.
    """

    kind: str
    status: int
    code: str
    sentence: str
    completeness: str | None
    outcomes: tuple[Outcome, ...]
    sources: tuple[str, ...]
    flags: frozenset[str]
    body: bytes = field(repr=False)
    others: tuple[Reply, ...] = field(repr=False)
    aorta_id: str
    decision: Decision
    elapsed: float
    matches: tuple[dict[str, Any], ...] = field(repr=False)
    transcript: Transcript = field(repr=False, compare=False)
    asker: str = ""
    misses: tuple[str, ...] = ()
    """What would have made a difference, the nearest first."""

    @property
    def total(self) -> int:
        """How many matches came, from all sources and searches."""
        return len(self.matches)

    @property
    def why(self) -> str:
        """What came of it and why, with what would have made a difference."""
        head = [f"{self.asker}: {self}", *([f"  {self.sentence}"] if self.sentence else [])]
        came = [f"  {one.source}: {one.code}. {one.sentence}" for one in dict.fromkeys(self.outcomes)]
        close = ["what came close:", *(f"  - {miss}" for miss in self.misses)] if self.misses else []
        told = ["the journal:", *(f"  {line}" for line in self.transcript.lines())]
        return "\n".join([*head, *came, *close, *told])

    def expect(
        self,
        *,
        completeness: object = _ANY,
        outcomes: object = _ANY,
        row: object = _ANY,
        reason: object = _ANY,
        outcome: object = _ANY,
        code: object = _ANY,
        status: object = _ANY,
        total: object = _ANY,
        sources: object = _ANY,
        flags: object = _ANY,
    ) -> Answer:
        """The answer itself, if all that is named is so; `outcomes`, `sources` and `flags` in any order, `outcomes` by
        their codes or as `code source`. Raises AssertionError that says what came instead, and why."""
        wanted = {
            "status": (status, self.status),
            "code": (code, self.code),
            "completeness": (completeness, self.completeness),
            "total": (total, self.total),
            "row": (row, self.decision.row),
            "reason": (reason, self.decision.reason),
            "outcome": (outcome, self.decision.outcome),
            "outcomes": (_sorted(outcomes), _sorted(_as_asked(self.outcomes, outcomes))),
            "sources": (_sorted(sources), _sorted(self.sources)),
            "flags": (_sorted(flags), _sorted(self.flags)),
        }
        wrong = {name: pair for name, pair in wanted.items() if pair[0] is not _ANY and pair[0] != pair[1]}
        if wrong:
            told = [f"  {name}: expected {said!r}, got {came!r}" for name, (said, came) in wrong.items()]
            raise AssertionError("\n".join(["the answer is another:", *told, "", self.why]))
        return self

    def __str__(self) -> str:
        total = "" if self.status != 200 else f", {self.total} found, {self.completeness}"
        return f"{self.kind}: {self.status} {self.code}".rstrip() + total


def _as_asked(outcomes: Sequence[Outcome], wanted: object) -> list[str]:
    """Outcomes by code, with the source where the expectation names one."""
    named = isinstance(wanted, Sequence) and any(isinstance(one, str) and " " in one for one in wanted)
    return [f"{one.code} {one.source}" if named else one.code for one in outcomes]


def _sorted(value: object) -> object:
    return sorted(value) if isinstance(value, list | tuple | set | frozenset) else value


def decision_of(lines: Sequence[Told], key: Callable[[str], str], status: int) -> Decision:
    """What these lines of one call tell; `key` gives the key of an organisation (URA)."""
    tried = tuple(dict.fromkeys(one for told in lines for one in _tried(told, key)))
    refused = [told.reason for told in lines if told.event in _REFUSED]
    failed = [told.reason for told in lines if told.event == "query-failed"]
    rows = [one.row for one in tried if one.outcome == "permitted"]
    dropped = any(told.fields.get("dropped") for told in lines)
    closed = [one.reason for one in tried if one.reason]
    if refused:
        return Decision(None, refused[-1], "refused", tried)
    if failed or status >= 500:
        return Decision(next(iter(rows), None), failed[0] if failed else None, "failed", tried)
    if rows and not dropped:
        return Decision(rows[0], None, "permitted", tried)
    return Decision(None, "dropped-at-release" if dropped else next(iter(closed), None), "neutral", tried)


_REFUSED = frozenset({"query-refused", "call-refused", "token-refused", "message-refused"})


def _tried(told: Told, key: Callable[[str], str]) -> list[Tried]:
    return [
        Tried(key(str(one["custodian"])), str(one["outcome"]), one.get("row"), one.get("reason"))
        for one in told.fields.get("decisions") or ()
    ]
