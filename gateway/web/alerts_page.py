"""What is wrong right now, and what is to be done about it? One page; nothing is changed here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from gateway.flows import alerting
from gateway.flows.participating import named
from gateway.identity.papers import expiries
from gateway.rules.people import OperatorSits, Role
from gateway.web.admission import require
from gateway.web.pages import Desk


def router(desk: Desk) -> APIRouter:
    """`/alerts`."""
    routes = APIRouter()

    @routes.get("/alerts")
    async def show(request: Request, who: Annotated[OperatorSits, Depends(require(Role.VIEWER))]) -> Response:
        found = await board(desk)
        return desk.pages.render(request, "alerts.html", found=found, named=lambda ura: named(found.names, ura))

    return routes


async def board(desk: Desk) -> alerting.Board:
    """The alerts of this moment. Raises LedgerUnavailable."""
    wrong = {name: why for name, check in desk.checks.items() if (why := await check()) is not None}
    settings = desk.settings
    papers = expiries(settings.certificate, settings.ca, settings.crl)
    return await alerting.board(desk.means, wrong=wrong, expiries=papers)
