"""Does the desk hand a tester's wish to the sources, and nothing else to anybody else? A control API on a real port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from exchange_made import Exchange

from source_sim.admission import Gate, KnownKeys
from source_sim.clock import Clock
from source_sim.control import control_app
from source_sim.faults import FaultName
from source_sim.offered import Kind
from source_sim.serving import Listener
from source_sim.systems import SimulatedSystem

URA = "90000201"


class Steered:
    """A pharmacy without a port."""

    def __init__(self) -> None:
        gate = Gate("400201", KnownKeys({}), lambda: datetime.now(UTC))
        self.system = SimulatedSystem(
            Kind.PHARMACY, URA, "Test Apotheek", "https://ph.test/fhir", gate, lambda _bsn: None, self.today
        )

    def today(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC)

    async def obey(self) -> None:
        pass

    def described(self) -> dict[str, Any]:
        return {"ura": URA, "name": "Test Apotheek", "faults": self.system.faults.listing()}


class Sources:
    """The process of sources, as far as the desk can see it."""

    def __init__(self) -> None:
        self.pharmacy, self.clock, self.asked = Steered(), Clock(lambda: datetime.now(UTC)), list[str]()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        steered = control_app({URA: self.pharmacy}, self.clock)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.asked.append(f"{scope['method']} {scope['path']}")
            await steered(scope, receive, send)

        listener = Listener("127.0.0.1", 0)
        await listener.open(app, {})
        try:
            yield f"http://127.0.0.1:{listener.port}"
        finally:
            await listener.close(abruptly=True)
            listener.release()


@pytest_asyncio.fixture
async def sources(exchange: Exchange) -> AsyncIterator[Sources]:
    made = Sources()
    async with made.listening() as address:
        tell(exchange, address)
        yield made


def tell(exchange: Exchange, control: object) -> None:
    """What staging writes down for the desk."""
    (exchange.gateway.settings.state_dir / "running.json").write_text(json.dumps({"control": control}))


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=exchange.gateway.desk())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


async def put(desk: httpx.AsyncClient, **wish: Any) -> httpx.Response:
    return await desk.put("/sim/faults", json={"source": URA, **wish})


async def test_the_catalogue_and_what_is_switched_on(desk: httpx.AsyncClient, sources: Sources) -> None:
    assert (await put(desk, name="slow", seconds=2, spread="normal", seed=5, leg="Flag")).status_code == 200
    told = (await desk.get("/sim/faults")).json()
    assert [one["name"] for one in told["faults"]] == [name.value for name in FaultName]
    ((one,),) = [system["faults"] for system in told["systems"]]
    assert (one["name"], one["leg"], one["seconds"], one["spread"], one["seed"]) == ("slow", "Flag", 2, "normal", 5)


async def test_a_fault_is_switched_on_for_one_person_and_off_again(desk: httpx.AsyncClient, sources: Sources) -> None:
    faults = sources.pharmacy.system.faults
    await put(desk, name="error")
    await put(desk, name="wrong-patient", place="second", patient="all-open")
    assert [one["patient"] for one in faults.listing()] == [None, "all-open"]
    gone = await desk.request("DELETE", "/sim/faults", json={"source": URA, "patient": "all-open"})
    assert (gone.status_code, [one["name"] for one in faults.listing()]) == (200, ["error"])
    await put(desk, name="busy", leg="Flag")
    assert (await desk.request("DELETE", "/sim/faults", json={})).status_code == 200
    assert faults.listing() == []


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"source": URA, "name": "tired"}, "not a fault"),
        ({"source": URA, "name": "slow", "loud": 1}, "a fault has"),
        ({"source": "../clock", "name": "slow"}, "eight digits"),
        ({"source": 90000201, "name": "slow"}, "eight digits"),
        ({"name": "slow"}, "eight digits"),
        ([], "send"),
        ({"source": URA, "name": "x" * 5000}, "fewer words"),
    ],
    ids=["unknown", "more-words", "a-path", "a-number", "no-source", "a-list", "much"],
)
async def test_a_wish_that_makes_no_sense(desk: httpx.AsyncClient, sources: Sources, wish: object, why: str) -> None:
    answer = await desk.put("/sim/faults", json=wish)
    assert (answer.status_code, why in answer.json()["error"]) == (400, True)
    assert set(sources.asked) <= {f"PUT /systems/{URA}/fault"}
    assert sources.pharmacy.system.faults.listing() == []


async def test_an_unknown_source_is_told(desk: httpx.AsyncClient, sources: Sources) -> None:
    answer = await desk.put("/sim/faults", json={"source": "90000999", "name": "slow"})
    assert (answer.status_code, answer.json()) == (404, {"error": "no such system"})


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("host", ["desk.test", "127.0.0.1.desk.test:8080", ""])
async def test_faults_are_for_this_machine_only(
    desk: httpx.AsyncClient, sources: Sources, method: str, host: str
) -> None:
    answer = await desk.request(method, "/sim/faults", json={"source": URA, "name": "slow"}, headers={"host": host})
    assert (answer.status_code, sources.asked) == (403, [])


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_no_form_of_another_site_switches_anything(
    desk: httpx.AsyncClient, sources: Sources, method: str
) -> None:
    body = json.dumps({"source": URA, "name": "slow"})
    answer = await desk.request(method, "/sim/faults", content=body, headers={"content-type": "text/plain"})
    assert (answer.status_code, sources.asked) == (415, [])


async def test_outside_a_simulation_there_are_no_faults(exchange: Exchange, sources: Sources) -> None:
    app = replace(exchange.gateway, settings=exchange.gateway.settings.model_copy(update={"simulation": False})).desk()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost:8080") as client:
        assert (await client.get("/sim/faults")).status_code == 404
        assert (await client.put("/sim/faults", json={"source": URA, "name": "slow"})).status_code == 404
    assert sources.asked == []


@pytest.mark.parametrize(
    "control",
    ["http://192.0.2.1:80", "https://127.0.0.1:1", "file:///etc/hosts", "http://127.0.0.1.desk.test", "", 5, None],
    ids=["elsewhere", "https", "file", "a-name", "empty", "number", "null"],
)
async def test_the_desk_calls_this_machine_and_nobody_else(
    desk: httpx.AsyncClient, exchange: Exchange, control: object
) -> None:
    tell(exchange, control)
    answer = await put(desk, name="slow")
    assert (answer.status_code, answer.json()["error"]) == (503, "no simulated sources are steered from here")


async def test_a_redirect_is_not_followed(desk: httpx.AsyncClient, exchange: Exchange) -> None:
    asked = list[str]()

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        headers = [(b"location", b"/stolen"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    listener = Listener("127.0.0.1", 0)
    await listener.open(elsewhere, {})
    try:
        tell(exchange, f"http://127.0.0.1:{listener.port}")
        await put(desk, name="slow")
    finally:
        await listener.close(abruptly=True)
        listener.release()
    assert asked == [f"/systems/{URA}/fault"]


async def test_sources_that_are_gone_are_told(desk: httpx.AsyncClient, exchange: Exchange) -> None:
    async with Sources().listening() as address:
        tell(exchange, address)
    assert (await put(desk, name="slow")).json() == {"error": "the simulated sources do not answer"}


# --- the clock they follow -------------------------------------------------------------------------------------------

CLOSE = timedelta(seconds=2)


async def test_the_sources_clock_follows_every_turn(desk: httpx.AsyncClient, sources: Sources) -> None:
    for wish in ({"now": "2020-04-18T23:00:00Z"}, {"forward": "P1DT2H"}, {"speed": 60}, {"frozen": True}):
        told = (await desk.put("/sim/clock", json=wish)).json()
        assert told["sources"] == "follow"
        assert (told["speed"], told["frozen"]) == (sources.clock.speed, sources.clock.speed == 0)
        exact = (await desk.get("/sim/clock")).json()
        assert abs(datetime.fromisoformat(exact["now"]) - sources.clock.now()) < CLOSE * max(1, sources.clock.speed)
    assert datetime.fromisoformat(exact["now"]) == sources.clock.now(), "both stand still at the same moment"


async def test_without_sources_the_clock_turns_all_the_same(desk: httpx.AsyncClient) -> None:
    told = (await desk.put("/sim/clock", json={"now": "2020-04-18T23:00:00Z", "frozen": True})).json()
    assert told == {"now": "2020-04-18T23:00:00+00:00", "speed": 0, "frozen": True, "sources": "not reached"}
