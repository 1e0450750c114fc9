"""What is wrong with the page in this window? For who sees little, has a small screen, or no mouse.

Each question is asked of an open page and answered with a list of faults in words; empty when nothing is wrong.
"""

from __future__ import annotations

import re
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from gateway.web.language import words_of

WIDTHS = (1280, 375, 320)
"""A screen, a phone, and a screen at 400 % zoom (1280 ÷ 4)."""
MOST_STOPS = 400
_AXE = Axe().axe_script
_ASK_AXE = """() => axe.run({ resultTypes: ['violations'] }).then((found) =>
  found.violations.map((one) => one.id + ': ' + one.nodes[0].html.slice(0, 100)))"""
_CODED = re.compile(r"\b[a-z]+(?:\.[A-Za-z0-9_-]+)+")

_REACHABLE = """() => {
  const wanted = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
  const open = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled;
  const radios = new Set();
  const told = (one) => one.tagName.toLowerCase() + ' ' + (one.getAttribute('name') || one.getAttribute('href') ||
    one.getAttribute('aria-label') || one.textContent.trim().slice(0, 40));
  window.stops = [...document.querySelectorAll(wanted)].filter(open).filter((one) => {
    if (one.type !== 'radio') return true;
    const group = [...(one.form || document).querySelectorAll(`input[type=radio][name="${one.name}"]`)];
    return one === (group.find((other) => other.checked) || group[0]);
  });
  window.reached = [];
  document.addEventListener('focusin', (event) => {
    const at = window.stops.indexOf(event.target), style = getComputedStyle(event.target);
    const box = event.target.getBoundingClientRect();
    const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.right > 0;
    if (at >= 0) window.reached.push([at, seen]);
  });
  return window.stops.map(told);
}"""
_WHERE = "() => [window.reached, document.activeElement === document.body]"


async def of_axe(page: Page) -> list[str]:
    """What axe finds wrong, best practices included."""
    await page.evaluate(_AXE)
    return await page.evaluate(_ASK_AXE)


async def of_width(page: Page, widths: tuple[int, ...] = WIDTHS) -> list[str]:
    """Where the page would have to be pushed sideways; parts that scroll by themselves are allowed to."""
    wrong = []
    for width in widths:
        await page.set_viewport_size({"width": width, "height": 900})
        wide = await page.evaluate("document.documentElement.scrollWidth")
        wrong += [f"{wide} px wide in a window of {width}"] if wide > width else []
    await page.set_viewport_size({"width": widths[0], "height": 900})
    return wrong


async def of_words(page: Page) -> list[str]:
    """Ids of sentences that stand on the page instead of the sentences."""
    known = words_of("nl").sentences
    return [f"not a sentence: {one}" for one in _CODED.findall(await page.inner_text("body")) if one in known]


async def of_keys(page: Page) -> list[str]:
    """What the Tab key does not reach in the order of the page, or reaches without showing it."""
    stops: list[str] = await page.evaluate(_REACHABLE)
    reached: list[Any] = []
    for _ in range(MOST_STOPS // 20):
        for _ in range(20):
            await page.keyboard.press("Tab")
        reached, gone = await page.evaluate(_WHERE)
        if gone or len(reached) > len(stops):
            break
    order = list(dict.fromkeys(at for at, _ in reached))
    hidden = [f"focus not to be seen: {stops[at]}" for at, seen in reached if not seen]
    missed = [f"not reached by Tab: {one}" for at, one in enumerate(stops) if at not in order]
    return [*missed, *dict.fromkeys(hidden), *([] if order == sorted(order) else ["Tab jumps back and forth"])]
