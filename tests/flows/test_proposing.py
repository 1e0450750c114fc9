"""Who can switch a regime from the desk? Two to switch it on, one to stop it, and nobody by an old agreement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from flow_country import Country

from gateway.flows import proposing
from gateway.flows.proposing import CannotSwitch
from gateway.rules import regimes
from gateway.rules.exchange import Regime
from gateway.rules.journal import Event
from gateway.rules.network import RegimeSwitch
from gateway.rules.proposing import OPEN_FOR, Ended, Proposal
from gateway.stores import register
from gateway.stores.ledger import LedgerUnavailable

CRISIS = Regime.CRISIS_OPT_IN
ONE, TWO = "test-one", "test-two"


async def propose(country: Country, **more: object) -> Proposal:
    given: dict[str, object] = {"until": None, "reason": "a drill", "by": ONE, **more}
    made = await proposing.propose(country.means, CRISIS, **given)  # type: ignore[arg-type]
    assert isinstance(made, Proposal)
    return made


async def is_on(country: Country) -> bool:
    network = await country.means.live.network()
    return CRISIS in regimes.active(network.switches, country.means.live.domain(network))


async def test_a_second_operator_switches_it_on_with_both_names_in_the_journal(country: Country) -> None:
    until = country.now + timedelta(days=2)
    made = await propose(country, until=until)
    assert not await is_on(country)
    country.tick(minutes=5)
    switch = await proposing.confirm(country.means, made.id, by=TWO)
    assert switch == RegimeSwitch(CRISIS, True, country.now, f"{ONE}, {TWO}", "a drill", until)
    assert await is_on(country)
    line = (await country.lines())[-1].line
    assert line.event is Event.REGIME_SWITCHED
    assert dict(line.fields) == {
        "regime": CRISIS,
        "on": True,
        "until": until.isoformat(),
        "by": f"{ONE}, {TWO}",
        "reason": "a drill",
    }


async def test_who_proposes_does_not_confirm_and_the_attempt_is_written(country: Country) -> None:
    made = await propose(country)
    before = len(await country.lines())
    assert await proposing.confirm(country.means, made.id, by=ONE) is CannotSwitch.OWN
    assert not await is_on(country)
    (line,) = [kept.line for kept in (await country.lines())[before:]]
    assert line.fields["by"] == ONE
    assert await proposing.confirm(country.means, made.id, by=TWO) != CannotSwitch.GONE, "it stays open"


async def test_every_proposal_and_every_end_of_one_is_written(country: Country) -> None:
    await proposing.drop(country.means, (await propose(country)).id, by=ONE)
    await proposing.drop(country.means, (await propose(country)).id, by=TWO)
    told = [kept.line.fields for kept in await country.lines()]
    assert [fields["by"] for fields in told] == [ONE, ONE, ONE, TWO]
    assert all("CRISIS_OPT_IN" in str(list(fields.values())) for fields in told)


async def _lapse(country: Country) -> None:
    country.tick(seconds=OPEN_FOR.total_seconds())


async def _stop_in_between(country: Country) -> None:
    await country.regime(CRISIS, on=True)
    assert not isinstance(await proposing.stop(country.means, CRISIS, reason="stop", by=ONE), CannotSwitch)


async def _past_its_end(country: Country) -> None:
    network = await country.means.live.network()
    await country.real_ledger.commit(lambda tx: register.set_clock(tx, network.clock_offset + timedelta(hours=3)))


async def _refused(country: Country) -> None:
    assert await proposing.drop(country.means, 1, by=TWO) is Ended.REFUSED


async def _confirmed(country: Country) -> None:
    assert isinstance(await proposing.confirm(country.means, 1, by="test-three"), RegimeSwitch)


TOO_LATE: dict[str, tuple[Callable[[Country], Awaitable[None]], CannotSwitch]] = {
    "an hour later": (_lapse, CannotSwitch.LAPSED),
    "after the stop button": (_stop_in_between, CannotSwitch.OVERTAKEN),
    "after the end it named": (_past_its_end, CannotSwitch.OVERTAKEN),
    "after it was refused": (_refused, CannotSwitch.GONE),
    "after it was confirmed": (_confirmed, CannotSwitch.GONE),
}


@pytest.mark.parametrize(("happens", "why"), TOO_LATE.values(), ids=TOO_LATE.keys())
async def test_an_agreement_that_comes_too_late_switches_nothing(
    country: Country, happens: Callable[[Country], Awaitable[None]], why: CannotSwitch
) -> None:
    made = await propose(country, until=country.now + timedelta(hours=2))
    await happens(country)
    switches = len((await country.means.live.network()).switches)
    assert await proposing.confirm(country.means, made.id, by=TWO) is why
    assert len((await country.means.live.network()).switches) == switches


async def test_a_moment_before_it_lapses_it_can_be_confirmed(country: Country) -> None:
    made = await propose(country)
    country.tick(seconds=OPEN_FOR.total_seconds() - 1)
    assert isinstance(await proposing.confirm(country.means, made.id, by=TWO), RegimeSwitch)


async def test_what_cannot_be_confirmed_any_more_is_not_shown_and_makes_room(country: Country) -> None:
    await propose(country)
    pending = await proposing.propose(country.means, CRISIS, until=None, reason="again", by=TWO)
    assert pending is CannotSwitch.PENDING
    assert [one.proposal is None for one in (await proposing.standing(country.means)).standing] == [False, True]
    await _lapse(country)
    assert [one.proposal is None for one in (await proposing.standing(country.means)).standing] == [True, True]
    assert (await propose(country, by=TWO)).id == 2


NOT_PROPOSED = {
    "the standing rules": ({"regime": Regime.REGULAR}, CannotSwitch.ALWAYS_ON),
    "no reason": ({"reason": "  "}, CannotSwitch.NO_REASON),
    "an end that was": ({"until_in": timedelta(0)}, CannotSwitch.PAST_END),
}


@pytest.mark.parametrize(("given", "why"), NOT_PROPOSED.values(), ids=NOT_PROPOSED.keys())
async def test_what_cannot_be_proposed(country: Country, given: dict[str, object], why: CannotSwitch) -> None:
    until_in = given.get("until_in")
    until = country.now + until_in if isinstance(until_in, timedelta) else None
    reason = str(given.get("reason", "a drill"))
    regime = Regime(str(given.get("regime", CRISIS)))
    assert await proposing.propose(country.means, regime, until=until, reason=reason, by=ONE) is why
    assert await country.lines() == []


async def test_the_stop_button_needs_one_operator_and_a_reason(country: Country) -> None:
    stop = proposing.stop
    assert await stop(country.means, CRISIS, reason="now", by=ONE) is CannotSwitch.IS_OFF
    assert await stop(country.means, Regime.REGULAR, reason="now", by=ONE) is CannotSwitch.ALWAYS_ON
    await country.regime(CRISIS)
    country.tick(seconds=1)
    assert await stop(country.means, CRISIS, reason=" ", by=ONE) is CannotSwitch.NO_REASON
    assert isinstance(await stop(country.means, CRISIS, reason="now", by=ONE), RegimeSwitch)
    assert not await is_on(country)
    assert (await proposing.standing(country.means)).history[0].reason == "now"


async def test_without_a_journal_nothing_is_switched(country: Country) -> None:
    made = await propose(country)
    country.ledger.failing = 1_000
    with pytest.raises(LedgerUnavailable):
        await proposing.confirm(country.means, made.id, by=TWO)
    country.ledger.failing = 0
    assert not await is_on(country)
