"""`switchpoint doctor`: is the running simulation well? One line a check, exit code 1 when something is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.ask import system_from
from gateway.cli.place import Misuse, Place, find

Finding = tuple[str, bool, str]


def doctor(
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at desk, exchange, token service, sources, ledger, index and revocation list."""
    place = find(running)
    findings = asyncio.run(_examine(place))
    if as_json:
        print(json.dumps([{"check": name, "well": well, "told": told} for name, well, told in findings]))
    else:
        table = Table("check", "", "what was seen")
        for name, well, told in findings:
            table.add_row(name, "[green]well[/]" if well else "[red]wrong[/]", told)
        Console().print(table)
    if not all(well for _, well, _ in findings):
        sys.exit(1)


async def _examine(place: Place) -> list[Finding]:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as plain:
        desk = await _desk(plain, place)
        sources = await _sources(plain, place)
    return [*desk, *await _exchange(place), *sources, _certificate(place)]


async def _desk(plain: httpx.AsyncClient, place: Place) -> list[Finding]:
    try:
        answer = await plain.get(place.desk + "/health/ready")
        wrong = answer.json()["wrong"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return [("desk", False, f"{place.desk} does not answer ({type(error).__name__})")]
    checks = ("ledger", "index", "revocation", "disk")
    return [("desk", True, place.desk), *((name, name not in wrong, wrong.get(name, "")) for name in checks)]


async def _exchange(place: Place) -> list[Finding]:
    folder = Path(place.told["requesters"]["gp-post"])
    try:
        async with system_from(folder) as system:
            answer = await system.call("GET", "/metadata")
            token = await system.token({"sub": system.application})
    except (httpx.HTTPError, Misuse) as error:
        return [("exchange", False, f"{place.exchange} does not answer ({type(error).__name__})")]
    kind = answer.json.get("resourceType", "nothing")
    return [("exchange", answer.status == 200, f"{place.exchange}: {answer.status} {kind}"), ("token", bool(token), "")]


async def _sources(plain: httpx.AsyncClient, place: Place) -> list[Finding]:
    control = place.told.get("control")
    if not control:
        return []
    try:
        systems = (await plain.get(control + "/systems")).json()
    except (httpx.HTTPError, ValueError) as error:
        return [("sources", False, f"{control} does not answer ({type(error).__name__})")]
    listed = systems if isinstance(systems, list) else systems.get("systems", [])
    return [("sources", bool(listed), f"{len(listed)} simulated sources")]


def _certificate(place: Place) -> Finding:
    from cryptography import x509

    path = Path(place.told["settings"]["certificate"])
    try:
        left = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc - datetime.now(UTC)
    except (OSError, ValueError):
        return ("certificate", False, f"cannot read {path}")
    return ("certificate", left.days > 7, f"valid for {left.days} more days")
