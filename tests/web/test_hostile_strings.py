"""Can a text make a page of the desk do what it wants? Hostile ones in every field, held against harmless ones.

Here no browser is asked: a page with hostile texts must be made of the same tags and attributes as the same page with
harmless ones, and the text must stand, whole, between two tags. tests/web/test_hostile_browser.py asks the browser.
"""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import pytest_asyncio
from desk_made import WHOLE, AtDesk, Visitor, open_desk
from exchange_made import Exchange, open_exchange
from hostile import GROUPS, PAYLOADS, PLAIN
from hostile_made import Structure, differences, plant, times_told

from gateway.flows.retelling import Chain, Step
from gateway.rules.journal import Event
from gateway.web.console_repeat import repeated
from gateway.web.legible import MARK, legible
from source_sim.pki import Pki

SOME = [next(iter(group.values())) for group in GROUPS]
"""One text of each kind: where every text would only say the same again."""
TEXTS = [pytest.param(SOME, id="of each kind"), pytest.param([*PAYLOADS.values()], id="all", marks=pytest.mark.wide)]
_OLDER = re.compile(r'rel="next" href="([^"]+)"')


@pytest_asyncio.fixture
async def hostile_desk(exchange: Exchange) -> AtDesk:
    return await open_desk(exchange, lengths=WHOLE)


@pytest_asyncio.fixture
async def harmless(tmp_path: Path, authority: Pki, members: SimpleNamespace) -> AsyncIterator[Exchange]:
    """Another exchange, for the same with harmless texts."""
    opened = await open_exchange(tmp_path / "harmless", authority.directory)
    await opened.admit(*vars(members).values())
    yield opened
    await opened.gateway.close()


async def pages(visitor: Visitor, path: str, many: int) -> list[str]:
    """A list from its first page to its last; the front page once it has counted so many sources."""
    found: list[str] = []
    while path == "/" and (await visitor.get(path)).text.count("/log?source=") < many:
        await asyncio.sleep(0.05)
    while path:
        answer = await visitor.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        found.append(answer.text)
        older = _OLDER.search(answer.text)
        path = unescape(older[1]) if older else ""
    return found


OPERATORS = ("/", "/alerts", "/log", "/regimes", "/review?closed=true", "/messages", "/participants")
PATIENTS = ("/mine/print", "/mine/choices", "/mine/known", "/mine")


@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize(("seat", "paths"), [("operator", OPERATORS), ("patient", PATIENTS)])
async def test_lists_full_of_hostile_texts_are_made_like_lists_of_harmless_ones(
    exchange: Exchange,
    hostile_desk: AtDesk,
    harmless: Exchange,
    seat: str,
    paths: tuple[str, ...],
    texts: list[str],
) -> None:
    harmless_desk = await open_desk(harmless, lengths=WHOLE)
    await plant(hostile_desk, texts)
    await plant(harmless_desk, [PLAIN] * len(texts))
    for opened in (exchange, harmless):
        while await opened.gateway.sealing.round():
            pass
    meant, wrong = [legible(text) for text in texts], []
    async with hostile_desk.visitor() as one, harmless_desk.visitor() as other:
        for visitor in (one, other):
            await (visitor.log_in("test-reviewer") if seat == "operator" else visitor.log_in_patient())
        for path in paths:
            evil, good = await pages(one, path, len(texts)), await pages(other, path, len(texts))
            assert sum(times_told(page, PLAIN) for page in good) > 0 or path == "/mine/known", path
            assert len(evil) == len(good), path
            wrong += [f"{path}: {told}" for a, b in zip(good, evil, strict=True)
                      for told in differences(a, b, PLAIN, meant)]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize("texts", TEXTS)
async def test_a_page_about_one_thing_shows_a_hostile_text_as_words(hostile_desk: AtDesk, texts: list[str]) -> None:
    texts = [PLAIN, *texts]
    made, wrong = await plant(hostile_desk, texts, every_event=()), list[str]()
    about = {"/calls/": made.chains, "/review/": made.cases, "/messages/": made.messages}
    about["/participants/"] = made.uras[: len(SOME)]  # the slowest, and every name stands in the list of them, too
    async with hostile_desk.visitor() as visitor:
        await visitor.log_in("test-reviewer")
        for path, ids in about.items():
            good = (await visitor.get(f"{path}{ids[0]}")).text
            assert times_told(good, PLAIN) > 0, path
            for text, id in zip(texts, ids, strict=False):
                shown = await visitor.get(f"{path}{id}")
                assert shown.status_code == 200, (path, text)
                wrong += [f"{path} {text!r}: {told}" for told in differences(good, shown.text, PLAIN, [legible(text)])]
    assert wrong == []


async def test_every_event_there_is_shows_a_hostile_text_as_words(hostile_desk: AtDesk) -> None:
    texts = [PLAIN, *SOME]
    made, wrong = await plant(hostile_desk, texts, every_event=range(len(texts))), list[str]()
    async with hostile_desk.visitor() as visitor:
        await visitor.log_in()
        good = (await visitor.get(f"/calls/{made.chains[0]}")).text
        for place, text in enumerate(texts):
            evil = (await visitor.get(f"/calls/{made.chains[place]}")).text
            wrong += [f"{text!r}: {told}" for told in differences(good, evil, PLAIN, [legible(text)])]
    assert wrong == []


# --- what is asked ---------------------------------------------------------------------------------------------------


def sendable(text: str) -> bool:
    """Whether it can stand in a header at all."""
    return text.isascii() and text.isprintable()


async def test_filters_say_back_what_was_typed_as_words(hostile_desk: AtDesk) -> None:
    names = ("chain", "organisation", "source", "kind", "category", "outcome", "rule", "failing")
    async with hostile_desk.visitor() as visitor:
        await visitor.log_in()
        good, wrong = (await visitor.get("/log", params=dict.fromkeys(names, PLAIN))).text, list[str]()
        assert good.count(f'value="{PLAIN}"') == 3
        for text in PAYLOADS.values():
            found = await visitor.get("/log", params=dict.fromkeys(names, text))
            if text.strip() and not re.fullmatch("[a-z][a-z0-9-]+|[0-9]{1,8}", text.strip()):
                assert found.status_code == 400, text
            wrong += [f"{text!r}: {told}" for told in differences(good, found.text, PLAIN, [])]
    assert wrong == []


async def test_a_serial_number_comes_back_as_words_and_the_certificate_of_nobody_goes(hostile_desk: AtDesk) -> None:
    async with hostile_desk.visitor() as visitor:
        await visitor.log_in()
        form = {"reason": "x", "sure": "true"}
        good, wrong = (await visitor.post("/participants/revoke", serial=PLAIN, **form)).text, list[str]()
        for text in PAYLOADS.values():
            evil = await visitor.post("/participants/revoke", serial=text[:100], **form)
            if evil.status_code != 303:
                wrong += [f"{text!r}: {told}" for told in differences(good, evil.text, PLAIN, [])]
    assert wrong == []


async def test_no_page_says_back_an_address_a_header_or_a_cookie(hostile_desk: AtDesk) -> None:
    """A page that is not there, asked for with everything a browser can send."""
    async with hostile_desk.visitor() as visitor:
        await visitor.log_in()
        here, nowhere, wrong = (await visitor.get("/calls/x")).text, (await visitor.get("/nowhere/x")).text, list[str]()
        for text in PAYLOADS.values():
            headers = {
                **dict.fromkeys(("user-agent", "referer", "x-forwarded-for"), text),
                "accept-language": f"en, {text}",
            }
            asked = quote(text, safe="").replace(".", "%2e")
            for path in (f"/nowhere/{asked}?lang={asked}&next={asked}", f"/calls/{asked}", f"/messages/{asked}"):
                evil = await visitor.get(path, headers=headers if sendable(text) else None)
                assert evil.status_code == 404, (path, evil.status_code)
                assert not any("tripwire" in words for words in Structure(evil.text).between), path
                if all(differences(good, evil.text, PLAIN, []) for good in (here, nowhere)):
                    wrong.append(f"{path}: made otherwise")
    assert wrong == []


async def test_at_the_door_a_name_is_not_said_back(hostile_desk: AtDesk) -> None:
    for number, text in enumerate(SOME):
        async with hostile_desk.visitor(client=f"127.0.1.{number}") as visitor:
            await visitor.get("/login")
            evil = await visitor.post("/login", name=text, password=text, code=text[:50], next=text)
            assert (evil.status_code, "tripwire" in evil.text) == (401, False)
            assert '<input type="hidden" name="next" value="/">' in evil.text
            await visitor.get("/digid")
            evil = await visitor.post("/digid", party="patient", person=text[:100], number=text[:50], born=text[:20])
            assert (evil.status_code, "tripwire" in evil.text) == (422, False)


# --- what is offered to be run ---------------------------------------------------------------------------------------


def test_the_test_that_a_call_offers_is_the_same_program_whatever_stands_in_the_journal() -> None:
    """Somebody will run it: a claim may be a text in it, and nothing else."""
    offered = [program(text) for text in (PLAIN, *PAYLOADS.values())]
    assert len(set(offered)) == 1
    assert "test_call_again" in offered[0]


def program(text: str) -> str:
    """The offered program, without what its texts say."""
    claims = dict.fromkeys(("actor_role", "department", "responsible_role", "contact_kind", "capacity"), text)
    claims |= {"organisation_type": text, "purpose": text, "reason": text, "interaction": "search-Bundle"}
    at = datetime(2026, 11, 22, tzinfo=UTC)
    step = Step(1, Event.QUERY_REFUSED, at, at, 0.0, "", "", claims)
    again = repeated(Chain("00000000-0000-4000-8000-000000000000", (step,), (), 0, ()), "https://exchange.test")
    assert again is not None
    assert "of type unknown;" in again.curl
    read = ast.parse(again.scenario)
    for one in ast.walk(read):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            one.value = ""
    return ast.dump(read)


# --- what is shown of it ---------------------------------------------------------------------------------------------

SHOWN = {
    "plain words": ("Huisartsenpost Test", "Huisartsenpost Test"),
    "letters with signs": ("Zoë Müller-Çelik, Łódź", "Zoë Müller-Çelik, Łódź"),
    "Hebrew": ("בית חולים", "בית חולים"),
    "a face made of several": ("👩🏽‍⚕️", "👩🏽‍⚕️"),
    "lines of a note": ("one\r\ntwo\n\tthree", "one\r\ntwo\n\tthree"),
    "a space that does not break": ("Test\u00a0Post", "Test\u00a0Post"),
    "turned round": ("Post \u202e90000301", f"Post {MARK}90000301"),
    "nothing at all": ("Test\x00Post", f"Test{MARK}Post"),
    "an escape": ("\x1b[31mTest", f"{MARK}[31mTest"),
    "no width": ("Te\u200bst\ufeff", f"Te{MARK}st{MARK}"),
    "a pile of signs": ("Z" + "\u0301" * 40 + "o", "Z" + "\u0301" * 3 + "o"),
    "signs as a language has them": ("e\u0302\u0301\u0323t", "e\u0302\u0301\u0323t"),
}


@pytest.mark.parametrize(("text", "shown"), SHOWN.values(), ids=SHOWN)
def test_what_has_no_sign_of_its_own_gets_a_mark(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_a_template_shows_it_so(hostile_desk: AtDesk) -> None:
    shown = hostile_desk.desk.pages._templates.from_string("<p title='{{ x }}'>{{ x }}</p>").render(x="a\u202e<b>")
    assert shown == f"<p title='a{MARK}&lt;b&gt;'>a{MARK}&lt;b&gt;</p>"
