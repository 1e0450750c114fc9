"""A hundred practices in one process: they take messages over mutual TLS, as told: at once, slowly, or not at all.

Run with a JSON file; prints their ports, then one line of counts for every line read.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import httptools
import uvloop

_TAKEN = b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: 2\r\n\r\n{}"


class Manner(StrEnum):
    """A practice takes at once, takes after two seconds, refuses to connect, or accepts a connection and is silent."""

    QUICK = "quick"
    SLOW = "slow"
    CLOSED = "closed"
    SILENT = "silent"


SLOW_SECONDS = 2.0


@dataclass
class Counts:
    """What came in: messages by manner, and when the first and the last quick one came (CLOCK_MONOTONIC)."""

    taken: Counter[str] = field(default_factory=Counter)
    first: float = 0.0
    last: float = 0.0

    def take(self, manner: Manner) -> None:
        now = time.monotonic()
        self.first = self.first or now
        self.taken[manner] += 1
        if manner is Manner.QUICK:
            self.last = now


class Taking(asyncio.Protocol):
    """Answers each whole message with 200 and an empty object."""

    def __init__(self, manner: Manner, counts: Counts) -> None:
        self._manner, self._counts = manner, counts
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._manner is Manner.SLOW:
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._counts.take(self._manner)
        self._transport.write(_TAKEN)  # type: ignore[attr-defined]


async def _listen(told: dict[str, Any], ca: str, counts: Counts) -> socket.socket:
    manner, sock = Manner(told["manner"]), socket.socket()
    sock.bind(("127.0.0.1", 0))
    if manner is Manner.SILENT:
        sock.listen(0)
    if manner in (Manner.CLOSED, Manner.SILENT):
        return sock
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(told["cert"], told["key"])
    await asyncio.get_running_loop().create_server(lambda: Taking(manner, counts), sock=sock, ssl=tls)
    return sock


async def serve(config: Path) -> None:
    told, counts = json.loads(config.read_text("utf-8")), Counts()
    socks = [await _listen(one, told["ca"], counts) for one in told["practices"]]
    print(json.dumps([sock.getsockname()[1] for sock in socks]), flush=True)
    loop = asyncio.get_running_loop()
    while order := await loop.run_in_executor(None, sys.stdin.readline):
        if order == "anew\n":
            counts.taken.clear()
            counts.first = counts.last = 0.0
        print(json.dumps({"first": counts.first, "last": counts.last, **counts.taken}), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
