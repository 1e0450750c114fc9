"""How do many sources run in one process? Each on its own port with its own certificate, and one control port for all.

It knows sockets, TLS, files and the control API (JSON only, plain HTTP on loopback). It may not know what a source
answers. Configuration is one JSON file, described by `Config`; paths in it are relative to the file.
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

import msgspec
import uvicorn
import uvloop
from joserfc.errors import JoseError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from source_sim import folder, population, records
from source_sim.admission import FetchedKeys, Gate, Keys, KnownKeys
from source_sim.control import control_app
from source_sim.faults import Fault, UnknownFault, fault
from source_sim.offered import Kind
from source_sim.population import Profile
from source_sim.records import Proof, Record
from source_sim.systems import Application, SimulatedSystem, app


class BadConfig(ValueError):
    """The configuration cannot be served. Never carries a BSN."""


class FaultConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault of the catalogue; `type` only for the fault of a system: the resource type it holds for, None: all."""

    name: str
    seconds: float = 0.0
    type: str | None = None


class PatientConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test person whose record is generated; `fault` follows her wherever she is asked for at this system."""

    bsn: str
    seed: int = 1
    profile: Profile = Profile.TYPICAL
    proof: Proof = Proof.REFERENCE
    fault: FaultConfig | None = None

    def __repr__(self) -> str:
        return f"PatientConfig(seed={self.seed}, profile={self.profile})"


class SystemConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One system. `port` 0: any free one. `endpoint`: its FHIR base if not https://{host}:{port}/fhir. `records`: a
    folder of real instances, which go before generated ones."""

    kind: Kind
    ura: str
    application: str
    name: str
    cert: str
    key: str
    ca: str
    host: str = "127.0.0.1"
    port: int = 0
    endpoint: str | None = None
    patients: tuple[PatientConfig, ...] = ()
    records: str | None = None
    fault: FaultConfig | None = None


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All systems, and what they share. Keys come from `jwks_url` or `jwks`. `now` is domain time at the start."""

    systems: tuple[SystemConfig, ...]
    gateway_ura: str
    jwks_url: str | None = None
    jwks: dict[str, Any] | None = None
    issuer: str | None = None
    now: datetime | None = None
    control_port: int = 0


def load_config(path: Path) -> Config:
    """Read and check a configuration file. Raises BadConfig, OSError."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=Config)
    except msgspec.DecodeError as problem:
        raise BadConfig(str(problem)) from problem
    _check(config)
    return msgspec.structs.replace(config, systems=tuple(_placed(each, path.parent) for each in config.systems))


def _placed(one: SystemConfig, home: Path) -> SystemConfig:
    paths = {name: str(home / value) for name in ("cert", "key", "ca", "records") if (value := getattr(one, name))}
    return msgspec.structs.replace(one, **paths)


def _check(config: Config) -> None:
    uras = [each.ura for each in config.systems]
    patients = [patient.bsn for each in config.systems for patient in each.patients]
    if len(set(uras)) < len(uras):
        raise BadConfig("two systems have the same URA: the control API could not tell them apart")
    if (config.jwks is None) == (config.jwks_url is None):
        raise BadConfig("either jwks or jwks_url is wanted")
    if not all(population.is_bsn(bsn) and bsn.startswith("9999") for bsn in patients):
        raise BadConfig("a patient's BSN passes the eleven-test and comes from the test range 9999xxxxx")
    if config.now is not None and config.now.tzinfo is None:
        raise BadConfig("now needs an offset")


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
    _obeying: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def obey(self) -> None:
        """Listen, or refuse connections, as the switchboard says."""
        async with self._obeying:
            if self.system.faults.down:
                await self.listener.close(abruptly=True)
            elif not self.listener.listening:
                await self.listener.open(app(self.system), self.tls)

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
    _check(config)
    async with AsyncExitStack() as stack:
        places = {each.ura: await _place(each, config, stack) for each in config.systems}
        for place in places.values():
            stack.push_async_callback(place.listener.close)
            await place.obey()
        control = Listener("127.0.0.1", config.control_port)
        stack.callback(control.release)
        stack.push_async_callback(control.close)
        await control.open(control_app(places), {})
        yield f"http://127.0.0.1:{control.port}", places


async def _place(one: SystemConfig, config: Config, stack: AsyncExitStack) -> Place:
    start = datetime.now(UTC)
    offset = (config.now or start) - start
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
        record=_record(one.patients, start + offset, found.records),
        today=lambda: _wall() + offset,
        stuck={each.bsn: _fault(each.fault) for each in one.patients if each.fault},
    )
    if one.fault:
        system.faults.switch(_fault(one.fault), one.fault.type)
    tls = {"ssl_certfile": one.cert, "ssl_keyfile": one.key, "ssl_ca_certs": one.ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return Place(system, listener, tls, found.report)


def _wall() -> datetime:
    return datetime.now(UTC)


def _fault(wanted: FaultConfig) -> Fault:
    try:
        return fault(wanted.name, wanted.seconds)
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
