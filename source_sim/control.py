"""How is a running source made to fail, and asked what it saw? The control API of a process of sources.

GET /systems · PUT /systems/{ura} (one more) · GET and DELETE /faults (the catalogue; every fault off) · GET and PUT
/clock · PUT and DELETE /systems/{ura}/fault · GET /systems/{ura}/log · GET /systems/{ura}/inbox. JSON only, plain HTTP
for this machine alone. It knows switchboards, the clock, logs and lists of messages. It may not know any record.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from source_sim import population
from source_sim.clock import Clock
from source_sim.faults import METADATA, SEARCH, FaultName, Place, Reply, Spread, UnknownFault, catalogue, fault
from source_sim.offered import SERVED, answers_for
from source_sim.sending import Receive, Send, Wire, plainly
from source_sim.systems import Application, Scope, SimulatedSystem, read_body

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_FIELDS: Final = frozenset(
    {"name", "seconds", "spread", "place", "leg", "type", "patient", "probability", "seed", "call"}
)
_Answer = tuple[int, Mapping[str, Any]]


class Controlled(Protocol):
    """A system that can be steered."""

    @property
    def system(self) -> SimulatedSystem: ...

    async def obey(self) -> None:
        """Make the port follow the switchboard. Raises UnknownFault for what this port cannot do."""

    def described(self) -> dict[str, Any]:
        """The system for GET /systems."""


Join = Callable[[str, bytes], Awaitable[None]]
"""Open the system of this URA that the body (a `SystemConfig`) describes; one there already stays as it is. Raises
ValueError, OSError."""


def control_app(places: Mapping[str, Controlled], clock: Clock | None = None, join: Join | None = None) -> Application:
    """The control API over systems by URA, and over their clock, as an ASGI application; without `join` no system can
    be added."""
    kept = clock or Clock(lambda: datetime.now(UTC))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        body = await read_body(receive)
        refused = _refusal(headers, scope["method"]) or await _joined(places, join, scope, body or b"")
        status, content = refused or await _answered(places, kept, scope, body or b"")
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


async def _joined(places: Mapping[str, Controlled], join: Join | None, scope: Scope, body: bytes) -> _Answer | None:
    """PUT /systems/{ura}: one system more. None: something else is asked."""
    path = scope["path"].strip("/").split("/")
    if join is None or scope["method"] != "PUT" or len(path) != 2 or path[0] != "systems":
        return None
    try:
        await join(path[1], body)
    except (ValueError, OSError) as problem:
        return 400, {"error": str(problem)}
    return 200, places[path[1]].described()


async def _answered(places: Mapping[str, Controlled], clock: Clock, scope: Scope, body: bytes) -> _Answer:
    path = scope["path"].strip("/").split("/")
    if len(path) == 1:
        return await _of_all(places, clock, path[0], scope["method"], body)
    place = places.get(path[1]) if len(path) == 3 and path[0] == "systems" else None
    if place is None:
        return 404, {"error": "no such system"}
    match scope["method"], path[2]:
        case "GET", "log":
            return 200, {"log": [asdict(line) for line in place.system.log]}
        case "GET", "inbox":
            return 200, {"inbox": place.system.inbox.listing()}
        case "PUT", "fault":
            return await _steered(place, lambda: _switch(place, body))
        case "DELETE", "fault":
            query = scope["query_string"].decode("latin-1")
            return await _steered(place, lambda: _clear(place, body, query))
    return 405, {"error": "PUT or DELETE fault, GET log, GET inbox"}


async def _of_all(places: Mapping[str, Controlled], clock: Clock, what: str, method: str, body: bytes) -> _Answer:
    """What concerns every system of the process."""
    match method, what:
        case "GET", "systems":
            return 200, {"systems": [place.described() for place in places.values()]}
        case "GET", "faults":
            return 200, {"faults": catalogue(), "spreads": [*Spread], "places": [*Place]}
        case "DELETE", "faults":
            for place in places.values():
                place.system.faults.clear_all()
                await place.obey()
            return 200, {"systems": [place.described() for place in places.values()]}
        case "GET", "clock":
            return 200, clock.told()
        case "PUT", "clock":
            return _turned(clock, body)
        case _, "systems" | "faults" | "clock":
            return 405, {"error": "GET systems; GET or DELETE faults; GET or PUT clock"}
    return 404, {"error": "there are systems, faults and the clock"}


def _turned(clock: Clock, body: bytes) -> _Answer:
    try:
        clock.obey(_object(body))
    except ValueError as problem:
        return 400, {"error": str(problem)}
    return 200, clock.told()


async def _steered(place: Controlled, act: Callable[[], None]) -> _Answer:
    """Change the switchboard and let the port follow; what the port cannot do is switched off again."""
    try:
        act()
    except (ValueError, TypeError) as problem:
        return _unfit(problem)
    try:
        await place.obey()
    except UnknownFault as problem:
        place.system.faults.clear()
        await place.obey()
        return _unfit(problem)
    return 200, place.described()


def _unfit(problem: Exception) -> _Answer:
    return 400, {"error": str(problem), "faults": [name.value for name in FaultName]}


def _switch(place: Controlled, body: bytes) -> None:
    """Raises UnknownFault, ValueError, TypeError."""
    wanted = _object(body)
    if not wanted.keys() <= _FIELDS:
        raise UnknownFault(f"a fault has {', '.join(sorted(_FIELDS))}")
    words = {name: str(wanted.get(name) or "") for name in ("spread", "place")}
    chosen = fault(str(wanted.get("name")), float(wanted.get("seconds") or 0), **words)
    patient, label = _patient(place, wanted.get("patient"))
    call = wanted.get("call")
    place.system.faults.switch(
        chosen,
        _leg(place, wanted),
        patient=patient,
        label=label,
        probability=float(wanted.get("probability", 1.0)),
        seed=int(wanted.get("seed") or 0),
        call=None if call is None else int(call),
    )


def _clear(place: Controlled, body: bytes, query: str) -> None:
    """Without a word: what holds for all. Raises UnknownFault, ValueError."""
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    wanted = {**asked, **(_object(body) if body else {})}
    if wanted.keys() - {"leg", "type", "patient", "all"}:
        raise UnknownFault("what is cleared has leg, patient, or all")
    if wanted.get("all"):
        place.system.faults.clear_all()
        return
    place.system.faults.clear(_leg(place, wanted), patient=_patient(place, wanted.get("patient"))[0])


def _object(body: bytes) -> dict[str, Any]:
    """Raises UnknownFault, ValueError."""
    wanted = json.loads(body)
    if not isinstance(wanted, dict):
        raise UnknownFault("an object is wanted")
    return wanted


def _leg(place: Controlled, wanted: Mapping[str, Any]) -> str | None:
    """`type` is what `leg` was called when there were only resource types. Raises UnknownFault."""
    leg: str | None = wanted.get("leg") or wanted.get("type")
    kind = place.system.kind
    legs = answers_for(kind) | {METADATA} | ({SEARCH} if SERVED[kind] else set())
    if leg is not None and leg not in legs:
        raise UnknownFault(f"this system's legs are {', '.join(sorted(legs))}")
    return leg


def _patient(place: Controlled, named: object) -> tuple[str | None, str]:
    """The BSN meant by a test person's key, or by itself, and what she is called in listings. Raises UnknownFault."""
    if named is None:
        return None, ""
    persons = population.persons(place.system.today().date())
    found = next(((one.bsn, one.key) for one in persons if named in (one.key, one.bsn)), None)
    if found is None and isinstance(named, str) and population.is_bsn(named):
        return named, ""
    if found is None:
        raise UnknownFault("no test person has that key")
    return found
