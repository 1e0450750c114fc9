"""How does an operator log in and out? The pages at the door of the console.

Whatever is wrong with a login is told in the same words and takes the same time; too many attempts are told apart.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.flows import sitting
from gateway.flows.sitting import Attempt, Entered, Why
from gateway.rules.people import OperatorSits, PatientSits
from gateway.web.admission import VISITOR, remote_of, way_back
from gateway.web.cookie import seat, token_of
from gateway.web.pages import Desk, Visit

_WINDOW_SECONDS = int(sitting.WINDOW.total_seconds())


def router(desk: Desk) -> APIRouter:
    """`/login` and `/logout`."""
    routes = APIRouter()

    @routes.get("/login")
    async def ask(request: Request, visit: Annotated[Visit, Depends(VISITOR)], next: str = "/") -> Response:
        if isinstance(visit.sitter, OperatorSits):
            return RedirectResponse(way_back(next, "/"), HTTPStatus.SEE_OTHER)
        return _page(desk, request, way_back(next, "/"))

    @routes.post("/login")
    async def enter(
        request: Request,
        visit: Annotated[Visit, Depends(VISITOR)],
        name: Annotated[str, Form(max_length=200)],
        password: Annotated[str, Form(max_length=2000)],
        code: Annotated[str, Form(max_length=50)],
        next: Annotated[str, Form(max_length=2000)] = "/",
    ) -> Response:
        attempt = Attempt(name.strip().lower(), password, code, remote_of(request))
        came = await sitting.log_in(desk.means, attempt)
        if isinstance(came, Why):
            return _page(desk, request, way_back(next, "/"), came)
        return await welcome(desk, request, came, way_back(next, "/"))

    @routes.post("/logout")
    async def leave(request: Request, visit: Annotated[Visit, Depends(VISITOR)]) -> Response:
        await sitting.log_out(desk.means, visit.token, remote=remote_of(request))
        door = "/digid" if isinstance(visit.sitter, PatientSits) else "/login"
        return seat(request, RedirectResponse(door, HTTPStatus.SEE_OTHER), sitting.new_token())

    return routes


async def welcome(desk: Desk, request: Request, came: Entered, where: str) -> Response:
    """Seat who came in under a token that nobody has seen yet; whoever sat here with the old one is gone."""
    await sitting.log_out(desk.means, token_of(request), remote=remote_of(request))
    return seat(request, RedirectResponse(where, HTTPStatus.SEE_OTHER), came.token)


def _page(desk: Desk, request: Request, next: str, why: Why | None = None) -> HTMLResponse:
    status = {None: HTTPStatus.OK, Why.TOO_MANY: HTTPStatus.TOO_MANY_REQUESTS}.get(why, HTTPStatus.UNAUTHORIZED)
    wrong = None if why is None else "login.too-many" if why is Why.TOO_MANY else "login.wrong"
    page = desk.pages.render(request, "login.html", status=status, next=next, wrong=wrong)
    if why is Why.TOO_MANY:
        page.headers["retry-after"] = str(_WINDOW_SECONDS)
    return page
