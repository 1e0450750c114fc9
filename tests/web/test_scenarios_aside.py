"""What does the process beside the desk play, what is known of it, what if it fails? Real processes, real files."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from stories_made import FILES, STORY, written

from gateway.cli.scenarios_aside import ScenariosAside
from gateway.cli.stories import stories_in
from gateway.web.language import words_of
from gateway.web.played import NotPlayed, Theme, Why
from source_sim.scenarios.files import LIBRARY, library


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("stories"))


async def test_a_file_spoilt_since_it_was_read_is_told_the_same_way(tmp_path: Path) -> None:
    file = tmp_path / "as-told.scenario.yaml"
    file.write_text(STORY)
    aside = ScenariosAside(tmp_path)
    await aside.stories()
    file.write_text(FILES["no-scenario"])
    with pytest.raises(NotPlayed) as wrong:
        await aside.play("as-told")
    assert wrong.value.why is Why.UNREADABLE
    assert wrong.value.told.startswith("as-told.scenario.yaml:5: unknown word 'givn'")


# --- the process beside ----------------------------------------------------------------------------------------------

STANDING_IN = {
    "it breaks": "raise SystemExit(3)",
    "it prints no JSON": "print('played')",
    "it prints other JSON": "print('{}')",
    "it draws no diagram": """print('{"scenarios": [{"steps": [], "finally": [], "journal": [], "shown": [],"""
    """ "seconds": 1}]}')""",
}


def standing_in(files: Path, code: str, **more: Any) -> ScenariosAside:
    return ScenariosAside(files, program=(sys.executable, "-c", code), **more)


@pytest.mark.parametrize("case", STANDING_IN)
async def test_whatever_a_broken_runner_does_nothing_is_told(files: Path, case: str) -> None:
    with pytest.raises(NotPlayed) as wrong:
        await standing_in(files, STANDING_IN[case]).play("as-told")
    assert wrong.value.why is Why.BROKEN


async def test_where_no_process_can_be_begun_that_is_told(files: Path, tmp_path: Path) -> None:
    with pytest.raises(NotPlayed) as wrong:
        await ScenariosAside(files, program=(str(tmp_path / "nothing"),)).play("as-told")
    assert wrong.value.why is Why.BROKEN


async def test_who_plays_too_long_is_stopped(files: Path, tmp_path: Path) -> None:
    note = tmp_path / "number"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    began = time.monotonic()
    with pytest.raises(NotPlayed) as wrong:
        await standing_in(files, code, seconds=2.0).play("as-told")
    assert wrong.value.why is Why.TOO_LONG
    assert time.monotonic() - began < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


async def test_when_the_desk_ends_nothing_goes_on_playing(files: Path, tmp_path: Path) -> None:
    note = tmp_path / "number"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    play = asyncio.create_task(standing_in(files, code).play("as-told"))
    while not (note.exists() and note.read_text()):
        await asyncio.sleep(0.02)
    play.cancel()
    await asyncio.wait({play})
    assert play.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


async def test_the_process_gets_nothing_of_the_desk_s_surroundings(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHPOINT_LEDGER_URL", "postgresql://running")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://running")
    note = tmp_path / "names"
    code = f"import os; open({str(note)!r}, 'w').write(' '.join(os.environ) + ' in ' + os.getcwd())"
    with pytest.raises(NotPlayed):
        await standing_in(files, code).play("as-told")
    names, _, folder = note.read_text().partition(" in ")
    assert not [name for name in names.split() if name.startswith(("SWITCHPOINT", "OTEL"))]
    assert not Path(folder).exists(), "what it wrote is gone"


# --- the library -----------------------------------------------------------------------------------------------------


def test_every_story_that_comes_along_can_be_read_and_has_a_theme() -> None:
    stories = stories_in(LIBRARY)
    assert len(stories) == len(library()) > 50
    assert {one.theme for one in stories} == set(Theme) - {Theme.UNREADABLE}
    assert not [one.name for one in stories if one.wrong or not one.text]


THEMES = {
    "after-hours-visit": Theme.MESSAGES,
    "fault-slow": Theme.FAULTS,
    "crisis-start-and-stop": Theme.EMERGENCY,
    "withdrawal-at-the-counter": Theme.CHOICES,
    "anaphylaxis-at-the-post": Theme.ACCESS,
}


@pytest.mark.parametrize("name", THEMES)
def test_a_theme_is_what_a_story_is_about(name: str) -> None:
    (found,) = [one for one in stories_in(LIBRARY) if one.name == name]
    assert found.theme is THEMES[name]


@pytest.mark.parametrize("theme", Theme)
def test_every_theme_has_words(theme: Theme) -> None:
    assert all(words_of(lang)(f"scenarios.theme.{theme}") for lang in ("nl", "en"))


@pytest.mark.parametrize("why", Why)
def test_every_way_to_fail_has_words(why: Why) -> None:
    assert all(words_of(lang)(f"scenarios.wrong.{why}") for lang in ("nl", "en"))


def test_a_desk_that_begins_has_read_neither_testbed_nor_scenarios() -> None:
    code = "import sys; from gateway.cli import working; working.ScenariosAside(); "
    code += "print([one for one in sys.modules if one.startswith(('source_sim.testbed', 'source_sim.scenarios.'))])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "['source_sim.scenarios.files']"
