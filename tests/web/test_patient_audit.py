"""Can a patient take her own log along as AuditEvents, whole, page by page, and nobody another's?"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from desk_made import AtDesk, Visitor, open_desk
from exchange_made import SEARCHES, THEM, US, Exchange
from fhir.resources.R4B.auditevent import AuditEvent
from fhir.resources.R4B.bundle import Bundle

from gateway.rules.journal import Event

PATH = "/mine/audit-events"


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AsyncIterator[AtDesk]:
    yield await open_desk(exchange)


@pytest_asyncio.fixture
async def she(desk: AtDesk) -> AsyncIterator[Visitor]:
    async with desk.visitor() as visitor:
        assert (await visitor.log_in_patient()).status_code == 303
        yield visitor


async def happened(exchange: Exchange, members: SimpleNamespace) -> None:
    """One disclosure and one refusal about her, one disclosure about somebody else."""
    await exchange.open(members.practice)
    await exchange.open(members.practice, patient=THEM)
    for patient, claims in ((US, {}), (US, {"cover": False}), (THEM, {})):
        token = await exchange.doctor(members.post, patient, **claims)
        form = [(name, value.replace(US, patient)) for name, value in SEARCHES["Bundle"]]
        await exchange.call("POST", "/Bundle/_search", by=members.post, token=token, form=form)


def events(page: Any) -> list[str]:
    assert page.status_code == 200
    assert page.headers["content-type"] == "application/fhir+json"
    bundle = json.loads(page.text)
    Bundle.model_validate(bundle)
    resources = [one["resource"] for one in bundle.get("entry", [])]
    for resource in resources:
        AuditEvent.model_validate(resource)
    return [resource["subtype"][0]["code"] for resource in resources]


def following(page: Any) -> str | None:
    return next((one["url"] for one in json.loads(page.text)["link"] if one["relation"] == "next"), None)


async def test_everything_about_her_is_there_refusals_too(
    exchange: Exchange, members: SimpleNamespace, she: Visitor
) -> None:
    await happened(exchange, members)
    page = await she.get(PATH)
    told = events(page)
    assert {"disclosed", "query-decided", "query-answered", "query-refused", "consent-stated"} <= set(told)
    assert told.count("disclosed") == 1, "the other patient's is not hers"
    assert told.index("query-refused") < told.index("disclosed"), "newest first"
    assert THEM not in page.text
    assert json.loads(page.text)["total"] == len(told)
    assert "attachment" in page.headers["content-disposition"]


async def test_page_by_page_it_is_the_same(exchange: Exchange, members: SimpleNamespace, she: Visitor) -> None:
    await happened(exchange, members)
    whole = events(await she.get(PATH))
    page = await she.get(PATH, params={"_count": "3"})
    found = events(page)
    assert found[0] == Event.JOURNAL_READ, "reading it was journaled before it was given"
    while (url := following(page)) is not None:
        assert US not in url
        page = await she.get(url)
        found += events(page)
    assert found[1:] == whole


async def test_dates_are_those_of_a_fhir_search(exchange: Exchange, members: SimpleNamespace, she: Visitor) -> None:
    await happened(exchange, members)
    assert events(await she.get(PATH, params={"date": "lt2020"})) == []
    assert len(events(await she.get(PATH, params=[("date", "ge2020"), ("date", "lt2100")]))) > 5


@pytest.mark.parametrize("query", ["date=yesterday", "_count=0", "_count=201", "before=0", "before=x"])
async def test_what_means_nothing_is_refused(she: Visitor, query: str) -> None:
    assert (await she.get(f"{PATH}?{query}")).status_code == 400


async def test_nobody_else_gets_it(desk: AtDesk) -> None:
    async with desk.visitor() as nobody, desk.visitor() as operator:
        assert (await nobody.get(PATH)).headers["location"].startswith("/digid")
        await operator.log_in("test-operator")
        assert (await operator.get(PATH)).status_code in (303, 403)
