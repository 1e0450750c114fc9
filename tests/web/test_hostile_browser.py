"""Does a browser run, or lay out wrongly, what somebody put where a name belongs? Every hostile text in real Chromium.

Whatever runs calls the tripwire, or is told by the browser as refused by the policy; both must stay silent. Whatever
breaks the layout makes a page wider than its window, or moves what every page has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from browser_made import AtScreen, at_screen
from desk_made import WHOLE, open_desk
from exchange_made import Exchange
from hostile import ENDLESS, GROUPS, PAYLOADS, TRIPWIRE
from hostile_made import Planted, plant
from playwright.async_api import Browser, Page

from gateway.rules.journal import Event
from gateway.stores import journal

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(180)]

WIDTHS = (1280, 375)
_LAID_OUT = """() => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  const wide = document.documentElement.clientWidth, wrong = [];
  if (document.documentElement.scrollWidth > wide) wrong.push(`${document.documentElement.scrollWidth} px wide`);
  for (const name of ["header", "main#main", "footer.foot", "h1", ".strip", "form.who button"]) {
    const found = document.querySelectorAll(`body ${name}`);
    if (found.length !== 1) { wrong.push(`${found.length} × ${name}`); continue; }
    const box = found[0].getBoundingClientRect();
    if (box.width < 1 || box.height < 1 || box.left < 0 || box.right > wide + 1) wrong.push(`${name} is out of place`);
  }
  const tops = ["header", "main#main", "footer.foot"].map((one) => document.querySelector(`body ${one}`)?.offsetTop);
  if (!(tops[0] < tops[1] && tops[1] < tops[2])) wrong.push(`in the wrong order: ${tops}`);
  for (const one of document.querySelectorAll("script, base, iframe, object, embed, [style], meta[http-equiv]"))
    if (one.tagName !== "SCRIPT" || new URL(one.src).origin !== location.origin) wrong.push(one.outerHTML);
  return wrong;
}"""


class Watched:
    """A window with a tripwire in it."""

    def __init__(self, screen: AtScreen, page: Page) -> None:
        self.screen, self.page = screen, page
        self.ran: list[Any] = []

    async def faults(self, path: str) -> list[str]:
        """Whatever is wrong with this page, at each width; empty when nothing is."""
        answer = await self.page.goto(path)
        if answer is None or answer.status not in (200, 400):
            return [f"{path}: {answer and answer.status}"]
        return await self.laid_out(path)

    async def laid_out(self, path: str) -> list[str]:
        wrong: list[str] = []
        for width in WIDTHS:
            await self.page.set_viewport_size({"width": width, "height": 900})
            wrong += [f"{path} at {width}: {told}" for told in await self.page.evaluate(_LAID_OUT)]
        return wrong


async def window(screen: AtScreen, **more: Any) -> Watched:
    page = await screen.open(**more)
    watched = Watched(screen, page)

    async def dismiss(dialog: Any) -> None:
        watched.ran.append(dialog.message)
        await dialog.dismiss()

    page.on("dialog", dismiss)
    page.on("framenavigated", lambda frame: None if frame.url.startswith((screen.base, "about:")) else
            watched.ran.append(frame.url))  # fmt: skip
    await page.context.expose_binding(TRIPWIRE, lambda _source, *told: watched.ran.append(told))
    return watched


@pytest_asyncio.fixture
async def whole(exchange: Exchange, chromium: Browser) -> AsyncIterator[AtScreen]:
    """The screen of a desk that shows everything on one page."""
    async with at_screen(exchange, chromium, await open_desk(exchange, lengths=WHOLE)) as opened:
        yield opened


SHOWN = (Event.QUERY_DECIDED, Event.QUERY_ANSWERED, Event.DISCLOSED, Event.CONSENT_STATED)
"""Of these every field is somewhere on a page; that the others are shown alike needs no browser."""
LONGEST = tuple(ENDLESS.values())
ONE_OF_EACH = [next(iter(group.values())) for group in GROUPS]
TEXTS = [
    pytest.param([*dict.fromkeys((*ONE_OF_EACH, *LONGEST[:3]))], id="of each kind"),
    pytest.param([*PAYLOADS.values()], id="all", marks=pytest.mark.wide),
]


def paths(made: Planted) -> list[str]:
    """Every page that shows a text: lists with all of them, one call with all of them, and single things."""
    some = [made.texts.index(text) for text in (*LONGEST[:3], ONE_OF_EACH[1])]
    return [
        *("/", "/log", "/regimes", "/review?closed=true", "/messages", "/participants", "/alerts"),
        f"/calls/{made.chains[0]}",
        *(f"/{path}/{ids[place]}" for place in some
          for path, ids in (("review", made.cases), ("messages", made.messages), ("participants", made.uras))),
    ]  # fmt: skip


@pytest.mark.parametrize("texts", TEXTS)
async def test_no_operators_page_runs_or_breaks_by_a_hostile_text(whole: AtScreen, texts: list[str]) -> None:
    made = await plant(whole.desk, texts, events=SHOWN, one_chain=True)
    watched = await window(whole)
    await whole.log_in(watched.page)
    wrong = [told for path in paths(made) for told in await watched.faults(path)]
    for text in (LONGEST[0], *ONE_OF_EACH[1:4]):
        await watched.page.goto("/log")
        await watched.page.fill("input[name=organisation]", text[:200])
        await watched.page.click("form.filters button")
        wrong += await watched.laid_out(f"/log?organisation={text}")
    said = [told for told in whole.said if "400 (Bad Request)" not in told]  # what a filter that means nothing gets
    assert (wrong, watched.ran, said) == ([], [], [])


@pytest.mark.parametrize("texts", TEXTS)
async def test_no_patients_page_runs_or_breaks_by_a_hostile_text(whole: AtScreen, texts: list[str]) -> None:
    await plant(whole.desk, texts, events=SHOWN)
    watched = await window(whole)
    await watched.page.goto("/digid")
    await watched.page.click("form[action='/digid'] button")
    await watched.page.wait_for_url("**/mine")
    pages = ("/mine/print", "/mine/choices", "/mine/known", "/mine/notices")
    wrong = [told for path in pages for told in await watched.faults(path)]
    assert (wrong, watched.ran, whole.said) == ([], [], [])


@pytest.mark.parametrize("texts", TEXTS)
async def test_rows_that_come_in_live_run_nothing(screen: AtScreen, texts: list[str]) -> None:
    """They are the only texts a script of ours puts into a page."""
    watched = await window(screen)
    await screen.log_in(watched.page)
    await watched.page.goto("/log")
    await watched.page.wait_for_selector("[role=status]:not(:empty)")
    await plant(screen.desk, texts, events=(Event.DISCLOSED, Event.QUERY_ANSWERED), every_event=())
    newest = await screen.desk.means.ledger.read(journal.last)
    await watched.page.wait_for_selector(f"#log-rows tr[data-seq='{newest}']", timeout=20_000)
    kinds = await watched.page.evaluate(
        "[...new Set([...document.querySelectorAll('#log-rows *')].map((one) => one.localName))].sort()"
    )
    assert set(kinds) <= {"tr", "td", "th", "time", "a", "span", "abbr", "ul", "li"}
    cells = "[...document.querySelectorAll('#log-rows tr')].map((row) => row.cells.length)"
    assert set(await watched.page.evaluate(cells)) == {8}
    assert (await watched.laid_out("/log"), watched.ran, screen.said) == ([], [], [])


# --- that these tests can fail ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bypass", [False, True], ids=["the policy stops it", "without a policy it runs"])
async def test_without_escaping_the_browser_tells(screen: AtScreen, bypass: bool) -> None:
    """A desk that forgets to escape: its policy lets nothing run, and says so; without both, the tripwire does."""
    templates = screen.desk.desk.pages._templates
    templates.autoescape, templates.bytecode_cache = False, None  # what was compiled escapes
    await plant(screen.desk, ["<img src=x onerror=tripwire(1)>", "<script>tripwire(2)</script>"])
    watched = await window(screen, bypass_csp=bypass)
    await screen.log_in(watched.page)
    await watched.page.goto("/participants")
    await watched.page.wait_for_timeout(300)
    assert sorted(told[0] for told in watched.ran if isinstance(told, tuple))[:1] == ([1] if bypass else [])
    assert any("Content Security Policy" in told for told in screen.said) is not bypass


async def test_a_page_that_is_too_wide_or_out_of_order_is_a_fault(screen: AtScreen) -> None:
    watched = await window(screen)
    await screen.log_in(watched.page)
    assert await watched.laid_out("/") == []
    await watched.page.evaluate("document.querySelector('h1').textContent = 'x'.repeat(2000)")
    await watched.page.evaluate("document.querySelector('h1').style.whiteSpace = 'nowrap'")
    assert len(await watched.laid_out("/")) >= 4
    await watched.page.evaluate("document.querySelector('header').before(document.querySelector('footer'))")
    assert any("order" in told for told in await watched.laid_out("/"))
