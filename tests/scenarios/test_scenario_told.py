"""Are JUnit, JSON and the diagram whole and harmless, whatever a scenario is called?"""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from source_sim.scenarios import diagram, junit, reading, telling
from source_sim.scenarios.played import Arrow, Difference, Kind, Played, StepPlayed

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert(1)</script> & "quoted" \x01 \ud7ff'
TEXT = """\
scenario: {title}
story: {title}
given:
  organisations: {{practice: gp-practice, post: gp-post}}
  patients: {{annelies: {{gp: practice}}}}
when:
  - ask: {{by: post, for: annelies, what: gp-summary}}
"""


def played(title: str, *differences: Difference) -> Played:
    read = reading.parse(TEXT.format(title=json.dumps(title, ensure_ascii=False)), Path("a.scenario.yaml"))
    arrows = (
        Arrow("post", "switchpoint", title),
        Arrow("switchpoint", "practice", "gp-summary"),
        Arrow("practice", "switchpoint", "timed-out", Kind.FAILS),
        Arrow("switchpoint", "switchpoint", "a note", Kind.NOTE),
    )
    step = StepPlayed(1, "ask", title, 7, title, {"status": 200}, arrows, differences)
    return Played(read, (step,), (), (title,), frozenset({"REG-1"}), 0.25)


WRONG = Difference(8, "status", HOSTILE, "200", HOSTILE)


def test_junit_counts_and_carries_what_teaches() -> None:
    report = junit.junit([played("Good"), played("Bad", WRONG)], ["b.scenario.yaml:3: unknown word 'x'"])
    suite = ElementTree.fromstring(report)
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    good, bad, unreadable = suite.findall("testcase")
    assert good.find("failure") is None
    failure = bad.find("failure")
    assert failure is not None
    assert "expected" in str(failure.text)
    assert "a.scenario.yaml:8" in str(failure.text)
    error = unreadable.find("error")
    assert error is not None
    assert "unknown word" in str(error.get("message"))


@pytest.mark.parametrize("title", ["Plain", "<script>alert(1)</script>", 'Ampersand & "quote" \' and ]]>', "é ∞ 漢字"])
def test_whatever_it_is_called_the_outputs_are_well_formed(title: str) -> None:
    one = played(title, WRONG)
    suite = ElementTree.fromstring(junit.junit([one]))
    assert title in str(suite.find("testcase/system-out").text)  # type: ignore[union-attr]
    drawn = ElementTree.fromstring(diagram.diagram(one))
    assert title in "".join(drawn.itertext())
    assert not list(drawn.iter(f"{SVG}script"))
    assert json.loads(json.dumps(telling.as_json(one)))["scenario"] == title


def test_what_xml_cannot_carry_is_left_out() -> None:
    suite = ElementTree.fromstring(junit.junit([played("Bell", Difference(1, "a", "\x07b\x00", "c"))]))
    assert "b" in str(suite.find("testcase/failure").text)  # type: ignore[union-attr]


def test_a_diagram_shows_everybody_who_took_part_and_every_arrow() -> None:
    drawn = ElementTree.fromstring(diagram.diagram(played("A visit", WRONG)))
    texts = ["".join(text.itertext()) for text in drawn.iter(f"{SVG}text")]
    assert {"post", "switchpoint", "practice", "gp-summary", "timed-out"} <= set(texts)
    assert texts.index("post") < texts.index("switchpoint") < texts.index("practice")
    assert any("a note" in text for text in texts)
    assert any("otherwise than told" in text for text in texts)
    shafts = [line for line in drawn.iter(f"{SVG}line") if line.get("class") in set(Kind)]
    assert len(shafts) == 3
    assert {line.get("class") for line in shafts} == {"asks", "fails"}
    width = float(str(drawn.get("width")))
    assert all(0 <= float(str(line.get(end))) <= width for line in shafts for end in ("x1", "x2"))


def test_a_diagram_reaches_for_nothing_outside() -> None:
    text = diagram.diagram(played("A visit"))
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "href" not in text
