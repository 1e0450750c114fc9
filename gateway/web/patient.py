"""What does a patient see of her own? Who looked, on screen, in print and as a file; and where her data are known.

Her number comes from the sitting alone. Words and layout only: what she may see is the flows' to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response

from gateway.flows import patient_choices, patient_page
from gateway.flows.patient_items import Item, Subject, name_of
from gateway.flows.patient_page import Page, Wanted
from gateway.rules.identifiers import Ura
from gateway.rules.network import Network
from gateway.rules.people import PatientSits
from gateway.web.admission import require_patient
from gateway.web.language import Words
from gateway.web.pages import Desk, visit_of

Sits = Annotated[PatientSits, Depends(require_patient())]
DOWNLOADED = 250
"""Items on one printed list, and in one file; both say where to go on."""
_FILE = "who-looked.json"


def wanted(
    subject: Annotated[str, Query(max_length=20)] = "",
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    before: Annotated[int | None, Query(ge=1, lt=2**53)] = None,
) -> Wanted:
    """The filter in the address. 400 for one that is none."""
    try:
        return Wanted(Subject(subject) if subject else None, _day(since), _day(until), before)
    except ValueError as wrong:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from wrong


def _day(text: str) -> date | None:
    day = date.fromisoformat(text) if text else None
    if day is not None and not _FIRST <= day <= _LAST:
        raise ValueError("no day anything happened on")
    return day


_FIRST, _LAST = date(1900, 1, 1), date(2999, 12, 31)

Filter = Annotated[Wanted, Depends(wanted)]


def router(desk: Desk) -> APIRouter:
    """`/mine`, `/mine/print`, `/mine/who-looked.json`, `/mine/known`."""
    routes = APIRouter()

    @routes.get("/mine")
    async def who_looked(request: Request, who: Sits, filter: Filter) -> Response:
        page = await patient_page.who_looked(desk.means, who, filter)
        return _listed(desk, request, "patient_log.html", page, filter)

    @routes.get("/mine/print")
    async def in_print(request: Request, who: Sits, filter: Filter) -> Response:
        page = await patient_page.who_looked(desk.means, who, filter, count=desk.lengths.printed)
        return _listed(desk, request, "patient_print.html", page, filter)

    @routes.get(f"/mine/{_FILE}")
    async def as_file(request: Request, who: Sits, filter: Filter) -> Response:
        page = await patient_page.who_looked(desk.means, who, filter, count=DOWNLOADED)
        more = f"/mine/{_FILE}" + address(filter, before=page.before) if page.before else None
        body = json.dumps(_file(visit_of(request).words, page, more), ensure_ascii=False, indent=2)
        headers = {"content-disposition": f'attachment; filename="{_FILE}"'}
        return Response(body, media_type="application/json", headers=headers)

    @routes.get("/mine/known")
    async def where_known(request: Request, who: Sits) -> Response:
        known = await patient_choices.known(desk.means, who)
        return desk.pages.render(request, "patient_known.html", known=known, named=naming(known.network))

    return routes


def naming(network: Network) -> Callable[[Ura | str], str]:
    """The name of an organisation by its number."""
    return lambda ura: name_of(network, str(ura))


def _listed(desk: Desk, request: Request, template: str, page: Page, filter: Wanted) -> Response:
    return desk.pages.render(
        request,
        template,
        page=page,
        filter=filter,
        subjects=list(Subject),
        query=address(filter),
        older=address(filter, before=page.before) if page.before else "",
        newest=address(filter) if filter.before else "",
    )


def address(filter: Wanted, *, before: int | None = None) -> str:
    """This filter as the end of an address, from the newest line or from `before`."""
    given = {
        "subject": filter.subject,
        "since": filter.since and filter.since.isoformat(),
        "until": filter.until and filter.until.isoformat(),
        "before": before,
    }
    kept = {name: value for name, value in given.items() if value}
    return f"?{urlencode(kept)}"


# --- as a file -------------------------------------------------------------------------------------------------------


def _file(words: Words, page: Page, more: str | None) -> dict[str, Any]:
    """The list as data: every field she may see, with the rule's sentence beside its id."""
    return {
        "sealed": page.seal.at.isoformat() if page.seal.at else None,
        "entries": [_entry(words, item) for item in page.items],
        "more": more,
    }


def _entry(words: Words, item: Item) -> dict[str, Any]:
    return {
        "number": item.seq,
        "at": item.at.isoformat(),
        "event": item.event,
        "subject": item.subject,
        "outcome": item.came,
        "times": item.times,
        "chain": item.chain,
        "who": asdict(item.who) if item.who else None,
        "custodian": item.custodian,
        "data": [
            {**asdict(part), "sentence": words.plain(part.row, "row") if part.row else None} for part in item.parts
        ],
        "reason": item.reason,
        "fields": dict(item.told),
    }
