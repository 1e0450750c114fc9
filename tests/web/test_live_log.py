"""Is the live log whole under load? Hundreds of rows a second, connections cut again and again, and a pause.

What a browser or a program got is held against the journal, number by number: no gap, no double. With `--soak` for a
minute at 500 calls a second, and then what the desk's process spent on it is measured, too.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import console_made as made
import httpx
import pytest
from browser_made import AtScreen
from desk_made import BROWSER, PASSWORD, AtDesk, open_desk
from exchange_made import Exchange
from playwright.async_api import Page

from gateway.cli.ports import free_port
from gateway.rules.finding import Search, matches
from gateway.stores import journal

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(240)]

ROWS_A_SECOND = 300
SOAK_CALLS_A_SECOND, SOAK_SECONDS = 500, 60
SMALL_CPU = 0.3
"""How much of one core the desk may spend on a minute of it: sealing, counting and one live view together."""


class Cuttable:
    """A wire between a browser and the desk that can be cut: at once, in the middle of whatever goes over it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: set[asyncio.StreamWriter] = set()
        self.cuts = 0

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._carry, "127.0.0.1", 0)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, back}
        try:
            await asyncio.gather(_pour(reader, back), _pour(onward, writer))
        finally:
            self._open -= {writer, back}
            for end in (writer, back):
                end.transport.abort()

    def cut(self) -> None:
        """Everything that goes over it now ends with a reset."""
        self.cuts += bool(self._open)
        for end in list(self._open):
            end.transport.abort()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while part := await source.read(4096):
            sink.write(part)
            await sink.drain()
        sink.close()
    except OSError:
        sink.transport.abort()


@asynccontextmanager
async def wire(screen: AtScreen) -> AsyncIterator[Cuttable]:
    """A wire to the desk of this screen; who opens pages from here on goes over it."""
    straight = screen.base
    cuttable = Cuttable(int(straight.rpartition(":")[2]))
    server = await cuttable.serve()
    screen.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield cuttable
    finally:
        screen.base = straight
        server.close()
        cuttable.cut()


async def traffic(desk: AtDesk, rows_a_second: int, enough: Callable[[int], bool]) -> int:
    """Write rows at an even pace, or as fast as the machine can, until that many are `enough`, and tell the number of
    the last one."""
    loop, batch = asyncio.get_running_loop(), max(1, rows_a_second // 50)
    begun, written, last = loop.time(), 0, 0
    while not enough(written):
        calls = [made.refused() for _ in range(batch)]
        last = (await desk.means.ledger.commit(lambda tx, calls=calls: made.write(tx, calls)))[-1]  # type: ignore[misc]
        written += batch
        await asyncio.sleep(max(0.0, begun + written / rows_a_second - loop.time()))
    return last


# --- a program that follows ------------------------------------------------------------------------------------------


async def logged_in(desk: AtDesk, base: str) -> httpx.AsyncClient:
    http = httpx.AsyncClient(base_url=base, headers=BROWSER, trust_env=False, timeout=10)
    proof = re.search(r'name="csrf" value="([^"]+)"', (await http.get("/login")).text)
    assert proof
    form = {"csrf": proof[1], "name": "test-viewer", "password": PASSWORD, "code": await desk.code("test-viewer")}
    assert (await http.post("/login", data=form, headers={"origin": base})).status_code == 303
    return http


class Follower:
    """Follows as the standard says (WHATWG HTML, 9.2): an event counts when its blank line came, and only then does
    its id count for coming back."""

    def __init__(self, http: httpx.AsyncClient, query: str, start: int) -> None:
        self._http, self._query, self._start = http, query, start
        self.last = start
        self.seen: list[int] = []
        self.times_back = -1

    async def follow(self) -> None:
        """Until cancelled; a connection that is lost is opened again."""
        while True:
            self.times_back += 1
            headers = {"accept": "text/event-stream", "last-event-id": str(self.last)}
            try:
                async with self._http.stream("GET", f"/log/events?after={self._start}{self._query}",
                                             headers=headers) as answer:  # fmt: skip
                    assert answer.status_code == 200
                    await self._read(answer)
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.01)

    async def _read(self, answer: httpx.Response) -> None:
        id, is_line, waiting = None, False, ""
        async for text in answer.aiter_text():
            *whole, waiting = (waiting + text).split("\n")
            for line in whole:
                if line.startswith("id: "):
                    id = int(line[4:])
                is_line = is_line or line == "event: line"
                if line == "" and id is not None:
                    self.seen += [id] if is_line else []
                    self.last, id, is_line = id, None, False


async def reach(follower: Follower, last: int) -> None:
    async with asyncio.timeout(30):
        while follower.last < last:
            await asyncio.sleep(0.02)


async def test_a_follower_that_is_cut_off_again_and_again_misses_nothing_and_sees_nothing_twice(
    screen: AtScreen,
) -> None:
    desk, dice = screen.desk, random.Random(20)
    async with wire(screen) as cuttable:
        http = await logged_in(desk, screen.base)
        start = await desk.means.ledger.read(journal.last)
        all_of_it, some = Follower(http, "", start), Follower(http, "&rule=no-cover", start)
        nothing = Follower(http, "&outcome=failed", start)
        followers = (all_of_it, some, nothing)
        following = [asyncio.create_task(one.follow()) for one in followers]

        def enough(written: int) -> bool:
            return written >= 5 * ROWS_A_SECOND and min(one.times_back for one in followers) >= 10

        writing = asyncio.create_task(traffic(desk, ROWS_A_SECOND, enough))
        while not writing.done():
            await asyncio.sleep(dice.uniform(0.02, 0.3))
            cuttable.cut()
        end = await writing
        for one in followers:
            await reach(one, end)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await http.aclose()
    every = list(range(start + 1, end + 1))
    refused = [kept.seq for kept in await desk.means.ledger.read(lambda tx: journal.tail(tx, start, 100_000))]
    assert refused == every
    assert (all_of_it.seen, some.seen, nothing.seen) == (every, every, [])


# --- a browser that follows ------------------------------------------------------------------------------------------

_NOTE_ROWS = """
  window.rowsSeen = [];
  const note = (added) => {
    for (const one of added) if (one.dataset?.seq) window.rowsSeen.push(Number(one.dataset.seq));
  };
  document.addEventListener("DOMContentLoaded", () => {
    const rows = document.getElementById("log-rows");
    if (!rows) return;
    note([...rows.children].reverse());
    new MutationObserver((all) => { for (const one of all) note(one.addedNodes); }).observe(rows, { childList: true });
  });
"""


async def until(page: Page, told: str) -> None:
    """Ask the page again and again; its policy forbids it to be asked to wait by itself."""
    async with asyncio.timeout(20):
        while not await page.evaluate(told):
            await asyncio.sleep(0.05)


async def test_a_browser_that_is_cut_off_shows_every_row_once_and_can_pause(screen: AtScreen) -> None:
    desk = screen.desk
    await desk.means.ledger.commit(lambda tx: made.write(tx, [made.refused() for _ in range(10)]))
    async with wire(screen) as cuttable:
        page = await screen.open()
        await page.add_init_script(_NOTE_ROWS)
        await screen.log_in(page)
        await page.goto("/log")
        seen_enough = asyncio.Event()
        writing = asyncio.create_task(traffic(desk, ROWS_A_SECOND // 3, lambda _: seen_enough.is_set()))
        for _ in range(3):
            shown = await page.evaluate("window.rowsSeen.length")
            await until(page, f"window.rowsSeen.length > {shown}")
            cuttable.cut()
        shown = await page.evaluate("window.rowsSeen.length")
        await until(page, f"window.rowsSeen.length > {shown}")
        pause = page.locator(".livebar button")
        await pause.click()
        held = await page.evaluate(_TOP)
        await until(page, "/[(][1-9]/.test(document.querySelector('[role=status]').textContent)")
        seen_enough.set()
        end = await writing
        assert await page.evaluate(_TOP) == held, "rows came in while it was paused"
        await pause.click()
        await page.wait_for_selector(f"#log-rows tr[data-seq='{end}']")
        seen = await page.evaluate("window.rowsSeen")
    assert cuttable.cuts >= 3
    assert seen == list(range(1, end + 1))
    wrong = [told for told in screen.said if "ERR_" not in told and "Failed to load" not in told]
    assert wrong == []


_TOP = "[window.rowsSeen.length, document.getElementById('log-rows').rows[0].dataset.seq]"


# --- a minute of it --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def desk_process(exchange: Exchange) -> AsyncIterator[tuple[str, int]]:
    """The program itself serving this exchange's folder: the desk's address, and the desk process's id."""
    settings, port = exchange.gateway.settings, free_port()
    named = ("state_dir", "certificate", "key", "ca", "crl")
    told = {f"SWITCHPOINT_{name.upper()}": str(getattr(settings, name)) for name in named}
    told |= {"SWITCHPOINT_DESK_PORT": str(port), "SWITCHPOINT_EXCHANGE_PORT": str(free_port())}
    serving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--simulation"), env={**os.environ, **told}, stderr=DEVNULL
    )
    base = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as http:
            while not await _is_live(http, base):
                await asyncio.sleep(0.1)
        yield base, next(child for child in _children(serving.pid) if _name(child) == "sp-desk")
    finally:
        serving.terminate()
        await serving.wait()


async def _is_live(http: httpx.AsyncClient, base: str) -> bool:
    try:
        return (await http.get(base + "/health/live")).status_code == 200
    except httpx.TransportError:
        return False


def _children(pid: int) -> list[int]:
    return [int(one) for task in Path(f"/proc/{pid}/task").glob("*/children") for one in task.read_text().split()]


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_a_minute_at_full_load_is_told_whole_and_costs_the_desk_little(exchange: Exchange, soak: bool) -> None:
    calls, seconds = (SOAK_CALLS_A_SECOND, SOAK_SECONDS) if soak else (ROWS_A_SECOND, 4)
    desk = await open_desk(exchange)
    async with desk_process(exchange) as (base, pid):
        http = await logged_in(desk, base)
        start = await desk.means.ledger.read(journal.last)
        follower = Follower(http, "&rule=no-cover", start)
        following = asyncio.create_task(follower.follow())
        await asyncio.sleep(0.5)
        before, began = _cpu_seconds(pid), time.monotonic()
        end = await traffic(desk, calls, lambda written: written >= calls * seconds)
        await reach(follower, end)
        spent, lasted = _cpu_seconds(pid) - before, time.monotonic() - began
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await http.aclose()
    print(f"\n{len(follower.seen)} rows in {lasted:.1f} s: {spent / lasted:.1%} of a core")
    search = Search(reason="no-cover")
    kept = await desk.means.ledger.read(lambda tx: journal.tail(tx, start, 1_000_000))
    assert follower.seen == [one.seq for one in kept if one.seq <= end and matches(search, one.line)]
    assert len(follower.seen) >= calls * seconds
    assert spent / lasted < SMALL_CPU
