"""Does a patient read on her page what happened, in plain words, complete, and only her own?"""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from desk_made import AtDesk, Visitor, open_desk
from exchange_made import SEARCHES, THEM, US, Exchange

from gateway.rules.journal import Event
from gateway.stores import register

DUTCH = {"accept-language": "nl"}


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AsyncIterator[AtDesk]:
    yield await open_desk(exchange)


@pytest_asyncio.fixture
async def she(desk: AtDesk) -> AsyncIterator[Visitor]:
    async with desk.visitor() as visitor:
        assert (await visitor.log_in_patient()).status_code == 303
        yield visitor


def text(page: str) -> str:
    """What a page says, without its tags."""
    main = page[page.index("<main") : page.index("</main>")]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


async def ask(exchange: Exchange, who: Any, patient: str = US, *, type: str = "Bundle", **claims: Any) -> Any:
    token = await exchange.doctor(who, patient, **claims)
    form = [(name, value.replace(US, patient)) for name, value in SEARCHES[type]]
    return await exchange.call("POST", f"/{type}/_search", by=who, token=token, form=form)


async def test_who_looked_says_it_in_her_own_words(exchange: Exchange, members: SimpleNamespace, she: Visitor) -> None:
    await exchange.open(members.practice)
    await ask(exchange, members.post)
    said = text((await she.get("/mine", headers=DUTCH)).text)
    assert "Gegevens opgevraagd en gezien: samenvatting van de huisarts" in said
    assert "Test 90000301 (huisartsenpost) Test Actor, huisarts" in said
    assert "Test 90000101 ✓ gezien Regel REG-1: Een waarnemend huisarts op een huisartsenpost mag" in said
    assert "✓ met uw toestemming" in said
    english = text((await she.get("/mine")).text)
    assert "Data asked for and seen: " in english
    assert "✓ with your consent" in english


REFUSALS = {
    "no cover": ({"cover": False}, "Data asked for and refused", "only for declared cover"),
    "a company doctor": (
        {"role": "01.008"},
        "Data asked for and refused",
        "Company doctors and insurance doctors never",
    ),
}


@pytest.mark.parametrize(("claims", "did", "why"), REFUSALS.values(), ids=REFUSALS)
async def test_refused_attempts_are_in_the_list(
    exchange: Exchange, members: SimpleNamespace, she: Visitor, claims: dict[str, Any], did: str, why: str
) -> None:
    await exchange.open(members.practice)
    await ask(exchange, members.post, **claims)
    said = text((await she.get("/mine")).text)
    assert did in said
    assert why.lower() in said.lower()


async def test_an_objection_that_closed_is_told_to_her(
    exchange: Exchange, members: SimpleNamespace, she: Visitor
) -> None:
    await exchange.open(members.practice)
    token = await exchange.token(members.practice)
    deny = members.practice.consent(US, permit=False, requesters=("gp-care",))
    assert (await exchange.call("POST", "/Consent", by=members.practice, token=token, resource=deny)).status == 201
    await ask(exchange, members.post)
    said = text((await she.get("/mine")).text)
    assert "Data asked for, nothing seen" in said
    assert "You objected to this." in said


async def test_nobody_reads_about_somebody_else(exchange: Exchange, members: SimpleNamespace, she: Visitor) -> None:
    await exchange.open(members.practice, patient=THEM)
    await ask(exchange, members.post, THEM)
    for path in ("/mine", "/mine/known", "/mine/choices", "/mine/print", "/mine/who-looked.json"):
        page = await she.get(path)
        assert page.status_code == 200, path
        assert "90000301" not in page.text, path
        assert "90000101" not in page.text, path


PATHS = ("/mine", "/mine/print", "/mine/who-looked.json", "/mine/known", "/mine/choices", "/mine/notices")


@pytest.mark.parametrize("path", PATHS)
async def test_the_pages_are_for_the_patient_only(desk: AtDesk, path: str) -> None:
    async with desk.visitor() as nobody, desk.visitor() as operator:
        away = await nobody.get(path)
        assert (away.status_code, away.headers["location"][:7]) == (303, "/digid?")
        await operator.log_in("test-reviewer")
        assert (await operator.get(path)).status_code == 403


@pytest.mark.parametrize("path", PATHS)
async def test_no_number_of_hers_is_on_a_page_or_in_its_addresses(
    exchange: Exchange, members: SimpleNamespace, she: Visitor, path: str
) -> None:
    await exchange.open(members.practice)
    await ask(exchange, members.post)
    await she.post("/mine/notices", subjects="asked", proof=await _proof(she))
    assert US not in (await she.get(path)).text


async def _proof(she: Visitor) -> str:
    await she.get("/mine/notices")
    return she.proof


async def test_reading_is_journaled_and_her_own_lines_are_folded(desk: AtDesk, she: Visitor) -> None:
    for _ in range(3):
        await she.get("/mine")
    read = await desk.lines(Event.JOURNAL_READ)
    assert [line.fields["reader"] for line in read] == ["patient"] * 3
    said = text((await she.get("/mine")).text)
    assert said.count("You opened this page") == 1
    assert "You opened this page, 4 lines in a row" in said


async def test_an_operators_look_is_told_and_not_folded(desk: AtDesk, she: Visitor) -> None:
    from gateway.flows import sitting
    from gateway.rules.identifiers import Bsn
    from gateway.rules.people import OperatorSits

    key = desk.means.keys.patient(Bsn(US))
    await sitting.note_look(desk.means, OperatorSits("test-operator", frozenset()), key, looked_at="/calls", shown=1)
    said = text((await she.get("/mine")).text)
    assert "Operator looked at lines about you" in said
    assert "Operator test-operator looked at the ways" in said


async def test_a_filter_shows_its_kind_and_period_only(
    exchange: Exchange, members: SimpleNamespace, she: Visitor
) -> None:
    await exchange.open(members.practice)
    await ask(exchange, members.post)
    asked = text((await she.get("/mine?subject=asked")).text)
    assert "Data asked for and seen" in asked
    assert "Data registered" not in asked
    assert "There is nothing here." in text((await she.get("/mine?until=2020-01-01")).text)
    assert "Data asked for and seen" in text((await she.get("/mine?since=2020-01-01&until=2999-01-01")).text)


@pytest.mark.parametrize(
    "query", ["subject=nonsense", "since=yesterday", "before=0", "since=0001-01-01", "until=9999-12-31"]
)
async def test_a_filter_that_is_none_is_refused(she: Visitor, query: str) -> None:
    assert (await she.get(f"/mine?{query}")).status_code == 400


async def test_the_file_holds_every_field_she_may_see(
    exchange: Exchange, members: SimpleNamespace, she: Visitor
) -> None:
    await exchange.open(members.practice)
    await ask(exchange, members.post)
    answer = await she.get("/mine/who-looked.json?subject=asked")
    assert answer.headers["content-disposition"] == 'attachment; filename="who-looked.json"'
    entry = json.loads(answer.text)["entries"][0]
    assert (entry["event"], entry["outcome"], entry["who"]["role"]) == ("query-decided", "saw", "01.015")
    assert [(part["gave"], part["row"], part["basis"]) for part in entry["data"]] == [("seen", "REG-1", "consent")]
    assert "contact" not in entry["fields"], "routing is not the patient's"
    assert "interaction" not in entry["fields"]


async def test_where_her_data_is_known(exchange: Exchange, members: SimpleNamespace, she: Visitor) -> None:
    assert "No data of yours are registered." in text((await she.get("/mine/known")).text)
    await exchange.open(members.practice)
    token = await exchange.token(members.practice)
    entry = members.practice.entry(category="enrolment")
    assert (await exchange.call("POST", "/List", by=members.practice, token=token, resource=entry)).status == 201
    said = text((await she.get("/mine/known")).text)
    assert "GP of record Test 90000101 , since" in said
    assert "Test 90000101 GP summary" in said


async def test_a_name_that_is_script_is_shown_as_text_once_escaped(
    exchange: Exchange, desk: AtDesk, members: SimpleNamespace, she: Visitor
) -> None:
    hostile = replace(members.post.organisation, name='<script>alert(1)</script>" & Co')
    await exchange.gateway.means.ledger.commit(lambda tx: register.put_organisation(tx, hostile))
    await exchange.open(members.practice)
    token = await exchange.token(members.practice)
    deny = members.practice.consent(US, permit=False, requesters=(members.post.ura,))
    await she.get("/mine/choices")
    assert (await exchange.call("POST", "/Consent", by=members.practice, token=token, resource=deny)).status == 201
    await ask(exchange, members.post)
    said = re.findall(r'name="back" value="([^"]+)"', (await she.get("/mine/choices")).text)
    effect = await she.post("/mine/choices/effect", back=said[0])
    for page in (effect.text, (await she.get("/mine/choices")).text, (await she.get("/mine")).text):
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34; &amp; Co" in page
        assert "&amp;amp;" not in page
        assert "&amp;lt;" not in page
