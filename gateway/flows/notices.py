"""What does the exchange itself tell a practice or a sender? Notices, sealed into the outbox like any other message.

A notice is drafted before the transaction that gives cause for it, and written in it: either both happened or neither.
One that fails never makes another. Source: domain.md sections 4 and 6 (told to the GP; IDX-2), interface.md section 4.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.flows.enveloping import accepted_lines, destination, seal
from gateway.flows.means import Means
from gateway.rules.access import Permit
from gateway.rules.exchange import AortaId, PatientKey, Requester
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.message import Envelope, MessageEvent, State
from gateway.rules.network import Network
from gateway.stores import enrolments, journal, outbox
from gateway.stores.ledger import Transaction
from gateway.stores.outbox import Held
from gateway.stores.sealing import Sealed


@dataclass(frozen=True, slots=True)
class Draft:
    """A notice that is sealed but not yet in the outbox."""

    envelope: Envelope
    sealed: Sealed
    digest: bytes
    size: int


def write(means: Means, tx: Transaction, network: Network, draft: Draft) -> None:
    """Put a drafted notice in the outbox, parked when it has nowhere to go, with its journal lines."""
    envelope = draft.envelope
    named = envelope.recipient is not None
    gp = None if named else enrolments.gp_of_record(tx, envelope.patient, envelope.accepted)
    to = destination(network, envelope, gp)
    outbox.accept(tx, envelope, draft.digest, draft.sealed, lane=to.ura, reason=to.missing)
    for one in accepted_lines(means, network, envelope, to, {"bytes": draft.size}):
        journal.append(tx, one)


def disclosure_notice(
    means: Means,
    patient: Bsn,
    key: PatientKey,
    requester: Requester,
    permit: Permit,
    *,
    at: datetime,
    aorta: AortaId,
) -> Draft:
    """Tells the GP of record that this permit, on verbal or presumed consent, led to a disclosure."""
    id = means.new_id()
    letter = means.mail.letters.disclosure_notice(
        id,
        at=at,
        patient=patient,
        requester=requester,
        basis=permit.basis.value,
        row=permit.row.id,
        custodian=permit.pointer.custodian,
    )
    envelope = _envelope(means, id, MessageEvent.DISCLOSURE_NOTICE, key, None, None, at, aorta)
    return _draft(means, envelope, patient, letter)


def enrolment_changed(
    means: Means,
    patient: Bsn,
    key: PatientKey,
    network: Network,
    current: Ura,
    since: str,
    *,
    former: tuple[Ura, ApplicationId],
    at: datetime,
    aorta: AortaId,
) -> Draft:
    """Tells the former practice that the patient is enrolled with another since a day (`since`, a FHIR date)."""
    id = means.new_id()
    organisation = network.organisations[current]
    letter = means.mail.letters.enrolment_changed(id, at=at, patient=patient, current=organisation, since=since)
    envelope = _envelope(means, id, MessageEvent.ENROLMENT_CHANGED, key, former[0], former[1], at, aorta)
    return _draft(means, envelope, patient, letter)


def undeliverable(
    means: Means, network: Network, held: Held, state: State, reason: str, *, at: datetime
) -> Draft | None:
    """Tells the sender's own application that its message ended so. None for a message of the exchange itself, and
    where the application has no endpoint: then the Task tells."""
    failed, sender = held.envelope, held.envelope.sender
    system = network.systems.get(sender.application) if sender else None
    if sender is None or system is None or system.ura != sender.ura or system.endpoint is None:
        return None
    id = means.new_id()
    letter = means.mail.letters.undeliverable(
        id, at=at, message_id=failed.message_id, event=failed.event, state=state, reason=reason
    )
    envelope = _envelope(
        means, id, MessageEvent.UNDELIVERABLE, failed.patient, sender.ura, sender.application, at, failed.aorta
    )
    return _draft(means, envelope, None, letter)


def _envelope(
    means: Means,
    id: str,
    event: MessageEvent,
    patient: PatientKey,
    recipient: Ura | None,
    system: ApplicationId | None,
    at: datetime,
    aorta: AortaId,
) -> Envelope:
    """Of the same chain as what caused it. The Task's id and the message's are one: nobody asks for this Task."""
    return Envelope(
        id=id,
        event=event,
        message_id=id,
        sender=None,
        patient=patient,
        recipient=recipient,
        recipient_system=system,
        accepted=at,
        aorta=replace(aorta, request=means.new_id()),
    )


def _draft(means: Means, envelope: Envelope, patient: Bsn | None, letter: bytes) -> Draft:
    sealed = seal(means, envelope, patient, letter)
    return Draft(envelope, sealed, hashlib.sha256(letter).digest(), len(letter))
