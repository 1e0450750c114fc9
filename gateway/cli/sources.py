"""`switchpoint sources`: run simulated sources, as told in a file, or over a folder of real instances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.place import Misuse
from source_sim import folder as records_folder


def sources(
    config: Annotated[Path | None, typer.Option(help="JSON file naming the systems to run.")] = None,
    records: Annotated[Path | None, typer.Option(help="A folder of FHIR instances.")] = None,
) -> None:
    """Serve simulated sources over mutual TLS until SIGTERM; with --records alone, report on a folder of instances."""
    if config is None and records is None:
        raise Misuse("name --config FILE to serve, or --records DIR to look at a folder of instances")
    if config is None:
        _report(Path(str(records)))
        return
    from source_sim.serving import BadConfig, load_config, run

    try:
        run(load_config(config))
    except BadConfig as wrong:
        raise Misuse(f"{config}: {wrong}") from wrong
    except OSError as wrong:
        raise Misuse(f"cannot serve {config}: {wrong}") from wrong


def _report(directory: Path) -> None:
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
