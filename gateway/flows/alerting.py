"""What is wrong right now? Counts the journal's last hour, and asks the few rules of `rules/alerts.py`.

At most a few thousand of the newest lines are counted: who tries numbers stands out in those. Reads only.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.flows import outbox_gauges, reviewing
from gateway.flows.finding import find
from gateway.flows.means import Means
from gateway.rules import alerts
from gateway.rules.alerts import Expiry, Facts, Raised, Traffic
from gateway.rules.exchange import Kind, PatientKey, Purpose
from gateway.rules.finding import Outcome, Search, kind_of
from gateway.rules.identifiers import InvalidIdentifier, Ura
from gateway.rules.journal import Event, Line
from gateway.rules.network import Organisation

MOST_COUNTED = 2000
"""Lines of one sort that are counted at most."""
_TOLD_TODAY = timedelta(days=1)
_PAGE = 200

_ASKED = (Event.QUERY_DECIDED, Event.QUERY_REFUSED)
"""A query gives exactly one of these."""


@dataclass(frozen=True, slots=True)
class Board:
    """The alerts, and the participants' names. `counted_since` is wall time."""

    alerts: tuple[Raised, ...]
    names: Mapping[Ura, Organisation]
    counted_since: datetime


async def board(means: Means, *, wrong: Mapping[str, str], expiries: tuple[Expiry, ...]) -> Board:
    """Look at everything now. `wrong`: the failing readiness checks; `expiries`: the exchange's papers. Raises
    LedgerUnavailable."""
    network = await means.live.network()
    wall = means.live.wall()
    mail = await outbox_gauges.gauges(means)
    facts = Facts(
        wall,
        traffic=await _traffic(means, wall - alerts.WINDOW),
        grabs=await _grabs(means, wall - _TOLD_TODAY),
        expiries=expiries,
        wrong=wrong,
        oldest_message=timedelta(seconds=mail.oldest_s),
        all_stopped=mail.all_stopped,
        lanes_stopped=mail.lanes_stopped,
        reviews_overdue=await reviewing.overdue(means),
    )
    return Board(alerts.raised(facts), network.organisations, wall - alerts.WINDOW)


@dataclass(slots=True)
class _Count:
    """What is being counted of one organisation."""

    kind: Kind | None = None
    calls: int = 0
    emergencies: int = 0
    patients: set[PatientKey] = field(default_factory=set)
    nothing: set[PatientKey] = field(default_factory=set)

    def told(self) -> Traffic:
        everybody = len(self.patients | self.nothing)
        return Traffic(self.kind, self.calls, self.emergencies, everybody, len(self.nothing))


async def _traffic(means: Means, since: datetime) -> dict[Ura, Traffic]:
    counts: dict[Ura, _Count] = defaultdict(_Count)
    for event in _ASKED:
        async for line in _newest(means, Search(event=event), since):
            _count_call(counts, line)
    async for line in _newest(means, Search(outcome=Outcome.NEUTRAL), since):
        if line.requester is not None and line.patient is not None:
            counts[line.requester].nothing.add(line.patient)
    async for line in _newest(means, Search(event=Event.DISCLOSED), since):
        if line.requester is not None and line.patient is not None:
            counts[line.requester].nothing.discard(line.patient)
    return {ura: count.told() for ura, count in counts.items()}


def _count_call(counts: dict[Ura, _Count], line: Line) -> None:
    if line.requester is None:
        return
    count = counts[line.requester]
    count.kind = kind_of(line) or count.kind
    count.calls += 1
    count.emergencies += line.fields.get("purpose") == Purpose.ETREAT
    if line.patient is not None:
        count.patients.add(line.patient)


async def _grabs(means: Means, since: datetime) -> dict[Ura, int]:
    """The highest count told of every practice that took over many enrolments."""
    found: dict[Ura, int] = {}
    async for line in _newest(means, Search(event=Event.ALERT_RAISED), since):
        practice, count = _ura(line.fields.get("organisation")), line.fields.get("count")
        if line.fields.get("alert") == alerts.Alert.ENROLMENT_GRAB and practice and isinstance(count, int):
            found[practice] = max(count, found.get(practice, 0))
    return found


def _ura(told: object) -> Ura | None:
    try:
        return Ura(str(told))
    except InvalidIdentifier:
        return None


async def _newest(means: Means, search: Search, since: datetime) -> AsyncIterator[Line]:
    """The newest lines of this sort written since then, with a breath for others between pages."""
    before: int | None = None
    for _ in range(MOST_COUNTED // _PAGE):
        page = await find(means, search, before=before, limit=_PAGE)
        for kept in page.lines:
            if kept.line.wall < since:
                return
            yield kept.line
        before = page.before
        if before is None:
            return
        await asyncio.sleep(0)
