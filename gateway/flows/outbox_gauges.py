"""How does the mail fare, in numbers? What was accepted, where it stands, what is stopped and how old the oldest is.

Reads only, and tells of no patient and no organisation. The equation it shows: accepted is the sum of the states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.flows.means import Means
from gateway.rules.message import State
from gateway.stores import outbox, outbox_keeping
from gateway.stores.ledger import Transaction
from gateway.stores.outbox import Held


@dataclass(frozen=True, slots=True)
class Gauges:
    """Numbers of messages `of` every state, all of one moment; `oldest_s`: seconds of domain time since the
    oldest of those on their way was accepted, 0 when none is."""

    accepted: int
    of: Mapping[State, int]
    all_stopped: bool
    lanes_stopped: int
    oldest_s: float


async def gauges(means: Means) -> Gauges:
    """All of one snapshot. Raises LedgerUnavailable."""
    now = means.live.domain(await means.live.network())

    def look(tx: Transaction) -> Gauges:
        counts, stops = outbox.counts(tx), outbox_keeping.stops(tx)
        return Gauges(
            accepted=counts.accepted,
            of=counts.of,
            all_stopped=any(stop.recipient is None for stop in stops),
            lanes_stopped=sum(stop.recipient is not None for stop in stops),
            oldest_s=max((_age(held, now) for held in _oldest(tx)), default=0.0),
        )

    return await means.ledger.read(look)


def _oldest(tx: Transaction) -> list[Held]:
    """The first accepted of those waiting and of those being delivered."""
    return [held for state in (State.WAITING, State.CLAIMED) for held in outbox.listing(tx, state, 1, None)]


def _age(held: Held, now: datetime) -> float:
    """Never negative: a simulation's clock may have been set back."""
    return max(0.0, (now - held.envelope.accepted).total_seconds())
