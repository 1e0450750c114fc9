"""What is on its way, and what becomes of it? The outbox of a country of the testbed, delivered when it is told to.

Nothing is delivered behind the test's back: `deliver` runs what is due now, `pass_time` what becomes due on the way. In
a running simulation the exchange delivers by itself; there both wait until it has. Knows the outbox and the deliverer;
decides nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.flows.delivering import Delivery
from gateway.flows.operating import Turn
from gateway.rules.message import State
from gateway.stores import outbox
from gateway.stores.outbox import Held
from gateway.stores.transaction import Transaction
from source_sim.testbed.holding import delivering
from source_sim.testbed.world import World

_MOST = 10_000
_MOST_ROUNDS = 10_000
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 5.0
"""How long nothing may change before what is still due is taken to wait for something else."""
_SHORT_PATIENCE_SECONDS = 1.0
"""The same where the recipient has not answered so far: it is looked at from time to time only."""
_LIVED_THROUGH = timedelta(minutes=1)
"""Where time cannot leap, a shorter wait really lasts so long: for all clocks, those of breakers and deadlines, too."""
_IN_HAND = frozenset({State.WAITING, State.PARKED})


@dataclass(frozen=True, slots=True)
class Message:
    """One message's envelope: from and to whom (keys; the exchange's own come from `switchpoint`), its state, how often
    it was tried, why it ended or waits, and when it is due and given up (domain time)."""

    id: str
    event: str
    sender: str
    recipient: str
    state: str
    reason: str
    attempts: int
    due: datetime
    expires: datetime


class Outbox:
    """What the exchange holds for others."""

    def __init__(self, world: World) -> None:
        self._world = world
        chance = world.chance("delivery")
        self._delivery = Delivery(
            world.gateway.means, claimant=world.new_id(), jitter=lambda: chance.uniform(-1.0, 1.0)
        )
        self._before = None if world.ground.alone else world.read(_last)

    @property
    def states(self) -> Mapping[str, int]:
        """How many messages are in each state (waiting, claimed, parked, delivered, failed, outcome-unknown)."""
        return Counter(held.state.value for held in self._held())

    @property
    def messages(self) -> tuple[Message, ...]:
        """Every message, oldest first: envelopes, never content."""
        return tuple(self._message(held) for held in self._held())

    def ids(self) -> frozenset[str]:
        """The ids of the messages themselves (MessageHeader)."""
        return frozenset(held.envelope.message_id for held in self._held())

    def deliver(self) -> int:
        """Run what is due now, until nothing is; returns how many attempts that took."""
        return self._world.run(self._to_rest())

    def pass_time(self, time: timedelta) -> None:
        """Let this much domain time pass, and deliver, retry and give up on the way when it is due."""
        self._world.run(self._pass(time))

    def _held(self) -> list[Held]:
        return self._world.run(self._ours())

    async def _ours(self) -> list[Held]:
        """The messages that are ours, oldest first."""
        ledger, before = self._world.gateway.means.ledger, self._before
        found = await ledger.read(lambda tx: outbox.listing(tx, None, _MOST, before))
        return [held for held in found if self._world.share.holds(held)]

    def _message(self, held: Held) -> Message:
        envelope, key = held.envelope, self._world.key_of
        to = envelope.recipient or held.delivered_to or held.lane
        return Message(
            envelope.id,
            envelope.event.value,
            key(envelope.sender.ura.digits) if envelope.sender else "switchpoint",
            key(to.digits) if to else "",
            held.state.value,
            held.reason or "",
            held.attempts,
            held.due,
            held.expires,
        )

    async def _to_rest(self) -> int:
        return await (self._deliver() if self._world.ground.alone else self._delivered())

    async def _delivered(self) -> int:
        """Let the exchange deliver what is due, and wait until it has; what it does not touch any more is left."""
        loop, began = asyncio.get_running_loop(), {one.envelope.id: one.attempts for one in await self._ours()}
        async with delivering(self._world.gateway.means) as spread:
            held, now, changed = await self._ours(), self._now() + spread, loop.time()
            while loop.time() < changed + _patience(held, began, max(now, self._now())):
                await asyncio.sleep(_LOOK_SECONDS)
                was, held = held, await self._ours()
                changed = changed if was == held else loop.time()
        return sum(one.attempts - began.get(one.envelope.id, 0) for one in held)

    async def _deliver(self) -> int:
        tried = 0
        for _ in range(_MOST_ROUNDS):
            began = await self._delivery.round()
            if not began:
                break
            tried += began
        return tried

    async def _pass(self, time: timedelta) -> None:
        until, lived = self._now() + time, time <= _LIVED_THROUGH
        await self._to_rest()
        while (following := await self._following()) is not None and following <= until:
            await self._go_on(following - self._now(), lived=lived)
            await self._to_rest()
        await self._go_on(until - self._now(), lived=lived)
        await self._to_rest()

    async def _following(self) -> datetime | None:
        """When something is due next, later than now."""
        found = await self._ours()
        times = [held.due for held in found if held.state is State.WAITING]
        times += [held.expires for held in found if held.state in _IN_HAND]
        return min((at for at in times if at > self._now()), default=None)

    async def _go_on(self, time: timedelta, *, lived: bool) -> None:
        """In process the loop leaps: everything grows older by that. Live, only domain time moves, unless a short time
        is lived through."""
        if time <= timedelta():
            return
        leaps = self._world.ground.leaps and not self._world.held
        if leaps or (lived and await self._ticks()):
            await asyncio.sleep(time.total_seconds())
            await self._world.come_back()
        else:
            await self._world.turned(Turn(forward=time))

    async def _ticks(self) -> bool:
        """Whether domain time goes as fast as a clock on the wall."""
        return (await self._world.gateway.means.live.network()).clock_speed == 1.0

    def _now(self) -> datetime:
        return self._world.today()


def _patience(held: Sequence[Held], began: Mapping[str, int], now: datetime) -> float:
    """How many seconds something may yet be waited for: none when nothing is being attempted or due. Where one has
    failed since we began, the others of its lane wait for its next attempt; where one had failed before, they may."""
    waiting = [one for one in held if one.state is State.WAITING]
    failed = {one.lane for one in waiting if one.attempts > began.get(one.envelope.id, 0)}
    ailing = {one.lane for one in waiting if one.attempts}
    due = [one for one in waiting if one.due <= now and one.lane not in failed]
    busy = any(one.state is State.CLAIMED or (one.state in _IN_HAND and one.expires <= now) for one in held)
    if busy or any(one.lane not in ailing for one in due):
        return _PATIENCE_SECONDS
    return _SHORT_PATIENCE_SECONDS if due else 0.0


def _last(tx: Transaction) -> str | None:
    """The newest message there is."""
    id: str | None = None
    while page := outbox.listing(tx, None, _MOST, id):
        id = page[-1].envelope.id
    return id
