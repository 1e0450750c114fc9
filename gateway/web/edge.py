"""What holds for every answer of the desk? Headers that keep a browser from running or sending what is not ours.

Also a cap on what anybody may send. Plain ASGI around the application; decides nothing about who may see what.
Source: CSP Level 3, RFC 6797.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import MutableHeaders

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # not no-referrer: a browser would then say "null" where its form posts say where they come from
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_HTTPS_ONLY = "max-age=31536000"
_NOT_KEPT = "no-store"
_BODILESS = frozenset({"GET", "HEAD"})
MOST_BYTES = 64 * 1024
"""How much the body of a request to the desk may hold: forms, and small JSON."""
BODY_SECONDS = 10.0
"""How long it may take to arrive."""


def guarded(app: Asgi, *, secure: bool, body_seconds: float = BODY_SECONDS) -> Asgi:
    """The application with these headers on every answer, and no body above the cap (413) or too slow (408) reaching
    it."""
    headers = {**HEADERS, **({"strict-transport-security": _HTTPS_ONLY} if secure else {})}

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        answering = _Answering(send, headers)
        if scope["method"] in _BODILESS:
            await app(scope, receive, answering)
            return
        try:
            async with asyncio.timeout(body_seconds):
                whole = await _read_whole(scope, receive)
        except TimeoutError:
            await answering.refuse(HTTPStatus.REQUEST_TIMEOUT)
            return
        if whole is None:
            await answering.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            await app(scope, whole, answering)

    return guard


class _Answering:
    """The way out: puts the headers on; only how long an answer may be kept can the application say itself."""

    __slots__ = ("_headers", "_send")

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send, self._headers = send, headers

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in self._headers.items():
                headers[name] = value
            headers.setdefault("cache-control", _NOT_KEPT)
        await self._send(message)

    async def refuse(self, status: HTTPStatus) -> None:
        plain = [(b"content-type", b"text/plain"), (b"connection", b"close")]
        await self({"type": "http.response.start", "status": status.value, "headers": plain})
        await self({"type": "http.response.body", "body": status.phrase.encode()})


async def _read_whole(scope: Message, receive: Receive) -> Receive | None:
    """The body, read to its end before anybody looks at it; None as soon as it is more than the cap."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if length.isdigit() and int(length) > MOST_BYTES:
        return None
    parts, read, more = [], 0, True
    while more:
        message = await receive()
        parts.append(message)
        read += len(message.get("body", b""))
        more = message.get("more_body", False)
        if read > MOST_BYTES:
            return None
    return _again(parts, receive)


def _again(parts: list[Message], receive: Receive) -> Receive:
    waiting = iter(parts)

    async def replay() -> Message:
        part = next(waiting, None)
        return await receive() if part is None else part

    return replay
