"""Does an operator see in ten seconds whether care is served, and in sixty what went wrong with one call?"""

from __future__ import annotations

import ast
import html
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import console_made as made
import httpx
import pytest
import pytest_asyncio
from desk_made import AtDesk, Visitor, open_desk
from exchange_made import US, Exchange
from hypothesis import given
from hypothesis import strategies as st

from gateway.flows.tallying import Totals
from gateway.rules.finding import Outcome
from gateway.rules.journal import FIELDS, Event
from gateway.web import plots
from gateway.web.console import served, span
from gateway.web.console_filters import read_filters
from gateway.web.desk import desk_app
from gateway.web.language import words_of
from gateway.web.plots import Mark, Series


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AtDesk:
    return await open_desk(exchange)


@pytest_asyncio.fixture
async def viewer(desk: AtDesk) -> AsyncIterator[Visitor]:
    async with desk.visitor() as visitor:
        yield await visitor.log_in("test-viewer")


async def write(desk: AtDesk, *calls: made.Made) -> None:
    await desk.means.ledger.commit(lambda tx: made.write(tx, calls))


def plain(page: str) -> str:
    """The page's words without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


SLOW = made.leg("90000201", "timed-out", 4000.0, detail="no whole answer in time")


# --- who may look ----------------------------------------------------------------------------------------------------

PAGES = ("/", "/log", "/log/events?after=0", "/calls/00000000-0000-4000-8000-000000000001")


@pytest.mark.parametrize("path", PAGES)
async def test_nobody_looks_without_sitting_down(desk: AtDesk, path: str) -> None:
    async with desk.visitor() as stranger:
        answer = await stranger.get(path, headers={"accept": "text/event-stream"} if "events" in path else None)
    assert answer.status_code in (303, 401)
    assert "badge" not in answer.text


@pytest.mark.parametrize("path", PAGES)
async def test_a_patient_does_not_look_at_the_console(desk: AtDesk, path: str) -> None:
    async with desk.visitor() as patient:
        await patient.log_in_patient()
        answer = await patient.get(path)
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/", "/log", "/log/events?after=0"])
async def test_only_looking_is_offered(viewer: Visitor, path: str) -> None:
    assert (await viewer.post(path)).status_code == 405


# --- now -------------------------------------------------------------------------------------------------------------


async def test_the_front_page_counts_the_last_hour_by_kind_and_outcome(desk: AtDesk, viewer: Visitor) -> None:
    old = made.refused(wall=datetime.now(UTC) - timedelta(hours=2))
    hospital = {"organisation": "90000401", "organisation_type": "V4"}
    await write(
        desk,
        made.answered([made.leg()], purpose="ETREAT"),
        made.answered([made.leg(), SLOW], completeness="partial"),
        made.answered([]),
        made.refused(),
        made.failed([SLOW]),
        made.answered([made.leg()], who=hospital),
        old,
    )
    page = plain((await viewer.get("/")).text)
    assert re.search(r"GP post 1 1 1 1 1 5 0\.08", page)
    assert re.search(r"hospital 1 0 0 0 0 1 0\.02", page)
    assert "6 in the last hour." in page
    assert "1 of 6 calls as emergencies." in page
    # five were allowed, one of them failed
    assert re.search(r"Served \(%\) 80 1 failed, 1 partial", page)


async def test_the_front_page_names_the_source_in_trouble_first(desk: AtDesk, viewer: Visitor) -> None:
    await write(desk, *(made.answered([made.leg(), SLOW], completeness="partial") for _ in range(6)))
    page = plain((await viewer.get("/")).text)
    broken, well = page.index("90000201 · 201"), page.index("90000101 · 101")
    assert broken < well
    assert re.match(r".{0,40}failing 0 6 × did not answer in time", page[broken + 14 :])
    assert "well 6 –" in page[well:]


async def test_without_any_call_the_front_page_says_so(viewer: Visitor) -> None:
    page = plain((await viewer.get("/")).text)
    assert "0 in the last hour. None for five minutes." in page
    assert "No source was asked" in page


async def test_the_front_page_tells_which_check_fails(exchange: Exchange) -> None:
    async def full() -> str | None:
        return "the disk is nearly full"

    found = await open_desk(exchange)
    broken = replace(found, app=desk_app(replace(found.desk, checks={"disk": full})))
    async with broken.visitor() as visitor:
        await visitor.log_in("test-viewer")
        page = plain((await visitor.get("/")).text)
    assert "The switchpoint is not ready: disk." in page
    assert "disk : the disk is nearly full" in page


def test_a_wholly_refused_hour_has_no_share_served() -> None:
    assert served(Totals({(None, Outcome.REFUSED): 4}, 4, 0, None, None)) is None


SPANS = {0.0: "0 s", 59.9: "59 s", 60: "1 min", 3599: "59 min", 3600: "1 h", 86_400: "1 d", 200_000: "2 d"}


@pytest.mark.parametrize("seconds", SPANS)
def test_a_span_is_told_in_its_largest_unit(seconds: float) -> None:
    assert span(words_of("en"), seconds) == SPANS[seconds]


# --- one call --------------------------------------------------------------------------------------------------------


async def test_one_call_tells_decision_legs_and_what_was_dropped(desk: AtDesk, viewer: Visitor) -> None:
    legs = [made.leg(ms=12), SLOW, made.leg("90000102", ms=900)]
    call = made.answered(legs, completeness="partial", dropped=["90000102"])
    await write(desk, call)
    page = plain((await viewer.get(f"/calls/{call.chain}")).text)
    assert "P-a1b2c3d4" in page
    assert re.search(r"90000101 101 permitted REG-1: A covering GP at a GP post", page)
    assert re.search(r"90000201 201 did not answer in time 4000 0 no whole answer in time", page)
    assert re.search(r"90000102 102 answered 900 0 – ✕ dropped at release", page)
    assert page.count("dropped at release") == 1


async def test_a_refused_call_tells_the_rule_s_sentence_and_what_was_missing(desk: AtDesk, viewer: Visitor) -> None:
    call = made.refused("no-cover", cover=False)
    await write(desk, call)
    page = plain((await viewer.get(f"/calls/{call.chain}")).text)
    assert "The rule holds only for declared cover of the patient" in page
    assert re.search(
        r"REG-1 regime, kind of organisation, department, category, role, contact, ride, emergency cover", page
    )
    assert "do not suffice" not in page


async def test_a_look_at_one_call_is_written_where_the_patient_sees_it(desk: AtDesk, viewer: Visitor) -> None:
    call = made.refused()
    await write(desk, call)
    await viewer.get(f"/calls/{call.chain}")
    (look,) = await desk.lines(Event.OPERATOR_LOOKED)
    assert look.patient == made.PATIENT
    assert dict(look.fields) == {"by": "test-viewer", "looked_at": "/calls/{initial}", "shown": 1}


NOT_CALLS = ("00000000-0000-4000-8000-ffffffffffff", "nonsense", "%27", "0" * 300)


@pytest.mark.parametrize("initial", NOT_CALLS)
async def test_a_call_nobody_made_is_not_found(desk: AtDesk, viewer: Visitor, initial: str) -> None:
    answer = await viewer.get(f"/calls/{initial}")
    assert answer.status_code == 404
    assert await desk.lines(Event.OPERATOR_LOOKED) == []


def texts(page: str) -> tuple[str, str]:
    found = [html.unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.S)]
    assert len(found) == 2
    return found[0], found[1]


async def test_a_call_can_be_copied_as_curl(desk: AtDesk, viewer: Visitor) -> None:
    call = made.answered([made.leg()])
    await write(desk, call)
    curl, _ = texts((await viewer.get(f"/calls/{call.chain}")).text)
    words = shlex.split(curl[curl.index("curl ") :].replace("\\\n", " "))
    assert words[-1].endswith("/fhir/Bundle/_search")
    data = [words[at + 1] for at, word in enumerate(words) if word == "--data-urlencode"]
    assert data == [
        "composition.patient.identifier=http://fhir.nl/fhir/NamingSystem/bsn|$BSN",
        "composition.type=http://loinc.org|60591-5",
    ]
    assert 'BSN="${SWITCHPOINT_BSN:?' in curl


COPIED = {
    "answered": (made.answered([made.leg()]), "answer.status_code == 200"),
    "refused": (made.refused(), '"no-cover" in answer.text'),
    "failed": (made.failed([SLOW]), "answer.status_code in (502, 503, 504)"),
}


@pytest.mark.parametrize("case", COPIED)
async def test_a_call_can_be_copied_as_a_test(desk: AtDesk, viewer: Visitor, case: str) -> None:
    call, expected = COPIED[case]
    await write(desk, call)
    _, scenario = texts((await viewer.get(f"/calls/{call.chain}")).text)
    tree = ast.parse(scenario)
    assert any(isinstance(node, ast.FunctionDef) and node.name == "test_call_again" for node in tree.body)
    names = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ast.literal_eval(names["CLAIMS"])["role"] == "01.015"
    assert expected in scenario


async def test_what_a_token_named_cannot_leave_its_string(desk: AtDesk, viewer: Visitor) -> None:
    """A department is the token's own word: it comes back as data, in the page and in the copied test."""
    evil = "'''\"\"\"</pre><script>alert(1)</script>\\"
    call = made.refused("not-authorised", department=evil)
    await write(desk, call)
    page = (await viewer.get(f"/calls/{call.chain}")).text
    assert "<script>alert" not in page
    _, scenario = texts(page)
    body = ast.parse(scenario).body
    claims = next(
        node.value for node in body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "CLAIMS"
    )
    assert ast.literal_eval(claims)["department"] == evil


async def test_no_page_of_the_console_holds_a_number_or_a_key_of_a_patient(desk: AtDesk, viewer: Visitor) -> None:
    call = made.answered([made.leg()])
    await write(desk, call)
    for path in ("/", "/log", f"/calls/{call.chain}"):
        page = (await viewer.get(path)).text
        assert US not in page
        assert made.PATIENT.hex() not in page


@pytest.mark.parametrize("event", sorted(Event))
def test_every_field_an_operator_sees_of_a_call_has_a_word(event: Event) -> None:
    """Of the events a chain can hold; what is outside any call is never shown on a call's page."""
    if event.value.startswith(("query-", "disclosed", "localised", "message-", "call-", "token-")):
        for name in FIELDS[event].keys() - {"decisions", "legs", "error", "bytes"}:
            assert f"console.field.{name}" in words_of("nl").sentences, name


# --- filters ---------------------------------------------------------------------------------------------------------

_UUID = "00000000-0000-4000-8000-000000000abc"
READ = {
    "a chain": ({"chain": _UUID.upper()}, "chain", _UUID),
    "a whole AORTA-ID": ({"chain": f"initialRequestID={_UUID}; requestID={_UUID[:-1]}f"}, "chain", _UUID),
    "a kind": ({"kind": "gp-post"}, "kind", "gp-post"),
    "a row": ({"rule": "reg-1"}, "rule", "REG-1"),
    "a bar": ({"rule": "no-cover"}, "reason", "no-cover"),
    "an outcome": ({"outcome": "partial"}, "outcome", "partial"),
    "a failing leg": ({"failing": "timed-out"}, "failing", "timed-out"),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_a_filter_is_read(case: str) -> None:
    given, field, expected = READ[case]
    filters = read_filters(given, {})
    assert getattr(filters.search, field) == expected
    assert filters.wrong == ()


UNREAD = {
    "no chain": {"chain": "yesterday"},
    "no kind": {"kind": "hairdresser"},
    "no organisation": {"organisation": "nobody"},
    "no source": {"source": "nobody"},
    "no rule": {"rule": "DROP TABLE"},
    "no outcome": {"outcome": "PERMITTED"},
}


@pytest.mark.parametrize("case", UNREAD)
async def test_a_filter_that_means_nothing_shows_nothing_and_says_so(desk: AtDesk, viewer: Visitor, case: str) -> None:
    await write(desk, made.refused())
    answer = await viewer.get("/log", params=UNREAD[case])
    assert answer.status_code == 400
    assert "A filter means nothing" in answer.text
    assert "Test Post" not in answer.text
    assert read_filters(UNREAD[case], {}).wrong == tuple(UNREAD[case])


@given(st.dictionaries(st.sampled_from(["chain", "organisation", "kind", "rule", "source", "failing"]), st.text()))
def test_whatever_is_asked_for_is_read_or_told(params: dict[str, str]) -> None:
    filters = read_filters(params, {})
    assert set(filters.wrong) <= set(filters.given) <= set(params)
    httpx.URL("http://localhost/log" + filters.query())


# --- pictures --------------------------------------------------------------------------------------------------------


def drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=80))
def test_stacked_bars_are_as_high_as_their_numbers(values: list[tuple[int, int]]) -> None:
    svg = drawn(plots.bars("t", [Series("a", [a for a, _ in values]), Series("b", [b for _, b in values])], []))
    rects = svg.findall("rect")
    assert len(rects) == sum((a > 0) + (b > 0) for a, b in values)
    total = sum(float(one.attrib["height"]) for one in rects)
    scale = (190 - 10 - 24) / plots.nice(max(a + b for a, b in values))
    assert total == pytest.approx(scale * sum(a + b for a, b in values), abs=0.06 * len(rects) + 0.01)
    assert all(float(one.attrib["y"]) >= 9.9 for one in rects)
    tops = {(one.attrib["x"], one.attrib["class"]): float(one.attrib["y"]) for one in rects}
    for one in rects:
        if one.attrib["class"] == "b" and (one.attrib["x"], "a") in tops:
            foot = float(one.attrib["y"]) + float(one.attrib["height"])
            assert foot == pytest.approx(tops[one.attrib["x"], "a"], abs=0.15)


def test_a_line_breaks_where_there_is_nothing_and_a_lone_value_is_a_dot() -> None:
    svg = drawn(plots.lines("t", [Series("p50", [1, 2, None, 3, None, None, 4, 5])], [Mark(0, "00:00")]))
    assert len(svg.findall("polyline")) == 2
    assert len(svg.findall("circle")) == 1


@given(st.floats(min_value=0, max_value=1e9))
def test_an_axis_holds_its_value_and_is_not_much_longer(value: float) -> None:
    top = plots.nice(value)
    assert top >= value
    assert top / 4 == int(top / 4)
    assert value < 4 or top <= 2.5 * value


@pytest.mark.parametrize("text", ['"><script>alert(1)</script>', "a & b", "\x00", "<title>"])
def test_what_is_written_in_a_picture_is_text(text: str) -> None:
    svg = plots.spans(text, [(text, "answered", 0, 10)], 10, "ms")
    assert "<script" not in svg
    assert "style=" not in svg
    if "\x00" not in text:
        assert drawn(svg).attrib["aria-label"] == text


def test_no_picture_has_a_style_attribute() -> None:
    code = Path(plots.__file__).read_text("utf-8")
    assert "style=" not in code
