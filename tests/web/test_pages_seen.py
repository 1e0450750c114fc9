"""Can everybody use every page of the desk? axe, the width of a phone and of 400 % zoom, and a quiet browser."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from browser_made import SCHEMES, AtScreen
from playwright.async_api import Page

pytestmark = pytest.mark.xdist_group("browser")

OPERATOR = ("/", "/log", "/regimes", "/review", "/messages", "/participants", "/alerts")
STRANGER = ("/login", "/digid")
PATIENT = ("/mine", "/mine/choices", "/mine/known", "/mine/notices")
WIDTHS = (1280, 375, 320)


async def faults(screen: AtScreen, page: Page, path: str) -> list[str]:
    """Whatever is wrong with this page at this colour scheme, in words; empty when nothing is."""
    screen.said.clear()
    answer = await page.goto(path)
    if answer is None or answer.status != 200:
        return [f"{path}: {answer and answer.status}"]
    found = await Axe().run(page)
    wrong = [f"{path}: {one['id']} {one['nodes'][0]['html'][:90]}" for one in found.response["violations"]]
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        wide = await page.evaluate("document.documentElement.scrollWidth")
        wrong += [f"{path}: {wide} px wide in a window of {width}"] if wide > width else []
    return wrong + [f"{path}: {told}" for told in screen.said]


LOOKS = [
    ("dark", "en"),  # light and Dutch: tests/web/test_pages_of_a_story.py
    *(pytest.param(scheme, language, marks=pytest.mark.wide) for scheme in SCHEMES for language in ("nl", "en")
      if (scheme, language) != ("dark", "en")),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "language"), LOOKS)
async def test_an_operators_pages_are_without_fault(screen: AtScreen, scheme: str, language: str) -> None:
    page = await screen.open(color_scheme=scheme)
    wrong = [told for path in STRANGER for told in await faults(screen, page, f"{path}?lang={language}")]
    await screen.log_in(page)
    wrong += [told for path in OPERATOR for told in await faults(screen, page, f"{path}?lang={language}")]
    assert wrong == []


async def test_a_page_too_wide_is_a_fault(screen: AtScreen) -> None:
    page = await screen.open()
    await page.goto("/login")
    await page.evaluate("document.querySelector('h1').textContent = 'x'.repeat(400)")
    await page.set_viewport_size({"width": 320, "height": 900})
    await page.evaluate("document.querySelector('h1').style.whiteSpace = 'nowrap'")
    assert await page.evaluate("document.documentElement.scrollWidth") > 320


async def test_an_image_without_words_is_a_fault(screen: AtScreen) -> None:
    page = await screen.open()
    await page.goto("/login")
    await page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    found = await Axe().run(page)
    assert "image-alt" in [one["id"] for one in found.response["violations"]]


async def test_a_patients_pages_are_without_fault(screen: AtScreen) -> None:
    page = await screen.open()
    await page.goto("/digid")
    await page.click("form[action='/digid'] button")
    await page.wait_for_url("**/mine")
    wrong = [told for path in PATIENT for told in await faults(screen, page, path)]
    assert wrong == []
