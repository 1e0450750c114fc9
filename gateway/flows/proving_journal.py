"""How is it shown to one person that her entry is sealed? By a short path of hashes to a root that was signed.

Every proof is checked here before it is handed out: one that does not hold is a fault of the ledger, not an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.rules.checkpoint import BadNote, Checkpoint, entry_bytes
from gateway.rules.merkle import consistency_path, includes, inclusion_path, is_beginning, leaf_hash
from gateway.stores import checkpoints
from gateway.stores.checkpoints import KeptCheckpoint
from gateway.stores.ledger import Ledger, Transaction
from gateway.stores.notes import key_chain, open_checkpoint


class NotSealed(Exception):
    """There is nothing to prove: no such entry or checkpoint, or it is not sealed yet."""


class Disproved(Exception):
    """What is kept does not prove what was sealed: the ledger was changed."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The entry's leaf hash, the path to the root of `checkpoint` (the one `note` signs), and with `since` not 0 the
    path that proves the checkpoint of `since` entries to be its beginning."""

    entry: int
    leaf: bytes
    checkpoint: Checkpoint
    note: str
    inclusion: tuple[bytes, ...]
    since: int
    consistency: tuple[bytes, ...]


def prove(ledger: Ledger, entry: int, *, since: int = 0) -> Proof:
    """Prove that the entry with this number is in the newest checkpoint.
    Raises NotSealed, Disproved, LedgerUnavailable."""
    return ledger.read_now(lambda reader: prove_in(reader, entry, since=since))


def prove_in(reader: Transaction, entry: int, *, since: int = 0) -> Proof:
    """The same inside a read of the ledger: a few dozen look-ups, at most a few hundred hashes. Raises NotSealed."""
    standing = checkpoints.standing(reader)
    if standing.checkpoint is None or not 0 < entry <= standing.size:
        raise NotSealed(f"{standing.size} entries are sealed")
    old = checkpoints.at_size(reader, since)
    if since and old is None:
        raise NotSealed(f"there is no checkpoint of {since} entries")
    try:
        told = open_checkpoint(standing.checkpoint.note, key_chain(standing.keys))
        node = checkpoints.node_at(reader)
        leaf = _leaf(reader, entry)
        path = inclusion_path(entry - 1, told.size, node)
        proof = Proof(entry, leaf, told, standing.checkpoint.note, tuple(path), since, _since(reader, old, told))
    except (BadNote, LookupError, ValueError) as wrong:
        raise Disproved(f"what is kept of the tree was changed: {wrong}") from wrong
    if not includes(leaf, entry - 1, told.size, path, told.root):
        raise Disproved(f"entry {entry} is not what was sealed: verify the journal")
    return proof


def _leaf(reader: Transaction, entry: int) -> bytes:
    """The entry's leaf hash from the entry itself, or the kept one when it was archived."""
    found = checkpoints.entries(reader, entry - 1, entry, 1)
    row = found[0][1] if found else None
    return leaf_hash(entry_bytes(row)) if row is not None else checkpoints.leaf_hashes(reader, entry - 1, entry)[0]


def _since(reader: Transaction, old: KeptCheckpoint | None, told: Checkpoint) -> tuple[bytes, ...]:
    if old is None:
        return ()
    path = consistency_path(old.size, told.size, checkpoints.node_at(reader))
    if not is_beginning(old.size, told.size, checkpoints.frontier_of(old).root(), told.root, path):
        raise LookupError(f"the checkpoint of {old.size} entries is not the beginning of the newest")
    return tuple(path)
