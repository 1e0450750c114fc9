"""Do the pages keep what the frame promises? Two whole languages, safe headers, honest addresses, legible colours."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from desk_made import AtDesk, Visitor, open_desk
from exchange_made import Exchange
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, UndefinedError, nodes

from gateway.flows import operating
from gateway.rules.access import SENTENCES, Bar, Basis
from gateway.rules.choice import ConsentState, Method, Party, Say
from gateway.rules.exchange import (
    Capacity,
    Category,
    Completeness,
    ContactKind,
    Failing,
    Flag,
    Group,
    Kind,
    Purpose,
    Regime,
    View,
)
from gateway.rules.facts import BARRED_ROLES
from gateway.rules.journal import Event
from gateway.rules.message import MessageEvent, Reason, State
from gateway.rules.network import RegimeSwitch
from gateway.rules.people import Role
from gateway.rules.table import ROWS
from gateway.web.edge import MOST_BYTES, POLICY
from gateway.web.language import LANGUAGES, TwiceSaid, language, read_words, words_of
from gateway.web.pages import OPERATOR_PLACES, PATIENT_PLACES, Pages

WEB = Path(__file__).parent.parent.parent / "gateway" / "web"
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
NL, EN = words_of("nl").sentences, words_of("en").sentences


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AtDesk:
    return await open_desk(exchange)


@pytest_asyncio.fixture
async def visitor(desk: AtDesk) -> AsyncIterator[Visitor]:
    async with desk.visitor() as browser:
        yield browser


# --- words -----------------------------------------------------------------------------------------------------------


def places_in(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_both_languages_say_the_same_things() -> None:
    assert NL.keys() == EN.keys()
    assert {id for id in NL if places_in(NL[id]) != places_in(EN[id])} == set()
    assert all(sentence.strip() for sentence in [*NL.values(), *EN.values()])


def test_each_file_of_words_has_its_twin_and_is_in_order() -> None:
    files = {path.name for path in (WEB / "words").iterdir()}
    assert {name.replace("nl.json", "en.json") for name in files if name.endswith("nl.json")} == {
        name for name in files if name.endswith("en.json")
    }
    for path in (WEB / "words").iterdir():
        ids = re.findall(r'^  "([^"]+)":', path.read_text("utf-8"), re.M)
        assert ids == sorted(set(ids)), f"{path.name}: sorted, each once"


def test_the_same_id_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nl.json").write_text('{"a": "x"}')
    (tmp_path / "area.nl.json").write_text('{"a": "y"}')
    with pytest.raises(TwiceSaid, match=r"area\.nl\.json: a"):
        read_words(tmp_path, "nl")


def called_in_template(path: Path) -> Iterable[nodes.Node]:
    tree = Environment(autoescape=True).parse(path.read_text("utf-8"))
    return [call.args[0] for call in tree.find_all(nodes.Call) if getattr(call.node, "name", "") == "t" and call.args]


def ids_of(argument: nodes.Node) -> tuple[set[str], set[str]]:
    """The whole ids, and the beginnings of families, that an argument of `t` can be."""
    if isinstance(argument, nodes.Const):
        return {argument.value}, set()
    if isinstance(argument, nodes.Concat) and isinstance(argument.nodes[0], nodes.Const):
        return set(), {argument.nodes[0].value}
    if isinstance(argument, nodes.CondExpr):
        parts = [ids_of(argument.expr1), ids_of(argument.expr2)]
        return set().union(*(whole for whole, _ in parts)), set().union(*(family for _, family in parts))
    return set(), set()


def texts_in_code() -> tuple[set[str], set[str]]:
    """Every text, and every beginning of an f-string, in the code of the web."""
    texts, beginnings = set(), set()
    for path in WEB.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                beginnings.add(str(node.values[0].value))
    return texts, beginnings


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_id_a_template_says_exists(path: Path) -> None:
    for argument in called_in_template(path):
        whole, families = ids_of(argument)
        assert whole <= NL.keys(), path.name
        for family in families:
            assert any(id.startswith(family) for id in NL), f"{path.name}: {family}"


PLAIN = {
    *("role", "regime", "category", "kind", "group", "view", "purpose", "contact", "capacity", "basis", "say", "state"),
    *("party", "method", "failing", "completeness", "flag", "message", "message-state", "reason", "event", "uzi"),
    *("row", "bar", "weekday", "month"),
}
"""Families of words for codes; whether they are whole is tested below."""


def test_no_id_is_said_by_nobody() -> None:
    whole, families = texts_in_code()
    for path in TEMPLATES:
        for argument in called_in_template(path):
            said, begun = ids_of(argument)
            whole |= said
            families |= begun
    families |= {f"{kind}." for kind in PLAIN} | {f"{kind}." for kind in kinds_in_templates()}
    families = {family for family in families if "." in family}
    unsaid = {id for id in NL if id not in whole and not id.startswith(tuple(families))}
    assert unsaid == set()


def kinds_in_templates() -> set[str]:
    """Which kinds of codes templates ask a word for: `t.plain(code, "kind")`."""
    kinds = set()
    for path in TEMPLATES:
        for call in Environment(autoescape=True).parse(path.read_text("utf-8")).find_all(nodes.Call):
            if getattr(call.node, "attr", "") == "plain" and isinstance(call.args[-1], nodes.Const):
                kinds.add(str(call.args[-1].value))
    return kinds


def test_every_kind_of_code_that_is_asked_for_has_words() -> None:
    for kind in kinds_in_templates():
        assert any(id.startswith(f"{kind}.") for id in NL), kind


ENUMS: dict[str, type[StrEnum]] = {
    "role": Role,
    "regime": Regime,
    "category": Category,
    "kind": Kind,
    "group": Group,
    "view": View,
    "purpose": Purpose,
    "contact": ContactKind,
    "capacity": Capacity,
    "basis": Basis,
    "say": Say,
    "state": ConsentState,
    "party": Party,
    "method": Method,
    "failing": Failing,
    "completeness": Completeness,
    "flag": Flag,
    "message": MessageEvent,
    "message-state": State,
    "reason": Reason,
    "event": Event,
    "bar": Bar,
    "digid.party": Party,
    "frame.as": Party,
}


@pytest.mark.parametrize("kind", ENUMS)
def test_every_code_of_ours_has_a_word(kind: str) -> None:
    for code in ENUMS[kind]:
        assert f"{kind}.{code}" in NL, code


def test_the_rules_are_told_in_english_as_in_the_table() -> None:
    for row in ROWS:
        if row.id != "RET-2":  # one sentence for its two kinds of senders
            assert EN[f"row.{row.id}"] == row.sentence
        assert f"row.{row.id}" in NL
    for bar in Bar:
        assert EN[f"bar.{bar}"] == SENTENCES[bar]


def test_every_place_of_the_navigation_has_a_word() -> None:
    for place in (*OPERATOR_PLACES, *PATIENT_PLACES):
        assert place.word in NL


def test_a_code_without_a_word_is_shown_as_it_is() -> None:
    assert words_of("en").plain("99.999", "uzi") == "99.999"
    assert words_of("en").plain("01.015", "uzi") == "GP"


def test_an_unknown_id_and_a_missing_value_are_errors() -> None:
    with pytest.raises(KeyError):
        words_of("nl")("no.such.id")
    with pytest.raises(KeyError):
        words_of("nl")("frame.in-force")


WISHES = {
    "nothing": ((None, None), "", "nl"),
    "the address": (("en", "nl"), "nl", "en"),
    "the cookie": ((None, "en"), "nl", "en"),
    "a language we do not speak": (("fr", "xx"), "en", "en"),
    "the browser": ((None, None), "en-GB,en;q=0.9,nl;q=0.8", "en"),
    "the browser, Dutch first": ((None, None), "nl-BE, en;q=0.9", "nl"),
    "the browser, by weight": ((None, None), "nl;q=0.2, en;q=0.7", "en"),
    "the browser refuses one": ((None, None), "en;q=0, fr", "nl"),
    "the browser speaks neither": ((None, None), "fr, de;q=0.5, *;q=0.1", "nl"),
    "nonsense": ((None, None), ";;;q=,en;q=x,,=", "nl"),
}


@pytest.mark.parametrize("case", WISHES)
def test_whose_language_is_spoken(case: str) -> None:
    wishes, accepted, spoken = WISHES[case]
    assert language(*wishes, accepted=accepted) == spoken


@given(st.text(max_size=300))
def test_whatever_a_browser_sends_is_answered_in_a_language(accepted: str) -> None:
    assert language(accepted, accepted=accepted) in LANGUAGES


MOMENTS = {
    "winter": (datetime(2026, 11, 22, 2, 14, 5, tzinfo=UTC), "zo 22 nov 2026, 03:14", "Sun 22 Nov 2026, 03:14:05"),
    "summer": (datetime(2026, 7, 1, 22, 30, tzinfo=UTC), "do 2 jul 2026, 00:30", "Thu 2 Jul 2026, 00:30:00"),
    "new year": (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), "vr 1 jan 2027, 00:00", "Fri 1 Jan 2027, 00:00:00"),
}


@pytest.mark.parametrize("case", MOMENTS)
def test_times_are_dutch_times(case: str) -> None:
    at, dutch, english = MOMENTS[case]
    assert words_of("nl").moment(at) == dutch
    assert words_of("en").exactly(at) == english


# --- pages -----------------------------------------------------------------------------------------------------------


async def test_a_page_speaks_the_language_asked_for_and_remembers_it(visitor: Visitor) -> None:
    assert 'lang="en"' in (await visitor.get("/login")).text
    chosen = await visitor.get("/login?next=%2F&lang=nl")
    assert (chosen.headers["content-language"], "Wachtwoord" in chosen.text) == ("nl", True)
    assert 'href="?next=%2F&amp;lang=en"' in chosen.text, "what else was asked stays"
    assert "Wachtwoord" in (await visitor.get("/login")).text


async def test_every_answer_carries_the_policy(visitor: Visitor) -> None:
    await visitor.log_in()
    for path in ("/", "/login", "/nothing", "/health/live", "/metrics", "/static/none.css", "/digid", "/sim/clock"):
        headers = (await visitor.get(path)).headers
        assert headers["content-security-policy"] == POLICY, path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store", path
        assert "strict-transport-security" not in headers, "not where there is no TLS"


def test_the_policy_is_strict() -> None:
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "*" not in POLICY
    assert "http" not in POLICY


async def test_with_tls_browsers_are_told_to_keep_to_it(exchange: Exchange) -> None:
    desk = await open_desk(exchange, desk_host="0.0.0.0")
    async with desk.visitor(base="https://desk.test") as visitor:
        assert "max-age" in (await visitor.get("/login")).headers["strict-transport-security"]


async def test_files_are_kept_forever_under_the_name_of_their_content(visitor: Visitor) -> None:
    page = (await visitor.get("/login")).text
    addresses = re.findall(r'"(/static/[^"]+)"', page)
    assert len(addresses) >= 3
    for address in addresses:
        answer = await visitor.http.get(address)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        assert (
            answer.content
            == (WEB / "static" / re.sub(r"\.[0-9a-f]{16}\.", ".", address.rpartition("/")[2])).read_bytes()
        )
        outdated = re.sub(r"\.[0-9a-f]{16}\.", ".0123456789abcdef.", address)
        assert (await visitor.http.get(outdated)).status_code == 404


@pytest.mark.parametrize("name", ["..%2fpages.py", "../pages.py", "%2e%2e/%2e%2e/app.py", "desk.css", ""])
async def test_no_other_file_is_served(visitor: Visitor, name: str) -> None:
    assert (await visitor.get(f"/static/{name}")).status_code == 404


FORBIDDEN = re.compile(
    r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|https?://(?!www\.w3\.org)|\|\s*safe\b"
)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_holds_a_script_a_style_or_an_address_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not FORBIDDEN.search(text)
    for form in re.findall(r'<form[^>]*method="post".*?</form>', text, re.S):
        assert "csrf" in form, "a form without the proof is refused"


@pytest.mark.parametrize("path", sorted((WEB / "static").iterdir()), ids=lambda path: path.name)
def test_no_file_beside_the_pages_fetches_from_elsewhere(path: Path) -> None:
    addresses = re.findall(
        r"(?:https?:)?//[a-z0-9][^\s\"')]*", re.sub(r"^\s*//.*$", "", path.read_text("utf-8"), flags=re.M)
    )
    assert {one for one in addresses if "www.w3.org" not in one} == set()


async def test_what_is_missing_in_a_page_is_an_error() -> None:
    scope = {"type": "http", "method": "GET", "path": "/login", "query_string": b"", "headers": []}
    request = Request({**scope, "scheme": "http", "server": ("localhost", 8080), "state": {}})
    with pytest.raises(UndefinedError):
        Pages(simulation=True).render(request, "login.html", next="/")


HOSTILE = [  # what somebody may type anywhere
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1) //",
    "{{ 7 * 7 }}",
    "{t}",
    "%s\r\nx: y",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_somebody_typed_comes_back_as_text(visitor: Visitor, text: str) -> None:
    await visitor.get("/login")
    answers = [
        await visitor.get("/login", params={"next": text, "lang": text}),
        await visitor.post("/login", name=text, password=text, code=text, next=text),
        await visitor.get("/" + quote(text, safe="")),
        await visitor.get("/digid", params={"next": text}),
        await visitor.post("/digid", person=text, party="patient", number=text, born=text, next=text),
    ]
    for answer in answers:
        assert answer.status_code < 500
        assert text not in answer.text
        assert 'value="49"' not in answer.text


async def test_the_banner_tells_which_regime_is_in_force_and_until_when(desk: AtDesk, visitor: Visitor) -> None:
    await visitor.log_in("test-viewer")
    assert "Only the standing rules" in visitor.page
    at = desk.clock()
    until = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
    for switch in (
        RegimeSwitch(Regime.CRISIS_OPT_IN, True, at, "test", "test", until),
        RegimeSwitch(Regime.EMERGENCY_AVAILABLE, True, at, "test", "test", None),
    ):
        await operating.switch_regime(desk.means, switch)
    page = re.sub(r"<[^>]+>|\s+", " ", (await visitor.get("/")).text)
    page = re.sub(r"\s+", " ", page)
    assert "Crisis arrangement is in force until Wed 2 Jan 2030, 04:04" in page
    assert "Available in emergencies is in force with no end set" in page
    await operating.switch_regime(desk.means, RegimeSwitch(Regime.CRISIS_OPT_IN, False, desk.clock(), "test", "test"))
    assert "Crisis arrangement" not in (await visitor.get("/")).text


async def test_a_moved_clock_is_told(desk: AtDesk, visitor: Visitor) -> None:
    await visitor.log_in("test-viewer")
    assert "clock was moved" not in visitor.page
    await operating.set_clock(desk.means, datetime(2020, 4, 20, 1, tzinfo=UTC), by="test")
    assert "Mon 20 Apr 2020, 03:00" in (await visitor.get("/")).text
    assert "clock was moved" in visitor.page


async def test_only_places_that_exist_are_offered_and_the_present_one_is_marked(desk: AtDesk, visitor: Visitor) -> None:
    await visitor.log_in("test-viewer")
    offered = re.findall(r'<li><a href="([^"]+)"', visitor.page.partition("</nav>")[0])
    assert "/" in offered
    assert set(offered) <= desk.desk.pages.offered
    assert '<a href="/" aria-current="page">' in visitor.page


PROBLEMS = {"no such page": ("GET", "/nothing", 404), "no such act": ("PUT", "/login", 405)}


@pytest.mark.parametrize("case", PROBLEMS)
async def test_a_browser_is_told_what_is_wrong_with_a_page_and_a_program_in_json(visitor: Visitor, case: str) -> None:
    method, path, status = PROBLEMS[case]
    page = await visitor.http.request(method, path)
    assert page.status_code == status
    assert "<h1>" in page.text
    told = await visitor.http.request(method, path, headers={"accept": "application/json"})
    assert (told.status_code, list(told.json())) == (status, ["error"])


async def test_a_form_of_the_right_size_is_read(visitor: Visitor) -> None:
    await visitor.get("/login")
    answer = await visitor.post("/login", name="n", password="p", code="1", filler="x" * (MOST_BYTES - 2000))
    assert answer.status_code == 401


# --- colours ---------------------------------------------------------------------------------------------------------

TEXT = [("ink", "paper"), ("ink", "surface"), ("muted", "paper"), ("muted", "surface"), ("accent", "surface"),
        ("accent", "paper"), ("accent", "accent-soft"), ("ink", "accent-soft"), ("on-accent", "accent"),
        ("good", "good-soft"), ("warn", "warn-soft"), ("bad", "bad-soft"), ("surface", "bad"), ("paper", "ink"),
        ("ink", "warn-soft"), ("muted", "accent-soft")]  # fmt: skip
EDGES = [("edge", "surface"), ("edge", "paper"), ("accent", "paper")]


def themes() -> dict[str, dict[str, str]]:
    css = (WEB / "static" / "desk.css").read_text("utf-8")
    light, dark, _print = re.findall(r":root \{(.*?)\}", css, re.S)
    named = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    return {"light": named[0], "dark": {**named[0], **named[1]}}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's ratio."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back"), [*TEXT, *EDGES], ids=lambda name: name)
def test_colours_can_be_told_apart(theme: str, front: str, back: str) -> None:
    colours = themes()[theme]
    least = 4.5 if (front, back) in TEXT else 3.0
    assert contrast(colours[front], colours[back]) >= least


def test_the_dark_theme_names_every_colour_anew() -> None:
    css = (WEB / "static" / "desk.css").read_text("utf-8")
    light, dark, _print = (re.findall(r"--([a-z-]+): #", block) for block in re.findall(r":root \{(.*?)\}", css, re.S))
    assert light == dark


def test_a_style_names_no_colour_of_its_own() -> None:
    for path in (WEB / "static").glob("*.css"):
        below = re.sub(r":root \{.*?\}", "", path.read_text("utf-8"), flags=re.S)
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgb|hsl", below), path.name


def test_every_role_a_row_or_a_bar_names_has_a_word() -> None:
    named = {code for row in ROWS for code in row.roles.codes | row.roles.without} | BARRED_ROLES
    assert len(named) > 5
    assert {code for code in named if f"uzi.{code}" not in NL} == set()
