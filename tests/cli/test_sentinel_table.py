"""Does the table of sentinels tell everywhere the same: the command, its JSON, and the README?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.sentinels import COLUMNS, cells, markdown, sentinels
from source_sim.sentinels import SENTINELS

README = Path(__file__).parent.parent.parent / "README.md"
MARKER = "<!-- sentinels -->"


def test_the_readme_s_table_is_the_data() -> None:
    parts = README.read_text("utf-8").split(MARKER)
    assert len(parts) == 3, f"the table stands between two lines {MARKER}"
    assert parts[1].strip() == markdown().strip()


def test_json_tells_every_answer(capsys: pytest.CaptureFixture[str]) -> None:
    sentinels(as_json=True)
    rows = {one["key"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(SENTINELS)
    late = [one for one in rows["slow-pharmacy"]["answers"] if one["missing"]]
    assert {missing["code"] for one in late for missing in one["missing"]} == {"timed-out"}
    assert rows["down-gp"]["return_message"] == "in-progress"
    assert all(len(one["answers"]) == 8 for one in rows.values())


def test_the_table_shows_every_sentinel_with_her_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    sentinels()
    shown = capsys.readouterr().out
    assert all(one.key in shown and one.number in shown for one in SENTINELS.values())


def test_what_differs_in_emergencies_is_told_apart() -> None:
    place = COLUMNS.index("in emergencies")
    assert cells(SENTINELS["hospital-objected"])[place] == "hospital: nothing found; ambulance: gp-practice"
    assert cells(SENTINELS["all-open"])[place] == "gp-practice"
    assert cells(SENTINELS["contradictory-limits"])[place].endswith("flagged `contradictory-limits`")
