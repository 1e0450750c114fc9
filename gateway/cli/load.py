"""`switchpoint load`: a night or a morning of questions against the running simulation, asked open-loop.

Real requesters over mutual TLS, each question with a token of its own, as doctors ask. Times count from the planned
moment, so that an exchange that stalls cannot make its own load go away.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from gateway.cli.ask import PERSONAS, domain_now, system_from
from gateway.cli.newcomers import ground_of
from gateway.cli.place import Misuse, Place, find
from source_sim.loading import Call, Came, Heard, heard, play, report
from source_sim.peopling.region import Recipe, region
from source_sim.peopling.surveys import OPTED_IN, UNDECIDED, Leaning
from source_sim.profiles import PROFILES, Arrival, Pools, arrivals
from source_sim.requesters import System, TokenRefused

_KEPT_ALIVE = 64
_LEAST_SECONDS = 1.0


def load(
    profile: Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")] = "saturday-night",
    seconds: Annotated[float, typer.Option(help="How long the profile is made to last.")] = 30.0,
    rate: Annotated[float | None, typer.Option(help="Questions a second, on average; the profile's own if not "
                                               "told.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed asks the same questions at the same moments.")] = 1,
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:  # fmt: skip
    """Ask as many do at once, and tell per role and per source what came and how long it took."""
    chosen = PROFILES.get(profile)
    if chosen is None:
        raise Misuse(f"unknown profile {profile!r}; one of {', '.join(PROFILES)}")
    if seconds < _LEAST_SECONDS or (rate is not None and rate <= 0):
        raise Misuse(f"--seconds is at least {_LEAST_SECONDS:g}, and --rate above 0")
    place = find(running)
    try:
        planned = arrivals(chosen, _pools(place), seconds=seconds, seed=seed, rate=rate)
    except ValueError as wrong:
        raise Misuse(str(wrong)) from wrong
    told = _played(place, planned, quiet=as_json)
    told = {"profile": chosen.name, "sentence": chosen.sentence, "seconds": seconds, "seed": seed, **told}
    print(json.dumps(told)) if as_json else _show(told, _names(place))


# --- whom to ask about -----------------------------------------------------------------------------------------------


def _pools(place: Place) -> Pools:
    """The population's people by what they decided, as often as in the nation; without one, the sources' own patients.
    Raises Misuse."""
    ground = ground_of(place.path, None)
    if ground.recipe is None:
        listed = {one["bsn"] for system in ground.systems for one in system.get("patients", ())}
        return ((1, sorted(listed)),)
    return pools_of(ground.recipe)


def pools_of(recipe: Recipe) -> Pools:
    """Whoever has no number cannot be asked about: those who have stand for the others of their kind."""
    people = region(recipe).numbered
    shares = {Leaning.YES: OPTED_IN, Leaning.UNDECIDED: UNDECIDED, Leaning.NO: 1 - OPTED_IN - UNDECIDED}
    return tuple(
        (int(1000 * share), [one.bsn for one in people if one.leaning is leaning and one.bsn])
        for leaning, share in shares.items()
    )


# --- asking ----------------------------------------------------------------------------------------------------------


def _played(place: Place, planned: Sequence[Arrival], *, quiet: bool) -> dict[str, Any]:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, quiet=quiet)) as progress:
        task = progress.add_task("asking", total=len(planned))
        began, used = time.monotonic(), time.process_time()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            calls = runner.run(_play(place, planned, lambda: progress.advance(task)))
        busy = (time.process_time() - used) / (time.monotonic() - began)
    return report(calls, busy=busy)


async def _play(place: Place, planned: Sequence[Arrival], told: Callable[[], None]) -> list[Call]:
    start, began = domain_now(place), time.monotonic()
    async with AsyncExitStack() as stack:
        systems = {}
        for role in sorted({one.role for one in planned}):
            systems[role] = await stack.enter_async_context(_wide(Path(place.told["requesters"][role])))

        async def put(arrival: Arrival) -> Heard:
            now = start + timedelta(seconds=time.monotonic() - began)
            return await _put(systems[arrival.role], arrival, now)

        return await play(planned, put, told)


def _wide(folder: Path) -> System:
    """A joined system without a bound on its connections: a queue for them would be the generator's, not the
    exchange's."""
    system = system_from(folder)
    tls = ssl.create_default_context(cafile=system.ca)
    tls.load_cert_chain(system.cert, system.key)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_ALIVE)
    transport = httpx.AsyncHTTPTransport(verify=tls, limits=limits, trust_env=False)
    return System(
        system.cert,
        system.key,
        system.ca,
        system.exchange_url,
        system.token_endpoint,
        system.application,
        system.ura,
        transport=transport,
    )


async def _put(system: System, arrival: Arrival, now: datetime) -> Heard:
    try:
        return heard(await system.ask(arrival.ask, arrival.bsn, PERSONAS[arrival.role](now)))
    except TokenRefused as wrong:
        return Heard(Came.FAILED, f"token: {wrong}".strip())
    except httpx.HTTPError as wrong:
        return Heard(Came.FAILED, type(wrong).__name__)


# --- telling ---------------------------------------------------------------------------------------------------------

_TIMES = ("p50", "p95", "p99", "max")


def _names(place: Place) -> dict[str, str]:
    return {one["ura"]: one["name"] for one in ground_of(place.path, None).systems}


def _show(told: dict[str, Any], names: dict[str, str]) -> None:
    console = Console()
    console.print(f"[bold]{told['profile']}[/]: {told['sentence']}")
    console.print(_table("who asked", "what came", [*told["roles"].items(), ("all", told["all"])], _came))
    console.print(_table("source", "what it did", [(names.get(ura, ura), row) for ura, row in told["sources"].items()],
                         lambda row: row["did"]))  # fmt: skip
    _show_why(told, console)
    _show_generator(told["generator"], console)


def _table(
    head: str, middle: str, rows: list[tuple[str, dict[str, Any]]], did: Callable[[dict[str, Any]], dict[str, int]]
) -> Table:
    table = Table(head, "count", middle, *(f"{name} ms" for name in _TIMES))
    for name, row in rows:
        words = ", ".join(f"{count} {word}" for word, count in did(row).items())
        table.add_row(name, str(row["count"]), words, *(f"{row[time_]:.0f}" for time_ in _TIMES))
    return table


def _came(row: dict[str, Any]) -> dict[str, int]:
    return {kind.value: row[kind.value] for kind in Came if row[kind.value]}


def _show_why(told: dict[str, Any], console: Console) -> None:
    for role, row in told["roles"].items():
        for why, count in row["why"].items():
            console.print(f"{role}: {count} × {why}")


def _show_generator(told: dict[str, Any], console: Console) -> None:
    late = told["late"]
    line = f"The generator began its questions {late['p50']} ms late (p99 {late['p99']}, max {late['max']}) and used"
    console.print(f"{line} {told['busy']:.0%} of a core.")
    if not told["kept_up"]:
        said = "It, or the machine it shares, could not keep up: these times are partly its own. Try a lower --rate."
        console.print(f"[bold red]{said}[/]")
