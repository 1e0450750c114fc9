"""How does a system of the tester's own take part? Its application behind a switchboard, or its address as it is.

An ASGI application is called as a server would call it; while it is at work time is real, for it may use threads. The
faults of the catalogue then spoil its true answers. Knows HTTP and the catalogue; knows nothing of its inside.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from source_sim.faults import FHIR_JSON, SOMEBODY_ELSE, Reply, Switchboard
from source_sim.sending import Wire, deliver
from source_sim.spoiling import Asked, spoil

Message = MutableMapping[str, Any]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]

_LEG: Final = re.compile(r"/fhir/(?:([A-Za-z]+)/_search|(metadata|\$process-message))/?")


@dataclass(slots=True, eq=False)
class Fronted:
    """Somebody's application with the catalogue of faults in front. `outside`: entered while it is at work."""

    application: Asgi
    faults: Switchboard
    endpoint: str
    outside: Callable[[], AbstractContextManager[None]] = field(repr=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await _whole(receive)
        with self.outside():
            given = await _answered(self.application, scope, body)
        found = _LEG.fullmatch(scope["path"])
        leg, bsn = (found[1] or found[2] if found else "", _patient(body))
        fault = self.faults.active(leg, bsn) if leg else None
        reply = spoil(given, fault, Asked(self.endpoint, bsn or SOMEBODY_ELSE))
        await deliver(reply, fault, Wire(receive, send, scope.get("state", {}).get("transport")))


async def _whole(receive: Any) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


async def _answered(application: Asgi, scope: Any, body: bytes) -> Reply:
    """The application's own answer, whole; 500 if it fails."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        await application(scope, receive, send)
    except Exception:
        logging.getLogger("switchpoint.testbed").exception("own-source-failed")
        return Reply(500, b"")
    return _gathered(sent)


def _gathered(sent: list[Message]) -> Reply:
    start = next((message for message in sent if message["type"] == "http.response.start"), None)
    if start is None:
        return Reply(500, b"")
    headers = {name.lower(): value for name, value in start.get("headers", [])}
    media = headers.pop(b"content-type", FHIR_JSON)
    headers.pop(b"content-length", None)
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return Reply(start["status"], content, media=media, headers=tuple(headers.items()))


def _patient(body: bytes) -> str | None:
    """The BSN a search is about."""
    try:
        form = parse_qsl(body.decode())
    except UnicodeDecodeError:
        return None
    values = (value.rpartition("|")[2] for name, value in form if name.endswith("identifier"))
    return next(values, None)


class Life:
    """The application's start and end, where it has any (ASGI lifespan)."""

    def __init__(self, application: Asgi) -> None:
        config = uvicorn.Config(application, lifespan="auto", log_config=None)
        config.load()
        self._lifespan = LifespanOn(config)

    async def begin(self) -> None:
        """Raises RuntimeError when the application does not start."""
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            raise RuntimeError("the source's own application did not start")

    async def end(self) -> None:
        await self._lifespan.shutdown()
