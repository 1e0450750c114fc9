"""How does the inspector hear what passes? Around the exchange's application, and around the outbound door.

Whoever listens never stands in the way: a message is handed on first, noted after, described and written elsewhere.
What is heard is kept only as describing.py tells it. Outside a simulation nothing here is ever made.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from gateway.inspecting import describing
from gateway.inspecting.kept import FILE, Exchanged, Half, Ring, Way
from gateway.rules.access import Permit
from gateway.rules.exchange import Address, Answer, AortaId, Failure, Query
from gateway.rules.message import Reply
from gateway.rules.sending import Leave
from gateway.sources import asking, delivering
from gateway.sources.wire import Response

_log = logging.getLogger("switchpoint.inspecting")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Lines = Iterable[tuple[bytes, bytes]]

_PAUSE = 0.05
_FAREWELL = 2.0
_MOST_WAITING = 500
"""Exchanges that may wait for being written; more are lost."""


@dataclass(slots=True)
class Message:
    """One message as it passed. Lives in memory only, until it is described."""

    lines: list[tuple[bytes, bytes]] = field(repr=False)
    body: bytearray = field(default_factory=bytearray, repr=False)


@dataclass(slots=True)
class Passed:
    """A request and what came of it, not described yet. `patient` is the number it is about, as the token says."""

    way: Way
    line: str
    at: datetime
    began: float
    sent: Message
    initial: str = ""
    request: str = ""
    party: str = ""
    patient: str = field(default="", repr=False)
    status: int = 0
    answer: Message | None = None
    outcome: str = ""
    ms: float = 0.0


class Recorder:
    """Takes what passed and writes it a moment later, off the loop. Used from one event loop."""

    def __init__(self, ring: Ring, wall: Callable[[], datetime]) -> None:
        self._ring, self.wall = ring, wall
        self._waiting: list[Passed] = []
        self._writing: asyncio.Task[None] | None = None

    def begin(self, way: Way, line: str, sent: Message) -> Passed:
        return Passed(way, line, self.wall(), time.perf_counter(), sent)

    def note(self, passed: Passed) -> None:
        """This exchange is over. Never raises for what is in it."""
        # no finer than is told: in more decimals the digits of somebody's number may happen to stand
        passed.ms = round((time.perf_counter() - passed.began) * 1000, 3)
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(passed)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    async def read(self, initial: str) -> list[Exchanged]:
        """What is kept of one chain; nothing when it cannot be read."""
        try:
            return await asyncio.to_thread(self._ring.read, initial)
        except sqlite3.Error:
            _log.warning("inspector-unreadable")
            return []

    async def settled(self) -> None:
        """Everything noted so far is written, or lost."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=_FAREWELL)

    async def close(self) -> None:
        await self.settled()
        self._ring.close()

    async def _write_soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(_PAUSE)
            found, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._write, found)
            except sqlite3.Error:
                _log.warning("inspector-not-written", extra={"lost": len(found)})

    def _write(self, found: list[Passed]) -> None:
        self._ring.write([told for passed in found if (told := describe(passed)) is not None])


@dataclass(frozen=True, slots=True)
class Inspecting:
    """One process's inspector: what it hears, and where that goes."""

    recorder: Recorder
    answers: Answers

    def around(self, app: Asgi, *, shortcut: str) -> Asgi:
        """See `listened`."""
        return listened(app, self.recorder, shortcut=shortcut)

    def behind(self, door: Outward) -> Outward:
        """The door with everything noted that goes through it."""
        return ListenedDoor(door, self.recorder, self.answers)


def open_inspecting(folder: Path, wall: Callable[[], datetime]) -> Inspecting | None:
    """The inspector of a simulation that lives in `folder`; None, and a warning, when its file cannot be used."""
    try:
        return Inspecting(Recorder(Ring(folder / FILE), wall), Answers())
    except (OSError, sqlite3.Error):
        _log.warning("inspector-unusable")
        return None


# --- describing ------------------------------------------------------------------------------------------------------


def describe(passed: Passed) -> Exchanged | None:
    """What may be kept of an exchange; None when it belongs to no chain."""
    if not passed.initial:
        return None
    answer = _half(passed.answer, passed.patient) if passed.answer is not None else None
    return Exchanged(
        initial=passed.initial,
        request=describing.masked(passed.request),
        way=passed.way,
        line=describing.masked(passed.line),
        party=passed.party,
        at=passed.at,
        ms=passed.ms,
        sent=_half(passed.sent, passed.patient),
        status=passed.status,
        answer=answer,
        outcome=passed.outcome,
    )


def _half(message: Message, patient: str) -> Half:
    body = bytes(message.body)
    return Half(
        headers=describing.headers(message.lines),
        size=len(body),
        shape=describing.shape(body, _value(message.lines, b"content-type")),
        claims=describing.claims(message.lines),
        content=describing.content(body, patient),
    )


def _value(lines: Lines, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in lines if name.lower() == wanted), "")


def _chain(lines: Lines) -> dict[str, str]:
    """The parts of an AORTA-ID header, by lower-case name."""
    parts = (part.partition("=") for part in _value(lines, b"aorta-id").split(";"))
    return {name.strip().lower(): value.strip().lower() for name, _, value in parts}


# --- what comes in ---------------------------------------------------------------------------------------------------


def listened(app: Asgi, recorder: Recorder, *, shortcut: str) -> Asgi:
    """The application with every FHIR call noted. `shortcut` names the scope's extension by which our own listener
    passes whole bodies beside ASGI: here they must come through."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/fhir"):
            await app(scope, receive, send)
            return
        passed = recorder.begin(Way.IN, f"{scope['method']} {scope['path']}", Message(list(scope["headers"])))
        kept = {name: one for name, one in scope.get("extensions", {}).items() if name != shortcut}
        try:
            await app({**scope, "extensions": kept}, _hearing(passed, receive), _telling(passed, send))
        finally:
            _sum_up(passed)
            recorder.note(passed)

    return call


def _hearing(passed: Passed, receive: Receive) -> Receive:
    async def received() -> MutableMapping[str, Any]:
        message = await receive()
        passed.sent.body += message.get("body", b"")
        return message

    return received


def _telling(passed: Passed, send: Send) -> Send:
    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            passed.status, passed.answer = message["status"], Message(list(message["headers"]))
        elif passed.answer is not None:
            passed.answer.body += message.get("body", b"")
        await send(message)

    return sent


def _sum_up(passed: Passed) -> None:
    """The chain by our own answer, which always says it; the patient and the organisation by the token."""
    answered = _chain(passed.answer.lines) if passed.answer else {}
    passed.initial = answered.get("initialrequestid", "")
    passed.request = _chain(passed.sent.lines).get("requestid", "")
    told = describing.token(passed.sent.lines)
    patient, organisation = told.get("patient"), told.get("organisation")
    passed.patient = patient if isinstance(patient, str) else ""
    passed.party = organisation if isinstance(organisation, str) else ""


# --- what is asked and handed over -----------------------------------------------------------------------------------


class Outward(Protocol):
    """The outbound door as the flows know it: for questions and for messages."""

    async def ask(
        self, permit: Permit, query: Query, address: Address, *, token: str, aorta: AortaId, deadline: float
    ) -> Answer | Failure: ...

    async def deliver(self, leave: Leave, body: bytes, *, token: str, aorta: AortaId, deadline: float) -> Reply: ...


class Answers:
    """What sources answered, as the outbound door heard it, until it is fetched: by the requestID it answers."""

    def __init__(self) -> None:
        self._heard: dict[str, Response] = {}

    def hear(self, aorta: AortaId, response: Response) -> None:
        self._heard[aorta.request] = response

    def fetch(self, aorta: AortaId) -> Response | None:
        return self._heard.pop(aorta.request, None)


class ListenedDoor:
    """The outbound door with everything noted that goes through it."""

    def __init__(self, door: Outward, recorder: Recorder, answers: Answers) -> None:
        self._door, self._recorder, self._answers = door, recorder, answers

    async def ask(
        self, permit: Permit, query: Query, address: Address, *, token: str, aorta: AortaId, deadline: float
    ) -> Answer | Failure:
        """See `sources.Sources.ask`."""
        request = _written(address, lambda to: asking.write(to, query, token, aorta))
        passed = self._begun(Way.OUT, address, aorta, request)
        try:
            answer = await self._door.ask(permit, query, address, token=token, aorta=aorta, deadline=deadline)
            passed.outcome = f"{answer.failing}: {answer.detail}" if isinstance(answer, Failure) else "answered"
            return answer
        finally:
            self._ended(passed, aorta)

    async def deliver(self, leave: Leave, body: bytes, *, token: str, aorta: AortaId, deadline: float) -> Reply:
        """See `sources.Sources.deliver`."""
        request = _written(leave.address, lambda to: delivering.write(to, body, token, aorta))
        passed = self._begun(Way.DELIVERY, leave.address, aorta, request)
        try:
            reply = await self._door.deliver(leave, body, token=token, aorta=aorta, deadline=deadline)
            passed.outcome = f"{reply.taking}: {reply.detail}" if reply.detail else str(reply.taking)
            return reply
        finally:
            self._ended(passed, aorta)

    def _begun(self, way: Way, address: Address, aorta: AortaId, request: bytes) -> Passed:
        line, message = _taken_apart(request)
        passed = self._recorder.begin(way, line, message)
        passed.initial, passed.request, passed.party = aorta.initial, aorta.request, address.ura.digits
        passed.patient = str(describing.token(message.lines).get("patient") or "")
        return passed

    def _ended(self, passed: Passed, aorta: AortaId) -> None:
        response = self._answers.fetch(aorta)
        if response is not None:
            passed.status = response.status
            passed.answer = Message([*response.headers.items()], bytearray(response.body))
        self._recorder.note(passed)


def _written(address: Address, write: Callable[[asking.Target], bytes]) -> bytes:
    """The request as the door writes it; empty when it cannot be written."""
    try:
        return write(asking.target(address.endpoint))
    except ValueError:
        return b""


def _taken_apart(request: bytes) -> tuple[str, Message]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *rest = head.split(b"\r\n")
    pairs = [line.partition(b": ") for line in rest]
    lines = [(name, value) for name, _, value in pairs]
    return first.decode("latin-1").removesuffix(" HTTP/1.1"), Message(lines, bytearray(body))
