"""Is everything that left valid FHIR R4? Two validators of others, after all other tests of the country.

Each different answer the systems of the tests got, with everything in it; AuditEvents against the profile they claim,
too. (The name puts this file last.)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from balp import PROFILES
from node_at_hand import NODE, node
from running_country import Country, Visit

from source_sim import folder
from source_sim.country import GP, PHARMACY
from source_sim.requesters import Ask

LEAST = 40

pytestmark = pytest.mark.xdist_group("country")


STAND_IN = {"resourceType": "Basic", "code": {"text": "looked at elsewhere, or somebody else's content"}}


class Looking:
    """What is to be looked at: every different answer whole, but each resource that a source sent once only. Records of
    a folder are of `others`: they pass through untouched, and are not ours to judge."""

    def __init__(self, others: Iterable[str]) -> None:
        self._others = [bsn.encode() for bsn in others]
        self._seen: set[str] = set()

    def at(self, body: bytes) -> dict[str, Any]:
        whole: dict[str, Any] = json.loads(body)
        foreign = any(bsn in body for bsn in self._others)
        for entry in whole.get("entry", []):
            if entry.get("search", {}).get("mode") in ("match", "include") and (foreign or self._known(entry)):
                entry["resource"] = STAND_IN
        return whole

    def _known(self, entry: dict[str, Any]) -> bool:
        text = json.dumps(entry["resource"], sort_keys=True)
        known = text in self._seen
        self._seen.add(text)
        return known


async def faults_in(program: str, found: list[tuple[str, dict[str, Any]]], where: Path) -> list[dict[str, Any]]:
    file = where / "answers.ndjson"
    file.write_text("".join(json.dumps({"told": told, "resource": one}) + "\n" for told, one in found), "utf-8")
    process = await asyncio.create_subprocess_exec(
        program, "validate.mjs", str(file), cwd=NODE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    *faults, end = (json.loads(line) for line in out.splitlines())
    assert end == {"validated": len(found)}
    return faults


async def one_of_everything(visit: Visit) -> None:
    """So that this file alone, too, has something of each kind to look at."""
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary", "treatment-limits")
    await visit.enter(PHARMACY, bsn, "medication", "allergies")
    for what in Ask:
        await visit.ask("gp-post", what, bsn)
    await visit.ask("emergency-department", Ask.GP_SUMMARY, bsn)
    custodian = visit.custodian(GP)
    await custodian.audit_events(bsn)
    await custodian.own_entries()
    await custodian.own_consents(bsn)
    for path in ("metadata", "Organization", "Endpoint", "CodeSystem", "StructureDefinition", "SearchParameter"):
        await visit.system(GP).call("GET", f"/{path}")


async def test_two_validators_find_nothing_wrong(
    country: Country, visit: Visit, tmp_path: Path, real_records: Path
) -> None:
    program, others = node(), folder.load(real_records).patients
    await one_of_everything(visit)
    looking = Looking(others)
    found = [(told, looking.at(body)) for body, told in country.heard.items() if json.loads(body).get("resourceType")]
    kinds = {one["resourceType"] for _, one in found} | {
        entry["resource"]["resourceType"] for _, one in found for entry in one.get("entry", []) if "resource" in entry
    }
    assert len(found) > LEAST
    assert {"Bundle", "OperationOutcome", "CapabilityStatement", "AuditEvent", "Consent", "Organization"} <= kinds
    faults = await faults_in(program, found, tmp_path)
    assert not faults, f"{len(faults)} faults in {len(found)} resources: " + json.dumps(faults[:12], indent=1)


async def test_a_wrong_resource_is_found_by_both(tmp_path: Path) -> None:
    wrong = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}], "strange": 1}
    assert {one["by"] for one in await faults_in(node(), [("a wrong one", wrong)], tmp_path)} == {"medplum", "fhir"}


async def test_the_audit_events_that_left_keep_to_the_profile_they_claim(country: Country, visit: Visit) -> None:
    await one_of_everything(visit)
    held = 0
    for body in country.heard:
        for entry in json.loads(body).get("entry", []):
            one = entry.get("resource", {})
            for profile in one.get("meta", {}).get("profile", []) if one.get("resourceType") == "AuditEvent" else []:
                PROFILES[profile](one)
                held += 1
    assert held > 3
