"""Does a scenario come out the same on real sockets with mutual TLS as in process?"""

from __future__ import annotations

from typing import Any

import pytest

from source_sim.scenarios import files, playing, reading, telling
from source_sim.scenarios.played import Played

NAMES = ("after-hours-visit", "crisis-start-and-stop", "fault-reset", "fault-down", "sixteen-by-now")


def told(played: Played) -> list[dict[str, Any]]:
    """What came of each step, without how long it took."""
    return [{name: value for name, value in step.came.items() if name != "within"} for step in played.steps]


@pytest.mark.parametrize("name", NAMES)
def test_sockets_make_no_difference(name: str) -> None:
    read = reading.read(files.LIBRARY / f"{name}{files.SUFFIX}")
    here, there = playing.play(read), playing.play(read, playing.over_sockets)
    assert there.passed, telling.failure(there)
    assert told(here) == told(there)
    assert here.shown == there.shown
