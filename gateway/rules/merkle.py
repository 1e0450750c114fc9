"""How does one short hash stand for a long list, and how is it shown that an entry is in it? The tree of RFC 6962.

SHA-256; a leaf is hashed behind 0x00, an inner node behind 0x01 (RFC 6962 section 2.1, RFC 9162 section 2.1). Knows
bytes only: not what an entry is, where hashes are kept, nor who signs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
TILE = 8
"""Subtrees of 2**TILE entries, and of 2**(2*TILE) and so on, are handed out by `grow` for keeping."""

EMPTY = sha256().digest()
"""The root over no entries at all."""

NodeAt = Callable[[int, int], bytes]
"""(level, place) to the root over the entries [place << level, (place + 1) << level); level 0 is a leaf's hash."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Node:
    """The root of one complete subtree: `level` is log2 of its entries, `place` counts such subtrees from the left."""

    level: int
    place: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Frontier:
    """All one needs of a tree to let it grow: its size, and the roots of its complete subtrees, the largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError("a frontier has one peak for each one-bit of its size")

    def root(self) -> bytes:
        """The root over all entries (RFC 6962: MTH)."""
        if not self.peaks:
            return EMPTY
        *rest, root = self.peaks
        for peak in reversed(rest):
            root = node_hash(peak, root)
        return root

    def packed(self) -> bytes:
        return b"".join(self.peaks)

    @classmethod
    def unpacked(cls, size: int, packed: bytes) -> Frontier:
        """The frontier from its bytes. Raises ValueError when they cannot belong to this size."""
        return cls(size, split_hashes(packed))


def split_hashes(packed: bytes) -> tuple[bytes, ...]:
    """The hashes that stand one behind another. Raises ValueError for a broken last one."""
    if len(packed) % HASH_BYTES:
        raise ValueError("not a whole number of hashes")
    return tuple(packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES))


def grow(frontier: Frontier, leaves: Iterable[bytes]) -> tuple[Frontier, tuple[Node, ...]]:
    """The frontier with these leaf hashes added, and the subtrees of whole tiles that were completed on the way."""
    size, peaks, done = frontier.size, list(frontier.peaks), []
    for leaf in leaves:
        carried, level, left = leaf, 0, size
        while left & 1:
            carried = node_hash(peaks.pop(), carried)
            level, left = level + 1, left >> 1
            if level % TILE == 0:
                done.append(Node(level, left, carried))
        peaks.append(carried)
        size += 1
    return Frontier(size, tuple(peaks)), tuple(done)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes."""
    return grow(Frontier(), leaves)[0].root()


# --- proofs ----------------------------------------------------------------------------------------------------------


def inclusion_path(index: int, size: int, node: NodeAt) -> list[bytes]:
    """What proves that the entry at `index` (from 0) is in the tree of `size` entries (RFC 6962 section 2.1.1).

    Raises ValueError when there is no such entry.
    """
    if not 0 <= index < size:
        raise ValueError("the tree has no such entry")
    low, high, path = 0, size, []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range_root(middle, high, node))
            high = middle
        else:
            path.append(_range_root(low, middle, node))
            low = middle
    return path[::-1]


def consistency_path(old: int, new: int, node: NodeAt) -> list[bytes]:
    """What proves that the tree of `old` entries is the beginning of the one of `new` (RFC 6962 section 2.1.2).

    Raises ValueError unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError("a consistency proof goes from a tree with entries to one that is no smaller")
    low, high, path, from_start = 0, new, [], True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_range_root(middle, high, node))
            high = middle
        else:
            path.append(_range_root(low, middle, node))
            low, from_start = middle, False
    if not from_start:
        path.append(_range_root(low, high, node))
    return path[::-1]


def includes(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """Whether `path` proves the leaf hash at `index` in the tree of `size` with `root` (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(step, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def is_beginning(old: int, new: int, old_root: bytes, new_root: bytes, path: list[bytes]) -> bool:
    """Whether `path` proves that `old_root` is the beginning of `new_root` (RFC 9162 section 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    steps = [old_root, *path] if old & (old - 1) == 0 else path
    if not steps:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and (before, after) == (old_root, new_root)


def _split(width: int) -> int:
    """The largest power of two below `width` (at least 2)."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_root(low: int, high: int, node: NodeAt) -> bytes:
    """The root over the entries [low, high) of a range that the splitting of a tree gives."""
    width = high - low
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return node(level, low >> level)
    middle = low + _split(width)
    return node_hash(_range_root(low, middle, node), _range_root(middle, high, node))
