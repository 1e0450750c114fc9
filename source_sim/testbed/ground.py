"""On what ground does a country stand? What differs between memory and sockets, and nothing else.

A ground tells how systems are placed and reached, and how a client gets to the exchange. Values and words only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from gateway.app import Gateway
from gateway.rules.network import Network
from gateway.sources import Reach
from gateway.stores.ledger import Ledger
from source_sim.admission import Keys
from source_sim.country import Participant
from source_sim.faults import Switchboard
from source_sim.testbed.papers import Authority, Papers
from source_sim.testbed.running import Running

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Standing:
    """A system at its place: its application, the switchboard its port follows, and its papers."""

    application: Asgi
    faults: Switchboard
    papers: Papers = field(repr=False)
    participant: Participant


class Ground(Protocol):
    """Memory, or sockets. Coroutines run within the country's loop."""

    @property
    def running(self) -> Running: ...

    @property
    def authority(self) -> Authority:
        """Who issues the certificates here."""

    @property
    def base(self) -> str:
        """The exchange's address."""

    @property
    def desk(self) -> str:
        """The desk's address; empty where there is none."""

    @property
    def leaps(self) -> bool:
        """Whether waiting costs no time: the loop's clock leaps."""

    @property
    def alone(self) -> bool:
        """Whether the whole country is ours; else there are others, and only what concerns us is told."""

    @property
    def salt(self) -> str:
        """What keeps ids from coming twice; empty where they follow from the seed alone."""

    def ledger(self) -> Ledger | None:
        """Where the gateway writes; None: where its settings say."""

    def keys(self, gateway: Gateway) -> Keys:
        """The exchange's public keys, as sources here have them."""

    async def hear(self, network: Network) -> None:
        """The network was changed, its clock perhaps, too: let everybody know."""

    def reach(self) -> Reach:
        """How the gateway gets to sources."""

    async def open(self, gateway: Gateway) -> None:
        """Let the exchange answer."""

    async def claim(self, one: Participant) -> str:
        """The endpoint (FHIR base) this participant's system will have."""

    async def stand(self, standing: Standing) -> None:
        """Let it answer there."""

    async def obey(self, ura: str) -> None:
        """Let its port follow its switchboard."""

    def way(self, papers: Papers) -> httpx.AsyncBaseTransport | None:
        """How a client with these papers gets to the exchange; None: over the network."""

    async def close(self) -> None: ...
