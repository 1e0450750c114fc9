"""What can an operator do? Switch a regime, revoke a certificate, let a participant join, set a simulation's clock.

Every act is in the journal with who and why, in the transaction that does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.flows.means import Means
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json, Line
from gateway.rules.network import Network, Organisation, RegimeSwitch, System
from gateway.stores import journal, once, register
from gateway.stores.ledger import Transaction


class Taken(Exception):
    """The application id is another organisation's, or the organisation has another type."""


FASTEST = 3600.0
"""Domain seconds in a second: an hour. Faster, a busy exchange would live through days in one query."""


class Uncountable(Exception):
    """The clock cannot be turned that way: the wish leads out of the calendar kept here, or names an odd speed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How a simulation's clock is turned: to `now` or `forward` from where it is (a negative time goes back), and how
    many domain seconds it goes in a second from there on; 0 stands still. None leaves as it is."""

    now: datetime | None = None
    forward: timedelta = timedelta()
    speed: float | None = None


async def set_clock(means: Means, now: datetime, *, by: str) -> datetime:
    """Set domain time; it goes on from there as fast as before. Returns the new now. Raises Uncountable,
    LedgerUnavailable."""
    network = await turn_clock(means, Turn(now), by=by)
    return means.live.domain(network)


async def turn_clock(means: Means, turn: Turn, *, by: str) -> Network:
    """Turn domain time; the new state of the network tells it. Raises Uncountable, LedgerUnavailable."""
    wall = means.live.wall()

    def unit(tx: Transaction) -> None:
        known = register.load(tx)
        speed = known.clock_speed if turn.speed is None else turn.speed
        now = _turned(turn, known.domain(wall), speed)
        register.set_clock(tx, now - wall, anchor=wall, speed=speed)
        fields: dict[str, Json] = {"now": now.isoformat(), "by": by if speed == 1.0 else f"{by} (speed {speed:g})"}
        journal.append(tx, Line(Event.CLOCK_SET, at=now, wall=wall, fields=fields))

    await means.ledger.commit(unit)
    return await means.live.network()


def _turned(turn: Turn, was: datetime, speed: float) -> datetime:
    """The moment from which the clock goes on. Raises Uncountable."""
    if not 0 <= speed <= FASTEST:
        raise Uncountable(f"a speed lies between 0 and {FASTEST:g}")
    try:
        now = (was if turn.now is None else turn.now) + turn.forward
    except OverflowError:
        now = datetime.max.replace(tzinfo=UTC)
    if not _FIRST_YEAR <= now.year <= _LAST_YEAR:
        raise Uncountable(f"the time is not between the years {_FIRST_YEAR} and {_LAST_YEAR}")
    return now


_FIRST_YEAR, _LAST_YEAR = 1900, 2200


async def switch_regime(means: Means, switch: RegimeSwitch) -> None:
    """Switch a regime on or off from `switch.at`. Raises LedgerUnavailable."""
    fields: dict[str, Json] = {
        "regime": switch.regime,
        "on": switch.on,
        "until": switch.until.isoformat() if switch.until else None,
        "by": switch.by,
        "reason": switch.reason,
    }
    line = Line(Event.REGIME_SWITCHED, at=switch.at, wall=means.live.wall(), fields=fields)

    def unit(tx: Transaction) -> None:
        register.switch(tx, switch)
        journal.append(tx, line)

    await means.ledger.commit(unit)


async def revoke(means: Means, serial: str, *, by: str, reason: str) -> None:
    """Revoke a certificate by serial number (upper-case hex), effective on the next request everywhere.
    Raises LedgerUnavailable."""
    network = await means.live.network()
    at, wall = means.live.domain(network), means.live.wall()

    def unit(tx: Transaction) -> None:
        register.revoke(tx, serial, wall, by, reason)
        fields: dict[str, Json] = {"serial": serial, "by": by, "reason": reason}
        journal.append(tx, Line(Event.CERTIFICATE_REVOKED, at=at, wall=wall, fields=fields))

    await means.ledger.commit(unit)


async def join(means: Means, organisation: Organisation, system: System, *, by: str) -> None:
    """Register an organisation and one of its systems; again is an update. Raises Taken, LedgerUnavailable."""
    network = await means.live.network()
    _require_free(network.organisations.get(organisation.ura), organisation)
    known = network.systems.get(system.application)
    if known is not None and known.ura != system.ura:
        raise Taken(f"application id {system.application} belongs to another organisation")
    fields: dict[str, Json] = {
        "organisation": organisation.ura.digits,
        "organisation_name": organisation.name,
        "organisation_type": organisation.organisation_type,
        "application": system.application.digits,
        "endpoint": system.endpoint,
        "by": by,
    }
    line = Line(
        Event.PARTICIPANT_JOINED,
        at=means.live.domain(network),
        wall=means.live.wall(),
        custodian=Ura(organisation.ura.digits),
        fields=fields,
    )

    def unit(tx: Transaction) -> None:
        register.put_organisation(tx, organisation)
        register.put_system(tx, system)
        journal.append(tx, line)

    await means.ledger.commit(unit)


TOKENS_KEPT = timedelta(minutes=10)
"""How long after its expiry an assertion's id is remembered: far longer than any clock is wrong."""


async def tidy(means: Means) -> int:
    """Forget the ids of assertions long expired; returns how many. Raises LedgerUnavailable."""
    before = means.live.wall() - TOKENS_KEPT
    return await means.ledger.commit(lambda tx: once.purge(tx, before))


def _require_free(known: Organisation | None, wanted: Organisation) -> None:
    if known is not None and known.organisation_type != wanted.organisation_type:
        raise Taken(f"{wanted.ura} is registered with type {known.organisation_type}")
