"""Does the demo play its story, and fail when a step comes out otherwise? The program as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from running_country import Visit

from source_sim import folder
from source_sim.country import GP, PHARMACY
from source_sim.records import MEDICATION_TYPES
from source_sim.requesters import Ask, Reply

STEPS = 14
TOLD = (
    "Before her yes: 403 no-consent.",
    "Both: 200, complete, nothing found",
    "delivered, and taken once though the post sent it",
    "The next summary shows the visit: U71",
    "For one who objects to just that: 403 objection.",
    "Her GP has a notice for each",
    "`switchpoint journal verify`:",
    "403 not-authorised.",
    "403 verbal-consent-required.",
    "flagged as verbal consent",
    "flagged as presumed consent",
    "Nothing found, complete.",
    "nothing was released",
    "query-decided",
    "disclosed",
    "query-answered",
)


def demo(where: Path, *words: str) -> subprocess.Popen[str]:
    places = ["--state", str(where / "state"), "--certs", str(where / "certs"), "--port", "0", "--desk-port", "0"]
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--once", *places, *words],
        cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=110)
    assert "Traceback" not in out + err, err
    return process.returncode, out


def steps_of(told: str) -> list[str]:
    return [line for line in told.splitlines() if line.partition(".")[0].isdigit()]


# with made-up records the demo of tests/web/test_demo_seen.py plays it, and is read in the browser
RECORDS = [pytest.param(False, id="made-up-records", marks=pytest.mark.wide), pytest.param(True, id="real-records")]


@pytest.mark.parametrize("real", RECORDS)
def test_the_story_comes_out_as_told(tmp_path: Path, real_records: Path, real: bool) -> None:
    if real:
        assert real_records.is_dir(), f"{real_records} is not there; set SWITCHPOINT_RECORDS"
    code, told = finished(demo(tmp_path, *(["--records", str(real_records)] if real else [])))
    assert code == 0, told
    assert len(steps_of(told)) == STEPS
    missing = [line for line in TOLD if line not in told]
    assert not missing
    assert "NOT AS TOLD" not in told
    assert "FAILED" not in told
    assert not (tmp_path / "state" / "running.json").exists()


def spoil_from_outside(where: Path, ura: str, fault: str) -> None:
    """Spoil a source as soon as the country runs."""
    running, until = where / "state" / "running.json", time.monotonic() + 60
    while not running.exists():
        assert time.monotonic() < until, "the country did not start"
        time.sleep(0.02)
    control = json.loads(running.read_text("utf-8"))["control"]
    httpx.put(f"{control}/systems/{ura}/fault", json={"name": fault}, trust_env=False).raise_for_status()


def test_a_wrong_outcome_fails_the_story(tmp_path: Path) -> None:
    process = demo(tmp_path)
    spoil_from_outside(tmp_path, GP.ura, "empty")
    code, told = finished(process)
    assert code == 1, told
    assert "NOT AS TOLD" in told
    assert len(steps_of(told)) == STEPS, "the steps after a wrong one are played all the same"


# --- real instances --------------------------------------------------------------------------------------------------


def bytes_of(reply: Reply) -> bytes:
    return b"\n".join(one.body for one in (reply, *reply.others))


@pytest.mark.xdist_group("country")
async def test_every_real_instance_served_arrives_byte_for_byte(visit: Visit, real_records: Path) -> None:
    assert real_records.is_dir(), f"{real_records} is not there; set SWITCHPOINT_RECORDS"
    loaded = folder.load(real_records)
    assert loaded.patients
    kinds: set[str] = set()
    for bsn in loaded.patients:
        await visit.enter(GP, bsn, "gp-summary")
        await visit.enter(PHARMACY, bsn, "medication", "allergies")
        replies = [await visit.ask("gp-post", what, bsn) for what in (Ask.GP_SUMMARY, Ask.MEDICATION, Ask.ALLERGIES)]
        assert [(one.status, one.completeness) for one in replies] == [(200, "complete")] * 3, bsn[-3:]
        summary, medication, allergies = (bytes_of(one) for one in replies)
        for one in loaded.records[bsn].instances:
            came = {**dict.fromkeys(MEDICATION_TYPES, medication), "AllergyIntolerance": allergies, "Flag": allergies}
            if one.resource_type in came:
                assert one.text in came[one.resource_type], one.key
                kinds.add(one.resource_type)
            elif one.text in summary:
                kinds.add(one.resource_type)
    held = {one.resource_type for record in loaded.records.values() for one in record.instances}
    assert held & {*MEDICATION_TYPES, "AllergyIntolerance", "Flag"} <= kinds, "a kind that is served never came"
    assert len(kinds) > 8, sorted(kinds)


@pytest.mark.xdist_group("country")
async def test_the_summary_of_a_real_patient_is_the_source_s_own_document(visit: Visit, real_records: Path) -> None:
    """Every instance that the source's document holds, in the answer's bytes; at least one has an odd decimal."""
    loaded = folder.load(real_records)
    bsn = max(loaded.patients, key=lambda one: len(loaded.records[one].instances))
    await visit.enter(GP, bsn, "gp-summary")
    reply = await visit.ask("gp-post", Ask.GP_SUMMARY, bsn)
    (document,) = reply.matches
    inside = {f"{one['resource']['resourceType']}/{one['resource'].get('id')}" for one in document["entry"]}
    held = [one for one in loaded.records[bsn].instances if one.key in inside]
    assert len(held) > 10
    assert all(one.text in reply.body for one in held)
