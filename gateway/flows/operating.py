"""What can an operator do? Switch a regime, revoke a certificate, let a participant join, set a simulation's clock.

Every act is in the journal with who and why, in the transaction that does it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.flows.means import Means
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json, Line
from gateway.rules.network import Organisation, RegimeSwitch, System
from gateway.stores import journal, once, register
from gateway.stores.ledger import Transaction


class Taken(Exception):
    """The application id is another organisation's, or the organisation has another type."""


async def set_clock(means: Means, now: datetime, *, by: str) -> datetime:
    """Set domain time; it goes on ticking from there. Returns the new now. Raises LedgerUnavailable."""
    wall = means.live.wall()

    def unit(tx: Transaction) -> None:
        register.set_clock(tx, now - wall)
        journal.append(tx, Line(Event.CLOCK_SET, at=now, wall=wall, fields={"now": now.isoformat(), "by": by}))

    await means.ledger.commit(unit)
    return means.live.domain(await means.live.network())


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
