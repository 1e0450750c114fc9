"""How many calls, how ended, how fast, and how do the sources fare? Counts by the minute, made of journal lines.

Lines may come in any order, newest first when looking back and oldest first afterwards: every count is a sum. Bounded:
a day of minutes, an hour of each source. Knows no ledger and no clock; times are wall time, as the lines tell it.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from gateway.rules.access import Bar
from gateway.rules.exchange import Failing, Kind, Purpose
from gateway.rules.finding import Outcome, kind_of, outcome_of
from gateway.rules.journal import Event, Json, Line
from gateway.sources import Limits
from gateway.stores.journal import Kept

DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)
MOST_SOURCES = 10_000
"""Of more sources than this the ones silent longest are forgotten."""
_STEP_MINUTES = 10
"""A source is counted in steps, not in minutes: there are thousands of them."""

CALLS = frozenset(
    {Event.QUERY_ANSWERED, Event.QUERY_FAILED, Event.QUERY_REFUSED, Event.LOCALISED, Event.CALL_REFUSED},
)
"""A call: somebody asked about a patient, or was turned away at the door. Each writes exactly one of these."""
_ASKED = frozenset({Event.QUERY_DECIDED, Event.QUERY_REFUSED, Event.LOCALISED})
_ENDED = frozenset({Event.QUERY_ANSWERED, Event.QUERY_FAILED})

ANSWERED = "answered"
_GOOD = frozenset({ANSWERED, Failing.TRUNCATED, Failing.WITHHELD, Failing.NO_CONSENT})
_BROKEN = frozenset({Failing.TIMED_OUT, Failing.UNREACHABLE, Failing.MALFORMED})


# --- durations -------------------------------------------------------------------------------------------------------

_RATIO = math.log(1.1)


class Durations:
    """Many durations in milliseconds, kept as counts per range a tenth wide: a percentile is at most 5 % off."""

    __slots__ = ("counts",)

    def __init__(self, counts: Iterable[Counter[int]] = ()) -> None:
        self.counts: Counter[int] = Counter()
        for one in counts:
            self.counts.update(one)

    def add(self, ms: float) -> None:
        self.counts[math.ceil(math.log(max(ms, 0.1)) / _RATIO)] += 1

    def percentile(self, share: float) -> float | None:
        """The duration that `share` (0 to 1) of them do not exceed; None when there are none."""
        wanted = share * self.counts.total()
        for place in sorted(self.counts):
            wanted -= self.counts[place]
            if wanted <= 1e-9:
                return math.exp((place - 0.5) * _RATIO)
        return None


# --- what is told ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slot:
    """What happened from `start` on, for as long as the plot's step: calls by outcome, and their durations in ms."""

    start: datetime
    calls: Mapping[Outcome, int]
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Totals:
    """All of a stretch of time. `asked` and `emergencies` count what was judged, whatever came of it."""

    calls: Mapping[tuple[Kind | None, Outcome], int]
    asked: int
    emergencies: int
    p50: float | None
    p95: float | None

    @property
    def number(self) -> int:
        return sum(self.calls.values())

    def of(self, outcome: Outcome) -> int:
        return sum(number for (_, ended), number in self.calls.items() if ended is outcome)


class Standing(StrEnum):
    """How a source fares by its last calls, whichever worker made them."""

    WELL = "well"
    FALTERING = "faltering"
    BROKEN = "broken"
    """So many of the last calls failed that a worker which made them all no longer asks: its breaker is open."""


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One source's last hour. `outcomes` counts its legs; `last_good` is the last time it answered, if it did within
    the time counted."""

    custodian: str
    system: str
    standing: Standing
    outcomes: Mapping[str, int]
    last_good: datetime | None
    last: datetime
    p50: float | None
    p95: float | None

    @property
    def failed(self) -> int:
        return sum(number for outcome, number in self.outcomes.items() if outcome not in _GOOD)


# --- counting --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Minute:
    calls: Counter[tuple[Kind | None, Outcome]] = field(default_factory=Counter)
    durations: Durations = field(default_factory=Durations)
    asked: int = 0
    emergencies: int = 0


@dataclass(slots=True)
class _Source:
    steps: dict[int, tuple[Counter[str], Durations]] = field(default_factory=dict)
    recent: list[tuple[int, bool]] = field(default_factory=list)
    last: int = 0
    last_good: int | None = None

    def count(self, seq: int, minute: int, leg: Mapping[str, Json]) -> None:
        outcome = str(leg.get("outcome"))
        counts, durations = self.steps.setdefault(minute // _STEP_MINUTES, (Counter(), Durations()))
        counts[outcome] += 1
        ms = leg.get("ms")
        if isinstance(ms, int | float):
            durations.add(ms)
        self.last = max(self.last, minute)
        if outcome in _GOOD:
            self.last_good = max(self.last_good or 0, minute)
        insort(self.recent, (seq, _is_broken(outcome, leg)))
        del self.recent[: -_LIMITS.window]

    def standing(self) -> Standing:
        failures = sum(broken for _, broken in self.recent)
        if failures >= _LIMITS.failures and self.recent[-1][1]:
            return Standing.BROKEN
        return Standing.FALTERING if failures else Standing.WELL


_LIMITS = Limits()


def _is_broken(outcome: str, leg: Mapping[str, Json]) -> bool:
    """What the breaker counts against a source (interface.md section 7)."""
    served_error = outcome == Failing.REFUSED and str(leg.get("detail", "")).startswith("status 5")
    return outcome in _BROKEN or served_error


class Tally:
    """The counts. `count` every line once; `forget_before` from time to time."""

    def __init__(self) -> None:
        self._minutes: defaultdict[int, _Minute] = defaultdict(_Minute)
        self._sources: defaultdict[tuple[str, str], _Source] = defaultdict(_Source)

    def count(self, kept: Kept) -> None:
        line, minute = kept.line, _minute(kept.line.wall)
        if line.event in CALLS:
            outcome = outcome_of(line)
            if outcome is not None:
                self._minutes[minute].calls[kind_of(line), outcome] += 1
        if line.event in _ASKED and line.fields.get("reason") != Bar.VERBAL_CONSENT_REQUIRED:
            self._minutes[minute].asked += 1
            self._minutes[minute].emergencies += line.fields.get("purpose") == Purpose.ETREAT
        if line.event in _ENDED:
            self._count_ended(kept, minute)

    def _count_ended(self, kept: Kept, minute: int) -> None:
        legs = list(legs_of(kept.line))
        ms = kept.line.fields.get("ms")
        if legs and isinstance(ms, int | float):
            self._minutes[minute].durations.add(ms)
        for leg in legs:
            self._sources[str(leg.get("custodian")), str(leg.get("system"))].count(kept.seq, minute, leg)

    def forget_before(self, wall: datetime) -> None:
        """Drop minutes that ended a day before `wall`, and of sources what is older than an hour or too many."""
        day, step = _minute(wall - DAY), _minute(wall - HOUR) // _STEP_MINUTES
        for minute in [minute for minute in self._minutes if minute < day]:
            del self._minutes[minute]
        for key, source in list(self._sources.items()):
            for old in [one for one in source.steps if one < step]:
                del source.steps[old]
            if source.last < day:
                del self._sources[key]
        silent_first = sorted(self._sources, key=lambda key: self._sources[key].last)
        for key in silent_first[: max(0, len(silent_first) - MOST_SOURCES)]:
            del self._sources[key]

    # --- telling -----------------------------------------------------------------------------------------------------

    def slots(self, until: datetime, step: timedelta, number: int) -> list[Slot]:
        """So many slots of whole minutes, the oldest first; the last holds `until`."""
        width = step // timedelta(minutes=1)
        last = _minute(until) // width
        return [self._slot(one * width, width) for one in range(last - number + 1, last + 1)]

    def _slot(self, first: int, width: int) -> Slot:
        minutes = list(self._between(first, first + width))
        calls: Counter[Outcome] = Counter()
        for minute in minutes:
            for (_, outcome), number in minute.calls.items():
                calls[outcome] += number
        took = Durations(minute.durations.counts for minute in minutes)
        return Slot(_start(first), calls, took.percentile(0.5), took.percentile(0.95))

    def totals(self, until: datetime, stretch: timedelta) -> Totals:
        """All of the minutes that began in (until - stretch, until]."""
        minutes = list(self._between(_minute(until - stretch) + 1, _minute(until) + 1))
        calls: Counter[tuple[Kind | None, Outcome]] = Counter()
        for minute in minutes:
            calls.update(minute.calls)
        took = Durations(minute.durations.counts for minute in minutes)
        return Totals(
            calls=calls,
            asked=sum(minute.asked for minute in minutes),
            emergencies=sum(minute.emergencies for minute in minutes),
            p50=took.percentile(0.5),
            p95=took.percentile(0.95),
        )

    def sources(self, until: datetime) -> list[SourceHealth]:
        """Every source that was asked, with its numbers of the hour before `until`, to ten minutes; the worst first: by
        standing, then by failures, then by number."""
        since = _minute(until - HOUR) // _STEP_MINUTES
        told = [_health(*key, source, since) for key, source in self._sources.items()]
        worst = list(reversed(Standing))
        return sorted(told, key=lambda one: (worst.index(one.standing), -one.failed, one.custodian, one.system))

    def _between(self, first: int, end: int) -> Iterator[_Minute]:
        return (self._minutes[minute] for minute in range(first, end) if minute in self._minutes)


def legs_of(line: Line) -> Iterator[Mapping[str, Json]]:
    """What the line says of the single sources asked."""
    legs = line.fields.get("legs")
    return (leg for leg in legs if isinstance(leg, dict)) if isinstance(legs, list) else iter(())


def _health(custodian: str, system: str, source: _Source, since: int) -> SourceHealth:
    steps = [counted for step, counted in source.steps.items() if step >= since]
    took = Durations(durations.counts for _, durations in steps)
    outcomes: Counter[str] = Counter()
    for counts, _ in steps:
        outcomes.update(counts)
    return SourceHealth(
        custodian=custodian,
        system=system,
        standing=source.standing(),
        outcomes=outcomes,
        last_good=None if source.last_good is None else _start(source.last_good),
        last=_start(source.last),
        p50=took.percentile(0.5),
        p95=took.percentile(0.95),
    )


def _minute(wall: datetime) -> int:
    return int(wall.timestamp()) // 60


def _start(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
