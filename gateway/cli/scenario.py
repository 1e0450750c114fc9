"""`switchpoint scenario`: play stories told as data, list those that come along, turn a recorded call into one.

Exit codes: 0 all came as told, 1 something came otherwise, 2 a file is no scenario or cannot be played.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.place import Misuse, find
from source_sim.scenarios import diagram, junit, reading, telling
from source_sim.scenarios.files import SUFFIX, library, name_of
from source_sim.scenarios.played import Played
from source_sim.scenarios.reading import Read, Unreadable
from source_sim.scenarios.scenario import schema

if TYPE_CHECKING:
    from source_sim.scenarios.playing import Open

commands = typer.Typer(no_args_is_help=True)


@commands.command("run")
def run(
    files: Annotated[list[Path] | None, typer.Argument(help="Files, folders, or names from the library; none: all "
                                                       "that come along.")] = None,
    live: Annotated[bool, typer.Option("--live", help="On real sockets with mutual TLS, in real time.")] = False,
    url: Annotated[str, typer.Option(help="In the simulation that runs at this address, as http://127.0.0.1:8080; it "
                                     "is the players' alone meanwhile.")] = "",
    running: Annotated[Path | None, typer.Option(help="running.json of that simulation.")] = None,
    junit_to: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML here.")] = None,
    diagrams: Annotated[Path | None, typer.Option("--diagram", help="Write a sequence diagram (SVG) per scenario "
                                                  "into this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:  # fmt: skip
    """Play scenarios; what comes otherwise than told is told line by line."""
    found, unreadable = _read_all(_files(files or []))
    played = [] if unreadable else [*_played(found, _opening(live, url, running), quiet=as_json)]
    if junit_to:
        _write(junit_to, junit.junit(played, unreadable))
    if diagrams:
        for one in played:
            _write(diagrams / f"{one.read.name}.svg", diagram.diagram(one))
    if unreadable:
        raise Misuse("\n".join(unreadable)) if len(unreadable) == 1 else _several(unreadable)
    _end(played, as_json)


def _several(unreadable: Sequence[str]) -> Misuse:
    for told in unreadable[:-1]:
        sys.stderr.write(f"switchpoint: {told}\n")
    return Misuse(unreadable[-1])


def _played(found: Iterable[Read], opening: Open, *, quiet: bool) -> Iterator[Played]:
    from source_sim.scenarios.playing import play

    for read in found:
        played = play(read, opening)
        if not quiet:
            _tell(played)
        yield played


def _opening(live: bool, url: str, running: Path | None) -> Open:
    """Raises Misuse."""
    from source_sim.scenarios import playing  # brings the whole gateway along

    if url and live:
        raise Misuse("--live opens a country of its own; --url plays in one that runs")
    if running and not url:
        raise Misuse("--running tells of the simulation at --url; give its address, too")
    if url:
        return playing.by_url(url, running)
    return playing.over_sockets if live else playing.in_process


def _tell(played: Played) -> None:
    print(telling.summary(played))
    if not played.passed:
        print(telling.failure(played), end="\n\n")


def _end(played: Sequence[Played], as_json: bool) -> None:
    failed = [one for one in played if not one.passed]
    if as_json:
        print(json.dumps({"passed": not failed, "scenarios": [telling.as_json(one) for one in played]}))
    else:
        print(f"{len(played) - len(failed)} of {len(played)} scenarios as told")
    if failed:
        sys.exit(1)


def _files(wanted: Sequence[Path]) -> list[Path]:
    """The files meant: themselves, those of a folder, or by name from the library. Raises Misuse."""
    found: list[Path] = []
    for one in wanted:
        if one.is_dir():
            found += sorted(one.rglob(f"*{SUFFIX}"))
        elif one.exists():
            found.append(one)
        else:
            found.append(_from_library(str(one)))
    if wanted and not found:
        raise Misuse(f"no *{SUFFIX} there")
    return found or library()


def _from_library(name: str) -> Path:
    known = {name_of(file): file for file in library()}
    if name not in known:
        raise Misuse(f"{name}: no such file, and no such scenario in the library{reading.near(name, known)}")
    return known[name]


def _read_all(files: Iterable[Path]) -> tuple[list[Read], list[str]]:
    found, unreadable = [], []
    for file in files:
        try:
            found.append(reading.read(file))
        except Unreadable as wrong:
            unreadable.append(str(wrong))
    return found, unreadable


def _write(path: Path, text: str) -> None:
    """Raises Misuse."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as wrong:
        raise Misuse(f"cannot write {path}: {wrong.strerror}") from wrong


@commands.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The scenarios that come along, and what each shows."""
    found, _ = _read_all(library())
    if as_json:
        rows = [{"name": one.name, "scenario": one.scenario.scenario, "covers": one.scenario.covers} for one in found]
        print(json.dumps(rows))
        return
    table = Table("name", "scenario", "shows", title=f"{len(found)} scenarios")
    for one in found:
        table.add_row(one.name, one.scenario.scenario, ", ".join(one.scenario.covers))
    Console().print(table)


@commands.command("show")
def show(name: Annotated[Path, typer.Argument(help="A file, or a name from the library.")]) -> None:
    """Print a scenario's file: a beginning for one's own."""
    print(_files([name])[0].read_text("utf-8"), end="")


@commands.command("schema")
def schema_() -> None:
    """Print the JSON Schema of a scenario file."""
    print(json.dumps(schema(), indent=2))


@commands.command("record")
def record(
    chain: Annotated[str, typer.Argument(help="The call's initialRequestID; none: the latest question.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write it here instead of printing it.")] = None,
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
) -> None:
    """Turn a call of the running simulation into a scenario: who asked in which situation, what was known of the
    patient, what went wrong at which source, and what came. The patient's number stays behind."""
    from gateway.cli.recorded_call import recorded_call
    from source_sim.scenarios import recording

    text = recording.scenario_of(recorded_call(find(running), chain))
    if out:
        _write(out, text)
    else:
        print(text, end="")
