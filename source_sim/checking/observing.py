"""What did a client do during a session? A front before the real exchange writes down every request and its answer.

The front is ASGI: the exchange behind it decides, this only looks on; with `trouble` it also answers the first search
and the first message itself, with 503 and Retry-After, to see what the client makes of it. It may not judge, and
what it keeps lives in memory only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl

from source_sim.checking.calling import chain_of
from source_sim.sending import Receive, Send
from source_sim.systems import Application

RETRY_AFTER: Final = 1
"""Seconds that the trouble asks for."""
_MOST_KEPT: Final = 10_000
_ERRORS: Final = 300
_SEARCH, _MESSAGE = "/_search", "/$process-message"

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request and its answer. `at` and `done` are monotonic, `wall` is epoch seconds: the request was there, the
    answer had left (status 0: there was none). `certificate` is DER. `answer` is kept of tokens and errors only.
    Header names are in lower case."""

    at: float
    wall: float
    certificate: bytes | None = field(repr=False)
    method: str
    path: str = field(repr=False)
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int = 0
    answered: Mapping[str, str] = field(default_factory=dict, repr=False)
    answer: bytes = field(default=b"", repr=False)
    done: float = 0.0

    @property
    def is_token(self) -> bool:
        return self.path == "/token"

    @property
    def is_fhir(self) -> bool:
        return self.path == "/fhir" or self.path.startswith("/fhir/")

    @property
    def is_search(self) -> bool:
        return self.is_fhir and self.method == "POST" and self.path.endswith(_SEARCH)

    @property
    def is_message(self) -> bool:
        return self.is_fhir and self.method == "POST" and self.path.endswith(_MESSAGE)

    @property
    def media(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def form(self) -> Pairs:
        """The fields of a form; none when it cannot be read."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    @property
    def bearer(self) -> str:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    @property
    def chain(self) -> str:
        return chain_of(self.headers.get("aorta-id", ""))

    @property
    def resource(self) -> dict[str, Any]:
        return _object(self.body)

    @property
    def answer_json(self) -> dict[str, Any]:
        return _object(self.answer)

    @property
    def code(self) -> str:
        """The machine code of an OperationOutcome, or the error of /token; empty on success."""
        issues = self.answer_json.get("issue")
        details = issues[0].get("details", {}) if isinstance(issues, list) and issues else {}
        codings = details.get("coding", [])
        return str(codings[0].get("code", "")) if codings else str(self.answer_json.get("error", ""))

    def __str__(self) -> str:
        """For a report: what kind of request, never its parameters."""
        return f"{self.method} {self.path}: {self.status} {self.code}".strip()


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(slots=True)
class Recorder:
    """The front: an ASGI application around `exchange`. `certificate` finds the client's in a scope; `ticks` is
    monotonic time, `wall` epoch seconds. `seen` is what was recorded, in the order in which requests came."""

    exchange: Application = field(repr=False)
    certificate: Callable[[MutableMapping[str, Any]], bytes | None] = field(repr=False)
    ticks: Callable[[], float] = field(repr=False)
    wall: Callable[[], float] = field(repr=False)
    trouble: bool = False
    _seen: dict[int, Seen] = field(default_factory=dict, repr=False)
    _met: set[str] = field(default_factory=set, repr=False)
    _count: int = 0

    @property
    def seen(self) -> tuple[Seen, ...]:
        return tuple(self._seen[number] for number in sorted(self._seen))

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or len(self._seen) >= _MOST_KEPT:
            await self.exchange(scope, receive, send)
            return
        number, self._count = self._count, self._count + 1
        watch = _Watch(receive, send)
        await watch.read()
        asked = self._asked(scope)
        try:
            if self._troubles(asked):
                await _later(watch)
            else:
                await self.exchange(scope, watch.receive, watch.send)
        finally:
            self._seen[number] = watch.told(asked, self.ticks())

    def _asked(self, scope: MutableMapping[str, Any]) -> Seen:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = bytes(scope.get("query_string", b"")).decode("latin-1")
        told = (scope["method"], scope["path"], query, headers, b"")
        return Seen(self.ticks(), self.wall(), self.certificate(scope), *told)

    def _troubles(self, asked: Seen) -> bool:
        """Once for a search, once for a message."""
        kind = "search" if asked.is_search and asked.bearer else "message" if asked.is_message else ""
        if not (self.trouble and kind) or kind in self._met:
            return False
        self._met.add(kind)
        return True


class _Watch:
    """Looks on at one request: what came in, what went out."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._given = False
        self.body, self.answer = bytearray(), bytearray()
        self.status, self.answered = 0, dict[str, str]()

    async def read(self) -> None:
        """The whole body first, so that it is known also of a request that the exchange refuses unread."""
        more = True
        while more:
            message = await self._receive()
            self.body += message.get("body", b"")
            more = message["type"] == "http.request" and message.get("more_body", False)

    async def receive(self) -> MutableMapping[str, Any]:
        if self._given:
            return await self._receive()
        self._given = True
        return {"type": "http.request", "body": bytes(self.body), "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            lines = message.get("headers", ())
            self.answered = {bytes(k).decode("latin-1").lower(): bytes(v).decode("latin-1") for k, v in lines}
        self.answer += message.get("body", b"")
        await self._send(message)

    def told(self, asked: Seen, done: float) -> Seen:
        # what a search found is none of the recorder's business
        kept = bytes(self.answer) if asked.is_token or self.status >= _ERRORS else b""
        return replace(asked, body=bytes(self.body), status=self.status, answered=self.answered, answer=kept, done=done)


async def _later(watch: _Watch) -> None:
    """Answer 503 with Retry-After, as an exchange does that has too much to do."""
    coding = [{"system": "https://switchpoint.example/fhir/CodeSystem/outcome", "code": "overloaded"}]
    text = f"The exchange is overloaded; try again in {RETRY_AFTER} second."
    issue = [{"severity": "error", "code": "throttled", "details": {"coding": coding, "text": text}}]
    body = json.dumps({"resourceType": "OperationOutcome", "issue": issue}).encode()
    lines = [(b"content-type", b"application/fhir+json"), (b"retry-after", str(RETRY_AFTER).encode())]
    lines.append((b"content-length", str(len(body)).encode()))
    await watch.send({"type": "http.response.start", "status": 503, "headers": lines})
    await watch.send({"type": "http.response.body", "body": body})
