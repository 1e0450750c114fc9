"""What becomes of messages when the ground shakes? Disk full, ledger locked, clock set back, replies lost, two workers.

Real processes, real sockets. Each test looks at the same in the end: what was acknowledged came into the record once,
or went back to its sender; nothing else did; the books agree.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from mail_country import DESK, EXCHANGE, MailCountry, mail_country, persons, within
from mail_postgres import private_postgres
from mail_processes import Order
from mailroom import SLOW_SECONDS, Manner, Sent

from gateway.rules.message import State
from source_sim.country import GP

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

LEDGERS = [
    pytest.param("sqlite", marks=pytest.mark.xdist_group("mail-troubled-sqlite")),
    # the kills of tests/e2e/test_message_kills.py are on both ledgers in any run
    pytest.param("postgresql", marks=[pytest.mark.xdist_group("mail-troubled-postgresql"), pytest.mark.wide]),
]


@dataclass
class Place:
    """The country, its kind of ledger, a patient of the practice, and what the test sent."""

    country: MailCountry
    kind: str
    ledger_url: str
    patient: str
    token: str
    sent: list[Sent] = field(default_factory=list)

    def letters(self, number: int) -> list[Sent]:
        made = [self.country.letter(self.patient, self.token) for _ in range(number)]
        self.sent += made
        return made

    async def accepted(self, number: int) -> list[Sent]:
        letters = self.letters(number)
        await asyncio.gather(*(self.country.sender.insist(one) for one in letters))
        return letters

    async def attempts(self) -> int:
        """How often this test's messages that wait now have been attempted, all together."""
        ids = {one.id for one in self.sent}
        rows = await self.country.office.means.ledger.read(
            lambda tx: tx.rows("SELECT message_id, attempts FROM outbox WHERE state = 'waiting'")
        )
        return sum(attempts for id, attempts in rows if id in ids)

    async def tried(self, before: int = 0) -> None:
        """Until there was another attempt than the first so many, and what it reached for waits again."""

        async def more() -> bool:
            return await self.attempts() > before

        assert await within(30, more), self.country.told()

    async def all_arrived(self) -> None:
        country = self.country
        await country.settled(seconds=40)
        marks = country.practice.inbox.marks
        assert all(one.acknowledged and len(one.tasks) == 1 for one in self.sent)
        assert {one.mark: marks[one.mark] for one in self.sent} == {one.mark: 1 for one in self.sent}
        counts = await country.counts()
        assert counts.conserved
        assert counts.accepted == len(country.sender.ledger) + len(country.mailbox.inbox.taken)
        assert not country.breaches


@pytest_asyncio.fixture(params=LEDGERS, scope="module", loop_scope="module")
async def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    with ExitStack() as stack:
        url = stack.enter_context(private_postgres()).url if request.param == "postgresql" else ""
        async with mail_country(tmp_path_factory.mktemp("mail"), url) as country:
            patient = persons()[0]
            await country.enrol(patient, GP)
            await country.processes.start(EXCHANGE)
            await country.processes.start(DESK)
            yield Place(country, request.param, url, patient, await country.token(patient))


@pytest_asyncio.fixture(loop_scope="module")
async def place(ground: Place) -> AsyncIterator[Place]:
    """One test's time there; the practice takes again afterwards and the clock is right."""
    ground.sent = []
    yield ground
    ground.country.practice.manner = Manner.TAKE
    await ground.country.practice.open()
    await ground.country.clock_right()


# --- the ledger cannot be written ------------------------------------------------------------------------------------


@asynccontextmanager
async def full_disk(place: Place) -> AsyncIterator[None]:
    """No file of the gateway's processes may grow or be written beyond its first bytes, as on a disk that is full."""
    pids, limit = place.country.processes.alive(), resource.RLIMIT_FSIZE
    before = {pid: resource.prlimit(pid, limit, (4096, resource.RLIM_INFINITY)) for pid in pids}
    try:
        yield
    finally:
        for pid, was in before.items():
            resource.prlimit(pid, limit, was)


_SQLITE_HOLDER = (
    "import sqlite3,sys; d=sqlite3.connect(sys.argv[1],isolation_level=None,timeout=20);"
    "d.execute('BEGIN EXCLUSIVE'); print('held',flush=True); sys.stdin.read()"
)
_POSTGRES_HOLDER = (
    "import psycopg,sys; d=psycopg.connect(sys.argv[1]); d.execute('LOCK TABLE outbox, journal IN EXCLUSIVE MODE');"
    "print('held',flush=True); sys.stdin.read()"
)


@asynccontextmanager
async def held_ledger(place: Place) -> AsyncIterator[None]:
    """Another program sits on the ledger, in the middle of a transaction."""
    sqlite = place.kind == "sqlite"
    where = str(place.country.made.state / "ledger.sqlite") if sqlite else place.ledger_url
    command = [sys.executable, "-c", _SQLITE_HOLDER if sqlite else _POSTGRES_HOLDER, where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
        try:
            yield
        finally:
            holder.kill()


async def _trouble(place: Place) -> None:
    """While it lasts: 503 with Retry-After, readiness false, nothing accepted, nothing posted."""
    inbox = place.country.practice.inbox
    posted = inbox.posts.total()
    for got in await asyncio.gather(*(place.country.sender.hand_in(one) for one in place.letters(2))):
        assert got is not None
        assert got.status_code == 503, got.text
        assert int(got.headers["retry-after"]) > 0
    async with httpx.AsyncClient(base_url=place.country.made.desk, trust_env=False, timeout=10) as desk:

        async def unready() -> bool:
            return (await desk.get("/health/ready")).status_code == 503

        assert await within(2, unready)
        assert (await desk.get("/health/live")).status_code == 200
    assert inbox.posts.total() == posted, "posted, though the attempt could not be written down"


async def _afterwards(place: Place) -> None:
    """Things go on by themselves: senders are heard, what waited is delivered."""
    await asyncio.gather(*(place.country.sender.insist(one) for one in place.sent))
    await place.all_arrived()
    async with httpx.AsyncClient(base_url=place.country.made.desk, trust_env=False, timeout=10) as desk:

        async def ready() -> bool:
            return (await desk.get("/health/ready")).status_code == 200

        assert await within(10, ready)


async def test_a_ledger_that_is_locked_loses_nothing(place: Place) -> None:
    await place.country.practice.close()
    await place.accepted(3)
    await place.tried()
    async with held_ledger(place):
        await place.country.practice.open()
        await _trouble(place)
    await _afterwards(place)


async def test_a_disk_that_is_full_loses_nothing(place: Place) -> None:
    if place.kind != "sqlite":
        pytest.skip("a PostgreSQL server has its own disk; a ledger that cannot be written is tested beside this")
    await place.country.practice.close()
    await place.accepted(3)
    await place.tried()
    async with full_disk(place):
        await place.country.practice.open()
        await _trouble(place)
    await _afterwards(place)


async def test_a_reply_that_comes_while_the_ledger_is_away_is_written_down_when_it_is_back(place: Place) -> None:
    place.country.practice.manner = Manner.SLOW
    (sent,) = await place.accepted(1)

    async def posted() -> bool:
        return bool(place.country.practice.inbox.posts[sent.id])

    assert await within(20, posted), place.country.told()
    async with held_ledger(place):
        await asyncio.sleep(SLOW_SECONDS + 4)
    await place.all_arrived()
    assert place.country.practice.inbox.posts[sent.id] == 1, "posted again, though the reply had come"


# --- time ------------------------------------------------------------------------------------------------------------


async def test_a_clock_set_back_an_hour_stops_no_message(place: Place) -> None:
    await place.country.practice.close()
    await place.accepted(3)
    await place.tried()
    async with httpx.AsyncClient(base_url=place.country.made.desk, trust_env=False, timeout=10) as desk:
        back = await place.country.now() - timedelta(hours=1)
        (await desk.put("/sim/clock", json={"now": back.isoformat()})).raise_for_status()
    # the contact of the token has not begun by that clock: its sender asks for a new one
    place.token = await place.country.token(place.patient)
    await place.accepted(2)
    await place.country.practice.open()
    await place.all_arrived()


async def test_a_practice_that_is_down_all_weekend_has_everything_on_monday(place: Place) -> None:
    country = place.country
    await country.practice.close()
    await place.accepted(3)
    for _ in range(3):
        await country.move_clock(timedelta(hours=20))
        before = await place.attempts()
        # a desk that starts anew has forgotten that the practice does not answer, and tries at once
        await country.processes.start(DESK)
        await place.tried(before)
    await place.accepted(1)
    assert not country.practice.inbox.marks.keys() & {one.mark for one in place.sent}
    task = await country.sender.task(place.sent[0])
    assert task["status"] == "in-progress"
    await country.practice.open()
    await country.move_clock(timedelta(hours=3))
    await place.all_arrived()
    assert all(country.practice.inbox.posts[one.id] == 1 for one in place.sent)


# --- replies and repeats ---------------------------------------------------------------------------------------------


async def test_a_lost_reply_is_asked_for_again_and_the_effect_is_one(place: Place) -> None:
    inbox = place.country.practice.inbox
    place.country.practice.manner = Manner.LOSE_REPLY
    letters = await place.accepted(2)
    await place.tried()
    place.country.practice.manner = Manner.TAKE
    await place.all_arrived()
    assert max(inbox.posts[one.id] for one in letters) >= 2
    tasks = [await place.country.sender.task(one) for one in letters]
    assert {one["status"] for one in tasks} == {"completed"}


async def test_replies_lost_to_the_end_are_an_unknown_outcome_and_the_sender_is_told(place: Place) -> None:
    country = place.country
    told = len(country.mailbox.inbox.taken)
    country.practice.manner = Manner.LOSE_REPLY
    (sent,) = await place.accepted(1)
    await place.tried()
    await country.practice.close()
    unknown = (await country.counts()).of[State.UNKNOWN]
    await country.move_clock(timedelta(days=6))
    await place.all_arrived()
    assert (await country.counts()).of[State.UNKNOWN] == unknown + 1
    task = await country.sender.task(sent)
    assert task["status"] == "failed"
    assert "outcome-unknown" in str(task["statusReason"])
    assert len(country.mailbox.inbox.taken) == told + 1


async def test_the_same_message_twenty_times_at_two_workers_is_one_task(place: Place) -> None:
    country = place.country
    second = await country.processes.another(Order(EXCHANGE))
    assert len(country.processes.alive()) == 3, second
    (sent,) = place.letters(1)
    async with AsyncSenders(country, 20) as clients:
        answers = await asyncio.gather(*(one.post("/fhir/$process-message", content=sent.body,
                                                  headers=_headers(sent)) for one in clients))  # fmt: skip
    assert {one.status_code for one in answers} == {202}, [one.text for one in answers if one.status_code != 202]
    assert len({one.headers["location"] for one in answers}) == 1
    sent.answers += [one.status_code for one in answers]
    sent.tasks |= {one.headers["location"] for one in answers}
    await place.all_arrived()
    assert country.practice.inbox.posts[sent.id] == 1


def _headers(sent: Sent) -> dict[str, str]:
    return {"Authorization": f"Bearer {sent.token}", "Content-Type": "application/fhir+json"}


class AsyncSenders:
    """That many systems of the sender at once, each with a connection of its own, so that both workers are met."""

    def __init__(self, country: MailCountry, number: int) -> None:
        self._clients = [country.sender.connection() for _ in range(number)]

    async def __aenter__(self) -> list[httpx.AsyncClient]:
        with suppress(httpx.TransportError):
            await asyncio.gather(*(one.get("/fhir/metadata") for one in self._clients))
        return self._clients

    async def __aexit__(self, *_: object) -> None:
        for one in self._clients:
            await one.aclose()
