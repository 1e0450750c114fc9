"""How does the journal get sealed? New entries are hashed into the tree, and its root is signed, every few seconds.

One sealer is enough, and several do no harm: each builds on the newest checkpoint, and only the first to commit on it
wins. Before signing, what is built on is proved to be what was signed before; if it is not, nothing is signed and the
exchange says so. Reads no entry twice. Knows no disk but the ring of keys and the witness.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.rules.checkpoint import ORIGIN, BadNote, Checkpoint, KeyBegins, entry_bytes, key_id
from gateway.rules.merkle import Frontier, Node, grow, leaf_hash
from gateway.stores import checkpoints
from gateway.stores.checkpoint_keys import Ring, RingUnusable, Witness, public_of, sign
from gateway.stores.checkpoints import KeptCheckpoint, Standing
from gateway.stores.ledger import Ledger, LedgerRefused, LedgerUnavailable, Transaction
from gateway.stores.notes import Chain, key_chain, key_for, open_checkpoint
from gateway.stores.schema import instant

_log = logging.getLogger("switchpoint.seal")

SEAL_SECONDS = 10.0
"""No entry is older than this when a checkpoint covers it (promises.md section 3)."""
_ROUND_SECONDS = 1.0
_PAUSE_SECONDS = 5.0
_MANY = 2048
_MOST = 4096
_SLICE = 256


class SealRefused(Exception):
    """What is to be sealed does not go on from what was sealed: somebody changed the ledger, or a key is gone."""


@dataclass(frozen=True, slots=True)
class Sealer:
    """What sealing works with. `wall` tells wall time."""

    ledger: Ledger
    ring: Ring
    witness: Witness
    wall: Callable[[], datetime]


def open_sealer(ledger: Ledger, folder: Path, wall: Callable[[], datetime]) -> Sealer:
    """The sealer with its key ring (`checkpoint.key`) and witness (`checkpoint.last`) in this folder."""
    return Sealer(ledger, Ring(folder / "checkpoint.key"), Witness(folder / "checkpoint.last"), wall)


class Sealing:
    """The sealer of one process: `run` until cancelled; `trouble` is its readiness check."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._refused: str | None = None
        self._wait = 0.0

    async def run(self) -> None:
        """Seal what is new every few seconds, sooner after many entries; once more when cancelled."""
        try:
            while True:
                await asyncio.sleep(_ROUND_SECONDS)
                self._wait -= _ROUND_SECONDS
                await self.round()
        finally:
            self._wait = 0.0
            await self.round()

    async def round(self) -> int:
        """Seal if it is time; returns how many entries were sealed. Never raises: `trouble` tells."""
        sealed, done = 0, _MOST
        try:
            if not await self._is_time():
                return 0
            while done == _MOST:
                done = await seal(self._sealer)
                sealed += done
            self._refused = None
        except SealRefused as wrong:
            self._refuse(str(wrong))
        except (RingUnusable, OSError) as wrong:
            self._refuse(f"the checkpoint key cannot be used: {wrong}")
        except LedgerUnavailable:
            _log.warning("sealing-postponed")
        if sealed:
            self._wait = _PAUSE_SECONDS
        return sealed

    async def _is_time(self) -> bool:
        if self._wait <= 0:
            return True
        waiting = await self._sealer.ledger.read(checkpoints.unsealed)
        return waiting >= _MANY

    def _refuse(self, why: str) -> None:
        if why != self._refused:
            _log.error("sealing-refused", extra={"why": why})
        self._refused = why

    async def trouble(self) -> str | None:
        """Why the journal is not sealed as promised, or None (a readiness check)."""
        return self._refused or await overdue(self._sealer)


async def overdue(sealer: Sealer) -> str | None:
    """Says so when an entry older than SEAL_SECONDS is not sealed; None when all is well."""
    try:
        oldest = await sealer.ledger.read(checkpoints.oldest_unsealed)
    except LedgerUnavailable as wrong:
        return str(wrong)
    age = 0.0 if oldest is None else (instant(sealer.wall()) - oldest) / 1e6
    return f"the seal is overdue: an entry has waited {age:.0f} s for it" if age > SEAL_SECONDS else None


async def seal(sealer: Sealer) -> int:
    """Seal at most 4,096 entries that no checkpoint covers; returns how many (0 also when another sealer was first).

    Raises SealRefused, LedgerUnavailable, RingUnusable, OSError.
    """
    standing = await sealer.ledger.read(checkpoints.standing)
    if standing.last == standing.size:
        return 0
    await _require_witnessed(sealer)
    if not standing.keys:
        standing = await _first_key(sealer)
    if standing.last <= standing.size:
        _require(standing.last == standing.size, "entries that were sealed are missing at the journal's end")
        return 0
    chain = _chain(standing)
    frontier = _what_was_signed(standing, chain)
    leaves = await _new_leaves(sealer.ledger, standing)
    grown, nodes = grow(frontier, leaves)
    private = private_key(sealer.ring, key_for(chain, grown.size))
    told = Checkpoint(chain[0].origin, grown.size, grown.root(), standing.size, instant(sealer.wall()))
    note = str(sign(told.text(), told.origin, private))
    kept = KeptCheckpoint(grown.size, note, grown.packed(), b"".join(leaves))
    try:
        first = await sealer.ledger.commit(lambda tx: _append_if_unmoved(tx, standing, kept, nodes))
    except LedgerRefused as wrong:
        raise SealRefused(f"the ledger does not take the checkpoint: {wrong}") from wrong
    if not first:
        return 0
    sealer.witness.remember(note)
    return len(leaves)


def _append_if_unmoved(tx: Transaction, built_on: Standing, kept: KeptCheckpoint, nodes: tuple[Node, ...]) -> bool:
    """Whether nobody has sealed, or begun another key, since."""
    if (checkpoints.sealed_size(tx), tuple(checkpoints.keys(tx))) != (built_on.size, built_on.keys):
        return False
    checkpoints.add(tx, kept, nodes)
    return True


def _chain(standing: Standing) -> Chain:
    try:
        return key_chain(standing.keys)
    except BadNote as wrong:
        raise SealRefused(f"the ledger's checkpoint keys were changed: {wrong}") from wrong


def _what_was_signed(standing: Standing, chain: Chain) -> Frontier:
    """The frontier to build on, proved by the signature on the root it gives."""
    kept = standing.checkpoint
    if kept is None:
        return Frontier()
    try:
        frontier, told = checkpoints.frontier_of(kept), open_checkpoint(kept.note, chain)
    except ValueError as wrong:
        raise SealRefused(f"the newest checkpoint was changed: {wrong}") from wrong
    _require((told.size, told.root) == (kept.size, frontier.root()), "the newest checkpoint was changed")
    return frontier


async def _require_witnessed(sealer: Sealer) -> None:
    """The last checkpoint signed here still stands in the ledger: else the ledger was set back, and signing would tell
    two stories about the same entries."""
    note = sealer.witness.note()
    if note is not None and not await sealer.ledger.read(lambda tx: checkpoints.holds_note(tx, note)):
        raise SealRefused(
            f"the ledger lacks the last checkpoint that was signed (in {sealer.witness.path.name}): it was set back. "
            "Compare with an export; to go on from here knowingly, move that file away"
        )


async def _new_leaves(ledger: Ledger, standing: Standing) -> list[bytes]:
    """The leaf hashes of the entries to seal, read in slices so that others are served in between."""
    through = min(standing.last, standing.size + _MOST)
    leaves: list[bytes] = []
    while (after := standing.size + len(leaves)) < through:
        found = await ledger.read(lambda tx, after=after: checkpoints.entries(tx, after, through, _SLICE))  # type: ignore[misc]
        for number, (seq, row) in enumerate(found, after + 1):
            _require(seq == number and row is not None, f"entry {number} is missing or unreadable")
            leaves.append(leaf_hash(entry_bytes(row or ())))
        _require(bool(found), f"entry {after + 1} is missing")
        await asyncio.sleep(0)
    return leaves


def _require(so: bool, told: str) -> None:
    if not so:
        raise SealRefused(told)


# --- keys ------------------------------------------------------------------------------------------------------------


async def _first_key(sealer: Sealer) -> Standing:
    """Begin the journal's first key, unless another sealer just did."""
    private = sealer.ring.make(sealer.wall())
    public = public_of(private)
    origin = ORIGIN + key_id(public)
    note = str(sign(KeyBegins(origin, public, 0, instant(sealer.wall())).text(), origin, private))

    def unit(tx: Transaction) -> Standing:
        if not checkpoints.keys(tx):
            checkpoints.add_key(tx, note)
        return checkpoints.standing(tx)

    return await sealer.ledger.commit(unit)


async def rotate_key(sealer: Sealer) -> str:
    """Begin a new key, announced under the old one's signature, and destroy the old private key. Returns the new id.

    Raises SealRefused (also before anything was sealed), LedgerUnavailable, RingUnusable, OSError.
    """
    standing = await sealer.ledger.read(checkpoints.standing)
    _require(bool(standing.keys), "nothing was sealed yet: there is no key to follow")
    chain = _chain(standing)
    old, fresh = private_key(sealer.ring, chain[-1]), sealer.ring.make(sealer.wall())
    public = public_of(fresh)

    def unit(tx: Transaction) -> None:
        _require(tuple(checkpoints.keys(tx)) == standing.keys, "another key has just begun")
        begins = KeyBegins(chain[0].origin, public, checkpoints.sealed_size(tx), instant(sealer.wall()))
        checkpoints.add_key(tx, str(sign(begins.text(), begins.origin, old, fresh)))

    await sealer.ledger.commit(unit)
    sealer.ring.keep_only({key_id(public)})
    return key_id(public)


def private_key(ring: Ring, key: KeyBegins) -> Ed25519PrivateKey:
    found = ring.key(key.id)
    if found is None:
        raise SealRefused(f"the private half of checkpoint key {key.id} is gone: bring checkpoint.key back")
    return found
