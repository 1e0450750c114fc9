"""How does a source fail? A catalogue: one name, one small piece, switchable while the source runs.

A piece either spoils a finished reply or spoils the sending of it (sending.py); `down` is neither: whoever listens
obeys it. It knows HTTP. It may not know whose data a reply holds, beyond the number that makes it somebody else's.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from math import ceil
from typing import Final

Header = tuple[bytes, bytes]

FHIR_JSON: Final = b"application/fhir+json; charset=utf-8"
OUTCOMES: Final = "https://switchpoint.example/fhir/CodeSystem/outcome"
SOMEBODY_ELSE: Final = "999949998"
"""The BSN of nobody: what wrong-patient puts in the place of the patient's."""
BOMB_SIZE: Final = 64 * 1024 * 1024
FOREVER: Final = 3600.0
"""Seconds: no fault lasts longer."""


class FaultName(StrEnum):
    """The catalogue. `seconds` counts where it is named here."""

    SLOW = "slow"
    """Answers after `seconds`."""
    DOWN = "down"
    """Connections are refused."""
    REFUSING = "refusing"
    """403 without a reason the exchange knows."""
    ERROR = "error"
    """503, with `Retry-After` when `seconds` are given."""
    BUSY = "busy"
    """429, with `Retry-After` when `seconds` are given."""
    REJECTING = "rejecting"
    """400: whatever is sent is called unreadable."""
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
    LOST_REPLY = "lost-reply"
    """The work is done, a message is taken, and the connection is cut before the first byte of the reply."""
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
    if name not in set(FaultName) or not 0 <= seconds <= FOREVER:
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


def _busy(reply: Reply, asked: Asked) -> Reply:
    return outcome(429, "too-many-requests", "This source has too much to do.", "throttled")


def _rejecting(reply: Reply, asked: Asked) -> Reply:
    return outcome(400, "invalid", "This source cannot read that.", "invalid")


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
    FaultName.BUSY: _busy,
    FaultName.REJECTING: _rejecting,
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

_WITH_PATIENCE: Final = frozenset({FaultName.ERROR, FaultName.BUSY})


def spoil(reply: Reply, fault: Fault | None, asked: Asked) -> Reply:
    """The reply this fault gives instead."""
    piece = SPOILED.get(fault.name) if fault else None
    if fault is None or piece is None:
        return reply
    given = piece(reply, asked)
    if fault.seconds and fault.name in _WITH_PATIENCE:
        return replace(given, headers=(*given.headers, (b"retry-after", str(ceil(fault.seconds)).encode())))
    return given
