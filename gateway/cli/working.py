"""What does one worker process do? Open the gateway, serve one listener on an inherited socket, end gracefully."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

import uvicorn
import uvloop

from gateway.app import Gateway, open_gateway, settle_memory
from gateway.fhir.writing import outcome
from gateway.logs import json_log
from gateway.settings import Settings
from gateway.web.listener import Limits, make_server

_LISTENER_CODES = {"timeout": "request-timeout"}
"""The listener's own words where the published code system has another."""


def serve_exchange(settings: Settings, sock: socket.socket) -> None:
    """Serve the exchange listener until SIGTERM."""
    _run(settings, sock, _exchange_server)


def serve_desk(settings: Settings, sock: socket.socket) -> None:
    """Serve the desk listener until SIGTERM."""
    _run(settings, sock, _desk_server)


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


def _desk_server(gateway: Gateway, sock: socket.socket) -> uvicorn.Server:
    config = uvicorn.Config(gateway.desk(), access_log=False, log_config=None, server_header=False)
    return uvicorn.Server(config)


def _run(settings: Settings, sock: socket.socket, make: Callable[[Gateway, socket.socket], uvicorn.Server]) -> None:
    logging.basicConfig(level=settings.log_level.upper(), handlers=[json_log()])

    async def work() -> None:
        gateway = await open_gateway(settings)
        try:
            server = make(gateway, sock)
            settle_memory()
            await server.serve(sockets=[sock])
        finally:
            await gateway.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
