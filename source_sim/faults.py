"""How does a source fail? A catalogue: one name, one small piece, switchable while the source runs.

A piece either spoils a finished reply or spoils the sending of it; `down` is neither: whoever listens obeys it. It
knows HTTP and ASGI. It may not know whose data a reply holds, beyond the number that makes it somebody else's.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any, Final

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

FHIR_JSON: Final = b"application/fhir+json; charset=utf-8"
OUTCOMES: Final = "https://switchpoint.example/fhir/CodeSystem/outcome"
SOMEBODY_ELSE: Final = "999949998"
"""The BSN of nobody: what wrong-patient puts in the place of the patient's."""
BOMB_SIZE: Final = 64 * 1024 * 1024
_FOREVER: Final = 3600.0
_DRIP: Final = 0.05


class FaultName(StrEnum):
    """The catalogue. `seconds` counts where it is named here."""

    SLOW = "slow"
    """Answers after `seconds`."""
    DOWN = "down"
    """Connections are refused."""
    REFUSING = "refusing"
    """403 without a reason the exchange knows."""
    ERROR = "error"
    """503."""
    EMPTY = "empty"
    """A searchset with nothing in it."""
    GARBAGE = "garbage"
    """200 and a page of HTML."""
    TRUNCATED = "truncated"
    """The JSON stops half way; the HTTP message is whole."""
    WRONG_PATIENT = "wrong-patient"
    """The answer carries another person's BSN."""
    PAGING = "paging"
    """The answer has a link to a next page."""
    WITHHELD = "withheld"
    """403: the source keeps it back for reasons of good care."""
    NO_CONSENT = "no-consent"
    """403: the source knows of no consent."""
    RESET = "reset"
    """The connection is reset in the middle of the body."""
    DRIP = "drip"
    """One byte every `seconds` (0.05 when none are given)."""
    REDIRECT = "redirect"
    """307 to another path of the same source: its log tells who follows."""
    DUPLICATE_KEYS = "duplicate-keys"
    """JSON in which a name is repeated."""
    GZIP_BOMB = "gzip-bomb"
    """64 KB that unpack to 64 MB of good JSON."""
    UNKNOWN_TYPE = "unknown-type"
    """One more match, of a type FHIR does not have."""
    STALL = "stall"
    """Headers, then nothing for `seconds` (an hour when none are given)."""


class UnknownFault(ValueError):
    """No such fault, or not one that can be had for a single resource type."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One piece of the catalogue; 0 seconds is the piece's own default."""

    name: FaultName
    seconds: float = 0.0


def fault(name: str, seconds: float = 0.0) -> Fault:
    """Raises UnknownFault for a name that is not in the catalogue, or for a negative or endless time."""
    if name not in set(FaultName) or not 0 <= seconds <= _FOREVER:
        raise UnknownFault(f"not a fault: {name!r} for {seconds} s; there are {', '.join(FaultName)}")
    return Fault(FaultName(name), seconds)


class Switchboard:
    """The faults of one source: one for everything, and one per resource type, which goes before it."""

    def __init__(self) -> None:
        self._set: dict[str | None, Fault] = {}

    @property
    def down(self) -> bool:
        general = self._set.get(None)
        return general is not None and general.name is FaultName.DOWN

    def switch(self, fault: Fault, resource_type: str | None = None) -> None:
        """Replaces the fault of that type. Raises UnknownFault: a port cannot be down for one type."""
        if fault.name is FaultName.DOWN and resource_type is not None:
            raise UnknownFault("down holds for a whole source")
        self._set[resource_type] = fault

    def clear(self, resource_type: str | None = None) -> None:
        self._set.pop(resource_type, None)

    def active(self, resource_type: str) -> Fault | None:
        return self._set.get(resource_type) or self._set.get(None)

    def listing(self) -> list[dict[str, object]]:
        return [{"type": kind, "name": one.name.value, "seconds": one.seconds} for kind, one in self._set.items()]


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished HTTP answer. `resources` counts the matches delivered, `reason` is the outcome code of a refusal."""

    status: int
    body: bytes = field(repr=False)
    resources: int = 0
    reason: str = ""
    media: bytes = FHIR_JSON
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a piece may know of the question: the source's FHIR base, and the number asked for."""

    endpoint: str
    bsn: str = field(repr=False)


def outcome(status: int, code: str, text: str, issue: str = "processing") -> Reply:
    """An OperationOutcome with a machine code of the exchange; `issue` is the FHIR issue type."""
    details = {"coding": [{"system": OUTCOMES, "code": code}], "text": text}
    body = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": issue, "details": details}]}
    return Reply(status, json.dumps(body).encode(), reason=code)


def _refusing(reply: Reply, asked: Asked) -> Reply:
    return outcome(403, "refused", "This source answers nobody.", "forbidden")


def _error(reply: Reply, asked: Asked) -> Reply:
    return outcome(503, "unavailable", "This source is out of order.", "transient")


def _withheld(reply: Reply, asked: Asked) -> Reply:
    return outcome(403, "withheld", "Withheld by the treating professional.", "suppressed")


def _no_consent(reply: Reply, asked: Asked) -> Reply:
    return outcome(403, "no-consent", "No consent of the patient is known here.", "forbidden")


def _empty(reply: Reply, asked: Asked) -> Reply:
    return Reply(200, b'{"resourceType":"Bundle","type":"searchset","total":0}')


def _garbage(reply: Reply, asked: Asked) -> Reply:
    return Reply(200, b"<!doctype html><title>Onderhoud</title><p>Even geduld a.u.b.", media=b"text/html")


def _truncated(reply: Reply, asked: Asked) -> Reply:
    return replace(reply, body=reply.body[: len(reply.body) * 2 // 3], resources=0)


def _wrong_patient(reply: Reply, asked: Asked) -> Reply:
    return replace(reply, body=reply.body.replace(asked.bsn.encode(), SOMEBODY_ELSE.encode()))


def _paging(reply: Reply, asked: Asked) -> Reply:
    link = [{"relation": "next", "url": f"{asked.endpoint}/Next/_search"}]
    return replace(reply, body=_with(reply.body, b'"link":' + json.dumps(link).encode()))


def _redirect(reply: Reply, asked: Asked) -> Reply:
    return Reply(307, b"", headers=((b"location", f"{asked.endpoint}/Elsewhere/_search".encode()),))


def _duplicate_keys(reply: Reply, asked: Asked) -> Reply:
    return replace(reply, body=_with(reply.body, b'"type":"collection"'), resources=0)


def _gzip_bomb(reply: Reply, asked: Asked) -> Reply:
    return Reply(200, _bomb(), headers=((b"content-encoding", b"gzip"),))


def _unknown_type(reply: Reply, asked: Asked) -> Reply:
    url = json.dumps(f"{asked.endpoint}/Horoscope/1").encode()
    stranger = b'{"fullUrl":' + url + b',"resource":{"resourceType":"Horoscope","id":"1"},"search":{"mode":"match"}}'
    head, brackets, entries = reply.body.partition(b'"entry":[')
    if not brackets:
        return replace(reply, body=_with(reply.body, b'"entry":[' + stranger + b"]"))
    return replace(reply, body=head + brackets + stranger + b"," + entries)


def _with(body: bytes, member: bytes) -> bytes:
    """Our own searchsets begin with a brace and a member: put another before it."""
    return b"{" + member + b"," + body[1:]


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    start, spaces = b'{"resourceType":"Bundle","type":"searchset","total":0', b" " * (1024 * 1024)
    middle = b"".join(packer.compress(spaces) for _ in range(BOMB_SIZE // len(spaces)))
    return packer.compress(start) + middle + packer.compress(b"}") + packer.flush()


SPOILED: Final[Mapping[FaultName, Callable[[Reply, Asked], Reply]]] = {
    FaultName.REFUSING: _refusing,
    FaultName.ERROR: _error,
    FaultName.EMPTY: _empty,
    FaultName.GARBAGE: _garbage,
    FaultName.TRUNCATED: _truncated,
    FaultName.WRONG_PATIENT: _wrong_patient,
    FaultName.PAGING: _paging,
    FaultName.WITHHELD: _withheld,
    FaultName.NO_CONSENT: _no_consent,
    FaultName.REDIRECT: _redirect,
    FaultName.DUPLICATE_KEYS: _duplicate_keys,
    FaultName.GZIP_BOMB: _gzip_bomb,
    FaultName.UNKNOWN_TYPE: _unknown_type,
}
"""The pieces that put another reply in the place of the true one."""


# --- sending ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wire:
    """One request's way back. `transport` is the connection, None in process."""

    receive: Receive
    send: Send
    transport: asyncio.Transport | None = None

    async def start(self, reply: Reply) -> None:
        length = str(len(reply.body)).encode()
        headers = [(b"content-type", reply.media), (b"content-length", length), *reply.headers]
        await self.send({"type": "http.response.start", "status": reply.status, "headers": headers})

    async def part(self, body: bytes, *, more: bool) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def left_within(self, seconds: float) -> bool:
        """Wait; True as soon as the other side is gone. The request's body must have been read."""
        try:
            async with asyncio.timeout(seconds):
                while (await self.receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True

    def reset(self) -> None:
        """Raises ConnectionResetError in process, where there is no connection to reset."""
        if self.transport is None:
            raise ConnectionResetError("the source hung up")
        connection = self.transport.get_extra_info("socket")
        # a linger time of zero turns the close into a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def plainly(reply: Reply, wire: Wire) -> None:
    """Send a reply as it should be sent."""
    await wire.start(reply)
    await wire.part(reply.body, more=False)


async def _slow(reply: Reply, wire: Wire, seconds: float) -> None:
    if not await wire.left_within(seconds):
        await plainly(reply, wire)


async def _reset(reply: Reply, wire: Wire, seconds: float) -> None:
    await wire.start(reply)
    await wire.part(reply.body[: len(reply.body) // 2], more=True)
    # let the first half leave before the connection goes
    await asyncio.sleep(0.05)
    wire.reset()
    await asyncio.sleep(0)


async def _drip(reply: Reply, wire: Wire, seconds: float) -> None:
    await wire.start(reply)
    for place in range(len(reply.body)):
        await wire.part(reply.body[place : place + 1], more=True)
        if await wire.left_within(seconds or _DRIP):
            return
    await wire.part(b"", more=False)


async def _stall(reply: Reply, wire: Wire, seconds: float) -> None:
    await wire.start(reply)
    if not await wire.left_within(seconds or _FOREVER):
        await wire.part(reply.body, more=False)


SENT: Final[Mapping[FaultName, Callable[[Reply, Wire, float], Awaitable[None]]]] = {
    FaultName.SLOW: _slow,
    FaultName.RESET: _reset,
    FaultName.DRIP: _drip,
    FaultName.STALL: _stall,
}
"""The pieces that send the true reply badly."""


def spoil(reply: Reply, fault: Fault | None, asked: Asked) -> Reply:
    """The reply this fault gives instead."""
    piece = SPOILED.get(fault.name) if fault else None
    return piece(reply, asked) if piece else reply


async def deliver(reply: Reply, fault: Fault | None, wire: Wire) -> None:
    """Send the reply the way this fault sends."""
    piece = SENT.get(fault.name) if fault else None
    if fault and piece:
        await piece(reply, wire, fault.seconds)
    else:
        await plainly(reply, wire)
