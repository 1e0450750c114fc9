"""How is a message put away, addressed and named in the journal? What all flows of messages do the same way.

Content is sealed the moment it is taken in and unsealed only to be delivered. Knows no rule and no schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gateway.flows.means import Means, who
from gateway.rules.exchange import Address, AortaId, Requester, Situation
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.journal import Event, Json, Line
from gateway.rules.message import Envelope, MessageEvent, Reason, Sender
from gateway.rules.network import Network, Organisation
from gateway.stores.enrolments import Enrolment
from gateway.stores.sealing import Sealed, Unreadable

_BSN_LENGTH = 9
_NOBODY = b" " * _BSN_LENGTH
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


# --- content ---------------------------------------------------------------------------------------------------------


def seal(means: Means, envelope: Envelope, patient: Bsn | None, body: bytes) -> Sealed:
    """The content as it rests: nine bytes for the patient's number (spaces when the message is about none), then the
    message as it came; sealed so that it opens under this envelope only."""
    number = _NOBODY if patient is None else patient.digits.encode()
    return means.mail.seals.seal(number + body, _bound(envelope))


def unseal(means: Means, envelope: Envelope, sealed: Sealed | None) -> tuple[Bsn | None, bytes]:
    """The patient and the message. Raises Unreadable, also when there is no payload any more."""
    if sealed is None:
        raise Unreadable("the payload is gone")
    content = means.mail.seals.unseal(sealed, _bound(envelope))
    number, body = content[:_BSN_LENGTH], content[_BSN_LENGTH:]
    return (None if number == _NOBODY else Bsn(number.decode())), body


def _bound(envelope: Envelope) -> bytes:
    sender = envelope.sender.ura.digits if envelope.sender else ""
    return "\0".join((envelope.id, sender, envelope.message_id)).encode()


# --- who and where ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a message should go at one moment: the organisation and its system's address, or why it must wait."""

    ura: Ura | None
    organisation: Organisation | None
    address: Address | None
    missing: Reason | None


def destination(network: Network, envelope: Envelope, gp: Enrolment | None) -> Destination:
    """Resolve the recipient: the one named, else the GP of record. Its named system goes before its others."""
    ura = envelope.recipient or (gp.custodian if gp else None)
    if ura is None:
        return Destination(None, None, None, Reason.NO_GP_OF_RECORD)
    wanted = envelope.recipient_system or (gp.system if gp and gp.custodian == ura else None)
    address = address_at(network, ura, wanted)
    return Destination(ura, network.organisations.get(ura), address, None if address else Reason.NO_ENDPOINT)


def address_at(network: Network, ura: Ura, wanted: ApplicationId | None) -> Address | None:
    """The endpoint of this organisation's wanted system, else of its first system that has one."""
    reachable = [system for system in network.systems.values() if system.ura == ura and system.endpoint]
    if not reachable:
        return None
    first = min(reachable, key=lambda system: (system.application != wanted, system.application))
    return Address(ura, first.application, first.endpoint or "")


def sender_now(network: Network, sender: Sender) -> Requester:
    """The sender by the register of this moment; gone, or its certificate revoked since: no longer a party."""
    system = network.systems.get(sender.application)
    organisation = network.organisations.get(sender.ura) if system and system.ura == sender.ura else None
    departments = organisation.departments if organisation else frozenset()
    return Requester(
        ura=sender.ura,
        name=organisation.name if organisation else "",
        organisation_type=organisation.organisation_type if organisation else "",
        application=sender.application,
        department=sender.department if sender.department in departments else None,
        actor=sender.actor,
        responsible=sender.responsible,
        revoked=organisation is None or sender.certificate in network.revoked,
    )


def as_when_sent(sender: Requester, situation: Situation, under_way: timedelta) -> tuple[Requester, Situation]:
    """Both with every moment moved along by the time the message is under way. The act of sending was done at
    acceptance: contact, mandate and attestation must have been good then, and do not age on the road."""
    contact, verbal, responsible = situation.contact, situation.verbal_consent, sender.responsible
    if contact is not None:
        end = None if contact.end is None else _along(contact.end, under_way)
        contact = replace(contact, start=_along(contact.start, under_way), end=end)
    if verbal is not None:
        verbal = replace(verbal, at=_along(verbal.at, under_way))
    if responsible is not None and responsible.mandate_until is not None:
        responsible = replace(responsible, mandate_until=_along(responsible.mandate_until, under_way))
    return replace(sender, responsible=responsible), replace(situation, contact=contact, verbal_consent=verbal)


def _along(at: datetime, by: timedelta) -> datetime:
    """Moved along, no further than a calendar reaches: a token may say "until the end of time"."""
    try:
        return at + by
    except OverflowError:
        return _LAST if by > timedelta(0) else _FIRST


# --- in the journal --------------------------------------------------------------------------------------------------


def line(
    means: Means,
    network: Network,
    event: Event,
    envelope: Envelope,
    to: Ura | None,
    more: dict[str, Json],
    *,
    requester: Requester | None = None,
    aorta: AortaId | None = None,
    at: datetime | None = None,
) -> Line:
    """A journal line about a message on its way to `to`. `requester`: the sender as the register knows it, looked up
    when not given; a message of the exchange itself names none."""
    sender = requester or (sender_now(network, envelope.sender) if envelope.sender else None)
    return Line(
        event,
        at=at or means.live.domain(network),
        wall=means.live.wall(),
        aorta=aorta or envelope.aorta,
        patient=envelope.patient,
        custodian=sender.ura if sender and envelope.event is MessageEvent.REFERRAL else to,
        requester=sender.ura if sender else None,
        fields={**_named(network, sender, envelope, to), **more},
    )


def accepted_lines(
    means: Means,
    network: Network,
    envelope: Envelope,
    to: Destination,
    fields: dict[str, Json],
    *,
    requester: Requester | None = None,
) -> list[Line]:
    """What is written when a message is taken in: accepted, and parked at once when it cannot go anywhere."""
    at = envelope.accepted
    accepted = line(means, network, Event.MESSAGE_ACCEPTED, envelope, to.ura, fields, requester=requester, at=at)
    if to.missing is None:
        return [accepted]
    why: dict[str, Json] = {"reason": to.missing.value}
    return [accepted, line(means, network, Event.MESSAGE_PARKED, envelope, to.ura, why, requester=requester, at=at)]


def _named(network: Network, sender: Requester | None, envelope: Envelope, to: Ura | None) -> dict[str, Json]:
    fields: dict[str, Json] = {"message": envelope.id, "message_event": envelope.event}
    if sender is not None:
        fields |= who(sender)
    if to is not None:
        organisation = network.organisations.get(to)
        fields |= {"recipient": to.digits, "recipient_name": organisation.name if organisation else ""}
    return fields
