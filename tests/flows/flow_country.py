"""What do the tests of the flows act on? A whole country in one process: real ledger and index, a scripted door.

Every source's answer, every failure of a store and the time are set by the test; `during` runs inside the call to a
source, so that an interleaving is exact. All numbers of patients lie in 9999xxxxx and are worked out here.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from watched import Door, Letters, PostDoor, WatchedIndex, WatchedLedger

from gateway.flows import consent, operating, registration, return_message
from gateway.flows.delivering import Delivery
from gateway.flows.means import Call, Deadlines, Live, Mail, Means
from gateway.rules.choice import Choice, Party, Say, Scope
from gateway.rules.exchange import (
    SEH,
    AortaId,
    Category,
    Contact,
    ContactKind,
    GivenBy,
    Professional,
    Purpose,
    Query,
    Regime,
    Requester,
    Responsible,
    Situation,
    VerbalConsent,
)
from gateway.rules.identifiers import ApplicationId, Bsn, InvalidIdentifier, Ura, UziNumber
from gateway.rules.message import Message, MessageEvent
from gateway.rules.network import Network, Organisation, RegimeSwitch, Registration, System
from gateway.stores import journal, outbox, register
from gateway.stores.index_sql import SqlIndex
from gateway.stores.journal import Kept
from gateway.stores.keys import Keys
from gateway.stores.ledger import open_ledger
from gateway.stores.outbox import Counts, Held
from gateway.stores.sealing import Seals

START = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


def numbers() -> Iterator[Bsn]:
    for number in range(999_960_000, 999_970_000):
        try:
            yield Bsn(str(number))
        except InvalidIdentifier:
            continue


US, THEM, NOBODY = itertools.islice(numbers(), 3)


class Party_(NamedTuple):
    """A participant of this country; the certificate's serial number is what can be revoked."""

    ura: Ura
    application: ApplicationId
    type: str
    departments: frozenset[str] = frozenset()
    endpoint: str | None = None

    @property
    def serial(self) -> str:
        return f"{int(self.ura.digits):X}"


def _party(ura: str, type: str, *departments: str, endpoint: bool = False) -> Party_:
    address = f"https://source-{ura}.test/fhir" if endpoint else None
    return Party_(Ura(ura), ApplicationId(ura[-3:]), type, frozenset(departments), address)


PRACTICE = _party("90000101", "Z3", endpoint=True)
PRACTICE_2 = _party("90000102", "Z3", endpoint=True)
PHARMACY = _party("90000201", "J8", endpoint=True)
PHARMACY_2 = _party("90000202", "J8", endpoint=True)
POST = _party("90000301", "N6")
POST_2 = _party("90000302", "N6")
HOSPITAL = _party("90000401", "V4", SEH)
AMBULANCE = _party("90000501", "AMB")
PARTIES = (PRACTICE, PRACTICE_2, PHARMACY, PHARMACY_2, POST, POST_2, HOSPITAL, AMBULANCE)

GP, SEH_PHYSICIAN, PHARMACIST, PARAMEDIC, ASSISTANT = "01.015", "01.071", "17.000", "80.000", "83.000"


class Country:
    """Participants, stores, door and clock, with the acts a test needs in one word each."""

    def __init__(self, path: Path) -> None:
        self.now = START
        self.real_ledger = open_ledger(f"sqlite://{path}")
        keys = Keys(bytes(range(32)))
        self.ledger = WatchedLedger(self.real_ledger)
        self.index = WatchedIndex(SqlIndex(self.real_ledger, keys))
        self.door = Door()
        self.post = PostDoor()
        self.reached: list[str] = []
        self._ids = itertools.count(1)
        self.means = Means(
            ledger=self.ledger,  # type: ignore[arg-type]
            index=self.index,
            sources=self.door,
            keys=keys,
            live=Live(self.ledger, lambda: self.now),  # type: ignore[arg-type]
            vouch=lambda permit, requester, situation, query, aorta: f"voucher {permit.row.id} {aorta.request}",
            deadlines=Deadlines(),
            new_id=lambda: f"00000000-0000-4000-8000-{next(self._ids):012}",
            mail=Mail(
                post=self.post,
                seals=Seals({"key-1": bytes(range(32))}),
                letters=Letters(),
                vouch=lambda leave, sender, patient, aorta: f"{leave.row.id if leave.row else 'notice'} {patient}",
                alert_at=3,
                reached=self.reached.append,
            ),
        )
        self.delivery = self.deliverer("one")

    async def settle(self) -> None:
        """Everybody joins; nothing of it in the journal."""

        await self.real_ledger.commit(lambda tx: _join(tx, PARTIES))

    # --- who asks ----------------------------------------------------------------------------------------------------

    def call(
        self,
        of: Party_ = POST,
        role: str | None = GP,
        *,
        department: str | None = None,
        responsible: Responsible | None = None,
        interaction: str = "search-Bundle",
        **situation: Any,
    ) -> Call:
        """A call: by default a covering GP in a visit. Facts of the register are asked anew at every `party`."""
        actor = None if role is None else Professional("000000001", "Test Actor", role)
        given = {"contact": self.contact(), "cover": True} | situation

        def party(network: Network) -> Requester:
            known = network.organisations.get(of.ura)
            return Requester(
                ura=of.ura,
                name=known.name if known else "",
                organisation_type=known.organisation_type if known else "",
                application=of.application,
                department=department if known and department in known.departments else None,
                actor=actor,
                responsible=responsible,
                revoked=known is None or of.serial in network.revoked,
            )

        return Call(self.aorta(), Situation(**given), party, interaction)

    def aorta(self) -> AortaId:
        return AortaId(self.means.new_id(), self.means.new_id())

    def contact(self, kind: ContactKind = ContactKind.VISIT, *, hours_ago: float = 1, **more: Any) -> Contact:
        return Contact("contact-1", kind, self.now - timedelta(hours=hours_ago), **more)

    def emergency(self, of: Party_ = HOSPITAL, role: str = SEH_PHYSICIAN, **situation: Any) -> Call:
        """An emergency department's call, or an ambulance's on a ride."""
        kind = ContactKind.RIDE if of is AMBULANCE else ContactKind.VISIT
        given = {"purpose": Purpose.ETREAT, "contact": self.contact(kind), "cover": False} | situation
        return self.call(of, role, department=None if of is AMBULANCE else SEH, **given)

    def verbal(self, given_by: GivenBy = GivenBy.PATIENT, id: str = "a-1", *, hours_ago: float = 0) -> VerbalConsent:
        return VerbalConsent(id, given_by, self.now - timedelta(hours=hours_ago), "Test Recorder")

    # --- what is so --------------------------------------------------------------------------------------------------

    async def say(
        self,
        say: Say = Say.YES,
        custodian: Party_ | None = PRACTICE,
        *,
        patient: Bsn = US,
        sender: Party_ | None = None,
        categories: set[Category] | None = None,
        requesters: set[str] | None = None,
        emergency_only: bool = False,
        effective: datetime | None = None,
        by: set[Party] | None = None,
        birth_date: date | None = None,
        resource: str | None = None,
        expected_version: int | None = None,
    ) -> consent.Kept:
        scope = Scope(
            custodian.ura if custodian else None,
            None if categories is None else frozenset(categories),
            None if requesters is None else frozenset(requesters),
            emergency_only,
        )
        choice = Choice(patient, scope, say, effective, frozenset(by or {Party.PATIENT}), birth_date=birth_date)
        who = None if sender is None else self.call(sender, None).party(await self.means.live.network())
        return await consent.state_choice(
            self.means,
            choice,
            aorta=self.aorta(),
            sender=who,
            resource=resource,
            expected_version=expected_version,
        )

    async def register(
        self,
        custodian: Party_ = PRACTICE,
        category: Category = Category.GP_SUMMARY,
        *,
        patient: Bsn = US,
        latent: bool = False,
        named: Party_ | None = None,
        system: ApplicationId | None = None,
    ) -> Any:
        about = named or custodian
        system = system or about.application
        wanted = Registration(patient, about.ura, system, category, latent, "2026-11-01")
        return await registration.register_entry(self.means, self.call(custodian, None), wanted)

    async def open(
        self, custodian: Party_ = PRACTICE, category: Category = Category.GP_SUMMARY, *, patient: Bsn = US
    ) -> Any:
        """A yes to this custodian, and its entry."""
        await self.say(Say.YES, custodian, patient=patient)
        return await self.register(custodian, category, patient=patient)

    async def regime(self, regime: Regime, on: bool = True, *, until: datetime | None = None) -> None:
        await operating.switch_regime(self.means, RegimeSwitch(regime, on, self.now, "operator", "test", until))

    async def revoke(self, party: Party_) -> None:
        await operating.revoke(self.means, party.serial, by="operator", reason="test")

    async def move(self, custodian: Party_, endpoint: str) -> None:
        """The participant's system gets another endpoint."""
        network = await self.means.live.network()
        system = replace(network.systems[custodian.application], endpoint=endpoint)
        await operating.join(self.means, network.organisations[custodian.ura], system, by="operator")

    def tick(self, **passed: float) -> None:
        self.now += timedelta(**passed)

    # --- messages ----------------------------------------------------------------------------------------------------

    def deliverer(self, claimant: str) -> Delivery:
        """A process that delivers: without jitter, and never really waiting for the ledger."""

        async def pause(_seconds: float) -> None:
            await asyncio.sleep(0)

        return Delivery(self.means, claimant=claimant, jitter=lambda: 0.0, pause=pause)

    async def enrol(
        self, practice: Party_ = PRACTICE, *, patient: Bsn = US, since: str = "2026-11-01"
    ) -> registration.Registered:
        wanted = Registration(patient, practice.ura, practice.application, Category.ENROLMENT, False, since)
        done = await registration.register_entry(self.means, self.call(practice, None), wanted)
        assert isinstance(done, registration.Registered)
        return done

    async def end(self, practice: Party_, id: str) -> None:
        """The practice ends one of its own entries."""
        await registration.end_entry(self.means, self.call(practice, None), id)

    async def send(
        self,
        id: str = "m-1",
        body: bytes = b"a return message",
        *,
        of: Party_ = POST,
        to: Ura | None = None,
        patient: Bsn = US,
        call: Call | None = None,
        sender: Ura | None = None,
    ) -> return_message.Outcome:
        """A return message, or a referral when it names a recipient."""
        event = MessageEvent.RETURN_MESSAGE if to is None else MessageEvent.REFERRAL
        message = Message(id, event, sender or of.ura, patient, to)
        return await return_message.accept(self.means, call or self.call(of), message, body, certificate=of.serial)

    async def held(self, message_id: str = "m-1", of: Ura | None = POST.ura) -> Held:
        found = await self.real_ledger.read(lambda tx: outbox.by_key(tx, of, message_id))
        assert found is not None
        return found[0]

    async def rounds(self, *seconds: float) -> list[int]:
        """A round after each of these waits; how many attempts each began."""
        began = []
        for wait in seconds:
            self.tick(seconds=wait)
            began.append(await self.delivery.round())
        return began

    async def counts(self) -> Counts:
        return await self.real_ledger.read(outbox.counts)

    # --- what was written --------------------------------------------------------------------------------------------

    async def lines(self) -> list[Kept]:
        return await self.real_ledger.read(lambda tx: journal.tail(tx, 0, 100_000))

    async def forget(self) -> int:
        """Where the journal stands now: hand to `transcript` to see only what follows."""
        return await self.real_ledger.read(journal.last)

    def counted(self) -> dict[str, int]:
        """The operations since the last time this was asked."""
        counts = {**self.ledger.counts, **{f"index {name}": n for name, n in self.index.counts.items()}}
        self.ledger.counts, self.index.counts = {}, {}
        return counts


async def more_posts(country: Country, number: int) -> list[Party_]:
    """So many GP posts more, each with an endpoint."""
    made = [_party(f"9000{at:04}", "N6", endpoint=True) for at in range(1000, 1000 + number)]
    made = [one._replace(application=ApplicationId(one.ura.digits)) for one in made]
    await country.real_ledger.commit(lambda tx: _join(tx, made))
    return made


def _join(tx: Any, parties: Iterable[Party_]) -> None:
    for one in parties:
        register.put_organisation(tx, Organisation(one.ura, one.type, f"Test {one.ura}", one.departments))
        register.put_system(tx, System(one.application, one.ura, UziNumber(f"0{one.ura}"), one.endpoint))


def summary(patient: Bsn = US) -> Query:
    return Query(Category.GP_SUMMARY, "Bundle", patient, "composition.patient.identifier")


def medication(patient: Bsn = US) -> Query:
    return Query(Category.MEDICATION, "MedicationDispense", patient, "patient.identifier")


def limits(patient: Bsn = US) -> Query:
    return Query(Category.TREATMENT_LIMITS, "Consent", patient, "patient.identifier")
