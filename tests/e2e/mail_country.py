"""Where do these messages travel? A small country of our own: one ledger, real gateway processes, our own receivers.

The test process keeps an office in it: a gateway opened on the same ledger, to enrol patients, to move the clock and to
count. What goes over the network goes through the processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from mail_processes import DESK, EXCHANGE, Order
from mailroom import Receiver, Sender, Sent, return_message

from gateway.app import Gateway, open_gateway
from gateway.cli.ask import system_from
from gateway.cli.ports import free_port
from gateway.cli.staging import Stage, issue_all, make_authority, register_all, write_running
from gateway.flows import outbox_acts
from gateway.flows.operating import set_clock
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.message import State
from gateway.settings import Settings
from gateway.stores import enrolments, outbox
from gateway.stores.outbox import Counts
from source_sim import country as cast
from source_sim import population, requesters
from source_sim.country import Participant

PROGRAM = Path(__file__).with_name("mail_processes.py")
KILLED = -signal.SIGKILL


class Processes:
    """The gateway's processes, one of each role at a time unless more are asked for."""

    def __init__(self, nursery: asyncio.subprocess.Process) -> None:
        self._nursery = nursery
        self._started: asyncio.Queue[int] = asyncio.Queue()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._of: dict[str, int] = {}
        self._desks = 0
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self._nursery.stdout is not None
        while line := await self._nursery.stdout.readline():
            news = json.loads(line)
            if "started" in news:
                self._ended[news["started"]] = asyncio.get_running_loop().create_future()
                self._started.put_nowait(news["started"])
            elif "ended" in news:
                self._ended[news["ended"]].set_result(news["code"])

    async def start(self, role: str, point: str = "", nth: int = 1) -> int:
        """A process of this role, which is ended first if one runs. Two desks in a row never agree on the time, so
        that a lease of the one is over for the other: one minute ahead, and back."""
        if role == DESK:
            self._desks += 1
        await self.kill(role)
        return await self.another(Order(role, point, nth, 60.0 * (self._desks % 2) if role == DESK else 0.0))

    def turn_about(self) -> None:
        """From here on the next desk's clock goes the other way: back where it would have gone ahead."""
        self._desks += 1

    async def another(self, order: Order) -> int:
        """One more process of this role."""
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        pid = self._of[order.role] = await self._started.get()
        return pid

    async def kill(self, role: str) -> None:
        pid = self._of.pop(role, None)
        if pid is not None and not self._ended[pid].done():
            with suppress(ProcessLookupError):  # it has ended, and the news of it is under way
                os.kill(pid, signal.SIGKILL)
            await self._ended[pid]

    async def death(self, role: str, *, seconds: float = 20.0) -> int:
        """How the process of this role ended, by itself. Raises TimeoutError when it lives on."""
        return await asyncio.wait_for(asyncio.shield(self._ended[self._of[role]]), seconds)

    def alive(self) -> list[int]:
        return [pid for pid, ended in self._ended.items() if not ended.done()]

    async def end(self) -> list[int]:
        """End all gracefully, as SIGTERM does; returns the exit codes of those that still ran."""
        living = self.alive()
        for pid in living:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        codes = [await asyncio.wait_for(self._ended[pid], 20) for pid in living]
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        await self._nursery.wait()
        await self._listening
        return codes


@dataclass
class MailCountry:
    """A GP practice that takes messages, another that is down, a GP post that sends and has a mailbox of its own."""

    made: Stage = field(repr=False)
    office: Gateway = field(repr=False)
    processes: Processes = field(repr=False)
    practice: Receiver = field(repr=False)
    down: Receiver = field(repr=False)
    mailbox: Receiver = field(repr=False)
    sender: Sender = field(repr=False)
    log: Path
    breaches: list[str] = field(default_factory=list)

    # --- people ------------------------------------------------------------------------------------------------------

    async def enrol(self, bsn: str, practice: Participant, since: date = date(2020, 1, 1)) -> None:
        """The practice's own act, done in the office."""
        keys, at = self.office.means.keys, await self.now()
        told = Ura(practice.ura), ApplicationId(practice.application), since, at
        await self.office.means.ledger.commit(lambda tx: enrolments.enrol(tx, keys.patient(Bsn(bsn)), *told))

    async def token(self, bsn: str) -> str:
        async with system_from(self.made.folder(cast.GP_POST)) as system:
            return await system.token({"patient": bsn, **requesters.gp_post(await self.now())})

    def letter(self, bsn: str, token: str, words: str = "") -> Sent:
        """A new message of the GP post about this patient, entered in its ledger."""
        id, mark = str(uuid4()), uuid4().hex
        body = return_message(cast.GP_POST.ura, bsn, mark, id=id, words=words)
        return self.sender.note(Sent(id, mark, body, token))

    # --- time --------------------------------------------------------------------------------------------------------

    async def now(self) -> datetime:
        live = self.office.means.live
        live.forget()
        return live.domain(await live.network())

    async def move_clock(self, by: timedelta) -> None:
        await set_clock(self.office.means, await self.now() + by, by="a test")

    async def clock_right(self) -> None:
        await set_clock(self.office.means, datetime.now(UTC), by="a test")

    # --- delivery ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def at_rest(self, recipient: Participant) -> AsyncIterator[None]:
        """While nothing is brought to this recipient, and after what was being attempted has ended."""
        told = {"by": "a test", "reason": "at rest"}
        await outbox_acts.stop(self.office.means, Ura(recipient.ura), **told)

        async def nothing_claimed() -> bool:
            return not (await self.counts()).of[State.CLAIMED]

        assert await within(30, nothing_claimed), f"still attempted: {await self.counts()}"
        yield
        await outbox_acts.start(self.office.means, Ura(recipient.ura), **told)

    # --- counting ----------------------------------------------------------------------------------------------------

    async def counts(self) -> Counts:
        return await self.office.means.ledger.read(outbox.counts)

    async def settled(self, *, seconds: float = 30.0) -> Counts:
        """When nothing is on its way any more."""

        async def quiet() -> bool:
            of = (await self.counts()).of
            return not of[State.WAITING] and not of[State.CLAIMED]

        assert await within(seconds, quiet), f"not settled in {seconds} s: {await self.counts()}\n{self.told()}"
        return await self.counts()

    def told(self) -> str:
        return self.log.read_text("utf-8", "replace")[-4000:]

    async def watch(self) -> None:
        """Conservation, looked at all the time: every message ever accepted is in exactly one state."""
        while True:
            counts = await self.counts()
            if not counts.conserved:
                self.breaches.append(str(counts))
            await asyncio.sleep(0.05)


@asynccontextmanager
async def mail_country(place: Path, ledger_url: str = "", **changes: object) -> AsyncIterator[MailCountry]:
    """Staged in `place`; empty `ledger_url` is SQLite. The processes are ordered by the test."""
    made = _staged(place, ledger_url, changes)
    receivers = {one.ura: Receiver(made.folder(one), free_port()) for one in (cast.GP, cast.SECOND_GP, cast.GP_POST)}
    made.endpoints = {ura: one.endpoint for ura, one in receivers.items()}
    await register_all(made)
    write_running(made)
    office = await open_gateway(made.settings)
    processes = Processes(await _nursery(made, place / "gateway.log"))
    sender = Sender(made.folder(cast.GP_POST), made.exchange)
    country = MailCountry(made, office, processes, *receivers.values(), sender, place / "gateway.log")
    watching = asyncio.create_task(country.watch())
    try:
        await country.practice.open()
        await country.mailbox.open()
        yield country
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await sender.aclose()
        codes = await processes.end()
        for receiver in receivers.values():
            await receiver.close()
        await office.close()
    assert not country.breaches, country.breaches[:3]
    assert set(codes) <= {0}, (codes, country.told())


def _staged(place: Path, ledger_url: str, changes: dict[str, object]) -> Stage:
    certs, state = place / "certs", place / "state"
    settings = Settings(
        state_dir=state,
        certificate=certs / "gateway.pem",
        key=certs / "gateway.key",
        ca=certs / "ca.pem",
        crl=certs / "crl.pem",
        exchange_port=free_port(),
        desk_port=free_port(),
        simulation=True,
        token_seconds=3600,
        ledger_url=ledger_url,
        **changes,  # type: ignore[arg-type]
    )
    made = Stage(state, certs, settings, {})
    state.mkdir(parents=True, mode=0o700)
    issue_all(made, make_authority(made))
    return made


async def _nursery(made: Stage, log: Path) -> asyncio.subprocess.Process:
    told = made.state / "settings.json"
    told.write_text(made.settings.model_dump_json(exclude_defaults=True), "utf-8")
    pipe = asyncio.subprocess.PIPE
    nursery = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), str(told), str(log), stdin=pipe, stdout=pipe
    )
    assert nursery.stdout is not None
    assert await nursery.stdout.readline(), "the nursery did not open"
    return nursery


async def within(seconds: float, ready: Callable[[], Awaitable[bool]]) -> bool:
    """Whether `ready()` comes true in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        if await ready():
            return True
        await asyncio.sleep(0.02)
    return False


def persons() -> list[str]:
    return [one.bsn for one in population.persons(date(2026, 1, 1))]


__all__ = ["DESK", "EXCHANGE", "KILLED", "MailCountry", "mail_country", "persons", "within"]
