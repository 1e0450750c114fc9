"""How does a country stand beside a running simulation? Its exchange is the one that runs; only what is added is here.

Our gateway shares the stores and serves nothing; sources and receivers of ours listen at ports of their own, with
certificates of the simulation's authority. Knows sockets, certificates and addresses; knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

from gateway.app import Gateway
from gateway.rules.network import Network
from gateway.settings import Settings
from gateway.sources import Reach
from gateway.web.sim_control import SourcesControl
from source_sim import pki
from source_sim.admission import FetchedKeys, Keys
from source_sim.country import GP_POST, Participant
from source_sim.testbed.ground import Standing
from source_sim.testbed.live import Ports, verified
from source_sim.testbed.papers import Authority, Known, Papers
from source_sim.testbed.running import InThread

_KEYS = "/.well-known/jwks.json"
_SLOWEST_LOOK = 0.3
"""Seconds until every worker knows of a change where the ledger is not in a file: they look four times a second."""


_LOOK_SECONDS = 0.05


class Occupied(Exception):
    """Somebody else is connected, and does not leave."""


@dataclass(frozen=True, slots=True)
class Found:
    """A running simulation: its addresses, the folder of its authority, and the settings it was started with."""

    exchange: str
    desk: str
    authority: Path
    settings: Settings


class Beside:
    """The ground of a country beside a running one; `patience` (seconds) is for who is there before us. Raises
    Occupied, and OSError or ValueError for an authority that is none."""

    leaps = alone = False

    def __init__(self, found: Found, patience: float) -> None:
        self.base, self.desk, self.salt = found.exchange, found.desk, f" {uuid4()}"
        self._settings = found.settings.model_copy(update={"inspector": False})
        authority = pki.load(found.authority)
        self._lock = _locked(found.settings.state_dir / "visit.lock", patience)
        self._folder = Path(tempfile.mkdtemp(prefix="switchpoint-visit-"))
        self.authority = Authority(self._folder, datetime.now(UTC), None, Known(authority, self._settings))
        self.running = InThread()
        self._ports = Ports(self.authority)
        self._keys: FetchedKeys | None = None
        self._sources = SourcesControl(found.settings.state_dir)
        self._clock: tuple[object, ...] | None = None

    def ledger(self) -> None:
        return None

    def keys(self, gateway: Gateway) -> Keys:
        """Fetched from the exchange itself, by one of the simulation's own systems."""
        ours = self.authority.papers(GP_POST.ura, GP_POST.application, GP_POST.name)
        self._keys = FetchedKeys(self.base + _KEYS, verified(ours), time.monotonic)
        return self._keys

    async def hear(self, network: Network) -> None:
        clock = (network.clock_offset, network.clock_anchor, network.clock_speed)
        if clock != self._clock:
            self._clock = clock
            await self._sources.follow(network)
        if self._settings.ledger_address.startswith("postgres"):
            await asyncio.sleep(_SLOWEST_LOOK)

    def reach(self) -> Reach:
        return Reach()

    async def open(self, gateway: Gateway) -> None:
        """The exchange answers already."""

    async def claim(self, one: Participant) -> str:
        return await self._ports.claim(one)

    async def stand(self, standing: Standing) -> None:
        await self._ports.stand(standing)

    async def obey(self, ura: str) -> None:
        await self._ports.obey(ura)

    def way(self, papers: Papers) -> None:
        return None

    async def close(self) -> None:
        await self._ports.close()
        if self._keys is not None:
            await self._keys.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()


def _locked(path: Path, patience: float) -> IO[str]:
    """Clock and regimes are everybody's, so only one connects at a time. Raises Occupied."""
    file, until = path.open("w"), time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > until:
                file.close()
                raise Occupied("somebody else is connected to this simulation") from None
            time.sleep(_LOOK_SECONDS)
