"""Do real instances from a folder come to life in a running simulation, as `switchpoint sources --records` promises?

Last of all, since two more holders of the same patients stay registered in the country.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from running_country import Visit

from source_sim import folder
from source_sim.requesters import Ask

PRACTICE, PHARMACY = "90000191", "90000291"


@pytest.mark.xdist_group("country")
async def test_a_folder_is_served_in_the_running_simulation(visit: Visit, real_records: Path) -> None:
    patients = folder.load(real_records).patients
    command = [sys.executable, "-m", "gateway", "sources", "--records", str(real_records)]
    serving = subprocess.Popen(
        [*command, "--running", visit.country.running],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        summaries = await _until_served(visit, patients[0], serving)
        assert PRACTICE in summaries
        allergies = [await visit.ask("gp-post", Ask.ALLERGIES, bsn) for bsn in patients]
        assert any(PHARMACY in one.sources for one in allergies)
    finally:
        serving.terminate()
        out, err = serving.communicate(timeout=20)
    assert "Traceback" not in out + err
    assert serving.returncode == 0


async def _until_served(visit: Visit, bsn: str, serving: subprocess.Popen[str]) -> frozenset[str]:
    for _ in range(60):
        assert serving.poll() is None, serving.communicate()
        reply = await visit.ask("gp-post", Ask.GP_SUMMARY, bsn)
        if PRACTICE in reply.sources:
            return reply.sources
        await asyncio.sleep(0.5)
    raise AssertionError("the folder was not served")
