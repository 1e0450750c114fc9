"""How does a watchdog see that all is well? `/health/live`, `/health/ready` and `/metrics`.

Live: the process answers. Ready: every check says so, each within its time; what is wrong is named, with the reason.
The checks really write and really look, so they are not made anew for everybody who asks at once. Numbers are for this
machine only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from gateway.flows.metering import Meter
from gateway.identity.papers import expiries
from gateway.stores.ledger import LedgerUnavailable
from gateway.web.clock import problem
from gateway.web.loopback import is_stranger
from gateway.web.metrics import CONTENT_TYPE, Family, Machine, exposition, of_house, of_reading
from gateway.web.pages import Check, Desk

_log = logging.getLogger("switchpoint.health")

CHECK_SECONDS = 1.5
"""How long a check may take; one that takes longer is not well (promises.md: readiness false within 2 s)."""
_FRESH_SECONDS = 0.5
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Readiness:
    """All checks side by side, made for everybody who asks within half a second."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._turn = asyncio.Lock()
        self._found: Mapping[str, str | None] = {}
        self._at = float("-inf")

    async def found(self) -> Mapping[str, str | None]:
        """Per check what is wrong, or None."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            if loop.time() - self._at > _FRESH_SECONDS:
                told = await asyncio.gather(*(_checked(name, check) for name, check in self._checks.items()))
                self._found, self._at = dict(zip(self._checks, told, strict=True)), loop.time()
            return self._found


async def _checked(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return "no answer in time"
    except Exception:
        # a check that breaks knows nothing: that is not well
        _log.exception("check-broken", extra={"check": name})
        return "the check itself is broken"


def router(desk: Desk) -> APIRouter:
    """The watchdogs' routes."""
    routes = APIRouter()
    readiness, meter = Readiness(desk.checks), Meter(desk.means, desk.started)

    @routes.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @routes.get("/health/ready")
    async def ready() -> JSONResponse:
        wrong = {name: why for name, why in (await readiness.found()).items() if why is not None}
        body: dict[str, Any] = {"status": "ready" if not wrong else "not-ready", "wrong": wrong}
        return JSONResponse(body, 200 if not wrong else 503)

    @routes.get("/metrics")
    async def metrics(request: Request) -> Response:
        if is_stranger(request):
            return problem(403, "the metrics are for this machine only")
        families = _house(desk, await readiness.found())
        # without a ledger the rest is told all the same: that is when it is wanted most
        with suppress(LedgerUnavailable):
            families += of_reading(await meter.read())
        return Response(exposition(families), media_type=CONTENT_TYPE)

    return routes


def _house(desk: Desk, wrong: Mapping[str, str | None]) -> list[Family]:
    settings = desk.settings
    papers = expiries(settings.certificate, settings.ca, settings.crl)
    wall = desk.means.live.wall()
    return list(of_house(version=settings.version, wrong=wrong, papers=papers, wall=wall, machine=_machine(desk)))


def _machine(desk: Desk) -> Machine:
    return Machine(
        cpu_s=time.process_time(),
        started=desk.started,
        disk_free=shutil.disk_usage(desk.settings.state_dir).free,
        resident=_resident(),
        files=_open_files(),
    )


def _resident() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return None


def _open_files() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None
