"""How old is the mail that has not arrived? Counts by age, of what waits, is being delivered or is parked.

Part of the outbox's drawer: outbox.py is the whole. Reads envelopes' columns only. Times are domain time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.stores.schema import instant
from gateway.stores.transaction import Transaction

# each state with its own partial index
_NOT_ARRIVED = (
    "state = 'waiting'",
    "state <> 'waiting' AND state = 'claimed'",
    "state <> 'waiting' AND state = 'parked'",
)


def ages(reader: Transaction, edges: Sequence[datetime]) -> list[int]:
    """How many were accepted at or after the first edge, then between each edge and the next, then before the last.
    `edges` go back in time; one number more than edges."""
    since = [_accepted_since(reader, edge) for edge in edges]
    every = sum(_count(reader, condition) for condition in _NOT_ARRIVED)
    return [now - before for before, now in zip([0, *since], [*since, every], strict=True)]


def _accepted_since(reader: Transaction, edge: datetime) -> int:
    return sum(_count(reader, f"{condition} AND accepted >= ?", instant(edge)) for condition in _NOT_ARRIVED)


def _count(reader: Transaction, condition: str, *params: object) -> int:
    row = reader.row(f"SELECT count(*) FROM outbox WHERE {condition}", *params)  # noqa: S608
    return int(row[0]) if row else 0
