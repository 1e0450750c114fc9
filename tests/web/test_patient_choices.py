"""Does a choice made on the page do what it showed, at once, and nothing that was not shown? Also: what she is told."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from desk_made import AtDesk, Visitor, open_desk
from exchange_made import THEM, US, Exchange
from test_patient import ask, text

from gateway.flows import operating, tell_me
from gateway.rules.exchange import Regime
from gateway.rules.journal import Event
from gateway.rules.network import RegimeSwitch


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AsyncIterator[AtDesk]:
    yield await open_desk(exchange)


@pytest_asyncio.fixture
async def she(desk: AtDesk) -> AsyncIterator[Visitor]:
    async with desk.visitor() as visitor:
        assert (await visitor.log_in_patient()).status_code == 303
        await visitor.get("/mine/choices")
        yield visitor


def hidden(page: str) -> dict[str, Any]:
    """What the form on the page that shows an effect would post."""
    form = page[page.index('action="/mine/choices"') :]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form)
    return {
        name: [v for n, v in found if n == name] if name in ("categories", "groups") else value for name, value in found
    }


async def foresee(she: Visitor, **form: Any) -> str:
    answer = await she.post("/mine/choices/effect", **form)
    assert answer.status_code == 200, answer.text
    return answer.text


async def save(she: Visitor, **form: Any) -> str:
    """Look at the effect, save, and follow to the page after it."""
    page = await foresee(she, **form)
    answer = await she.post("/mine/choices", **hidden(page))
    assert answer.status_code == 303, answer.text
    return text((await she.get(answer.headers["location"])).text)


async def total(exchange: Exchange, who: Any) -> int:
    return int((await ask(exchange, who)).json["total"])


async def test_a_choice_saved_bites_on_the_next_request(
    exchange: Exchange, members: SimpleNamespace, she: Visitor
) -> None:
    await exchange.open(members.practice)
    assert await total(exchange, members.post) == 1
    shown = text(await foresee(she, say="no", groups=["gp-care"]))
    assert "Then the GP post (no emergency) will not see this: GP summary (Test 90000101)" in shown, shown
    assert await total(exchange, members.post) == 1, "looking changes nothing"
    assert "Your choice was saved and holds now." in await save(she, say="no", groups=["gp-care"])
    assert await total(exchange, members.post) == 0


async def test_the_ambulance_will_then_not_see(
    exchange: Exchange, desk: AtDesk, members: SimpleNamespace, she: Visitor
) -> None:
    await exchange.open(members.practice)
    switch = RegimeSwitch(Regime.EMERGENCY_AVAILABLE, True, desk.clock(), "operator", "test")
    await operating.switch_regime(desk.means, switch)
    answer = await she.post("/mine/choices/effect", headers={"accept-language": "nl"}, say="no", groups=["ambulance"])
    shown = text(answer.text)
    assert "Dit verandert direct" in shown
    assert "Dan ziet de ambulance dit niet: samenvatting van de huisarts (Test 90000101)" in shown
    assert "spoedeisende hulp dit niet" not in shown


async def test_nobody_ends_the_entries_and_says_so_before(
    exchange: Exchange, members: SimpleNamespace, she: Visitor
) -> None:
    await exchange.open(members.practice)
    assert "What is unregistered at once" in text(await foresee(she, preset="nothing"))
    await save(she, preset="nothing")
    assert "No data of yours are registered." in text((await she.get("/mine/known")).text)


async def test_a_statement_is_taken_back_from_the_list(
    exchange: Exchange, members: SimpleNamespace, she: Visitor
) -> None:
    await exchange.open(members.practice)
    page = (await she.get("/mine/choices")).text
    said = re.search(r'name="back" value="([^"]+)"', page)
    assert said
    shown = text(await foresee(she, back=said[1]))
    assert (
        "I withdraw my yes; that counts as a no : all data; of Test 90000101; for everybody who treats me" in shown
        or ("I withdraw my yes" in shown)
    )
    await save(she, back=said[1])
    assert await total(exchange, members.post) == 0
    gone = await she.post("/mine/choices/effect", back=said[1])
    assert gone.status_code == 400, "it is not in force any more"


async def test_what_changed_after_the_effect_was_shown_is_shown_again(
    exchange: Exchange, desk: AtDesk, members: SimpleNamespace, she: Visitor
) -> None:
    form = hidden(await foresee(she, preset="everything"))
    await exchange.open(members.practice)
    answer = await she.post("/mine/choices", **form)
    assert answer.status_code == 409
    assert "Something changed meanwhile." in text(answer.text)
    assert len(await desk.lines(Event.CONSENT_STATED)) == 1, "only the practice's"
    assert (await she.post("/mine/choices", **hidden(answer.text))).status_code == 303


NOT_TAKEN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "two at once": {"preset": "everything", "say": "yes"},
    "a word that is none": {"say": "maybe"},
    "withdrawn, out of nothing": {"say": "withdrawn"},
    "cleared, out of nothing": {"say": "cleared"},
    "a category that is none": {"say": "yes", "categories": ["everything"]},
    "the enrolment": {"say": "yes", "categories": ["enrolment"]},
    "a group that is none": {"say": "yes", "groups": ["municipality"]},
    "a custodian that is none": {"say": "yes", "custodian": "1234"},
    "a statement that is none": {"back": "nonsense"},
    "a preset that is none": {"preset": "most"},
}


@pytest.mark.parametrize("form", NOT_TAKEN.values(), ids=NOT_TAKEN)
async def test_what_is_no_choice_is_not_taken(desk: AtDesk, she: Visitor, form: dict[str, Any]) -> None:
    assert (await she.post("/mine/choices/effect", **form)).status_code == 400
    assert (await she.post("/mine/choices", version="0", **form)).status_code == 400
    assert await desk.lines(Event.CONSENT_STATED) == []


POSTED = ("/mine/choices", "/mine/choices/effect", "/mine/choices/agree", "/mine/choices/drop", "/mine/notices")


@pytest.mark.parametrize("path", POSTED)
async def test_nothing_is_posted_without_proof_or_login(desk: AtDesk, she: Visitor, path: str) -> None:
    assert (await she.post(path, proof="foreign", preset="nothing", version="0")).status_code == 403
    async with desk.visitor() as nobody, desk.visitor() as operator:
        await nobody.get("/login")
        assert (await nobody.post(path, preset="nothing", version="0")).status_code == 401
        await operator.log_in("test-operator")
        assert (await operator.post(path, preset="nothing", version="0")).status_code == 403
    assert await desk.lines(Event.CONSENT_STATED) == []


async def test_a_child_and_parent_agree_on_a_yes(desk: AtDesk) -> None:
    async with desk.visitor() as parent, desk.visitor() as child:
        assert (await parent.log_in_patient("a-child", "parent")).status_code == 303
        await parent.get("/mine/choices")
        assert "A yes you save here is put to the child." in text(parent.page)
        said = await save(parent, preset="everything")
        assert "It holds only when the other one says yes" in said
        assert "I agree" not in said, "not to one's own"
        assert await desk.lines(Event.CONSENT_STATED) == []
        assert (await child.log_in_patient("a-child", "patient")).status_code == 303
        page = (await child.get("/mine/choices")).text
        assert "Proposed by: parent" in text(page)
        form = page[page.index('action="/mine/choices/agree"') :]
        given = dict(re.findall(r'name="(id|version)" value="([^"]*)"', form)[:2])
        agreed = await child.post("/mine/choices/agree", **given)
        assert agreed.headers["location"] == "/mine/choices?ended=saved"
        (line,) = await desk.lines(Event.CONSENT_STATED)
        assert (line.fields["by"], line.fields["method"]) == (["parent", "patient"], "online")
        again = await child.post("/mine/choices/agree", **given)
        assert "Something changed meanwhile." in text(again.text)


async def test_a_parent_is_turned_away_from_the_16th_birthday_on(desk: AtDesk) -> None:
    async with desk.visitor() as parent:
        await parent.log_in_patient("a-child", "parent")
        assert (await parent.get("/mine")).status_code == 200
        birthday = desk.clock().replace(year=2028, month=6, day=2)
        await operating.set_clock(desk.means, birthday, by="test")
        for path in ("/mine", "/mine/who-looked.json", "/mine/choices"):
            assert (await parent.get(path)).status_code == 403, path
        refused = await parent.post("/mine/choices", proof=parent.proof, preset="nothing", version="0")
        assert refused.status_code == 403
        assert await desk.lines(Event.CONSENT_STATED) == []


async def test_mail_is_wished_for_and_names_three_digits(
    exchange: Exchange, desk: AtDesk, members: SimpleNamespace, she: Visitor
) -> None:
    await she.get("/mine/notices")
    kept = await she.post("/mine/notices", subjects=["asked", "technical"])
    assert "Kept." in text((await she.get(kept.headers["location"])).text)
    await exchange.open(members.practice)
    await ask(exchange, members.post)
    await ask(exchange, members.post, THEM)
    await tell_me.tell(desk.means.ledger)
    page = (await she.get("/mine/notices")).text
    assert text(page).count("Data were asked for about the number ending in " + US[-3:]) == 1
    assert US not in page
    checked = re.findall(r'name="subjects" value="(\w+)" checked', page)
    assert checked == ["asked"]
