"""What is happening, line by line? The routing log: pages of it for any filter, and a stream of what comes in.

The stream is Server-Sent Events (WHATWG HTML, section 9.2): an event's id is the journal's number, so that a browser
that lost its connection goes on exactly where it was. Shows routing only: neither a patient nor content.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response, StreamingResponse

from gateway.flows import routing_log, sitting
from gateway.flows.routing_log import LogLine, LogPage
from gateway.flows.viewing import Lookout
from gateway.rules.exchange import Category, Failing, Kind
from gateway.rules.finding import Outcome
from gateway.rules.identifiers import Ura
from gateway.rules.people import OperatorSits, Role
from gateway.stores.ledger import LedgerUnavailable
from gateway.web.admission import require
from gateway.web.console_filters import REASONS, RULES, Filters, read_filters
from gateway.web.cookie import token_of
from gateway.web.pages import Desk

MOST_STREAMS = 32
"""Live views at once; one more is told to come back later."""
_PATIENCE_SECONDS = 15.0
"""After so long without news a stream shows that it is alive, and asks whether its operator still sits there."""
_SSE = "text/event-stream; charset=utf-8"
_RETRY = b"retry: 1000\n\n"
_LAST = 2**62
_CHOICES = {
    "kinds": tuple(Kind),
    "categories": tuple(Category),
    "outcomes": tuple(Outcome),
    "failings": tuple(Failing),
    "rules": RULES,
    "reasons": REASONS,
}


class Streams:
    """How many live views are open in this process."""

    def __init__(self) -> None:
        self.open = 0

    def enter(self) -> None:
        """Raises HTTPException (503) when there are too many."""
        if self.open >= MOST_STREAMS:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers={"retry-after": "10"})
        self.open += 1

    def leave(self) -> None:
        self.open -= 1


def add(routes: APIRouter, desk: Desk, lookout: Lookout) -> None:
    """`/log` and `/log/events`."""
    streams = Streams()

    @routes.get("/log")
    async def log(
        request: Request,
        who: Annotated[OperatorSits, Depends(require(Role.VIEWER))],
        before: Annotated[int | None, Query(ge=1, le=_LAST)] = None,
    ) -> Response:
        await lookout.begin()
        names = await _names(desk)
        filters = read_filters(request.query_params, names)
        found = LogPage((), None, 0)
        if not filters.wrong:
            found = await routing_log.page(desk.means, filters.search, before=before, limit=desk.lengths.log)
        return desk.pages.render(
            request,
            "console_log.html",
            status=HTTPStatus.BAD_REQUEST if filters.wrong else HTTPStatus.OK,
            filters=filters,
            found=found,
            names=_by_digits(names),
            fresh=False,
            before=before,
            live=before is None and not filters.wrong,
            **_CHOICES,
        )

    @routes.get("/log/events")
    async def events(
        request: Request,
        who: Annotated[OperatorSits, Depends(require(Role.VIEWER))],
        after: Annotated[int, Query(ge=0, le=_LAST)],
    ) -> Response:
        names = await _names(desk)
        filters = read_filters(request.query_params, names)
        if filters.wrong:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        await lookout.begin()
        start = _last_event(request, after)
        streams.enter()
        stream = _follow(desk, request, lookout, streams, filters, _by_digits(names), start)
        return StreamingResponse(stream, media_type=_SSE, headers={"x-accel-buffering": "no"})


async def _names(desk: Desk) -> dict[Ura, str]:
    network = await desk.means.live.network()
    return {ura: one.name for ura, one in network.organisations.items()}


def _by_digits(names: Mapping[Ura, str]) -> dict[str, str]:
    return {ura.digits: name for ura, name in names.items()}


def _last_event(request: Request, after: int) -> int:
    """Where a browser that comes back says it was, else where the page ended. Raises HTTPException (400)."""
    said = request.headers.get("last-event-id", "")
    if not said:
        return after
    if not (said.isascii() and said.isdigit() and len(said) <= len(str(_LAST))):
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return int(said)


async def _follow(
    desk: Desk,
    request: Request,
    lookout: Lookout,
    streams: Streams,
    filters: Filters,
    names: Mapping[str, str],
    after: int,
) -> AsyncIterator[bytes]:
    """The stream, until the browser leaves, the operator no longer sits there, or the ledger cannot be read."""
    try:
        yield _RETRY
        while await sitting.sits(desk.means, token_of(request)) is not None:
            async for block in _for_a_while(desk, request, lookout, filters, names, after):
                after = block[0]
                yield block[1]
    except LedgerUnavailable:
        return  # the browser comes back by itself, and goes on where it was
    finally:
        streams.leave()


async def _for_a_while(
    desk: Desk, request: Request, lookout: Lookout, filters: Filters, names: Mapping[str, str], after: int
) -> AsyncIterator[tuple[int, bytes]]:
    """Blocks of events, each with how far it goes, for some seconds."""
    until = lookout.clock() + _PATIENCE_SECONDS
    while (patience := until - lookout.clock()) > 0:
        shown, upto = await routing_log.follow(lookout, filters.search, after, patience=patience)
        block = b"".join(_event(line, _row(desk, request, line, names)) for line in shown)
        if upto > after and (not shown or shown[-1].seq < upto):
            block += b"id: %d\n\n" % upto  # no event: the browser only learns how far it is
        after = upto
        yield after, block or b": still here\n\n"


def _row(desk: Desk, request: Request, line: LogLine, names: Mapping[str, str]) -> bytes:
    row = desk.pages.render(request, "console_row.html", line=line, names=names, fresh=True).body
    return bytes(row).strip()


def _event(line: LogLine, row: bytes) -> bytes:
    """One event. Whatever a name holds, its lines stay lines of data."""
    data = b"\n".join(b"data: " + part for part in row.splitlines())
    return b"id: %d\nevent: line\n%s\n\n" % (line.seq, data)
