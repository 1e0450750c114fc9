"""How is a regime switched from the desk? On by two operators, the one proposing and the other confirming; off by one.

What a second person agrees to is looked at again in the transaction that switches: still open, nothing switched since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.flows import operating
from gateway.flows.means import Means
from gateway.rules import regimes
from gateway.rules.exchange import Regime
from gateway.rules.journal import Event, Json, Line
from gateway.rules.network import RegimeSwitch
from gateway.rules.proposing import LONGEST_REASON, Ended, Proposal
from gateway.stores import journal, proposals, register
from gateway.stores.ledger import Transaction

SWITCHABLE = (Regime.CRISIS_OPT_IN, Regime.EMERGENCY_AVAILABLE)


class CannotSwitch(StrEnum):
    """Why an act changed nothing."""

    NO_REASON = "no-reason"
    PAST_END = "past-end"
    PENDING = "pending"
    """Somebody proposed the same regime already."""
    OWN = "own"
    """Who proposed cannot confirm."""
    GONE = "gone"
    """There is no such open proposal."""
    LAPSED = "lapsed"
    OVERTAKEN = "overtaken"
    IS_OFF = "is-off"
    ALWAYS_ON = "always-on"
    """The standing rules are never switched."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One switchable regime as it stands: the newest switch that counts (None: never switched), and what is open."""

    regime: Regime
    in_force: bool
    newest: RegimeSwitch | None
    proposal: Proposal | None


@dataclass(frozen=True, slots=True)
class Switches:
    """How the regimes stand, and how that came: `history` newest first. `at` is domain time."""

    at: datetime
    standing: tuple[Standing, ...]
    history: tuple[RegimeSwitch, ...]


async def standing(means: Means) -> Switches:
    """How every switchable regime stands. A proposal nobody can confirm any more is not told. Raises
    LedgerUnavailable."""
    network = await means.live.network()
    at, wall = means.live.domain(network), means.live.wall()
    valid = await means.ledger.read(lambda tx: _valid(tx, at, wall))
    active = regimes.active(network.switches, at)
    history = tuple(reversed(network.switches))
    return Switches(
        at,
        tuple(
            Standing(
                regime,
                regime in active,
                next((one for one in history if one.regime is regime), None),
                next((one for one in valid if one.regime is regime), None),
            )
            for regime in SWITCHABLE
        ),
        history,
    )


async def propose(
    means: Means, regime: Regime, *, until: datetime | None, reason: str, by: str
) -> Proposal | CannotSwitch:
    """Ask for a regime to be switched on; a second operator confirms. Raises LedgerUnavailable."""
    at, wall = means.live.domain(await means.live.network()), means.live.wall()
    if regime not in SWITCHABLE:
        return CannotSwitch.ALWAYS_ON
    if not reason.strip():
        return CannotSwitch.NO_REASON
    if until is not None and until <= at:
        return CannotSwitch.PAST_END

    def unit(tx: Transaction) -> Proposal | CannotSwitch:
        _clear(tx, at, wall)
        made = proposals.put(tx, regime, until=until, reason=reason.strip()[:LONGEST_REASON], who=by, at=wall)
        if made is None:
            return CannotSwitch.PENDING
        _note_proposed(tx, made, at, wall)
        return made

    return await means.ledger.commit(unit)


async def confirm(means: Means, id: int, *, by: str) -> RegimeSwitch | CannotSwitch:
    """The second operator agrees: the regime is on from this moment. Raises LedgerUnavailable."""
    at, wall = means.live.domain(await means.live.network()), means.live.wall()

    def unit(tx: Transaction) -> RegimeSwitch | CannotSwitch:
        proposal = proposals.find(tx, id)
        if proposal is None:
            return CannotSwitch.GONE
        hindrance = _expired(tx, proposal, at, wall)
        if hindrance is not None:
            proposals.settle(tx, id, hindrance, by=by, at=wall)
            return CannotSwitch(hindrance.value)
        if not proposal.may_confirm(by):
            _note_closed(tx, proposal, "own-proposal", by, at, wall)
            return CannotSwitch.OWN
        proposals.settle(tx, id, Ended.CONFIRMED, by=by, at=wall)
        switch = RegimeSwitch(proposal.regime, True, at, f"{proposal.who}, {by}", proposal.reason, proposal.until)
        _switch(tx, switch, wall)
        return switch

    return await means.ledger.commit(unit)


async def drop(means: Means, id: int, *, by: str) -> Ended | CannotSwitch:
    """Withdraw one's own proposal, or refuse somebody else's. Raises LedgerUnavailable."""
    at, wall = means.live.domain(await means.live.network()), means.live.wall()

    def unit(tx: Transaction) -> Ended | CannotSwitch:
        proposal = proposals.find(tx, id)
        if proposal is None:
            return CannotSwitch.GONE
        ended = Ended.REFUSED if proposal.may_confirm(by) else Ended.WITHDRAWN
        proposals.settle(tx, id, ended, by=by, at=wall)
        _note_closed(tx, proposal, ended, by, at, wall)
        return ended

    return await means.ledger.commit(unit)


async def stop(means: Means, regime: Regime, *, reason: str, by: str) -> RegimeSwitch | CannotSwitch:
    """The stop button: off from this moment, by one operator. What waits for a second one is overtaken by it. Raises
    LedgerUnavailable."""
    network = await means.live.network()
    at = means.live.domain(network)
    if regime not in SWITCHABLE:
        return CannotSwitch.ALWAYS_ON
    if not reason.strip():
        return CannotSwitch.NO_REASON
    if regime not in regimes.active(network.switches, at):
        return CannotSwitch.IS_OFF
    switch = RegimeSwitch(regime, False, at, by, reason.strip()[:LONGEST_REASON])
    await operating.switch_regime(means, switch)
    return switch


# --- inside a transaction --------------------------------------------------------------------------------------------


def _expired(tx: Transaction, proposal: Proposal, at: datetime, wall: datetime) -> Ended | None:
    newest = proposals.newest_switch(tx, proposal.regime)
    return proposal.expired(newest_switch=newest, now=at, wall=wall)


def _valid(tx: Transaction, at: datetime, wall: datetime) -> list[Proposal]:
    return [one for one in proposals.open_ones(tx) if _expired(tx, one, at, wall) is None]


def _clear(tx: Transaction, at: datetime, wall: datetime) -> None:
    """End what nobody can confirm any more, so that it stands in nobody's way."""
    for one in proposals.open_ones(tx):
        ended = _expired(tx, one, at, wall)
        if ended is not None:
            proposals.settle(tx, one.id, ended, by="", at=wall)


def _switch(tx: Transaction, switch: RegimeSwitch, wall: datetime) -> None:
    register.switch(tx, switch)
    fields: dict[str, Json] = {
        "regime": switch.regime,
        "on": switch.on,
        "until": switch.until.isoformat() if switch.until else None,
        "by": switch.by,
        "reason": switch.reason,
    }
    journal.append(tx, Line(Event.REGIME_SWITCHED, at=switch.at, wall=wall, fields=fields))


def _note_proposed(tx: Transaction, proposal: Proposal, at: datetime, wall: datetime) -> None:
    until = proposal.until.isoformat() if proposal.until else None
    fields: dict[str, Json] = {"regime": proposal.regime, "until": until, "by": proposal.who, "reason": proposal.reason}
    journal.append(tx, Line(Event.REGIME_PROPOSED, at=at, wall=wall, fields=fields))


def _note_closed(tx: Transaction, proposal: Proposal, why: str, by: str, at: datetime, wall: datetime) -> None:
    """Nothing was switched, and why not."""
    fields: dict[str, Json] = {"regime": proposal.regime, "by": by, "why": why}
    journal.append(tx, Line(Event.REGIME_PROPOSAL_CLOSED, at=at, wall=wall, fields=fields))
