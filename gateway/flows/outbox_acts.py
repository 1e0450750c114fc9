"""What can people do about messages on their way? Put one on its way again, park it, stop and start delivery; tidy up.

Every act is in the journal with who and why, in the transaction that does it. What has ended never starts by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial

from gateway.flows.enveloping import Destination, destination, line
from gateway.flows.means import Means
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json, Line
from gateway.rules.message import Reason, State
from gateway.rules.network import Network
from gateway.stores import enrolments, journal, outbox
from gateway.stores.ledger import Transaction
from gateway.stores.outbox import Held

_PAGE = 200
_WAITS_FOR_A_ROAD = frozenset({Reason.NO_GP_OF_RECORD, Reason.NO_ENDPOINT})


class CannotAct(Enum):
    """Why an operator's act on one message changes nothing."""

    UNKNOWN = auto()
    """There is no such message."""
    NO_ROAD = auto()
    """There is still no GP of record, or no endpoint to bring it to."""
    NOT_NOW = auto()
    """It is not in a state for this: being attempted, ended for good, or its content destroyed."""


async def retry(means: Means, id: str, *, by: str, why: str) -> Held | CannotAct:
    """Put a parked message, or one that failed or is of unknown outcome and still has its content, on its way again,
    due now. Raises LedgerUnavailable."""
    network = await means.live.network()

    def unit(tx: Transaction) -> Held | CannotAct:
        held = outbox.find(tx, id)
        return CannotAct.UNKNOWN if held is None else _resume(means, network, tx, held, by=by, why=why)

    return await means.ledger.commit(unit)


async def park(means: Means, id: str, *, by: str) -> Held | CannotAct:
    """Take a waiting message aside until somebody retries it. Raises LedgerUnavailable."""
    network = await means.live.network()
    at = means.live.domain(network)
    fields: dict[str, Json] = {"reason": Reason.PARKED_BY_OPERATOR.value, "by": by}

    def unit(tx: Transaction) -> Held | CannotAct:
        held = outbox.find(tx, id)
        if held is None:
            return CannotAct.UNKNOWN
        if not outbox.park(tx, id, None, Reason.PARKED_BY_OPERATOR, at):
            return CannotAct.NOT_NOW
        to = held.lane or held.envelope.recipient
        journal.append(tx, line(means, network, Event.MESSAGE_PARKED, held.envelope, to, fields, at=at))
        return outbox.find(tx, id) or CannotAct.UNKNOWN

    return await means.ledger.commit(unit)


async def stop(means: Means, recipient: Ura | None, *, by: str, reason: str) -> bool:
    """Stop delivery to one recipient, or (None) to all; what is being attempted ends. False: it was stopped already.
    Raises LedgerUnavailable."""
    at = means.live.domain(await means.live.network())

    def unit(tx: Transaction) -> bool:
        stopped = outbox.stop(tx, recipient, at, by, reason)
        if stopped:
            journal.append(tx, _switched(means, recipient, at, on=False, by=by, reason=reason, spread=timedelta(0)))
        return stopped

    return await means.ledger.commit(unit)


async def start(means: Means, recipient: Ura | None, *, by: str, reason: str) -> timedelta | None:
    """Take that stop back. What is overdue is spread: returns over how long; None: it was not stopped.
    Raises LedgerUnavailable."""
    at = means.live.domain(await means.live.network())

    def unit(tx: Transaction) -> timedelta | None:
        spread = outbox.start(tx, recipient, at)
        if spread is not None:
            journal.append(tx, _switched(means, recipient, at, on=True, by=by, reason=reason, spread=spread))
        return spread

    return await means.ledger.commit(unit)


async def wake(means: Means) -> int:
    """Put on their way again all that were parked for want of a GP of record or an endpoint and now have one, as when
    an endpoint is registered or an enrolment's first day comes; returns how many. Raises LedgerUnavailable."""
    woken, after = 0, ""
    while True:
        page = await means.ledger.read(partial(outbox.listing, state=State.PARKED, limit=_PAGE, after=after or None))
        waiting = [held.envelope.id for held in page if held.reason in _WAITS_FOR_A_ROAD]
        if waiting:
            woken += await means.ledger.commit(partial(_wake, means, await means.live.network(), waiting))
        if len(page) < _PAGE:
            return woken
        after = page[-1].envelope.id


async def tidy(means: Means) -> None:
    """Turn the sealing key daily, destroy what content is kept no longer and the keys nothing needs, and let nothing of
    either stay in the ledger's free space. Raises LedgerUnavailable."""
    await wake(means)
    network = await means.live.network()
    now, wall = means.live.domain(network), means.live.wall()
    means.mail.seals.rotate(wall)
    await means.ledger.commit(lambda tx: outbox.purge(tx, now))
    means.mail.seals.forget(await means.ledger.read(outbox.keys_in_use), wall)
    await means.ledger.scrub()


def _wake(means: Means, network: Network, ids: list[str], tx: Transaction) -> int:
    found = [held for held in (outbox.find(tx, id) for id in ids) if held and held.reason in _WAITS_FOR_A_ROAD]
    came = [_resume(means, network, tx, held, by="", why="there is a road now") for held in found]
    return sum(1 for one in came if isinstance(one, Held))


def _resume(means: Means, network: Network, tx: Transaction, held: Held, *, by: str, why: str) -> Held | CannotAct:
    at, envelope = means.live.domain(network), held.envelope
    to = _road(network, tx, held, means)
    if to.ura is None or to.missing is not None:
        return CannotAct.NO_ROAD
    if not outbox.resume(tx, envelope.id, lane=to.ura, now=at):
        return CannotAct.NOT_NOW
    fields: dict[str, Json] = {"by": by, "why": why}
    journal.append(tx, line(means, network, Event.MESSAGE_RESUMED, envelope, to.ura, fields, at=at))
    return outbox.find(tx, envelope.id) or CannotAct.UNKNOWN


def _road(network: Network, tx: Transaction, held: Held, means: Means) -> Destination:
    envelope = held.envelope
    named = envelope.recipient is not None
    gp = None if named else enrolments.gp_of_record(tx, envelope.patient, means.live.domain(network))
    return destination(network, envelope, gp)


def _switched(
    means: Means, recipient: Ura | None, at: datetime, *, on: bool, by: str, reason: str, spread: timedelta
) -> Line:
    fields: dict[str, Json] = {
        "recipient": recipient.digits if recipient else "",
        "on": on,
        "by": by,
        "reason": reason,
        "spread_s": spread.total_seconds(),
    }
    return Line(Event.DELIVERY_SWITCHED, at=at, wall=means.live.wall(), fields=fields)
