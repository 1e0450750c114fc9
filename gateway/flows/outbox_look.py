"""What do operators see of messages on their way? Numbers, lists per state, one envelope, what is stopped.

Reads only. No content: what was sent stays sealed, and the patient is a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.flows.means import Means
from gateway.rules.identifiers import Ura
from gateway.rules.message import State
from gateway.rules.network import Organisation
from gateway.stores import outbox
from gateway.stores.ledger import Transaction
from gateway.stores.outbox import Held, Stop

PAGE = 50


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of messages in the order of their acceptance. `next` is the id the next page begins after, if there is
    one; `names` are the participants'."""

    held: tuple[Held, ...]
    next: str | None
    stops: tuple[Stop, ...]
    names: Mapping[Ura, Organisation]


async def listing(means: Means, state: State | None, *, after: str | None = None) -> Listing:
    """Messages in one state, or in all. Raises LedgerUnavailable."""
    network = await means.live.network()

    def look(tx: Transaction) -> Listing:
        held = outbox.listing(tx, state, PAGE, after)
        following = held[-1].envelope.id if len(held) == PAGE else None
        return Listing(tuple(held), following, tuple(outbox.stops(tx)), network.organisations)

    return await means.ledger.read(look)


async def one(means: Means, id: str) -> tuple[Held, Mapping[Ura, Organisation]] | None:
    """One message's envelope, and the participants; None: there is no such message. Raises LedgerUnavailable."""
    network = await means.live.network()
    held = await means.ledger.read(lambda tx: outbox.find(tx, id))
    return None if held is None else (held, network.organisations)
