"""How does one question travel over one connection, and when is its answer whole? HTTP/1.1, one exchange at a time.

Knows bytes, heads, caps and closing. Knows nothing of sources, permits or FHIR, and never asks again by itself.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from dataclasses import dataclass, field
from typing import cast

import httptools

from gateway.sources.body import Body
from gateway.sources.bounds import Fault, Limits, malformed, unreachable

READ_IN_FULL = frozenset({200, 202, 403})
"""Statuses whose body matters; any other is settled by its head."""

CERTIFICATE_REFUSED = frozenset(
    {
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    }
)
"""OpenSSL's names for the alerts of a peer that does not take our certificate. In TLS 1.3 (RFC 8446 section 4.4.2.4)
they may come after we wrote the request, which then nobody has read."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it came: `headers` by lower-case name (the last of equals), body unpacked and within its cap."""

    status: int
    headers: dict[bytes, bytes] = field(repr=False)
    body: bytes = field(repr=False)


class _Broken(Exception):
    """Leaves the parser from within a callback; the fault is kept on the wire."""


class Wire(asyncio.Protocol):
    """A connection to a source. `usable` while it can carry another exchange."""

    __slots__ = (
        "_answered",
        "_body",
        "_fault",
        "_head",
        "_head_done",
        "_headers",
        "_limits",
        "_loop",
        "_parser",
        "_quiet",
        "_received",
        "_status",
        "_until_close",
        "_waiter",
        "certificate",
        "idle_since",
        "transport",
        "usable",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self._loop = loop
        self._limits = limits
        self._waiter: asyncio.Future[Response] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self.transport: asyncio.Transport | None = None
        self.certificate = b""
        self.idle_since = 0.0
        self.usable = False
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._body: Body | None = None
        self._fault: Fault | None = None
        self._head = self._quiet = self._received = 0
        self._head_done = self._answered = self._until_close = False

    async def exchange(self, request: bytes) -> Response:
        """Send one request and wait for its answer. Raises Fault; whoever cancels this closes the connection."""
        if self.transport is None or not self.usable:
            raise unreachable("closed before the request", untouched=True, unread=True)
        self._reset()
        waiter: asyncio.Future[Response] = self._loop.create_future()
        self._waiter = waiter
        self.transport.write(request)
        try:
            return await waiter
        except asyncio.CancelledError:
            self.abort()
            if not waiter.cancelled():
                waiter.exception()  # it failed in the same moment; nobody else will look
            raise
        finally:
            self._waiter = None

    def quiet(self) -> bool:
        """Whether nothing has come that our loop has not read yet."""
        if self.transport is None:
            return False
        looking = select.poll()
        looking.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return not looking.poll(0)

    def abort(self) -> None:
        """Close at once; what is under way is lost."""
        self.usable = False
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """Close politely; only for a connection that carries nothing."""
        self.usable = False
        if self.transport is not None:
            self.transport.close()

    # --- called by the transport -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self._parser = httptools.HttpResponseParser(self)
        self.usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self.transport = self._parser = None
        if self._waiter is None or self._waiter.done():
            return
        if self._until_close and exc is None:
            self._finish()
        else:
            self._fail(self._loss(exc))

    def eof_received(self) -> None:
        self.usable = False

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done() or self._parser is None:
            self.abort()  # bytes nobody asked for would be taken for the next answer
            return
        self._received += len(data)
        self._quiet += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.usable = False
            self._fault = self._fault or (None if self._answered else malformed("not an HTTP answer"))
        self._settle()

    # --- called by the parser ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answered:
            self._break(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._quiet = 0
        self._head += len(name) + len(value)
        if self._head > self._limits.head:
            self._break(malformed("head over the cap"))
        if not self._head_done:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._quiet = 0
        self._status = cast(httptools.HttpResponseParser, self._parser).get_status_code()
        if self._status == 101:
            self._break(malformed("switches protocols unasked"))
        if self._status < 200:
            return
        self._head_done = True
        length = self._headers.get(b"content-length")
        self._until_close = length is None and b"transfer-encoding" not in self._headers
        if self._status in READ_IN_FULL:
            self._open_body(int(length or 0))

    def on_body(self, data: bytes) -> None:
        self._quiet = 0
        if self._body is None:
            return
        try:
            self._body.feed(data)
        except Fault as fault:
            self._break(fault)

    def on_message_complete(self) -> None:
        if not self._head_done:
            self._headers = {}  # an interim head; the answer is still to come
            return
        self._answered = True
        self._until_close = False
        if not cast(httptools.HttpResponseParser, self._parser).should_keep_alive():
            self.usable = False

    # --- settling ----------------------------------------------------------------------------------------------------

    def _open_body(self, length: int) -> None:
        if length > self._limits.body:
            self._break(malformed("body over the cap"))
        encoding = self._headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        try:
            self._body = Body(encoding, self._limits.unpacked)
        except Fault as fault:
            self._break(fault)

    def _break(self, fault: Fault | None) -> None:
        self._fault = fault
        self.usable = False
        raise _Broken

    def _settle(self) -> None:
        if self._fault is None and not self._answered:
            self._fault = self._overrun()
        if self._fault is not None:
            self._fail(self._fault)
        elif self._answered:
            self._finish()
        elif self._head_done and self._status not in READ_IN_FULL:
            self.usable = False
            self._finish()

    def _overrun(self) -> Fault | None:
        if self._quiet > self._limits.head:
            return malformed("head over the cap")
        if self._received > self._limits.head + self._limits.body:
            return malformed("body over the cap")
        return None

    def _finish(self) -> None:
        # An answer given before the request was wholly sent leaves the rest of it on the line.
        if self.transport is None or self.transport.get_write_buffer_size():
            self.usable = False
        try:
            body = self._body.finish() if self._body is not None else b""
        except Fault as fault:
            self._fail(fault)
            return
        self._resolve(Response(self._status, self._headers, body))

    def _resolve(self, response: Response) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(response)

    def _fail(self, fault: Fault) -> None:
        self.abort()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(fault)

    def _loss(self, exc: Exception | None) -> Fault:
        if not self._received:
            refused = isinstance(exc, ssl.SSLError) and exc.reason in CERTIFICATE_REFUSED
            detail = "our certificate was refused" if refused else "closed before any answer"
            return unreachable(detail, untouched=True, unread=refused)
        return malformed("answer is truncated") if exc is None else unreachable("connection reset")
