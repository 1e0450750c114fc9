"""Does a whole country travel in time together? Two workers, the sources' process and the command line, one clock.

And are faults switched at the desk and by command what the sources then do?
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from program import Run
from running_country import Visit, within

from source_sim.country import GP, GP_POST, PHARMACY
from source_sim.requesters import Ask, contact

pytestmark = pytest.mark.xdist_group("country")


async def turn(visit: Visit, **wish: Any) -> dict[str, Any]:
    answer = await visit.desk.put("/sim/clock", json=wish)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@asynccontextmanager
async def back_to_today(visit: Visit) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await turn(visit, now=datetime.now(UTC).isoformat(), frozen=False)


async def test_a_frozen_country_writes_every_line_at_the_same_moment(visit: Visit) -> None:
    """On connections of their own the questions reach both workers; a line of any other moment would tell one that had
    not seen the clock stop."""
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    async with back_to_today(visit):
        now = await visit.now() + timedelta(minutes=3)
        assert (await turn(visit, now=now.isoformat(), frozen=True))["sources"] == "follow"
        chains = [str(uuid4()) for _ in range(12)]
        replies = [await visit.ask("gp-post", Ask.GP_SUMMARY, bsn, chain=one, system=visit.another(GP_POST))
                   for one in chains]  # fmt: skip
        stamps = {kept.line.at for one in chains for kept in visit.country.chain(one)}
        clock = (await visit.control.get("/clock")).json()
    assert stamps == {now}
    assert datetime.fromisoformat(clock["now"]) == now
    dated = {reply.matches[0]["timestamp"] for reply in replies}
    assert {datetime.fromisoformat(one).replace(microsecond=0) for one in dated} == {now.replace(microsecond=0)}


async def test_at_a_speed_a_contact_is_too_old_within_a_second(visit: Visit) -> None:
    """The contact ended 71 hours ago: at an hour in a second it is two seconds until nobody may ask any more."""
    bsn, now = visit.country.patient(), await visit.now()
    await visit.enter(GP, bsn, "gp-summary")
    ended = contact("visit", now - timedelta(hours=72), end=now - timedelta(hours=71))
    token = await visit.token(bsn, contact=ended)
    async with back_to_today(visit):
        assert (await visit.search(bsn, token)).status == 200
        await turn(visit, speed=3600)
        assert await within(20, lambda: _reached(visit, now + timedelta(hours=2)))
        late = await visit.search(bsn, token)
    assert (late.status, late.code) == (403, "no-treatment-relation")


async def _reached(visit: Visit, moment: datetime) -> bool:
    return await visit.now() >= moment


async def test_the_clock_by_command(visit: Visit, run: Run) -> None:
    async with back_to_today(visit):
        there = ("--running", visit.country.running, "--json")
        then = json.loads((run("clock", "set", "2023-03-31T23:59:59", *there)).out)
        assert datetime.fromisoformat(then["now"]).astimezone(UTC).hour == 21, "Dutch time, in summer"
        assert json.loads(run("clock", "freeze", *there).out)["frozen"] is True
        stood = json.loads(run("clock", "forward", "P1D", *there).out)["now"]
        assert json.loads(run("clock", "show", *there).out) == {"now": stood, "speed": 0.0, "frozen": True}
        assert "stands still" in run("clock", "show", "--running", visit.country.running).out
        assert json.loads(run("clock", "speed", "60", *there).out)["speed"] == 60
        assert json.loads(run("clock", "run", *there).out)["speed"] == 1
        wrong = run("clock", "set", "soon", *there)
        assert (wrong.code, "2023-03-31T23:59:59" in wrong.err) == (2, True)
        assert run("clock", "speed", "9999", *there).code == 2


async def test_a_fault_by_command(visit: Visit, run: Run) -> None:
    bsn, there = visit.country.patient(), ("--running", visit.country.running)
    await visit.enter(PHARMACY, bsn, "medication")
    try:
        told = run("fault", "set", "pharmacy", "withheld", "--leg", "MedicationRequest", *there)
        assert (told.code, "withheld" in told.out) == (0, True)
        reply = await visit.ask("gp-post", Ask.MEDICATION, bsn)
        said = {(one.code, one.ura) for part in (reply, *reply.others) for one in part.outcomes}
        assert said == {("withheld", PHARMACY.ura)}
        listed = json.loads(run("fault", "list", "--json", *there).out)
        (system,) = [one for one in listed["systems"] if one["ura"] == PHARMACY.ura]
        assert [(one["leg"], one["met"]) for one in system["faults"]] == [("MedicationRequest", 1)]
        assert "Withheld" not in run("fault", "list", *there).err
    finally:
        assert run("fault", "clear", *there).code == 0
    whole = await visit.ask("gp-post", Ask.MEDICATION, bsn)
    assert not [one for part in (whole, *whole.others) for one in part.outcomes]
    for wrong in (("set", "pharmacy", "tired"), ("set", "nowhere", "slow"), ("clear", "--leg", "Flag")):
        assert run("fault", *wrong, *there).code == 2
