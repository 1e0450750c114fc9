"""`switchpoint stage`: set a country up for processes that something else starts, as containers: files and register."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.place import Misuse
from gateway.cli.planting import plant_all
from gateway.cli.serve import settings_from_environment
from gateway.cli.staging import Stage, issue_all, make_authority, register_all, sources_config, write_running
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable

_FIRST_PORT = 9101


def stage(
    host: Annotated[str, typer.Option(help="Host name under which the gateway reaches the sources.")] = "localhost",
    gateway: Annotated[str, typer.Option(help="Host name under which the sources reach the gateway.")] = "localhost",
    records: Annotated[Path | None, typer.Option(help="Folder with real FHIR instances to serve.")] = None,
) -> None:
    """Make authority, certificates, participants and sources.json, as the SWITCHPOINT_… settings say."""
    settings = settings_from_environment(simulation=True)
    made = Stage(
        state=settings.state_dir.absolute(),
        certs=settings.ca.parent.absolute(),
        settings=settings,
        patients={},
        records=records,
    )
    made.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    issue_all(made, make_authority(made), hosts=(host, gateway, "localhost", "127.0.0.1"))
    config = sources_config(made)
    config["jwks_url"] = f"https://{gateway}:{settings.exchange_port}/.well-known/jwks.json"
    for port, system in enumerate(config["systems"], _FIRST_PORT):
        system |= {"host": "0.0.0.0", "port": port, "endpoint": f"https://{host}:{port}/fhir"}  # noqa: S104
        made.endpoints[system["ura"]] = system["endpoint"]
    (made.state / "sources.json").write_text(json.dumps(config, indent=2), "utf-8")
    try:
        asyncio.run(register_all(made, plant_all))
    except (LedgerUnavailable, IndexUnavailable) as wrong:
        raise Misuse(f"the stores cannot be used now: {wrong}") from wrong
    write_running(made)
    print(f"the country is set up in {made.state}")
