"""How does a patient take her own log along? As AuditEvents, for a program that speaks FHIR: `/mine/audit-events`.

The same lines as her page, with everything she may see, and paging. Who she is comes from her session; the address
names nobody.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from gateway.fhir import auditing, moments, writing
from gateway.flows.reading import MOST, read_as_patient
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Audience, Line
from gateway.rules.people import PatientSits
from gateway.web.admission import require_patient
from gateway.web.clock import problem
from gateway.web.pages import Desk

PATH = "/mine/audit-events"
_TYPE = "application/fhir+json"
_AS_FILE = {"content-disposition": 'attachment; filename="audit-events.json"'}
_LARGEST = 2**53


def router(desk: Desk) -> APIRouter:
    """`/mine/audit-events`, with `date` (as in a FHIR search, several together), `_count` and `before`."""
    routes = APIRouter()

    @routes.get(PATH)
    async def audit_events(
        who: Annotated[PatientSits, Depends(require_patient())],
        date: Annotated[tuple[str, ...], Query()] = (),
        count: Annotated[int, Query(alias="_count", ge=1, le=MOST)] = 50,
        before: Annotated[int | None, Query(ge=1, le=_LARGEST)] = None,
    ) -> Response:
        try:
            since, until = moments.window(date)
        except ValueError:
            return problem(400, "a date is eq, ge, gt, le or lt and a FHIR date")
        found = await read_as_patient(desk.means, who, since, until, count, before)
        events = desk.settings.exchange_base + "/fhir/AuditEvent"
        body = writing.listing(
            [(f"{events}/{kept.seq}", _shown(kept.seq, kept.line, who.bsn)) for kept in found.lines],
            id=desk.means.new_id(),
            at=desk.means.live.wall(),
            self_url=_address(date, count, None if before is None else str(before)),
            next_url=None if found.next_page is None else _address(date, count, found.next_page),
            total=found.total,
        )
        return Response(body, media_type=_TYPE, headers=_AS_FILE)

    return routes


def _shown(seq: int, line: Line, patient: Bsn) -> bytes:
    return auditing.audit_event(seq, line, patient=patient, audience=Audience.PATIENT)


def _address(date: tuple[str, ...], count: int, before: str | None) -> str:
    asked = [*(("date", one) for one in date), ("_count", str(count))]
    return f"{PATH}?{urlencode(asked + ([] if before is None else [('before', before)]))}"
