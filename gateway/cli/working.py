"""What does one worker process do? Open the gateway, serve one listener on an inherited socket, end gracefully.

The desk's process also does what one process does for all: it delivers messages, seals and indexes the journal, and
tidies up.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from types import FrameType

import uvicorn
import uvloop

from gateway.app import Gateway, open_gateway, settle_memory, wall_clock
from gateway.cli.scenarios_aside import ScenariosAside
from gateway.fhir.writing import outcome
from gateway.flows import operating, outbox_acts
from gateway.flows.delivering import Delivery
from gateway.flows.finding import keep_found
from gateway.flows.tell_me import keep_telling
from gateway.logs import json_log
from gateway.rules.identifiers import Bsn
from gateway.rules.people import TestPerson
from gateway.settings import Settings
from gateway.stores import checkpoint_keys, sealing
from gateway.stores.index import IndexUnavailable
from gateway.stores.keys import SecretUnusable
from gateway.stores.ledger import LedgerUnavailable
from gateway.stores.schema import SchemaTooNew
from gateway.web.listener import ExchangeServer, Limits, make_server
from gateway.web.loopback import is_loopback
from source_sim import population

_log = logging.getLogger("switchpoint.worker")

_CANNOT_BEGIN = (
    OSError, LedgerUnavailable, IndexUnavailable, SchemaTooNew, SecretUnusable,
    sealing.RingUnusable, checkpoint_keys.RingUnusable,
)  # fmt: skip
"""What an operator can mend; their texts name files and addresses, nobody's data."""
_LISTENER_CODES = {"timeout": "request-timeout"}
"""The listener's own words where the published code system has another."""


def serve_exchange(settings: Settings, sock: socket.socket) -> None:
    """Serve the exchange listener until SIGTERM."""
    _run(settings, sock, _exchange_server, meanwhile=_keep_certificates_fresh)


def serve_desk(settings: Settings, sock: socket.socket) -> None:
    """Serve the desk listener until SIGTERM."""
    _run(settings, sock, _desk_server, meanwhile=_desk_duties)


def _exchange_server(gateway: Gateway, sock: socket.socket) -> uvicorn.Server:
    settings = gateway.settings
    return make_server(
        gateway.exchange(),
        sock=sock,
        certificate=settings.certificate,
        key=settings.key,
        ca=settings.ca,
        limits=Limits(),
        write_error=lambda _status, code, sentence: outcome(_LISTENER_CODES.get(code, code), sentence),
    )


def _desk_server(gateway: Gateway, _sock: socket.socket) -> uvicorn.Server:
    """Plain on loopback, so that a browser does not warn; with TLS as soon as it listens elsewhere."""
    settings = gateway.settings
    desk = gateway.desk(_persons(settings), ScenariosAside() if settings.simulation else None)
    config = uvicorn.Config(desk, access_log=False, log_config=None, server_header=False)
    config.proxy_headers = False  # nobody else may say where a request comes from
    config.timeout_graceful_shutdown = _DESK_DRAIN_SECONDS
    if not is_loopback(settings.desk_host):
        config.ssl_certfile, config.ssl_keyfile = settings.certificate, settings.key
    return uvicorn.Server(config)


def _persons(settings: Settings) -> tuple[TestPerson, ...]:
    """Whom the simulated login lets anybody be; nobody outside a simulation."""
    if not settings.simulation:
        return ()
    today = wall_clock().date()
    sentinels = population.persons(today)
    everybody = (*population.players(today), *sentinels)
    return tuple(
        TestPerson(one.key, Bsn(one.bsn), one.name, one.birth_date, sentinel=one in sentinels) for one in everybody
    )


_TIDY_SECONDS = 60.0
_RELOAD_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
_DESK_DRAIN_SECONDS = 3
_FAREWELL_SECONDS = 11.0
"""How long a duty may take to end: an attempt at delivery under way is brought to its mark, within its own deadline.
With what the desk's pages may take this stays within the supervisor's patience."""


async def _desk_duties(gateway: Gateway, _server: uvicorn.Server) -> None:
    """What one process does for all. Cancelling ends them; what is being delivered is marked first, and what is new in
    the journal is sealed once more."""
    delivery = Delivery(gateway.means, claimant=gateway.means.new_id())
    async with asyncio.TaskGroup() as duties:
        duties.create_task(_taken_up_again(delivery.run))
        duties.create_task(_taken_up_again(gateway.sealing.run))
        duties.create_task(_taken_up_again(lambda: keep_found(gateway.means.ledger)))
        duties.create_task(_taken_up_again(lambda: keep_telling(gateway.means.ledger)))
        duties.create_task(_taken_up_again(lambda: _keep_tidy(gateway)))


async def _taken_up_again(duty: Callable[[], Awaitable[None]]) -> None:
    """A duty that breaks neither ends the process nor goes unseen."""
    while True:
        try:
            await duty()
        except Exception:
            _log.exception("duty-broken")
        await asyncio.sleep(_PAUSE_SECONDS)


async def _keep_tidy(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(_TIDY_SECONDS)
        try:
            await operating.tidy(gateway.means)
            await outbox_acts.tidy(gateway.means)
        except LedgerUnavailable:
            _log.warning("tidying-postponed")


async def _keep_certificates_fresh(_gateway: Gateway, server: uvicorn.Server) -> None:
    """Take new certificate and key files into use without a restart; bad ones leave the old in use."""
    while isinstance(server, ExchangeServer):
        await asyncio.sleep(_RELOAD_SECONDS)
        try:
            server.reload()
        except OSError:
            _log.warning("certificate-files-unusable")


def _end_by_asking(server: uvicorn.Server) -> None:
    """A signal asks the server to end. Left to itself, uvicorn raises it once more after serving, and by its default
    effect that would end the process before its duties have."""

    def ask(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)


def _run(
    settings: Settings,
    sock: socket.socket,
    make: Callable[[Gateway, socket.socket], uvicorn.Server],
    *,
    meanwhile: Callable[[Gateway, uvicorn.Server], Coroutine[None, None, None]],
) -> None:
    """Serve until asked to end. Whatever stops it is one line of the log, and exit code 1."""
    logging.basicConfig(level=settings.log_level.upper(), handlers=[json_log()])

    async def work() -> None:
        gateway = await open_gateway(settings)
        try:
            server = make(gateway, sock)
            _end_by_asking(server)
            settle_memory()
            aside = asyncio.create_task(meanwhile(gateway, server))
            await server.serve(sockets=[sock])
            aside.cancel()
            await asyncio.wait({aside}, timeout=_FAREWELL_SECONDS)
        finally:
            await gateway.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(work())
        except _CANNOT_BEGIN as wrong:
            _log.critical("worker-cannot-serve", extra={"why": str(wrong)})
            sys.exit(1)
        except Exception:
            _log.critical("worker-broken", exc_info=True)
            sys.exit(1)
