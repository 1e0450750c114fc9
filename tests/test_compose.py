"""Is docker-compose.yml valid and true, also where no engine runs? Its settings exist, its commands are ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.program import COMMANDS
from gateway.settings import Settings

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))


def test_the_whole_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"ledger", "index", "prepare", "gateway", "sources"}


def test_every_setting_is_one_of_ours(compose: dict[str, Any]) -> None:
    known = {f"SWITCHPOINT_{name.upper()}" for name in Settings.model_fields}
    for name in ("prepare", "gateway", "sources"):
        assert set(compose["services"][name]["environment"]) <= known


def test_what_a_service_waits_for_exists_and_can_be_waited_for(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert other in services
            assert how["condition"] != "service_healthy" or "healthcheck" in services[other]


def test_every_command_is_a_command_of_the_program(compose: dict[str, Any]) -> None:
    for name in ("prepare", "gateway", "sources"):
        words = compose["services"][name]["command"][-1].split("python -m gateway ")[1].split()
        assert words[0] in COMMANDS


def test_named_volumes_are_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source.startswith((".", "/")) or source in compose["volumes"]


def test_only_loopback_is_published(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_docker_itself_finds_nothing_wrong(compose: dict[str, Any]) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("no docker compose here to ask for a second opinion; the tests above stand by themselves")
    checked = subprocess.run([docker, "compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
