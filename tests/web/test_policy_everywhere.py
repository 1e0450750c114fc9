"""Does every answer of the desk carry the strict policy: pages, refusals, errors, files, streams, numbers?

Every route is asked by everybody, in every method; and the ways a request can go wrong one by one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from desk_made import AtDesk, Visitor, open_desk
from exchange_made import Exchange
from fastapi.routing import APIRoute

from gateway.web import desk as desk_module
from gateway.web.edge import guarded

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
"""Word for word: a policy that is loosened is loosened here, too."""
ALSO = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "cross-origin-opener-policy": "same-origin"}
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND")


def faults(answer: httpx.Response) -> list[str]:
    """What this answer lacks."""
    given = answer.headers.get_list("content-security-policy")
    if len(given) != 1:
        return [f"{len(given)} policies"]
    named = dict(part.strip().split(" ", 1) for part in given[0].split(";"))
    wrong = [] if named == POLICY else [f"another policy: {given[0]}"]
    wrong += [name for name, value in ALSO.items() if answer.headers.get(name) != value]
    wrong += ["other sites may read it"] * any(name.startswith("access-control") for name in answer.headers)
    wrong += ["it says what serves it"] * ("server" in answer.headers or "x-powered-by" in answer.headers)
    if not answer.request.url.path.startswith("/static/") or answer.status_code != 200:
        wrong += ["it may be kept"] * (answer.headers.get("cache-control") != "no-store")
    return wrong


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AtDesk:
    return await open_desk(exchange)


@pytest_asyncio.fixture
async def everybody(desk: AtDesk) -> AsyncIterator[list[Visitor]]:
    async with desk.visitor() as stranger, desk.visitor() as operator, desk.visitor() as patient:
        await operator.log_in("test-reviewer")
        await patient.log_in_patient()
        yield [stranger, operator, patient]


def routes(desk: AtDesk) -> list[str]:
    found = desk_module.parts(desk.desk)
    return sorted({route.path for part in found for route in part.routes if isinstance(route, APIRoute)})


async def test_every_route_answers_everybody_under_the_policy(desk: AtDesk, everybody: list[Visitor]) -> None:
    wrong, statuses = list[str](), set[int]()
    for path in (re.sub(r"\{[^}]*\}", "x", route) for route in (*routes(desk), "/nowhere", "/docs")):
        for visitor in everybody:
            for method in METHODS:
                if (method, path) == ("GET", "/log/events"):
                    continue  # it does not end; asked below
                answer = await visitor.http.request(method, path)
                statuses.add(answer.status_code)
                wrong += [f"{method} {path} {answer.status_code}: {told}" for told in faults(answer)]
    assert wrong == []
    assert statuses >= {200, 303, 403, 404, 405}


async def test_files_and_the_stream_carry_it(desk: AtDesk, everybody: list[Visitor]) -> None:
    operator = everybody[1]
    page = (await operator.get("/log")).text
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(files) >= 4
    for file in files:
        assert faults(await operator.http.get(file)) == []
    started: list[Any] = []
    gone = asyncio.Event()

    async def send(message: Any) -> None:
        started.append(message)
        gone.set()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    cookie = f"sitting={operator.token}".encode()
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "scheme": "http",
        "method": "GET", "path": "/log/events", "raw_path": b"/log/events", "root_path": "", "query_string": b"after=0",
        "headers": [(b"host", b"localhost:8080"), (b"cookie", cookie)], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080), "extensions": {},
    }  # fmt: skip
    asking = asyncio.create_task(desk.app(scope, receive, send))
    async with asyncio.timeout(10):
        await gone.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    head = {name.decode(): value.decode() for name, value in started[0]["headers"]}
    assert (started[0]["status"], head["content-type"]) == (200, "text/event-stream; charset=utf-8")
    request = httpx.Request("GET", "http://localhost:8080/log/events")
    assert faults(httpx.Response(200, headers=head, request=request)) == []


FAILING: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "too large": ("POST", "/login", {"content": b"x" * 70_000}, 413),
    "no form": ("POST", "/login", {"content": b"{}", "headers": {"content-type": "application/json"}}, 403),
    "another host": ("GET", "/", {"headers": {"host": "evil.test"}}, 421),
    "a filter that means nothing": ("GET", "/log?kind=hairdresser", {}, 400),
    "a number that is none": ("GET", "/log?before=x", {}, 400),
    "a stream from nowhere": ("GET", "/log/events?after=x", {}, 400),
    "no such method": ("BREW", "/", {}, 405),
    "a bad cookie": ("GET", "/", {"headers": {"cookie": "sitting=;;;=\"x; a=b"}}, 303),
    "an odd body for a form": ("POST", "/login", {"content": b"--x\r\n", "headers": {
        "content-type": "multipart/form-data; boundary=x"}}, 403),
    "a path with a line break": ("GET", "/calls/x%0d%0aset-cookie:%20a=b", {}, 404),
    "a path that climbs": ("GET", "/static/..%2f..%2fpages.py", {}, 404),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILING)
async def test_what_goes_wrong_goes_wrong_under_the_policy(everybody: list[Visitor], case: str) -> None:
    method, path, more, status = FAILING[case]
    answer = await everybody[1].http.request(method, path, **more)
    assert (answer.status_code, faults(answer)) == (status, [])
    assert "set-cookie" not in answer.headers or "a=b" not in answer.headers["set-cookie"]


async def test_without_a_ledger_too(desk: AtDesk, everybody: list[Visitor]) -> None:
    desk.means.ledger.close()
    for path in ("/", "/log", "/mine", "/login", "/metrics", "/health/ready"):
        answer = await everybody[1].http.get(path)
        assert (faults(answer), answer.status_code in (200, 503)) == ([], True), path


async def test_an_error_nobody_foresaw_too() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": [(b"content-security-policy", b"x")]})
        await send({"type": "http.response.body", "body": b"Internal Server Error"})

    transport = httpx.ASGITransport(app=guarded(broken, secure=False))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert faults(await http.get("/")) == []
