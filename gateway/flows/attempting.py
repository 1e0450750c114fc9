"""What comes of one attempt to deliver one message? Resolve, ask the rule again, unseal, post, and write down the end.

Nothing is posted without a Leave, and that only from a judgement on one snapshot taken just before. What came of it is
marked in one transaction with its journal line and what the sender is told, if the claim is still ours. Between
unsealing and marking the content is in memory only. Source: domain.md section 6, interface.md section 7 "Delivery".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.flows import notices
from gateway.flows.deciding import ATTEMPTS, Unsettled
from gateway.flows.enveloping import Destination, as_when_sent, destination, line, sender_now, unseal
from gateway.flows.means import Means
from gateway.flows.return_message import judge
from gateway.rules import redelivery
from gateway.rules.choice import Statement
from gateway.rules.exchange import Address, AortaId
from gateway.rules.identifiers import Bsn, Ura
from gateway.rules.journal import Event, Json
from gateway.rules.message import Envelope, Reason, Reply, State
from gateway.rules.network import Network
from gateway.rules.redelivery import Course, RetryAt
from gateway.rules.sending import Leave, Sending
from gateway.stores import consents, enrolments, journal, outbox, register
from gateway.stores.enrolments import Enrolment
from gateway.stores.ledger import LedgerUnavailable, Transaction
from gateway.stores.outbox import Claimed, Held
from gateway.stores.sealing import Sealed, Unreadable

ALLOWED = 10.0
"""Seconds one attempt may take."""
_MARKING_AGAIN = (0.2, 0.4, 0.8, 1.6)
"""Seconds between tries to mark while the ledger is away: a mark that is lost is a message posted twice."""

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Tried:
    """Whom an attempt reached, how that took it, and when (domain time)."""

    recipient: Ura
    reply: Reply
    at: datetime


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt: the message under its claim, what is so at this moment, and the chain's next request id."""

    means: Means
    held: Held
    claimant: str
    pause: Pause
    network: Network
    at: datetime
    to: Destination
    statements: tuple[Statement, ...]
    aorta: AortaId

    @property
    def envelope(self) -> Envelope:
        return self.held.envelope


async def attempt(means: Means, claimed: Claimed, claimant: str, *, jitter: float, pause: Pause) -> Tried | None:
    """Carry out one attempt under this claim, and mark what came of it; None: nothing was posted. Raises
    LedgerUnavailable, Unsettled; then the claim stands unmarked, until its lease is over."""
    if redelivery.is_poison(claimed.held.unmarked):
        await _give_up(means, claimed.held, claimant, pause)
        return None
    here = await _look(means, claimed.held, claimant, pause)
    if here.to.address is None:
        await _park(here, here.to.missing or Reason.NO_ENDPOINT)
    elif here.to.ura != here.held.lane:
        await _change_lane(here, here.to.address.ura)
    else:
        return await _ask_and_post(here, here.to.address, claimed.sealed, jitter)
    return None


# --- as things stand -------------------------------------------------------------------------------------------------


async def _look(means: Means, held: Held, claimant: str, pause: Pause) -> _Attempt:
    """What is so now, in one snapshot: the network, the GP of record, what the patient says."""
    envelope = held.envelope
    for _ in range(ATTEMPTS):
        network = await means.live.network()
        at = means.live.domain(network)

        def look(tx: Transaction, at: datetime = at) -> tuple[int, tuple[Statement, ...], Enrolment | None]:
            patient = envelope.patient
            return register.version(tx), consents.of(tx, patient), enrolments.gp_of_record(tx, patient, at)

        version, statements, gp = await means.ledger.read(look)
        if version == network.version:
            to = destination(network, envelope, gp)
            aorta = replace(envelope.aorta, request=means.new_id())
            return _Attempt(means, held, claimant, pause, network, at, to, statements, aorta)
        means.live.forget()
    raise Unsettled


def _judge(here: _Attempt) -> Sending:
    """The rule on a party's message, as it was sent, on what is so now; a notice of the exchange itself needs none."""
    envelope = here.envelope
    if envelope.sender is None:
        return Sending(envelope.event, here.to.ura)
    under_way = here.at - envelope.accepted
    sender, situation = as_when_sent(sender_now(here.network, envelope.sender), envelope.sender.situation, under_way)
    return judge(
        envelope.event,
        sender,
        situation,
        here.to.organisation,
        here.statements,
        network=here.network,
        at=here.at,
    )


async def _ask_and_post(here: _Attempt, address: Address, sealed: Sealed | None, jitter: float) -> Tried | None:
    """The rule, and only then the content; nothing else happens in between."""
    judged = _judge(here)
    if judged.bar is not None:
        await _fail(here, State.FAILED, judged.bar.value, keep_payload=False)
        return None
    try:
        patient, body = unseal(here.means, here.envelope, sealed)
    except Unreadable:
        await _fail(here, State.FAILED, Reason.UNREADABLE, keep_payload=True)
        return None
    here.means.mail.reached("unseal")
    return await _post(here, Leave(judged, address), patient, body, jitter)


# --- posting ---------------------------------------------------------------------------------------------------------


async def _post(here: _Attempt, leave: Leave, patient: Bsn | None, body: bytes, jitter: float) -> Tried:
    means, loop = here.means, asyncio.get_running_loop()
    token = means.mail.vouch(leave, here.envelope.sender, patient, here.aorta)
    began = loop.time()
    means.mail.reached("post")
    reply = await means.mail.post.deliver(leave, body, token=token, aorta=here.aorta, deadline=began + ALLOWED)
    means.mail.reached("reply")
    fields: dict[str, Json] = {"attempt": here.held.attempts, "ms": round((loop.time() - began) * 1000, 1)}
    if leave.row is not None:
        fields["row"] = leave.row.id
    await _settle(here, leave, reply, fields, jitter)
    return Tried(leave.address.ura, reply, means.live.domain(here.network))


async def _settle(here: _Attempt, leave: Leave, reply: Reply, fields: dict[str, Json], jitter: float) -> None:
    held, now = here.held, here.means.live.domain(here.network)
    course = Course(held.attempts, held.begun or now, held.expires, held.doubtful)
    step = redelivery.next_step(reply, course, now=now, jitter=jitter)
    if isinstance(step, RetryAt):
        await _postpone(here, reply, step, now, fields)
    elif step.state is State.DELIVERED:
        await _delivered(here, leave, now, fields)
    else:
        kept = step.state is State.UNKNOWN or step.reason is Reason.REJECTED
        await _fail(here, step.state, step.reason or "", keep_payload=kept, detail=reply.detail)


async def _postpone(here: _Attempt, reply: Reply, step: RetryAt, now: datetime, fields: dict[str, Json]) -> None:
    told = {**fields, "outcome": reply.taking, "detail": reply.detail, "due": step.when.isoformat()}

    def change(tx: Transaction) -> bool:
        return outbox.postpone(tx, here.envelope.id, here.claimant, until=step.when, now=now, doubtful=step.doubtful)

    await _mark(here, change, Event.MESSAGE_POSTPONED, told)


async def _delivered(here: _Attempt, leave: Leave, now: datetime, fields: dict[str, Json]) -> None:
    def change(tx: Transaction) -> bool:
        return outbox.end(
            tx,
            here.envelope.id,
            here.claimant,
            State.DELIVERED,
            None,
            now,
            keep_payload=False,
            delivered_to=leave.address.ura,
        )

    await _mark(here, change, Event.MESSAGE_DELIVERED, {**fields, "system": leave.address.application.digits})


# --- without posting -------------------------------------------------------------------------------------------------


async def _park(here: _Attempt, reason: Reason) -> None:
    def change(tx: Transaction) -> bool:
        return outbox.park(tx, here.envelope.id, here.claimant, reason, here.at)

    await _mark(here, change, Event.MESSAGE_PARKED, {"reason": reason.value})


async def _change_lane(here: _Attempt, lane: Ura) -> None:
    """Another GP of record than the one it queued for, by the calendar: back, into the right queue, with what else goes
    there; for that one's stop and that one's health count."""

    def unit(tx: Transaction) -> bool:
        id, held = here.envelope.id, here.held
        back = outbox.postpone(tx, id, here.claimant, until=here.at, now=here.at, doubtful=held.doubtful)
        if back:
            outbox.reroute(tx, here.envelope.patient, lane, here.at)
        return back

    await _durably(here, unit)


async def _give_up(means: Means, held: Held, claimant: str, pause: Pause) -> None:
    """Whatever of it takes its deliverers down is not looked at once more."""
    network = await means.live.network()
    to = Destination(held.lane, None, None, None)
    at = means.live.domain(network)
    here = _Attempt(means, held, claimant, pause, network, at, to, (), held.envelope.aorta)
    return await _fail(here, State.FAILED, Reason.NEVER_MARKED, keep_payload=True)


async def _fail(here: _Attempt, state: State, reason: str, *, keep_payload: bool, detail: str = "") -> None:
    """End it without delivery, and tell the sender, in one transaction."""
    means, now = here.means, here.means.live.domain(here.network)
    letter = notices.undeliverable(means, here.network, here.held, state, str(reason), at=now)
    fields: dict[str, Json] = {
        "outcome": state,
        "reason": str(reason),
        "attempt": here.held.attempts,
        "detail": detail or ("an earlier attempt may have arrived" if here.held.doubtful else ""),
    }

    def change(tx: Transaction) -> bool:
        return outbox.end(tx, here.envelope.id, here.claimant, state, str(reason), now, keep_payload=keep_payload)

    await _mark(here, change, Event.MESSAGE_FAILED, fields, letter)


# --- marking ---------------------------------------------------------------------------------------------------------


async def _mark(
    here: _Attempt,
    change: Callable[[Transaction], bool],
    event: Event,
    fields: dict[str, Json],
    letter: notices.Draft | None = None,
) -> None:
    """The change, its line and the letter to the sender in one transaction; nothing at all when the claim is lost."""
    now = here.means.live.domain(here.network)
    told = line(here.means, here.network, event, here.envelope, here.to.ura, fields, aorta=here.aorta, at=now)

    def unit(tx: Transaction) -> bool:
        if not change(tx):
            return False
        journal.append(tx, told)
        if letter is not None:
            notices.write(here.means, tx, here.network, letter)
        return True

    if await _durably(here, unit):
        here.means.mail.reached("mark")


async def _durably(here: _Attempt, unit: Callable[[Transaction], bool]) -> bool:
    """Commit, patiently. A commit that took effect unseen is no longer our claim the second time, and writes nothing.
    Raises LedgerUnavailable."""
    for seconds in _MARKING_AGAIN:
        try:
            return await here.means.ledger.commit(unit)
        except LedgerUnavailable:
            await here.pause(seconds)
    return await here.means.ledger.commit(unit)
