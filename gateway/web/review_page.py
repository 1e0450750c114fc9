"""Which disclosures on presumed or verbal consent are to be judged? The reviewers' queue, one case, and the verdict."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response

from gateway.flows import reviewing
from gateway.flows.participating import named
from gateway.flows.reviewing import NoVerdict, Shown
from gateway.rules.journal import Audience, Json, view
from gateway.rules.people import OperatorSits, Role
from gateway.rules.reviewing import LONGEST_NOTE, Verdict
from gateway.web.admission import require
from gateway.web.pages import Desk

_Viewer = Annotated[OperatorSits, Depends(require(Role.VIEWER))]
_Reviewer = Annotated[OperatorSits, Depends(require(Role.REVIEWER))]
_Line = Annotated[int, Query(ge=0, lt=2**53)]


def router(desk: Desk) -> APIRouter:
    """`/review`, and one case."""
    routes = APIRouter()

    @routes.get("/review")
    async def show(request: Request, who: _Viewer, closed: bool = False, after: _Line = 0) -> Response:
        found = await reviewing.queue(desk.means, closed=closed, after=after)
        rows = [(one, _fields(one)) for one in found.cases]
        older = f"/review?closed={str(closed).lower()}&after={found.next}" if found.next else ""
        return desk.pages.render(request, "review.html", found=found, rows=rows, closed=closed, next_url=older)

    @routes.get("/review/{line}")
    async def one(request: Request, who: _Viewer, line: int) -> Response:
        return await _case(desk, request, who, line)

    @routes.post("/review/{line}")
    async def judge(
        request: Request,
        who: _Reviewer,
        line: int,
        verdict: Annotated[Verdict, Form()],
        note: Annotated[str, Form(max_length=LONGEST_NOTE)] = "",
    ) -> Response:
        try:
            judged = await reviewing.judge(desk.means, _number(line), verdict, note, by=who.name)
        except NoVerdict:
            return await _case(desk, request, who, line, wrong="acts.review.note-needed")
        if judged is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return RedirectResponse("/review" if verdict.closes else f"/review/{line}", HTTPStatus.SEE_OTHER)

    return routes


async def _case(desk: Desk, request: Request, who: OperatorSits, line: int, wrong: str | None = None) -> Response:
    found = await reviewing.case(desk.means, _number(line))
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    network = await desk.means.live.network()
    return desk.pages.render(
        request,
        "review_case.html",
        status=HTTPStatus.OK if wrong is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        found=found,
        fields=_fields(found),
        named=lambda ura: named(network.organisations, ura),
        verdicts=list(Verdict),
        may_judge=who.may(Role.REVIEWER),
        wrong=wrong,
    )


def _fields(shown: Shown) -> dict[str, Json]:
    """What operators may see of the disclosure."""
    return view(shown.kept.line, Audience.OPERATOR) if shown.kept else {}


def _number(line: int) -> int:
    """A line's number the ledger can hold."""
    if not 0 < line < 2**53:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return line
