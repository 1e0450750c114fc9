"""Can everybody use every page when a country's week stands on it? axe, small screens, keyboard, both languages.

One story, one browser and one sitting per person serve all tests here: pages are looked at, never changed, except by
the journeys at the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import page_faults
import pytest
import pytest_asyncio
from browser_made import AtScreen, at_screen
from demo_visited import ARGUMENTS, CHROMIUM, need_browser
from exchange_made import open_exchange
from fastapi.routing import APIRoute
from playwright.async_api import Browser, Page, async_playwright
from story_country import ENROLMENT_ALERT, Story, in_trouble, told

from gateway.flows import outbox_look
from gateway.rules.alerts import Alert
from gateway.rules.message import State
from gateway.web import desk as desk_module
from source_sim.pki import Pki

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("story")]

STRANGER, OPERATOR, PATIENT, CHILD, TROUBLED = "stranger", "operator", "patient", "child", "troubled"

PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "/login": (STRANGER, ("/login",)),
    "/digid": (STRANGER, ("/digid",)),
    "/": (OPERATOR, ("/",)),
    "/log": (OPERATOR, ("/log?outcome=partial", "/log", "/log?organisation=nobody&chain=none")),
    "/calls/{initial}": (
        OPERATOR,
        tuple(f"/calls/{{{shows}}}" for shows in ("partial-timed-out", "mandate", "refused", "dropped", "presumed")),
    ),
    "/regimes": (OPERATOR, ("/regimes",)),
    "/regimes/stop/{regime}": (OPERATOR, ("/regimes/stop/EMERGENCY_AVAILABLE",)),
    "/review": (OPERATOR, ("/review", "/review?closed=true")),
    "/review/{line}": (OPERATOR, ("/review/{case}",)),
    "/messages": (OPERATOR, ("/messages", "/messages?state=parked")),
    "/messages/{id}": (OPERATOR, ("/messages/{message-outcome-unknown}", "/messages/{message-parked}")),
    "/participants": (OPERATOR, ("/participants",)),
    "/participants/{ura}": (OPERATOR, ("/participants/90000302", "/participants/90000102")),
    "/alerts": (OPERATOR, ("/alerts",)),
    "/scenarios": (OPERATOR, ("/scenarios", "/scenarios?theme=messages&q=weekend")),
    "/scenarios/{name}": (OPERATOR, ("/scenarios/after-hours-visit",)),
    "/mine": (PATIENT, ("/mine", "/mine?subject=technical", "/mine?since=2031-01-01")),
    "/mine/print": (PATIENT, ("/mine/print",)),
    "/mine/known": (PATIENT, ("/mine/known",)),
    "/mine/choices": (PATIENT, ("/mine/choices", "/mine/choices?ended=saved")),
    "/mine/notices": (PATIENT, ("/mine/notices",)),
}
"""Every page of the desk: who looks at it, and at what; names in braces are the story's."""
MORE = {
    (OPERATOR, "/nowhere"), (OPERATOR, "/mine"), (PATIENT, "/log"), (CHILD, "/mine/choices"), (CHILD, "/mine"),
    (TROUBLED, "/"), (TROUBLED, "/alerts"),
}  # fmt: skip
"""Refusals and bad days."""
NOT_LOOKED_AT = {
    "/static/{address}": "files", "/log/events": "a stream", "/mine/who-looked.json": "a file",
    "/metrics": "for programs", "/health/live": "for programs", "/health/ready": "for programs",
    "/scenarios/{name}/diagram.svg": "a picture",
    "/sim/clock": "for programs", "/sim/faults": "for programs", "/mine/audit-events": "a file",
}  # fmt: skip
REFUSED = {(OPERATOR, "/nowhere"): 404, (OPERATOR, "/mine"): 403, (PATIENT, "/log"): 403}
REFUSED |= {(OPERATOR, "/log?organisation=nobody&chain=none"): 400}
PRESETS = ("everything", "emergencies", "nothing")
EVERY_ADDRESS = 99
LOOKS = [
    ("light", "nl", 1),
    *(pytest.param(scheme, language, EVERY_ADDRESS, marks=pytest.mark.wide)
      for scheme in ("light", "dark") for language in ("nl", "en")),
]  # fmt: skip
"""Colours, language, and how many addresses of each page: one in any run; in the wide lane all, in all looks."""


@dataclass
class Visit:
    """The story on screen: one window per person, and what the browser complained of."""

    story: Story
    screens: list[AtScreen]
    windows: dict[str, Page] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def said(self) -> list[str]:
        return [told for screen in self.screens for told in screen.said]

    def hush(self) -> None:
        for screen in self.screens:
            screen.said.clear()

    def paths(self, who: str, *, most: int) -> list[str]:
        """What this person looks at, at most so much of every page."""
        mine = [paths[:most] for person, paths in PAGES.values() if person == who]
        found = [path.format_map(self.names) for paths in mine for path in paths]
        return found + sorted(path for person, path in MORE if person == who)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    need_browser()
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield opened
        await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory, authority: Pki) -> AsyncIterator[Story]:
    state = tmp_path_factory.mktemp("story")
    exchange = await open_exchange(state, authority.directory, enrolment_alert=ENROLMENT_ALERT)
    yield await told(exchange, authority)
    await exchange.gateway.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visit(story: Story, browser: Browser) -> AsyncIterator[Visit]:
    desk = story.desk
    async with (
        at_screen(story.exchange, browser, desk) as screen,
        at_screen(story.exchange, browser, in_trouble(desk)) as ill,
    ):
        here = Visit(story, [screen, ill], names=await names(story))
        here.windows = {STRANGER: await screen.open(), OPERATOR: await screen.open(), TROUBLED: await ill.open()}
        await screen.log_in(here.windows[OPERATOR], "test-reviewer")
        await ill.log_in(here.windows[TROUBLED], "test-reviewer")
        for person, key in ((PATIENT, "all-open"), (CHILD, "a-child")):
            here.windows[person] = await screen.open()
            await enter(here.windows[person], key)
        yield here


async def names(story: Story) -> dict[str, str]:
    """What stands in the addresses: chains by what they show, a message per state, an overdue case."""
    held = (await outbox_look.listing(story.means, None)).held
    async with story.desk.visitor() as reviewer:
        await reviewer.log_in("test-reviewer")
        case = (await reviewer.get("/review")).text.partition('href="/review/')[2].partition('"')[0]
    return {**story.chains, **{f"message-{one.state}": one.envelope.id for one in held}, "case": case}


async def enter(page: Page, key: str) -> None:
    await page.goto("/digid")
    await page.select_option("select[name=person]", key)
    await page.click("form[action='/digid'] button")
    await page.wait_for_url("**/mine")


# --- every page ------------------------------------------------------------------------------------------------------


async def test_no_page_of_the_desk_is_overlooked(story: Story) -> None:
    parts = desk_module.parts(story.desk.desk)
    routes = {one.path for part in parts for one in part.routes if isinstance(one, APIRoute) and "GET" in one.methods}
    assert routes == PAGES.keys() | NOT_LOOKED_AT.keys()


async def test_the_story_has_all_there_is(visit: Visit) -> None:
    assert visit.names.keys() >= {f"message-{state}" for state in State}, "a message in every state"
    page = visit.windows[TROUBLED]
    await page.goto("/alerts?lang=nl")
    shown = await page.locator("main section h2").all_inner_texts()
    assert len(shown) == len(set(shown)) == len(Alert), shown


async def looked_at(visit: Visit, page: Page, path: str, ask: Callable[[Page], Any]) -> list[str]:
    """The faults of one page, each with its path."""
    visit.hush()
    answer = await page.goto(path)
    status, expected = answer.status if answer else 0, expected_of(page, visit, path)
    if status != expected:
        return [f"{path}: {status}, not {expected}"]
    # a browser tells of every status from 400 on; that one is expected
    said = visit.said if expected == 200 else visit.said[1:]
    return [f"{path}: {one}" for one in [*await ask(page), *said]]


def expected_of(page: Page, visit: Visit, path: str) -> int:
    plain = path.partition("lang=")[0].rstrip("?&")
    who = next(name for name, window in visit.windows.items() if window is page)
    return REFUSED.get((who, plain), 200)


async def everything(page: Page) -> list[str]:
    wrong = [*await page_faults.of_axe(page), *await page_faults.of_words(page)]
    return wrong + await page_faults.of_width(page)


def spoken(path: str, language: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}lang={language}"


@pytest.mark.parametrize(("scheme", "language", "most"), LOOKS)
@pytest.mark.parametrize("who", [STRANGER, OPERATOR, PATIENT, CHILD, TROUBLED])
async def test_pages_are_for_everybody(visit: Visit, who: str, scheme: Any, language: str, most: int) -> None:
    page = visit.windows[who]
    await page.emulate_media(color_scheme=scheme)
    paths = [spoken(path, language) for path in visit.paths(who, most=most)]
    wrong = [told for path in paths for told in await looked_at(visit, page, path, everything)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", [STRANGER, OPERATOR, PATIENT, CHILD])
async def test_the_keyboard_reaches_everything_in_order(visit: Visit, who: str) -> None:
    page = visit.windows[who]
    paths = [spoken(path, "nl") for path in visit.paths(who, most=1)]
    wrong = [told for path in paths for told in await looked_at(visit, page, path, page_faults.of_keys)]
    assert not wrong, "\n".join(wrong)


# --- what would be a fault -------------------------------------------------------------------------------------------

HARMS = {
    "a button without Tab": ("one.tabIndex = -1", "not reached by Tab"),
    "a field out of turn": ("one.tabIndex = 5", "Tab jumps back and forth"),
    "focus that is not shown": ("one.style.outline = 'none'", "focus not to be seen"),
}


@pytest.mark.parametrize(("harm", "fault"), HARMS.values(), ids=HARMS)
async def test_what_a_keyboard_would_miss_is_a_fault(visit: Visit, harm: str, fault: str) -> None:
    page = visit.windows[STRANGER]
    await page.goto("/login")
    assert await page_faults.of_keys(page) == []
    await page.goto("/login")
    await page.evaluate(f"const one = document.querySelector('main button'); {harm}")
    assert any(told.startswith(fault) for told in await page_faults.of_keys(page))


async def test_a_missing_sentence_is_a_fault(visit: Visit) -> None:
    page = visit.windows[STRANGER]
    await page.goto("/login")
    await page.evaluate("document.querySelector('h1').textContent = 'acts.alerts.title'")
    assert await page_faults.of_words(page) == ["not a sentence: acts.alerts.title"]


# --- with ten fingers and no mouse -----------------------------------------------------------------------------------


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until this has the focus."""
    for _ in range(page_faults.MOST_STOPS):
        await page.keyboard.press("Tab")
        if await page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab never comes to {selector}")


async def test_the_first_tab_leads_past_the_navigation(visit: Visit) -> None:
    page = visit.windows[OPERATOR]
    await page.goto("/messages?lang=nl")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Naar de inhoud"
    assert await page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0, "it comes into sight"
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.querySelector('main').contains(document.activeElement)")


async def test_an_operator_filters_the_log_without_a_mouse(visit: Visit) -> None:
    page = visit.windows[OPERATOR]
    await page.goto("/log?lang=nl")
    await tab_to(page, "#filter-organisation")
    await page.keyboard.type("Ambulance")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/log?*organisation=Ambulance*")
    asked_by = await page.locator("#log-rows td:nth-child(3)").all_inner_texts()
    assert asked_by
    assert all("Test Ambulancedienst" in told for told in asked_by)


async def test_a_reviewer_judges_without_a_mouse(visit: Visit) -> None:
    page, case = visit.windows[OPERATOR], visit.names["case"]
    await page.goto(f"/review/{case}?lang=nl")
    await tab_to(page, "input[name=verdict]")
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/review")
    assert await page.locator(f"a[href='/review/{case}']").count() == 0


async def test_an_operator_plays_a_story_without_a_mouse(visit: Visit) -> None:
    page = visit.windows[OPERATOR]
    await page.goto("/scenarios/after-hours-visit?lang=nl")
    visit.hush()
    await tab_to(page, "main form button")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Wat ervan kwam").wait_for(timeout=40_000)
    assert "anders dan verteld" not in await page.inner_text("main")
    picture = page.locator("img[src$='diagram.svg']")
    assert await picture.evaluate("(one) => one.decode().then(() => one.naturalWidth)") > 600
    assert [*await everything(page), *await page_faults.of_keys(page), *visit.said] == []


@pytest.mark.parametrize("preset", PRESETS)
async def test_a_patient_sees_what_a_choice_would_change(visit: Visit, preset: str) -> None:
    page = visit.windows[PATIENT]
    await page.goto("/mine/choices?lang=nl")
    visit.hush()
    await page.locator(f"form:has(input[value={preset}]) button").click()
    await page.get_by_role("heading", name="Wat uw keuze verandert").wait_for()
    assert [*await everything(page), *await page_faults.of_keys(page), *visit.said] == []


async def test_a_patient_says_no_without_a_mouse(visit: Visit) -> None:
    page = visit.windows[PATIENT]
    await page.goto("/mine/choices?lang=nl")
    await tab_to(page, "form:has(input[value=nothing]) button")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Wat uw keuze verandert").wait_for()
    await tab_to(page, "main form button")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/mine/choices?ended=saved")
    assert "Uw keuze is vastgelegd en geldt nu." in await page.inner_text("main")
    await page.goto("/mine/known")
    known = await page.inner_text("main")
    assert "inschrijving bij de huisarts" in known, "her practice stays her practice"
    assert not [one for one in ("samenvatting", "medicatieoverzicht", "allergieën") if one in known]
