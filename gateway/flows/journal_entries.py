"""What stands in the journal, one entry after another: its number, its leaf hash, and whether its columns are faithful.

Reads in batches, also what somebody has made unreadable. Knows nothing of checkpoints.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from gateway.rules.checkpoint import entry_bytes
from gateway.rules.merkle import leaf_hash
from gateway.stores import checkpoints, journal
from gateway.stores.ledger import Ledger, Transaction

_BATCH = 2000


class Found(NamedTuple):
    """One entry: `hash` is None when the database cannot read it; `faithful` as in `stores/journal.py`."""

    seq: int
    hash: bytes | None
    faithful: bool


class Entries:
    """The entries in order, from the lowest number that stands there to the newest when this was made."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._low, self._high = ledger.read_now(checkpoints.ends)
        self._ready = self._all()
        self.next: Found | None = next(self._ready, None)
        self.read = 0

    def pop(self) -> Found:
        """The next entry. Raises LookupError behind the last."""
        if self.next is None:
            raise LookupError("no entry is left")
        taken, self.next = self.next, next(self._ready, None)
        self.read += 1
        return taken

    def _all(self) -> Iterator[Found]:
        after = self._low - 1
        while batch := self._ledger.read_now(lambda tx, after=after: _batch(tx, after, self._high)):  # type: ignore[misc]
            yield from batch
            after = batch[-1].seq


def _batch(reader: Transaction, after: int, through: int) -> list[Found]:
    found = checkpoints.entries(reader, after, through, _BATCH)
    faithful = _faithful(reader, after, len(found))
    return [Found(seq, None if row is None else leaf_hash(entry_bytes(row)), seq in faithful) for seq, row in found]


def _faithful(reader: Transaction, after: int, limit: int) -> set[int]:
    try:
        return {leaf.seq for leaf in journal.leaves(reader, after, limit) if leaf.faithful}
    except (sqlite3.OperationalError, OverflowError):  # one of them holds what no entry can hold: find out which
        numbers = reader.rows("SELECT seq FROM journal WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
        return {seq for (seq,) in numbers if limit > 1 and _faithful(reader, seq - 1, 1)}
