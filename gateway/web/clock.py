"""What time is it in a simulation, and may a tester turn it? `/sim/clock`, for this machine only.

`GET` tells `now` (domain time), `speed` (domain seconds in a second) and `frozen`. `PUT` takes one or more of `now`,
`forward` (an ISO 8601 duration, negative to go back), `speed`, `frozen`; the simulated sources' clock follows.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.flows.means import Means
from gateway.flows.operating import Turn, Uncountable, turn_clock
from gateway.rules.network import Network
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable
from gateway.web.loopback import is_stranger
from gateway.web.pages import Desk
from gateway.web.sim_control import SourcesControl

_NOT_HERE = "the simulator's controls are for this machine only"
_WORDS = frozenset({"now", "forward", "speed", "frozen"})
_DURATION = re.compile(
    r"(?P<sign>-?)P(?=\d|T\d)(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,7})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?"
)


def router(desk: Desk) -> APIRouter:
    """`/sim/clock`; nothing at all outside a simulation."""
    routes = APIRouter()
    if desk.settings.simulation:
        _add_clock(routes, desk.means, SourcesControl(desk.settings.state_dir))
    return routes


def _add_clock(routes: APIRouter, means: Means, sources: SourcesControl) -> None:
    @routes.get("/sim/clock")
    async def read_clock(request: Request) -> JSONResponse:
        if is_stranger(request):
            return problem(403, _NOT_HERE)
        try:
            return JSONResponse(_told(means, await means.live.network()))
        except LedgerUnavailable:
            return problem(503, "the ledger cannot be read now")

    @routes.put("/sim/clock")
    async def put_clock(request: Request) -> JSONResponse:
        if (refused := refusal(request)) is not None:
            return refused
        try:
            network = await turn_clock(means, _turn(await request.json()), by="/sim/clock")
        except (ValueError, Uncountable) as wrong:
            return problem(400, str(wrong))
        except (LedgerUnavailable, IndexUnavailable):
            return problem(503, "the ledger cannot be written now")
        followed = await sources.follow(network)
        return JSONResponse({**_told(means, network), "sources": "follow" if followed else "not reached"})


def problem(status: int, why: str) -> JSONResponse:
    """What a program is told when something is wrong at the desk."""
    return JSONResponse({"error": why}, status)


def refusal(request: Request) -> JSONResponse | None:
    """Why a simulator's control does not take this request at all: from elsewhere, or a body that is no JSON."""
    if is_stranger(request):
        return problem(403, _NOT_HERE)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return problem(415, "send application/json")
    return None


def _told(means: Means, network: Network) -> dict[str, Any]:
    now, speed = means.live.domain(network), network.clock_speed
    return {"now": now.isoformat(), "speed": speed, "frozen": speed == 0}


def _turn(body: object) -> Turn:
    """Raises ValueError for what turns no clock."""
    if not isinstance(body, dict) or not body or not body.keys() <= _WORDS:
        raise ValueError('send {"now": RFC 3339 time}, or "forward", "speed", "frozen"')
    if "now" in body and "forward" in body:
        raise ValueError("either now or forward")
    now = _moment(body["now"]) if "now" in body else None
    forward = duration(body["forward"]) if "forward" in body else timedelta()
    return Turn(now, forward, _speed(body))


def _moment(now: object) -> datetime:
    if not isinstance(now, str):
        raise ValueError("now is an RFC 3339 time")
    moment = datetime.fromisoformat(now)
    if moment.tzinfo is None:
        raise ValueError("the time needs a zone")
    return moment


def duration(text: object) -> timedelta:
    """An ISO 8601 duration in weeks, days, hours, minutes and seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("forward is a duration such as PT2H, P3DT12H or -PT5M")
    parts = {name: float(part) for name, part in found.groupdict().items() if name != "sign" and part}
    return timedelta(**parts) * (-1 if found["sign"] else 1)


def _speed(body: dict[str, Any]) -> float | None:
    frozen, speed = body.get("frozen"), body.get("speed")
    if frozen is not None and not isinstance(frozen, bool):
        raise ValueError("frozen is true or false")
    if speed is not None and (
        isinstance(speed, bool) or not isinstance(speed, int | float) or not math.isfinite(speed)
    ):
        raise ValueError("speed is a number: domain seconds in a second")
    if frozen and speed:
        raise ValueError("a frozen clock has no speed")
    if frozen:
        return 0.0
    return float(speed) if speed is not None else 1.0 if frozen is False else None
