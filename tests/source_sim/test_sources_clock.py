"""Does the simulated sources' clock go as it is told: from an anchor, at a speed, and for all systems of a process?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from sources_at_hand import GATEWAY_URA, JWKS, Pki, call, country, gateway

from source_sim.clock import FASTEST, BadTime, Clock
from source_sim.serving import Config

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
THEN = datetime(2020, 4, 18, 23, tzinfo=UTC)


class Wall:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def test_a_clock_goes_with_the_wall_until_it_is_turned() -> None:
    wall = Wall()
    clock, shifted = Clock(wall), Clock(wall, THEN)
    wall.now += timedelta(minutes=5)
    assert (clock.now(), shifted.now()) == (wall.now, THEN + timedelta(minutes=5))


@pytest.mark.parametrize("speed", [0.0, 0.5, 1.0, 60.0, FASTEST])
def test_from_where_it_is_turned_it_goes_at_its_speed(speed: float) -> None:
    wall = Wall()
    clock = Clock(wall)
    clock.turn(THEN, speed=speed)
    wall.now += timedelta(seconds=10)
    assert clock.now() == THEN + timedelta(seconds=10) * speed


def test_a_turn_told_late_is_as_good_as_one_told_at_once() -> None:
    wall = Wall()
    clock = Clock(wall)
    wall.now += timedelta(seconds=3)
    clock.obey({"now": THEN.isoformat(), "speed": 60, "wall": NOON.isoformat()})
    assert clock.now() == THEN + timedelta(minutes=3)


@pytest.mark.parametrize(
    "wanted",
    [{}, {"now": 5}, {"now": "soon"}, {"now": "2026-01-01T00:00:00"}, {"now": "2026-01-01T00:00:00Z", "speed": -1},
     {"now": "2026-01-01T00:00:00Z", "speed": "fast"}, {"now": "2026-01-01T00:00:00Z", "loud": 1},
     {"now": "2026-01-01T00:00:00Z", "speed": float("nan")}, {"now": "2026-01-01T00:00:00Z", "wall": "2026-01-01"}],
    ids=["empty", "number", "word", "no-offset", "backwards", "speed-word", "more-words", "no-number", "wall-naive"],
)  # fmt: skip
def test_a_turn_that_makes_no_sense_changes_nothing(wanted: dict[str, object]) -> None:
    clock = Clock(Wall())
    with pytest.raises(BadTime):
        clock.obey(wanted)
    assert (clock.now(), clock.speed) == (NOON, 1.0)


async def test_a_summary_is_dated_by_the_clock_that_was_turned(tmp_path: Path) -> None:
    authority = Pki(tmp_path)
    whole = {"systems": [authority.entry()], "gateway_ura": GATEWAY_URA, "jwks": JWKS}
    config = msgspec.json.decode(json.dumps(whole), type=Config)
    async with country(config) as (control, bases), gateway(authority) as web:
        turned = await control.put("/clock", json={"now": THEN.isoformat(), "speed": 0})
        summary = await call(web, bases["90000001"], "Bundle")
        kept = await control.get("/clock")
    assert turned.json() == kept.json() == {"now": THEN.isoformat(), "speed": 0.0}
    assert _dated(summary) == THEN


def _dated(answer: httpx.Response) -> datetime:
    return datetime.fromisoformat(answer.json()["entry"][0]["resource"]["timestamp"])
