"""How is a client watched? One more worker of the running exchange, at an address of its own, that takes notes.

It opens the same stores and keys as the exchange's other workers, so everything is decided, journaled and delivered as
always; only the addresses in its answers are its own, and what came in it keeps in memory until the session is judged.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from gateway.app import Asgi, Gateway, Receive, Scope, Send, open_gateway
from gateway.cli.place import Misuse
from gateway.settings import Settings
from gateway.web.listener import CERTIFICATE, ExchangeServer, bind, make_server
from source_sim.checking.observing import Recorder, Seen

_HALT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Front:
    """Where the client is expected, and what it did so far."""

    base: str
    recorder: Recorder

    @property
    def token_endpoint(self) -> str:
        return self.base + "/token"

    @property
    def seen(self) -> tuple[Seen, ...]:
        return self.recorder.seen


@dataclass(frozen=True, slots=True)
class Watching:
    """How long to watch: `seconds`, or until `script` (a command line) has ended, whichever comes first."""

    seconds: float
    script: str = ""
    trouble: bool = False


@asynccontextmanager
async def front(settings: Settings, url: str, *, trouble: bool) -> AsyncIterator[Front]:
    """Serve at `url` (https, port 0 for any) in front of the exchange with these settings.

    Raises Misuse for an address that cannot be listened at; OSError, LedgerUnavailable, IndexUnavailable.
    """
    host, port = _place(url)
    try:
        listening = bind("127.0.0.1" if host == "localhost" else host, port)
    except OSError as wrong:
        raise Misuse(f"cannot listen at {url}: {wrong.strerror}") from wrong
    base = f"https://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    gateway = await open_gateway(settings)
    recorder = Recorder(_exchange(gateway, base), _certificate, time.monotonic, _epoch, trouble)
    server = make_server(recorder, sock=listening, certificate=settings.certificate, key=settings.key, ca=settings.ca)
    try:
        async with _serving(server):
            yield Front(base, recorder)
    finally:
        await gateway.close()


def _place(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = 0 if parts.port is None else parts.port
    except ValueError as wrong:
        raise Misuse(f"{url} is no address") from wrong
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/"):
        raise Misuse("a client is expected at https://HOST:PORT, without a path")
    return parts.hostname, port


def _exchange(gateway: Gateway, base: str) -> Asgi:
    """The exchange as it is, but for the address it gives as its own. It is shown the certificate, but not the
    listener's short cut for whole bodies and answers, which would go past whoever looks on."""
    exchange = replace(gateway, site=replace(gateway.site, base=base)).exchange()

    async def plainly(scope: Scope, receive: Receive, send: Send) -> None:
        await exchange({**scope, "extensions": {CERTIFICATE: _certificate(scope)}}, receive, send)

    return plainly


def _certificate(scope: Scope) -> bytes | None:
    found = scope.get("extensions", {}).get(CERTIFICATE)
    return found if isinstance(found, bytes) else None


def _epoch() -> float:
    return datetime.now(UTC).timestamp()


@asynccontextmanager
async def _serving(server: ExchangeServer) -> AsyncIterator[None]:
    """The parts of the server's own `serve` without its signals: here they end the session, not the process."""
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield
    finally:
        server.should_exit = True
        await ticking
        await server.shutdown()


async def watch(settings: Settings, url: str, watching: Watching, tell: Callable[[Front], None]) -> Front:
    """Serve, tell where, and wait for the end of the session: Ctrl-C ends it too. Raises as `front`."""
    async with front(settings, url, trouble=watching.trouble) as open_front:
        tell(open_front)
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        running: list[asyncio.Task[object]] = [asyncio.create_task(ended.wait())]
        if watching.script:
            running.append(asyncio.create_task(_run(watching.script, open_front, settings)))
        await asyncio.wait(running, timeout=watching.seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in running:
            one.cancel()
        done = await asyncio.gather(*running, return_exceptions=True)
        for failed in (one for one in done if isinstance(one, Misuse)):
            raise failed
        return open_front


async def _run(script: str, open_front: Front, settings: Settings) -> None:
    """Run the client; it is told the addresses in CHECK_… variables. Cancelling ends it. Raises Misuse."""
    told = {
        "CHECK_EXCHANGE": open_front.base,
        "CHECK_FHIR": open_front.base + "/fhir",
        "CHECK_TOKEN_ENDPOINT": open_front.token_endpoint,
        "CHECK_CA": str(settings.ca),
    }
    try:
        process = await asyncio.create_subprocess_exec(*shlex.split(script), env={**os.environ, **told})
    except (OSError, ValueError) as wrong:
        raise Misuse(f"cannot run {script!r}: {wrong}") from wrong
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _HALT_SECONDS)
