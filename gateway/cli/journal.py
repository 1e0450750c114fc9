"""`switchpoint journal`: what happened on the exchange, as the operator may see it. Reading is itself journaled."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli import journal_proof
from gateway.cli.opened import with_means
from gateway.cli.place import Misuse, find
from gateway.cli.terminal import plain
from gateway.flows.means import Means
from gateway.flows.reading import note_reading
from gateway.rules.identifiers import Bsn, InvalidIdentifier
from gateway.rules.journal import Audience, Event, view
from gateway.stores import journal as drawer
from gateway.stores.journal import Kept

commands = typer.Typer(no_args_is_help=True)
commands.command("verify")(journal_proof.verify_command)
commands.command("export")(journal_proof.export)
commands.command("prove")(journal_proof.prove_command)
commands.command("seal")(journal_proof.seal_command)
commands.command("archive")(journal_proof.archive_command)
commands.command("rotate-key")(journal_proof.rotate_command)
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@commands.command("tail")
def tail(
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines.")] = 20,
    event: Annotated[str, typer.Option(help="Only this event.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    running: Running = None,
    as_json: Json = False,
) -> None:
    """The newest lines, oldest first."""
    wanted = _event(event)

    async def act(means: Means) -> None:
        newest = await means.ledger.read(drawer.last)
        after = newest - lines if wanted is None else 0
        found = await means.ledger.read(lambda tx: drawer.tail(tx, max(after, 0), 1_000_000, event=wanted))
        _print(found[-lines:], as_json)
        await note_reading(means, getpass.getuser(), None, len(found[-lines:]))
        while follow:
            await asyncio.sleep(0.5)
            fresh = await _after(means, newest, wanted)
            newest = fresh[-1].seq if fresh else newest
            _print(fresh, as_json)

    with_means(find(running), act)


async def _after(means: Means, seq: int, event: Event | None) -> list[Kept]:
    return await means.ledger.read(lambda tx: drawer.tail(tx, seq, 1000, event=event))


@commands.command("show")
def show(
    aorta_id: Annotated[str, typer.Argument(help="initialRequestID of a chain of messages.")] = "",
    bsn: Annotated[str, typer.Option("--bsn", help="Or: everything about this patient.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines, with --bsn.")] = 50,
    running: Running = None,
    as_json: Json = False,
) -> None:
    """One call's whole chain, or everything about one patient; every field the operator may see."""
    if (aorta_id == "") == (bsn == ""):
        raise Misuse("name an initialRequestID or --bsn, one of the two")

    async def act(means: Means) -> list[Kept]:
        if aorta_id:
            found = await means.ledger.read(lambda tx: drawer.by_chain(tx, aorta_id))
        else:
            key = means.keys.patient(_bsn(bsn))
            found = await means.ledger.read(lambda tx: drawer.of_patient(tx, key, None, lines))
        await note_reading(means, getpass.getuser(), means.keys.patient(_bsn(bsn)) if bsn else None, len(found))
        return found

    found = with_means(find(running), act)
    if as_json:
        _print(found, as_json)
        return
    for kept in found:
        _print_whole(kept)
    if not found:
        print("nothing in the journal")


def _bsn(text: str) -> Bsn:
    try:
        return Bsn(text)
    except InvalidIdentifier as wrong:
        raise Misuse(str(wrong)) from wrong


def _event(text: str) -> Event | None:
    if text and text not in list(Event):
        raise Misuse(f"unknown event {text!r}; one of {', '.join(Event)}")
    return Event(text) if text else None


def _told(kept: Kept) -> dict[str, Any]:
    line = kept.line
    return {
        "seq": kept.seq,
        "at": line.at.isoformat(timespec="milliseconds"),
        "event": line.event.value,
        "initialRequestID": line.aorta.initial if line.aorta else None,
        "patient": line.patient.hex()[:8] if line.patient else None,
        **view(line, Audience.OPERATOR),
    }


def _print(found: Iterable[Kept], as_json: bool) -> None:
    if as_json:
        for kept in found:
            print(json.dumps(_told(kept)))
        return
    table = Table("seq", "time", "event", "who", "what", "chain", box=None, pad_edge=False)
    for kept in found:
        told = _told(kept)
        who = str(told.get("organisation_name") or told.get("by") or told.get("reader") or "")
        chain = (told["initialRequestID"] or "")[:8]
        row = (str(kept.seq), f"{kept.line.at:%H:%M:%S}", told["event"], who, _gist(told), chain)
        table.add_row(*map(plain, row))
    Console().print(table)


def _gist(told: dict[str, Any]) -> str:
    words = ("category", "row", "basis", "reason", "completeness", "say", "regime", "on", "serial", "shown")
    return " ".join(f"{word}={told[word]}" for word in words if told.get(word) is not None)


def _print_whole(kept: Kept) -> None:
    told = _told(kept)
    table = Table(show_header=False, title=f"{kept.seq}  {told['event']}", title_justify="left")
    for name, value in told.items():
        if name not in ("seq", "event"):
            table.add_row(name, plain(value if isinstance(value, str) else json.dumps(value)))
    Console().print(table)
