"""What does a monitoring system count? Calls, refusals and answers as counters since this process began, and the state
of journal, network and mail at this moment.

Counts are made of journal lines, read when somebody asks for the numbers and not before; so they are those of all
workers. Names no organisation and no patient: kinds, outcomes and rules only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.flows.means import Means
from gateway.flows.outbox_gauges import Gauges, gauges
from gateway.flows.tallying import CALLS, legs_of
from gateway.rules import regimes
from gateway.rules.exchange import Kind, Purpose, Regime
from gateway.rules.finding import Outcome, kind_of, outcome_of
from gateway.rules.journal import Event, Json, Line
from gateway.stores import checkpoints, finding, journal
from gateway.stores.ledger import Transaction
from gateway.stores.schema import instant

BUCKETS_MS = (10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
"""Upper ends of the ranges durations are counted in, in milliseconds; the deadlines are among them."""
_SLICE = 256
MOST_AT_ONCE = 100 * _SLICE
"""Lines counted for one reading; what is left is counted for the next, and told as not counted yet."""


@dataclass(slots=True)
class Durations:
    """How many took at most so long, per bucket and in all, and the sum in milliseconds."""

    buckets: Counter[float] = field(default_factory=Counter)
    number: int = 0
    total_ms: float = 0.0

    def add(self, ms: Json) -> None:
        if isinstance(ms, bool) or not isinstance(ms, int | float):
            return
        self.number += 1
        self.total_ms += ms
        self.buckets.update(bucket for bucket in BUCKETS_MS if ms <= bucket)


@dataclass(slots=True)
class Counted:
    """Everything counted so far."""

    events: Counter[Event] = field(default_factory=Counter)
    calls: Counter[tuple[Kind | None, Outcome]] = field(default_factory=Counter)
    emergencies: Counter[Kind | None] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    disclosures: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    queries: Durations = field(default_factory=Durations)
    sources: Durations = field(default_factory=Durations)

    def count(self, line: Line) -> None:
        """Count one line; every line once."""
        outcome, kind = outcome_of(line), kind_of(line)
        self.events[line.event] += 1
        if line.event in CALLS and outcome is not None:
            self.calls[kind, outcome] += 1
        if line.event is Event.QUERY_DECIDED and line.fields.get("purpose") == Purpose.ETREAT:
            self.emergencies[kind] += 1
        if outcome is Outcome.REFUSED:
            self.refusals[str(line.fields.get("reason") or line.fields.get("error") or "")] += 1
        if line.event is Event.DISCLOSED:
            self.disclosures[str(line.fields.get("category")), str(line.fields.get("basis"))] += 1
        self._count_legs(line)

    def _count_legs(self, line: Line) -> None:
        asked = False
        for leg in legs_of(line):
            asked = True
            self.answers[str(leg.get("outcome"))] += 1
            self.sources.add(leg.get("ms"))
        if asked:
            self.queries.add(line.fields.get("ms"))


@dataclass(frozen=True, slots=True)
class Book:
    """The journal at this moment, in lines: all there ever were, not sealed, not indexed for search, not counted here.
    `seal_age_s`: how long the oldest unsealed one has waited, 0 when there is none."""

    lines: int
    unsealed: int
    unindexed: int
    uncounted: int
    seal_age_s: float


@dataclass(frozen=True, slots=True)
class Reading:
    """All numbers of one moment."""

    counted: Counted
    book: Book
    mail: Gauges
    regimes: Mapping[Regime, bool]
    organisations: int
    systems: int
    revoked: int


class Meter:
    """Counts for one process what was written since `began` (wall time)."""

    def __init__(self, means: Means, began: datetime) -> None:
        self._means, self._began = means, began
        self._counted = Counted()
        self._upto: int | None = None
        self._turn = asyncio.Lock()

    async def read(self) -> Reading:
        """The numbers now. Raises LedgerUnavailable."""
        async with self._turn:
            upto = await self._count_on()
        network = await self._means.live.network()
        in_force = regimes.active(network.switches, self._means.live.domain(network))
        return Reading(
            counted=self._counted,
            book=await self._means.ledger.read(lambda tx: _book(tx, upto, self._means.live.wall())),
            mail=await gauges(self._means),
            regimes={regime: regime in in_force for regime in Regime},
            organisations=len(network.organisations),
            systems=len(network.systems),
            revoked=len(network.revoked),
        )

    async def _count_on(self) -> int:
        """Count what was written since the last reading; the number of the last line counted."""
        if self._upto is None:
            self._upto = await self._means.ledger.read(lambda tx: finding.since(tx, self._began)) - 1
        for _ in range(MOST_AT_ONCE // _SLICE):
            after = self._upto
            lines = await self._means.ledger.read(lambda tx, after=after: journal.tail(tx, after, _SLICE))  # type: ignore[misc]
            for kept in lines:
                self._counted.count(kept.line)
                self._upto = kept.seq
            if len(lines) < _SLICE:
                break
            await asyncio.sleep(0)
        return self._upto


def _book(tx: Transaction, upto: int, wall: datetime) -> Book:
    newest, oldest = journal.last(tx), checkpoints.oldest_unsealed(tx)
    return Book(
        lines=newest,
        unsealed=checkpoints.unsealed(tx),
        unindexed=newest - finding.blocks(tx) * finding.BLOCK,
        uncounted=newest - upto,
        seal_age_s=0.0 if oldest is None else max(0.0, (instant(wall) - oldest) / 1e6),
    )
