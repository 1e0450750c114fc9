"""Does accepted mean that it arrives, whenever a process dies? SIGKILL at every named point of a message's way.

The senders' ledgers against the inboxes, on both ledgers: nothing acknowledged is lost, nothing comes into a record
twice. Real processes, real sockets, mutual TLS; one country per ledger sees all the kills.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio
from mail_country import DESK, EXCHANGE, KILLED, MailCountry, mail_country, persons
from mail_postgres import private_postgres
from mail_processes import POINTS, role_at
from mailroom import Sent

from gateway.rules.message import State
from source_sim.country import GP, SECOND_GP

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

KILLS, SOAK_KILLS = 3, math.ceil(2000 / len(POINTS))
BATCH = 4
EXPIRY = timedelta(days=6)

LEDGERS = [
    pytest.param("sqlite", marks=pytest.mark.xdist_group("mail-kills-sqlite")),
    pytest.param("postgresql", marks=pytest.mark.xdist_group("mail-kills-postgresql")),
]


@dataclass
class Matrix:
    """A country, a patient of the practice that takes and one of the practice that is down, and dice."""

    country: MailCountry
    patient: str
    token: str
    elsewhere: str
    token_elsewhere: str
    dice: random.Random

    def letters(self) -> list[Sent]:
        return [self.country.letter(self.patient, self.token) for _ in range(BATCH)]

    def letters_elsewhere(self) -> list[Sent]:
        return [self.country.letter(self.elsewhere, self.token_elsewhere) for _ in range(BATCH)]


@pytest_asyncio.fixture(params=LEDGERS, scope="module", loop_scope="module")
async def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    with ExitStack() as stack:
        url = stack.enter_context(private_postgres()).url if request.param == "postgresql" else ""
        async with mail_country(tmp_path_factory.mktemp("mail"), url) as country:
            patient, elsewhere = persons()[:2]
            await country.enrol(patient, GP)
            await country.enrol(elsewhere, SECOND_GP)
            await country.processes.start(EXCHANGE)
            tokens = await country.token(patient), await country.token(elsewhere)
            await country.processes.start(DESK)
            yield Matrix(country, patient, tokens[0], elsewhere, tokens[1], random.Random(20))


@pytest.fixture
def kills(soak: bool) -> int:
    return SOAK_KILLS if soak else KILLS


@pytest.mark.parametrize("point", [one for one in POINTS if role_at(one) == EXCHANGE])
async def test_a_worker_killed_on_the_way_to_202_loses_and_doubles_nothing(
    matrix: Matrix, point: str, kills: int
) -> None:
    country = matrix.country
    for _ in range(kills):
        batch = matrix.letters()
        await country.processes.start(EXCHANGE, point, nth=matrix.dice.randint(1, BATCH))
        handing_in = asyncio.gather(*(country.sender.insist(one) for one in batch))
        assert await country.processes.death(EXCHANGE) == KILLED
        assert not all(one.acknowledged for one in batch), "the kill hit nothing"
        await country.processes.start(EXCHANGE)
        await handing_in
        await country.settled()
        await arrived(matrix, batch, posts=1)
    await books_agree(matrix)


@pytest.mark.parametrize("point", ["claim", "unseal", "post", "reply", "mark"])
async def test_a_desk_killed_while_delivering_loses_and_doubles_nothing(matrix: Matrix, point: str, kills: int) -> None:
    country = matrix.country
    for _ in range(kills):
        batch, nth = matrix.letters(), 1 if point == "claim" else matrix.dice.randint(1, BATCH - 1)
        await country.processes.kill(DESK)
        await asyncio.gather(*(country.sender.insist(one) for one in batch))
        await country.processes.start(DESK, point, nth)
        assert await country.processes.death(DESK) == KILLED
        await country.processes.start(DESK)
        await country.settled()
        await arrived(matrix, batch, posts=2)
        country.processes.turn_about()
    await books_agree(matrix)


async def test_a_desk_killed_when_messages_expire_tells_their_sender_once(matrix: Matrix, kills: int) -> None:
    country = matrix.country
    for _ in range(kills):
        batch = matrix.letters_elsewhere()
        await asyncio.gather(*(country.sender.insist(one) for one in batch))
        async with country.at_rest(SECOND_GP):  # a kill during an attempt is another matter: its outcome is unknown
            await country.processes.start(DESK, "expire")
            await country.move_clock(EXPIRY)
            assert await country.processes.death(DESK) == KILLED
            await country.processes.start(DESK)
            await country.settled()
        await came_back(matrix, batch)
        await country.clock_right()
    await books_agree(matrix)


async def test_killed_at_any_moment_nothing_is_lost_and_nothing_doubled(matrix: Matrix, soak: bool) -> None:
    country, dice = matrix.country, matrix.dice
    for _ in range(SOAK_KILLS if soak else 2 * KILLS):
        batch, role = [*matrix.letters(), *matrix.letters()], dice.choice([EXCHANGE, DESK])
        pid = await country.processes.start(role)
        handing_in = asyncio.gather(*(country.sender.insist(one) for one in batch))
        await asyncio.sleep(dice.uniform(0.0, 0.4))
        os.kill(pid, signal.SIGKILL)
        await country.processes.start(role)
        await handing_in
        await country.settled()
        await arrived(matrix, batch, posts=2)
    await books_agree(matrix)


async def arrived(matrix: Matrix, batch: Sequence[Sent], *, posts: int) -> None:
    """Each came into the record once; posted again only when a kill may have hidden that it had arrived."""
    inbox = matrix.country.practice.inbox
    marks = inbox.marks
    for sent in batch:
        assert len(sent.tasks) == 1, f"one message, {len(sent.tasks)} Tasks: {sent.answers}"
        assert marks[sent.mark] == 1, f"accepted, and {marks[sent.mark]} times in the record: {sent.answers}"
        assert 1 <= inbox.posts[sent.id] <= posts, f"posted {inbox.posts[sent.id]} times"
    task = await matrix.country.sender.task(matrix.dice.choice(batch))
    assert task["status"] == "completed", task


async def came_back(matrix: Matrix, batch: Sequence[Sent]) -> None:
    """Each ended as failed: its Task says so, and its sender's mailbox got one message about it."""
    told = str(matrix.country.mailbox.inbox.of("undeliverable"))
    for sent in batch:
        task = await matrix.country.sender.task(sent)
        assert (task["status"], "expired" in str(task["statusReason"])) == ("failed", True), task
        assert told.count(sent.id) >= 1, "its sender was not told"
    assert not matrix.country.down.inbox.posts


async def books_agree(matrix: Matrix) -> None:
    """Over everything so far: what senders were told 202 for is what came in or came back, and nothing else did."""
    country = matrix.country
    sent = list(country.sender.ledger.values())
    away = [one for one in sent if one.token == matrix.token_elsewhere]
    here = {one.mark for one in sent if one.acknowledged} - {one.mark for one in away}
    marks, mailbox = country.practice.inbox.marks, country.mailbox.inbox
    assert all(one.acknowledged for one in sent)
    assert not here - marks.keys(), f"{len(here - marks.keys())} lost"
    assert not marks.keys() - here, f"{len(marks.keys() - here)} of nobody"
    assert set(marks.values()) <= {1}, f"{sum(1 for times in marks.values() if times > 1)} taken twice"
    assert len(mailbox.of("undeliverable")) == len(mailbox.taken) == len(away)
    counts = await country.counts()
    assert counts.accepted == len(sent) + len(away), "accepted more or fewer than the senders handed in"
    assert counts.of[State.DELIVERED] == len(here) + len(away)
    assert counts.of[State.FAILED] == len(away)
    assert counts.conserved
    assert not country.breaches
