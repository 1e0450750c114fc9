"""Can a custodian read on, page by page, what happened with its own data? And nobody else, whatever link they hold?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from exchange_made import THEM, US, Exchange, Member, N, Reply
from fhir.resources.R4B.bundle import Bundle

from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Bsn, Ura
from gateway.rules.journal import Event, Line
from gateway.stores import journal

MANY = 23
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BASE = "https://exchange.test/fhir/AuditEvent"


@pytest_asyncio.fixture
async def told(exchange: Exchange, members: SimpleNamespace) -> Exchange:
    """MANY disclosures of this practice's data on this patient, one an hour from noon; and as many of others'."""
    keys = exchange.gateway.means.keys

    def disclosed(custodian: str, patient: PatientKey, hour: int) -> Line:
        at = NOON + timedelta(hours=hour)
        aorta = AortaId(f"chain-{hour}", f"request-{hour}")
        return Line(Event.DISCLOSED, at, at, aorta, patient, Ura(custodian), Ura(members.post.ura), {"row": "REG-1"})

    def unit(tx: Any) -> None:
        for hour in range(MANY):
            for custodian, bsn in ((members.practice, US), (members.practice_2, US), (members.practice, THEM)):
                journal.append(tx, disclosed(custodian.ura, keys.patient(Bsn(bsn)), hour))

    await exchange.gateway.means.ledger.commit(unit)
    return exchange


async def search(exchange: Exchange, by: Member, *more: tuple[str, str], patient: str = US) -> Reply:
    token = await exchange.token(by, patient=patient)
    form = [("patient.identifier", f"{N}bsn|{patient}"), *more]
    return await exchange.call("POST", "/AuditEvent/_search", by=by, token=token, form=form)


async def follow(exchange: Exchange, by: Member, url: str, patient: str | None = US) -> Reply:
    assert url.startswith("https://exchange.test/fhir/")
    token = await exchange.token(by, patient=patient)
    return await exchange.call("GET", url.removeprefix("https://exchange.test/fhir"), by=by, token=token)


def link(reply: Reply, relation: str) -> str | None:
    Bundle.model_validate(reply.json)
    found = [one["url"] for one in reply.json["link"] if one["relation"] == relation]
    assert len(found) <= 1
    return found[0] if found else None


def hours(reply: Reply) -> list[int]:
    """The hours of the disclosures shown, newest first, as their chains tell."""
    chains = [re.search(r"urn:uuid:chain-([0-9]+)", str(one)) for one in reply.resources]
    return [int(found[1]) for found in chains if found]


async def test_all_pages_together_are_everything_once_newest_first(told: Exchange, members: SimpleNamespace) -> None:
    page = await search(told, members.practice, ("_count", "5"))
    assert link(page, "self") == f"{BASE}/_search"
    found, pages = hours(page), 1
    while (url := link(page, "next")) is not None:
        assert re.fullmatch(re.escape(BASE) + r"/_page/[A-Za-z0-9.-]{62}", url)
        page = await follow(told, members.practice, url)
        assert page.status == 200
        assert link(page, "self") == url
        found, pages = found + hours(page), pages + 1
    assert found == list(range(MANY - 1, -1, -1))
    assert pages == 5


async def test_pages_do_not_shift_while_others_and_readers_go_on_writing(
    told: Exchange, members: SimpleNamespace
) -> None:
    first = await search(told, members.practice, ("_count", "5"))
    url = link(first, "next")
    assert url is not None
    once = await follow(told, members.practice, url)
    await search(told, members.practice)
    again = await follow(told, members.practice, url)
    assert hours(once) == hours(again) == list(range(MANY - 6, MANY - 11, -1))
    assert {page.json["total"] for page in (first, once, again)} == {MANY}


async def test_a_page_that_is_just_full_has_no_next(told: Exchange, members: SimpleNamespace) -> None:
    whole = await search(told, members.practice, ("_count", str(MANY)))
    assert (len(hours(whole)), link(whole, "next"), whole.json["total"]) == (MANY, None, MANY)
    assert link(await search(told, members.practice, ("_count", str(MANY))), "next") is not None, "it was read, too"


async def test_every_page_read_is_in_the_journal(told: Exchange, members: SimpleNamespace) -> None:
    url = link(await search(told, members.practice, ("_count", "20")), "next")
    assert url is not None
    await follow(told, members.practice, url)
    read = [line.fields["shown"] for line in await told.journal() if line.event is Event.JOURNAL_READ]
    assert read == [20, 3]


HOUR = "2026-11-20T{:02}:00:00Z"
WINDOWS: dict[str, tuple[list[str], list[int]]] = {
    "ge": (["ge" + HOUR.format(21)], list(range(22, 8, -1))),
    "gt": (["gt" + HOUR.format(21)], list(range(22, 9, -1))),
    "lt": (["lt" + HOUR.format(14)], [1, 0]),
    "le": (["le" + HOUR.format(14)], [2, 1, 0]),
    "eq": (["eq" + HOUR.format(14)], [2]),
    "no prefix": ([HOUR.format(14)], [2]),
    "both ends": (["ge" + HOUR.format(13), "lt" + HOUR.format(16)], [3, 2, 1]),
    "a Dutch day": (["2026-11-21"], list(range(22, 10, -1))),
    "nothing": (["lt2020"], []),
}


@pytest.mark.parametrize("case", WINDOWS)
async def test_a_stretch_of_time_over_all_its_pages(told: Exchange, members: SimpleNamespace, case: str) -> None:
    dates, expected = WINDOWS[case]
    page = await search(told, members.practice, ("_count", "2"), *(("date", one) for one in dates))
    total, found = page.json["total"], hours(page)
    while (url := link(page, "next")) is not None:
        page = await follow(told, members.practice, url)
        found += hours(page)
    # what reading itself writes is of today, and within a stretch without an end
    assert [hour for hour in found if hour < MANY] == expected
    assert total == len(expected)


async def test_a_link_is_of_use_to_its_reader_for_its_patient_only(told: Exchange, members: SimpleNamespace) -> None:
    url = link(await search(told, members.practice, ("_count", "5")), "next")
    assert url is not None
    page = url.rpartition("/")[2]
    broken = page[:-2] + ("A" if page[-2] != "A" else "B") + page[-1]
    attempts = {
        "another custodian of the same patient": (members.practice_2, url, US),
        "a requester": (members.post, url, US),
        "another patient": (members.practice, url, THEM),
        "changed by one character": (members.practice, f"{BASE}/_page/{broken}", US),
        "an entry's id": (members.practice, f"{BASE}/_page/{await told.open(members.practice)}", US),
        "nonsense": (members.practice, f"{BASE}/_page/x", US),
    }
    for name, (by, wanted, patient) in attempts.items():
        reply = await follow(told, by, wanted, patient)
        assert (reply.status, reply.code) == (404, "not-found"), name
    nobody = await follow(told, members.practice, url, None)
    assert (nobody.status, nobody.code) == (403, "token-patient-mismatch")
    assert (await follow(told, members.practice, url)).status == 200


async def test_no_link_names_the_patient_and_no_other_question_rides_along(
    told: Exchange, members: SimpleNamespace
) -> None:
    url = link(await search(told, members.practice, ("_count", "5")), "next")
    other = link(await search(told, members.practice, ("_count", "5"), patient=THEM), "next")
    assert url is not None
    assert other is not None
    assert US not in url
    token = await told.token(members.practice, patient=US)
    path = url.removeprefix("https://exchange.test/fhir")
    reply = await told.call("GET", path, by=members.practice, token=token, query="_count=100")
    assert (reply.status, reply.code) == (400, "not-supported")


async def test_another_custodian_sees_its_own(told: Exchange, members: SimpleNamespace) -> None:
    reply = await search(told, members.practice_2, ("_count", "100"))
    assert len(hours(reply)) == MANY
    assert members.practice.ura not in reply.body.decode()
    assert (await search(told, members.pharmacy)).json["total"] == 0
