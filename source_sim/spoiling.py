"""What does a spoiled reply say? The faults that put another reply in the place of the true one, one small piece each.

A piece knows the finished reply, the question's number and the source's address. It may not know sockets, the clock,
or which fault is switched on.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from math import ceil
from typing import Final

from source_sim.faults import SOMEBODY_ELSE, Fault, FaultName, Place, Reply, outcome
from source_sim.foreign import hidden

BOMB_SIZE: Final = 64 * 1024 * 1024
HUGE_SIZE: Final = 24 * 1024 * 1024
DEPTH: Final = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What a piece may know of the question: the source's FHIR base, and the number asked for."""

    endpoint: str
    bsn: str = field(repr=False)


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


def _huge(reply: Reply, asked: Asked) -> Reply:
    return replace(reply, body=reply.body[:1] + b" " * HUGE_SIZE + reply.body[1:], resources=0)


def _deep(reply: Reply, asked: Asked) -> Reply:
    return replace(reply, body=_with(reply.body, b'"extension":' + b"[" * DEPTH + b"]" * DEPTH), resources=0)


def _gzip_bomb(reply: Reply, asked: Asked) -> Reply:
    return Reply(200, _bomb(), headers=((b"content-encoding", b"gzip"),))


def _unknown_type(reply: Reply, asked: Asked) -> Reply:
    return _with_match(reply, asked, {"resourceType": "Horoscope", "id": "1"})


def _wrong_type(reply: Reply, asked: Asked) -> Reply:
    return _with_match(reply, asked, {"resourceType": "Basic", "id": "1", "code": {"text": "Not asked for"}})


def _with_match(reply: Reply, asked: Asked, resource: Mapping[str, object]) -> Reply:
    """One match more, in front of all others."""
    url = f"{asked.endpoint}/{resource['resourceType']}/{resource['id']}"
    entry = {"fullUrl": url, "resource": resource, "search": {"mode": "match"}}
    stranger = json.dumps(entry, separators=(",", ":")).encode()
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
    FaultName.HUGE: _huge,
    FaultName.DEEP: _deep,
    FaultName.GZIP_BOMB: _gzip_bomb,
    FaultName.UNKNOWN_TYPE: _unknown_type,
    FaultName.WRONG_TYPE: _wrong_type,
}
"""The pieces that put another reply in the place of the true one."""

_WITH_PATIENCE: Final = frozenset({FaultName.ERROR, FaultName.BUSY})


def spoil(reply: Reply, fault: Fault | None, asked: Asked) -> Reply:
    """The reply this fault gives instead."""
    piece = SPOILED.get(fault.name) if fault else None
    if fault is None or piece is None:
        return reply
    if fault.place is not Place.EVERYWHERE and (body := hidden(reply.body, fault.place, asked.endpoint)) is not None:
        return replace(reply, body=body)
    given = piece(reply, asked)
    if fault.seconds and fault.name in _WITH_PATIENCE:
        return replace(given, headers=(*given.headers, (b"retry-after", str(ceil(fault.seconds)).encode())))
    return given
