"""What does a flow work with? The stores, the outbound door and the clock, handed in; and the words flows share.

Values only: no flow makes any of these, the composition root does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from gateway.rules.access import Permit
from gateway.rules.exchange import (
    Address,
    Answer,
    AortaId,
    Category,
    Failure,
    PatientKey,
    Query,
    Requester,
    Situation,
)
from gateway.rules.identifiers import Bsn, Ura
from gateway.rules.journal import Event, Json, Line
from gateway.rules.message import MessageEvent, Reply, Sender, State
from gateway.rules.network import Network, Organisation
from gateway.rules.sending import Leave
from gateway.stores import journal, register
from gateway.stores.index import Index
from gateway.stores.keys import Keys
from gateway.stores.ledger import Ledger, Transaction
from gateway.stores.sealing import Seals

_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")


class Door(Protocol):
    """The one road to a source: takes a Permit, gives an answer or a classified failure by `deadline` (loop time)."""

    async def ask(
        self, permit: Permit, query: Query, address: Address, *, token: str, aorta: AortaId, deadline: float
    ) -> Answer | Failure: ...


class Vouch(Protocol):
    """Signs the voucher a source gets along with a query."""

    def __call__(
        self, permit: Permit, requester: Requester, situation: Situation, query: Query, aorta: AortaId
    ) -> str: ...


class Post(Protocol):
    """The outbound door for messages: delivers one, with leave, by `deadline` (loop time). Never raises for what a
    recipient does."""

    async def deliver(self, leave: Leave, body: bytes, *, token: str, aorta: AortaId, deadline: float) -> Reply: ...


class Letters(Protocol):
    """Writes the exchange's own messages (FHIR message Bundles). `id` is the MessageHeader's; `at` domain time."""

    def disclosure_notice(
        self, id: str, *, at: datetime, patient: Bsn, requester: Requester, basis: str, row: str, custodian: Ura
    ) -> bytes: ...

    def enrolment_changed(self, id: str, *, at: datetime, patient: Bsn, current: Organisation, since: str) -> bytes: ...

    def undeliverable(
        self, id: str, *, at: datetime, message_id: str, event: MessageEvent, state: State, reason: str
    ) -> bytes: ...


class VouchDelivery(Protocol):
    """Signs the voucher a recipient gets along with a message; `sender` None: the exchange itself."""

    def __call__(self, leave: Leave, sender: Sender | None, patient: Bsn | None, aorta: AortaId) -> str: ...


@dataclass(frozen=True, slots=True)
class Mail:
    """What the flows of messages use beside the rest. `reached` is told each named point of a message's way; nothing
    listens to it but a test that ends the process there."""

    post: Post
    seals: Seals
    letters: Letters
    vouch: VouchDelivery
    alert_at: int
    """How many GPs of record one practice may replace in a day before an alert is raised."""
    reached: Callable[[str], None] = lambda _point: None


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds a whole query may take, and how much of that is kept for releasing the answer."""

    routine: float = 8.0
    emergency: float = 4.0
    release: float = 0.1


class Moved(Exception):
    """Something the decision rests on changed between gathering and writing: gather again."""


class Live:
    """The network as all workers see it: reloaded as soon as its version in the ledger differs."""

    def __init__(self, ledger: Ledger, wall: Callable[[], datetime]) -> None:
        self._ledger, self.wall = ledger, wall
        self._known: Network | None = None

    async def network(self, seen: Network | None = None) -> Network:
        """The current network. `seen`: the one this same call has just looked at, which is not looked up again unless
        it was found stale since. Raises LedgerUnavailable."""
        known = self._known
        if known is None or (known is not seen and known.version != self._ledger.version()):
            known = self._known = await self._ledger.read(register.load)
        return known

    @property
    def revoked(self) -> frozenset[str]:
        """Serial numbers the exchange itself has revoked, as of the last look; whoever acts has just looked."""
        return self._known.revoked if self._known is not None else frozenset()

    def forget(self) -> None:
        """Drop what is known, after a transaction found it stale."""
        self._known = None

    def domain(self, network: Network) -> datetime:
        """Now, in domain time."""
        return network.domain(self.wall())


@dataclass(frozen=True, slots=True)
class Means:
    """Everything a flow may use."""

    ledger: Ledger
    index: Index
    sources: Door
    keys: Keys
    live: Live
    vouch: Vouch
    deadlines: Deadlines
    new_id: Callable[[], str]
    mail: Mail


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call. `party` tells who is calling as the register and the revocation lists say at that moment,
    so that a release can ask again. `seen` is the network by which the caller was let in."""

    aorta: AortaId
    situation: Situation
    party: Callable[[Network], Requester]
    interaction: str
    seen: Network | None = None


def check_unmoved(tx: Transaction, network: Network, patient: PatientKey, patient_version: int) -> None:
    """Raises Moved unless the network and everything about this patient are as they were gathered."""
    if register.versions(tx, patient) != (network.version, patient_version):
        raise Moved


def who(requester: Requester) -> dict[str, Json]:
    """The journal fields that name who acted, and who was responsible."""
    fields: dict[str, Json] = {
        "organisation": requester.ura.digits,
        "organisation_name": requester.name,
        "organisation_type": requester.organisation_type,
        "application": requester.application.digits,
    }
    if requester.department:
        fields["department"] = requester.department
    if requester.actor:
        actor = requester.actor
        fields |= {"actor": actor.uzi, "actor_name": actor.name, "actor_role": actor.role}
    if requester.responsible:
        them = requester.responsible
        fields |= {"responsible": them.uzi, "responsible_name": them.name, "responsible_role": them.role}
    return fields


def circumstances(situation: Situation, at: datetime) -> dict[str, Json]:
    """The journal fields that tell in what situation the call was made; `local_hour` is the Dutch hour of the day."""
    fields: dict[str, Json] = {
        "purpose": situation.purpose,
        "cover": situation.cover,
        "capacity": situation.capacity,
        "local_hour": at.astimezone(_DUTCH_TIME).hour,
    }
    if situation.contact:
        fields |= {"contact": situation.contact.id, "contact_kind": situation.contact.kind}
    if situation.verbal_consent:
        fields["attestation"] = situation.verbal_consent.id
    return fields


async def note_index_unavailable(means: Means, call: Call, category: Category, patient: Bsn) -> None:
    """Write that a request failed because the reference index could not be read."""
    network = await means.live.network()
    requester = call.party(network)
    line = Line(
        Event.QUERY_FAILED,
        at=means.live.domain(network),
        wall=means.live.wall(),
        aorta=call.aorta,
        patient=means.keys.patient(patient),
        requester=requester.ura,
        fields={
            **who(requester),
            "category": category,
            "interaction": call.interaction,
            "reason": "index-unavailable",
        },
    )
    await means.ledger.commit(lambda tx: journal.append(tx, line))
