"""What exactly came over the wire? A client of one TLS connection that never reconnects and keeps every byte it got."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode

from source_sim import requesters
from source_sim.requesters import Ask


@dataclass
class Wire:
    """One connection, open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, tls: ssl.SSLContext, port: int) -> Wire:
        """Raises ssl.SSLError, OSError."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost"))

    @property
    def port(self) -> int:
        """Our own end's port."""
        return int(self.writer.get_extra_info("sockname")[1])

    async def send(self, request: bytes) -> None:
        self.writer.write(request)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of one whole answer. Raises asyncio.IncompleteReadError, ConnectionError, ssl.SSLError."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return int(head.split(b" ")[1]), await self.reader.readexactly(int(lengths[0].partition(b":")[2]))

    async def rest(self) -> bytes:
        """Every byte until the connection ends, however it ends."""
        got = bytearray()
        with suppress(ConnectionError, ssl.SSLError):
            while part := await self.reader.read(65536):
                got += part
        return bytes(got)

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()


def ping() -> bytes:
    return b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nAccept: application/fhir+json\r\n\r\n"


def search(bsn: str, token: str, chain: str, *, kind: Ask = Ask.GP_SUMMARY, close: bool = True) -> bytes:
    """The request of the first search of `kind`, byte for byte."""
    wanted = requesters.SEARCHES[kind][0]
    body = urlencode([(wanted.patient, requesters.bsn_token(bsn)), *wanted.others]).encode()
    head = (
        f"POST /fhir/{wanted.resource_type}/_search HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {requesters.FORM}\r\nContent-Length: {len(body)}\r\nAORTA-ID: {requesters.aorta_id(chain)}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n"
    )
    return head.encode() + body
