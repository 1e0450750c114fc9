"""Is the ledger that forgets a ledger otherwise? Serial, whole or not at all, read-only where it is read."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.stores.ledger import Ledger, LedgerUnavailable, Transaction
from gateway.stores.ledger_memory import open_in_memory

ADD = "UPDATE tally SET number = number + 1 WHERE name = 'accepted'"


def count(tx: Transaction) -> int:
    row = tx.row("SELECT number FROM tally WHERE name = 'accepted'")
    assert row is not None
    return int(row[0])


@pytest.fixture
def ledger():
    opened = open_in_memory()
    yield opened
    opened.close()


async def test_what_is_committed_is_read_and_two_ledgers_share_nothing(ledger: Ledger) -> None:
    other = open_in_memory()
    await ledger.commit(lambda tx: tx.run(ADD))
    await ledger.note(lambda tx: tx.run(ADD))
    ledger.commit_now(lambda tx: tx.run(ADD))
    assert (await ledger.read(count), other.read_now(count)) == (3, 0)
    other.close()


async def test_a_unit_that_raises_leaves_nothing(ledger: Ledger) -> None:
    def unit(tx: Transaction) -> None:
        tx.run(ADD)
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        await ledger.commit(unit)
    assert await ledger.read(count) == 0
    await ledger.commit(lambda tx: tx.run(ADD))
    assert await ledger.read(count) == 1


async def test_a_reader_cannot_write(ledger: Ledger) -> None:
    with pytest.raises(LedgerUnavailable):
        await ledger.read(lambda tx: tx.run(ADD))
    assert await ledger.read(count) == 0


async def test_no_thread_is_started_and_others_get_their_turn(ledger: Ledger) -> None:
    before, turns = threading.active_count(), []

    async def work(name: str) -> None:
        for _ in range(2):
            await ledger.commit(lambda tx: tx.run(ADD))
            turns.append(name)

    await asyncio.gather(work("a"), work("b"))
    assert turns == ["a", "b", "a", "b"]
    assert threading.active_count() == before


async def test_a_closed_one_is_unavailable(ledger: Ledger) -> None:
    ledger.close()
    with pytest.raises(LedgerUnavailable):
        await ledger.commit(lambda tx: tx.run(ADD))
