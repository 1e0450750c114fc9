"""Does nobody notice a restart, and does it always come to an end? Real processes, replaced under load and while stuck.

Source: promises about restarts: no request fails, and the end comes within fifteen seconds whoever is still connected.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from processes import children_of, name_of
from raw_wire import Wire, ping, search
from running_country import Country, Visit, tls_of, within

from gateway.cli.ports import free_port
from gateway.cli.staging import _environment
from source_sim.country import GP, GP_POST

pytestmark = [pytest.mark.xdist_group("rough-country"), pytest.mark.timeout(900)]

KEEPING, COMING = 6, 4
"""Clients that keep their connection, and clients that come on a new one every time."""
CALLS, SOAK_CALLS = 300, 20_000
PAUSE = 0.03
"""Seconds a client waits before it asks again, unless it is to be as hard as can be."""
END_SECONDS = 15.0


@dataclass
class Asking:
    """Clients that ask again and again, each one thing at a time, and what came."""

    country: Country
    bsn: str
    token: str
    pause: float
    came: Counter[str] = field(default_factory=Counter)
    over: bool = False

    async def keep(self) -> None:
        """Until it is over, on one connection, as long as the exchange does not say that it will close it."""
        while not self.over:
            wire = await self._wire()
            while await self._one(wire, close=False) and not self.over:
                pass
            await wire.close()

    async def come(self) -> None:
        while not self.over:
            wire = await self._wire()
            await self._one(wire, close=True)
            await wire.close()

    async def _wire(self) -> Wire:
        return await Wire.open(tls_of(self.country.made.folder(GP_POST)), self.country.made.settings.exchange_port)

    async def _one(self, wire: Wire, *, close: bool) -> bool:
        """Ask once; whether the connection stays."""
        await wire.send(search(self.bsn, self.token, str(uuid4()), close=close))
        head = (await wire.reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        body = await wire.reader.readexactly(int(length.partition(b":")[2]))
        whole = head.split(b" ")[1] == b"200" and b'"total":1' in body and b"fullUrl" in body
        self.came["whole" if whole else f"{head.split(b' ')[1]!r}"] += 1
        await asyncio.sleep(self.pause)
        return b"connection: close" not in head


async def asking(visit: Visit, pause: float) -> Asking:
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    return Asking(visit.country, bsn, await visit.token(bsn, system=visit.another(GP_POST)), pause)


def served_by(country: Country) -> set[int]:
    """Workers and desk."""
    return {pid for pid in children_of(country.made.processes[-1].pid) if name_of(pid)}


@pytest.mark.parametrize("how", ["SIGHUP to all", "SIGTERM to each worker"])
async def test_nobody_notices_that_processes_are_replaced(visit: Visit, how: str, soak: bool) -> None:
    load, parent = await asking(visit, 0.0 if soak else PAUSE), visit.country.made.processes[-1].pid
    clients = [asyncio.create_task(load.keep()) for _ in range(KEEPING)]
    clients += [asyncio.create_task(load.come()) for _ in range(COMING)]
    rounds = 0
    while sum(load.came.values()) < (SOAK_CALLS if soak else CALLS) or not rounds:
        rounds += 1
        if soak and rounds % 5 == 0:  # a token lasts a minute
            load.token = await visit.token(load.bsn, system=visit.another(GP_POST))
        before = served_by(visit.country)
        if how == "SIGHUP to all":
            os.kill(parent, signal.SIGHUP)
            assert await within(20, partial(_replaced, visit.country, before)), named(visit.country, before)
        else:
            for worker in visit.country.workers():
                os.kill(worker, signal.SIGTERM)
                assert await within(20, partial(_replaced, visit.country, {worker})), named(visit.country, {worker})
    load.over = True
    came = await asyncio.gather(*clients, return_exceptions=True)
    assert [one for one in came if one is not None] == []
    assert set(load.came) == {"whole"}, load.came
    assert all(not client.cancelled() for client in clients)


def named(country: Country, before: set[int]) -> str:
    told = sorted(f"{name_of(pid)}{' (old)' if pid in before else ''}" for pid in served_by(country))
    return f"still there: {told}"


async def _replaced(country: Country, gone: set[int]) -> bool:
    now = served_by(country)
    return len(now) == 3 and not now & gone


@dataclass
class Served:
    """A gateway by itself with the country's certificates; it knows nobody, only its processes are of interest."""

    process: subprocess.Popen[bytes]
    port: int


def served(country: Country, place: Path, state: Path | None = None) -> Served:
    settings = country.made.settings.model_copy(
        update={"state_dir": state or place, "exchange_port": free_port(), "desk_port": free_port()}
    )
    command = [sys.executable, "-m", "gateway", "serve", "--workers", "2"]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **_environment(settings)}, stdout=log, stderr=log)
    return Served(process, settings.exchange_port)


async def answers(country: Country, port: int) -> bool:
    try:
        wire = await Wire.open(tls_of(country.made.folder(GP_POST)), port)
    except OSError:
        return False
    await wire.send(ping())
    status, _ = await wire.answer()
    await wire.close()
    return 200 <= status < 500


async def test_it_ends_in_time_whoever_is_still_connected(visit: Visit, tmp_path: Path) -> None:
    """50 each: before the handshake, idle after it, in the middle of a head, in the middle of a body."""
    country, here = visit.country, served(visit.country, tmp_path)
    silent: list[socket.socket] = []
    stuck: list[Wire] = []
    try:
        assert await within(30, partial(answers, country, here.port))
        children = children_of(here.process.pid)
        assert Counter(map(name_of, children)) == {"sp-exchange": 2, "sp-desk": 1}
        tls = tls_of(country.made.folder(GP_POST))
        silent += [socket.create_connection(("127.0.0.1", here.port)) for _ in range(50)]
        stuck += [await Wire.open(tls, here.port) for _ in range(150)]
        begun = (b"", b"POST /fhir/Bundle/_search HT", search(country.patient(), "x", "y")[:-5])
        for number, wire in enumerate(stuck):
            await wire.send(begun[number % 3])
        began = time.monotonic()
        here.process.send_signal(signal.SIGTERM)
        assert await within(END_SECONDS + 5, partial(_ended, here.process))
        print(f"\nended after {time.monotonic() - began:.1f} s")
        assert time.monotonic() - began <= END_SECONDS
        assert here.process.returncode == 0
        assert [pid for pid in children if name_of(pid).startswith("sp-")] == []
    finally:
        here.process.kill()
        here.process.wait()
        for one in silent:
            one.close()
        for wire in stuck:
            wire.writer.transport.abort()
        await asyncio.gather(*(wire.close() for wire in stuck))


async def _ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


async def test_asked_to_end_while_it_begins_it_ends(visit: Visit, tmp_path: Path) -> None:
    for number, wait in enumerate((0.4, 0.9, 1.1)):
        (place := tmp_path / str(number)).mkdir()
        here = served(visit.country, place)
        await asyncio.sleep(wait)
        here.process.send_signal(signal.SIGTERM)
        assert await within(END_SECONDS, partial(_ended, here.process))


async def test_killed_workers_are_followed_at_once(visit: Visit) -> None:
    """Two seconds with no worker, on a machine with others at work; the first time it takes a fifth of one."""
    gone = visit.country.workers()
    for worker in gone:
        os.kill(worker, signal.SIGKILL)
    assert await within(2, partial(_replaced, visit.country, gone)), named(visit.country, gone)
    assert await within(5, partial(answers, visit.country, visit.country.made.settings.exchange_port))


async def test_what_lets_no_worker_begin_is_told_in_a_line_each_and_given_up(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("this is no folder")
    here = served(visit.country, tmp_path, state=tmp_path / "state" / "of")
    assert await within(30, partial(_ended, here.process))
    *lines, last = (tmp_path / "log").read_text("utf-8").splitlines()
    assert (here.process.returncode, last) == (2, "switchpoint: the workers keep dying; see the log above")
    told = {(one["level"], one["event"], one["why"]) for one in map(json.loads, lines)}
    assert told == {("critical", "worker-cannot-serve", f"[Errno 20] Not a directory: '{tmp_path}/state/of'")}


async def test_a_parent_that_is_killed_leaves_its_ports_to_the_next(visit: Visit, tmp_path: Path) -> None:
    country, here = visit.country, served(visit.country, tmp_path)
    assert await within(30, partial(answers, country, here.port))
    children = children_of(here.process.pid)
    here.process.kill()
    assert await within(END_SECONDS, partial(_gone, children))
    with socket.create_server(("127.0.0.1", here.port)):
        assert here.process.wait() == -signal.SIGKILL


async def _gone(pids: list[int]) -> bool:
    return not any(map(name_of, pids))
