"""How is a running exchange kept from delivering to us before it is told to? Delivery to ours, and to those of
the patients we meet there, is stopped.

Only while we wait for it, delivery goes on: so a message stands where it would stand in a country of our own. An
operator's acts, journaled as such. Knows the outbox's stops; delivers nothing itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from gateway.flows import outbox_acts
from gateway.flows.means import Means
from gateway.rules.identifiers import Ura
from gateway.stores import outbox
from source_sim.testbed.share import ACTING

_WHY = "delivered when told to"


async def hold(means: Means, ura: str) -> None:
    """Nothing is delivered to this organisation from now on. Raises LedgerUnavailable."""
    await outbox_acts.stop(means, Ura(ura), by=ACTING, reason=_WHY)


async def let_go(means: Means) -> tuple[list[Ura], timedelta]:
    """Delivery goes on to everybody it was held from; to whom, and over how long what is overdue there is spread.
    Raises LedgerUnavailable."""
    stops = await means.ledger.read(outbox.stops)
    held = [one.recipient for one in stops if one.by == ACTING and one.recipient is not None]
    spreads = [await outbox_acts.start(means, ura, by=ACTING, reason=_WHY) for ura in held]
    return held, max((one for one in spreads if one is not None), default=timedelta())


@asynccontextmanager
async def delivering(means: Means) -> AsyncIterator[timedelta]:
    """While this lasts the exchange delivers to us; over how long it spreads what is overdue."""
    held, spread = await let_go(means)
    try:
        yield spread
    finally:
        for ura in held:
            await hold(means, ura.digits)
