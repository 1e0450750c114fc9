"""`switchpoint regime`: which arrangement is in force, and switching one with who and why."""

from __future__ import annotations

import getpass
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.opened import with_means
from gateway.cli.place import Misuse, find
from gateway.cli.terminal import plain
from gateway.flows.means import Means
from gateway.flows.operating import switch_regime
from gateway.rules import regimes
from gateway.rules.exchange import Regime
from gateway.rules.network import RegimeSwitch

commands = typer.Typer(no_args_is_help=True)
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]


@commands.command("show")
def show(running: Running = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Which regimes are in force now, and how that came."""

    async def read(means: Means) -> tuple[datetime, frozenset[Regime], tuple[RegimeSwitch, ...]]:
        network = await means.live.network()
        at = means.live.domain(network)
        return at, regimes.active(network.switches, at), network.switches

    at, active, switches = with_means(find(running), read)
    rows = [_row(regime, active, switches) for regime in Regime]
    if as_json:
        print(json.dumps({"at": at.isoformat(), "regimes": rows}))
        return
    table = Table(
        "regime", "in force", "last switched", "until", "by", "reason", title=f"Regimes at {at:%Y-%m-%d %H:%M}"
    )
    for row in rows:
        table.add_row(*("" if value is None else plain(str(value)) for value in row.values()))
    Console().print(table)


def _row(regime: Regime, active: frozenset[Regime], switches: tuple[RegimeSwitch, ...]) -> dict[str, str | None]:
    last = next((s for s in reversed(switches) if s.regime is regime), None)
    return {
        "regime": regime.value,
        "in_force": "yes" if regime in active else "no",
        "at": last.at.isoformat(timespec="seconds") if last else None,
        "until": last.until.isoformat(timespec="seconds") if last and last.until else None,
        "by": last.by if last else None,
        "reason": last.reason if last else None,
    }


@commands.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="CRISIS_OPT_IN or EMERGENCY_AVAILABLE.")],
    to: Annotated[str, typer.Argument(help="on or off.")],
    reason: Annotated[str, typer.Option(help="Why; stands in the journal.")],
    until: Annotated[str, typer.Option(help="Ends by itself at this time (RFC 3339).")] = "",
    running: Running = None,
) -> None:
    """Switch a regime on or off, from this second."""
    regime, on = _regime(name), _on(to)
    end = _moment(until) if until else None

    async def act(means: Means) -> datetime:
        at = means.live.domain(await means.live.network())
        await switch_regime(means, RegimeSwitch(regime, on, at, getpass.getuser(), reason, end))
        return at

    at = with_means(find(running), act)
    print(f"{regime} is {to} from {at:%Y-%m-%d %H:%M:%S} (domain time)")


def _regime(name: str) -> Regime:
    switchable = [regime for regime in Regime if regime is not Regime.REGULAR]
    if name not in switchable:
        raise Misuse(f"unknown regime {name!r}; one of {', '.join(switchable)} (REGULAR is always on)")
    return Regime(name)


def _on(to: str) -> bool:
    if to not in ("on", "off"):
        raise Misuse("switch a regime on or off")
    return to == "on"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise Misuse("--until needs an RFC 3339 time") from wrong
    if moment.tzinfo is None:
        raise Misuse("--until needs a time zone, as in 2026-12-01T08:00:00+01:00")
    return moment
