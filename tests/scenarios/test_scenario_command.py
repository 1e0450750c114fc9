"""What do people meet who run scenarios: at the terminal, and as files collected by pytest?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from typer.testing import CliRunner

from gateway.cli.scenario import commands

GOOD = """\
scenario: A visit
story: The post looks into the summary.
given:
  organisations: {practice: gp-practice, post: gp-post}
  patients:
    annelies: {gp: practice}
when:
  - ask: {by: post, for: annelies, what: gp-summary}
    then: {row: REG-1}
"""
BAD = GOOD.replace("REG-1", "EMA-1")
BROKEN = GOOD.replace("ask:", "aks:")


def switchpoint(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", "scenario", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110)


def printed(*words: str) -> str:
    ran = CliRunner().invoke(commands, words)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def written(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.scenario.yaml").write_text(text, "utf-8")
    return folder


def test_as_told_is_exit_code_0_with_every_output(tmp_path: Path) -> None:
    written(tmp_path, visit=GOOD)
    told = switchpoint("run", tmp_path, "--junit", tmp_path / "out/j.xml", "--diagram", tmp_path / "out", "--json")
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["scenarios"][0]["passed"] is True
    assert ElementTree.parse(tmp_path / "out/j.xml").getroot().get("failures") == "0"
    assert ElementTree.parse(tmp_path / "out/visit.svg").getroot().tag.endswith("svg")


def test_otherwise_is_exit_code_1_and_a_mistake_is_2(tmp_path: Path) -> None:
    file = written(tmp_path, bad=BAD) / "bad.scenario.yaml"
    told = switchpoint("run", file, "not-covering")
    assert told.returncode == 1
    assert f"{file}:9: row" in told.stdout
    assert "1 of 2 scenarios as told" in told.stdout
    written(tmp_path, broken=BROKEN)
    wrong = switchpoint("run", tmp_path, "--junit", tmp_path / "j.xml")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "broken.scenario.yaml:8: no such step: 'aks'" in wrong.stderr
    assert wrong.stderr.count("\n") == 1
    assert ElementTree.parse(tmp_path / "j.xml").getroot().get("errors") == "1"


def test_a_name_nobody_has_is_told_with_a_near_one() -> None:
    wrong = switchpoint("run", "after-hour-visit")
    assert wrong.returncode == 2
    assert "'after-hours-visit'?" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_the_library_is_listed_and_shown() -> None:
    rows = json.loads(printed("list", "--json"))
    assert {"name", "scenario", "covers"} == set(rows[0])
    assert "after-hours-visit" in {row["name"] for row in rows}
    assert "After-hours visit" in printed("list")
    assert printed("show", "after-hours-visit").startswith("scenario: After-hours visit")
    assert json.loads(printed("schema"))["title"] == "Scenario"


def test_pytest_collects_scenario_files(tmp_path: Path) -> None:
    written(tmp_path, visit=GOOD, bad=BAD, broken=BROKEN)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:switchpoint"]
    command += ["-p", "source_sim.scenarios.collecting", "-q", "-n", "0", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=tmp_path)
    assert ran.returncode == 1
    assert "2 failed, 1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "bad.scenario.yaml:9: row" in ran.stdout
    assert "broken.scenario.yaml:8: no such step: 'aks'" in ran.stdout
    assert "Traceback" not in ran.stdout
    assert "collecting.py" not in ran.stdout
