"""One authority for all tests of the web, a fresh exchange for each, and its members."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio
from browser_made import AtScreen, at_screen
from exchange_made import Exchange, Member, open_exchange
from playwright.async_api import Browser, async_playwright

from source_sim.pki import Pki, create


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    pki = create(tmp_path_factory.mktemp("authority") / "ca", now=datetime.now(UTC))
    pki.issue("90000900", "900", "Gateway", now=datetime.now(UTC), out=pki.directory, stem="gateway")
    return pki


@pytest.fixture(scope="session")
def members(authority: Pki) -> SimpleNamespace:
    return SimpleNamespace(
        practice=Member(authority, "90000101", "Z3"),
        practice_2=Member(authority, "90000102", "Z3"),
        pharmacy=Member(authority, "90000201", "J8"),
        post=Member(authority, "90000301", "N6"),
        post_2=Member(authority, "90000302", "N6"),
        hospital=Member(authority, "90000401", "V4", "SEH"),
    )


@pytest_asyncio.fixture
async def exchange(tmp_path: Path, authority: Pki, members: SimpleNamespace) -> AsyncIterator[Exchange]:
    opened = await open_exchange(tmp_path / "state", authority.directory)
    await opened.admit(*vars(members).values())
    yield opened
    await opened.gateway.close()


CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest_asyncio.fixture
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    if not Path(CHROMIUM).exists():
        told = f"no browser at {CHROMIUM}: the pages were NOT looked at"
        pytest.fail(told) if os.environ.get("SWITCHPOINT_TEST_STRICT") else pytest.skip(told)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def screen(exchange: Exchange, chromium: Browser) -> AsyncIterator[AtScreen]:
    """A desk on a real socket, and the browser to look at it."""
    async with at_screen(exchange, chromium) as opened:
        yield opened
