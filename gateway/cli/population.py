"""`switchpoint population`: thousands of people, their practices, pharmacies and choices, from one seed.

The population is remembered in the state folder's sources.json, where every custodian's system names its recipe: the
sources write a record when somebody asks for it, and `switchpoint load` knows whom to ask about.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from gateway.cli.newcomers import Ground, ground_of, settled_in
from gateway.cli.opened import with_means_async
from gateway.cli.place import Misuse
from gateway.cli.settling import Settled, settle
from gateway.flows.deciding import Unsettled
from gateway.flows.means import Means
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable
from source_sim.peopling.region import Recipe, Region, region


def population(
    patients: Annotated[int, typer.Option(help="How many inhabitants.", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people.")] = 1,
    all_numbers: Annotated[bool, typer.Option("--all-numbers", help="Use the half of the test range that outsiders "
                                              "may use, too.")] = False,
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
    state: Annotated[Path | None, typer.Option(help="State folder of a country that stands still.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:  # fmt: skip
    """Let a population move in: it is registered after its consents, and its sources answer for it."""
    began, ground = time.monotonic(), ground_of(running, state)
    recipe = Recipe(patients, seed, all_numbers)
    try:
        made = region(recipe)
    except ValueError as wrong:
        raise Misuse(str(wrong)) from wrong
    _check_only_one(ground, recipe)
    done = _moved_in(ground, made, quiet=as_json)
    told = _told(made, done, time.monotonic() - began)
    print(json.dumps(told)) if as_json else _show(told, ground)


def _check_only_one(ground: Ground, recipe: Recipe) -> None:
    """Numbers belong to people: two populations would share them. Raises Misuse."""
    known = ground.recipe
    if known is not None and known != recipe:
        lives = f"{known.patients} inhabitants, seed {known.seed}"
        raise Misuse(f"{ground.state} has a population already ({lives}); set a fresh country up for another")


_BROKEN = (LedgerUnavailable, IndexUnavailable, Unsettled, OSError)


def _unfinished(why: str) -> Misuse:
    return Misuse(f"not everybody moved in ({why}); do it again to go on")


def _moved_in(ground: Ground, made: Region, *, quiet: bool) -> Settled:
    console = Console(stderr=True, quiet=quiet)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("moving in", total=len(made.numbered))

        async def act(means: Means) -> Settled:
            await settled_in(ground, made, means)
            return await settle(means, made, lambda: progress.advance(task))

        try:
            return asyncio.run(with_means_async(ground.settings, act))
        except BaseExceptionGroup as several:
            broken, rest = several.split(_BROKEN)
            if broken is None or rest is not None:
                raise
            raise _unfinished(str(broken.exceptions[0])) from several
        except _BROKEN as wrong:
            raise _unfinished(str(wrong) or type(wrong).__name__) from wrong


def _told(made: Region, done: Settled, seconds: float) -> dict[str, Any]:
    return {
        "recipe": asdict(made.recipe),
        "fingerprint": made.fingerprint,
        "inhabitants": len(made.inhabitants),
        "households": made.inhabitants[-1].household,
        "practices": len(made.practices),
        "pharmacies": len(made.pharmacies),
        "leanings": dict(Counter(one.leaning.value for one in made.inhabitants)),
        "numbered": len(made.numbered),
        "statements": done.statements,
        "entries": dict(sorted(done.entries.items())),
        "refused": dict(sorted(done.refused.items())),
        "seconds": round(seconds, 1),
    }


def _show(told: dict[str, Any], ground: Ground) -> None:
    table = Table(show_header=False, title=f"Population {told['fingerprint'][:16]}", title_justify="left")
    table.add_row("inhabitants, households", f"{told['inhabitants']}, {told['households']}")
    table.add_row("practices, pharmacies", f"{told['practices']}, {told['pharmacies']}")
    table.add_row("decided", ", ".join(f"{count} {word}" for word, count in sorted(told["leanings"].items())))
    table.add_row("with a number (known to the exchange)", str(told["numbered"]))
    table.add_row("consent statements", str(told["statements"]))
    table.add_row("registered", ", ".join(f"{count} {what}" for what, count in told["entries"].items()))
    if told["refused"]:
        table.add_row("refused", ", ".join(f"{count} {why}" for why, count in told["refused"].items()))
    table.add_row("seconds", str(told["seconds"]))
    console = Console()
    console.print(table)
    if not ground.control:
        console.print("The sources serve them from their next start on.")
