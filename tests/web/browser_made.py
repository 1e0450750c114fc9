"""How does a test look at the desk through a browser? A served desk, people who log in, and what the browser said.

`said` holds every console error, script error and refusal by the content security policy since the page was opened.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from desk_made import PASSWORD, AtDesk, open_desk
from exchange_made import Exchange
from playwright.async_api import Browser, Page

SCHEMES = ("light", "dark")


@dataclass
class AtScreen:
    """One desk on a socket, and one browser in front of it."""

    desk: AtDesk
    browser: Browser
    base: str
    said: list[str] = field(default_factory=list)

    async def open(self, *, width: int = 1280, **more: Any) -> Page:
        """A new browser window, with cookies of its own."""
        size = {"width": width, "height": 900}
        context = await self.browser.new_context(base_url=self.base, viewport=size, **more)
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda told: self.said.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda wrong: self.said.append(str(wrong)))
        return page

    async def log_in(self, page: Page, name: str = "test-reviewer") -> None:
        """Sit down as an operator, by the form on the page."""
        await page.goto("/login")
        await page.fill("input[name=name]", name)
        await page.fill("input[name=password]", PASSWORD)
        await page.fill("input[name=code]", await self.desk.code(name))
        await page.click("main button[type=submit], main form button")
        await page.wait_for_url(self.base + "/")


@asynccontextmanager
async def at_screen(exchange: Exchange, browser: Browser, desk: AtDesk | None = None) -> AsyncIterator[AtScreen]:
    """The desk of this exchange, a new one if none is given, on a free port of the loopback."""
    desk = desk or await open_desk(exchange)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(desk.app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield AtScreen(desk, browser, f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        server.should_exit = True
        await serving
        listening.close()
