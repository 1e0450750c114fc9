"""Is a scenario file read as it looks, and is every mistake told in one line with its place and what is allowed?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules import exchange, message
from gateway.rules.access import Bar
from gateway.rules.choice import Party
from gateway.rules.journal import Event
from gateway.rules.table import ROWS
from source_sim import sentinel
from source_sim.scenarios import files, reading, words
from source_sim.scenarios import given as given_form
from source_sim.scenarios.reading import Unreadable, parse
from source_sim.scenarios.scenario import schema

FILE = Path("story.scenario.yaml")
GOOD = """\
scenario: After-hours visit
story: Saturday 23:40.
covers: REG-1
given:
  time: 2026-11-21T23:40
  organisations: {practice: gp-practice, drugs: pharmacy, post: gp-post}
  patients:
    annelies: {gp: practice, pharmacy: drugs}
when:
  - ask: {by: post, for: annelies, what: gp-summary, role: 01.015, cover: no}
    then: {completeness: complete, row: REG-1, outcomes: {drugs: timed-out}}
  - wait: {minutes: 5}
  - send-return: {by: post, for: annelies, as: report}
  - follow: report
then:
  inboxes: {practice: 1}
"""


def told(text: str) -> str:
    with pytest.raises(Unreadable) as wrong:
        parse(text, FILE)
    return str(wrong.value)


def told_of(text: str) -> None:
    """Whatever the text is: a scenario, or one line that says why not."""
    said = f"{FILE}:"
    try:
        parse(text, FILE)
    except Unreadable as wrong:
        said = str(wrong)
    assert said.startswith(f"{FILE}:")
    assert "\n" not in said


def test_a_scalar_means_what_it_looks_like() -> None:
    read = parse(GOOD, FILE)
    asked = read.scenario.when[0].ask  # type: ignore[union-attr]
    assert (asked.role, asked.cover, asked.what) == ("01.015", False, "gp-summary")
    assert read.scenario.covers == ["REG-1"]
    assert read.scenario.given.time == "2026-11-21T23:40"
    assert read.line("when", 0, "then", "row") == 11


MISTAKES = {
    "an unknown key": ("story:", "storey:", 2, ["unknown word 'storey'", "do you mean 'story'?"]),
    "a key missing": ("scenario: After-hours visit\n", "", 1, ["'scenario' is missing"]),
    "an unknown verb": ("- ask:", "- aks:", 10, ["no such step: 'aks'", "do you mean 'ask'?", "send-return"]),
    "two verbs in one step": ("- wait:", "- follow: report\n    wait:", 12, ["one thing", "follow and wait"]),
    "a name nobody has": ("by: post, for", "by: pots, for", 10, ["'pots' is no requester", "'post'?"]),
    "a custodian that asks": ("by: post, for", "by: practice, for", 10, ["'practice' is no requester", "post"]),
    "a pharmacy as practice": ("{gp: practice,", "{gp: drugs,", 8, ["'drugs' is no GP practice", "practice"]),
    "a message never sent": ("- follow: report", "- follow: letter", 14, ["'letter' is no message", "report"]),
    "an outcome of nobody": ("{drugs: timed-out}", "{pils: timed-out}", 11, ["'pils' is no organisation"]),
    "an unknown outcome": ("drugs: timed-out", "drugs: timedout", 11, ["'timedout'", "'timed-out'?"]),
    "an unknown row": ("row: REG-1", "row: REG-9", 11, ["'REG-9'", "CRI-1"]),
    "an unknown question": ("what: gp-summary", "what: summary", 10, ["'summary'", "'gp-summary'?"]),
    "an unknown kind": ("drugs: pharmacy", "drugs: farmacy", 6, ["'farmacy'", "'pharmacy'?"]),
    "an unknown word deep inside": ("minutes: 5", "minuts: 5", 12, ["unknown word 'minuts'", "minutes"]),
    "no number": ("minutes: 5", "minutes: five", 12, ["minutes", "number"]),
    "no time": ("2026-11-21T23:40", "tonight", 5, ["time", "2026-11-21T23:40"]),
    "a claim that cannot be made": ("covers: REG-1", "covers: REG-0", 3, ["'REG-0'", "bar no-cover"]),
    "a name with a capital": ("{practice: gp-practice,", "{Practice: gp-practice,", 6, ["small letters"]),
    "no steps": (GOOD[GOOD.index("when:") : GOOD.index("then:\n  inboxes")], "when: []\n", 9, ["when"]),
    "a sentinel with more": ("{gp: practice, pharmacy: drugs}", "{sentinel: objected, age: 9}", 8, ["sentinel"]),
    "a name that comes along": (
        "{gp: practice, pharmacy: drugs}\n",
        "{gp: practice}\n    bram: objected\n",
        6,
        ["'pharmacy' comes along"],
    ),
    "a no cleared nowhere": ("- wait: {minutes: 5}", "- choice: {of: annelies, says: clear}", 12, ["custodian"]),
    "a tab": ("  - wait", "\t- wait", 12, ["not YAML"]),
    "a key twice": ("story: Saturday 23:40.", "story: a\nstory: b", 3, ["'story' stands here twice"]),
    "an anchor": ("story: Saturday 23:40.", "story: &a b", 2, ["anchors"]),
    "a tag": ("story: Saturday 23:40.", "story: !!python/name:os.system x", 2, ["tags"]),
    "no mapping": (GOOD, "- a\n- b\n", 1, ["is not a scenario"]),
    "nothing": (GOOD, "", 1, ["is not a scenario"]),
    "a second document": ("when:", "---\nwhen:", 9, ["not YAML"]),
    "an unhashable key": ("story: Saturday 23:40.", "story: x\n? [a]\n: b", 3, ["must be a word"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_line(name: str) -> None:
    old, new, line, parts = MISTAKES[name]
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if name == "a name that comes along":
        text = text.replace("drugs: pharmacy", "pharmacy: pharmacy").replace("drugs: timed-out", "pharmacy: timed-out")
    said = told(text)
    assert said.startswith(f"{FILE}:{line}: "), said
    assert "\n" not in said
    assert all(part in said for part in parts), said


def test_too_large_and_too_deep_are_refused() -> None:
    assert "larger" in told("x" * 300_000)
    assert "deep" in told("a: " + "[" * 40 + "]" * 40)
    assert "deep" in told("a: " + "[" * 60_000)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_scenario_or_one_line(text: str) -> None:
    told_of(text)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_scenario_with_a_piece_changed_is_read_or_told(data: st.DataObject) -> None:
    lines = GOOD.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    start, end = sorted((data.draw(st.integers(0, len(lines[at]))), data.draw(st.integers(0, len(lines[at])))))
    lines[at] = (
        lines[at][:start] + data.draw(st.sampled_from(["", "{", "]", ": ", "~", "- a", "'", "0"])) + lines[at][end:]
    )
    told_of("\n".join(lines))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="cannot be read"):
        reading.read(tmp_path / "none.scenario.yaml")
    (tmp_path / "bytes.scenario.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(Unreadable, match="UTF-8"):
        reading.read(tmp_path / "bytes.scenario.yaml")


def test_the_published_schema_is_the_form() -> None:
    published = json.loads((files.LIBRARY.parent / "schema.json").read_text("utf-8"))
    assert published == json.loads(json.dumps(schema()))
    assert published["additionalProperties"] is False
    assert all(one["additionalProperties"] is False for one in published["$defs"].values())


OURS_AND_THEIRS = {
    "rows": (words.ROWS, [row.id for row in ROWS]),
    "bars": (words.BARS, Bar),
    "outcomes": (words.OUTCOMES, ["answered", *exchange.Failing]),
    "completeness": (words.COMPLETENESS, exchange.Completeness),
    "flags": (words.FLAGS, exchange.Flag),
    "regimes": (words.REGIMES, [one for one in exchange.Regime if one is not exchange.Regime.REGULAR]),
    "categories": (words.CATEGORIES, exchange.Category),
    "groups": (words.GROUPS, exchange.Group),
    "contacts": (words.CONTACTS, exchange.ContactKind),
    "capacities": (words.CAPACITIES, exchange.Capacity),
    "parties": (words.PARTIES, Party),
    "outbox": (words.OUTBOX, message.State),
    "messages": (words.MESSAGES, message.MessageEvent),
    "sentinels": (given_form.SENTINELS, sentinel.NUMBERS),
}


@pytest.mark.parametrize("name", OURS_AND_THEIRS)
def test_a_scenarios_words_are_the_exchanges(name: str) -> None:
    ours, theirs = OURS_AND_THEIRS[name]
    assert {str(one) for one in ours} == {str(one) for one in theirs}


def test_every_event_of_a_scenario_is_one_of_the_journal() -> None:
    assert set(words.EVENTS) <= {event.value for event in Event}
