"""`switchpoint fault`: let a source of the running simulation fail in one of the ways of the catalogue, and mend it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.desk_call import steer
from gateway.cli.place import Misuse, Place, find
from source_sim import country

commands = typer.Typer(no_args_is_help=True)
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Leg = Annotated[
    str,
    typer.Option(help="Only on this leg: a resource type, search, metadata, $process-message; else all but metadata."),
]
PatientKey = Annotated[str, typer.Option("--patient-key", help="Only for this test person, by key: all-open, …")]
_PATH = "/sim/faults"


@commands.command("list")
def list_(running: Running = None, as_json: AsJson = False) -> None:
    """The catalogue, and what is switched on where."""
    told = steer(find(running), "GET", _PATH)
    if as_json:
        print(json.dumps(told))
        return
    catalogue = Table("fault", "what the source does", title="The catalogue")
    for one in told["faults"]:
        catalogue.add_row(one["name"], escape(one["sentence"]))
    console = Console()
    console.print(catalogue)
    console.print(_switched_on(told["systems"]))


@commands.command("set")
def set_(
    source: Annotated[str, typer.Argument(help="A source by key (pharmacy), URA or name.")],
    name: Annotated[str, typer.Argument(help="A fault of `switchpoint fault list`.")],
    seconds: Annotated[float, typer.Option(help="Where the fault takes a time.")] = 0.0,
    spread: Annotated[str, typer.Option(help="Of slow: fixed, uniform, normal or long-tail.")] = "",
    probability: Annotated[float, typer.Option(help="Which part of the calls meets it.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of that chance: the same seed meets the same calls.")] = 0,
    call: Annotated[int, typer.Option(help="Only the n-th call from now on.")] = 0,
    leg: Leg = "",
    patient_key: PatientKey = "",
    place: Annotated[str, typer.Option(help="Of wrong-patient: where the other patient hides.")] = "",
    running: Running = None,
    as_json: AsJson = False,
) -> None:
    """Switch a fault on; what this leg and patient had goes."""
    here = find(running)
    chosen = {"spread": spread, "place": place, "leg": leg, "patient": patient_key, "call": call}
    wish = {"name": name, "seconds": seconds, "probability": probability, "seed": seed}
    given = {word: value for word, value in chosen.items() if value}
    _show(steer(here, "PUT", _PATH, {"source": _ura(here, source), **wish, **given}), as_json=as_json)


@commands.command("clear")
def clear(
    source: Annotated[str, typer.Argument(help="A source by key, URA or name; without it, all of them.")] = "",
    leg: Leg = "",
    patient_key: PatientKey = "",
    running: Running = None,
    as_json: AsJson = False,
) -> None:
    """Mend a source, or all; with --leg or --patient-key only that fault goes."""
    here = find(running)
    if not source:
        if leg or patient_key:
            raise Misuse("name the source whose leg or patient is meant")
        _show(steer(here, "DELETE", _PATH, {}), as_json=as_json)
        return
    narrowed: dict[str, Any] = {word: value for word, value in {"leg": leg, "patient": patient_key}.items() if value}
    wish = {"source": _ura(here, source), **(narrowed or {"all": True})}
    _show(steer(here, "DELETE", _PATH, wish), as_json=as_json)


def _ura(here: Place, source: str) -> str:
    """The URA of a source by any of its names. Raises Misuse."""
    if len(source) == 8 and source.isascii() and source.isdigit():
        return source
    known = {one.key: one.ura for one in country.PARTICIPANTS}
    if source in known:
        return known[source]
    systems = steer(here, "GET", _PATH)["systems"]
    named = {str(one["name"]): str(one["ura"]) for one in systems}
    if source not in named:
        keys = [key for key, ura in known.items() if ura in named.values()]
        raise Misuse(f"no source {source!r}; there are {', '.join(keys)}")
    return named[source]


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(told))
        return
    Console().print(_switched_on(told.get("systems") or [told]))


def _switched_on(systems: list[dict[str, Any]]) -> Table:
    table = Table("source", "fault", "for", "met", title="Switched on")
    for system in systems:
        for one in system["faults"]:
            table.add_row(escape(system["name"]), _fault(one), escape(_whom(one)), f"{one['met']} of {one['calls']}")
    if not table.rows:
        table.caption = "nothing: every source does what it should"
    return table


def _fault(one: dict[str, Any]) -> str:
    place = f" at {one['place']}" if one["place"] else ""
    seconds = f" {one['seconds']:g} s" if one["seconds"] else ""
    spread = f" {one['spread']}" if one["spread"] != "fixed" else ""
    return f"{one['name']}{place}{seconds}{spread}"


def _whom(one: dict[str, Any]) -> str:
    parts = [one["leg"] or "everything"]
    parts += [f"patient {one['patient']}"] if one["patient"] else []
    parts += [f"{one['probability']:.0%} of calls, seed {one['seed']}"] if one["probability"] < 1 else []
    parts += [f"call {one['call']} only"] if one["call"] else []
    return ", ".join(parts)
