"""Is a scenario that comes otherwise found out, with its line and what teaches, and is playing the same every time?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from source_sim.scenarios import playing, reading, telling
from source_sim.scenarios.played import Kind, Played

FILE = Path("night.scenario.yaml")
NIGHT = """\
scenario: A night
story: A visit at night, with a pharmacy that is slow.
covers: [REG-1]
given:
  time: 2026-11-21T23:40
  organisations: {practice: gp-practice, south: pharmacy, north: pharmacy, post: gp-post}
  patients:
    annelies: {gp: practice, pharmacy: [south, north]}
  faults: [{at: north, fault: slow, seconds: 20}]
when:
  - ask: {by: post, for: annelies, what: gp-summary}
    then: {completeness: complete, row: REG-1, sources: [practice], journal: [query-decided, disclosed REG-1]}
  - ask: {by: post, for: annelies, what: allergies}
    then: {completeness: partial, outcomes: {north: timed-out}, sources: [south], within: 8.5}
  - ask: {by: post, for: annelies, what: gp-summary, cover: false}
    then: {status: 403, code: no-cover, reason: no-cover, never: [disclosed]}
  - send-return: {by: post, for: annelies, as: report}
    then: {status: 202}
  - deliver: {}
    then: {inboxes: {practice: [return-message]}, outbox: {delivered: 1}}
  - look: annelies
    then: {sees: [query-refused no-cover, query-saw REG-1]}
then:
  journal: [disclosed REG-1, query-refused no-cover, message-delivered practice]
  inboxes: {practice: 1}
  patient-sees: {annelies: [query-saw REG-1]}
"""


def play(text: str) -> Played:
    return playing.play(reading.parse(text, FILE))


def test_a_night_comes_out_as_told() -> None:
    played = play(NIGHT)
    assert played.passed, telling.failure(played)
    assert {"REG-1", "REG-2", "RET-1", "PAT-1", "bar no-cover", "outcome timed-out", "fault slow"} <= played.shown
    assert played.seconds < 8  # eight seconds pass in no time


OTHERWISE = {
    "completeness": ("complete, row", "partial, row", 12, "completeness", "partial", "complete"),
    "row": ("row: REG-1", "row: REG-2", 12, "row", "REG-2", "REG-1"),
    "sources": ("sources: [practice]", "sources: [practice, south]", 12, "sources", "south", "practice"),
    "outcome": ("north: timed-out", "north: refused", 14, "outcomes of north", "refused", "timed-out"),
    "an outcome nobody told": (
        "outcomes: {north: timed-out}",
        "outcomes: {}",
        14,
        "outcomes of north",
        "none",
        "timed",
    ),
    "an outcome that did not come": (
        "{north: timed-out}",
        "{north: timed-out, south: refused}",
        14,
        "outcomes of south",
        "refused",
        "nothing",
    ),
    "time": ("within: 8.5", "within: 3", 14, "within", "3", "7.9"),
    "status": ("status: 403", "status: 200", 16, "status", "200", "403"),
    "reason": ("reason: no-cover", "reason: objection", 16, "reason", "objection", "no-cover"),
    "never": ("never: [disclosed]", "never: [query-refused]", 16, "never", "query-refused", "no-cover"),
    "inbox": (
        "{practice: [return-message]}",
        "{practice: [referral]}",
        20,
        "inboxes of practice",
        "referral",
        "return",
    ),
    "outbox": ("delivered: 1", "waiting: 1", 20, "outbox of waiting", "1", "0"),
    "her page": ("sees: [query-refused no-cover, query", "sees: [query-saw REG-4, query", 22, "sees", "REG-4", "REG-1"),
    "journal in a step": (
        "query-decided, disclosed REG-1",
        "disclosed REG-1, query-decided",
        12,
        "journal",
        "query",
        "",
    ),
    "journal": ("[disclosed REG-1, query", "[disclosed REG-4, query", 24, "journal", "REG-4", ""),
    "inbox in the end": ("inboxes: {practice: 1}", "inboxes: {practice: 7}", 25, "inboxes of practice", "7", "return"),
    "page in the end": (
        "[query-saw REG-1]}\n",
        "[query-saw REG-3]}\n",
        26,
        "patient-sees of annelies",
        "REG-3",
        "REG-1",
    ),
    "a claim": ("covers: [REG-1]", "covers: [REG-1, EMA-1]", 3, "covers", "EMA-1", "never happened"),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_comes_otherwise_is_told_with_its_line(name: str) -> None:
    old, new, line, what, expected, actual = OTHERWISE[name]
    assert old in NIGHT
    played = play(NIGHT.replace(old, new, 1))
    assert [(one.line, one.what) for one in played.differences] == [(line, what)]
    assert expected in played.differences[0].expected
    assert actual in played.differences[0].actual
    told = telling.failure(played)
    assert f"{FILE}:{line}: {what}" in told
    assert "what the switchpoint wrote down" in told


def test_a_failure_says_why() -> None:
    text = NIGHT.replace("code: no-cover, reason: no-cover", "code: objection, reason: no-cover")
    assert "cover" in play(text).differences[0].why
    order = NIGHT.replace("query-decided, disclosed REG-1", "disclosed REG-1, query-decided")
    assert "before the one expected" in play(order).differences[0].why


def test_a_step_that_cannot_be_carried_out_ends_the_scenario() -> None:
    ending = NIGHT.replace("- deliver: {}", "- end: {by: south, for: annelies, what: gp-summary}")
    played = play(ending.replace("inboxes: {practice: [return-message]}, outbox: {delivered: 1}", "status: 200"))
    assert not played.passed
    assert [step.verb for step in played.steps][-1] == "end"
    assert played.differences[-1].what == "step"
    assert "LookupError" in played.differences[-1].actual


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = play(NIGHT), play(NIGHT)
    assert first.transcript == second.transcript
    assert [step.came for step in first.steps] == [step.came for step in second.steps]


def test_arrows_tell_what_went_where() -> None:
    steps = play(NIGHT).steps
    asked = [(arrow.source, arrow.target, arrow.kind) for arrow in steps[1].arrows]
    assert ("post", "switchpoint", Kind.ASKS) in asked
    assert ("north", "switchpoint", Kind.FAILS) in asked
    assert ("south", "switchpoint", Kind.GIVES) in asked
    refused = [(arrow.source, arrow.target, arrow.label) for arrow in steps[2].arrows]
    assert refused == [("post", "switchpoint", "gp-summary?"), ("switchpoint", "post", "no-cover")]
    assert ("switchpoint", "practice", Kind.GIVES) in [(a.source, a.target, a.kind) for a in steps[4].arrows]


def test_no_number_of_a_patient_is_told() -> None:
    told = json.dumps(telling.as_json(play(NIGHT.replace("row: REG-1", "row: REG-2", 1))))
    assert "REG-2" in told
    assert not re.search(r"9999\d{5}", told)


def test_only_what_was_met_counts_as_shown() -> None:
    given = NIGHT[NIGHT.index("given:") : NIGHT.index("when:")]
    unmet = "scenario: Unmet\nstory: A fault at a source that nobody asks.\n" + given
    steps = "when:\n  - ask: {by: post, for: annelies, what: gp-summary}\n"
    assert "fault slow" not in play(unmet + steps).shown
    assert "fault slow" in play(unmet + steps.replace("gp-summary", "allergies")).shown
