"""`switchpoint sources`: run simulated sources, as told in a file, or over a folder of real instances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.place import Misuse, find
from source_sim import folder as records_folder


def sources(
    config: Annotated[Path | None, typer.Option(help="JSON file naming the systems to run.")] = None,
    records: Annotated[Path | None, typer.Option(help="Serve a folder of FHIR instances instead.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only tell what of the folder can be served.")] = False,
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
) -> None:
    """Serve simulated sources over mutual TLS until SIGTERM; with --records, in the running simulation."""
    if (config is None) == (records is None):
        raise Misuse("name --config FILE, or --records DIR to serve a folder of instances")
    if records is not None:
        loaded = _report(records)
        if check:
            return
        from gateway.cli.recorded import prepare

        config = prepare(find(running), records, loaded.patients)
        Console().print("A practice and a pharmacy serve them now; ask with `switchpoint ask`. Ctrl-C ends it.")
    from source_sim.serving import BadConfig, load_config, run

    try:
        run(load_config(Path(str(config))))
    except BadConfig as wrong:
        raise Misuse(f"{config}: {wrong}") from wrong
    except OSError as wrong:
        raise Misuse(f"cannot serve {config}: {wrong}") from wrong


def _report(directory: Path) -> records_folder.Folder:
    if not directory.is_dir():
        raise Misuse(f"{directory} is not a folder")
    loaded = records_folder.load(directory)
    console = Console()
    console.print(f"{len(loaded.patients)} patients with a BSN in {directory}")
    reasons: dict[str, int] = {}
    for one in loaded.report:
        reasons[str(one.why)] = reasons.get(str(one.why), 0) + 1
    table = Table("not served because", "instances")
    for why, count in sorted(reasons.items()):
        table.add_row(why, str(count))
    if reasons:
        console.print(table)
    return loaded
