"""How is a report read? As a page (self-contained, no script), as JUnit for a build, as JSON for a program.

It knows findings and words. It may not know how they were found. Whatever a system said is text and stays text: the
page escapes it, and its policy forbids everything but its own style.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from source_sim.checking.findings import Finding, Report, Verdict

_HERE: Final = Path(__file__).parent
_ORDER: Final = {Verdict.FAIL: 0, Verdict.WARN: 1, Verdict.NOT_TRIED: 2, Verdict.PASS: 3}
WORDS: Final = {
    Verdict.PASS: "keeps to it",
    Verdict.FAIL: "does not keep to it",
    Verdict.WARN: "advice",
    Verdict.NOT_TRIED: "not tried",
}


def worst_first(report: Report) -> list[Finding]:
    """What to read first: failures, advice, what was not tried, what is well; each in the order of the rules."""
    return sorted(report.findings, key=lambda one: _ORDER[one.verdict])


def as_html(report: Report) -> str:
    """One page that needs nothing beside itself."""
    style = (_HERE / "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _pages()
        .get_template("report.html")
        .render(
            report=report,
            # our own file, and the policy names its digest
            style=Markup(style),  # noqa: S704
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
            counts=[(verdict.value, WORDS[verdict], report.count(verdict)) for verdict in _ORDER],
            worst=[one for one in worst_first(report) if one.verdict in (Verdict.FAIL, Verdict.WARN)],
            groups=[(about, list(them)) for about, them in groupby(report.findings, key=lambda one: one.rule.about)],
            words=WORDS,
        )
    )


@cache
def _pages() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def as_junit(report: Report) -> str:
    """One test suite with one case per rule: a failure fails, what was not tried is skipped, advice is its output."""
    counts = {"tests": len(report.findings), "failures": report.count(Verdict.FAIL), "errors": 0}
    counts["skipped"] = report.count(Verdict.NOT_TRIED)
    told = {name: str(count) for name, count in counts.items()}
    suites = Element("testsuites", told)
    suite = SubElement(suites, "testsuite", {"name": f"check {report.title}", **told, "timestamp": _second(report)})
    for finding in report.findings:
        _case(suite, f"check.{report.title}.{finding.rule.about}", finding)
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _case(suite: Element, name: str, finding: Finding) -> None:
    case = SubElement(suite, "testcase", {"classname": name, "name": finding.rule.id, "time": "0"})
    match finding.verdict:
        case Verdict.FAIL:
            SubElement(case, "failure", {"message": finding.saw, "type": finding.rule.id}).text = _told(finding)
        case Verdict.NOT_TRIED:
            SubElement(case, "skipped", {"message": finding.saw})
        case Verdict.WARN:
            SubElement(case, "system-out").text = _told(finding)
        case Verdict.PASS:
            pass


def _told(finding: Finding) -> str:
    rule = finding.rule
    return f"{rule.contract} ({rule.reference})\nSeen: {finding.saw}\nTo mend: {rule.mend}"


def _second(report: Report) -> str:
    return report.at.strftime("%Y-%m-%dT%H:%M:%S")


def as_json(report: Report) -> str:
    """`{subject, at, conforms, counts, findings: [{id, about, title, verdict, saw, contract, reference, mend}]}`."""
    findings: list[dict[str, Any]] = [
        {**one.rule._asdict(), "verdict": one.verdict.value, "saw": one.saw} for one in report.findings
    ]
    counts = {verdict.value: report.count(verdict) for verdict in Verdict}
    told = {"check": report.title, "subject": report.subject, "at": report.at.isoformat(), "conforms": report.conforms}
    return json.dumps({**told, "counts": counts, "findings": findings}, indent=2) + "\n"
