"""`switchpoint clock`: what time it is in the running simulation, and turning it: to a moment, faster, to rest.

Domain time only: consent, contacts, attestations, regimes, ages and deliveries go by it. Certificates, tokens and
revocation lists go by the wall's, which nobody turns.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from gateway.cli.desk_call import steer
from gateway.cli.place import Misuse, find

commands = typer.Typer(no_args_is_help=True)
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DUTCH = ZoneInfo("Europe/Amsterdam")


@commands.command("show")
def show(running: Running = None, as_json: AsJson = False) -> None:
    """The time, and how fast it goes."""
    _tell(steer(find(running), "GET", "/sim/clock"), as_json=as_json)


@commands.command("set")
def set_(
    moment: Annotated[str, typer.Argument(help="2023-03-31T23:59:59, Dutch time unless an offset is given.")],
    running: Running = None,
    as_json: AsJson = False,
) -> None:
    """Set the clock; it goes on as fast as before."""
    _turn(running, {"now": _moment(moment).isoformat()}, as_json=as_json)


@commands.command("forward")
def forward(
    duration: Annotated[str, typer.Argument(help="An ISO 8601 duration: PT2H, P3DT12H; -PT5M (after `--`) goes back.")],
    running: Running = None,
    as_json: AsJson = False,
) -> None:
    """Turn the clock forward; what falls due on the way is due at once."""
    _turn(running, {"forward": duration}, as_json=as_json)


@commands.command("freeze")
def freeze(running: Running = None, as_json: AsJson = False) -> None:
    """Let domain time stand still."""
    _turn(running, {"frozen": True}, as_json=as_json)


@commands.command("run")
def run(running: Running = None, as_json: AsJson = False) -> None:
    """Let it go on, a second in a second."""
    _turn(running, {"frozen": False}, as_json=as_json)


@commands.command("speed")
def speed(
    factor: Annotated[
        float, typer.Argument(help="Domain seconds in a second: 60 is an hour in a minute; at most 3600.")
    ],
    running: Running = None,
    as_json: AsJson = False,
) -> None:
    """Let it go faster or slower."""
    _turn(running, {"speed": factor}, as_json=as_json)


def _turn(running: Path | None, wish: dict[str, Any], *, as_json: bool) -> None:
    _tell(steer(find(running), "PUT", "/sim/clock", wish), as_json=as_json)


def _moment(text: str) -> datetime:
    """Raises Misuse."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise Misuse(f"{text!r} is not a time such as 2023-03-31T23:59:59") from wrong
    return moment if moment.tzinfo else moment.replace(tzinfo=_DUTCH)


def _tell(clock: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(clock))
        return
    now = datetime.fromisoformat(clock["now"]).astimezone(_DUTCH)
    pace = "stands still" if clock["frozen"] else f"{clock['speed']:g} x" if clock["speed"] != 1 else "goes"
    left = (
        " (the simulated sources were not reached: their clock goes on)"
        if clock.get("sources") == "not reached"
        else ""
    )
    print(f"{now:%A %Y-%m-%d %H:%M:%S %Z}  {pace}{left}")
