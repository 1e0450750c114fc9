"""How is a message accepted? The rule asked, then sealed content, journal line and tally durable in one transaction.

Only after that may anybody say 202. A repeat of what was accepted is the same message, whatever changed since; what
happens on the road is delivering.py's. Source: domain.md section 6, interface.md section 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.flows.deciding import ATTEMPTS, Refused, Unsettled
from gateway.flows.enveloping import Destination, accepted_lines, destination, line, seal
from gateway.flows.means import Call, Means, Moved, check_unmoved, circumstances
from gateway.rules import regimes
from gateway.rules.access import SENTENCES, Bar
from gateway.rules.choice import Statement
from gateway.rules.exchange import Requester, Situation
from gateway.rules.journal import Event, Json, Line
from gateway.rules.message import Envelope, Message, MessageEvent, Sender, State
from gateway.rules.network import Network, Organisation
from gateway.rules.sending import Sending, judge_sending, may_be_referred_to
from gateway.stores import consents, enrolments, journal, outbox
from gateway.stores.enrolments import Enrolment
from gateway.stores.ledger import Transaction
from gateway.stores.outbox import Held, Standing


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message stands in the outbox as `held`; `created` False: it did already."""

    held: Held
    created: bool

    @property
    def id(self) -> str:
        """The Task's id."""
        return self.held.envelope.id

    @property
    def state(self) -> State:
        return self.held.state


@dataclass(frozen=True, slots=True)
class Clash:
    """The sender used this message id before, for other bytes."""


@dataclass(frozen=True, slots=True)
class UnknownRecipient:
    """A referral that names no participant."""


Outcome = Accepted | Refused | Clash | UnknownRecipient


@dataclass(frozen=True, slots=True)
class _Scene:
    """What was gathered about one message, outside any transaction. `known`: what the outbox has under its key, and
    the digest of those bytes."""

    call: Call
    message: Message
    network: Network
    at: datetime
    requester: Requester
    envelope: Envelope
    patient_version: int
    statements: tuple[Statement, ...]
    to: Destination
    known: tuple[Held, bytes] | None


async def accept(means: Means, call: Call, message: Message, body: bytes, *, certificate: str) -> Outcome:
    """Accept a party's message; `body` is the Bundle's own bytes, `certificate` the serial number (upper-case hex) it
    came under. Accepted means durable. Raises LedgerUnavailable, Unsettled, KeyError for an event no party sends."""
    digest = hashlib.sha256(body).digest()
    for _ in range(ATTEMPTS):
        scene = await _set_scene(means, call, message, certificate)
        try:
            if scene.known is not None:
                return await _again(means, scene, scene.known, digest)
            judged = _judge(scene)
            if not isinstance(judged, Sending):
                return await _refuse(means, scene, judged)
            return await _take_in(means, scene, judged, body, digest)
        except Moved:
            means.live.forget()
    raise Unsettled


async def read_task(means: Means, call: Call, id: str) -> Held | None:
    """A message as its sender may see it; anybody else's, and none at all, is None. Raises LedgerUnavailable."""
    requester = call.party(await means.live.network())
    held = await means.ledger.read(lambda tx: outbox.find(tx, id))
    if held is None or requester.revoked or held.envelope.sender is None:
        return None
    return held if held.envelope.sender.ura == requester.ura else None


def judge(
    event: MessageEvent,
    sender: Requester,
    situation: Situation,
    recipient: Organisation | None,
    statements: Iterable[Statement],
    *,
    network: Network,
    at: datetime,
) -> Sending:
    """The rule on a party's message, and for a referral whether the recipient may be referred to at all. That is about
    capability, so it goes before what the patient says."""
    in_force = regimes.active(network.switches, at)
    judged = judge_sending(event, sender, situation, recipient, statements, at=at, regimes=in_force)
    wrong_kind = event is MessageEvent.REFERRAL and not may_be_referred_to(recipient)
    if wrong_kind and judged.bar in (None, Bar.OBJECTION):
        return replace(judged, row=None, bar=Bar.NOT_AUTHORISED, sentence=SENTENCES[Bar.NOT_AUTHORISED])
    return judged


# --- gathering -------------------------------------------------------------------------------------------------------


async def _set_scene(means: Means, call: Call, message: Message, certificate: str) -> _Scene:
    network = await means.live.network()
    at, requester = means.live.domain(network), call.party(network)
    envelope = _envelope(means, call, message, requester, certificate, at)

    def look(tx: Transaction) -> tuple[tuple[Held, bytes] | None, int, tuple[Statement, ...], Enrolment | None]:
        known = outbox.by_key(tx, requester.ura, message.id)
        version, statements = consents.known(tx, envelope.patient)
        return known, version, statements, enrolments.gp_of_record(tx, envelope.patient, at)

    known, version, statements, gp = await means.ledger.read(look)
    to = destination(network, envelope, gp)
    return _Scene(call, message, network, at, requester, envelope, version, statements, to, known)


def _envelope(
    means: Means, call: Call, message: Message, requester: Requester, certificate: str, at: datetime
) -> Envelope:
    sender = Sender(
        ura=requester.ura,
        application=requester.application,
        department=requester.department,
        actor=requester.actor,
        responsible=requester.responsible,
        certificate=certificate,
        situation=call.situation,
    )
    return Envelope(
        id=means.new_id(),
        event=message.event,
        message_id=message.id,
        sender=sender,
        patient=means.keys.patient(message.patient),
        recipient=message.receiver if message.event is MessageEvent.REFERRAL else None,
        recipient_system=None,
        accepted=at,
        aorta=call.aorta,
    )


def _judge(scene: _Scene) -> Sending | Refused | UnknownRecipient:
    """Leave to take it in, or the refusal."""
    if scene.message.sender != scene.requester.ura:
        return Refused(Bar.UNKNOWN_PARTY, SENTENCES[Bar.UNKNOWN_PARTY])
    if scene.message.event is MessageEvent.REFERRAL and scene.to.organisation is None:
        return UnknownRecipient()
    judged = judge(
        scene.message.event,
        scene.requester,
        scene.call.situation,
        scene.to.organisation,
        scene.statements,
        network=scene.network,
        at=scene.at,
    )
    return judged if judged.bar is None else Refused(judged.bar, judged.sentence)


# --- writing ---------------------------------------------------------------------------------------------------------


async def _again(means: Means, scene: _Scene, known: tuple[Held, bytes], digest: bytes) -> Accepted | Clash:
    """The id was used before: for these bytes, or for others. What was accepted never goes, so nothing can move."""
    held, known_digest = known
    if digest == known_digest:
        return Accepted(held, created=False)
    told = _refused_line(means, scene, "message-id-taken")
    await means.ledger.commit(lambda tx: journal.append(tx, told))
    return Clash()


async def _refuse(means: Means, scene: _Scene, refused: Refused | UnknownRecipient) -> Refused | UnknownRecipient:
    """Refused on facts that still hold, and written down. Raises Moved."""
    reason = refused.bar.value if isinstance(refused, Refused) else "unknown-recipient"
    told = _refused_line(means, scene, reason)

    def unit(tx: Transaction) -> None:
        check_unmoved(tx, scene.network, scene.envelope.patient, scene.patient_version)
        journal.append(tx, told)

    await means.ledger.commit(unit)
    return refused


async def _take_in(means: Means, scene: _Scene, judged: Sending, body: bytes, digest: bytes) -> Accepted:
    """Everything or nothing, on condition that nothing moved. Raises Moved, also when the same message came in twice at
    once: the other one is then the known one."""
    envelope = scene.envelope
    sealed = seal(means, envelope, scene.message.patient, body)
    lines = _accepted_lines(means, scene, judged, len(body))

    def unit(tx: Transaction) -> None:
        check_unmoved(tx, scene.network, envelope.patient, scene.patient_version)
        taken = outbox.accept(tx, envelope, digest, sealed, lane=scene.to.ura, reason=scene.to.missing)
        if taken.standing is not Standing.NEW:
            raise Moved
        for one in lines:
            journal.append(tx, one)

    means.mail.reached("accept")
    await means.ledger.commit(unit, brief=True)
    means.mail.reached("commit")
    held = outbox.as_accepted(envelope, lane=scene.to.ura, reason=scene.to.missing)
    return Accepted(held, created=True)


def _accepted_lines(means: Means, scene: _Scene, judged: Sending, size: int) -> list[Line]:
    assert judged.row is not None, "a party's message without a bar stands on a row"
    fields: dict[str, Json] = {**_situation(scene), "row": judged.row.id, "bytes": size}
    return accepted_lines(means, scene.network, scene.envelope, scene.to, fields, requester=scene.requester)


def _refused_line(means: Means, scene: _Scene, reason: str) -> Line:
    """It never became a message of ours: the line has no message id."""
    told = line(
        means,
        scene.network,
        Event.MESSAGE_REFUSED,
        scene.envelope,
        scene.to.ura,
        {**_situation(scene), "reason": reason},
        requester=scene.requester,
        at=scene.at,
    )
    fields = {name: value for name, value in told.fields.items() if name != "message"}
    return replace(told, fields=fields)


def _situation(scene: _Scene) -> dict[str, Json]:
    in_force = regimes.active(scene.network.switches, scene.at)
    listed: list[Json] = [regime.value for regime in sorted(in_force)]
    return {**circumstances(scene.call.situation, scene.at), "regimes": listed}
