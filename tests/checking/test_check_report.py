"""Is a report readable, whole in itself, and safe whatever a system under test says?"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_sim.checking import client_rules, report, source_rules
from source_sim.checking.findings import Book, Report, Rule, Verdict, masked, table

AT = datetime(2026, 11, 21, 20, 30, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden" / "report_structure.txt"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]></failure><testcase name='x'/>",
    "{{ 7 * 7 }}{% raw %}",
    "</style><style>*{display:none}</style>",
    "\x00\x1b[31m\u202e\ud800\ufffe end",
)


def made(*saw: tuple[str, Verdict, str], title: str = "source") -> Report:
    book = Book(source_rules.RULES if title == "source" else client_rules.RULES)
    for rule, verdict, told in saw:
        book.note(rule, verdict, told)
    return Report(title, "application 400911 at https://127.0.0.1:9443/fhir", AT, book.findings("nothing showed it"))


MIXED = made(
    ("tls-version", Verdict.PASS, "TLS 1.1 gets no answer"),
    ("voucher-absent", Verdict.FAIL, "Bundle, no voucher: 200"),
    ("voucher-absent", Verdict.PASS, "Consent, no voucher: 401 invalid-token"),
    ("search-whole", Verdict.WARN, "Bundle: a next link"),
)


class _Outline(HTMLParser):
    """The elements of a page with what tells their meaning, indented; text is left out but for headings and marks."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.links: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = " ".join(f"{name}={value}" for name, value in attrs if name in ("class", "data-rule", "lang", "name"))
        self.lines.append("  " * self._depth + f"{tag} {told}".strip())
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "srcset", "data")]
        self._depth += tag not in ("meta",)

    def handle_endtag(self, tag: str) -> None:
        self._depth -= 1


def outline(page: str) -> _Outline:
    parser = _Outline()
    parser.feed(page)
    parser.close()
    return parser


def test_the_page_s_structure_is_as_kept() -> None:
    """Change it on purpose: write the new outline into the golden file."""
    assert "\n".join(outline(report.as_html(MIXED)).lines) + "\n" == GOLDEN.read_text("utf-8")


def test_the_page_needs_nothing_beside_itself() -> None:
    page = report.as_html(MIXED)
    assert outline(page).links == []
    assert not re.search(r"<(script|link|img|iframe|object|form)\b|@import|url\(", page)
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src &#39;sha256-{digest}&#39;" in page
    assert "default-src &#39;none&#39;" in page


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_a_system_says_stays_text(text: str) -> None:
    plain, hostile = (outline(report.as_html(made(("ping", Verdict.FAIL, told)))).lines for told in ("x", text))
    assert plain == hostile
    suites = ElementTree.fromstring(report.as_junit(made(("ping", Verdict.FAIL, text))))
    assert len(suites.findall(".//testcase")) == len(source_rules.RULES)
    assert json.loads(report.as_json(made(("ping", Verdict.FAIL, text))))["conforms"] is False


@given(st.text())
def test_any_text_can_be_told(text: str) -> None:
    told = masked(text)
    report.as_html(made(("ping", Verdict.WARN, text))).encode()
    ElementTree.fromstring(report.as_junit(made(("ping", Verdict.FAIL, text))).encode())
    assert len(told) < 410
    assert told.isprintable() or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("patient 999900006 is known", "patient ********* is known"),
        ("999900006", "*********"),
        ("status 999900007 fails the eleven-test", "status 999900007 fails the eleven-test"),
        ("1999900006 has ten digits", "1999900006 has ten digits"),
    ],
    ids=["within a sentence", "alone", "no BSN", "longer"],
)
def test_a_bsn_is_never_told(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_junit_counts_what_it_holds() -> None:
    suite = ElementTree.fromstring(report.as_junit(MIXED)).find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(cases)) == str(len(source_rules.RULES))
    assert suite.get("failures") == str(len(suite.findall(".//failure"))) == "1"
    assert suite.get("skipped") == str(len(suite.findall(".//skipped"))) == str(len(source_rules.RULES) - 3)
    failed = next(case for case in cases if case.find("failure") is not None)
    assert (failed.get("classname"), failed.get("name")) == ("check.source.voucher", "voucher-absent")
    told = failed.findtext("failure") or ""
    assert "Bundle, no voucher: 200" in told
    assert source_rules.RULES["voucher-absent"].mend in told


def test_the_worst_of_a_rule_counts() -> None:
    found = {one.rule.id: one for one in MIXED.findings}
    assert (found["voucher-absent"].verdict, found["voucher-absent"].saw) == (Verdict.FAIL, "Bundle, no voucher: 200")
    assert found["ping"].verdict is Verdict.NOT_TRIED
    assert not MIXED.conforms
    assert made(("search-whole", Verdict.WARN, "a next link")).conforms


def test_no_two_rules_share_an_id() -> None:
    rule = Rule("x", "a", "t", "c.", "r", "m.")
    with pytest.raises(ValueError, match="same id"):
        table([rule, rule])


@pytest.mark.parametrize("rule", [*source_rules.RULES.values(), *client_rules.RULES.values()], ids=lambda one: one.id)
def test_a_rule_says_what_is_wanted_and_how_to_mend_it(rule: Rule) -> None:
    assert all(rule)
    assert rule.contract.endswith(".")
    assert rule.mend.endswith(".")
    assert re.match(r"(interface|domain), section \d", rule.reference)
