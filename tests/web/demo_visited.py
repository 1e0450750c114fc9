"""How does a person come in at the desk of a running demo? By the form, with what `running.json` says.

Knows the addresses and logins a demo prints, and nothing else of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page
from pyotp import TOTP

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_STEP = 30


def need_browser() -> None:
    """Skip, saying so loudly, where there is no browser; fail where SWITCHPOINT_TEST_STRICT is set."""
    if not Path(CHROMIUM).exists():
        told = f"no browser at {CHROMIUM}: the pages were NOT looked at"
        pytest.fail(told) if os.environ.get("SWITCHPOINT_TEST_STRICT") else pytest.skip(told)


@dataclass
class Running:
    """A running simulation's desk. `used`: the last one-time code's step per account; a code works once."""

    base: str
    logins: dict[str, dict[str, Any]] = field(repr=False)
    used: dict[str, int] = field(default_factory=dict)

    async def log_in(self, page: Page, name: str) -> None:
        """Sit down as an operator and be at the front page."""
        login = self.logins[name]
        await page.goto("/login")
        await page.get_by_label("Naam van het account").fill(name)
        await page.get_by_label("Wachtwoord").fill(login["password"])
        await page.get_by_label("Eenmalige code").fill(await self._code(name, login["totp"]))
        await page.keyboard.press("Enter")
        await page.wait_for_url(self.base + "/")

    async def _code(self, name: str, secret: str) -> str:
        """One the account has not used: the next step's is taken already, for clocks may be that far apart."""
        now = time.time()
        step = max(int(now) // _STEP, self.used.get(name, 0) + 1)
        await asyncio.sleep(max(0.0, (step - 1) * _STEP - now + 0.1))
        self.used[name] = step
        return TOTP(secret).at(step * _STEP)

    async def log_in_patient(self, page: Page, key: str, party: str = "patient") -> None:
        """Open a test person's page, as this party."""
        await page.goto("/digid")
        await page.get_by_label("Testpersoon").select_option(key)
        await page.check(f"input[name=party][value={party}]")
        await page.get_by_role("button", name="Verder").click()
        await page.wait_for_url("**/mine")

    async def window(self, browser: Browser, *, width: int = 1280, height: int = 900, **more: Any) -> Page:
        """A new window in Dutch, with cookies of its own."""
        size = {"width": width, "height": height}
        context = await browser.new_context(base_url=self.base, viewport=size, locale="nl-NL", **more)
        page = await context.new_page()
        page.set_default_timeout(10_000)
        return page


def read(running: Path) -> Running:
    """The desk a `running.json` tells of."""
    told = json.loads(running.read_text("utf-8"))
    return Running(told["desk"], {one["name"]: one for one in told["logins"]["operators"]})
