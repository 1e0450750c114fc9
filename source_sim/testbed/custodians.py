"""What does a practice or pharmacy do in a country of the testbed? Hold records, register them, state consents, refer.

Everything is said over the exchange's own interface, as its system would. Knows the interface; judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from gateway.rules.exchange import Category
from gateway.rules.identifiers import ApplicationId, Bsn
from source_sim import custodians, senders
from source_sim.country import Participant
from source_sim.custodians import Choice
from source_sim.population import Person, Profile
from source_sim.requesters import Reply
from source_sim.systems import LogLine, SimulatedSystem
from source_sim.testbed.elsewhere import Elsewhere
from source_sim.testbed.sending import Desk, Sent
from source_sim.testbed.sources import Faults, Records
from source_sim.testbed.transcript import DUTCH_TIME
from source_sim.testbed.world import World


class NotTaken(AssertionError):
    """The exchange refused what the testbed sets up: status, code and sentence."""

    def __init__(self, what: str, reply: Reply) -> None:
        super().__init__(f"{what}: {reply.status} {reply.code}. {reply.sentence}")
        self.status, self.code = reply.status, reply.code


@dataclass(slots=True, eq=False)
class Custodian:
    """A system that holds records. `key` is what answers call it; `endpoint` where the exchange reaches it.

    With a system of your own there is no `log` or `inbox` here, and faults stand in front of it.
    """

    key: str
    participant: Participant
    endpoint: str
    faults: Faults | None
    world: World = field(repr=False)
    records: Records = field(repr=False)
    system: SimulatedSystem | Elsewhere | None = field(default=None, repr=False)
    categories: ClassVar[tuple[str, ...]] = ()
    """What such a custodian holds."""

    @property
    def ura(self) -> str:
        return self.participant.ura

    @property
    def application(self) -> str:
        return self.participant.application

    @property
    def name(self) -> str:
        return self.participant.name

    @property
    def log(self) -> tuple[LogLine, ...]:
        """What the source itself wrote down of each call, oldest first."""
        return tuple(self.system.log) if self.system is not None else ()

    @property
    def inbox(self) -> list[dict[str, object]]:
        """Every message it has taken, once, oldest first: id, event, sender, at, repeats, altered."""
        return self.system.inbox.listing() if self.system is not None else []

    @property
    def join(self) -> dict[str, Any]:
        """What `switchpoint join` would tell this system; paths are absolute."""
        return self.world.join(self.participant, self.endpoint)

    def holds(self, patient: Any, record: str | Profile = Profile.TYPICAL) -> None:
        """From now on it has a record about her (`typical`, `minimal`, `empty`, `large`, `limits-deny` ...)."""
        self.records.hold(patient.person, Profile(record))

    def register(self, patient: Any, category: str, latent: bool = False) -> Reply:
        """Register that it holds this category. A refusal is an answer like any other."""
        at = self.world.now()
        return self.world.act(self._calls.register_entry(patient.bsn, category, latent, at=at))

    def end(self, patient: Any, category: str) -> Reply:
        """End its entry. Raises LookupError if it has none."""
        if category not in self.entries(patient):
            raise LookupError(f"{self.name} has no entry {category} of {patient.key}")
        return self.world.act(self._calls.end_entry(self._id(patient, category)))

    def enrol(self, patient: Any, since: date | None = None) -> Reply:
        """Tell that she is enrolled here since this day (a year ago)."""
        return self.world.act(self._calls.enrol(patient.bsn, since or self._year_ago()))

    def state(self, patient: Any, choice: Choice) -> Reply:
        """Record what she says at this custodian."""
        return self.world.act(self._calls.state_consent(patient.bsn, choice))

    def entries(self, patient: Any) -> list[str]:
        """The categories it has registered of her."""
        listed = {str(one["id"]) for one in self.world.run(self._calls.own_entries()).matches}
        possible = (*self.categories, *(("enrolment",) if self.enrols else ()))
        return [one for one in possible if self._id(patient, one) in listed]

    def catch_up(self, patient: Any) -> None:
        """Register whatever it holds that a yes opens by now; what stays closed is left."""
        at = self.world.now()
        self.world.act(self._calls.batch([self._list(patient.person, one, at) for one in self.categories]))

    @property
    def _calls(self) -> custodians.Custodian:
        return custodians.Custodian(self.world.client(self.participant))

    def _id(self, patient: Any, category: str) -> str:
        """The id its entry has, or would have: equal entries have equal ids."""
        keys = self.world.gateway.means.keys
        return keys.entry_id(keys.patient(Bsn(patient.bsn)), ApplicationId(self.application), Category(category))

    def _year_ago(self) -> date:
        return (self.world.now().astimezone(DUTCH_TIME) - timedelta(days=365)).date()

    # --- setting a patient up ----------------------------------------------------------------------------------------

    def admit(self, patient: Any, person: Person, said: Sequence[Choice], *, latent: bool, enrolled: bool) -> None:
        """Enrolment, statements and entries in one batch; what a statement does not open is not registered. Raises
        NotTaken for a statement or enrolment that the exchange refuses."""
        now = self.world.now()
        own = [self._calls.own(choice) for choice in said]
        must = [custodians.consent(person.bsn, choice) for choice in own]
        must += [self._list(person, "enrolment", self._year_ago())] if enrolled and self.enrols else []
        may = [self._list(person, category, now) for category in self.categories] if _opens(own) else []
        may += [self._list(person, "gp-summary", now, latent=True)] if latent and self.enrols else []
        if not must and not may:
            return
        reply = self.world.act(self._calls.batch([*must, *may]))
        if reply.status != 200:
            raise NotTaken(f"{self.name} could not register {patient.key}", reply)
        _require(reply, len(must), f"{self.name} could not record what {patient.key} said", latent=latent)

    @property
    def enrols(self) -> bool:
        return isinstance(self, GpPractice)

    def _list(self, person: Person, category: str, at: datetime | date, *, latent: bool = False) -> dict[str, Any]:
        return self._calls.entry(person.bsn, category, latent=latent, at=at)


class GpPractice(Custodian):
    """A GP practice: summary, treatment limits, and who is enrolled."""

    categories = ("gp-summary", "treatment-limits")

    def refer(self, patient: Any, to: Any, case: str = "K74", id: str | None = None, **situation: Any) -> Sent:
        """Refer her to an organisation (a requester of the testbed)."""
        desk = Desk(self.participant, senders.own_gp, self.world)
        return desk.send(patient, case, id, to.participant, situation)


class Pharmacy(Custodian):
    """A pharmacy: medication and allergies."""

    categories = ("medication", "allergies")


def _opens(said: Collection[Choice]) -> bool:
    return any(choice.permit and choice.active for choice in said)


def _require(reply: Reply, must: int, what: str, *, latent: bool) -> None:
    """The first `must` entries of the batch were taken; of a latent one the refusal is told, too."""
    entries = reply.json.get("entry", [])
    wanted = [*entries[:must], *(entries[-1:] if latent else [])]
    for one in wanted:
        status = int(str(one["response"]["status"])[:3])
        if status >= 300:
            raise NotTaken(what, Reply(status, reply.headers, _bytes(one["response"].get("outcome"))))


def _bytes(outcome: object) -> bytes:
    return json.dumps(outcome).encode()
