"""What does whoever connects find, and what is left behind? Only REGULAR at first; everything put back at the end.

Visitors come to the same moment of domain time again and again, so what one of them switched is taken back at the end,
for it would lie ahead of the next. What others switched, and when, stays, outweighed during the visit. All of it is
journaled. A visitor who was killed is tidied up after by the next one.
"""

from __future__ import annotations

import logging
from datetime import datetime

import httpx

from gateway.rules import regimes
from gateway.rules.exchange import PatientKey, Regime
from gateway.rules.journal import Event, Json, Line
from gateway.rules.network import RegimeSwitch
from gateway.stores import journal, register
from gateway.stores.index import IndexUnavailable
from gateway.stores.transaction import Transaction
from source_sim.custodians import Custodian
from source_sim.requesters import TokenRefused
from source_sim.testbed.holding import let_go
from source_sim.testbed.share import ACTING
from source_sim.testbed.world import World

_log = logging.getLogger("switchpoint.testbed")


class Visit:
    """One connection to a running simulation, from what it was like before."""

    def __init__(self, world: World) -> None:
        self._world, self._means = world, world.gateway.means
        for work in (self._take_back(), let_go(self._means)):  # of a visitor who did not get to leave
            world.run(work)
        self._before = world.network()
        world.others = tuple(sorted({one.at for one in self._before.switches}))

    async def quieten(self, start: datetime) -> None:
        """From this moment of domain time on no regime is in force beside REGULAR."""
        for regime in {one.regime for one in self._before.switches}:
            await self._world.switched(RegimeSwitch(regime, False, start, ACTING, "a connection begins"))

    async def leave(self) -> None:
        """Put back what was changed; messages on their way are left."""
        await self._end_entries()
        await self._restore_regimes()
        await self._restore_clock()
        await let_go(self._means)

    # --- regimes -----------------------------------------------------------------------------------------------------

    async def _restore_regimes(self) -> None:
        network, wall = await self._means.live.network(), self._means.live.wall()
        await self._take_back()
        at = self._before.domain(wall)
        ours = {one.regime for one in network.switches if one.by == ACTING}
        lasting = regimes.active(self._before.switches, at)
        lines = [_line(one, at, wall, on=one in lasting) for one in sorted(ours)]
        await self._means.ledger.commit(lambda tx: [journal.append(tx, line) for line in lines])

    async def _take_back(self) -> None:
        await self._world.changed(self._means.ledger.commit(lambda tx: register.take_back(tx, ACTING)))

    # --- the clock ---------------------------------------------------------------------------------------------------

    async def _restore_clock(self) -> None:
        """Exactly as it went before: a clock that was never set is one again."""
        network, was = await self._means.live.network(), self._before
        if (network.clock_offset, network.clock_speed) == (was.clock_offset, was.clock_speed):
            return
        wall = self._means.live.wall()
        at = was.domain(wall)

        def unit(tx: Transaction) -> None:
            register.set_clock(tx, was.clock_offset, anchor=was.clock_anchor, speed=was.clock_speed)
            journal.append(tx, Line(Event.CLOCK_SET, at=at, wall=wall, fields={"now": at.isoformat(), "by": ACTING}))

        await self._world.changed(self._means.ledger.commit(unit))

    # --- entries -----------------------------------------------------------------------------------------------------

    async def _end_entries(self) -> None:
        """As far as they can be ended now: each custodian of ours ends its own."""
        for patient in self._world.share.patients:
            try:
                await self._end_entries_of(patient)
            except (httpx.HTTPError, TokenRefused, IndexUnavailable) as wrong:
                _log.warning("entries-not-ended", extra={"why": type(wrong).__name__})

    async def _end_entries_of(self, patient: PatientKey) -> None:
        for pointer in await self._means.index.find(patient, None):
            one = self._world.participant(pointer.custodian.digits)
            if one is not None:
                await Custodian(self._world.client(one)).end_entry(pointer.id)


def _line(regime: Regime, at: datetime, wall: datetime, *, on: bool) -> Line:
    fields: dict[str, Json] = {"regime": regime, "on": on, "until": None, "by": ACTING, "reason": "a connection ends"}
    return Line(Event.REGIME_SWITCHED, at=at, wall=wall, fields=fields)
