"""How does anybody's test get a country? The pytest plugin: fixtures, a marker, scenario files, failures that teach.

`switchpoint` is a fresh country in process, `live_switchpoint` one on real sockets with TLS; a `*.scenario.yaml` is a
test. Importing this file imports neither the gateway nor the simulator: a suite that uses no country pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from source_sim.testbed import Switchpoint

_FIXTURES = ("switchpoint", "live_switchpoint")
_MARKER = "switchpoint(seed=0, start=None): which country the fixture opens; start is domain time"
_SCENARIO = ".scenario.yaml"
_SECTION = "what the switchpoint did"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Scenario files are tests."""
    if not file_path.name.endswith(_SCENARIO):
        return None
    from source_sim.scenarios import collecting

    return collecting.pytest_collect_file(file_path, parent)


@pytest.fixture
def switchpoint(request: pytest.FixtureRequest) -> Iterator[Switchpoint]:
    """A fresh country in process, in virtual time; nothing of it outlives the test."""
    yield from _opened(request, live=False)


@pytest.fixture
def live_switchpoint(request: pytest.FixtureRequest) -> Iterator[Switchpoint]:
    """A fresh country on real sockets with mutual TLS, in real time: `.url`, `.desk_url`."""
    yield from _opened(request, live=True)


def _opened(request: pytest.FixtureRequest, *, live: bool) -> Iterator[Switchpoint]:
    from source_sim.testbed import open_country

    marker = request.node.get_closest_marker("switchpoint")
    with open_country(**(marker.kwargs if marker else {}), live=live) as country:
        yield country


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failing test that used a country tells what happened in it."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    for name in _FIXTURES:
        country = getattr(item, "funcargs", {}).get(name)
        if country is not None:
            report.sections.append((_SECTION, country.report()))
