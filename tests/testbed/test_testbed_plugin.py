"""Does a stranger's test file work with nothing but the plugin, and does it cost nothing when it is not used?"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

STRANGER = """
import pytest


def test_two_doctors(switchpoint):
    gp = switchpoint.gp_practice()
    anna = switchpoint.patient("anna", gp=gp)
    switchpoint.gp_post().ask("gp-summary", anna).expect(total=1, row="REG-1")


@pytest.mark.parametrize("number", range(8))
def test_each_test_has_a_country_of_its_own(switchpoint, number):
    assert switchpoint.journal.events() == []
    switchpoint.regime.on("EMERGENCY_AVAILABLE")


@pytest.mark.switchpoint(seed=3, start="2023-03-31T23:59:59")
def test_the_last_second_of_the_crisis(switchpoint):
    assert switchpoint.clock.now.isoformat().startswith("2023-03-31T23:59:59")


def test_on_sockets(live_switchpoint):
    post = live_switchpoint.gp_post()
    with post.http() as http:
        assert http.get("/fhir/metadata").status_code == 200
"""

FAILING = """
def test_that_fails(switchpoint):
    anna = switchpoint.patient("anna", gp=switchpoint.gp_practice())
    switchpoint.ambulance().ask("gp-summary", anna)
    assert False


def test_that_fails_without(tmp_path):
    assert False
"""


STRANGE = {
    "SWITCHPOINT_LEDGER_URL": "postgresql://nobody@127.0.0.1:1/none",
    "SWITCHPOINT_INDEX_URL": "redis://127.0.0.1:1",
    "SWITCHPOINT_ROUTINE_SECONDS": "0.001",
    "SWITCHPOINT_SIMULATION": "false",
}
"""Settings of another exchange, in the environment the tests run in: none may reach into a country."""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    known = any(one.value == "source_sim.pytest_plugin" for one in entry_points(group="pytest11"))
    plugin = [] if known else ["-p", "source_sim.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *plugin, *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=110, env={**os.environ, **STRANGE}
    )


# side by side is how this very suite runs its own countries
BESIDE = [pytest.param((), id="alone"), pytest.param(("-n", "2"), id="xdist", marks=pytest.mark.wide)]


@pytest.mark.parametrize("parallel", BESIDE)
def test_a_strangers_file_passes(tmp_path: Path, parallel: tuple[str, ...]) -> None:
    (tmp_path / "test_stranger.py").write_text(STRANGER)
    done = run(tmp_path, "--strict-markers", *parallel)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 passed" in done.stdout


def test_a_failing_test_tells_what_the_switchpoint_did(tmp_path: Path) -> None:
    (tmp_path / "test_stranger.py").write_text(FAILING)
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("what the switchpoint did") == 1
    assert "query-refused        gp-summary · not-authorised · Test Ambulancedienst Midden" in done.stdout
    assert "row EMA-2 would permit this, but EMERGENCY_AVAILABLE was never switched on" in done.stdout


def test_loading_the_plugin_loads_neither_the_gateway_nor_the_testbed() -> None:
    program = (
        "import sys, source_sim.pytest_plugin\n"
        "print([m for m in sys.modules if m.startswith(('gateway', 'source_sim.', 'httpx', 'fastapi'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['source_sim.pytest_plugin']", done.stderr
