"""How can a tester turn the clock? Set, forward, faster, to rest; and what turns nothing. tests/web/test_desk.py has
who may.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from exchange_made import Exchange

from gateway.web.clock import duration

THEN = datetime(2023, 3, 31, 23, 59, 59, tzinfo=UTC)
CLOSE = timedelta(seconds=20)


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=exchange.gateway.desk())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


async def turned(desk: httpx.AsyncClient, **wish: Any) -> dict[str, Any]:
    answer = await desk.put("/sim/clock", json=wish)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return {**told, "now": datetime.fromisoformat(told["now"])}


async def test_frozen_it_stands_and_run_it_goes_on_from_there(desk: httpx.AsyncClient) -> None:
    frozen = await turned(desk, now=THEN.isoformat(), frozen=True)
    assert (frozen["now"], frozen["speed"], frozen["frozen"]) == (THEN, 0, True)
    assert (await desk.get("/sim/clock")).json() == {"now": THEN.isoformat(), "speed": 0, "frozen": True}
    assert (await turned(desk, forward="PT1S"))["now"] == THEN + timedelta(seconds=1), "it was turned, not woken"
    running = await turned(desk, frozen=False)
    assert (running["speed"], running["frozen"]) == (1, False)
    assert THEN < running["now"] < THEN + CLOSE


async def test_a_set_clock_goes_on_as_fast_as_before(desk: httpx.AsyncClient) -> None:
    await turned(desk, speed=60)
    assert (await turned(desk, now=THEN.isoformat()))["speed"] == 60
    assert (await turned(desk, frozen=False))["speed"] == 1


async def test_forward_and_back(desk: httpx.AsyncClient) -> None:
    await turned(desk, now=THEN.isoformat(), frozen=True)
    assert (await turned(desk, forward="P3DT2H"))["now"] == THEN + timedelta(days=3, hours=2)
    assert (await turned(desk, forward="-PT5M"))["now"] == THEN + timedelta(days=3, hours=1, minutes=55)


WRONG: dict[str, dict[str, Any]] = {
    "nothing": {},
    "an unknown word": {"now": THEN.isoformat(), "loud": 1},
    "both now and forward": {"now": THEN.isoformat(), "forward": "PT1H"},
    "a duration in words": {"forward": "two hours"},
    "a duration without parts": {"forward": "PT"},
    "a number of seconds": {"forward": 7200},
    "beyond the calendar": {"forward": "P999999W"},
    "before the calendar": {"forward": "-P99999D"},
    "backwards": {"speed": -1},
    "too fast": {"speed": 3601},
    "a speed in words": {"speed": "fast"},
    "a speed that is true": {"speed": True},
    "frozen by word": {"frozen": "yes"},
    "frozen and fast": {"frozen": True, "speed": 2},
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_turns_nothing(desk: httpx.AsyncClient, case: str) -> None:
    await turned(desk, now=THEN.isoformat(), frozen=True)
    assert (await desk.put("/sim/clock", json=WRONG[case])).status_code == 400
    assert (await desk.get("/sim/clock")).json()["now"] == THEN.isoformat()


async def test_a_speed_that_is_no_number(desk: httpx.AsyncClient) -> None:
    answer = await desk.put("/sim/clock", content='{"speed": NaN}', headers={"content-type": "application/json"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT2H", 7200), ("P1D", 86400), ("P2W", 1209600), ("P1DT1H1M1.5S", 90061.5), ("-PT5M", -300), ("PT0S", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "2H", "PT2X", "P1Y", "PT-2H", "p1d", "P1D ", None])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)
