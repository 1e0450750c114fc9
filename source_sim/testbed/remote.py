"""How does a test act in a simulation that runs already? `with connect("http://127.0.0.1:8080") as switchpoint:`.

The same words as in a country of one's own, spoken to the running exchange. The simulation is on this machine, for its
stores and its authority are needed. Whoever connects wants it for himself: clock and regimes are everybody's. Numbers
are new at every connection, so that nobody meets what another left behind.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from gateway.cli.opened import settings_of
from gateway.cli.place import Misuse, Place, find
from gateway.flows.operating import Turn
from gateway.rules.exchange import PatientKey
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.stores import consents, enrolments, journal
from gateway.stores.transaction import Transaction
from source_sim import population
from source_sim.country import Participant
from source_sim.testbed.beside import Beside, Found, Occupied
from source_sim.testbed.roll import Roll
from source_sim.testbed.situation import moment
from source_sim.testbed.switchpoint import Switchpoint
from source_sim.testbed.visit import Visit
from source_sim.testbed.world import World

_BSNS: Final = (999_950_000, 999_999_999)
"""Free for outsiders: interface.md section 7."""
_URAS: Final = (91_000_000, 98_999_999)
_MOST_DRAWS: Final = 20_000
_HERE: Final = {"localhost": "127.0.0.1", "::1": "127.0.0.1"}


def connect(
    url: str,
    running: Path | str | None = None,
    *,
    seed: int = 0,
    start: datetime | str | None = None,
    patience: float = 30.0,
) -> Switchpoint:
    """The running simulation whose desk (or exchange) is at `url`, as its running.json tells: the nearest one upward,
    or the one named. `start` is domain time (naive: Dutch), None: what it is there. Close it, or use it as a context
    manager: clock, regimes and what was registered then go back. One connects at a time; another waits `patience`
    seconds. Raises Misuse, LedgerUnavailable, IndexUnavailable."""
    place = find(Path(running) if running is not None else None)
    found = _found(place, url)
    try:
        ground = Beside(found, patience)
    except Occupied as wrong:
        raise Misuse(str(wrong)) from wrong
    except (OSError, ValueError) as wrong:
        raise Misuse(f"the authority in {found.authority} cannot be used: {wrong}") from wrong
    try:
        world = World(seed, None, ground)
    except BaseException:
        ground.running.run(ground.close())
        ground.running.close()
        raise
    try:
        return _enter(world, start)
    except BaseException:
        world.close()
        raise


def _enter(world: World, start: datetime | str | None) -> Switchpoint:
    visit = Visit(world)
    world.at_end(visit.leave)
    begin = moment(start, world.now()) if start is not None else None
    world.run(visit.quieten(begin or world.now()))
    if begin is not None:
        world.turn(Turn(begin, speed=1.0))
    world.opened = begin or world.now()
    world.begin(None)
    return Switchpoint(world, Roll(world.seed, _strangers(world), _newcomers(world)))


def _found(place: Place, url: str) -> Found:
    """Raises Misuse."""
    if _address(url) not in (_address(place.desk), _address(place.exchange)):
        raise Misuse(f"{url} is not the simulation {place.path} tells of: its desk is {place.desk}")
    settings = settings_of(place)
    if not settings.simulation:
        raise Misuse("that is no simulation: scenarios set clocks and make people up")
    try:
        httpx.get(f"{place.desk}/health/live", trust_env=False, timeout=5).raise_for_status()
    except httpx.HTTPError as wrong:
        raise Misuse(f"nobody answers at {place.desk} (is the simulation still running?)") from wrong
    return Found(place.exchange, place.desk, place.pki, settings)


def _address(url: str) -> tuple[str, int | None]:
    """Host and port; what this machine is called does not matter."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as wrong:
        raise Misuse(f"{url!r} is no address") from wrong
    return _HERE.get(host, host), port or {"http": 80, "https": 443}.get(parts.scheme)


# --- numbers nobody has ----------------------------------------------------------------------------------------------


def _newcomers(world: World) -> Callable[[Participant], Participant]:
    """Gives each organisation numbers that are not in the register, always the same ones to the same."""
    chance, given = random.Random(f"organisations{world.ground.salt}"), dict[str, Participant]()

    def renumber(one: Participant) -> Participant:
        known = given.get(one.ura) or _renumbered(world, one, chance)
        given[one.ura] = given[known.ura] = known
        return replace(one, ura=known.ura, application=known.application)

    return renumber


def _renumbered(world: World, one: Participant, chance: random.Random) -> Participant:
    network = world.network()
    for _ in range(_MOST_DRAWS):
        ura = str(chance.randint(*_URAS))
        application = f"4{ura}"
        if Ura(ura) not in network.organisations and ApplicationId(application) not in network.systems:
            return replace(one, ura=ura, application=application)
    raise Misuse("the simulation's register is full")


def _strangers(world: World) -> Iterator[str]:
    """BSNs of the range for outsiders of whom the simulation knows nothing: which ones follows from the seed and from
    what was used before."""
    chance = random.Random(f"patients {world.seed}")
    for _ in range(_MOST_DRAWS):
        digits = str(chance.randint(*_BSNS))
        if population.is_bsn(digits) and _is_stranger(world, digits):
            yield digits
    raise Misuse("every number for test persons has been used in this simulation; stage it anew")


def _is_stranger(world: World, digits: str) -> bool:
    means = world.gateway.means
    patient = means.keys.patient(Bsn(digits))
    if patient in world.share.patients or world.run(means.index.find(patient, None)):
        return False
    return world.read(lambda tx: _never_heard_of(tx, patient))


def _never_heard_of(tx: Transaction, patient: PatientKey) -> bool:
    lines = journal.of_patient(tx, patient, None, 1)
    return not (lines or consents.of(tx, patient) or enrolments.history(tx, patient))
