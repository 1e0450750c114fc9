"""A sender that hands in one new message after another over mutual TLS. Cheap: it must not disturb what is measured."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

import httptools

from benchmarks.load import Round, cpu_seconds


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages that differ in their id only, of one fixed length; `id` is the one that stands in `body`."""

    id: str
    body: bytes = field(repr=False)

    def fresh(self) -> tuple[str, bytes]:
        """The next message, under an id of its own."""
        id = str(UUID(bytes=os.urandom(16), version=4))
        return id, self.body.replace(self.id.encode(), id.encode())

    def requests(self, token: str) -> Iterator[bytes]:
        """The same as whole requests."""
        head = (
            "POST /fhir/$process-message HTTP/1.1\r\nhost: localhost\r\naccept: application/fhir+json\r\n"
            f"authorization: Bearer {token}\r\ncontent-type: application/fhir+json\r\n"
            f"content-length: {len(self.body)}\r\n\r\n"
        ).encode()
        while True:
            yield head + self.fresh()[1]


class _Sending(asyncio.Protocol):
    """Hands in the next as soon as the one before is accepted, until told to stop."""

    def __init__(self, take: Callable[[], bytes]) -> None:
        self._take, self._until = take, 0.0
        self.latencies: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def begin(self, until: float) -> None:
        self._until = until
        self._send()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        request = self._take()
        self._began = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.latencies.append(time.perf_counter() - self._began)
        if self._parser.get_status_code() != 202:
            self._finish(RuntimeError(f"status {self._parser.get_status_code()}"))
        elif time.perf_counter() >= self._until:
            self._finish(None)
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._finish(exc or RuntimeError("the connection was closed"))

    def _finish(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error) if error else self.done.set_result(None)
        self._transport.close()


async def run(
    port: int,
    requests: Iterator[bytes],
    tls: ssl.SSLContext,
    *,
    connections: int,
    seconds: float,
    pids: Iterable[int],
) -> Round:
    """Keep `connections` busy for `seconds`; every answer must be 202. Raises RuntimeError."""
    loop, callers = asyncio.get_running_loop(), list[_Sending]()
    for _ in range(connections):
        _, caller = await loop.create_connection(
            lambda: _Sending(lambda: next(requests)), "127.0.0.1", port, ssl=tls, server_hostname="localhost"
        )
        callers.append(caller)
    group = list(pids)
    began, cpu = time.perf_counter(), cpu_seconds(group)
    for caller in callers:
        caller.begin(began + seconds)
    await asyncio.gather(*(caller.done for caller in callers))
    latencies = [one for caller in callers for one in caller.latencies]
    return Round(latencies, time.perf_counter() - began, cpu_seconds(group) - cpu)
