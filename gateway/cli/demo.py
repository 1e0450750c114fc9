"""`switchpoint demo`: a country on this machine, and one Saturday night played in it, step by step.

Real processes, real sockets, mutual TLS. Stays up afterwards for whoever wants to try; `--once` ends with exit code 0
only if every step came out as told.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.place import FOLDER, Misuse
from gateway.cli.staging import Stage, stage
from gateway.cli.story import Cast, Story
from source_sim import country, folder, population


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the story.")] = False,
    records: Annotated[Path | None, typer.Option(help="Folder with real FHIR instances to serve.")] = None,
    state: Annotated[Path, typer.Option(help="Folder for the ledger and keys.")] = Path(FOLDER),
    certs: Annotated[Path, typer.Option(help="Folder of the certificate authority.")] = Path("certs"),
    workers: Annotated[int, typer.Option(help="How many exchange workers.")] = 1,
    port: Annotated[int, typer.Option(help="Exchange port; a free one if it is taken.")] = 8443,
    desk_port: Annotated[int, typer.Option(help="Desk port; a free one if it is taken.")] = 8080,
) -> None:
    """Set a country up, play the story, and stay up until Ctrl-C."""
    console = Console()
    signal.signal(signal.SIGTERM, _leave)
    began = time.monotonic()
    cast = _cast(records)
    with console.status("setting up a country: certificates, sources, gateway"):
        made = stage(
            state,
            certs,
            patients=_patients(cast),
            records=records.absolute() if records else None,
            workers=workers,
            exchange_port=port,
            desk_port=desk_port,
        )
    try:
        console.print(f"The country is up after {time.monotonic() - began:.1f} s.\n")
        story = Story(made, cast, console)
        failed = asyncio.run(story.play())
        console.print(f"\nThe story took {time.monotonic() - began:.1f} s in all.")
        if once or failed:
            sys.exit(1 if failed else 0)
        _show_addresses(made, cast, console)
        _stay(made)
    except KeyboardInterrupt:
        console.print("\nThe country goes to sleep.")
    finally:
        made.close()


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _cast(records: Path | None) -> Cast:
    today = date.today()  # noqa: DTZ011 - any day will do for names
    patient, objector = population.players(today)
    main = patient.bsn
    if records is not None:
        if not records.is_dir():
            raise Misuse(f"{records} is not a folder")
        loaded = folder.load(records)
        if not loaded.patients:
            raise Misuse(f"no patient with a BSN in {records}; nothing there can be served")
        main = max(loaded.patients, key=lambda bsn: len(loaded.records[bsn].instances))
    names = {one.key: one.bsn for one in population.persons(today)} | {"objected": objector.bsn}
    name = "the patient of the folder" if records else patient.name
    return Cast(main=main, main_name=name, recorded=records is not None, others=names)


def _patients(cast: Cast) -> dict[str, list[dict[str, Any]]]:
    """Whose records the simulated sources generate for the story; the folder's own patient is served from there."""
    players = [] if cast.recorded else [{"bsn": cast.main}]
    return {one.key: [*players, {"bsn": cast.others["objected"]}] for one in country.SOURCES}


def _show_addresses(made: Stage, cast: Cast, console: Console) -> None:
    table = Table(show_header=False, title="Try it yourself", title_justify="left")
    table.add_row("exchange (FHIR, mutual TLS)", made.exchange + "/fhir")
    table.add_row("token endpoint", made.settings.token_endpoint)
    table.add_row("console (log in as below)", made.desk)
    table.add_row("a patient's page", made.logins["patients_at"])
    for one in made.logins["operators"]:
        roles = " + ".join(one["roles"])
        table.add_row(f"{one['name']} ({roles})", f"password {one['password']}  secret {one['totp']}")
    table.add_row("a code of this moment", "switchpoint operator totp test-operator")
    table.add_row("a requester's certificate", str(made.folder(country.GP_POST)))
    table.add_row("ask", f"switchpoint ask gp-summary --bsn {cast.main} --as gp-post")
    table.add_row("join with your own system", "switchpoint join --help")
    table.add_row("what happened", "switchpoint journal tail")
    console.print(table)
    console.print("Ctrl-C ends it.")


def _stay(made: Stage) -> None:
    while all(process.poll() is None for process in made.processes):
        time.sleep(0.5)
    raise Misuse(f"a process of the country ended by itself; see the logs in {made.state}")
