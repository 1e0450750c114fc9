"""Where in the journal are the lines that carry certain terms? Bits per block of lines, and pages of what is found.

The journal itself gets no further index: writing a line must stay cheap. A block of 1,024 lines that is complete is
indexed once, by whoever has time (flows/finding.py), as one bit per line and term; lines not indexed yet are read. The
bits only say where to look: every line that leaves here was itself held against the search. They are derived, so
losing them costs time and no line; what they leave out is not found, which `journal verify` does not see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from gateway.rules import finding
from gateway.rules.finding import Search, matches, wanted
from gateway.stores import journal
from gateway.stores.journal import Kept
from gateway.stores.schema import instant
from gateway.stores.transaction import Transaction

BLOCK = 1024
"""Lines a block has: block n holds the numbers n*BLOCK+1 to (n+1)*BLOCK."""
MOST_READ = 4 * BLOCK
"""Lines one page may read that no bits were made of; then it ends early and says where to go on."""
_BLOCKS_A_TRIP = 64
_A_TRIP = 64
_DONE = f"={finding.VERSION}"
"""The term every indexed block has: it tells how far the indexing is, under which version of the terms."""


@dataclass(frozen=True, slots=True)
class Page:
    """Lines newest first. `before` is where the next page begins; None when there is nothing older. A page can be
    short, even empty, and yet go on: too many lines had to be read one by one."""

    lines: tuple[Kept, ...]
    before: int | None


def page(reader: Transaction, search: Search, *, before: int | None, limit: int) -> Page:
    """At most `limit` lines older than number `before` (None: from the newest) that match, newest first."""
    newest = journal.last(reader)
    start = newest if before is None else min(before - 1, newest)
    if search.chain is not None:
        return _of_chain(reader, search, start, limit)
    if not wanted(search):
        return _cut(journal.newest_first(reader, start, limit), limit)
    return _matching(reader, search, start, limit)


def _cut(lines: Sequence[Kept], limit: int) -> Page:
    """A page out of at most `limit` lines that were asked for: a full one may go on."""
    return Page(tuple(lines), lines[-1].seq if len(lines) == limit and lines[-1].seq > 1 else None)


def _of_chain(reader: Transaction, search: Search, start: int, limit: int) -> Page:
    assert search.chain is not None, "the caller saw to it"
    chain = reversed(journal.by_chain(reader, search.chain))
    found = [kept for kept in chain if kept.seq <= start and matches(search, kept.line)]
    return _cut(found[:limit], limit)


def _matching(reader: Transaction, search: Search, start: int, limit: int) -> Page:
    indexed = blocks(reader) * BLOCK
    found: list[Kept] = []
    lowest = max(indexed, start - MOST_READ)
    for kept in journal.newest_first_until(reader, start, lowest):
        if matches(search, kept.line):
            found.append(kept)
            if len(found) == limit:
                return _cut(found, limit)
    if lowest > indexed:
        return Page(tuple(found), lowest + 1)
    places = _places(reader, wanted(search), min(start, indexed))
    while len(found) < limit and (seqs := list(islice(places, min(limit - len(found), _A_TRIP)))):
        found += [kept for kept in journal.numbered(reader, seqs) if matches(search, kept.line)]
    return _cut(found, limit)


def _places(reader: Transaction, terms: frozenset[str], start: int) -> Iterator[int]:
    """The numbers of the indexed lines up to `start` that carry all terms, the highest first."""
    if start <= 0:
        return
    last = (start - 1) // BLOCK
    for high in range(last, -1, -_BLOCKS_A_TRIP):
        together = _together(reader, terms, max(0, high - _BLOCKS_A_TRIP + 1), high)
        for block in sorted(together, reverse=True):
            yield from (seq for seq in _numbers(block, together[block]) if seq <= start)


def _together(reader: Transaction, terms: frozenset[str], low: int, high: int) -> dict[int, int]:
    """Per block in [low, high] the bits that all terms have in common; blocks with none are left out."""
    common: dict[int, int] | None = None
    for term in sorted(terms):
        rows = reader.rows(
            "SELECT block, bits FROM journal_term WHERE term = ? AND block >= ? AND block <= ?", term, low, high
        )
        bits = {int(block): int.from_bytes(kept, "little") for block, kept in rows}
        common = bits if common is None else {n: common[n] & bits[n] for n in common.keys() & bits.keys()}
    return {block: kept for block, kept in (common or {}).items() if kept}


def _numbers(block: int, bits: int) -> Iterator[int]:
    while bits:
        place = bits.bit_length() - 1
        yield block * BLOCK + place + 1
        bits ^= 1 << place


# --- making the bits -------------------------------------------------------------------------------------------------


def blocks(reader: Transaction) -> int:
    """How many blocks are indexed."""
    row = reader.row("SELECT max(block) FROM journal_term WHERE term = ?", _DONE)
    return int(row[0]) + 1 if row and row[0] is not None else 0


def due(reader: Transaction) -> int | None:
    """The block to index next, if it is complete."""
    block = blocks(reader)
    return block if journal.last(reader) >= (block + 1) * BLOCK else None


def bits_of(lines: Sequence[Kept], block: int) -> dict[str, bytes]:
    """What is kept of a block's lines: per term one bit a line, the lowest for the first. Pure."""
    places: dict[str, int] = {_DONE: 1}
    for kept in lines:
        bit = 1 << (kept.seq - 1 - block * BLOCK)
        for term in finding.terms(kept.line):
            places[term] = places.get(term, 0) | bit
    return {term: bits.to_bytes((bits.bit_length() + 7) // 8, "little") for term, bits in places.items()}


def lines_of(reader: Transaction, block: int, part: int, parts: int) -> list[Kept]:
    """One part of a block's lines, oldest first; fewer, or none, where lines went to an archive."""
    size = BLOCK // parts
    first = block * BLOCK + part * size
    return [kept for kept in journal.tail(reader, first, size) if kept.seq <= first + size]


def keep(tx: Transaction, block: int, bits: dict[str, bytes]) -> None:
    """Keep the bits of a block; a second indexer's are the same."""
    for term, kept in bits.items():
        tx.run("INSERT INTO journal_term VALUES (?, ?, ?) ON CONFLICT (term, block) DO NOTHING", term, block, kept)


def of_another_version(reader: Transaction) -> bool:
    """Whether some of what is kept was made under another version of the terms."""
    return (
        reader.row("SELECT 1 FROM journal_term WHERE term >= '=' AND term < '>' AND term <> ? LIMIT 1", _DONE)
        is not None
    )


def forget_all(tx: Transaction) -> None:
    """Drop all bits; they are made anew from the journal."""
    tx.run("DELETE FROM journal_term")


# --- a moment --------------------------------------------------------------------------------------------------------


def since(reader: Transaction, wall: datetime) -> int:
    """The number of the first line written at `wall` or later; one past the newest when there is none. Looks at some
    twenty lines: the numbers go up with time, but for a machine whose clock was set back."""
    wanted_at = instant(wall)
    low, high = journal.first(reader), journal.last(reader) + 1
    while low < high:
        middle = (low + high) // 2
        row = reader.row("SELECT wall FROM journal WHERE seq >= ? ORDER BY seq LIMIT 1", middle)
        if row is not None and int(row[0]) < wanted_at:
            low = middle + 1
        else:
            high = middle
    return low
