"""What do people and watchdogs get? The desk listener: health and metrics, the pages, and in a simulation the clock.

Loopback by default. Each part is a module with `router(desk)`; this file puts them together and tells what went wrong.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable
from gateway.web import (
    alerts_page,
    clock,
    console,
    digid,
    inspector,
    login,
    messages_page,
    participants_page,
    patient,
    patient_audit,
    patient_choices,
    regimes_page,
    review_page,
    scenarios_page,
    sim_faults,
    watching,
)
from gateway.web.admission import Unadmitted
from gateway.web.clock import problem
from gateway.web.edge import Asgi, guarded
from gateway.web.pages import Desk

_PARTS: tuple[Callable[[Desk], APIRouter], ...] = (
    login.router,
    digid.router,
    console.router,
    inspector.router,
    clock.router,
    sim_faults.router,
    regimes_page.router,
    review_page.router,
    messages_page.router,
    participants_page.router,
    alerts_page.router,
    scenarios_page.router,
    watching.router,
    patient.router,
    patient_audit.router,
    patient_choices.router,
)
"""The modules of pages; each says itself whom its pages are for."""


def desk_app(desk: Desk) -> Asgi:
    """The desk's application."""
    found = parts(desk)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in found:
                await stack.enter_async_context(part.lifespan_context(app))
            yield

    app = FastAPI(
        title="switchpoint desk", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
        lifespan=living,
    )  # fmt: skip
    app.state.desk = desk
    for part in found:
        # its routes are ready: `include_router` would work each out once more
        app.router.routes.extend(part.routes)
    _add_problems(app, desk)
    return guarded(app, secure=desk.settings.secure)


def parts(desk: Desk) -> list[APIRouter]:
    """Every router of the desk; what paths they have is what the navigation offers."""
    found = [_files(desk), *(part(desk) for part in _PARTS)]
    desk.pages.offered = frozenset(str(getattr(route, "path", "")) for part in found for route in part.routes)
    return found


def _files(desk: Desk) -> APIRouter:
    routes = APIRouter()

    @routes.get("/static/{address}")
    async def file(address: str) -> Response:
        found = desk.pages.file(address)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return found

    return routes


# --- when something is wrong -----------------------------------------------------------------------------------------


def _add_problems(app: FastAPI, desk: Desk) -> None:
    async def not_admitted(request: Request, wrong: Exception) -> Response:
        assert isinstance(wrong, Unadmitted), "registered for these"
        if wrong.where is not None and request.method == "GET" and _reads_pages(request):
            return RedirectResponse(wrong.where, HTTPStatus.SEE_OTHER)
        return _told(desk, request, wrong.status, wrong.problem, wrong.where)

    async def by_status(request: Request, wrong: Exception) -> Response:
        assert isinstance(wrong, HTTPException), "registered for these"
        status = HTTPStatus(wrong.status_code)
        told = _told(desk, request, status, _PROBLEMS.get(status, "misunderstood"))
        told.headers.update(wrong.headers or {})
        return told

    async def not_understood(request: Request, _wrong: Exception) -> Response:
        return _told(desk, request, HTTPStatus.BAD_REQUEST, "misunderstood")

    async def no_store(request: Request, _wrong: Exception) -> Response:
        return _told(desk, request, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable")

    app.add_exception_handler(Unadmitted, not_admitted)
    app.add_exception_handler(HTTPException, by_status)
    app.add_exception_handler(RequestValidationError, not_understood)
    app.add_exception_handler(LedgerUnavailable, no_store)
    app.add_exception_handler(IndexUnavailable, no_store)


_PROBLEMS = {HTTPStatus.NOT_FOUND: "not-found", HTTPStatus.METHOD_NOT_ALLOWED: "method"}


def _reads_pages(request: Request) -> bool:
    """A browser that opens a page, and not a script of ours that follows a stream."""
    return "text/event-stream" not in request.headers.get("accept", "")


def _told(desk: Desk, request: Request, status: HTTPStatus, name: str, where: str | None = None) -> Response:
    """What was wrong, never what was sent: as a page to a browser, as JSON to a program."""
    if "text/html" in request.headers.get("accept", ""):
        return desk.pages.render(request, "problem.html", status=status, problem=name, where=where)
    return problem(status, name)
