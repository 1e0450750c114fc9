"""Does the desk's process deliver what was accepted, and does it end without leaving an attempt in doubt?

The process is a real one, started as `switchpoint serve` starts it; the recipient is a raw server with mutual TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from exchange_made import Exchange
from test_message_requests import enrol, location, message, post

from gateway.rules.journal import Event
from gateway.rules.message import State
from gateway.stores import outbox, register
from source_sim.pki import Pki

ANSWERS_AFTER_S = 1.5


@dataclass
class Recipient:
    """Reads whole requests, and takes each after a while."""

    context: ssl.SSLContext
    bodies: list[bytes] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    meetings: set[asyncio.Task[Any]] = field(default_factory=set)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.meetings.add(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                self.came.set()
                await asyncio.sleep(ANSWERS_AFTER_S)
                writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def recipient(exchange: Exchange, authority: Pki, practice: Any, folder: Path) -> AsyncIterator[Recipient]:
    """The practice's system at work on 127.0.0.1, and registered there."""
    authority.issue(
        practice.ura, practice.application, "GP", dns=["127.0.0.1"], out=folder, stem="gp", now=datetime.now(UTC)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "gp.pem", folder / "gp.key")
    context.load_verify_locations(authority.directory / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    here = Recipient(context)
    server = await asyncio.start_server(here.meet, "127.0.0.1", 0, ssl=context)
    endpoint = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir"
    system = replace(practice.system, endpoint=endpoint)
    await exchange.gateway.means.ledger.commit(lambda tx: register.put_system(tx, system))
    yield here
    server.close()
    for meeting in here.meetings:
        meeting.cancel()
    await asyncio.gather(*here.meetings)


DESK = """
import socket, sys
from gateway.cli.working import serve_desk
from gateway.settings import Settings
serve_desk(Settings(), socket.socket(fileno=int(sys.argv[1])))
"""


@contextlib.contextmanager
def desk_process(exchange: Exchange) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The desk's process of this exchange, and its port."""
    settings = exchange.gateway.settings
    named = ("state_dir", "certificate", "key", "ca", "crl", "exchange_url")
    environment = {f"SWITCHPOINT_{name.upper()}": str(getattr(settings, name)) for name in named}
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        command = [sys.executable, "-c", DESK, str(listening.fileno())]
        child = subprocess.Popen(command, pass_fds=[listening.fileno()], env={**os.environ, **environment})
        try:
            yield child, listening.getsockname()[1]
        finally:
            child.kill()
            child.wait()


async def within(seconds: float, so: Callable[[], Any]) -> bool:
    async with asyncio.timeout(seconds):
        while not await so():
            await asyncio.sleep(0.05)
    return True


async def ended(child: subprocess.Popen[bytes]) -> bool:
    return child.poll() is not None


async def test_a_message_under_way_is_marked_before_the_process_ends(
    exchange: Exchange, authority: Pki, members: SimpleNamespace, tmp_path: Path
) -> None:
    await enrol(exchange, members.practice)
    async with recipient(exchange, authority, members.practice, tmp_path) as gp:
        id = location(await post(exchange, members.post, message(members.post)))
        with desk_process(exchange) as (child, _port):
            async with asyncio.timeout(60):
                await gp.came.wait()
            child.send_signal(signal.SIGTERM)
            assert await within(40, lambda: ended(child))
        assert child.returncode == 0
    held = await exchange.gateway.means.ledger.read(lambda tx: outbox.find(tx, id))
    assert held is not None
    assert (held.state, held.attempts, held.doubtful, len(gp.bodies)) == (State.DELIVERED, 1, False, 1)
    told = [line.event for line in await exchange.journal() if line.event is Event.MESSAGE_DELIVERED]
    assert len(told) == 1


async def test_the_desk_goes_on_delivering_and_shows_the_numbers(
    exchange: Exchange, authority: Pki, members: SimpleNamespace, tmp_path: Path
) -> None:
    await enrol(exchange, members.practice)
    async with recipient(exchange, authority, members.practice, tmp_path) as gp:
        with desk_process(exchange) as (child, port):
            sent = [await post(exchange, members.post, message(members.post)) for _ in range(3)]
            assert [one.status for one in sent] == [202] * 3

            async def all_delivered() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    async with httpx.AsyncClient(trust_env=False) as client:
                        told = await client.get(f"http://127.0.0.1:{port}/metrics")
                    return 'switchpoint_messages{state="delivered"} 3\n' in told.text
                return False

            assert await within(60, all_delivered)
            assert child.poll() is None
    assert len(gp.bodies) == 3
