"""How does a test get a country of its own? `with open_country() as switchpoint:` and the words to act in it.

In process by default: virtual time, no socket, the same seed gives the same journal. The one part of the simulator that
composes both sides; the gateway in it is the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from source_sim.testbed.answers import Answer, Decision, Outcome, Tried
from source_sim.testbed.clock import Clock, Regimes
from source_sim.testbed.custodians import Custodian, GpPractice, NotTaken, Pharmacy
from source_sim.testbed.live import Sockets
from source_sim.testbed.mail import Message, Outbox
from source_sim.testbed.papers import EVE, authority
from source_sim.testbed.patients import Patient, no, yes
from source_sim.testbed.requesters import Explained, Requester
from source_sim.testbed.road import Memory
from source_sim.testbed.situation import moment
from source_sim.testbed.sources import Faults
from source_sim.testbed.switchpoint import Switchpoint
from source_sim.testbed.transcript import Told, Transcript
from source_sim.testbed.world import World

__all__ = [
    "Answer",
    "Clock",
    "Custodian",
    "Decision",
    "Explained",
    "Faults",
    "GpPractice",
    "Message",
    "NotTaken",
    "Outbox",
    "Outcome",
    "Patient",
    "Pharmacy",
    "Regimes",
    "Requester",
    "Switchpoint",
    "Told",
    "Transcript",
    "Tried",
    "no",
    "open_country",
    "yes",
]


@contextmanager
def open_country(seed: int = 0, *, start: datetime | str | None = None, live: bool = False) -> Iterator[Switchpoint]:
    """A fresh country, closed at the end. `start` is domain time (naive: Dutch; a Saturday night by default)."""
    ground = Sockets(authority(live=True)) if live else Memory(authority(live=False))
    try:
        world = World(seed, moment(start, EVE) if start is not None else EVE, ground)
    except BaseException:
        ground.running.close()
        raise
    try:
        yield Switchpoint(world)
    finally:
        world.close()
