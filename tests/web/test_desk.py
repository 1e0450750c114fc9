"""What do watchdogs and a simulation get from the desk? Health that can be unwell, and a time that is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from exchange_made import Exchange

from gateway.stores.revocation import RevocationList


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=exchange.gateway.desk())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


async def test_a_well_gateway_is_ready(desk: httpx.AsyncClient) -> None:
    assert (await desk.get("/health/live")).json() == {"status": "live"}
    ready = await desk.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "wrong": {}})


async def test_what_is_wrong_is_named(exchange: Exchange) -> None:
    gone = RevocationList(exchange.gateway.settings.state_dir / "none.pem", exchange.gateway.settings.ca)
    unwell = replace(exchange.gateway, site=replace(exchange.gateway.site, revocation=gone))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=unwell.desk()), base_url="http://d.test") as client:
        ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "not-ready")
    assert list(ready.json()["wrong"]) == ["revocation"]


async def test_the_clock_is_set_and_ticks(desk: httpx.AsyncClient) -> None:
    wanted = datetime(2020, 4, 20, 3, tzinfo=UTC)
    put = await desk.put("/sim/clock", json={"now": wanted.isoformat()})
    assert put.status_code == 200
    now = datetime.fromisoformat((await desk.get("/sim/clock")).json()["now"])
    assert wanted < now < wanted + timedelta(seconds=30)


@pytest.mark.parametrize("host", ["desk.test", "127.0.0.1.desk.test:8080", ""])
async def test_the_clock_is_for_this_machine_only(desk: httpx.AsyncClient, host: str) -> None:
    for method in ("GET", "PUT"):
        reply = await desk.request(method, "/sim/clock", json={"now": "2020-04-20T03:00:00Z"}, headers={"host": host})
        assert reply.status_code == 403


async def test_the_clock_is_for_callers_from_this_machine(exchange: Exchange) -> None:
    transport = httpx.ASGITransport(app=exchange.gateway.desk(), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        assert (await client.get("/sim/clock")).status_code == 403


WRONG = {
    "no JSON": ("x", 400),
    "no object": ("[]", 400),
    "no time": ('{"now": 5}', 400),
    "no zone": ('{"now": "2026-11-21T20:00:00"}', 400),
    "nonsense": ('{"now": "soon"}', 400),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_time_that_is_none_is_refused(desk: httpx.AsyncClient, case: str) -> None:
    body, status = WRONG[case]
    reply = await desk.put("/sim/clock", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == status
    form = await desk.put("/sim/clock", content=body, headers={"content-type": "text/plain"})
    assert form.status_code == 415, "no cross-site form can set it"


@pytest.mark.parametrize("now", ["9999-12-31T23:59:59+00:00"])
async def test_a_time_at_the_end_of_all_calendars_is_refused(desk: httpx.AsyncClient, now: str) -> None:
    assert (await desk.put("/sim/clock", json={"now": now})).status_code == 400


async def test_outside_a_simulation_there_is_no_clock(exchange: Exchange) -> None:
    app = replace(exchange.gateway, settings=exchange.gateway.settings.model_copy(update={"simulation": False})).desk()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost:8080") as client:
        for path in ("/sim/clock", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 404
