"""Does a scenario come out the same in a simulation that runs as in a country of its own, and is it then as before?"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from gateway.cli.ask import PERSONAS, system_from
from gateway.cli.opened import with_means_async
from gateway.cli.place import Misuse
from gateway.cli.scenario import commands
from gateway.cli.staging import Stage, stage
from gateway.flows.means import Means
from gateway.flows.operating import switch_regime
from gateway.rules import regimes
from gateway.rules.exchange import Regime
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event
from gateway.rules.network import Network, RegimeSwitch
from gateway.stores import journal
from source_sim import country as cast
from source_sim import sentinels
from source_sim.requesters import Ask
from source_sim.scenarios import files, playing, reading, telling
from source_sim.scenarios.played import Played
from source_sim.testbed.remote import connect
from source_sim.testbed.share import ACTING
from source_sim.testbed.world import NotOurs

pytestmark = [pytest.mark.xdist_group("by-url"), pytest.mark.timeout(240)]

OF_EVERY_KIND = (
    "after-hours-visit", "crisis-ends-by-itself", "fault-reset", "sixteen-by-now",
    "objection-while-the-report-waits", "her-own-page",
)  # fmt: skip
"""A visit, a regime, a fault, a clock, a message, a page; the rest of the library is played in the wide lane."""
PLANTING = frozenset({"IDX-1", "IDX-2"})
"""What a sentinel's own past shows: in a running simulation it happened before."""
SATURDAY = "2026-11-21T20:00"


def library() -> list[Any]:
    names = [files.name_of(file) for file in files.library()]
    assert set(names) >= set(OF_EVERY_KIND)
    return [
        *OF_EVERY_KIND,
        *(pytest.param(name, marks=pytest.mark.wide) for name in names if name not in OF_EVERY_KIND),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    place = tmp_path_factory.mktemp("visited")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # staging leaves its log files to the collector
        staged = stage(place / ".switchpoint", place / "certs", patients={}, exchange_port=0, desk_port=0, workers=2)
    try:
        yield staged
    finally:
        staged.close()


@pytest.fixture(scope="module")
def running(made: Stage) -> Path:
    return made.state / "running.json"


def within(made: Stage, act: Any) -> Any:
    return asyncio.run(with_means_async(made.settings, act))


def network(made: Stage) -> Network:
    async def look(means: Means) -> Network:
        return await means.live.network()

    found: Network = within(made, look)
    return found


def told(played: Played) -> list[dict[str, Any]]:
    """What came of each step, without how long it took."""
    return [{name: value for name, value in step.came.items() if name != "within"} for step in played.steps]


# --- the library -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", library())
def test_where_it_is_played_makes_no_difference(name: str, made: Stage, running: Path) -> None:
    read = reading.read(files.LIBRARY / f"{name}{files.SUFFIX}")
    here, there = playing.play(read), playing.play(read, playing.by_url(made.desk, running))
    assert there.passed, telling.failure(there)
    assert told(here) == told(there)
    planted = PLANTING if any(one.sentinel for one in read.scenario.given.patients.values()) else frozenset()
    assert here.shown - planted == there.shown - planted


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "gateway", "scenario", "run", *map(str, words)]
    return subprocess.run(run, capture_output=True, text=True, timeout=110)


def test_the_command_plays_in_the_running_simulation(made: Stage, running: Path) -> None:
    played = command("yes-to-the-gp-only", "--url", made.desk, "--running", running, "--json")
    assert (played.returncode, played.stderr) == (0, "")
    assert json.loads(played.stdout)["passed"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--url", "http://127.0.0.1:1"], "is not the simulation"),
        (["--url", "http://127.0.0.1:1", "--live"], "a country of its own"),
        ([], "--running tells of the simulation at --url"),
    ],
    ids=["another address", "both", "no address"],
)
def test_an_address_that_does_not_fit_is_a_mistake(words: list[str], said: str, running: Path) -> None:
    played = CliRunner().invoke(commands, ["run", "yes-to-the-gp-only", *words, "--running", str(running)])
    assert isinstance(played.exception, Misuse)
    assert said in str(played.exception)


def test_nobody_answers_there_any_more(made: Stage, running: Path, tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        desk = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        (tmp_path / "running.json").write_text(json.dumps({**json.loads(running.read_text()), "desk": desk}))
        with pytest.raises(Misuse, match="still running"):
            connect(desk, tmp_path / "running.json")


# --- what is left behind ---------------------------------------------------------------------------------------------


def test_clock_regimes_and_entries_go_back(made: Stage, running: Path) -> None:
    before = network(made)
    with connect(made.desk, running, start="2020-04-18T21:00") as visited:
        visited.regime.on("CRISIS_OPT_IN")
        practice = visited.gp_practice()
        patient = visited.patient(gp=practice)
        assert visited.clock.now.year == 2020
        assert datetime.fromisoformat(httpx.get(f"{made.control}/clock", trust_env=False).json()["now"]).year == 2020
    after = network(made)
    assert (after.clock_offset, after.clock_speed) == (before.clock_offset, before.clock_speed)
    assert after.switches == before.switches
    assert {*after.organisations} > {*before.organisations}
    at = datetime.fromisoformat(httpx.get(f"{made.control}/clock", trust_env=False).json()["now"])
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)

    async def left(means: Means) -> tuple[Any, list[Event]]:
        key = means.keys.patient(Bsn(patient.bsn))
        lines = await means.ledger.read(lambda tx: journal.tail(tx, 0, 100_000, patient=key))
        return await means.index.find(key, None), [kept.line.event for kept in lines]

    entries, events = within(made, left)
    assert entries == ()
    assert events.count(Event.ENTRY_ENDED) == events.count(Event.ENTRY_REGISTERED) > 0


def test_what_an_operator_switched_is_out_of_the_way_meanwhile(made: Stage, running: Path) -> None:
    saturday = datetime.fromisoformat("2026-11-21T20:00:00+01:00")
    theirs = [
        RegimeSwitch(Regime.EMERGENCY_AVAILABLE, True, saturday - timedelta(days=1), "an operator", "it is time"),
        RegimeSwitch(Regime.CRISIS_OPT_IN, True, saturday + timedelta(hours=1), "an operator", "it is time"),
        RegimeSwitch(Regime.EMERGENCY_AVAILABLE, False, saturday + timedelta(hours=2), "an operator", "it is over"),
        RegimeSwitch(Regime.CRISIS_OPT_IN, False, saturday + timedelta(hours=3), "an operator", "it is over"),
    ]

    async def switch(means: Means) -> None:
        for one in theirs:
            await switch_regime(means, one)

    within(made, switch)
    with connect(made.desk, running, start=SATURDAY) as visited:
        for hours in (0, 1.5, 2):
            visited.clock.forward(hours=hours)
            assert visited.regime.active == ("REGULAR",)
        visited.clock.to(SATURDAY)
        visited.regime.on("EMERGENCY_AVAILABLE")
        visited.clock.forward(hours=4)
        assert visited.regime.active == ("EMERGENCY_AVAILABLE", "REGULAR")
    switches = network(made).switches
    assert list(switches[-4:]) == theirs
    at_nine = regimes.active(switches, saturday + timedelta(hours=1.5))
    assert at_nine == {Regime.REGULAR, Regime.EMERGENCY_AVAILABLE, Regime.CRISIS_OPT_IN}


def test_a_killed_visitor_is_tidied_up_after(made: Stage, running: Path) -> None:
    at = datetime.fromisoformat("2026-11-21T20:00:00+01:00")

    async def switch(means: Means) -> None:
        await switch_regime(means, RegimeSwitch(Regime.CRISIS_OPT_IN, True, at, ACTING, "a test"))

    within(made, switch)
    with connect(made.desk, running, start=SATURDAY) as visited:
        assert visited.regime.active == ("REGULAR",)
    assert ACTING not in {one.by for one in network(made).switches}


# --- others are there, too -------------------------------------------------------------------------------------------


def test_no_visitor_meets_what_another_left(made: Stage, running: Path) -> None:
    numbers, places, chains = set[str](), set[str](), list[frozenset[str]]()
    for _ in range(2):
        with connect(made.desk, running, start=SATURDAY) as visited:
            assert len(visited.journal.all) == 0
            practice = visited.gp_practice()
            patient = visited.patient(gp=practice, consents="none")
            assert practice.key == "gp-practice"
            numbers.add(patient.bsn)
            places.add(practice.ura)
            assert visited.gp_post().ask("gp-summary", patient).expect(outcome="neutral", total=0)
            visited.outbox.deliver()
            assert dict(visited.outbox.states) == {}
            patient.no()
            chains.append(frozenset(one.chain for one in visited.journal if one.chain))
    assert len(numbers) == len(places) == 2
    assert chains[0]
    assert not chains[0] & chains[1]
    assert all("999950000" <= number <= "999999999" for number in numbers)


def test_the_transcript_leaves_out_who_else_is_at_work(made: Stage, running: Path) -> None:
    async def another_asks() -> int:
        system = system_from(made.folder(cast.GP_POST))
        try:
            bsn = sentinels.SENTINELS["gp-only"].number
            claims = PERSONAS["gp-post"](datetime.now(UTC))
            return (await system.ask(Ask.GP_SUMMARY, bsn, claims)).status
        finally:
            await system.aclose()

    with connect(made.desk, running) as visited:
        practice, post = visited.gp_practice(), visited.gp_post()
        patient = visited.patient(gp=practice)
        mark = visited.journal.mark
        assert asyncio.run(another_asks()) == 200
        assert [*visited.journal.since(mark)] == []
        post.ask("gp-summary", patient).expect(row="REG-1")
        visited.journal.since(mark).expect(["query-decided REG-1", "disclosed REG-1", "query-answered complete"])


def test_a_sentinel_stays_as_she_is(made: Stage, running: Path) -> None:
    with connect(made.desk, running, start=SATURDAY) as visited:
        patient, post = visited.sentinel("all-open"), visited.gp_post()
        practice = patient.custodians[0]
        for act in (patient.no, lambda: practice.register(patient, "gp-summary"), lambda: patient.withdraw(practice)):
            with pytest.raises(NotOurs):
                act()
        post.ask("gp-summary", patient).expect(sources=["gp-practice"])
        like_her = visited.sentinel("all-open", changing=True)
        post.ask("gp-summary", like_her).expect(sources=["gp-practice"])
        like_her.no()
        post.ask("gp-summary", like_her).expect(total=0)
        post.ask("gp-summary", patient).expect(sources=["gp-practice"])
        assert like_her.bsn != patient.bsn


@pytest.mark.parametrize("visit", ["first", "second"])
def test_a_message_arrives_when_it_is_delivered_and_not_before(visit: str, made: Stage, running: Path) -> None:
    with connect(made.desk, running, start=SATURDAY) as visited:
        practice, post = visited.gp_practice(), visited.gp_post()
        ours, theirs = visited.patient(gp=practice), visited.sentinel("all-open")
        sent, other = post.send_return(ours), post.send_return(theirs)
        time.sleep(1)  # five looks of the exchange at its outbox
        assert (sent.state, practice.inbox) == ("requested", [])
        assert (other.state, theirs.custodians[0].inbox) == ("requested", [])
        assert visited.deliver() >= 1
        assert [message["id"] for message in practice.inbox] == [sent.expect("completed").id]
        assert [message["id"] for message in theirs.custodians[0].inbox] == [other.expect("completed").id]


def test_a_source_of_the_simulation_tells_what_it_wrote_down_of_us(made: Stage, running: Path) -> None:
    with connect(made.desk, running, start=SATURDAY) as visited:
        patient, post = visited.sentinel("gp-only"), visited.gp_post()
        assert patient.custodians[0].log == ()
        post.ask("gp-summary", patient)
        assert [(line.requester, line.rule, line.status) for line in patient.custodians[0].log] == [
            (post.ura, "REG-1", 200)
        ]


def test_two_visitors_do_not_meet(made: Stage, running: Path) -> None:
    held = "import sys, source_sim.testbed.remote as r\nwith r.connect(*sys.argv[1:]):\n    print(1, flush=True)\n"
    script = held + "    sys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", script, made.desk, str(running)], stdin=-1, stdout=-1, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(Misuse, match="somebody else is connected"):
            connect(made.desk, running, patience=0.2)
        other.stdin.close()
        assert other.wait(20) == 0
    connect(made.desk, running).close()
