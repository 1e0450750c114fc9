"""A closed-loop generator over mutual TLS, and the CPU time of a group of processes. Cheap: it must not disturb."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httptools


@dataclass(frozen=True, slots=True)
class Round:
    """One round against one target: seconds per request in the order they ended, and the CPU seconds spent on them."""

    latencies: list[float]
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def cpu_each(self) -> float:
        return self.cpu / len(self.latencies)

    def quantile(self, q: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


class _Caller(asyncio.Protocol):
    """Sends the same request again and again on one connection until told to stop."""

    def __init__(self, request: bytes, until: float, want: bytes) -> None:
        self._request, self._until, self._want = request, until, want
        self.latencies: list[float] = []
        self.done = asyncio.get_running_loop().create_future()
        self.checked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._began = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if not self.checked:
            self._body += body

    def on_message_complete(self) -> None:
        self.latencies.append(time.perf_counter() - self._began)
        if self._parser.get_status_code() != 200 or (not self.checked and self._want not in self._body):
            self._finish(RuntimeError(f"status {self._parser.get_status_code()}: {bytes(self._body[:300])!r}"))
            return
        self.checked = True
        if time.perf_counter() >= self._until:
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
    request: bytes,
    want: bytes,
    tls: ssl.SSLContext,
    *,
    connections: int,
    seconds: float,
    pids: Iterable[int],
) -> Round:
    """Keep `connections` busy for `seconds`; the first answer on each must hold `want`. Raises RuntimeError."""
    group = list(pids)
    began, cpu = time.perf_counter(), cpu_seconds(group)
    loop, until = asyncio.get_running_loop(), time.perf_counter() + seconds
    callers = []
    for _ in range(connections):
        _, caller = await loop.create_connection(
            lambda: _Caller(request, until, want), "127.0.0.1", port, ssl=tls, server_hostname="localhost"
        )
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))
    latencies = [one for caller in callers for one in caller.latencies]
    return Round(latencies, time.perf_counter() - began, cpu_seconds(group) - cpu)


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of all threads of these processes so far, from /proc/*/task/*/schedstat (nanoseconds)."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found, fresh = [pid], [pid]
    while fresh:
        fresh = [child for parent in fresh for child in _children(parent)]
        found += fresh
    return found


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def pin(core: int) -> None:
    """Keep this process, and those it starts, on one core."""
    os.sched_setaffinity(0, {core})
