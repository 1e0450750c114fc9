"""Can an operator play a story at the desk? The real desk and the real runner; a country of its own, in a process of
its own. Where only the desk's side counts, who plays is scripted.
"""

from __future__ import annotations

import asyncio
import html
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
import pytest_asyncio
from desk_made import BASE, AtDesk, Visitor, open_desk
from exchange_made import Exchange
from stories_made import STORY, written

from gateway.cli import working
from gateway.cli.scenarios_aside import ScenariosAside
from gateway.web.desk import desk_app
from gateway.web.played import NotPlayed, Otherwise, StepTold, Stories, Story, Theme, Told, Why

PICTURE = '<svg xmlns="http://www.w3.org/2000/svg"/>'
CAME = Told((StepTold(1, "ask by post", "", 10),), (), ("a line",), ("REG-1",), PICTURE, 0.5)


@dataclass
class Scripted:
    """Plays nothing: gives what is told, once `go` is set."""

    comes: Told | NotPlayed = CAME
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)

    async def stories(self) -> tuple[Story, ...]:
        read = [
            Story(name, f"{name}.scenario.yaml", f"Title of {name}", "", Theme.ACCESS, ("REG-1",), f"text {name} <b>")
            for name in ("one", "two")
        ]
        return *read, Story(
            "bad", "bad.scenario.yaml", "bad", "", Theme.UNREADABLE, wrong="bad.scenario.yaml:1: a mistake"
        )

    async def play(self, name: str) -> Told:
        self.asked.append(name)
        await self.go.wait()
        if isinstance(self.comes, NotPlayed):
            raise self.comes
        return self.comes


def at(desk: AtDesk, stories: Stories | None) -> AtDesk:
    """The same desk with these stories."""
    furnished = replace(desk.desk, stories=stories)
    return replace(desk, desk=furnished, app=desk_app(furnished))


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AtDesk:
    return await open_desk(exchange)


@pytest.fixture
def scripted() -> Scripted:
    made = Scripted()
    made.go.set()
    return made


@pytest_asyncio.fixture
async def operator(desk: AtDesk, scripted: Scripted) -> AsyncIterator[Visitor]:
    async with at(desk, scripted).visitor() as visitor:
        yield await visitor.log_in()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("stories"))


@pytest_asyncio.fixture
async def reader(desk: AtDesk, files: Path) -> AsyncIterator[Visitor]:
    """An operator at a desk with these files."""
    async with at(desk, ScenariosAside(files, seconds=90)).visitor() as visitor:
        yield await visitor.log_in()


def shown(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


# --- really played ---------------------------------------------------------------------------------------------------


async def test_a_story_is_played_in_a_country_of_its_own(desk: AtDesk, reader: Visitor) -> None:
    before = len(await desk.lines())
    await reader.get("/scenarios/as-told")
    came = await reader.post("/scenarios/as-told")
    assert (came.status_code, came.headers["location"]) == (303, "/scenarios/as-told")
    page = (await reader.get("/scenarios/as-told")).text
    for told in ("as told", "Played by test-operator", "ask by post, for carla, what gp-summary", "query-answered"):
        assert told in shown(page), told
    assert "otherwise than told" not in shown(page)
    assert not re.search(r"(?<![0-9])9999[0-9]{5}(?![0-9])", page)
    assert 'src="/scenarios/as-told/diagram.svg"' in page
    after = len(await desk.lines())
    assert after == before, "the running exchange was told nothing"


async def test_the_file_can_be_copied_as_it_is(reader: Visitor) -> None:
    page = (await reader.get("/scenarios/as-told")).text
    found = re.search(r'<pre id="scenario-text"[^>]*>(.*?)</pre>', page, re.S)
    assert found
    assert html.unescape(found[1]) == STORY


async def test_what_came_otherwise_is_told_with_its_line(reader: Visitor) -> None:
    await reader.post("/scenarios/otherwise")
    page = shown((await reader.get("/scenarios/otherwise")).text)
    assert "Differences: 1." in page
    assert "otherwise.scenario.yaml:11 then: {completeness: complete, row: REG-2}" in page
    assert re.search(r"Expected REG-2 Came REG-1", page)


async def test_the_diagram_is_a_file_of_its_own(reader: Visitor) -> None:
    assert (await reader.get("/scenarios/as-told/diagram.svg")).status_code == 404, "not played yet"
    await reader.post("/scenarios/as-told")
    came = await reader.get("/scenarios/as-told/diagram.svg")
    assert came.headers["content-type"].partition(";")[0] == "image/svg+xml"
    assert came.headers["content-disposition"] == 'attachment; filename="as-told.svg"'
    assert came.headers["x-content-type-options"] == "nosniff"
    assert came.headers["cache-control"] == "no-store"
    assert "img-src 'self'" in came.headers["content-security-policy"]
    assert ElementTree.fromstring(came.text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<script" not in came.text


@pytest.mark.parametrize(("name", "line"), [("no-scenario", 5), ("no-yaml", 1)])
async def test_a_file_that_cannot_be_read_is_told_with_its_line(
    reader: Visitor, files: Path, name: str, line: int
) -> None:
    assert f"{name} – ✕ unreadable" in shown((await reader.get("/scenarios")).text)
    pages = [await reader.get(f"/scenarios/{name}"), await reader.post(f"/scenarios/{name}")]
    assert [page.status_code for page in pages] == [200, 422]
    for page in pages:
        assert f"{name}.scenario.yaml:{line}: " in shown(page.text)
        assert str(files) not in page.text
        assert "Traceback" not in page.text
        assert f'action="/scenarios/{name}"' not in page.text


# --- the library -----------------------------------------------------------------------------------------------------

FILTERS = {
    "": ["as-told", "otherwise", "no-scenario", "no-yaml"],
    "?q=reg-2": ["otherwise"],
    "?q=SUMMARY+carla": ["as-told", "otherwise", "no-scenario"],
    "?q=carla+elsewhere": [],
    "?theme=unreadable": ["no-scenario", "no-yaml"],
    "?theme=access&q=reg-2": ["otherwise"],
    "?theme=nonsense": [],
}


@pytest.mark.parametrize("asked", FILTERS)
async def test_stories_are_found_by_words_and_theme(reader: Visitor, asked: str) -> None:
    page = (await reader.get(f"/scenarios{asked}")).text
    assert re.findall(r'<th [^>]*><a href="/scenarios/([^"]+)"', page) == FILTERS[asked]
    assert f"Found: {len(FILTERS[asked])}" in page


async def test_too_long_a_question_is_refused(operator: Visitor) -> None:
    assert (await operator.get(f"/scenarios?q={'x' * 201}")).status_code == 400


async def test_what_a_file_says_is_text_on_the_page(operator: Visitor) -> None:
    page = (await operator.get("/scenarios/one")).text
    assert "text one &lt;b&gt;" in page
    assert "text one <b>" not in page


# --- who may, and when -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", ["three", "One", "..%2Fone", "one.scenario.yaml"])
async def test_a_story_that_is_not_there(operator: Visitor, scripted: Scripted, method: str, name: str) -> None:
    assert (await getattr(operator, method)(f"/scenarios/{name}")).status_code == 404
    assert scripted.asked == []


async def test_who_may_only_look_sees_what_another_played(desk: AtDesk, scripted: Scripted) -> None:
    here = at(desk, scripted)
    async with here.visitor() as viewer, here.visitor() as operator:
        await viewer.log_in("test-viewer")
        assert 'method="post"' not in (await viewer.get("/scenarios/one")).text.partition("<main")[2]
        assert 'method="post"' not in (await viewer.get("/scenarios")).text.partition("<main")[2]
        assert (await viewer.post("/scenarios/one")).status_code == 403
        assert scripted.asked == []
        await operator.log_in()
        await operator.post("/scenarios/one")
        assert "Played by test-operator" in shown((await viewer.get("/scenarios/one")).text)
        assert (await viewer.get("/scenarios/one/diagram.svg")).text == PICTURE


async def test_a_stranger_and_a_patient_see_nothing(desk: AtDesk, scripted: Scripted) -> None:
    async with at(desk, scripted).visitor() as visitor:
        for path in ("/scenarios", "/scenarios/one", "/scenarios/one/diagram.svg"):
            assert (await visitor.get(path)).headers["location"].startswith("/login")
        assert (await visitor.post("/scenarios/one", proof="")).status_code == 403
        await visitor.log_in_patient()
        for path in ("/scenarios", "/scenarios/one", "/scenarios/one/diagram.svg"):
            assert (await visitor.get(path)).status_code == 403
        assert (await visitor.post("/scenarios/one")).status_code == 403
    assert scripted.asked == []


@pytest.mark.parametrize(
    ("proof", "headers"),
    [("", {}), ("A" * 32, {}), (None, {"origin": "https://evil.test"})],
    ids=["no", "false", "far"],
)
async def test_a_foreign_form_plays_nothing(
    operator: Visitor, scripted: Scripted, proof: str | None, headers: dict[str, str]
) -> None:
    assert (await operator.post("/scenarios/one", proof=proof, headers=headers)).status_code == 403
    assert scripted.asked == []


async def test_one_at_a_time(desk: AtDesk, scripted: Scripted) -> None:
    scripted.go.clear()
    here = at(desk, scripted)
    async with here.visitor() as first, here.visitor() as second:
        await first.log_in()
        await second.log_in("test-reviewer")
        playing = asyncio.create_task(first.post("/scenarios/one"))
        while not scripted.asked:
            await asyncio.sleep(0)
        refused = await asyncio.wait_for(second.post("/scenarios/two"), 10)
        assert refused.status_code == 409
        assert "Another scenario is being played" in refused.text
        assert (await second.get("/scenarios")).status_code == 200, "meanwhile the desk answers"
        scripted.go.set()
        assert (await playing).status_code == 303
        assert (await second.post("/scenarios/two")).status_code == 303
    assert scripted.asked == ["one", "two"]


async def test_what_cannot_be_read_is_not_tried(operator: Visitor, scripted: Scripted) -> None:
    came = await operator.post("/scenarios/bad")
    assert (came.status_code, "bad.scenario.yaml:1: a mistake" in came.text) == (422, True)
    assert scripted.asked == []


FAILURES = {
    "too long": (NotPlayed(Why.TOO_LONG), 504, "took too long"),
    "broken": (NotPlayed(Why.BROKEN), 500, "playing itself broke"),
    "unreadable": (NotPlayed(Why.UNREADABLE, "one.scenario.yaml:3: a mistake"), 422, "one.scenario.yaml:3: a mistake"),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_after_a_failure_the_next_may_play(operator: Visitor, scripted: Scripted, case: str) -> None:
    scripted.comes, status, told = FAILURES[case]
    came = await operator.post("/scenarios/one")
    assert (came.status_code, told in shown(came.text)) == (status, True)
    assert "Traceback" not in came.text
    scripted.comes = CAME
    assert (await operator.post("/scenarios/one")).status_code == 303


async def test_a_later_failure_leaves_what_came_before(operator: Visitor, scripted: Scripted) -> None:
    await operator.post("/scenarios/one")
    scripted.comes = NotPlayed(Why.TOO_LONG)
    came = await operator.post("/scenarios/one")
    assert "Played by test-operator" in shown(came.text)


async def test_what_came_otherwise_in_the_end_is_told(operator: Visitor, scripted: Scripted) -> None:
    scripted.comes = replace(CAME, finally_=(Otherwise(1, "inboxes", "1 <i>", "0", "because\nof this"),))
    await operator.post("/scenarios/one")
    page = (await operator.get("/scenarios/one")).text
    assert "1 &lt;i&gt;" in page
    assert "In the end one.scenario.yaml:1 text one <b> What inboxes Expected 1 <i> Came 0 Because because" in shown(
        page
    ).replace("&lt;", "<")


async def test_playing_is_no_act_the_journal_knows(desk: AtDesk, operator: Visitor) -> None:
    before = len(await desk.lines())
    await operator.post("/scenarios/one")
    assert len(await desk.lines()) == before


@pytest.mark.parametrize(("simulation", "status"), [(True, 303), (False, 404)], ids=["simulation", "no-simulation"])
async def test_the_desk_that_is_served_has_stories(exchange: Exchange, simulation: bool, status: int) -> None:
    settings = exchange.gateway.settings.model_copy(update={"simulation": simulation})
    with socket.socket() as unused:
        served: Any = working._desk_server(replace(exchange.gateway, settings=settings), unused).config.app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url=BASE) as client:
        assert (await client.get("/scenarios", headers={"accept": "text/html"})).status_code == status


@pytest.mark.parametrize("simulation", [True, False], ids=["no-stories", "no-simulation"])
async def test_elsewhere_there_is_no_page(exchange: Exchange, scripted: Scripted, simulation: bool) -> None:
    desk = at(await open_desk(exchange, simulation=simulation), None if simulation else scripted)
    assert not [path for path in desk.desk.pages.offered if path.startswith("/scenarios")]
    async with desk.visitor() as visitor:
        await visitor.log_in()
        assert (await visitor.get("/scenarios")).status_code == 404
        assert "/scenarios" not in visitor.page
