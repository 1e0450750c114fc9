"""`switchpoint journal verify`, `export`, `prove`, `archive`, `rotate-key`: that nobody has changed what was written.

Exit codes: 0 nothing is wrong, 1 something is (the first wrong entry is named), 2 it cannot be told.
"""

from __future__ import annotations

import asyncio
import base64
import getpass
import json
import os
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.opened import settings_of, with_means
from gateway.cli.place import Misuse, find
from gateway.flows import exported_journal
from gateway.flows.means import Live, Means
from gateway.flows.proving_journal import Disproved, NotSealed, Proof, prove
from gateway.flows.reading import note_keeping, note_reading
from gateway.flows.sealing_journal import Sealer, SealRefused, open_sealer, rotate_key, seal
from gateway.flows.verifying_journal import BadExport, Elsewhere, Report, Wrong, verify
from gateway.settings import Settings
from gateway.stores import checkpoints, journal
from gateway.stores.checkpoint_keys import RingUnusable
from gateway.stores.ledger import Ledger, LedgerUnavailable, open_ledger
from gateway.stores.schema import instant, moment

T = TypeVar("T")
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_PATIENCE = 60.0


def verify_command(
    against: Annotated[list[Path] | None, typer.Option(help="An export kept since earlier; may be repeated.")] = None,
    archive: Annotated[
        list[Path] | None, typer.Option(help="An archived file to verify, too; may be repeated.")
    ] = None,
    first_key: Annotated[str, typer.Option(help="The id that the journal's first key must have.")] = "",
    ledger: Annotated[str, typer.Option(help="This ledger (a file or postgresql://) instead of a running one's.")] = "",
    running: Running = None,
    as_json: Json = False,
) -> None:
    """Verify the whole journal: every entry, every checkpoint, and what was exported before."""
    elsewhere = [_exported(path) for path in against or ()]
    if first_key:
        elsewhere.append(Elsewhere(first_key=first_key))

    def act(sealer: Sealer | None, opened: Ledger) -> tuple[Report, list[Wrong]]:
        witnessed = sealer.witness.note() if sealer else None
        own = [Elsewhere(checkpoints=(witnessed,))] if witnessed else []
        archived = [one for path in archive or () for one in exported_journal.verify_archive(opened, path)]
        return verify(opened, [*elsewhere, *own]), archived

    report, archived = _with_ledger(running, ledger, act)
    wrong = [*report.wrong, *archived]
    first = report.first_wrong or next(iter(archived), None)
    if as_json:
        print(json.dumps(_as_json(report, wrong, first)))
    else:
        _show(report, wrong, first)
    raise typer.Exit(1 if wrong else 0)


def export(
    path: Annotated[Path, typer.Argument(help="The file to write; - for standard output.")],
    entries: Annotated[bool, typer.Option("--entries", help="The entries, too (they name people).")] = False,
    ledger: Annotated[str, typer.Option(help="This ledger (a file or postgresql://) instead of a running one's.")] = "",
    running: Running = None,
) -> None:
    """Write the checkpoints to a file: give it to somebody who can hold it against you later."""

    def act(_sealer: Sealer | None, opened: Ledger) -> int:
        # what was exported before is evidence: it is never overwritten
        descriptor = os.dup(1) if str(path) == "-" else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            return exported_journal.export(opened, out, entries=entries)

    async def note(means: Means) -> None:
        await note_reading(means, getpass.getuser(), None, await means.ledger.read(journal.last))

    if entries and not ledger:
        with_means(find(running), note)
    written = _with_ledger(running, ledger, act)
    if not ledger:
        _note(running, "exported", f"{written} checkpoints")
    Console(stderr=True).print(f"{written} checkpoints")


def prove_command(
    entry: Annotated[int, typer.Argument(help="The entry's number.")],
    since: Annotated[
        int, typer.Option(help="Also prove that the checkpoint of this many entries is its beginning.")
    ] = 0,
    running: Running = None,
) -> None:
    """Print a proof that an entry is in the newest checkpoint (RFC 6962), as JSON. It is checked before it is shown."""
    try:
        proof = _with_ledger(running, "", lambda _sealer, opened: prove(opened, entry, since=since))
    except Disproved as wrong:
        Console(stderr=True).print(f"WRONG  {wrong}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from wrong
    print(json.dumps(_proof_as_json(proof)))


def archive_command(
    path: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    before: Annotated[str, typer.Option(help="Entries written before this day (YYYY-MM-DD, UTC).")],
    running: Running = None,
) -> None:
    """Move old entries from the ledger to a file. The tree keeps their leaf hashes: proofs stay good."""
    try:
        day = datetime.fromisoformat(before).replace(tzinfo=UTC)
    except ValueError as wrong:
        raise Misuse("--before wants a day, YYYY-MM-DD") from wrong
    told = _with_sealer(running, lambda sealer: exported_journal.archive(sealer, instant(day), path))
    _note(running, "archived", f"entries {told.after + 1} to {told.through}")
    print(f"entries {told.after + 1} to {told.through} are in {path} (sha256 {told.digest})")


def rotate_command(running: Running = None) -> None:
    """Begin a new checkpoint key, announced under the old one's signature; the old private key is destroyed."""
    key = _with_sealer(running, lambda sealer: asyncio.run(rotate_key(sealer)))
    _note(running, "key-rotated", key)
    print(f"key {key} seals from now on")


def seal_command(running: Running = None) -> None:
    """Seal what is not sealed yet, without waiting for the desk process."""

    async def all_of_it(sealer: Sealer) -> int:
        sealed = 0
        while done := await seal(sealer):
            sealed += done
        return sealed

    print(f"{_with_sealer(running, lambda sealer: asyncio.run(all_of_it(sealer)))} entries sealed")


def _note(running: Path | None, act: str, what: str) -> None:
    _with_sealer(
        running,
        lambda sealer: asyncio.run(
            note_keeping(sealer.ledger, Live(sealer.ledger, sealer.wall), act, what, by=getpass.getuser())
        ),
    )


# --- opening ---------------------------------------------------------------------------------------------------------


def _with_ledger(running: Path | None, address: str, act: Callable[[Sealer | None, Ledger], T]) -> T:
    """Run `act` on a ledger opened for reading only; with its sealer when it is a running simulation's."""
    settings = None if address else settings_of(find(running))
    try:
        ledger = open_ledger(settings.ledger_address if settings else address, read_only=True, patience=_PATIENCE)
        with closing(ledger):
            if not ledger.read_now(checkpoints.are_kept):
                raise Misuse("this ledger is older than sealing: start the gateway on it once")
            return act(_sealer_of(settings, ledger) if settings else None, ledger)
    except (LedgerUnavailable, BadExport, SealRefused, RingUnusable, NotSealed, OSError) as wrong:
        raise Misuse(str(wrong)) from wrong


def _with_sealer(running: Path | None, act: Callable[[Sealer], T]) -> T:
    settings = settings_of(find(running))
    try:
        with closing(open_ledger(settings.ledger_address, patience=_PATIENCE)) as ledger:
            return act(_sealer_of(settings, ledger))
    except (
        LedgerUnavailable, BadExport, SealRefused, RingUnusable, exported_journal.NothingToArchive, OSError,
    ) as wrong:  # fmt: skip
        raise Misuse(str(wrong)) from wrong


def _sealer_of(settings: Settings, ledger: Ledger) -> Sealer:
    from gateway.app import wall_clock

    return open_sealer(ledger, settings.state_dir, wall_clock)


def _exported(path: Path) -> Elsewhere:
    try:
        with path.open(encoding="utf-8") as lines:
            return exported_journal.read_export(lines)
    except (OSError, BadExport) as wrong:
        raise Misuse(f"cannot use {path}: {wrong}") from wrong


# --- showing ---------------------------------------------------------------------------------------------------------


def _as_json(report: Report, wrong: list[Wrong], first: Wrong | None) -> dict[str, Any]:
    return {
        "entries": report.entries,
        "sealed": report.sealed,
        "unsealed": report.unsealed,
        "archived": report.archived,
        "checkpoints": report.checkpoints,
        "first_key": report.keys[0] if report.keys else None,
        "keys": list(report.keys),
        "faults": report.faults + len(wrong) - len(report.wrong),
        "first_wrong": first and _wrong_as_json(first),
        "wrong": [_wrong_as_json(one) for one in wrong],
    }


def _wrong_as_json(one: Wrong) -> dict[str, Any]:
    return {"fault": one.fault.value, "entry": one.entry, "through": one.through, "told": one.told}


def _show(report: Report, wrong: list[Wrong], first: Wrong | None) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in _as_json(report, wrong, first).items():
        if name not in ("first_wrong", "wrong", "keys"):
            table.add_row(name.replace("_", " "), str(value))
    console = Console()
    console.print(table)
    for one in wrong:
        console.print(f"WRONG  {one.fault.value}: {one.told}", highlight=False, markup=False, soft_wrap=True)
    told = f"first wrong: {first.told}" if first else "nothing is wrong"
    console.print(told, highlight=False, markup=False, soft_wrap=True)


def _proof_as_json(proof: Proof) -> dict[str, Any]:
    def hashes(path: tuple[bytes, ...]) -> list[str]:
        return [base64.b64encode(one).decode() for one in path]

    return {
        "entry": proof.entry,
        "leaf": base64.b64encode(proof.leaf).decode(),
        "checkpoint": proof.note,
        "sealed": moment(proof.checkpoint.wall).isoformat(),
        "inclusion": hashes(proof.inclusion),
        "since": proof.since,
        "consistency": hashes(proof.consistency),
    }
