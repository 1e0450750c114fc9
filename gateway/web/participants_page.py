"""Who takes part, and with which papers? Organisations, systems, endpoints, certificates; and revoking one."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from gateway.flows import operating, participating
from gateway.identity.papers import expiries
from gateway.rules.identifiers import InvalidIdentifier, Ura
from gateway.rules.people import OperatorSits, Role
from gateway.web.admission import require
from gateway.web.pages import Desk

_SERIAL = re.compile(r"[0-9A-F]{1,40}")
"""RFC 5280 section 4.1.2.2: at most 20 octets."""
_Viewer = Annotated[OperatorSits, Depends(require(Role.VIEWER))]
_Operator = Annotated[OperatorSits, Depends(require(Role.OPERATOR))]


def router(desk: Desk) -> APIRouter:
    """`/participants`, one of them, and revoking a certificate."""
    routes = APIRouter()

    @routes.get("/participants")
    async def show(request: Request, who: _Viewer) -> Response:
        return await _page(desk, request, who)

    @routes.get("/participants/{ura}")
    async def one(request: Request, who: _Viewer, ura: str) -> Response:
        found = await participating.member(desk.means, _ura(ura))
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        member, seen = found
        may_act = who.may(Role.OPERATOR)
        return desk.pages.render(request, "participant.html", member=member, seen=seen, may_act=may_act)

    @routes.post("/participants/revoke")
    async def revoke(
        request: Request,
        who: _Operator,
        serial: Annotated[str, Form(max_length=100)],
        reason: Annotated[str, Form(min_length=1, max_length=500)],
        sure: Annotated[bool, Form()] = False,
    ) -> Response:
        number = _serial(serial)
        if number is None or not sure or not reason.strip():
            wrong = "acts.participants.wrong.serial" if number is None else "acts.participants.wrong.sure"
            return await _page(desk, request, who, wrong, serial)
        await operating.revoke(desk.means, number, by=who.name, reason=reason.strip())
        return RedirectResponse("/participants#revoked", HTTPStatus.SEE_OTHER)

    return routes


async def _page(
    desk: Desk, request: Request, who: OperatorSits, wrong: str | None = None, serial: str = ""
) -> Response:
    settings = desk.settings
    return desk.pages.render(
        request,
        "participants.html",
        status=HTTPStatus.OK if wrong is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        found=await participating.members(desk.means),
        papers=expiries(settings.certificate, settings.ca, settings.crl),
        wall=desk.means.live.wall(),
        may_act=who.may(Role.OPERATOR),
        wrong=wrong,
        serial=serial,
    )


def _serial(text: str) -> str | None:
    """A serial number as the register keeps it: upper-case hex without leading zeros; None when it is none."""
    bare = text.replace(":", "").replace(" ", "").upper().removeprefix("0X").lstrip("0")
    return bare if _SERIAL.fullmatch(bare) else None


def _ura(text: str) -> Ura:
    try:
        return Ura(text)
    except InvalidIdentifier as wrong:
        raise HTTPException(HTTPStatus.NOT_FOUND) from wrong
