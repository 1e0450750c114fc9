"""Are questions put when they were planned, whatever happened before, and is what came of them told honestly?"""

from __future__ import annotations

import asyncio
import json
import time
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_sim.loading import Call, Came, Heard, heard, percentile, play, report
from source_sim.profiles import PROFILES, QUESTIONS, Arrival, arrivals, factor_at
from source_sim.requesters import OURS, Ask, Reply

POOLS = ((2, ("999900401", "999900413")), (1, ("999900425",)), (1, ()))
GOOD = Heard(Came.PERMITTED, "", (("90000101", "delivered"),))


# --- what is planned -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_asks_as_often_as_it_says_and_by_whom_it_says(name: str) -> None:
    profile = PROFILES[name]
    planned = arrivals(profile, POOLS, seconds=400, seed=1)
    bursts = sum(round(burst.size * profile.rate) for burst in profile.bursts)
    assert len(planned) - bursts == pytest.approx(400 * profile.rate, rel=0.08)
    assert [one.at for one in planned] == sorted(one.at for one in planned)
    assert all(0 <= one.at <= 400 and one.ask in QUESTIONS[one.role] for one in planned)
    assert {one.role for one in planned} == set(profile.roles)
    assert sum(profile.roles.values()) == 100
    assert profile.sentence.endswith(".")


def test_the_same_seed_asks_the_same_and_another_does_not() -> None:
    profile = PROFILES["saturday-night"]
    first, again, other = (arrivals(profile, POOLS, seconds=20, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_rate_scales_bursts_and_all() -> None:
    profile = PROFILES["ambulance-burst"]
    slow, fast = (arrivals(profile, POOLS, seconds=200, seed=1, rate=rate) for rate in (2, 20))
    assert len(fast) == pytest.approx(10 * len(slow), rel=0.15)


def test_a_burst_is_many_at_once() -> None:
    planned = arrivals(PROFILES["ambulance-burst"], POOLS, seconds=100, seed=3)
    rides = [one for one in planned if one.role == "ambulance"]
    within = [one for one in rides if 40 <= one.at <= 42]
    assert len(within) >= 36 > len(rides) - len(within) - 20


def test_new_year_is_loud_after_midnight() -> None:
    planned = arrivals(PROFILES["new-year"], POOLS, seconds=400, seed=1)
    before = sum(one.at < 156 for one in planned) / 156
    after = sum(160 <= one.at < 240 for one in planned) / 80
    assert after > 3 * before


@given(st.floats(0, 1))
def test_a_shape_is_straight_between_its_points(part: float) -> None:
    shape = ((0.0, 1.0), (0.25, 3.0), (1.0, 0.0))
    want = 1 + 8 * part if part <= 0.25 else 4 * (1 - part)
    assert factor_at(shape, part) == pytest.approx(want)


def test_nobody_to_ask_about_is_told() -> None:
    with pytest.raises(ValueError, match="nobody"):
        arrivals(PROFILES["new-year"], ((1, ()), (0, ("999900401",))), seconds=10, seed=1)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_patients_come_as_often_as_their_group_does(seed: int) -> None:
    planned = arrivals(PROFILES["monday-morning"], POOLS, seconds=60, seed=seed)
    third = sum(one.bsn == "999900425" for one in planned) / len(planned)
    assert third == pytest.approx(1 / 3, abs=0.08)


def test_a_patient_is_not_printed() -> None:
    one = arrivals(PROFILES["new-year"], POOLS, seconds=10, seed=1)[0]
    assert one.bsn not in repr(one)


# --- open loop -------------------------------------------------------------------------------------------------------


def _every(step: float, count: int) -> list[Arrival]:
    return [Arrival(step * number, "gp-post", Ask.GP_SUMMARY, "999900401") for number in range(count)]


async def test_a_stalled_exchange_does_not_make_its_load_go_away() -> None:
    """For 0.4 s nothing is answered. Whoever waited for answers before asking on would see one long wait; here all of
    the questions planned meanwhile were asked, and each waited for what was left of the stall."""
    loop = asyncio.get_running_loop()
    began, late = loop.time(), list[float]()

    async def put(arrival: Arrival) -> Heard:
        late.append(loop.time() - began - arrival.at)
        await asyncio.sleep(max(0.0, began + 0.4 - loop.time()))
        return GOOD

    calls = await play(_every(0.02, 20), put)
    assert len(calls) == 20
    assert percentile(sorted(late), 0.9) < 0.1, "asked while the stall lasted"
    waits = sorted(call.waited for call in calls)
    assert sum(wait > 0.1 for wait in waits) >= 13
    assert percentile(waits, 0.5) == pytest.approx(0.2, abs=0.08)


async def test_a_stalled_generator_is_told_and_its_lateness_counts() -> None:
    async def put(arrival: Arrival) -> Heard:
        if arrival.at == 0:
            time.sleep(0.3)
        return GOOD

    calls = await play(_every(0.02, 10), put)
    second = next(call for call in calls if call.arrival.at == pytest.approx(0.02))
    assert second.late > 0.2
    assert second.waited >= second.late
    told = report(calls, busy=0.1)["generator"]
    assert told["kept_up"] is False
    assert told["late"]["max"] > 200


async def test_a_generator_in_time_says_so_and_a_busy_one_does_not() -> None:
    calls = [Call(one, 0.03, 0.001, GOOD) for one in _every(0.01, 5)]
    assert report(calls, busy=0.5)["generator"]["kept_up"] is True
    assert report(calls, busy=0.95)["generator"]["kept_up"] is False


async def test_progress_is_told_for_every_question() -> None:
    told = list[int]()

    async def put(_: Arrival) -> Heard:
        return GOOD

    await play(_every(0.001, 7), put, lambda: told.append(1))
    assert len(told) == 7


# --- what was heard --------------------------------------------------------------------------------------------------


def _source(ura: str) -> list[dict[str, Any]]:
    return [{"url": f"{OURS}StructureDefinition/source", "extension": [{"url": "ura", "valueString": ura}]}]


def _match(ura: str) -> dict[str, Any]:
    return {"extension": _source(ura), "resource": {"resourceType": "Flag"}, "search": {"mode": "match"}}


def _silent(ura: str, code: str) -> dict[str, Any]:
    issue = {"details": {"coding": [{"code": code}]}}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    return {"extension": _source(ura), "resource": outcome, "search": {"mode": "outcome"}}


def _answer(completeness: str, *entries: dict[str, Any]) -> Reply:
    tags = [{"system": f"{OURS}CodeSystem/completeness", "code": completeness}]
    return _reply(200, {"resourceType": "Bundle", "meta": {"tag": tags}, "entry": list(entries)})


def _refusal(status: int, code: str) -> Reply:
    return _reply(status, {"resourceType": "OperationOutcome", "issue": [{"details": {"coding": [{"code": code}]}}]})


def _reply(status: int, body: Any, *others: Reply) -> Reply:
    return Reply(status, httpx.Headers(), body if isinstance(body, bytes) else json.dumps(body).encode(), others)


def _with(reply: Reply, *others: Reply) -> Reply:
    return Reply(reply.status, reply.headers, reply.body, others)


A, B = "90000201", "90000202"


@pytest.mark.parametrize(
    ("reply", "want"),
    [
        pytest.param(_answer("complete", _match(A)), Heard(Came.PERMITTED, "", ((A, "delivered"),)), id="data"),
        pytest.param(_answer("complete"), Heard(Came.NEUTRAL), id="nothing-found"),
        pytest.param(
            _answer("partial", _match(A), _silent(B, "timed-out")),
            Heard(Came.PARTIAL, "", ((A, "delivered"), (B, "timed-out"))),
            id="one-source-silent",
        ),
        pytest.param(_refusal(403, "not-authorised"), Heard(Came.REFUSED, "403 not-authorised"), id="a-bar"),
        pytest.param(_refusal(401, "no-token"), Heard(Came.REFUSED, "401 no-token"), id="no-token"),
        pytest.param(_refusal(503, "overloaded"), Heard(Came.FAILED, "503 overloaded"), id="turned-away"),
        pytest.param(_refusal(504, "timed-out"), Heard(Came.FAILED, "504 timed-out"), id="all-timed-out"),
        pytest.param(_reply(502, b"<html>"), Heard(Came.FAILED, "502"), id="an-error-that-is-no-fhir"),
        pytest.param(_reply(200, b"<html>"), Heard(Came.FAILED, "no FHIR"), id="an-answer-that-is-no-fhir"),
        pytest.param(
            _with(_refusal(503, "overloaded"), _answer("complete", _match(A))),
            Heard(Came.PARTIAL, "503 overloaded", ((A, "delivered"),)),
            id="one-search-of-two",
        ),
        pytest.param(
            _with(_answer("complete"), _answer("complete", _match(A))),
            Heard(Came.PERMITTED, "", ((A, "delivered"),)),
            id="found-by-the-second-search",
        ),
        pytest.param(
            _with(_answer("complete", _match(A)), _answer("partial", _silent(B, "unreachable"))),
            Heard(Came.PARTIAL, "", ((A, "delivered"), (B, "unreachable"))),
            id="the-second-search-partial",
        ),
    ],
)
def test_an_answer_comes_down_to(reply: Reply, want: Heard) -> None:
    assert heard(reply) == want


# --- the report ------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], part: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, part)
    assert found in values
    assert sum(value <= found for value in values) >= part * len(values) - 1e-6
    lower = [value for value in values if value < found]
    assert len(lower) < part * len(values)


def test_nothing_played_reports_nothing() -> None:
    told = report([], busy=0.0)
    assert (told["all"]["count"], told["roles"], told["sources"]) == (0, {}, {})


def test_the_report_is_by_role_and_by_source() -> None:
    post, ride = _every(0.1, 4), [Arrival(0.1, "ambulance", Ask.GP_SUMMARY, "999900401")]
    both = Heard(Came.PARTIAL, "", ((A, "delivered"), (B, "timed-out")))
    calls = [
        *(Call(one, 0.1 * number, 0.0, GOOD) for number, one in enumerate(post[:3], 1)),
        Call(post[3], 4.0, 0.0, both),
        Call(ride[0], 0.05, 0.0, Heard(Came.REFUSED, "403 not-authorised")),
    ]
    told = report(calls, busy=0.2)
    row = told["roles"]["gp-post"]
    assert (row["count"], row["permitted"], row["partial"], row["refused"]) == (4, 3, 1, 0)
    assert (row["p50"], row["p95"], row["p99"], row["max"]) == (200.0, 4000.0, 4000.0, 4000.0)
    assert told["roles"]["ambulance"]["why"] == {"403 not-authorised": 1}
    assert told["all"]["count"] == 5
    assert told["sources"][B] == {"count": 1, "did": {"timed-out": 1}, "p50": 4000.0, "p95": 4000.0, "p99": 4000.0,
                                  "max": 4000.0}  # fmt: skip
    assert told["sources"]["90000101"]["did"] == {"delivered": 3}
    assert json.dumps(told)


def test_times_of_the_steady_process_do_not_repeat() -> None:
    planned = arrivals(PROFILES["monday-morning"], POOLS, seconds=60, seed=1)
    gaps = [after.at - before.at for before, after in pairwise(planned)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert spread / mean > 0.8, "a metronome is no crowd"
