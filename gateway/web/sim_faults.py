"""Which faults do a simulation's sources have, and may a tester switch them? `/sim/faults`, for this machine only.

`GET`: the catalogue, and every source with what is switched on. `PUT {"source": URA, "name": …, …}` switches one on,
`DELETE {"source": URA, "leg": …, "patient": …}` off; without source: everything off, everywhere. What a fault is only
the sources know: the desk hands on what it is given, and their answer back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.rules.identifiers import Ura
from gateway.web.clock import problem, refusal
from gateway.web.loopback import is_stranger
from gateway.web.pages import Desk
from gateway.web.sim_control import Said, SourcesControl

_PATH: Final = "/sim/faults"
_MOST: Final = 4096
"""Bytes of a wish."""


def router(desk: Desk) -> APIRouter:
    """`/sim/faults`; nothing at all outside a simulation."""
    routes = APIRouter()
    if desk.settings.simulation:
        _add_faults(routes, SourcesControl(desk.settings.state_dir))
    return routes


def _add_faults(routes: APIRouter, sources: SourcesControl) -> None:
    @routes.get(_PATH)
    async def read_faults(request: Request) -> JSONResponse:
        if is_stranger(request):
            return problem(403, "the simulator's controls are for this machine only")
        catalogue, systems = await sources.call("GET", "/faults"), await sources.call("GET", "/systems")
        if catalogue.status != 200:
            return _answer(catalogue)
        return JSONResponse({**catalogue.body, **systems.body}, systems.status)

    @routes.put(_PATH)
    async def put_fault(request: Request) -> JSONResponse:
        return await _steered(request, sources, "PUT")

    @routes.delete(_PATH)
    async def delete_fault(request: Request) -> JSONResponse:
        return await _steered(request, sources, "DELETE")


async def _steered(request: Request, sources: SourcesControl, method: str) -> JSONResponse:
    if (refused := refusal(request)) is not None:
        return refused
    try:
        wish = await _wish(request)
        source = wish.pop("source", None)
        path = _path(source, method)
    except ValueError as wrong:
        return problem(400, str(wrong))
    return _answer(await sources.call(method, path, wish))


async def _wish(request: Request) -> dict[str, Any]:
    """Raises ValueError."""
    if len(await request.body()) > _MOST:
        raise ValueError("a fault takes fewer words")
    wish = await request.json()
    if not isinstance(wish, dict):
        raise ValueError('send {"source": URA, "name": fault}')
    return wish


def _path(source: object, method: str) -> str:
    """Where at the sources this goes; only digits of the wish come into it. Raises ValueError."""
    if source is None and method == "DELETE":
        return "/faults"
    if not isinstance(source, str):
        raise ValueError("source is a URA of eight digits")
    return f"/systems/{Ura(source).digits}/fault"


def _answer(said: Said) -> JSONResponse:
    body: Mapping[str, Any] = said.body
    return JSONResponse(dict(body), said.status)
