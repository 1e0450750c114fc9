"""What does the operator see of this moment? One look-out per desk process follows the journal and keeps the counts.

It reads each line once: new ones as they are written, and in the background a day's older ones, newest first, so that a
page never waits for a count. Live views are fed from the same reading. Tells of no patient and no content.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from gateway.flows.means import Means
from gateway.flows.outbox_gauges import Gauges, gauges
from gateway.flows.tallying import DAY, HOUR, Slot, SourceHealth, Tally, Totals
from gateway.stores import checkpoints, finding, journal, outbox_age
from gateway.stores.journal import Kept
from gateway.stores.ledger import LedgerUnavailable, Transaction
from gateway.stores.schema import instant

_log = logging.getLogger("switchpoint.viewing")

_ROUND_SECONDS = 0.25
_SLICE = 256
"""Lines read at once, so that others are served in between."""
_BACK_PAUSE_SECONDS = 0.005
_REMEMBERED = 4096
"""Newest lines kept for live views; who is further behind reads the ledger."""
_FORGET_SECONDS = 60.0
REST_SECONDS = 600.0
"""After so long without anybody looking it rests: reading every line a second time is a tenth of what a query costs."""

AGES = (timedelta(minutes=1), timedelta(minutes=5), HOUR, DAY)
"""Where the ages of undelivered messages are parted."""


@dataclass(frozen=True, slots=True)
class Seal:
    """How far the journal is sealed: entries covered, entries not yet, and the oldest of those's age in seconds."""

    sealed: int
    unsealed: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Now:
    """Everything the front page tells. `counted_since` is wall time: how far back the counts reach by now; `whole`:
    that is a day, or all there is.
    `ages` has one number more than AGES: undelivered messages by age, the youngest first."""

    wall: datetime
    hour: Sequence[Slot]
    day: Sequence[Slot]
    totals: Totals
    sources: Sequence[SourceHealth]
    counted_since: datetime
    whole: bool
    mail: Gauges
    ages: Sequence[int]
    seal: Seal


class Lookout:
    """Follows the journal for one process, from the first time anybody looks until nobody has for `rest` seconds; then
    it forgets, and who looks again has the newest counts at once and a day's again in the background."""

    def __init__(self, means: Means, *, rest: float = REST_SECONDS) -> None:
        self._means = means
        self._rest = rest
        self._looked_at = 0.0
        self._forget()
        self._fresh = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def _forget(self) -> None:
        self.tally = Tally()
        self.newest = 0
        self._back: int | None = None
        self._until = 0
        self._counted_since: datetime | None = None
        self._recent: deque[Kept] = deque(maxlen=_REMEMBERED)

    # --- following ---------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """See to it that somebody follows, and that what is newest is known. Raises LedgerUnavailable."""
        self._looked_at = self.clock()
        if self._task is None or self._task.done():
            await self.look()
            self._task = asyncio.create_task(self._follow())

    async def end(self) -> None:
        """Follow no longer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        forget_at = loop.time()
        while not await self._rested():
            with suppress(LedgerUnavailable):
                await self.look()
                await self._look_back_until(loop.time() + _ROUND_SECONDS)
            if loop.time() >= forget_at:
                self.tally.forget_before(self._means.live.wall())
                forget_at = loop.time() + _FORGET_SECONDS
            await asyncio.sleep(_ROUND_SECONDS)

    async def _rested(self) -> bool:
        """Whether nobody has looked for long; then all is forgotten, and whoever comes next begins."""
        async with self._turn:
            resting = self.clock() >= self._looked_at + self._rest
            if resting:
                self._forget()
                self._task = None
            return resting

    async def look(self) -> None:
        """Read what was written since the last look. Raises LedgerUnavailable."""
        async with self._turn:
            if self._back is None:
                await self._first_look()
            while lines := await self._means.ledger.read(lambda tx: journal.tail(tx, self.newest, _SLICE), single=True):
                self._take(lines)
                if len(lines) < _SLICE:
                    return
                await asyncio.sleep(0)

    async def _first_look(self) -> None:
        since = self._means.live.wall() - DAY

        def ends(tx: Transaction) -> tuple[int, int]:
            return journal.last(tx), finding.since(tx, since)

        self.newest, first = await self._means.ledger.read(ends)
        self._back, self._until = self.newest, first - 1
        self._counted_since = self._means.live.wall()
        await self._look_back()

    def _take(self, lines: list[Kept]) -> None:
        for kept in lines:
            self.tally.count(kept)
        self._recent.extend(lines)
        self.newest = lines[-1].seq
        self._fresh.set()
        self._fresh = asyncio.Event()

    async def _look_back_until(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not self.whole and loop.time() < deadline:
            await self._look_back()
            await asyncio.sleep(_BACK_PAUSE_SECONDS)

    async def _look_back(self) -> None:
        """Count some of the older lines."""
        start = self._back or 0
        low = max(self._until, start - _SLICE)
        lines = await self._means.ledger.read(
            lambda tx: list(journal.newest_first_until(tx, start, low)) if start > low else []
        )
        for kept in lines:
            self.tally.count(kept)
        self._back = low
        if lines:
            self._counted_since = lines[-1].line.wall

    @property
    def whole(self) -> bool:
        """Whether the counts reach back a whole day, or to the journal's beginning."""
        return self._back is not None and self._back <= self._until

    # --- telling -----------------------------------------------------------------------------------------------------

    async def news(self, after: int, *, patience: float, most: int = _SLICE) -> list[Kept]:
        """Lines numbered above `after`, oldest first, without gap; nothing when none came within `patience` seconds.
        Raises LedgerUnavailable."""
        self._looked_at = self.clock()
        if after >= self.newest:
            fresh = self._fresh
            with suppress(TimeoutError):
                await asyncio.wait_for(fresh.wait(), patience)
        behind = self.newest - after
        most = min(most, behind)
        if 0 <= behind <= len(self._recent):
            start = len(self._recent) - behind
            return list(islice(self._recent, start, start + most))
        if behind < 0:
            return []
        return await self._means.ledger.read(lambda tx: journal.tail(tx, after, most), single=True)

    @staticmethod
    def clock() -> float:
        """The loop's time, in seconds."""
        return asyncio.get_running_loop().time()

    async def now(self) -> Now:
        """What is to be told of this moment. Raises LedgerUnavailable."""
        await self.begin()
        await self.look()
        wall = self._means.live.wall()
        mail = await gauges(self._means)
        ages, seal = await self._standing(wall)
        return Now(
            wall=wall,
            hour=self.tally.slots(wall, timedelta(minutes=1), 60),
            day=self.tally.slots(wall, timedelta(minutes=10), 144),
            totals=self.tally.totals(wall, HOUR),
            sources=self.tally.sources(wall),
            counted_since=self._counted_since or wall,
            whole=self.whole,
            mail=mail,
            ages=ages,
            seal=seal,
        )

    async def _standing(self, wall: datetime) -> tuple[list[int], Seal]:
        at = self._means.live.domain(await self._means.live.network())

        def look(tx: Transaction) -> tuple[list[int], Seal]:
            oldest = checkpoints.oldest_unsealed(tx)
            age = 0.0 if oldest is None else max(0.0, (instant(wall) - oldest) / 1e6)
            seal = Seal(checkpoints.sealed_size(tx), checkpoints.unsealed(tx), age)
            return outbox_age.ages(tx, [at - age for age in AGES]), seal

        return await self._means.ledger.read(look)
