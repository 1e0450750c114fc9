"""Are these lines what was sealed? Many lines at once held against the newest signed checkpoint.

What `proving_journal.py` shows for one line by a path that can be handed out, this finds for a page of lines, working
every subtree out once. A line changed since, or a tree changed behind it, is wrong; nothing is repaired.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from gateway.rules.checkpoint import BadNote, Checkpoint, entry_bytes
from gateway.rules.merkle import TILE, includes, inclusion_path, leaf_hash, node_hash
from gateway.stores import checkpoints
from gateway.stores.ledger import Transaction
from gateway.stores.notes import key_chain, open_checkpoint
from gateway.stores.schema import moment


@dataclass(frozen=True, slots=True)
class Seal:
    """How far the journal is sealed: `at` (wall time) None when nothing is yet, or not by this journal's key. Of the
    lines asked about `proved` are what was sealed, `waiting` are too new for it, and `wrong` are something else."""

    at: datetime | None
    size: int
    proved: int
    waiting: int
    wrong: tuple[int, ...]


def held_against_seal(reader: Transaction, lines: Collection[int]) -> Seal:
    """Hold the entries with these numbers against the newest checkpoint."""
    standing = checkpoints.standing(reader)
    sealed = [seq for seq in lines if seq <= standing.size]
    waiting = len(lines) - len(sealed)
    if standing.checkpoint is None:
        return Seal(None, 0, 0, waiting, ())
    try:
        told = open_checkpoint(standing.checkpoint.note, key_chain(standing.keys))
    except BadNote:
        return Seal(None, standing.size, 0, waiting, tuple(sealed))
    tree = _Tree(reader, told.size)
    wrong = tuple(seq for seq in sealed if not _is_sealed(reader, tree, told, seq))
    return Seal(moment(told.wall), told.size, len(sealed) - len(wrong), waiting, wrong)


def _is_sealed(reader: Transaction, tree: _Tree, told: Checkpoint, seq: int) -> bool:
    found = checkpoints.entries(reader, seq - 1, seq, 1)
    row = found[0][1] if found else checkpoints.UNREADABLE
    if row is None or seq > told.size:
        return False
    try:
        path = inclusion_path(seq - 1, told.size, tree.node)
    except LookupError:
        return False
    return includes(leaf_hash(entry_bytes(row)), seq - 1, told.size, path, told.root)


class _Tree:
    """The subtree roots below `size` entries; each is worked out once, from leaf hashes read a tile at a time."""

    def __init__(self, reader: Transaction, size: int) -> None:
        self._reader, self._size = reader, size
        self._kept = checkpoints.node_at(reader)
        self._known: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, place: int) -> bytes:
        """As `rules/merkle.py` wants it. Raises LookupError for what is not there."""
        known = self._known.get((level, place))
        if known is not None:
            return known
        if level >= TILE:
            found = self._kept(level, place)
        elif level == 0:
            self._read_tile(place >> TILE)
            return self._known[level, place]
        else:
            found = node_hash(self.node(level - 1, 2 * place), self.node(level - 1, 2 * place + 1))
        self._known[level, place] = found
        return found

    def _read_tile(self, tile: int) -> None:
        first, last = tile << TILE, min((tile + 1) << TILE, self._size)
        hashes = checkpoints.leaf_hashes(self._reader, first, last)
        self._known |= {(0, first + at): found for at, found in enumerate(hashes)}
