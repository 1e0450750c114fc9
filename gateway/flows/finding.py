"""How does a search through a million lines stay quick? One process makes the bits of every block that is complete.

Nothing waits for it: a line is found from the moment it is written, only slower until its block has bits.
"""

from __future__ import annotations

import asyncio
import logging

from gateway.flows.means import Means
from gateway.rules.finding import Search
from gateway.stores import finding
from gateway.stores.finding import Page
from gateway.stores.journal import Kept
from gateway.stores.ledger import Ledger, LedgerUnavailable

_log = logging.getLogger("switchpoint.finding")

_ROUND_SECONDS = 1.0
_PARTS = 8
"""A block is read in so many parts, so that others are served in between."""


async def find(means: Means, search: Search, *, before: int | None = None, limit: int = 50) -> Page:
    """The lines that match, newest first; `before` as the last page told. Raises LedgerUnavailable."""
    return await means.ledger.read(lambda tx: finding.page(tx, search, before=before, limit=limit))


async def keep_found(ledger: Ledger) -> None:
    """Make bits as blocks become complete, until cancelled."""
    while True:
        try:
            indexed = True
            while indexed:
                indexed = await index_block(ledger)
        except LedgerUnavailable:
            _log.warning("indexing-postponed")
        await asyncio.sleep(_ROUND_SECONDS)


async def index_block(ledger: Ledger) -> bool:
    """Make the bits of the next complete block; False when there is none. Raises LedgerUnavailable."""
    if await ledger.read(finding.of_another_version):
        await ledger.commit(finding.forget_all)
    block = await ledger.read(finding.due)
    if block is None:
        return False
    lines: list[Kept] = []
    for part in range(_PARTS):
        lines += await ledger.read(lambda tx, part=part: finding.lines_of(tx, block, part, _PARTS))  # type: ignore[misc]
        await asyncio.sleep(0)
    bits = finding.bits_of(lines, block)
    await ledger.commit(lambda tx: finding.keep(tx, block, bits))
    return True
