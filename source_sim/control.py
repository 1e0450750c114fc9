"""How is a running source made to fail, and asked what it saw? The control API of a process of sources.

GET /systems · PUT and DELETE /systems/{ura}/fault · GET /systems/{ura}/log · GET /systems/{ura}/inbox. JSON only, plain
HTTP for this machine alone. It knows switchboards, logs and lists of messages. It may not know any record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from source_sim.faults import FaultName, Reply, UnknownFault, fault
from source_sim.offered import answers_for
from source_sim.sending import Receive, Send, Wire, plainly
from source_sim.systems import Application, Scope, SimulatedSystem, read_body

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_FIELDS: Final = frozenset({"name", "seconds", "type"})
_Answer = tuple[int, Mapping[str, Any]]


class Controlled(Protocol):
    """A system that can be steered."""

    @property
    def system(self) -> SimulatedSystem: ...

    async def obey(self) -> None:
        """Make the port follow the switchboard."""

    def described(self) -> dict[str, Any]:
        """The system for GET /systems."""


def control_app(places: Mapping[str, Controlled]) -> Application:
    """The control API over systems by URA, as an ASGI application."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        body = await read_body(receive)
        status, content = _refusal(headers, scope["method"]) or await _answered(places, scope, body or b"")
        await plainly(Reply(status, json.dumps(content).encode(), media=b"application/json"), Wire(receive, send))

    return answer


def _refusal(headers: Mapping[bytes, bytes], method: str) -> _Answer | None:
    """A page in a browser can neither send JSON here unasked nor call itself by this machine's name."""
    host = headers.get(b"host", b"").decode("latin-1")
    if host not in _LOOPBACK and host.rpartition(":")[0] not in _LOOPBACK:
        return 421, {"error": "this API answers to 127.0.0.1 only"}
    if method == "PUT" and headers.get(b"content-type", b"").partition(b";")[0] != b"application/json":
        return 415, {"error": "JSON is wanted"}
    return None


async def _answered(places: Mapping[str, Controlled], scope: Scope, body: bytes) -> _Answer:
    path = scope["path"].strip("/").split("/")
    if path == ["systems"]:
        listing = {"systems": [place.described() for place in places.values()]}
        return (200, listing) if scope["method"] == "GET" else (405, {"error": "GET only"})
    place = places.get(path[1]) if len(path) == 3 and path[0] == "systems" else None
    if place is None:
        return 404, {"error": "no such system"}
    match scope["method"], path[2]:
        case "GET", "log":
            return 200, {"log": [asdict(line) for line in place.system.log]}
        case "GET", "inbox":
            return 200, {"inbox": place.system.inbox.listing()}
        case "PUT", "fault":
            return await _switch(place, body)
        case "DELETE", "fault":
            place.system.faults.clear(*parse_qs(scope["query_string"].decode("latin-1")).get("type", [])[:1])
            await place.obey()
            return 200, place.described()
    return 405, {"error": "PUT or DELETE fault, GET log, GET inbox"}


async def _switch(place: Controlled, body: bytes) -> _Answer:
    try:
        wanted = json.loads(body)
        if not isinstance(wanted, dict) or not wanted.keys() <= _FIELDS:
            raise UnknownFault(f"a fault has {', '.join(sorted(_FIELDS))}")
        kind = wanted.get("type")
        if kind is not None and kind not in answers_for(place.system.kind):
            raise UnknownFault("this system does not answer for that type")
        place.system.faults.switch(fault(str(wanted.get("name")), float(wanted.get("seconds") or 0)), kind)
    except (ValueError, TypeError) as problem:
        return 400, {"error": str(problem), "faults": [name.value for name in FaultName]}
    await place.obey()
    return 200, place.described()
