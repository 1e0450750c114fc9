"""What time is it in a simulation, and may a tester set it? `/sim/clock`, for this machine only."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.flows.means import Means
from gateway.flows.operating import set_clock
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable
from gateway.web.loopback import is_stranger
from gateway.web.pages import Desk

_NOT_HERE = "the simulator's controls are for this machine only"


def router(desk: Desk) -> APIRouter:
    """`/sim/clock`; nothing at all outside a simulation."""
    routes = APIRouter()
    if desk.settings.simulation:
        _add_clock(routes, desk.means)
    return routes


def _add_clock(routes: APIRouter, means: Means) -> None:
    @routes.get("/sim/clock")
    async def read_clock(request: Request) -> JSONResponse:
        if is_stranger(request):
            return problem(403, _NOT_HERE)
        try:
            return _clock_answer(means.live.domain(await means.live.network()))
        except LedgerUnavailable:
            return problem(503, "the ledger cannot be read now")

    @routes.put("/sim/clock")
    async def put_clock(request: Request) -> JSONResponse:
        if is_stranger(request):
            return problem(403, _NOT_HERE)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return problem(415, "send application/json")
        try:
            wanted = _moment(await request.json())
        except ValueError as wrong:
            return problem(400, str(wrong))
        try:
            return _clock_answer(await set_clock(means, wanted, by="/sim/clock"))
        except (LedgerUnavailable, IndexUnavailable):
            return problem(503, "the ledger cannot be written now")


def problem(status: int, why: str) -> JSONResponse:
    """What a program is told when something is wrong at the desk."""
    return JSONResponse({"error": why}, status)


def _moment(body: object) -> datetime:
    now = body.get("now") if isinstance(body, dict) else None
    if not isinstance(now, str):
        raise ValueError('send {"now": RFC 3339 time}')
    moment = datetime.fromisoformat(now)
    if moment.tzinfo is None:
        raise ValueError("the time needs a zone")
    if not 1900 <= moment.year <= 2200:
        raise ValueError("the time is not between the years 1900 and 2200")
    return moment


def _clock_answer(now: datetime) -> JSONResponse:
    return JSONResponse({"now": now.isoformat()})
