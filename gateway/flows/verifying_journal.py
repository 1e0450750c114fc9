"""Is the journal what was sealed? Every entry against its leaf hash, every root against its signature, and all of it
against checkpoints that somebody else kept; the first wrong entry is named.

Reads the ledger and changes nothing; does not stop at the first fault. The leaf hashes beside a checkpoint are believed
only as far as they give the root that was signed. What it cannot see is said in the README: entries forged before they
were sealed, and a ledger set back together with everything that was exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.flows.journal_entries import Entries
from gateway.rules.checkpoint import BadNote, Checkpoint, read_checkpoint, read_note
from gateway.rules.merkle import Frontier, Node, grow, split_hashes
from gateway.stores import checkpoints
from gateway.stores.checkpoints import KeptCheckpoint
from gateway.stores.ledger import Ledger
from gateway.stores.notes import Chain, key_chain, open_archived, open_checkpoint

_CHECKPOINTS = 64
_TOLD = 50


class Fault(StrEnum):
    """What can be wrong; the words a script reads."""

    CHANGED = "changed"
    MISSING = "missing"
    SLIPPED_IN = "slipped-in"
    UNFAITHFUL = "unfaithful"
    """The entry is as it was sealed, but its finding columns do not say what its text says."""
    LEAVES = "leaf-hashes"
    CHECKPOINT = "checkpoint"
    SUBTREE = "subtree"
    KEY = "key"
    ARCHIVE = "archive"
    NEVER_SEALED = "never-sealed"
    SET_BACK = "set-back"
    OTHER_STORY = "other-story"


@dataclass(frozen=True, slots=True)
class Wrong:
    """One fault: the first entry it touches and, where it cannot be told closer, the last it may touch."""

    fault: Fault
    told: str
    entry: int | None = None
    through: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked and what was found. `wrong` holds the first fifty faults, `faults` counts them all."""

    entries: int
    sealed: int
    unsealed: int
    archived: int
    checkpoints: int
    keys: tuple[str, ...]
    faults: int
    wrong: tuple[Wrong, ...]

    @property
    def first_wrong(self) -> Wrong | None:
        """The fault that touches the lowest entry, else the first; None when nothing is wrong."""
        named = [one for one in self.wrong if one.entry is not None]
        return min(named, key=lambda one: one.entry or 0) if named else next(iter(self.wrong), None)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What somebody else kept: notes of keys and of checkpoints, in order; and the first key's id, if it is known."""

    keys: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    first_key: str | None = None


class BadExport(ValueError):
    """What was kept elsewhere is itself not whole: it cannot be compared with."""


def verify(ledger: Ledger, elsewhere: Sequence[Elsewhere] = ()) -> Report:
    """Verify a whole ledger; blocks, about 40 microseconds an entry. Raises LedgerUnavailable, BadExport."""
    walk = _Walk(ledger)
    walk.keys()
    walk.archives()
    walk.checkpoints()
    walk.rest()
    for one in elsewhere:
        walk.compare(one)
    return walk.report()


class _Walk:
    """One verification on its way: how far the tree is rebuilt, and what was found wrong."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # in this order: what is sealed or archived by now is certainly among the entries read after it
        self._marks = ledger.read_now(checkpoints.archives)
        self._archived = 0
        self._sealed = ledger.read_now(checkpoints.sealed_size)
        self._entries = Entries(ledger)
        self._notes = tuple(ledger.read_now(checkpoints.keys))
        self._chain: Chain = ()
        self._frontier = Frontier()
        self._loose = b""
        self._unfaithful: set[int] = set()
        self._seen = 0
        self._unsealed = 0
        self._faults = 0
        self._wrong: list[Wrong] = []

    def report(self) -> Report:
        ids = tuple(key.id for key in self._chain)
        sealed, told = self._frontier.size, tuple(self._wrong)
        return Report(self._entries.read, sealed, self._unsealed, self._archived, self._seen, ids, self._faults, told)

    def _found(self, fault: Fault, told: str, entry: int | None = None, through: int | None = None) -> None:
        self._faults += 1
        if len(self._wrong) < _TOLD:
            self._wrong.append(Wrong(fault, told, entry, through))

    # --- notes in the ledger -----------------------------------------------------------------------------------------

    def keys(self) -> None:
        """The chain of keys, as far as it holds."""
        for length in range(len(self._notes), -1, -1):
            try:
                self._chain = key_chain(self._notes[:length])
            except BadNote as wrong:
                self._found(Fault.KEY, f"key {length}: {wrong}")
            else:
                return

    def archives(self) -> None:
        """Every archive mark is signed and goes on from the one before: only then entries may be gone."""
        for through, note in self._marks:
            try:
                told = open_archived(note, self._chain)
                if (told.after, told.through) != (self._archived, through):
                    raise BadNote("it does not go on from the mark before it")
            except BadNote as wrong:
                self._found(Fault.ARCHIVE, f"archive mark at entry {through}: {wrong}")
            else:
                self._archived = through

    def checkpoints(self) -> None:
        """Every checkpoint, and the entries up to the last."""
        after = 0
        while after < self._sealed:
            for kept in self._ledger.read_now(lambda tx, after=after: checkpoints.above(tx, after, _CHECKPOINTS)):  # type: ignore[misc]
                if kept.size <= self._sealed:
                    self._seen += 1
                    self._checkpoint(kept)
                after = kept.size

    def _checkpoint(self, kept: KeptCheckpoint) -> None:
        told, before = self._told(kept), self._frontier
        if told is None:
            self._loose += kept.leaves  # the next root that is signed tells whether they are right
            return
        leaves, self._loose = self._leaves(kept), b""
        hashes = [self._hash(number) for number in range(before.size + 1, kept.size + 1)]
        grown, nodes = grow(before, leaves)
        if grown.size == told.size and grown.root() == told.root:
            self._compare(before.size, leaves, hashes)
            self._kept_beside(kept, grown, nodes)
            self._frontier = grown
        else:
            self._frontier = self._from_entries(kept, told, hashes)

    def _told(self, kept: KeptCheckpoint) -> Checkpoint | None:
        """What the note says, if it can be believed."""
        start = self._frontier.size + 1
        try:
            told = open_checkpoint(kept.note, self._chain)
            if told.size != kept.size:
                raise BadNote(f"the note is about {told.size} entries")
        except BadNote as wrong:
            self._found(Fault.CHECKPOINT, f"checkpoint of {kept.size} entries: {wrong}", start, kept.size)
            return None
        if told.after != self._frontier.size and not self._loose:
            self._found(Fault.CHECKPOINT, f"the checkpoint of {told.after} entries is missing", start, told.after)
        return told

    def _leaves(self, kept: KeptCheckpoint) -> tuple[bytes, ...]:
        """The leaf hashes since the last checkpoint that could be believed; none when they are not whole."""
        try:
            return split_hashes(self._loose + kept.leaves)
        except ValueError:
            return ()

    def _from_entries(self, kept: KeptCheckpoint, told: Checkpoint, hashes: list[bytes | None]) -> Frontier:
        """The leaf hashes do not give the signed root. Do the entries? Returns a frontier to go on from."""
        start, whole = self._frontier.size + 1, [made for made in hashes if made is not None]
        grown, _ = grow(self._frontier, whole)
        if (grown.size, grown.root()) == (told.size, told.root):
            self._found(Fault.LEAVES, f"the leaf hashes of the checkpoint of {kept.size} entries were changed")
            return grown
        gone = next(
            (number for number, made in enumerate(hashes, start) if made is None and number > self._archived), 0
        )
        if gone:
            self._found(Fault.MISSING, f"entry {gone} is missing or unreadable", gone)
        self._found(Fault.CHANGED, f"entries {start} to {kept.size} do not give the signed root", start, kept.size)
        return _signed_frontier(kept, told)

    def _kept_beside(self, kept: KeptCheckpoint, grown: Frontier, nodes: tuple[Node, ...]) -> None:
        if kept.peaks != grown.packed():
            self._found(Fault.CHECKPOINT, f"the frontier of the checkpoint of {kept.size} entries was changed")
        if nodes and self._ledger.read_now(lambda tx: checkpoints.nodes_of(tx, nodes)) != [one.hash for one in nodes]:
            self._found(Fault.SUBTREE, f"a subtree root kept with the checkpoint of {kept.size} entries was changed")

    # --- entries -----------------------------------------------------------------------------------------------------

    def _hash(self, number: int) -> bytes | None:
        """The leaf hash of this entry; None when it is not there or unreadable."""
        entries = self._entries
        while entries.next is not None and entries.next.seq < number:
            self._found(Fault.SLIPPED_IN, f"entry {entries.next.seq} has no place in the journal", entries.pop().seq)
        if entries.next is None or entries.next.seq > number:
            return None
        _, made, faithful = entries.pop()
        if made is not None and not faithful:
            self._unfaithful.add(number)
        return made

    def _compare(self, after: int, leaves: Sequence[bytes], hashes: Sequence[bytes | None]) -> None:
        gone = -1
        for number, (leaf, made) in enumerate(zip(leaves, hashes, strict=True), after + 1):
            if made is None and number > self._archived:
                if number != gone + 1:
                    self._found(Fault.MISSING, f"entry {number} is missing or unreadable", number)
                gone = number
            elif made is not None and made != leaf:
                self._found(Fault.CHANGED, f"entry {number} is not what was sealed", number)
            else:
                self._require_faithful(number)

    def _require_faithful(self, number: int) -> None:
        if number in self._unfaithful:
            self._found(Fault.UNFAITHFUL, f"entry {number}: its columns do not say what its text says", number)

    def rest(self) -> None:
        """The entries after the last checkpoint."""
        sealed = number = self._frontier.size
        while self._entries.next is not None:
            if self._entries.next.seq > number + 1:
                self._found(Fault.MISSING, f"entry {number + 1} is missing", number + 1)
                number = self._entries.next.seq - 1
            number += 1
            self._hash(number)
            self._require_faithful(number)
        self._unsealed = number - sealed
        if not self._seen and self._unsealed:
            self._found(Fault.NEVER_SEALED, "nothing is sealed: no checkpoint stands in the ledger", 1, number)

    # --- what others kept --------------------------------------------------------------------------------------------

    def compare(self, elsewhere: Elsewhere) -> None:
        """What somebody else kept must stand here word for word. Raises BadExport."""
        first = elsewhere.first_key
        if first is not None and (not self._chain or self._chain[0].id != first):
            self._found(Fault.KEY, f"the journal does not begin with key {first}")
        kept = elsewhere.keys
        if kept and kept != self._notes[: len(kept)]:
            self._found(Fault.KEY, "the journal's keys are not those that were exported")
        agreed = 0
        for theirs, note in _believed(elsewhere):
            agreed = self._one_of_theirs(theirs, note, agreed)

    def _one_of_theirs(self, theirs: Checkpoint, note: str, agreed: int) -> int:
        """Compare with one checkpoint kept elsewhere; returns up to which entry both tell the same."""
        ours = self._ledger.read_now(lambda tx: checkpoints.at_size(tx, theirs.size))
        if ours is not None and ours.note == note:
            return theirs.size
        sealed = self._frontier.size
        if theirs.size > sealed:
            told = f"{theirs.size} entries were sealed elsewhere, here {sealed}: the ledger was set back"
            self._found(Fault.SET_BACK, told, sealed + 1, theirs.size)
        else:
            told = f"the checkpoint of {theirs.size} entries kept elsewhere is not this ledger's"
            self._found(Fault.OTHER_STORY, told, agreed + 1, theirs.size)
        return agreed


def _believed(elsewhere: Elsewhere) -> list[tuple[Checkpoint, str]]:
    """The checkpoints kept elsewhere with their notes. Without keys beside them (our own witness) they are only read.
    Raises BadExport."""
    try:
        chain = key_chain(elsewhere.keys)
        opened = (
            open_checkpoint(note, chain) if chain else read_checkpoint(read_note(note).text)
            for note in elsewhere.checkpoints
        )
        return list(zip(opened, elsewhere.checkpoints, strict=True))
    except BadNote as wrong:
        raise BadExport(f"what was kept elsewhere cannot be believed: {wrong}") from wrong


def _signed_frontier(kept: KeptCheckpoint, told: Checkpoint) -> Frontier:
    """The kept frontier if it gives the signed root; else one that only has the right size."""
    try:
        frontier = checkpoints.frontier_of(kept)
    except ValueError:
        frontier = Frontier()
    if frontier.size == told.size and frontier.root() == told.root:
        return frontier
    return Frontier.unpacked(kept.size, bytes(32 * kept.size.bit_count()))
