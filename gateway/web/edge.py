"""What holds for every answer of the desk? Headers that keep a browser from running or sending what is not ours.

Also a cap on what anybody may send. Plain ASGI around the application; decides nothing about who may see what.
Source: CSP Level 3, RFC 6797.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
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
MOST_BYTES = 64 * 1024
"""How much the body of a request to the desk may hold: forms, and small JSON."""


class _TooMuch(Exception):
    """The body goes on beyond the cap."""


def guarded(app: Asgi, *, secure: bool) -> Asgi:
    """The application with these headers on every answer, and no body above the cap reaching it (413)."""
    headers = {**HEADERS, **({"strict-transport-security": _HTTPS_ONLY} if secure else {})}

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        answering = _Answering(send, headers)
        if _announced(scope) > MOST_BYTES:
            await answering.refuse()
            return
        try:
            await app(scope, _capped(receive), answering)
        except _TooMuch:
            await answering.refuse()

    return guard


class _Answering:
    """The way out: puts the headers on; what the application has set itself stays."""

    __slots__ = ("_headers", "_send", "_started")

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send, self._headers, self._started = send, headers, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in self._headers.items():
                headers[name] = value
            headers.setdefault("cache-control", _NOT_KEPT)
        await self._send(message)

    async def refuse(self) -> None:
        if not self._started:
            plain = [(b"content-type", b"text/plain"), (b"connection", b"close")]
            await self({"type": "http.response.start", "status": 413, "headers": plain})
            await self({"type": "http.response.body", "body": b"too much was sent\n"})


def _announced(scope: Message) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _capped(receive: Receive) -> Receive:
    seen = 0

    async def read() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MOST_BYTES:
            raise _TooMuch
        return message

    return read
