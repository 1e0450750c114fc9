"""What does one worker process do? Open the gateway, serve one listener on an inherited socket, end gracefully."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine

import uvicorn
import uvloop

from gateway.app import Gateway, open_gateway, settle_memory
from gateway.fhir.writing import outcome
from gateway.flows.operating import tidy
from gateway.logs import json_log
from gateway.settings import Settings
from gateway.stores.ledger import LedgerUnavailable
from gateway.web.desk import is_loopback
from gateway.web.listener import ExchangeServer, Limits, make_server

_log = logging.getLogger("switchpoint.worker")

_LISTENER_CODES = {"timeout": "request-timeout"}
"""The listener's own words where the published code system has another."""


def serve_exchange(settings: Settings, sock: socket.socket) -> None:
    """Serve the exchange listener until SIGTERM."""
    _run(settings, sock, _exchange_server, meanwhile=_keep_certificates_fresh)


def serve_desk(settings: Settings, sock: socket.socket) -> None:
    """Serve the desk listener until SIGTERM."""
    _run(settings, sock, _desk_server, meanwhile=_keep_tidy)


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
    config = uvicorn.Config(gateway.desk(), access_log=False, log_config=None, server_header=False)
    if not is_loopback(settings.desk_host):
        config.ssl_certfile, config.ssl_keyfile = settings.certificate, settings.key
    return uvicorn.Server(config)


_TIDY_SECONDS = 60.0


_RELOAD_SECONDS = 5.0


async def _keep_tidy(gateway: Gateway, _server: uvicorn.Server) -> None:
    """What has to be done now and then, by one process: the desk's."""
    while True:
        await asyncio.sleep(_TIDY_SECONDS)
        try:
            await tidy(gateway.means)
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


def _run(
    settings: Settings,
    sock: socket.socket,
    make: Callable[[Gateway, socket.socket], uvicorn.Server],
    *,
    meanwhile: Callable[[Gateway, uvicorn.Server], Coroutine[None, None, None]],
) -> None:
    logging.basicConfig(level=settings.log_level.upper(), handlers=[json_log()])

    async def work() -> None:
        gateway = await open_gateway(settings)
        try:
            server = make(gateway, sock)
            settle_memory()
            aside = asyncio.create_task(meanwhile(gateway, server))
            await server.serve(sockets=[sock])
            aside.cancel()
        finally:
            await gateway.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
