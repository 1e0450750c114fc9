"""Whose turn is it, and how do many attempts go on side by side? The one loop that empties the outbox.

Time is up for some, the due ones are claimed, each attempt is a task of its own: no message, recipient or failing
ledger holds up another. Knows neither rules nor content; attempting.py does.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta

from gateway.flows import notices, outbox_acts
from gateway.flows.attempting import Pause, attempt
from gateway.flows.enveloping import line
from gateway.flows.lanes import PER_LANE, Lanes
from gateway.flows.means import Means
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json
from gateway.rules.network import Network
from gateway.stores import journal, outbox
from gateway.stores.ledger import LedgerUnavailable, Transaction
from gateway.stores.outbox import Claimed, Held

_log = logging.getLogger("switchpoint.delivery")

IN_FLIGHT = 64
"""How many attempts go on at once in all."""
LEASE = timedelta(seconds=40)
"""How long a claim counts: an attempt with all its patience for marking is over well before."""
POLL = 0.2
"""Seconds between looks at the outbox."""
_LEDGER_AWAY = 1.0
_A_FEW_TOGETHER = 0.01
_ENDING = 10.0
_EXPIRE_EVERY = timedelta(seconds=1)
_EXPIRE_AT_ONCE = 100


def _any_jitter() -> float:
    return random.uniform(-1.0, 1.0)  # noqa: S311 - spreads retries, protects nothing


class Delivery:
    """Delivers what is due. `claimant` tells this process's claims from all others', and must never be used again."""

    def __init__(
        self,
        means: Means,
        *,
        claimant: str,
        jitter: Callable[[], float] = _any_jitter,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._means, self._claimant, self._jitter, self._pause = means, claimant, jitter, pause
        self._claims = itertools.count(1)
        self._lanes = Lanes()
        self._attempts: set[asyncio.Task[None]] = set()
        self._expired: datetime | None = None
        self._woken = 0
        self._ledger_away = False

    async def run(self) -> None:
        """Deliver until cancelled; then claim no more, and give what is in flight ten seconds to be marked."""
        try:
            while True:
                await self._rest(await self._look_after())
        finally:
            await self._finish()

    async def round(self) -> int:
        """One pass, and the end of every attempt in flight; returns how many it began. Raises LedgerUnavailable."""
        began = await self._begin()
        if self._attempts:
            await asyncio.wait(self._attempts)
        return began

    async def _look_after(self) -> float:
        """One pass that nothing stops; returns the seconds until the next."""
        try:
            await self._begin()
        except LedgerUnavailable:
            self._tell_ledger_away()
            return _LEDGER_AWAY
        except Exception:
            _log.exception("delivery-round-failed")
            return _LEDGER_AWAY
        self._ledger_away = False
        return POLL

    async def _rest(self, seconds: float) -> None:
        """Until the next look, or until an attempt has ended and its place is free; a few ends are taken together."""
        if self._attempts and seconds == POLL:
            await asyncio.wait(self._attempts, timeout=POLL, return_when=asyncio.FIRST_COMPLETED)
            seconds = _A_FEW_TOGETHER
        await self._pause(seconds)

    def _tell_ledger_away(self) -> None:
        if not self._ledger_away:
            _log.warning("delivery-waits-for-ledger")
        self._ledger_away = True

    async def _finish(self) -> None:
        if self._attempts:
            _, late = await asyncio.wait(self._attempts, timeout=_ENDING)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    # --- one pass ----------------------------------------------------------------------------------------------------

    async def _begin(self) -> int:
        network = await self._means.live.network()
        now, wall = self._means.live.domain(network), self._means.live.wall()
        await self._aside(self._expire(network, now))
        await self._aside(self._wake(network))
        claimed = await self._claim(network, now, wall)
        return len(claimed)

    async def _aside(self, work: Coroutine[None, None, None]) -> None:
        """What is done beside delivering must not stop it, whatever one message makes of it."""
        try:
            await work
        except LedgerUnavailable:
            raise
        except Exception:
            _log.exception("outbox-upkeep-failed")

    async def _claim(self, network: Network, now: datetime, wall: datetime) -> list[Claimed]:
        most, ledger = IN_FLIGHT - len(self._attempts), self._means.ledger
        if most <= 0 or not await ledger.read(lambda tx: outbox.due_at_all(tx, now, wall), single=True):
            return []
        # a claim by itself, so that a mark of an earlier one of ours never counts for this
        claimant = f"{self._claimant}.{next(self._claims)}"
        sick, busy = self._lanes.sick(network.organisations), self._lanes.busy(now)

        def unit(tx: Transaction) -> list[Claimed]:
            return outbox.claim(
                tx,
                now=now,
                wall=wall,
                claimant=claimant,
                lease=LEASE,
                most=most,
                per_lane=PER_LANE,
                sick=sick,
                busy=busy,
            )

        claimed = await ledger.commit(unit)
        if claimed:
            self._means.mail.reached("claim")
        for one in claimed:
            self._take_off(one, claimant)
        return claimed

    def _take_off(self, claimed: Claimed, claimant: str) -> None:
        lane = claimed.held.lane
        assert lane is not None, "what is claimed stands in a lane"
        self._lanes.took_off(lane)
        task = asyncio.create_task(self._try(claimed, claimant, lane))
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)

    async def _try(self, claimed: Claimed, claimant: str, lane: Ura) -> None:
        """One attempt, whatever comes of it. What raises stays claimed until its lease is over, and a message that does
        so every time ends as never marked."""
        try:
            tried = await attempt(self._means, claimed, claimant, jitter=self._jitter(), pause=self._pause)
            if tried is not None and self._lanes.learn(tried.recipient, tried.reply, tried.at):
                await self._means.ledger.commit(lambda tx: outbox.hasten(tx, tried.recipient, tried.at))
        except LedgerUnavailable:
            self._tell_ledger_away()
        except Exception:
            _log.exception("attempt-failed", extra={"task": claimed.held.envelope.id})
        finally:
            self._lanes.landed(lane)

    # --- what time and the register do -------------------------------------------------------------------------------

    async def _expire(self, network: Network, now: datetime) -> None:
        """End what is up, tried or not; often enough, not at every look."""
        if self._expired is not None and timedelta(0) <= now - self._expired < _EXPIRE_EVERY:
            return
        while True:
            ended = await self._means.ledger.commit(lambda tx: self._end_expired(tx, network, now))
            if ended:
                self._means.mail.reached("expire")
            if ended < _EXPIRE_AT_ONCE:
                break
        self._expired = now

    def _end_expired(self, tx: Transaction, network: Network, now: datetime) -> int:
        ended = outbox.expire(tx, now, _EXPIRE_AT_ONCE)
        for held in ended:
            self._tell_expired(tx, network, held, now)
        return len(ended)

    def _tell_expired(self, tx: Transaction, network: Network, held: Held, now: datetime) -> None:
        fields: dict[str, Json] = {"outcome": held.state, "reason": held.reason, "attempt": held.attempts}
        to = held.envelope.recipient or held.lane
        journal.append(tx, line(self._means, network, Event.MESSAGE_FAILED, held.envelope, to, fields, at=now))
        letter = notices.undeliverable(self._means, network, held, held.state, held.reason or "", at=now)
        if letter is not None:
            notices.write(self._means, tx, network, letter)

    async def _wake(self, network: Network) -> None:
        """Whatever moved on the network may have given the parked a road; also at the first look."""
        if network.version != self._woken:
            await outbox_acts.wake(self._means)
            self._woken = network.version
