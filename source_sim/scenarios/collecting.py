"""How do scenario files become tests? What the pytest plugin hands `*.scenario.yaml` to: one file, one test.

A file that is no scenario fails with one line and no traceback; a scenario that comes out otherwise fails with what
differs. Playing is imported when the first scenario runs: collecting stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from source_sim.scenarios.files import SUFFIX, name_of


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a scenario file; None for any other."""
    if not file_path.name.endswith(SUFFIX):
        return None
    file: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return file


class OtherwiseThanTold(Exception):
    """The scenario came out otherwise; carries what is shown instead of a traceback."""


class ScenarioFile(pytest.File):
    """One scenario file."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test, called as the file without its suffix."""
        yield ScenarioItem.from_parent(self, name=name_of(self.path))


class ScenarioItem(pytest.Item):
    """One scenario, played in a fresh country."""

    def runtest(self) -> None:
        """Raises Unreadable, OtherwiseThanTold."""
        from source_sim.scenarios import playing, reading, telling

        played = playing.play(reading.read(self.path))
        self.user_properties.append(("scenario", telling.as_json(played)))
        if not played.passed:
            raise OtherwiseThanTold(telling.failure(played))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | Any:
        """What differs, or the one line that says why this is no scenario."""
        from source_sim.scenarios.reading import Unreadable

        if isinstance(excinfo.value, OtherwiseThanTold | Unreadable):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where and what, for the report."""
        return self.path, 0, f"scenario {self.name}"
