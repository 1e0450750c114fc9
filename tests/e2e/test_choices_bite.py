"""Does a choice saved on the patient's page bite at once? A real browser, real processes, and two exchange workers.

Also of a parent: what she may see and say for a child ends at midnight of its sixteenth birthday, in domain time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright
from processes import holder_of
from running_country import Visit, within

from gateway.rules.journal import Event
from source_sim.country import GP, GP_POST
from source_sim.custodians import Choice
from source_sim.requesters import Reply, System

pytestmark = [pytest.mark.xdist_group("country"), pytest.mark.timeout(180)]

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
DUTCH_TIME = ZoneInfo("Europe/Amsterdam")


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    if not Path(CHROMIUM).exists():
        told = f"no browser at {CHROMIUM}: no choice was made on the page"
        pytest.fail(told) if os.environ.get("SWITCHPOINT_TEST_STRICT") else pytest.skip(told)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        await opened.close()


async def open_page(visit: Visit, browser: Browser, bsn: str, *, party: str = "patient", born: str = "") -> Page:
    """The patient's page of this person, logged in by the form as this party."""
    context = await browser.new_context(base_url=visit.country.made.desk, locale="en")
    page = await context.new_page()
    page.set_default_timeout(15_000)
    await page.goto("/digid?lang=en")
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    await page.fill("input[name=number]", bsn)
    await page.fill("input[name=born]", born)
    await page.check(f"input[name=party][value={party}]")
    await page.click("form[action='/digid'] button")
    await page.wait_for_url("**/mine")
    return page


async def choose_nothing(page: Page) -> None:
    """Close everything: look at what it would change first, as the page wants it."""
    await foresee_nothing(page)
    await page.click("form[action='/mine/choices'] button[type=submit]")
    await page.wait_for_url("**/mine/choices?ended=saved")


async def foresee_nothing(page: Page) -> None:
    await page.goto("/mine/choices")
    await page.click("form.card:has(input[name=preset][value=nothing]) button")
    await page.wait_for_selector("form[action='/mine/choices']")


def neutral(reply: Reply) -> bool:
    return (reply.status, reply.completeness, reply.matches, reply.outcomes) == (200, "complete", [], [])


async def one_on_each_worker(visit: Visit) -> list[System]:
    """Systems of the GP post whose connections are held by different workers, all of them."""
    workers, found = visit.country.workers(), dict[int, System]()
    assert len(workers) == 2
    for _ in range(60):
        system = visit.another(GP_POST)
        assert (await system.call("GET", "/metadata")).status == 200
        (connection,) = system._client._transport._pool.connections  # type: ignore[attr-defined]
        port = connection._connection._network_stream.get_extra_info("client_addr")[1]
        held_by = holder_of(port, visit.country.made.settings.exchange_port, workers)
        assert held_by is not None
        found.setdefault(held_by, system)
        if found.keys() == workers:
            return list(found.values())
    raise AssertionError("one worker never got a connection")


async def test_a_choice_saved_on_the_page_bites_on_the_next_request_on_every_worker(
    visit: Visit, browser: Browser
) -> None:
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    systems = await one_on_each_worker(visit)
    tokens = [await visit.token(bsn, system=system) for system in systems]
    for system, token in zip(systems, tokens, strict=True):
        assert len((await visit.search(bsn, token, system=system)).matches) == 1, "before the choice it is seen"
    page = await open_page(visit, browser, bsn)
    await choose_nothing(page)
    chains = [str(uuid4()) for _ in systems]
    replies = await asyncio.gather(
        *(visit.search(bsn, token, chain=chain, system=system)
          for system, token, chain in zip(systems, tokens, chains, strict=True))
    )  # fmt: skip
    assert [neutral(reply) for reply in replies] == [True, True]
    assert all(Event.DISCLOSED not in visit.country.told(chain) for chain in chains)
    assert all([not await visit.seen(GP, chain) for chain in chains]), "nobody was even asked"
    await page.goto("/mine")
    assert await page.locator(".happened:has-text('Data asked for, nothing seen')").count() >= 2, "she sees who tried"


async def test_a_choice_saved_on_the_page_drops_the_answers_under_way_on_every_worker(
    visit: Visit, browser: Browser
) -> None:
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    systems = await one_on_each_worker(visit)
    tokens, chains = [await visit.token(bsn, system=system) for system in systems], [str(uuid4()) for _ in systems]
    page = await open_page(visit, browser, bsn)
    await foresee_nothing(page)
    await visit.fault(GP, "slow", 4.0)
    asking = [
        asyncio.create_task(visit.search(bsn, token, chain=chain, system=system))
        for system, token, chain in zip(systems, tokens, chains, strict=True)
    ]

    async def all_decided() -> bool:
        return all(Event.QUERY_DECIDED in visit.country.told(chain) for chain in chains)

    assert await within(3, all_decided)
    await page.click("form[action='/mine/choices'] button[type=submit]")
    await page.wait_for_url("**/mine/choices?ended=saved")
    assert not any(task.done() for task in asking), "the answers were there before the choice: nothing was tried"
    replies = await asyncio.gather(*asking)
    assert [neutral(reply) for reply in replies] == [True, True]
    assert all([await visit.seen(GP, chain) for chain in chains]), "the source did answer"
    assert all(Event.DISCLOSED not in visit.country.told(chain) for chain in chains)
    await page.goto("/mine")
    assert await page.locator(".happened:has-text('Data asked for, nothing seen')").count() >= 2


async def test_a_parent_loses_view_and_say_at_midnight(visit: Visit, browser: Browser) -> None:
    """Of the day the child turns sixteen, in the Netherlands; a form that was open before is worth nothing after."""
    bsn = visit.country.patient()
    async with visit.clock_back_afterwards():
        now = (await visit.now()).astimezone(DUTCH_TIME)
        birthday = (now + timedelta(days=2)).date()
        midnight = datetime.combine(birthday, datetime.min.time(), DUTCH_TIME)
        born = date(birthday.year - 16, birthday.month, birthday.day)
        await visit.set_clock(midnight - timedelta(seconds=60))
        refusal = Choice(permit=False, categories=["medication"], by=("parent",), birth_date=born)
        assert (await visit.custodian(GP).state_consent(bsn, refusal)).status == 201, "on paper, too, she still may"
        page = await open_page(visit, browser, bsn, party="parent", born=born.isoformat())
        for path in ("/mine", "/mine/choices", "/mine/known", "/mine/notices"):
            answer = await page.goto(path)
            assert answer is not None
            assert answer.status == 200, f"{path}: a minute before midnight she still may"
        await foresee_nothing(page)
        stated = len(visit.country.lines(Event.CONSENT_STATED))
        await visit.set_clock(midnight)
        async with page.expect_navigation() as going:
            await page.click("form[action='/mine/choices'] button[type=submit]")
        refused = await going.value
        assert refused is not None
        assert refused.status == 403
        assert len(visit.country.lines(Event.CONSENT_STATED)) == stated, "what she could say before midnight was taken"
        on_paper = await visit.custodian(GP).state_consent(bsn, refusal)
        assert (on_paper.status, on_paper.code) == (422, "not-entitled")
        for path in ("/mine", "/mine/print", "/mine/who-looked.json", "/mine/choices", "/mine/known", "/mine/notices"):
            answer = await page.context.request.get(path)
            assert answer.status == 403, path
        again = await browser.new_context(base_url=visit.country.made.desk)
        late = await again.new_page()
        await late.goto("/digid?lang=en")
        await late.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        await late.fill("input[name=number]", bsn)
        await late.fill("input[name=born]", born.isoformat())
        await late.check("input[name=party][value=parent]")
        async with late.expect_navigation() as going:
            await late.click("form[action='/digid'] button")
        turned_away = await going.value
        assert turned_away is not None
        assert turned_away.status == 422
        own = await open_page(visit, browser, bsn, born=born.isoformat())
        assert "/mine" in own.url, "and the child itself may"
