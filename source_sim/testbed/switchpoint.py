"""What can a test do with a country? Add practices, patients and posts, set the clock, look into the journal.

Everything it adds is marked as test, and all that happens, happens over the exchange's own interface. Knows all of the
testbed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, TypeVar

from gateway.rules.identifiers import ApplicationId
from source_sim import requesters as personas
from source_sim.country import KINDS, Participant
from source_sim.custodians import Choice
from source_sim.offered import Kind
from source_sim.population import Person, Profile
from source_sim.requesters import Persona
from source_sim.systems import SimulatedSystem
from source_sim.testbed.clock import Clock, Regimes
from source_sim.testbed.custodians import Custodian, GpPractice, Pharmacy
from source_sim.testbed.elsewhere import Elsewhere
from source_sim.testbed.mail import Outbox
from source_sim.testbed.patients import Patient, no, yes
from source_sim.testbed.planting import plant, planted
from source_sim.testbed.requesters import Requester
from source_sim.testbed.roll import Roll
from source_sim.testbed.sources import Faults, Records, set_up, set_up_own
from source_sim.testbed.transcript import DUTCH_TIME, Transcript
from source_sim.testbed.world import World

C = TypeVar("C", bound=Custodian)
Consents = str | Sequence[Choice]
_RECEIVERS = frozenset({Kind.GP_POST, Kind.HOSPITAL, Kind.AMBULANCE})


class Switchpoint:
    """A whole country with its exchange. Close it, or use it as a context manager."""

    def __init__(self, world: World, roll: Roll | None = None) -> None:
        self._world, self._roll = world, roll or Roll(world.seed)
        self.clock, self.regime, self.outbox = Clock(world), Regimes(world), Outbox(world)
        self.journal: Transcript = world.journal
        self._systems: dict[str, SimulatedSystem] = {}
        self._standing: dict[str, Custodian] = {}

    def __enter__(self) -> Switchpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._world.close()

    @property
    def url(self) -> str:
        """The exchange's address; only a live country answers there to others."""
        return self._world.ground.base

    @property
    def desk_url(self) -> str:
        """The desk's address, empty in process."""
        return self._world.ground.desk

    @property
    def jwks(self) -> dict[str, Any]:
        """The exchange's public keys, for a source of your own."""
        return self._world.jwks

    def report(self) -> str:
        """What happened, for people: the transcript, and what came close for the answers given."""
        less = [answer.why.partition("the journal:")[0].rstrip() for answer in self._world.answers if answer.misses]
        return "\n\n".join([str(self.journal), *less])

    # --- organisations -----------------------------------------------------------------------------------------------

    def gp_practice(self, name: str | None = None, *, type: str = "Z3", source: Any = None) -> GpPractice:
        """A GP practice with its system. `source`: an ASGI application or https URL of a system of your own."""
        return self._kept(GpPractice(*self._custodian("gp-practice", Kind.GP_PRACTICE, name, type, source)))

    def pharmacy(self, name: str | None = None, *, type: str = "J8", source: Any = None) -> Pharmacy:
        """A pharmacy with its system."""
        return self._kept(Pharmacy(*self._custodian("pharmacy", Kind.PHARMACY, name, type, source)))

    def _custodian(self, key: str, kind: Kind, name: str | None, type: str, source: Any) -> Any:
        one = self._roll.next(key, name, type)
        while any(one.ura == other.ura or one.key == other.key for other in self._standing.values()):
            one = self._roll.next(key, name, type)
        return self._stood(one, kind, source)

    def _stood(self, one: Participant, kind: Kind, source: Any = None) -> Any:
        """What a custodian is made of, once its system stands."""
        world = self._world
        if source is not None:
            endpoint, board = set_up_own(world, one, source)
            return one.key, one, endpoint, board and Faults(world, one.ura, board), world, Records(world)
        system, records = set_up(world, one, kind)
        self._systems[one.ura] = system
        return one.key, one, system.endpoint, Faults(world, one.ura, system.faults), world, records, system

    def custodian(self, which: str | Participant) -> Custodian:
        """The practice or pharmacy with this key or URA; one of the simulated country (a participant) is set up if it
        does not stand yet. Raises KeyError."""
        wanted = {which} if isinstance(which, str) else {which.key, which.ura}
        known = next((one for one in self._standing.values() if wanted & {one.key, one.ura}), None)
        if known is None and isinstance(which, Participant):
            practice = which.organisation_type == "Z3"
            parts = self._stood(self._roll.settle(which), Kind.GP_PRACTICE if practice else Kind.PHARMACY)
            known = self._kept(GpPractice(*parts) if practice else Pharmacy(*parts))
        if known is None:
            raise KeyError(f"no custodian {which!r} stands here")
        return known

    def found(self, one: Participant) -> Custodian:
        """A custodian of the simulation that is running: nothing of it is ours to change, but when it gets its mail."""
        self._world.know(one)
        self._world.deliver_when_told(one)
        system = self._world.network().systems[ApplicationId(one.application)]
        kind = GpPractice if one.organisation_type == "Z3" else Pharmacy
        there = Elsewhere(one.ura, self._world, self.outbox.ids)
        return kind(one.key, one, system.endpoint or "", None, self._world, Records(self._world), there)

    def _kept(self, custodian: C) -> C:
        self._standing[custodian.ura] = custodian
        return custodian

    def gp_post(self, name: str | None = None, *, client: Any = None) -> Requester:
        """An after-hours GP post. `client`: a callable of your own that asks instead of ours."""
        return self._requester("gp-post", personas.gp_post, name, client)

    def emergency_department(self, name: str | None = None, *, client: Any = None) -> Requester:
        """A hospital's emergency department."""
        return self._requester("emergency-department", personas.emergency_department, name, client)

    def specialist(self, name: str | None = None, *, client: Any = None) -> Requester:
        """A specialist in a hospital."""
        return self._requester("specialist", personas.specialist, name, client)

    def ambulance(self, name: str | None = None, *, client: Any = None) -> Requester:
        """An ambulance service."""
        return self._requester("ambulance", personas.ambulance, name, client)

    def covering_pharmacy(self, name: str | None = None, *, client: Any = None) -> Requester:
        """A pharmacy that covers for others."""
        return self._requester("covering-pharmacy", personas.covering_pharmacy, name, client)

    def organisation(
        self,
        type: str,
        name: str | None = None,
        *,
        role: str = "01.015",
        departments: Sequence[str] = (),
        client: Any = None,
    ) -> Requester:
        """Any other organisation that asks: of this type, by a person with this role."""
        one = replace(self._roll.next("other", name, type), departments=tuple(departments))
        persona = Persona(type, "900000190", "Test Vrager", role, "consultation")
        return self._enter(Requester(one.key, one, persona, self._world, client))

    def _requester(self, key: str, persona: Persona, name: str | None, client: Any) -> Requester:
        one = self._roll.next(key, name)
        return self._enter(Requester(one.key, one, persona, self._world, client))

    def _enter(self, requester: Requester) -> Requester:
        """Register it, with a place for messages where its kind takes any."""
        one, kind = requester.participant, KINDS.get(requester.participant.organisation_type)
        known = self._systems.get(one.ura)
        if known is None and kind in _RECEIVERS:
            known, _ = set_up(self._world, one, Kind(kind))
            self._systems[one.ura] = known
        elif known is None:
            self._world.enter(one, None)
        if known is not None:
            requester.system, requester.faults = known, Faults(self._world, one.ura, known.faults)
        return requester

    # --- patients ----------------------------------------------------------------------------------------------------

    def patient(
        self,
        key: str | None = None,
        *,
        gp: GpPractice | None = None,
        pharmacy: Pharmacy | Sequence[Pharmacy] | None = None,
        consents: Consents = "all",
        born: date | int | None = None,
        record: str | Profile = Profile.TYPICAL,
        bsn: str | None = None,
        latent: bool = False,
    ) -> Patient:
        """A patient, enrolled with `gp` and known at each `pharmacy`. `consents`: `all` (yes to each, and registered),
        `none` (undecided, nothing registered unless `latent`), `objected`, or choices made with yes() and no(). `born`
        is a day, or how old she is. `bsn`: any number, to see what comes of a bad one. Raises NotTaken."""
        pharmacies = (pharmacy,) if isinstance(pharmacy, Pharmacy) else tuple(pharmacy or ())
        custodians: tuple[Custodian, ...] = (*((gp,) if gp else ()), *pharmacies)
        person = self._person(born, bsn)
        patient = Patient(key or person.key, person, custodians, self._world, person.bsn)
        self._world.meet(person.bsn)
        for one in custodians:
            one.records.hold(person, Profile(record))
            one.admit(patient, person, _said(consents, one, person), latent=latent, enrolled=True)
        return patient

    def sentinel(self, key: str, *, changing: bool = False) -> Patient:
        """A sentinel patient (interface.md section 6) with her organisations, as in every simulation: `all-open`,
        `objected`, `slow-pharmacy` ... In a running simulation she is the one who lives there, and stays as she is;
        who means to change her (`changing`) has somebody with the same past instead. Raises KeyError for a key that is
        none."""
        if self._world.ground.alone or changing:
            return plant(self, key)
        return planted(self, key)

    def known_patient(
        self, key: str, person: Person, custodians: Sequence[Custodian], *, stays: bool = False
    ) -> Patient:
        """A patient of whom nothing is said or registered yet here; one who `stays` as she is is not ours."""
        one = person if stays else self._roll.alike(person)
        self._world.meet(one.bsn)
        return Patient(key, one, tuple(custodians), self._world, one.bsn, stays)

    def _person(self, born: date | int | None, bsn: str | None) -> Person:
        today = self._world.now().astimezone(DUTCH_TIME).date()
        person = self._roll.person(today)
        if born is not None:
            person = replace(person, birth_date=born if isinstance(born, date) else _years_before(today, born))
        return replace(person, bsn=bsn) if bsn is not None else person

    def meanwhile(self, act: Callable[[], object], *, seconds: float = 1.0) -> None:
        """While the next question is under way, after so many seconds, somebody does this: `lambda: anna.withdraw(gp)`.
        Something must keep the question under way (a slow source); during the act itself time is real."""
        self._world.meanwhile(act, seconds)

    # --- time and mail -----------------------------------------------------------------------------------------------

    def deliver(self) -> int:
        """Deliver what is due now; returns how many attempts that took."""
        return self.outbox.deliver()

    def wait(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Let time pass, and everything that becomes due on the way happen: redelivery, expiry, regimes that end."""
        self.outbox.pass_time(timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds))


def _said(consents: Consents, custodian: Custodian, person: Person) -> list[Choice]:
    """What she says at this custodian. Raises ValueError for a word that is none."""
    if not isinstance(consents, str):
        return [
            replace(one, birth_date=person.birth_date) for one in consents if one.custodian in (None, custodian.ura)
        ]
    ready = {"all": [yes()], "none": [], "objected": [no()]}
    if consents not in ready:
        raise ValueError(f"consents are {', '.join(ready)}, or choices made with yes() and no()")
    return [replace(one, birth_date=person.birth_date) for one in ready[consents]]


def _years_before(day: date, years: int) -> date:
    return day.replace(year=day.year - years, day=min(day.day, 28))
