"""Is the routing log whole: every page of every filter, and every line as it happens, over real sockets?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import console_made as made
import httpx
import pytest
import pytest_asyncio
import uvicorn
from desk_made import BROWSER, PASSWORD, AtDesk, Visitor, open_desk
from exchange_made import Exchange

from gateway.stores import journal
from gateway.web import console_log


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AtDesk:
    return await open_desk(exchange)


@pytest_asyncio.fixture
async def viewer(desk: AtDesk) -> AsyncIterator[Visitor]:
    async with desk.visitor() as visitor:
        yield await visitor.log_in("test-viewer")


async def write(desk: AtDesk, *calls: made.Made) -> list[int]:
    return await desk.means.ledger.commit(lambda tx: made.write(tx, calls))


def numbers(page: str) -> list[int]:
    return [int(one) for one in re.findall(r'data-seq="(\d+)"', page)]


# --- pages -----------------------------------------------------------------------------------------------------------


async def test_pages_follow_each_other_without_gap_or_double(desk: AtDesk, viewer: Visitor) -> None:
    await write(desk, *(made.refused() for _ in range(130)))
    newest = await desk.means.ledger.read(journal.last)
    seen: list[int] = []
    path: str | None = "/log"
    while path:
        page = (await viewer.get(path)).text
        seen += numbers(page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        path = older[1].replace("&amp;", "&") if older else None
    assert seen == list(range(newest, 0, -1))


TIMED_OUT = made.leg("90000201", "timed-out", 4000.0)
FILTERED = {
    "the chain": "chain={chain}",
    "the requester's number": "organisation=90000401",
    "the requester's name": "organisation=test+90000401",
    "the kind": "kind=hospital",
    "the category": "category=medication",
    "the outcome": "outcome=partial",
    "the source": "source=90000201",
    "the failing leg": "failing=timed-out",
    "several at once": "kind=hospital&failing=timed-out&outcome=partial",
}


@pytest.mark.parametrize("case", FILTERED)
async def test_a_filter_finds_the_lines_and_no_others(desk: AtDesk, viewer: Visitor, case: str) -> None:
    hospital = {"organisation": "90000401", "organisation_type": "V4", "organisation_name": "Test Hospital"}
    wanted = made.answered([made.leg(), TIMED_OUT], completeness="partial", who=hospital)
    for one in wanted.lines:
        object.__setattr__(one, "fields", {**one.fields, "category": "medication"})
    await write(desk, made.refused(), wanted, made.answered([made.leg()]))
    page = (await viewer.get("/log?" + FILTERED[case].format(chain=wanted.chain))).text
    links = set(re.findall(r'href="/calls/([^"]+)"', page))
    assert links == {wanted.chain}


async def test_the_filters_stay_in_every_link(desk: AtDesk, viewer: Visitor) -> None:
    await write(desk, *(made.refused() for _ in range(60)))
    page = (await viewer.get("/log?rule=no-cover&kind=gp-post")).text
    assert 'href="/log?kind=gp-post&amp;rule=no-cover"' in page
    assert re.search(r'rel="next" href="/log\?kind=gp-post&amp;rule=no-cover&amp;before=\d+"', page)
    assert 'data-live="/log/events?kind=gp-post&amp;rule=no-cover"' in page
    assert '<option value="no-cover" selected>' in page


@pytest.mark.parametrize("before", ["0", "-1", "x", str(2**63), "1.5"])
async def test_a_page_that_cannot_be_is_refused(viewer: Visitor, before: str) -> None:
    assert (await viewer.get("/log", params={"before": before})).status_code == 400


async def test_an_older_page_is_not_live(desk: AtDesk, viewer: Visitor) -> None:
    await write(desk, made.refused())
    assert "data-live" not in (await viewer.get("/log?before=2")).text
    assert "data-live" in (await viewer.get("/log")).text


async def test_a_name_with_a_script_comes_as_text(desk: AtDesk, viewer: Visitor) -> None:
    evil = "<script>alert(1)</script>\n\ndata: <b>"
    await write(desk, made.answered([], who={"organisation_name": evil}))
    page = (await viewer.get("/log")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


# --- live ------------------------------------------------------------------------------------------------------------


@dataclass
class Event:
    id: int = 0
    name: str = ""
    data: list[str] = field(default_factory=list)


async def events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """Events as the standard reads them: one without data only moves the last id."""
    now = Event()
    async for text in lines:
        if text == "":
            yield now
            now = Event()
        elif text.startswith("id: "):
            now.id = int(text[4:])
        elif text.startswith("event: "):
            now.name = text[7:]
        elif text.startswith("data: "):
            now.data.append(text[6:])


@asynccontextmanager
async def served(desk: AtDesk) -> AsyncIterator[httpx.AsyncClient]:
    """The desk on a real socket, and a browser that sits there."""
    config = uvicorn.Config(desk.app, port=0, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, headers=BROWSER, trust_env=False, timeout=10) as http:
        await _log_in(desk, http, base)
        yield http
    server.should_exit = True
    await serving


async def _log_in(desk: AtDesk, http: httpx.AsyncClient, base: str) -> None:
    page = (await http.get("/login")).text
    proof = re.search(r'name="csrf" value="([^"]+)"', page)
    assert proof
    form = {"csrf": proof[1], "name": "test-viewer", "password": PASSWORD, "code": await desk.code("test-viewer")}
    assert (await http.post("/login", data=form, headers={"origin": base})).status_code == 303


@asynccontextmanager
async def listening(
    http: httpx.AsyncClient, query: str, last: int | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    headers = {"accept": "text/event-stream", **({} if last is None else {"last-event-id": str(last)})}
    async with http.stream("GET", "/log/events?" + query, headers=headers) as answer:
        assert answer.status_code == 200, answer.status_code
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield events(answer.aiter_lines())


async def lines_until(stream: AsyncIterator[Event], last: int) -> list[int]:
    """The numbers of the lines that came, until the stream is as far as `last`."""
    seen: list[int] = []
    async with asyncio.timeout(10):
        async for event in stream:
            if event.name == "line":
                seen.append(event.id)
            if event.id >= last:
                return seen
    raise AssertionError("the stream ended")


async def test_lines_come_as_they_happen_each_once_and_across_a_lost_connection(desk: AtDesk) -> None:
    async with served(desk) as http:
        start = await desk.means.ledger.read(journal.last)
        seen: list[int] = []

        async def traffic() -> int:
            written: list[int] = []
            for _ in range(60):
                written = await write(desk, *(made.refused() for _ in range(10)))
                await asyncio.sleep(0.005)
            return written[-1]

        writing = asyncio.create_task(traffic())
        for upto in (start + 100, start + 250, start + 400):
            last = seen[-1] if seen else None
            async with listening(http, f"after={start}", last) as stream:
                seen += await lines_until(stream, upto)
        end = await writing
        async with listening(http, f"after={start}", seen[-1]) as stream:
            seen += await lines_until(stream, end)
    assert end == start + 600
    assert seen == list(range(start + 1, end + 1))


async def test_a_filtered_stream_brings_its_lines_only_and_still_gets_ahead(desk: AtDesk) -> None:
    async with served(desk) as http:
        start = await desk.means.ledger.read(journal.last)
        async with listening(http, f"after={start}&outcome=permitted") as stream:
            await write(desk, *(made.refused() for _ in range(5)))
            permitted = made.answered([made.leg()])
            (_, wanted) = await write(desk, permitted)
            others = await write(desk, *(made.refused() for _ in range(5)))
            assert await lines_until(stream, others[-1]) == [wanted]


async def test_a_row_is_one_event_whatever_a_name_holds(desk: AtDesk) -> None:
    evil = "A\r\n\r\nevent: line\ndata: <script>alert(1)</script>\n\nid: 99999\n"
    async with served(desk) as http:
        start = await desk.means.ledger.read(journal.last)
        async with listening(http, f"after={start}") as stream:
            written = await write(desk, made.answered([], who={"organisation_name": evil}))
            got = []
            async with asyncio.timeout(10):
                async for event in stream:
                    got += [event] if event.name else []
                    if event.id >= written[-1]:
                        break
    assert [event.id for event in got] == written
    assert all("<script>" not in part for event in got for part in event.data)
    assert all(event.data[0].startswith("<tr") and event.data[-1].endswith("</tr>") for event in got)


async def test_a_stream_ends_when_its_operator_has_left(desk: AtDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_log, "_PATIENCE_SECONDS", 0.2)
    async with served(desk) as http:
        async with listening(http, "after=0") as stream:
            page = (await http.get("/log")).text
            proof = re.search(r'name="csrf" value="([^"]+)"', page)
            assert proof
            left = await http.post(
                "/logout", data={"csrf": proof[1]}, headers={"origin": str(http.base_url).rstrip("/")}
            )
            assert left.status_code == 303
            async with asyncio.timeout(5):
                async for _ in stream:
                    pass
        assert (await http.get("/log/events?after=0", headers={"accept": "text/event-stream"})).status_code == 401


async def test_more_streams_than_there_is_room_for_are_told_to_come_back(
    desk: AtDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_log, "MOST_STREAMS", 1)
    async with served(desk) as http:
        async with listening(http, "after=0"):
            full = await http.get("/log/events?after=0", headers={"accept": "text/event-stream"})
            assert (full.status_code, full.headers["retry-after"]) == (503, "10")
        async with asyncio.timeout(5):
            while True:
                try:
                    async with listening(http, "after=0"):
                        return
                except AssertionError:
                    await asyncio.sleep(0.05)


def following() -> int:
    """How many look-outs are at work in this process."""
    coroutines = (task.get_coro() for task in asyncio.all_tasks())
    return sum(getattr(one, "__qualname__", "").endswith("_follow") for one in coroutines)


async def test_the_journal_is_followed_from_the_first_look_and_no_longer_than_the_desk(desk: AtDesk) -> None:
    async with served(desk) as browser:
        assert following() == 0, "nobody looks, nobody counts"
        for page in ("/", "/log"):
            assert (await browser.get(page)).status_code == 200
            assert following() == 1
    assert following() == 0


WRONG = {
    "no place to begin": ("", {}),
    "a place that is none": ("after=x", {}),
    "a negative place": ("after=-1", {}),
    "a last id that is none": ("after=0", {"last-event-id": "1; DROP"}),
    "a last id beyond all": ("after=0", {"last-event-id": "9" * 40}),
    "a filter that means nothing": ("after=0&kind=hairdresser", {}),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_stream_that_cannot_be_is_refused(viewer: Visitor, case: str) -> None:
    query, headers = WRONG[case]
    answer = await viewer.get(f"/log/events?{query}", headers={"accept": "text/event-stream", **headers})
    assert answer.status_code == 400
