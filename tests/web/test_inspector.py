"""What does the inspector show of a call, and what never? The real application in process, an operator at the desk."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from desk_made import AtDesk, Visitor, open_desk
from exchange_made import SEARCHES, US, Exchange, Member, N, open_exchange

from gateway.inspecting.describing import MASK
from gateway.inspecting.kept import FILE, Way
from gateway.inspecting.listening import Inspecting
from gateway.rules import people
from gateway.rules.exchange import Failing, Failure
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event
from gateway.web import desk as desk_module
from source_sim.pki import Pki
from source_sim.scenarios import reading
from source_sim.sentinels import SENTINELS

OWN = SENTINELS["all-open"].number
SENTINEL = people.TestPerson("all-open", Bsn(OWN), "Annelies Testbeek", sentinel=True)


@pytest_asyncio.fixture
async def inspected(tmp_path: Path, authority: Pki, members: SimpleNamespace) -> AsyncIterator[Exchange]:
    """An exchange with an inspector, also behind the scripted door."""
    opened = await open_exchange(tmp_path / "state", authority.directory, inspector=True)
    await opened.admit(*vars(members).values())
    listening = inspector_of(opened)
    means = replace(opened.gateway.means, sources=listening.behind(opened.door))
    opened.gateway = replace(opened.gateway, means=means, site=replace(opened.gateway.site, means=means))
    opened.app = opened.gateway.exchange()
    yield opened
    await opened.gateway.close()


def inspector_of(exchange: Exchange) -> Inspecting:
    found = exchange.gateway.inspecting
    assert found is not None
    return found


async def asked(exchange: Exchange, by: Member, number: str, **claims: Any) -> str:
    """A search for a GP summary; returns its chain, once it is written."""
    chain = str(uuid4())
    form = [(name, value.replace(US, number)) for name, value in SEARCHES["Bundle"]]
    token = await exchange.doctor(by, number, **claims)
    stamp = f"initialRequestID={chain}; requestID={uuid4()}"
    await exchange.call("POST", "/Bundle/_search", by=by, token=token, form=form, aorta_id=stamp)
    await written(exchange)
    return chain


async def written(exchange: Exchange) -> None:
    await inspector_of(exchange).recorder.settled()


@pytest_asyncio.fixture
async def desk(inspected: Exchange) -> AtDesk:
    opened = await open_desk(inspected)
    furnished = replace(opened.desk, persons=(SENTINEL, *opened.desk.persons))
    return replace(opened, desk=furnished, app=desk_module.desk_app(furnished))


@pytest_asyncio.fixture
async def operator(desk: AtDesk) -> AsyncIterator[Visitor]:
    async with desk.visitor() as visitor:
        await visitor.log_in("test-viewer")
        yield visitor


def shown(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


# --- what is shown ---------------------------------------------------------------------------------------------------


async def test_both_sides_of_a_call_are_shown(inspected: Exchange, members: SimpleNamespace, operator: Visitor) -> None:
    await inspected.open(members.practice, patient=OWN)
    chain = await asked(inspected, members.post, OWN)
    kept = await inspector_of(inspected).recorder.read(chain)
    assert [(one.way, one.party, one.status) for one in kept] == [(Way.IN, "90000301", 200), (Way.OUT, "90000101", 0)]
    page = shown((await operator.get(f"/calls/{chain}/messages")).text)
    for told in (
        "POST /fhir/Bundle/_search",
        "In, from",
        "Out, asked of",
        "Test 90000101",
        "aorta-id",
        '"rule": "REG-1"',
    ):
        assert told in page, told
    assert '"role": "01.015"' in page
    assert f"composition.patient.identifier: text of {len(N) + len('bsn|') + len(OWN)}" in page


async def test_the_call_s_own_page_leads_there(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor
) -> None:
    chain = await asked(inspected, members.post, OWN)
    assert f'href="/calls/{chain}/messages"' in (await operator.get(f"/calls/{chain}")).text


async def test_content_is_shown_of_an_own_person_and_of_no_outsider(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor
) -> None:
    chains = {number: await asked(inspected, members.post, number) for number in (OWN, US)}
    pages = {number: (await operator.get(f"/calls/{chain}/messages")).text for number, chain in chains.items()}
    assert '"type":"searchset"' in shown(pages[OWN])
    assert '"type":"searchset"' not in shown(pages[US])
    assert "The content is not shown" in shown(pages[US])
    assert "type: text of 9" in shown(pages[US])


@pytest.mark.parametrize("number", [pytest.param(OWN, id="own"), pytest.param(US, id="outsider")])
async def test_no_number_and_no_token_is_shown_or_kept(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor, number: str
) -> None:
    await inspected.open(members.practice, patient=number)
    await written(inspected)
    chain = await asked(inspected, members.post, number)
    page = (await operator.get(f"/calls/{chain}/messages")).text
    assert number not in page
    assert MASK in page
    files = [path.read_bytes() for path in inspected.gateway.settings.state_dir.glob(f"{FILE}*")]
    assert any(chain.encode() in one for one in files)
    assert not any(number.encode() in one or b"eyJ" in one for one in files)


async def test_a_source_that_gave_no_answer_is_told_with_the_reason(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor
) -> None:
    await inspected.open(members.practice, patient=OWN)
    inspected.door.answers[members.practice.ura] = Failure(Failing.TIMED_OUT, "no whole answer in time")
    chain = await asked(inspected, members.post, OWN)
    page = shown((await operator.get(f"/calls/{chain}/messages")).text)
    assert "no answer" in page
    assert "timed-out: no whole answer in time" in page


async def test_what_was_refused_at_the_door_is_shown_too(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor
) -> None:
    reply = await inspected.call("POST", "/Bundle/_search", by=members.post, form=SEARCHES["Bundle"])
    await written(inspected)
    chain = re.findall(r"initialRequestID=([^;]+)", reply.headers["aorta-id"])[0]
    page = (await operator.get(f"/calls/{chain}/messages")).text
    assert "401" in shown(page)
    assert US not in page


async def test_a_registration_is_inspected_without_a_patient_in_its_token(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor
) -> None:
    chain, practice = str(uuid4()), members.practice
    token = await inspected.token(practice)
    stamp = f"initialRequestID={chain}; requestID={uuid4()}"
    said = practice.consent(OWN)
    await inspected.call("POST", "/Consent", by=practice, token=token, resource=said, aorta_id=stamp)
    await written(inspected)
    page = (await operator.get(f"/calls/{chain}/messages")).text
    assert "patient-privacy" in shown(page)
    assert OWN not in page


# --- why, and again --------------------------------------------------------------------------------------------------


async def test_why_tells_the_row_that_permits_or_the_nearest(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor
) -> None:
    await inspected.open(members.practice, patient=OWN)
    granted = await asked(inspected, members.post, OWN)
    page = shown((await operator.get(f"/calls/{granted}/messages")).text)
    assert re.search(r"REG-1\s.*all fulfilled", page, re.S)
    uncovered = await asked(inspected, members.post, OWN, cover=False)
    page = shown((await operator.get(f"/calls/{uncovered}/messages")).text)
    assert re.search(r"REG-1\s[^\n]*What would have to change:\s+cover", page)


def told_again(page: str) -> reading.Read:
    found = re.search(r'<pre id="as-scenario"[^>]*>(.*?)</pre>', page, re.S)
    assert found, "no scenario on the page"
    return reading.parse(html.unescape(found[1]), Path("copied.scenario.yaml"))


async def test_the_call_as_a_scenario_can_be_read_and_says_what_came(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor
) -> None:
    await inspected.open(members.practice, patient=OWN)
    chain = await asked(inspected, members.post, OWN)
    scenario = told_again((await operator.get(f"/calls/{chain}/messages")).text).scenario
    step = scenario.when[0]
    assert scenario.given.patients["patient"].sentinel == "all-open"
    assert scenario.given.organisations["asker"].kind == "gp-post"
    assert (step.ask.what, step.ask.role, step.ask.cover) == ("gp-summary", "01.015", True)
    assert (step.then.completeness, step.then.row) == ("complete", "REG-1")


async def test_a_refusal_and_a_stranger_as_a_scenario(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor
) -> None:
    chain = await asked(inspected, members.hospital, US, department="SEH", role="01.071", cover=False, purpose="ETREAT")
    scenario = told_again((await operator.get(f"/calls/{chain}/messages")).text).scenario
    assert scenario.given.organisations["asker"].kind == "emergency-department"
    assert scenario.given.patients["patient"].sentinel is None
    assert (scenario.when[0].then.status, scenario.when[0].then.code) == (403, "not-authorised")


# --- who sees it -----------------------------------------------------------------------------------------------------


async def test_looking_is_written_down_for_the_patient(
    inspected: Exchange, members: SimpleNamespace, operator: Visitor, desk: AtDesk
) -> None:
    chain = await asked(inspected, members.post, OWN)
    await operator.get(f"/calls/{chain}/messages")
    looks = await desk.lines(Event.OPERATOR_LOOKED)
    assert [line.fields["looked_at"] for line in looks] == ["/calls/{initial}/messages"]


async def test_a_stranger_sees_nothing(inspected: Exchange, members: SimpleNamespace, desk: AtDesk) -> None:
    chain = await asked(inspected, members.post, OWN)
    async with desk.visitor() as visitor:
        came = await visitor.get(f"/calls/{chain}/messages")
        assert (came.status_code, came.headers["location"].partition("?")[0]) == (303, "/login")
        await visitor.log_in_patient()
        assert (await visitor.get(f"/calls/{chain}/messages")).status_code == 403


@pytest.mark.parametrize("chain", [str(uuid4()), "nonsense", f"{N}bsn"], ids=["unknown", "nonsense", "an-address"])
async def test_what_is_no_call_is_not_there(operator: Visitor, chain: str) -> None:
    assert (await operator.get(f"/calls/{chain}/messages")).status_code == 404


@pytest.mark.parametrize(
    ("simulation", "inspector"), [(False, True), (True, False)], ids=["no-simulation", "not-wanted"]
)
async def test_elsewhere_nothing_is_kept_and_there_is_no_page(
    tmp_path: Path, authority: Pki, members: SimpleNamespace, simulation: bool, inspector: bool
) -> None:
    settings = {"simulation": simulation, "inspector": inspector}
    exchange = await open_exchange(tmp_path / "state", authority.directory, **settings)
    try:
        await exchange.admit(*vars(members).values())
        await exchange.call("GET", "/metadata", by=members.post)
        assert exchange.gateway.inspecting is None
        assert not list(tmp_path.rglob(f"{FILE}*"))
        desk = await open_desk(exchange)
        assert "/calls/{initial}/messages" not in desk.desk.pages.offered
    finally:
        await exchange.gateway.close()
