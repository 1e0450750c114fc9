"""Which arrangements are in force, and who switches them? On by two operators, off by one click and a confirmation."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from gateway.flows import proposing
from gateway.flows.proposing import SWITCHABLE, CannotSwitch
from gateway.rules.exchange import Regime
from gateway.rules.people import OperatorSits, Role
from gateway.rules.proposing import LONGEST_REASON
from gateway.web.admission import require
from gateway.web.pages import Desk

_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")
_Viewer = Annotated[OperatorSits, Depends(require(Role.VIEWER))]
_Operator = Annotated[OperatorSits, Depends(require(Role.OPERATOR))]
_Reason = Annotated[str, Form(max_length=LONGEST_REASON)]
_Until = Annotated[str, Form(max_length=40)]
_REFUSED = HTTPStatus.CONFLICT


def router(desk: Desk) -> APIRouter:
    """`/regimes`, and what is done there."""
    routes = APIRouter()

    @routes.get("/regimes")
    async def show(request: Request, who: _Viewer) -> Response:
        return await _page(desk, request, who)

    @routes.post("/regimes/propose")
    async def propose(
        request: Request, who: _Operator, regime: Annotated[Regime, Form()], reason: _Reason, until: _Until = ""
    ) -> Response:
        ends = _moment(until)
        if isinstance(ends, str):
            return await _page(desk, request, who, "acts.regimes.wrong.end-unreadable")
        done = await proposing.propose(desk.means, regime, until=ends, reason=reason, by=who.name)
        return await _after(desk, request, who, done)

    @routes.post("/regimes/confirm")
    async def confirm(request: Request, who: _Operator, proposal: Annotated[int, Form(ge=1, lt=2**53)]) -> Response:
        return await _after(desk, request, who, await proposing.confirm(desk.means, proposal, by=who.name))

    @routes.post("/regimes/drop")
    async def drop(request: Request, who: _Operator, proposal: Annotated[int, Form(ge=1, lt=2**53)]) -> Response:
        return await _after(desk, request, who, await proposing.drop(desk.means, proposal, by=who.name))

    @routes.get("/regimes/stop/{regime}")
    async def ask_stop(request: Request, who: _Operator, regime: Regime) -> Response:
        if regime not in SWITCHABLE:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return desk.pages.render(request, "regimes_stop.html", regime=regime)

    @routes.post("/regimes/stop/{regime}")
    async def stop(request: Request, who: _Operator, regime: Regime, reason: _Reason) -> Response:
        return await _after(desk, request, who, await proposing.stop(desk.means, regime, reason=reason, by=who.name))

    return routes


async def _after(desk: Desk, request: Request, who: OperatorSits, done: object) -> Response:
    """Back to the page; with what was wrong, if something was."""
    if isinstance(done, CannotSwitch):
        return await _page(desk, request, who, f"acts.regimes.wrong.{done}")
    return RedirectResponse("/regimes", HTTPStatus.SEE_OTHER)


async def _page(desk: Desk, request: Request, who: OperatorSits, wrong: str | None = None) -> Response:
    return desk.pages.render(
        request,
        "regimes.html",
        status=HTTPStatus.OK if wrong is None else _REFUSED,
        found=await proposing.standing(desk.means),
        may_act=who.may(Role.OPERATOR),
        me=who.name,
        wrong=wrong,
        history_limit=desk.lengths.switches,
    )


def _moment(text: str) -> datetime | str | None:
    """A form's local time, taken as Dutch; None for no end; the text itself when it is no time."""
    if not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    return moment if moment.tzinfo else moment.replace(tzinfo=_DUTCH_TIME)
