"""What do people and watchdogs get? The desk listener: health, and in a simulation the clock.

Loopback by default. Console and patient's page come here as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gateway.flows.means import Means
from gateway.flows.operating import set_clock
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable

Check = Callable[[], Awaitable[str | None]]
"""Says what is wrong, or None."""


def desk_app(means: Means, *, simulation: bool, checks: dict[str, Check]) -> FastAPI:
    """The desk: `/health/live`, `/health/ready`, and `/sim/clock` in a simulation."""
    app = FastAPI(title="switchpoint desk", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready")
    async def ready() -> JSONResponse:
        found = {name: await check() for name, check in checks.items()}
        wrong = {name: why for name, why in found.items() if why is not None}
        body: dict[str, Any] = {"status": "ready" if not wrong else "not-ready", "wrong": wrong}
        return JSONResponse(body, 200 if not wrong else 503)

    if simulation:
        _add_clock(app, means)
    return app


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine by its own word."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _stranger(request: Request) -> bool:
    """The simulator's controls are for this machine only: by address, and by the name it was called (a page that
    rebinds its own name to 127.0.0.1 calls it by another)."""
    name = request.headers.get("host", "").rpartition(":")
    called = name[0] if name[1] and name[2].isdigit() else name[2]
    return not (request.client and is_loopback(request.client.host) and is_loopback(called))


def _add_clock(app: FastAPI, means: Means) -> None:
    @app.get("/sim/clock")
    async def read_clock(request: Request) -> JSONResponse:
        if _stranger(request):
            return _problem(403, "the simulator's controls are for this machine only")
        try:
            return _clock_answer(means.live.domain(await means.live.network()))
        except LedgerUnavailable:
            return _problem(503, "the ledger cannot be read now")

    @app.put("/sim/clock")
    async def put_clock(request: Request) -> JSONResponse:
        if _stranger(request):
            return _problem(403, "the simulator's controls are for this machine only")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _problem(415, "send application/json")
        try:
            wanted = _moment(await request.json())
        except ValueError as wrong:
            return _problem(400, str(wrong))
        try:
            return _clock_answer(await set_clock(means, wanted, by="/sim/clock"))
        except (LedgerUnavailable, IndexUnavailable):
            return _problem(503, "the ledger cannot be written now")


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


def _problem(status: int, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, status)
