"""Does every fault of the catalogue fail as it says, over a real socket, switched while the source runs?"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sources_at_hand import (
    AORTA_ID,
    BSN,
    BSN_SYSTEM,
    GATEWAY_URA,
    ISSUER,
    JWKS,
    OTHER_BSN,
    Pki,
    ask,
    call,
    code,
    country,
    gateway,
    search,
    system,
    token,
)

from source_sim.control import control_app
from source_sim.faults import SOMEBODY_ELSE, WHOLE, FaultName, Switchboard, UnknownFault, fault
from source_sim.offered import Kind
from source_sim.sending import SENT
from source_sim.serving import Config
from source_sim.spoiling import BOMB_SIZE, DEPTH, HUGE_SIZE, SPOILED
from source_sim.systems import SimulatedSystem

URA = "90000001"
Check = Callable[[httpx.Response], bool]


def config(pki: Pki, **changed: Any) -> Config:
    entry = pki.entry("pharmacy", URA, **changed)
    whole = {"systems": [entry], "gateway_ura": GATEWAY_URA, "issuer": ISSUER, "jwks": JWKS}
    return msgspec.json.decode(json.dumps(whole), type=Config)


@asynccontextmanager
async def pharmacy(tmp_path: Path, timeout: float = 5.0, **changed: Any) -> Any:
    """A running pharmacy: a client of the control API, a caller with the gateway's certificate, the base."""
    pki = Pki(tmp_path)
    async with country(config(pki, **changed)) as (control, bases), gateway(pki, timeout=timeout) as web:
        yield control, web, bases[URA]


async def switch(control: httpx.AsyncClient, name: str, **more: Any) -> httpx.Response:
    answer = await control.put(f"/systems/{URA}/fault", json={"name": name, **more})
    assert answer.status_code == 200, answer.text
    return answer


def numbers(answer: httpx.Response) -> set[str]:
    return {
        number["value"]
        for entry in answer.json()["entry"]
        for number in entry["resource"].get("identifier", [])
        if number["system"] == BSN_SYSTEM
    }


def repeats(answer: httpx.Response) -> bool:
    names = json.loads(answer.content, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    return len(names) > len(set(names))


def is_cut(answer: httpx.Response) -> bool:
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    return answer.content.startswith(b'{"resourceType":"Bundle"')


def types(answer: httpx.Response) -> set[str]:
    return {entry["resource"]["resourceType"] for entry in answer.json()["entry"]}


SPOILING: list[tuple[FaultName, int, Check]] = [
    (FaultName.REFUSING, 403, lambda answer: code(answer) == "refused"),
    (FaultName.ERROR, 503, lambda answer: answer.json()["resourceType"] == "OperationOutcome"),
    (FaultName.BUSY, 429, lambda answer: code(answer) == "too-many-requests" and "retry-after" not in answer.headers),
    (FaultName.REJECTING, 400, lambda answer: code(answer) == "invalid"),
    (FaultName.EMPTY, 200, lambda answer: answer.json()["total"] == 0 and "entry" not in answer.json()),
    (FaultName.GARBAGE, 200, lambda answer: answer.headers["content-type"] == "text/html" and b"<p>" in answer.content),
    (FaultName.TRUNCATED, 200, is_cut),
    (FaultName.WRONG_PATIENT, 200, lambda answer: numbers(answer) == {SOMEBODY_ELSE}),
    (FaultName.PAGING, 200, lambda answer: [one["relation"] for one in answer.json()["link"]] == ["next"]),
    (FaultName.WITHHELD, 403, lambda answer: code(answer) == "withheld"),
    (FaultName.NO_CONSENT, 403, lambda answer: code(answer) == "no-consent"),
    (FaultName.REDIRECT, 307, lambda answer: answer.headers["location"].endswith("/fhir/Elsewhere/_search")),
    (FaultName.DUPLICATE_KEYS, 200, repeats),
    (FaultName.UNKNOWN_TYPE, 200, lambda answer: "Horoscope" in types(answer) and "Flag" in types(answer)),
    (FaultName.WRONG_TYPE, 200, lambda answer: types(answer) >= {"Basic", "Flag"}),
    (FaultName.HUGE, 200, lambda answer: len(answer.content) > HUGE_SIZE and numbers(answer) == {BSN}),
    (FaultName.DEEP, 200, lambda answer: answer.content.count(b"[") > DEPTH),
    (FaultName.GZIP_BOMB, 200, lambda answer: len(answer.content) > BOMB_SIZE and answer.json()["total"] == 0),
]


def test_the_catalogue_is_whole() -> None:
    judged = {FaultName.STALE, FaultName.CLOCK_SKEW}
    assert {*SPOILED, *SENT, *WHOLE, *judged} == set(FaultName)
    assert {name for name, _, _ in SPOILING} == set(SPOILED)
    assert not set(SPOILED) & set(SENT)


async def test_every_spoiled_reply_is_spoiled_as_told_and_clears(tmp_path: Path) -> None:
    async with pharmacy(tmp_path) as (control, web, base):
        sound = await call(web, base, "Flag")
        for name, status, check in SPOILING:
            await switch(control, name.value)
            answer = await call(web, base, "Flag")
            assert (name, answer.status_code) == (name, status)
            assert check(answer), name
            assert answer.headers["aorta-id"] == AORTA_ID
            await control.delete(f"/systems/{URA}/fault")
            assert (await call(web, base, "Flag")).content == sound.content
        log = (await control.get(f"/systems/{URA}/log")).json()["log"]
    assert numbers(sound) == {BSN}
    told = [(line["fault"], line["status"], line["resources"]) for line in log if line["fault"]]
    delivering = {"wrong-patient", "paging", "unknown-type", "wrong-type"}
    assert told == [(name.value, status, int(name in delivering)) for name, status, _ in SPOILING]


async def test_the_bomb_is_small_on_the_wire(tmp_path: Path) -> None:
    async with pharmacy(tmp_path) as (control, web, base):
        await switch(control, "gzip-bomb")
        headers = {"authorization": f"Bearer {token(now=datetime.now(UTC))}"}
        async with web.stream("POST", f"{base}/Flag/_search", data=search("Flag"), headers=headers) as answer:
            packed = b"".join([part async for part in answer.aiter_raw()])
    assert len(packed) < 100_000
    assert len(gzip.decompress(packed)) > BOMB_SIZE


async def refused(web: httpx.AsyncClient, base: str) -> bool:
    try:
        await call(web, base, "Flag")
    except httpx.ConnectError:
        return True
    return False


async def test_down_refuses_connections_cuts_the_open_ones_and_comes_back_on_the_same_port(tmp_path: Path) -> None:
    async with pharmacy(tmp_path) as (control, web, base):
        before = await call(web, base, "Flag")
        for _ in range(2):
            listing = (await switch(control, "down")).json()
            assert listing["listening"] is False
            assert await refused(web, base)
            await control.delete(f"/systems/{URA}/fault")
            assert (await call(web, base, "Flag")).content == before.content


async def test_going_down_cuts_the_call_that_is_being_answered(tmp_path: Path) -> None:
    async with pharmacy(tmp_path) as (control, web, base):
        await switch(control, "stall")
        waiting = asyncio.create_task(call(web, base, "Flag"))
        while not (await control.get(f"/systems/{URA}/log")).json()["log"]:
            await asyncio.sleep(0.01)
        start = time.monotonic()
        down = asyncio.create_task(switch(control, "down"))
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await waiting
        cut = time.monotonic() - start
        await down
    assert cut < 1


async def test_a_source_can_be_down_from_the_start(tmp_path: Path) -> None:
    async with pharmacy(tmp_path, fault={"name": "down"}) as (control, web, base):
        assert await refused(web, base)
        await switch(control, "empty")
        assert (await call(web, base, "Flag")).json()["total"] == 0


async def test_slow_answers_late_and_whole(tmp_path: Path) -> None:
    async with pharmacy(tmp_path) as (control, web, base):
        await switch(control, "slow", seconds=0.4)
        start = time.monotonic()
        answer = await call(web, base, "Flag")
    assert time.monotonic() - start >= 0.4
    assert numbers(answer) == {BSN}


async def test_reset_breaks_off_in_the_middle_of_the_body(tmp_path: Path) -> None:
    async with pharmacy(tmp_path) as (control, web, base):
        await switch(control, "reset")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await call(web, base, "Flag")
        await control.delete(f"/systems/{URA}/fault")
        assert numbers(await call(web, base, "Flag")) == {BSN}


async def test_stall_sends_headers_and_then_nothing(tmp_path: Path) -> None:
    async with pharmacy(tmp_path, timeout=0.3) as (control, web, base):
        await switch(control, "stall")
        with pytest.raises(httpx.ReadTimeout):
            await call(web, base, "Flag")
        await switch(control, "stall", seconds=0.1)
        assert numbers(await call(web, base, "Flag")) == {BSN}


async def test_a_black_hole_takes_the_question_and_sends_not_a_byte(tmp_path: Path) -> None:
    async with pharmacy(tmp_path, timeout=0.3) as (control, web, base):
        await switch(control, "blackhole")
        with pytest.raises(httpx.ReadTimeout):
            await call(web, base, "Flag")
        await switch(control, "blackhole", seconds=0.1)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await call(web, base, "Flag")
        log = (await control.get(f"/systems/{URA}/log")).json()["log"]
    assert [(line["fault"], line["resources"]) for line in log] == [("blackhole", 1)] * 2


async def test_drip_sends_byte_after_byte(tmp_path: Path) -> None:
    async with pharmacy(tmp_path, patients=[]) as (control, web, base):
        await switch(control, "drip", seconds=0.005)
        start = time.monotonic()
        answer = await call(web, base, "Flag")
    assert answer.json()["total"] == 0
    assert time.monotonic() - start > len(answer.content) * 0.005


async def test_a_caller_who_leaves_a_drip_or_a_stall_ends_it(tmp_path: Path) -> None:
    async with pharmacy(tmp_path, timeout=0.2) as (control, web, base):
        for name in ("drip", "stall", "slow"):
            await switch(control, name, seconds=30)
            with pytest.raises(httpx.ReadTimeout):
                await call(web, base, "Flag")
        start = time.monotonic()
    assert time.monotonic() - start < 1.5


async def test_a_fault_for_one_type_goes_before_the_general_one(tmp_path: Path) -> None:
    async with pharmacy(tmp_path) as (control, web, base):
        await switch(control, "error")
        await switch(control, "empty", type="Flag")
        assert [(await call(web, base, kind)).status_code for kind in ("Flag", "AllergyIntolerance")] == [200, 503]
        await control.delete(f"/systems/{URA}/fault")
        assert (await call(web, base, "AllergyIntolerance")).json()["total"] == 1
        assert (await call(web, base, "Flag")).json()["total"] == 0
        await control.delete(f"/systems/{URA}/fault", params={"type": "Flag"})
        assert (await call(web, base, "Flag")).json()["total"] == 1


async def test_a_fault_can_follow_one_patient(tmp_path: Path) -> None:
    patients = [{"bsn": BSN, "fault": {"name": "withheld"}}, {"bsn": OTHER_BSN}]
    async with pharmacy(tmp_path, patients=patients) as (_, web, base):
        answers = [await call(web, base, "Flag", bsn) for bsn in (BSN, OTHER_BSN)]
    assert [answer.status_code for answer in answers] == [403, 200]


async def test_who_follows_a_redirect_or_a_next_page_is_seen(tmp_path: Path) -> None:
    async with pharmacy(tmp_path) as (control, web, base):
        await switch(control, "redirect")
        target = (await call(web, base, "Flag")).headers["location"]
        await web.post(target)
        log = (await control.get(f"/systems/{URA}/log")).json()["log"]
    assert [line["resource_type"] for line in log] == ["Flag", "Elsewhere"]


async def test_whoever_may_not_ask_meets_no_fault() -> None:
    one = system(Kind.PHARMACY)
    one.faults.switch(fault("empty"))
    assert (await ask(one, "Flag", headers={"authorization": "Bearer x"})).status_code == 401
    assert [line.fault for line in one.log] == [""]


async def test_in_process_a_reset_is_an_error() -> None:
    one = system(Kind.PHARMACY)
    one.faults.switch(fault("reset"))
    with pytest.raises(ConnectionResetError):
        await ask(one, "Flag")


@dataclass
class Steered:
    """A system without a port: counts how often it was told to obey."""

    system: SimulatedSystem
    obeyed: int = 0

    async def obey(self) -> None:
        self.obeyed += 1

    def described(self) -> dict[str, Any]:
        return {"ura": self.system.ura}


Put = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
FAULT = f"/systems/{URA}/fault"


@pytest.mark.parametrize(
    ("send", "status"),
    [
        pytest.param(lambda web: web.put(FAULT, json={"name": "tired"}), 400, id="no-such-fault"),
        pytest.param(lambda web: web.put(FAULT, json={"name": "slow", "seconds": -1}), 400, id="negative-time"),
        pytest.param(lambda web: web.put(FAULT, json={"name": "slow", "seconds": "x"}), 400, id="time-in-letters"),
        pytest.param(lambda web: web.put(FAULT, json={"name": "slow", "loud": 1}), 400, id="unknown-field"),
        pytest.param(lambda web: web.put(FAULT, json=[]), 400, id="a-list"),
        pytest.param(lambda web: web.put(FAULT, json={"name": "empty", "place": "subject"}), 400, id="no-such-place"),
        pytest.param(lambda web: web.put(FAULT, json={"name": "drip", "spread": "normal"}), 400, id="no-such-spread"),
        pytest.param(lambda web: web.put(FAULT, json={"name": "empty", "probability": 2}), 400, id="too-probable"),
        pytest.param(
            lambda web: web.put(FAULT, json={"name": "empty", "call": 0}), 400, id="the-call-before-the-first"
        ),
        pytest.param(lambda web: web.put(FAULT, json={"name": "empty", "patient": "nobody"}), 400, id="no-such-person"),
        pytest.param(lambda web: web.put(FAULT, json={"name": "down", "probability": 0.5}), 400, id="half-down"),
        pytest.param(
            lambda web: web.put(FAULT, json={"name": "clock-skew", "patient": "all-open"}), 400, id="a-clock-for-one"
        ),
        pytest.param(lambda web: web.request("DELETE", FAULT, json={"loud": 1}), 400, id="clears-what"),
        pytest.param(lambda web: web.get("/nothing"), 404, id="nothing-there"),
        pytest.param(lambda web: web.put("/faults", json={}), 405, id="the-catalogue-is-fixed"),
        pytest.param(lambda web: web.put("/clock", json={"now": "soon"}), 400, id="no-time"),
        pytest.param(lambda web: web.put("/clock", json={"now": "2026-01-01T00:00:00"}), 400, id="no-offset"),
        pytest.param(lambda web: web.put("/clock", json={"speed": 2}), 400, id="no-moment"),
        pytest.param(
            lambda web: web.put("/clock", json={"now": "2026-01-01T00:00:00Z", "speed": -1}), 400, id="backwards"
        ),
        pytest.param(lambda web: web.put(FAULT, json={"name": "empty", "type": "Bundle"}), 400, id="not-its-type"),
        pytest.param(lambda web: web.put(FAULT, json={"name": "down", "type": "Flag"}), 400, id="down-for-one-type"),
        pytest.param(lambda web: web.put(FAULT, content=b'{"name":"empty"}'), 415, id="not-declared-as-json"),
        pytest.param(lambda web: web.put("/systems/90000009/fault", json={"name": "empty"}), 404, id="no-such-system"),
        pytest.param(lambda web: web.post(FAULT, json={"name": "empty"}), 405, id="not-a-put"),
        pytest.param(lambda web: web.get("/systems", headers={"host": "evil.example:80"}), 421, id="rebound-name"),
        pytest.param(lambda web: web.get("/systems", headers={"host": "localhost"}), 200, id="this-machine"),
    ],
)
async def test_the_control_api_takes_what_it_knows(send: Put, status: int) -> None:
    steered = Steered(system(Kind.PHARMACY))
    transport = httpx.ASGITransport(control_app({URA: steered}))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9") as control:
        answer = await send(control)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert steered.system.faults.listing() == []
    assert steered.obeyed == 0


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -0.1])
def test_a_fault_takes_a_real_time(seconds: float) -> None:
    with pytest.raises(UnknownFault):
        fault("slow", seconds)
    with pytest.raises(UnknownFault):
        Switchboard().switch(fault("down"), "Flag")


async def test_two_switches_at_once_leave_the_port_as_the_last_one_says(tmp_path: Path) -> None:
    async with pharmacy(tmp_path) as (control, web, base):
        await asyncio.gather(*(switch(control, name) for name in ("down", "empty", "down", "empty")))
        await control.delete(FAULT)
        assert numbers(await call(web, base, "Flag")) == {BSN}
