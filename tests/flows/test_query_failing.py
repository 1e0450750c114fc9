"""What happens when the stores fail, or nothing will hold still? Nothing leaves, and nobody is asked for nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from flow_country import (
    PHARMACY,
    PRACTICE,
    US,
    Country,
    summary,
)
from transcript import transcript

from gateway.flows.deciding import Unsettled
from gateway.flows.query import ask
from gateway.rules.choice import Say
from gateway.stores import consents
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable

Act = Callable[[Country], Awaitable[None]]


async def _during(country: Country, act: Act, custodian: object = PRACTICE) -> None:
    """Let `act` happen while the practice is asked."""

    async def now() -> None:
        await act(country)

    country.door.during[PRACTICE.ura] = now


async def _storm(country: Country) -> None:
    """From here on the patient's version moves right after every look."""
    key = country.means.keys.patient(US)

    async def move() -> None:
        await country.real_ledger.commit(lambda tx: consents.bump(tx, key))

    country.index.after_find = move


async def test_a_storm_before_the_decision_asks_nobody(country: Country) -> None:
    await country.open()
    await _storm(country)
    before = await country.forget()
    with pytest.raises(Unsettled):
        await ask(country.means, country.call(), summary())
    assert country.door.asked == []
    assert await transcript(country, before) == []


async def test_a_storm_before_the_release_releases_nothing(country: Country) -> None:
    await country.open()

    async def breaks_out(here: Country) -> None:
        await _storm(here)
        await here.say(Say.YES, PHARMACY)

    await _during(country, breaks_out)
    before = await country.forget()
    with pytest.raises(Unsettled):
        await ask(country.means, country.call(), summary())
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 REG-1 consent",
        "consent-stated yes",
    ]


async def test_a_short_storm_is_weathered(country: Country) -> None:
    await country.open()
    await _storm(country)
    moving, moves = country.index.after_find, []

    async def move_thrice() -> None:
        moves.append(1)
        if len(moves) <= 3:
            await moving()

    country.index.after_find = move_thrice
    combined = await ask(country.means, country.call(), summary())
    assert len(combined.legs) == 1
    assert len(moves) == 4


async def test_a_ledger_that_fails_at_the_decision_asks_nobody(country: Country) -> None:
    await country.open()
    before = await country.forget()
    country.ledger.good_commits = 0
    with pytest.raises(LedgerUnavailable):
        await ask(country.means, country.call(), summary())
    assert country.door.asked == []
    assert await transcript(country, before) == []


async def test_a_ledger_that_fails_at_the_release_gives_nothing_back(country: Country) -> None:
    await country.open()
    before = await country.forget()
    country.ledger.good_commits = 1
    with pytest.raises(LedgerUnavailable):
        await ask(country.means, country.call(), summary())
    assert country.door.custodians == ["90000101"]
    assert await transcript(country, before) == ["query-decided gp-summary: 90000101 REG-1 consent"]


async def test_an_index_that_fails_is_told_and_journaled_and_nobody_is_asked(country: Country) -> None:
    await country.open()
    country.index.broken = True
    before = await country.forget()
    with pytest.raises(IndexUnavailable):
        await ask(country.means, country.call(), summary())
    assert country.door.asked == []
    assert await transcript(country, before) == ["query-failed index-unavailable"]


async def test_an_index_that_fails_while_looking_again_releases_nothing(country: Country) -> None:
    await country.open()

    async def moves_and_breaks(here: Country) -> None:
        await here.say(Say.YES, PHARMACY)
        here.index.broken = True

    await _during(country, moves_and_breaks)
    before = await country.forget()
    with pytest.raises(IndexUnavailable):
        await ask(country.means, country.call(), summary())
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 REG-1 consent",
        "consent-stated yes",
        "query-failed index-unavailable",
    ]
