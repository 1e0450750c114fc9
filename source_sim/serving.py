"""How do many sources run in one process? Each on its own port with its own certificate, and one control port for all.

It knows sockets, TLS, files and the control API (JSON only, plain HTTP on loopback). It may not know what a source
answers. What they are told to run is read by `configuring.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import uvicorn
import uvloop
from joserfc.errors import JoseError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from source_sim import folder, population, records
from source_sim.admission import FetchedKeys, Gate, Keys, KnownKeys
from source_sim.clock import Clock
from source_sim.configuring import (
    BadConfig,
    Config,
    FaultConfig,
    PatientConfig,
    SystemConfig,
    check,
    load_config,
    newcomer,
)
from source_sim.control import control_app
from source_sim.faults import CERTIFICATES, Fault, FaultName, UnknownFault, fault
from source_sim.peopling.holding import beside
from source_sim.records import Record
from source_sim.showing import Owner, flawed
from source_sim.systems import Application, SimulatedSystem, app

__all__ = ["BadConfig", "Config", "Listener", "Place", "load_config", "run", "serving"]

# --- listening -------------------------------------------------------------------------------------------------------


class _Protocol(HttpToolsProtocol):
    """Tells the application which client certificate TLS has verified, and which connection this is."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        certificate = connection.getpeercert(True) if connection else None
        self.app_state = {**self.app_state, "client_certificate": certificate, "transport": transport}


class Listener:
    """One port. Between `close` and `open` the port stays ours, and connections are refused."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._claim = self._bind(port)
        self.port: int = self._claim.getsockname()[1]
        self.shows: FaultName | None = None
        self._server: uvicorn.Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    def _bind(self, port: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # lets the listening socket share the port with the one that only claims it
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((self._host, port))
        return bound

    @property
    def listening(self) -> bool:
        return self._server is not None

    async def open(self, application: Application, tls: Mapping[str, Any]) -> None:
        """Serve; `tls` are uvicorn's ssl options, none for plain HTTP. Raises OSError, ssl.SSLError."""
        options: dict[str, Any] = {"http": _Protocol, "ws": "none", "log_config": None, "access_log": False, **tls}
        configured = uvicorn.Config(
            application, lifespan="off", timeout_keep_alive=75, timeout_graceful_shutdown=2, **options
        )
        configured.load()
        # the parts of Server.serve without its signals: one process has many servers
        server = uvicorn.Server(configured)
        server.lifespan = configured.lifespan_class(configured)
        await server.startup(sockets=[self._bind(self.port)])
        self._server, self._ticking = server, asyncio.create_task(server.main_loop())

    async def close(self, *, abruptly: bool = False) -> None:
        """Stop listening; `abruptly` also cuts the connections that are open."""
        server, ticking, self._server, self._ticking = self._server, self._ticking, None, None
        if server is None or ticking is None:
            return
        for listening in server.servers:
            listening.close()
        for connection in [*server.server_state.connections] if abruptly else []:
            connection.transport.abort()
        server.should_exit = True
        await ticking
        await server.shutdown()

    def release(self) -> None:
        self._claim.close()


# --- the running country ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """A system at its port."""

    system: SimulatedSystem
    listener: Listener
    tls: Mapping[str, Any]
    unserved: tuple[folder.Unserved, ...] = ()
    flawed: Callable[[FaultName], Mapping[str, Any]] | None = None
    _obeying: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def obey(self) -> None:
        """Listen, with the certificate the switchboard says, or refuse connections. Raises UnknownFault."""
        async with self._obeying:
            whole = self.system.faults.whole
            if self.listener.listening and whole is self.listener.shows:
                return
            tls = self._tls(whole)
            # who is connected has seen another certificate
            await self.listener.close(abruptly=True)
            self.listener.shows = whole
            if whole is not FaultName.DOWN:
                await self.listener.open(app(self.system), tls)

    def _tls(self, whole: FaultName | None) -> Mapping[str, Any]:
        if whole not in CERTIFICATES or whole is None or self.flawed is None:
            return self.tls
        return {**self.tls, **self.flawed(whole)}

    def described(self) -> dict[str, Any]:
        system = self.system
        return {
            "kind": system.kind.value,
            "ura": system.ura,
            "application": system.gate.application,
            "name": system.name,
            "endpoint": system.endpoint,
            "listening": self.listener.listening,
            "faults": system.faults.listing(),
            "unserved": [asdict(each) for each in self.unserved],
        }


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[tuple[str, Mapping[str, Place]]]:
    """Serve everything; yields the control address and the places by URA. Raises BadConfig, OSError, ssl.SSLError."""
    check(config)
    async with AsyncExitStack() as stack:
        clock = Clock(_wall, config.now)
        places = {each.ura: await _opened(each, config, clock, stack) for each in config.systems}

        async def join(ura: str, body: bytes) -> None:
            if ura not in places:
                one = await asyncio.to_thread(newcomer, ura, body, config)
                places[ura] = await _opened(one, config, clock, stack)

        control = Listener("127.0.0.1", config.control_port)
        stack.callback(control.release)
        stack.push_async_callback(control.close)
        await control.open(control_app(places, clock, join), {})
        yield f"http://127.0.0.1:{control.port}", places


async def _opened(one: SystemConfig, config: Config, clock: Clock, stack: AsyncExitStack) -> Place:
    place = await _place(one, config, clock, stack)
    stack.push_async_callback(place.listener.close)
    await place.obey()
    return place


async def _place(one: SystemConfig, config: Config, clock: Clock, stack: AsyncExitStack) -> Place:
    start = clock.now()
    found = folder.load(Path(one.records)) if one.records else folder.Folder({}, ())
    listener = Listener(one.host, one.port)
    stack.callback(listener.release)
    host = f"[{one.host}]" if ":" in one.host else one.host
    system = SimulatedSystem(
        one.kind,
        one.ura,
        one.name,
        one.endpoint or f"https://{host}:{listener.port}/fhir",
        Gate(one.application, _keys(one, config, stack), _wall, config.gateway_ura, config.issuer),
        record=beside(_record(one.patients, start, found.records), one.people, one.ura, start),
        today=clock.now,
        stuck={each.bsn: _fault(each.fault) for each in one.patients if each.fault},
    )
    if one.fault:
        _switch(system, one.fault)
    tls = {"ssl_certfile": one.cert, "ssl_keyfile": one.key, "ssl_ca_certs": one.ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    owner = Owner(one.ura, one.application, one.name, (system.endpoint, one.host, "localhost"))
    return Place(system, listener, tls, found.report, lambda name: _flawed(name, owner, one))


def _flawed(name: FaultName, owner: Owner, one: SystemConfig) -> Mapping[str, Any]:
    authority, out = Path(one.ca).parent, Path(one.cert).parent / "flawed"
    certificate, key = flawed(name, owner, authority=authority, out=out, now=_wall())
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def _wall() -> datetime:
    return datetime.now(UTC)


def _fault(wanted: FaultConfig) -> Fault:
    try:
        return fault(wanted.name, wanted.seconds, spread=wanted.spread, place=wanted.place)
    except UnknownFault as problem:
        raise BadConfig(str(problem)) from problem


def _switch(system: SimulatedSystem, wanted: FaultConfig) -> None:
    chosen = _fault(wanted)
    try:
        system.faults.switch(chosen, wanted.type, probability=wanted.probability, seed=wanted.seed, call=wanted.call)
    except UnknownFault as problem:
        raise BadConfig(str(problem)) from problem


def _keys(one: SystemConfig, config: Config, stack: AsyncExitStack) -> Keys:
    if config.jwks_url is None:
        return _known(config.jwks or {})
    tls = ssl.create_default_context(cafile=one.ca)
    tls.load_cert_chain(one.cert, one.key)
    keys = FetchedKeys(config.jwks_url, tls, time.monotonic)
    stack.push_async_callback(keys.close)
    return keys


def _known(jwks: Mapping[str, Any]) -> Keys:
    try:
        return KnownKeys(jwks)
    except (JoseError, ValueError, TypeError) as problem:
        raise BadConfig("jwks holds no keys") from problem


def _record(
    patients: Sequence[PatientConfig], now: datetime, real: Mapping[str, Record]
) -> Callable[[str], Record | None]:
    """Real records first; generated ones are written when they are first asked for."""
    wanted, written = {each.bsn: each for each in patients}, dict[str, Record]()

    def record(bsn: str) -> Record | None:
        if bsn in real:
            return real[bsn]
        if bsn in wanted and bsn not in written:
            each, person = wanted[bsn], population.person(bsn, now.date())
            written[bsn] = records.write(person, each.seed, each.profile, now=now, proof=each.proof)
        return written.get(bsn)

    return record


# --- the program -----------------------------------------------------------------------------------------------------


def run(config: Config, out: TextIO = sys.stdout) -> None:
    """Serve until SIGTERM or SIGINT. Writes one JSON line `{"ready": ...}` to `out` when everything listens.

    Raises BadConfig, OSError, ssl.SSLError before that line.
    """
    # faults leave answers unfinished on purpose; the server's complaints about that would drown the rest
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(config, out))


async def _until_told(config: Config, out: TextIO) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serving(config) as (address, places):
        ready = {"control": address, "systems": [place.described() for place in places.values()]}
        out.write(json.dumps({"ready": ready}) + "\n")
        out.flush()
        await told.wait()


if __name__ == "__main__":
    run(load_config(Path(sys.argv[1])))
