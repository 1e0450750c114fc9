"""How does a patient log in here? A simulated DigiD, where anybody may be any test person. In a simulation only.

A person is picked by a name, or by a number of the test range typed into a form; no number stands in a page or URL.
"""

from __future__ import annotations

from datetime import date
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.flows import sitting
from gateway.flows.sitting import Why
from gateway.rules.choice import Party
from gateway.rules.identifiers import Bsn, InvalidIdentifier
from gateway.rules.people import PatientSits, TestPerson
from gateway.web.admission import VISITOR, way_back
from gateway.web.login import welcome
from gateway.web.pages import Desk, Visit

_TEST_RANGE = "9999"
_METHOD = "digid-simulated"
_HOME = "/mine"


def router(desk: Desk) -> APIRouter:
    """`/digid`; nothing at all outside a simulation."""
    routes = APIRouter()
    if desk.settings.simulation:
        _add_door(routes, desk)
    return routes


def _add_door(routes: APIRouter, desk: Desk) -> None:
    known = {person.key: person for person in desk.persons}

    @routes.get("/digid")
    async def ask(request: Request, visit: Annotated[Visit, Depends(VISITOR)], next: str = _HOME) -> Response:
        if isinstance(visit.sitter, PatientSits):
            return RedirectResponse(way_back(next, _HOME), HTTPStatus.SEE_OTHER)
        return _page(desk, request, way_back(next, _HOME))

    @routes.post("/digid")
    async def enter(
        request: Request,
        visit: Annotated[Visit, Depends(VISITOR)],
        party: Annotated[Party, Form()],
        person: Annotated[str, Form(max_length=100)] = "",
        number: Annotated[str, Form(max_length=50)] = "",
        born: Annotated[str, Form(max_length=20)] = "",
        next: Annotated[str, Form(max_length=2000)] = _HOME,
    ) -> Response:
        sitter = _named(known.get(person), party) if not number.strip() else _numbered(number, born, party)
        if sitter is None:
            return _page(desk, request, way_back(next, _HOME), "digid.nobody")
        came = await sitting.log_in_patient(desk.means, sitter, method=_METHOD)
        if isinstance(came, Why):
            return _page(desk, request, way_back(next, _HOME), "digid.no-say")
        return await welcome(desk, request, came, way_back(next, _HOME))


def _page(desk: Desk, request: Request, next: str, wrong: str | None = None) -> HTMLResponse:
    status = HTTPStatus.OK if wrong is None else HTTPStatus.UNPROCESSABLE_ENTITY
    return desk.pages.render(
        request, "digid.html", status=status, persons=desk.persons, parties=list(Party), next=next, wrong=wrong
    )


def _named(person: TestPerson | None, party: Party) -> PatientSits | None:
    return PatientSits(person.bsn, party, person.born, person.name) if person else None


def _numbered(number: str, born: str, party: Party) -> PatientSits | None:
    """Somebody of an outsider's own making: a number of the test range, and a birth date if age is to matter."""
    digits = "".join(number.split())
    try:
        return PatientSits(Bsn(digits), party, _birth_date(born)) if digits.startswith(_TEST_RANGE) else None
    except (InvalidIdentifier, ValueError):
        return None


def _birth_date(text: str) -> date | None:
    return date.fromisoformat(text.strip()) if text.strip() else None
