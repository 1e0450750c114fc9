"""Are complete blocks indexed by themselves, and is what the flows wrote found again?"""

from __future__ import annotations

import asyncio

from flow_country import POST, PRACTICE, Country, summary

from gateway.flows import query
from gateway.flows.finding import find, index_block, keep_found
from gateway.rules.exchange import Kind
from gateway.rules.finding import Outcome, Search
from gateway.rules.journal import Event, Line
from gateway.stores import finding, journal
from gateway.stores.finding import BLOCK
from gateway.stores.ledger import LedgerUnavailable, Transaction


async def test_a_calls_lines_are_found_by_how_it_ended(country: Country) -> None:
    await country.open(PRACTICE)
    await query.ask(country.means, country.call(), summary())
    await query.ask(country.means, country.call(cover=False), summary())
    permitted = await find(country.means, Search(outcome=Outcome.PERMITTED, kind=Kind.GP_POST))
    assert [kept.line.event for kept in permitted.lines] == [Event.QUERY_ANSWERED, Event.DISCLOSED]
    refused = await find(country.means, Search(organisation=POST.ura, reason="no-cover"))
    assert [kept.line.event for kept in refused.lines] == [Event.QUERY_REFUSED]
    at_the_practice = await find(country.means, Search(source=PRACTICE.ura, event=Event.QUERY_ANSWERED))
    assert len(at_the_practice.lines) == 1


async def fill(country: Country, many: int) -> None:
    line = Line(Event.CLOCK_SET, country.now, country.now)

    def unit(tx: Transaction) -> None:
        for _ in range(many):
            journal.write(tx, line)

    await country.real_ledger.commit(unit)


async def test_blocks_are_indexed_as_they_become_complete(country: Country) -> None:
    await fill(country, BLOCK + 5)
    duty = asyncio.create_task(keep_found(country.real_ledger))
    try:
        async with asyncio.timeout(20):
            while await country.real_ledger.read(finding.blocks) < 1:
                await asyncio.sleep(0.01)
    finally:
        duty.cancel()
    assert not await index_block(country.real_ledger)
    assert await country.real_ledger.read(finding.blocks) == 1


async def test_a_ledger_that_fails_only_postpones(country: Country) -> None:
    await fill(country, BLOCK)

    class Failing:
        tries = 0

        async def read(self, unit: object) -> object:
            self.tries += 1
            raise LedgerUnavailable("locked")

    failing = Failing()
    duty = asyncio.create_task(keep_found(failing))  # type: ignore[arg-type]
    while failing.tries < 2:
        await asyncio.sleep(0.05)
    assert not duty.done()
    duty.cancel()
