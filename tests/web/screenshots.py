"""What do the pages look like? Pictures of the desk of a running demo: every page, or the two of the README.

switchpoint demo                                                 # in another terminal
python tests/web/screenshots.py --out /tmp/shots                 # all pages: wide and phone, light and dark
python tests/web/screenshots.py --out docs --only console,patient  # docs/console.png and docs/patient.png
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from demo_visited import ARGUMENTS, CHROMIUM, Running, read
from playwright.async_api import Browser, Page, async_playwright

OPERATOR = {
    "now": "/",
    "log": "/log",
    "regimes": "/regimes",
    "stop": "/regimes/stop/EMERGENCY_AVAILABLE",
    "review": "/review",
    "messages": "/messages",
    "participants": "/participants",
    "alerts": "/alerts",
}
FIRST = {
    "call": ("/log?outcome=partial", "table.log th a"),
    "call-disclosed": ("/log?outcome=permitted&rule=EMA-1", "table.log th a"),
    "case": ("/review", "table th a"),
    "message": ("/messages", "table th a"),
    "participant": ("/participants", "table th a"),
}
"""Pages behind the first link of another."""
PATIENT = {"mine": "/mine", "choices": "/mine/choices", "known": "/mine/known", "notices": "/mine/notices"}
PATIENT |= {"print": "/mine/print"}
SIZES = {"wide": 1280, "phone": 375}
README = {"console": ("/", 1280, 1180), "patient": ("/mine?subject=asked", 1120, 1240)}
"""Path, width and height of the two pictures."""


async def shoot(page: Page, out: Path, name: str, *, whole: bool = True) -> None:
    await page.screenshot(path=out / f"{name}.png", full_page=whole)


async def everything(desk: Running, browser: Browser, out: Path) -> None:
    """All pages, in every size and scheme; one sitting each, for a code works once in thirty seconds."""
    operator = await desk.window(browser)
    patient = await desk.window(browser)
    child = await desk.window(browser)
    for name in ("login", "digid"):
        await operator.goto(f"/{name}")
        await shoot(operator, out, f"{name}-wide-light")
    await desk.log_in(operator, "test-reviewer")
    await desk.log_in_patient(patient, "saturday-night")
    await desk.log_in_patient(child, "minor-14", "parent")
    for size, width in SIZES.items():
        for scheme in ("light", "dark"):
            for page in (operator, patient, child):
                await page.set_viewport_size({"width": width, "height": 900})
                await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await _operators(operator, out, f"{size}-{scheme}")
            await _patients(patient, child, out, f"{size}-{scheme}")


async def _operators(page: Page, out: Path, kind: str) -> None:
    for name, path in OPERATOR.items():
        await page.goto(path)
        await shoot(page, out, f"{name}-{kind}")
    for name, (path, link) in FIRST.items():
        await page.goto(path)
        if await page.locator(link).count():
            await page.goto(await page.locator(link).first.get_attribute("href") or "/")
            await shoot(page, out, f"{name}-{kind}")


async def _patients(page: Page, child: Page, out: Path, kind: str) -> None:
    for name, path in PATIENT.items():
        await page.goto(path)
        await shoot(page, out, f"{name}-{kind}")
    await page.goto("/mine/choices")
    await page.locator("form:has(input[value=nothing]) button").click()
    await shoot(page, out, f"effect-{kind}")
    await child.goto("/mine/choices")
    await shoot(child, out, f"child-{kind}")


async def for_the_readme(desk: Running, browser: Browser, out: Path, names: list[str]) -> None:
    for name in names:
        path, width, height = README[name]
        page = await desk.window(browser, width=width, height=height)
        await (desk.log_in(page, "test-operator") if name == "console" else desk.log_in_patient(page, "latent"))
        await page.goto(path)
        await shoot(page, out, name, whole=False)


async def main(running: Path, out: Path, only: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    desk = read(running)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        await (for_the_readme(desk, browser, out, only) if only else everything(desk, browser, out))
        await browser.close()


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--running", type=Path, default=Path(".switchpoint/running.json"))
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--only", type=lambda text: text.split(","), default=[])
    given = words.parse_args()
    asyncio.run(main(given.running, given.out, given.only))
