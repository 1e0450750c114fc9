"""Does every story that comes along come out as told, and do they show all there is to show?

What a scenario says it covers is held against what happened when it is played (a claim that never happened fails it);
so the claims of scenarios that pass are what was shown.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from source_sim.scenarios import files, playing, reading, telling
from source_sim.scenarios.scenario import COVERABLE, VERBS

LIBRARY = files.library()


@pytest.mark.parametrize("file", LIBRARY, ids=files.name_of)
def test_every_story_comes_out_as_told(file: Path) -> None:
    played = playing.play(reading.read(file))
    assert played.passed, telling.failure(played)


def test_the_library_shows_everything() -> None:
    scenarios = [reading.read(file).scenario for file in LIBRARY]
    assert len(scenarios) >= 75
    claimed = {claim for one in scenarios for claim in one.covers}
    assert [word for word in COVERABLE if word not in claimed] == []


def test_the_library_uses_every_verb() -> None:
    used = {type(step) for file in LIBRARY for step in reading.read(file).scenario.when}
    assert [verb for verb, model in VERBS.items() if model not in used] == []


def test_a_story_is_told_in_sentences_and_names_nobody_by_number() -> None:
    for file in LIBRARY:
        read = reading.read(file)
        assert len(read.scenario.story.split()) >= 12, file.name
        assert read.scenario.story.strip().endswith((".", "!", "?", '"')), file.name
        assert not re.search(r"\b\d{9}\b", file.read_text("utf-8")), file.name


def test_no_two_stories_have_one_title() -> None:
    titles = [reading.read(file).scenario.scenario for file in LIBRARY]
    assert len(titles) == len(set(titles))
