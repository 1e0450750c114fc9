"""Is this a whole, timely, moderate request? One connection of the exchange listener, until the app may see it.

Knows bytes, the client's certificate as bytes, sizes and the loop's clock. Knows nothing of tokens, patients or FHIR.
Built on uvicorn's httptools protocol; unlike there a request reaches the app only when it is whole, so that no slow or
oversized sender ever holds a task. No URL is ever logged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

CERTIFICATE = "switchpoint.certificate"
"""Under this key in `scope["extensions"]`: the client's certificate, DER bytes, as verified by TLS."""

EXCHANGE = "switchpoint.exchange"
"""Under this key in `scope["extensions"]`: the whole request's body, and a way to answer it whole (Whole)."""

WriteError = Callable[[int, str, str], bytes]
"""(status, code, sentence) to the JSON body of an answer to a message that never became a request."""

_BATCH_PATHS = frozenset({b"/fhir", b"/fhir/", b"/fhir/R4", b"/fhir/R4/"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps in bytes, times in seconds (promises.md section 3)."""

    handshake_s: float = 5.0
    head_s: float = 10.0
    """From connecting, or from the first byte on a kept connection, to the whole head."""
    body_s: float = 30.0
    """From the whole head to the whole body."""
    write_s: float = 30.0
    """How long a client may leave our answer unread; also for the last of it when a connection closes."""
    idle_s: int = 60
    """How long a kept connection may wait for the next request."""
    linger_s: float = 1.0
    """How long, after a refusal, what the client still sends is read and dropped, so that it can read the answer."""
    linger: int = 1024 * 1024
    """And how many bytes of it."""
    head: int = 16 * 1024
    body: int = 1024 * 1024
    batch: int = 10 * 1024 * 1024
    """The body of `POST /fhir`."""
    connections: int = 2000
    shutdown_s: int = 10
    """How long requests under way may take to end when the server stops; then connections are cut."""
    leave_s: float = 1.0
    """How long, when the server stops, a kept connection may still bring one more request."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to a message that never became a request."""

    status: HTTPStatus
    code: str
    sentence: str


_MALFORMED = Refusal(HTTPStatus.BAD_REQUEST, "malformed", "This is not an HTTP/1.1 request.")
_UPGRADE = Refusal(HTTPStatus.BAD_REQUEST, "malformed", "This connection is not upgraded to another protocol.")
_SLOW = Refusal(HTTPStatus.REQUEST_TIMEOUT, "timeout", "The request did not arrive in time.")
_HEAD = Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too-large", "The head of the request is too large.")
_BODY = Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "The body of the request is too large.")
_FULL = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "Too many connections; try again in a moment.")


def operation_outcome(status: int, code: str, sentence: str) -> bytes:
    """The least OperationOutcome that says what is wrong; the composition root may hand in a fuller writer."""
    details = {"coding": [{"code": code}], "text": sentence}
    issue = {"severity": "error", "code": "transient" if status >= 500 else "processing", "details": details}
    return json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()


class _Refused(Exception):
    """Leaves the parser from within a callback; the refusal is kept on the protocol."""


class Whole:
    """One whole request: what ASGI says in several messages each way, said at once."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def take_body(self) -> bytes:
        """The request's body; taken once, it is no longer kept here."""
        taken, self._cycle.body = bytes(self._cycle.body), bytearray()
        return taken

    def answer(self, status: int, lines: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write the whole answer, `content-length` among its lines. False, and nothing is written, where it takes more
        than that (a client that does not read, or is gone; a line with a break in it): then ASGI's own way decides."""
        cycle = self._cycle
        started = cycle.disconnected or cycle.response_started or cycle.flow.write_paused
        ready = cycle.keep_alive and not started and cycle.scope["method"] != "HEAD"
        every = [*cycle.default_headers, *lines]
        head = b"".join([b"%b: %b\r\n" % line for line in every])
        if not ready or not head.count(b"\r") == head.count(b"\n") == len(every):
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(b"%b%b\r\n%b" % (_STATUS_LINES[status], head, body))
        cycle.message_event.set()
        cycle.on_response()
        return True


_STATUS_LINES: dict[int, bytes] = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}


class ExchangeProtocol(HttpToolsProtocol):
    """One connection of the exchange listener."""

    def __init__(self, *, limits: Limits, write_error: WriteError, ending: Callable[[], bool], **rest: Any) -> None:
        super().__init__(**rest)
        self._ending = ending
        self.access_log = False
        self._limits = limits
        self._write_error = write_error
        self._certificate = b""
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._phase = ""
        self._in_head = False
        self._head = self._dropped = self._quiet = self._cap = 0
        self._waiting: tuple[RequestResponseCycle, Any] | None = None
        self._refusal: Refusal | None = None
        self._refused = self._surplus = False

    # --- called by the transport -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self._surplus = len(self.connections) > self._limits.connections
        self._watch("head", self._limits.head_s)
        if self._ending():  # it shook hands while the others were told
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self._waiting = None
        if self._stall is not None:
            self._stall.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._refused:
            self._drop(len(data))
            return
        self._quiet += len(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(self._refusal or _MALFORMED)
            return
        if self._quiet > self._limits.head:
            self._refuse(_HEAD)
        else:
            self._watch_over()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(self._limits.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    # --- called by the parser ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head = 0
        cast(dict[str, Any], self.scope)["extensions"] = {CERTIFICATE: self._certificate}

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if self._in_head:  # a trailer is counted, and otherwise of no account
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._quiet = 0
        if self.parser.should_upgrade():
            self._stop(_UPGRADE)
        if self._surplus:
            self._stop(_FULL)
        self._cap = self._body_cap()
        if self._announced() > self._cap:
            self._stop(_BODY)
        super().on_headers_complete()
        self.cycle.keep_alive = self.cycle.keep_alive and not self._ending()

    def on_body(self, body: bytes) -> None:
        self._quiet = 0
        if len(self.cycle.body) + len(body) > self._cap:
            self._stop(_BODY)
        self.cycle.body += body

    def on_message_complete(self) -> None:
        super().on_message_complete()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._start(*waiting)

    # --- from request to app -----------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start the app as soon as the request is whole."""
        if cycle.more_body:
            self._waiting = (cycle, app)
        else:
            self._start(cycle, app)

    def _start(self, cycle: RequestResponseCycle, app: Any) -> None:
        cast(dict[str, Any], cycle.scope)["extensions"][EXCHANGE] = Whole(cycle)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._watch_over()

    def shutdown(self) -> None:
        """The server stops: finish what is under way, and let a client that is just writing have its answer."""
        if self._busy():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(self._limits.leave_s, self._leave)

    def _leave(self) -> None:
        if not self._busy():
            self._part(self._limits.leave_s)

    def _part(self, seconds: float) -> None:
        """Close politely, and cut the connection if the client does not close its side in `seconds`."""
        self.transport.close()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _body_cap(self) -> int:
        batch = self.parser.get_method() == b"POST" and self.url.partition(b"?")[0] in _BATCH_PATHS
        return self._limits.batch if batch else self._limits.body

    def _announced(self) -> int:
        return max((int(value) for name, value in self.headers if name == b"content-length"), default=0)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self._limits.head:
            self._stop(_HEAD)

    # --- deadlines ---------------------------------------------------------------------------------------------------

    def _watch_over(self) -> None:
        """After anything happened: which deadline holds now?"""
        if self._waiting is not None:
            self._welcome_body(self._waiting[0])
            self._watch("body", self._limits.body_s)
        elif self._busy():
            self._unwatch()
        elif self._in_head or self.timeout_keep_alive_task is None:
            self._watch("head", self._limits.head_s)
        else:
            self._unwatch()

    def _welcome_body(self, cycle: RequestResponseCycle) -> None:
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _watch(self, phase: str, seconds: float) -> None:
        """A phase has one deadline from its start: bytes that drip in do not move it."""
        if phase != self._phase:
            self._unwatch()
            self._phase = phase
            self._timer = self.loop.call_later(seconds, self._late)

    def _unwatch(self) -> None:
        self._phase = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        begun = self._in_head or self._waiting is not None
        if begun:
            self._refuse(_SLOW)
        else:
            self.transport.abort()

    # --- refusing ----------------------------------------------------------------------------------------------------

    def _stop(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise _Refused

    def _refuse(self, refusal: Refusal) -> None:
        self._unwatch()
        self._refused = True
        if self._busy() and self._waiting is None:
            self.transport.abort()  # an earlier request still owes its answer; nothing can be said in between
            return
        self._waiting = None
        self.transport.write(self._answer(refusal))
        self._timer = self.loop.call_later(self._limits.linger_s, self._part, self._limits.linger_s)

    def _answer(self, refusal: Refusal) -> bytes:
        body = self._write_error(refusal.status, refusal.code, refusal.sentence)
        head = [b"HTTP/1.1 %d %b" % (refusal.status, refusal.status.phrase.encode())]
        head += [b"%b: %b" % pair for pair in self.server_state.default_headers]
        head += [b"content-type: application/fhir+json", b"content-length: %d" % len(body), b"connection: close"]
        if refusal is _FULL:
            head.append(b"retry-after: 1")
        return b"\r\n".join([*head, b"", body])

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > self._limits.linger:
            self.transport.abort()
