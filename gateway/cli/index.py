"""`switchpoint index`: is the reference index complete, and the operator's word that it is again after a rebuild."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.opened import with_means
from gateway.cli.place import find
from gateway.flows.means import Means
from gateway.stores.index import IndexUnavailable

commands = typer.Typer(no_args_is_help=True)
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]


@commands.command("show")
def show(running: Running = None) -> None:
    """Can the index be asked, and is it complete? Exit code 1 if not."""

    async def look(means: Means) -> str:
        try:
            await means.index.ready()
        except IndexUnavailable as wrong:
            return str(wrong)
        return ""

    wrong = with_means(find(running), look)
    print(f"unavailable: {wrong}" if wrong else "complete")
    sys.exit(1 if wrong else 0)


@commands.command("rebuilt")
def rebuilt(running: Running = None) -> None:
    """Every custodian has registered again: declare the index complete from here on."""
    with_means(find(running), lambda means: means.index.rebuild_done())
    print("the index is declared complete")
