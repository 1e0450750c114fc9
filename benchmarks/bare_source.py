"""A source as cheap as it can be: one fixed answer to every POST, over mutual TLS. What is measured is who asks it."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

import httptools
import uvloop


class Answering(asyncio.Protocol):
    """Answers every whole request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(self._answer)  # type: ignore[attr-defined]


async def serve(body: Path, certificate: Path, key: Path, ca: Path) -> None:
    content = body.read_bytes()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {len(content)}\r\n\r\n"
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(certificate, key)
    answer = head.encode() + content
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(answer), "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(*(Path(argument) for argument in sys.argv[1:5])))
