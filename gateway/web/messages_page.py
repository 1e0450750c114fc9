"""How does the mail fare, and what can people do about it? Lists, one envelope; retry, park, stop, start."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response

from gateway.flows import outbox_acts, outbox_look
from gateway.flows.outbox_acts import CannotAct
from gateway.flows.outbox_gauges import gauges
from gateway.flows.participating import named
from gateway.rules.identifiers import InvalidIdentifier, Ura
from gateway.rules.message import State
from gateway.rules.people import OperatorSits, Role
from gateway.web.admission import require
from gateway.web.pages import Desk

_Viewer = Annotated[OperatorSits, Depends(require(Role.VIEWER))]
_Operator = Annotated[OperatorSits, Depends(require(Role.OPERATOR))]
_Reason = Annotated[str, Form(min_length=1, max_length=500)]
_Recipient = Annotated[str, Form(max_length=20)]
_Id = Annotated[str, Query(max_length=64)]
_WRONG = {
    CannotAct.NO_ROAD: "acts.messages.wrong.no-road",
    CannotAct.NOT_NOW: "acts.messages.wrong.not-now",
}


def router(desk: Desk) -> APIRouter:
    """`/messages`, one message, and what is done there."""
    routes = APIRouter()
    _add_views(routes, desk)
    _add_acts(routes, desk)
    return routes


def _add_views(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/messages")
    async def show(request: Request, who: _Viewer, state: State | None = None, after: _Id = "") -> Response:
        return await _list(desk, request, who, state, after)

    @routes.get("/messages/{id}")
    async def one(request: Request, who: _Viewer, id: str) -> Response:
        return await _one(desk, request, who, id)


def _add_acts(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/messages/delivery/stop")
    async def stop(request: Request, who: _Operator, reason: _Reason, recipient: _Recipient = "") -> Response:
        ura = await _known(desk, recipient)
        if isinstance(ura, str):
            return await _list(desk, request, who, None, "", wrong="acts.messages.wrong.no-recipient")
        await outbox_acts.stop(desk.means, ura, by=who.name, reason=reason.strip())
        return RedirectResponse("/messages", HTTPStatus.SEE_OTHER)

    @routes.post("/messages/delivery/start")
    async def start(request: Request, who: _Operator, reason: _Reason, recipient: _Recipient = "") -> Response:
        ura = _ura(recipient)
        if isinstance(ura, str):
            return await _list(desk, request, who, None, "", wrong="acts.messages.wrong.no-recipient")
        await outbox_acts.start(desk.means, ura, by=who.name, reason=reason.strip())
        return RedirectResponse("/messages", HTTPStatus.SEE_OTHER)

    @routes.post("/messages/{id}/retry")
    async def retry(request: Request, who: _Operator, id: str, reason: _Reason) -> Response:
        done = await outbox_acts.retry(desk.means, id, by=who.name, why=reason.strip())
        return await _after(desk, request, who, id, done)

    @routes.post("/messages/{id}/park")
    async def park(request: Request, who: _Operator, id: str) -> Response:
        return await _after(desk, request, who, id, await outbox_acts.park(desk.means, id, by=who.name))


def _ura(text: str) -> Ura | str | None:
    """Nobody in particular for an empty text; the text itself when it names nobody."""
    try:
        return Ura(text.strip()) if text.strip() else None
    except InvalidIdentifier:
        return text


async def _known(desk: Desk, text: str) -> Ura | str | None:
    """Only a participant can be stopped: a slip of the pen must not look like a stop."""
    ura = _ura(text)
    names = (await desk.means.live.network()).organisations
    return text if isinstance(ura, Ura) and ura not in names else ura


async def _after(desk: Desk, request: Request, who: OperatorSits, id: str, done: object) -> Response:
    if isinstance(done, CannotAct):
        return await _one(desk, request, who, id, _WRONG.get(done))
    return RedirectResponse(f"/messages/{id}", HTTPStatus.SEE_OTHER)


async def _list(
    desk: Desk, request: Request, who: OperatorSits, state: State | None, after: str, wrong: str | None = None
) -> Response:
    found = await outbox_look.listing(desk.means, state, after=after or None)
    chosen = f"state={state}&" if state else ""
    return desk.pages.render(
        request,
        "messages.html",
        status=HTTPStatus.OK if wrong is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        found=found,
        gauges=await gauges(desk.means),
        states=list(State),
        state=state,
        named=lambda ura: named(found.names, ura),
        next_url=f"/messages?{chosen}after={found.next}" if found.next else "",
        may_act=who.may(Role.OPERATOR),
        wrong=wrong,
    )


async def _one(desk: Desk, request: Request, who: OperatorSits, id: str, wrong: str | None = None) -> Response:
    found = await outbox_look.one(desk.means, id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    held, names = found
    return desk.pages.render(
        request,
        "message.html",
        status=HTTPStatus.OK if wrong is None else HTTPStatus.CONFLICT,
        held=held,
        named=lambda ura: named(names, ura),
        can_park=held.state is State.WAITING,
        can_retry=held.state in (State.PARKED, State.FAILED, State.UNKNOWN),
        may_act=who.may(Role.OPERATOR),
        wrong=wrong,
    )
