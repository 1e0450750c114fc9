"""How do gateway and sources meet that are in one process? The same bytes, over connections in memory.

A source's application stands behind the protocol that serves it on sockets, so that a fault looks the same. What is
not in process is reached as ever. Knows connections and certificates; knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
import uvicorn
from uvicorn.server import ServerState

from gateway.app import Gateway
from gateway.rules.network import Network
from gateway.sources import Reach
from gateway.sources.asking import Target
from gateway.sources.wire import Wire
from gateway.stores.ledger import Ledger
from gateway.stores.ledger_memory import open_in_memory
from source_sim import pki
from source_sim.admission import Keys, KnownKeys
from source_sim.country import Participant
from source_sim.faults import FaultName
from source_sim.serving import _Protocol as SourceProtocol
from source_sim.testbed.client import InMemory
from source_sim.testbed.ground import Asgi, Standing
from source_sim.testbed.memory import End, join
from source_sim.testbed.papers import Authority, Papers
from source_sim.testbed.running import InProcess

EXCHANGE: Final = "https://exchange.test"
_KEEP_ALIVE: Final = 75


@dataclass(slots=True)
class _Host:
    """One source. `shows` is what its whole port does wrong at this moment, if anything."""

    standing: Standing
    shows: FaultName | None = None
    connections: list[End] = field(default_factory=list, repr=False)
    config: uvicorn.Config | None = field(default=None, repr=False)

    def cut(self) -> None:
        """End all connections at once."""
        for end in self.connections:
            end.abort()
        self.connections.clear()

    def protocol(self, loop: asyncio.AbstractEventLoop) -> SourceProtocol:
        if self.config is None:
            application = self.standing.application
            self.config = uvicorn.Config(
                application, lifespan="off", http=SourceProtocol, ws="none", log_config=None, access_log=False
            )
            self.config.timeout_keep_alive = _KEEP_ALIVE
            self.config.load()
        return SourceProtocol(self.config, ServerState(), {}, loop)


class Memory:
    """The ground of a country in process."""

    base, desk, leaps = EXCHANGE, "", True
    alone, salt = True, ""

    def __init__(self, authority: Authority) -> None:
        self.running = InProcess()
        self.authority = authority
        self._hosts: dict[str, _Host] = {}
        self._network = Reach()
        self._exchange: Asgi | None = None

    def ledger(self) -> Ledger:
        return open_in_memory()

    def keys(self, gateway: Gateway) -> Keys:
        return KnownKeys(gateway.site.signing.jwks())

    async def hear(self, network: Network) -> None:
        """Nobody else is there."""

    def reach(self) -> Reach:
        return Reach(self._resolve, self._dial)

    async def open(self, gateway: Gateway) -> None:
        self._exchange = gateway.exchange()

    async def claim(self, one: Participant) -> str:
        return f"https://{_name_of(one.ura)}/fhir"

    async def stand(self, standing: Standing) -> None:
        self._hosts[_name_of(standing.participant.ura)] = _Host(standing)

    async def obey(self, ura: str) -> None:
        host = self._hosts[_name_of(ura)]
        whole = host.standing.faults.whole
        if host.shows is not whole:
            host.shows = whole
            host.cut()

    def way(self, papers: Papers) -> httpx.AsyncBaseTransport:
        assert self._exchange is not None, "the exchange is open"
        return InMemory(self._exchange, papers.der)

    async def close(self) -> None:
        for host in self._hosts.values():
            host.cut()

    # --- the gateway's way out ---------------------------------------------------------------------------------------

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        return (host,) if host in self._hosts else await self._network.resolve(host, port)

    async def _dial(self, make: Callable[[], Wire], ip: str, to: Target, context: ssl.SSLContext) -> Wire:
        host = self._hosts.get(to.host)
        if host is None:
            return await self._network.dial(make, ip, to, context)
        certificate = self._shown(host)
        loop, wire = asyncio.get_running_loop(), make()
        gateway = self.authority.gateway.der
        _, far = join(loop, (wire, gateway), (host.protocol(loop), certificate))
        host.connections = [one for one in host.connections if not one.is_closing()]
        host.connections.append(far)
        return wire

    def _shown(self, host: _Host) -> bytes:
        """The certificate this port shows now. Raises what TLS would make of it: OSError, ssl.SSLError."""
        if host.shows is FaultName.DOWN:
            raise ConnectionRefusedError("nobody listens there")
        if host.shows in _UNTRUSTED:
            error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {_UNTRUSTED[host.shows]}")
            error.reason = "CERTIFICATE_VERIFY_FAILED"  # as OpenSSL fills it in
            raise error
        flaw = _FLAWED.get(host.shows)
        return host.standing.papers.der if flaw is None else flaw(self.authority, host.standing.participant)


def _name_of(ura: str) -> str:
    """The host name under which a system in process is registered."""
    return f"{ura}.source.test"


def _another(authority: Authority, one: Participant) -> bytes:
    return authority.flawed(f"{int(one.ura) ^ 1:08}", one.application, None).der


def _revoked(authority: Authority, one: Participant) -> bytes:
    return authority.flawed(one.ura, one.application, pki.Flaw.REVOKED).der


_UNTRUSTED: Final[Mapping[FaultName | None, str]] = {
    FaultName.EXPIRED_CERTIFICATE: "certificate has expired",
    FaultName.FOREIGN_CERTIFICATE: "unable to get local issuer certificate",
}
_FLAWED: Final[Mapping[FaultName | None, Callable[[Authority, Participant], bytes]]] = {
    FaultName.WRONG_CERTIFICATE: _another,
    FaultName.REVOKED_CERTIFICATE: _revoked,
}
