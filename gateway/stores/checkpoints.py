"""What of the journal is sealed, by what? The drawer of checkpoints, keys, archive marks and subtree roots.

A checkpoint's row holds its signed note, the frontier of the tree at its size, and the leaf hashes of the entries since
the one before: enough to go on sealing, to prove, and to name the entry that was changed. Everything is appended only.
Knows the rows, not whether they are true: `flows/verifying_journal.py` asks that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.rules.checkpoint import COLUMNS, BadNote, read_checkpoint, read_note
from gateway.rules.merkle import HASH_BYTES, TILE, Frontier, Node, node_hash, split_hashes
from gateway.stores import schema
from gateway.stores.transaction import Row, Transaction

_ENTRY = ", ".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """One row, as it stands: `size` entries, the signed note, the packed peaks and leaf hashes."""

    size: int
    note: str
    peaks: bytes = field(repr=False)
    leaves: bytes = field(repr=False)

    @property
    def after(self) -> int:
        """The size that the leaf hashes go on from."""
        return self.size - len(self.leaves) // HASH_BYTES


@dataclass(frozen=True, slots=True)
class Standing:
    """Where sealing stands: the notes of all keys, the newest checkpoint, the newest entry's number."""

    keys: tuple[str, ...]
    checkpoint: KeptCheckpoint | None
    last: int

    @property
    def size(self) -> int:
        return self.checkpoint.size if self.checkpoint else 0


_SINCE = 3


def are_kept(reader: Transaction) -> bool:
    """Whether this ledger's schema knows checkpoints at all."""
    return schema.check(reader) >= _SINCE


def standing(reader: Transaction) -> Standing:
    """Where sealing stands now; a few look-ups by primary key."""
    row = reader.row("SELECT max(seq) FROM journal")
    newest = reader.row("SELECT size, note, peaks, leaves FROM checkpoint ORDER BY size DESC LIMIT 1")
    return Standing(tuple(keys(reader)), _kept(newest), row[0] or 0 if row else 0)


def sealed_size(reader: Transaction) -> int:
    """How many entries are sealed."""
    row = reader.row("SELECT coalesce(max(size), 0) FROM checkpoint")
    return int(row[0]) if row else 0


def unsealed(reader: Transaction) -> int:
    """How many entries no checkpoint covers yet."""
    row = reader.row("SELECT coalesce(max(seq), 0) FROM journal")
    return (int(row[0]) if row else 0) - sealed_size(reader)


def holds_note(reader: Transaction, note: str) -> bool:
    """Whether a checkpoint with exactly this note is kept."""
    try:
        kept = at_size(reader, read_checkpoint(read_note(note).text).size)
    except BadNote:
        return False
    return kept is not None and kept.note == note


def oldest_unsealed(reader: Transaction) -> int | None:
    """When (wall, microseconds) the oldest entry was written that no checkpoint covers; None when all are covered."""
    row = reader.row(
        "SELECT wall FROM journal WHERE seq > (SELECT coalesce(max(size), 0) FROM checkpoint) ORDER BY seq LIMIT 1"
    )
    return None if row is None else int(row[0])


def keys(reader: Transaction) -> list[str]:
    """The signed notes of all keys, in the order they began."""
    return [row[0] for row in reader.rows("SELECT note FROM checkpoint_key ORDER BY number")]


def add_key(tx: Transaction, note: str) -> None:
    tx.run("INSERT INTO checkpoint_key VALUES ((SELECT coalesce(max(number), 0) + 1 FROM checkpoint_key), ?)", note)


def add(tx: Transaction, kept: KeptCheckpoint, nodes: tuple[Node, ...]) -> None:
    """Append a checkpoint and the subtrees it completes. Raises LedgerRefused when it is no bigger than the last."""
    tx.run("INSERT INTO checkpoint VALUES (?, ?, ?, ?)", kept.size, kept.note, kept.peaks, kept.leaves)
    for node in nodes:
        tx.run("INSERT INTO journal_node VALUES (?, ?, ?)", node.level, node.place, node.hash)


def at_size(reader: Transaction, size: int) -> KeptCheckpoint | None:
    """The checkpoint of exactly this size."""
    row = reader.row("SELECT size, note, peaks, leaves FROM checkpoint WHERE size = ?", size)
    return _kept(row)


def above(reader: Transaction, size: int, limit: int) -> list[KeptCheckpoint]:
    """At most `limit` checkpoints of more than `size` entries, the smallest first."""
    rows = reader.rows(
        "SELECT size, note, peaks, leaves FROM checkpoint WHERE size > ? ORDER BY size LIMIT ?", size, limit
    )
    return [KeptCheckpoint(*row) for row in rows]


def nodes_of(reader: Transaction, nodes: tuple[Node, ...]) -> list[bytes | None]:
    """What is kept for each of these subtrees."""
    sql = "SELECT hash FROM journal_node WHERE level = ? AND place = ?"
    rows = (reader.row(sql, node.level, node.place) for node in nodes)
    return [None if row is None else row[0] for row in rows]


def _kept(row: Row | None) -> KeptCheckpoint | None:
    return None if row is None else KeptCheckpoint(*row)


# --- entries ---------------------------------------------------------------------------------------------------------

UNREADABLE = None
"""Stands for an entry whose bytes the database itself can no longer read."""


def entries(reader: Transaction, after: int, through: int, limit: int) -> list[tuple[int, Row | None]]:
    """Number and all columns of at most `limit` entries in (after, through], in order."""
    sql = f"SELECT {_ENTRY} FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"  # noqa: S608
    try:
        return [(row[0], row) for row in reader.rows(sql, after, through, limit)]
    except sqlite3.OperationalError:  # a text that is not UTF-8: somebody planted it; find out which
        return list(_one_by_one(reader, after, through, limit))


def _one_by_one(reader: Transaction, after: int, through: int, limit: int) -> Iterator[tuple[int, Row | None]]:
    numbers = reader.rows(
        "SELECT seq FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", after, through, limit
    )
    for (seq,) in numbers:
        try:
            yield seq, reader.row(f"SELECT {_ENTRY} FROM journal WHERE seq = ?", seq)  # noqa: S608
        except sqlite3.OperationalError:
            yield seq, UNREADABLE


def ends(reader: Transaction) -> tuple[int, int]:
    """The lowest and the highest entry number; (0, 0) for an empty journal."""
    row = reader.row("SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM journal")
    return (int(row[0]), int(row[1])) if row else (0, 0)


# --- archives --------------------------------------------------------------------------------------------------------


def archives(reader: Transaction) -> list[tuple[int, str]]:
    """Through which entry, and the signed note, of each archived part in order."""
    return [(int(row[0]), row[1]) for row in reader.rows("SELECT through, note FROM journal_archive ORDER BY through")]


def archived_through(reader: Transaction) -> int:
    """The last entry that was moved to an archive; 0 when none was."""
    row = reader.row("SELECT coalesce(max(through), 0) FROM journal_archive")
    return int(row[0]) if row else 0


def mark_archived(tx: Transaction, through: int, note: str) -> None:
    """From here on the entries up to `through` may be removed. Raises LedgerRefused unless a checkpoint ends there,
    newer entries exist, and it is more than was archived before."""
    tx.run("INSERT INTO journal_archive VALUES (?, ?)", through, note)


def remove_archived(tx: Transaction, limit: int) -> int:
    """Remove at most `limit` of the entries marked as archived, the oldest first; returns how many."""
    return tx.run(
        "DELETE FROM journal WHERE seq IN (SELECT seq FROM journal WHERE seq <= ? ORDER BY seq LIMIT ?)",
        archived_through(tx),
        limit,
    )


def boundary(reader: Transaction, before: int) -> int:
    """The size of the largest checkpoint whose entries were all written before `before` (wall, microseconds), and that
    leaves at least one newer entry; 0 when there is none."""
    row = reader.row(
        "SELECT max(size) FROM checkpoint WHERE size < (SELECT max(seq) FROM journal)"
        " AND size < coalesce((SELECT min(seq) FROM journal WHERE wall >= ?), ?)",
        before,
        _BEYOND,
    )
    return int(row[0] or 0) if row else 0


_BEYOND = 2**62


# --- the tree --------------------------------------------------------------------------------------------------------


def node_at(reader: Transaction) -> Callable[[int, int], bytes]:
    """The subtree roots of what is sealed, as `rules/merkle.py` wants them for proofs: kept ones are looked up, those
    in between are worked out from at most 2**TILE hashes. The function raises LookupError for what is not sealed."""

    def node(level: int, place: int) -> bytes:
        kept = level - level % TILE
        below = level - kept
        hashes = _hashes(reader, kept, place << below, (place + 1) << below)
        while len(hashes) > 1:
            hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    return node


def _hashes(reader: Transaction, level: int, start: int, end: int) -> list[bytes]:
    if level == 0:
        return leaf_hashes(reader, start, end)
    rows = reader.rows(
        "SELECT hash FROM journal_node WHERE level = ? AND place >= ? AND place < ? ORDER BY place", level, start, end
    )
    if len(rows) != end - start:
        raise LookupError("a subtree's root is missing")
    return [row[0] for row in rows]


def leaf_hashes(reader: Transaction, start: int, end: int) -> list[bytes]:
    """The kept leaf hashes of the leaves [start, end). Raises LookupError when they are not all there."""
    rows = reader.rows(
        "SELECT size, note, peaks, leaves FROM checkpoint WHERE size > ?"
        " AND size <= (SELECT min(size) FROM checkpoint WHERE size >= ?) ORDER BY size",
        start,
        end,
    )
    found: list[bytes] = []
    for kept in (KeptCheckpoint(*row) for row in rows):
        first, last = max(start, kept.after), min(end, kept.size)
        found += split_hashes(kept.leaves[(first - kept.after) * HASH_BYTES : (last - kept.after) * HASH_BYTES])
    if len(found) != end - start:
        raise LookupError("leaf hashes are missing")
    return found


def frontier_of(kept: KeptCheckpoint | None) -> Frontier:
    """The tree as a checkpoint left it; the empty one before the first. Raises ValueError for peaks of another size."""
    return Frontier() if kept is None else Frontier.unpacked(kept.size, kept.peaks)
