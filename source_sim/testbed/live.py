"""How does a country stand on real sockets? The exchange and every source listening with mutual TLS, and the desk.

Everything runs in one thread of its own, in real time, on free ports of this machine alone. Knows sockets and
certificates; knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

from gateway.app import Gateway
from gateway.rules.network import Network
from gateway.sources import Reach
from gateway.stores.ledger import Ledger
from gateway.stores.ledger_memory import open_in_memory
from gateway.web.listener import bind, make_server
from source_sim.admission import Keys, KnownKeys
from source_sim.country import Participant
from source_sim.faults import CERTIFICATES, FaultName
from source_sim.serving import Listener
from source_sim.showing import Owner, flawed
from source_sim.testbed.ground import Standing
from source_sim.testbed.papers import HOSTS, Authority, Papers
from source_sim.testbed.running import InThread

_HOST = "127.0.0.1"


@dataclass(slots=True)
class _Port:
    """One source's port. `obeying`: one change at a time."""

    listener: Listener
    standing: Standing | None = None
    obeying: asyncio.Lock = field(default_factory=asyncio.Lock)


class Ports:
    """Where sources listen with mutual TLS, one port each."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._ports: dict[str, _Port] = {}

    async def claim(self, one: Participant) -> str:
        port = self._ports[one.ura] = _Port(Listener(_HOST, 0))
        return f"https://{_HOST}:{port.listener.port}/fhir"

    async def stand(self, standing: Standing) -> None:
        self._ports[standing.participant.ura].standing = standing
        await self.obey(standing.participant.ura)

    async def obey(self, ura: str) -> None:
        port = self._ports[ura]
        async with port.obeying:
            if port.standing is not None:
                await _follow(port.listener, port.standing, self._authority)

    async def close(self) -> None:
        for port in self._ports.values():
            await port.listener.close(abruptly=True)
            port.listener.release()


class Sockets:
    """The ground of a live country."""

    leaps, alone, salt = False, True, ""

    def __init__(self, authority: Authority) -> None:
        self.running = InThread()
        self.authority = authority
        self._ports = Ports(authority)
        self._exchange, self._people = bind(_HOST, 0), bind(_HOST, 0)
        self.base = f"https://localhost:{self._exchange.getsockname()[1]}"
        self.desk = f"http://{_HOST}:{self._people.getsockname()[1]}"
        self._servers: list[uvicorn.Server] = []
        self._serving: list[asyncio.Task[None]] = []

    def ledger(self) -> Ledger:
        return open_in_memory()

    def keys(self, gateway: Gateway) -> Keys:
        return KnownKeys(gateway.site.signing.jwks())

    async def hear(self, network: Network) -> None:
        """Nobody else is there."""

    def reach(self) -> Reach:
        return Reach()

    async def open(self, gateway: Gateway) -> None:
        ours = self.authority.gateway
        exchange = make_server(
            gateway.exchange(), sock=self._exchange, certificate=ours.certificate, key=ours.key, ca=ours.ca
        )
        config = uvicorn.Config(gateway.desk(), access_log=False, log_config=None, server_header=False)
        config.proxy_headers, config.lifespan, exchange.config.lifespan = False, "off", "off"
        for server, sock in ((exchange, self._exchange), (uvicorn.Server(config), self._people)):
            self._servers.append(server)
            self._serving.append(asyncio.create_task(server.serve(sockets=[sock])))
        while not all(server.started for server in self._servers):  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(0.005)

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
        for server in self._servers:
            server.should_exit = server.force_exit = True
            for connection in [*server.server_state.connections]:
                connection.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)
        self._exchange.close()
        self._people.close()


async def _follow(listener: Listener, standing: Standing, authority: Authority) -> None:
    """Listen as the switchboard says, or refuse connections; who is connected is cut, having seen another port."""
    whole = standing.faults.whole
    if listener.listening and whole is listener.shows:
        return
    await listener.close(abruptly=True)
    listener.shows = whole
    if whole is not FaultName.DOWN:
        await listener.open(standing.application, _tls(whole, standing, authority))


def _tls(whole: FaultName | None, standing: Standing, authority: Authority) -> Mapping[str, Any]:
    papers, one = standing.papers, standing.participant
    chain, key = papers.certificate, papers.key
    if whole in CERTIFICATES and whole is not None:
        owner = Owner(one.ura, one.application, one.name, HOSTS)
        out = papers.folder / "flawed"
        chain, key = flawed(whole, owner, authority=authority.pki.directory, out=out, now=authority.begin())
    trusted = {"ssl_ca_certs": str(papers.ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return {"ssl_certfile": str(chain), "ssl_keyfile": str(key), **trusted}


def verified(papers: Papers) -> ssl.SSLContext:
    """What a client with these papers shows and trusts."""
    context = ssl.create_default_context(cafile=papers.ca)
    context.load_cert_chain(papers.certificate, papers.key)
    return context


def client(base: str, papers: Papers) -> httpx.Client:
    """A plain client of the exchange over mutual TLS."""
    return httpx.Client(base_url=base, verify=verified(papers), trust_env=False, timeout=30)
