"""Where does a system of the country stand, and how is it made to fail? Behind memory in process, at a port when live.

One way to set a system up and to let its place follow its switchboard; the place is the world's business. Knows
systems, faults and records; knows nothing of consent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from source_sim.country import Participant
from source_sim.faults import Switchboard, fault
from source_sim.offered import Kind
from source_sim.population import Person, Profile
from source_sim.records import Record, write
from source_sim.systems import SimulatedSystem, app
from source_sim.testbed.ground import Standing
from source_sim.testbed.own import Fronted, Life
from source_sim.testbed.world import World


class Records:
    """The records of one system, written when they are first asked for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[str, tuple[Person, Profile]] = {}
        self._written: dict[str, Record] = {}

    def hold(self, person: Person, profile: Profile) -> None:
        """From now on this system has such a record of hers."""
        self._known[person.bsn] = person, profile
        self._written.pop(person.bsn, None)

    def __call__(self, bsn: str) -> Record | None:
        if bsn in self._known and bsn not in self._written:
            person, profile = self._known[bsn]
            self._written[bsn] = _written(person, self._world.seed, profile, self._world.opened)
        return self._written.get(bsn)


@lru_cache(maxsize=512)
def _written(person: Person, seed: int, profile: Profile, now: datetime) -> Record:
    """A record is a value: the same person has the same one in every country of this seed."""
    return write(person, seed, profile, now=now)


class Faults:
    """The faults of one system, by the names of the catalogue."""

    def __init__(self, world: World, ura: str, switchboard: Switchboard) -> None:
        self._world, self._ura, self._board = world, ura, switchboard

    def set(
        self,
        name: str,
        seconds: float | None = None,
        probability: float = 1.0,
        leg: str | None = None,
        patient: Any = None,
        *,
        spread: str = "",
        place: str = "",
        seed: int | None = None,
        call: int | None = None,
    ) -> None:
        """Switch a fault on: for one `leg` (resource type, `search`, `$process-message`, `metadata`), one patient, the
        n-th `call`, or by chance, with a `seed` of its own (the country's if none is given). One holds for each leg and
        patient. Raises UnknownFault."""
        self._board.switch(
            fault(name, seconds or 0.0, spread=spread, place=place),
            leg,
            patient=patient.bsn if patient is not None else None,
            label=patient.key if patient is not None else "",
            probability=probability,
            seed=self._world.seed if seed is None else seed,
            call=call,
        )
        self._obey()

    def clear(self, leg: str | None = None, patient: Any = None) -> None:
        """Switch off what was set for this leg and patient; without either, everything."""
        if leg is None and patient is None:
            self._board.clear_all()
        else:
            self._board.clear(leg, patient=patient.bsn if patient is not None else None)
        self._obey()

    @property
    def active(self) -> tuple[Mapping[str, Any], ...]:
        """What is switched on, patients by key."""
        return tuple(self._board.listing())

    def _obey(self) -> None:
        self._world.run(self._world.ground.obey(self._ura))


def set_up(world: World, one: Participant, kind: Kind) -> tuple[SimulatedSystem, Records]:
    """A simulated system of this participant, at its place, in the register."""
    records, endpoint = Records(world), world.run(world.ground.claim(one))
    gate = world.gate(one.application)
    system = SimulatedSystem(kind, one.ura, one.name, endpoint, gate, records, world.today)
    world.stand(Standing(app(system), system.faults, world.papers(one), one))
    world.enter(one, endpoint)
    return system, records


def set_up_own(world: World, one: Participant, source: Any) -> tuple[str, Switchboard | None]:
    """A system of the tester's own in the register: an ASGI application, or the https URL of its FHIR base, which makes
    the whole country run on real time. Its endpoint, and the switchboard in front (none before a URL)."""
    world.be_real()
    if isinstance(source, str):
        world.hold()
        world.enter(one, source)
        return source, None
    endpoint, board = world.run(world.ground.claim(one)), Switchboard(one.ura)
    life = Life(source)
    world.run(life.begin())
    world.at_end(life.end)
    fronted = Fronted(source, board, endpoint, world.running.outside)
    world.stand(Standing(fronted, board, world.papers(one), one))
    world.enter(one, endpoint)
    return endpoint, board
