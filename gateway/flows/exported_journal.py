"""How does the journal leave the ledger? As a file of lines: for a second party to hold against it, or as an archive.

**The file** is UTF-8, one JSON object a line. First ``{"format": "switchpoint journal 1"}``; then in any order
``{"key": note}`` · ``{"checkpoint": note}``, with ``"leaves"`` (base64 of the leaf hashes) where entries are exported ·
``{"archive": note}`` · ``{"entry": [...]}``, the twelve columns of `rules/checkpoint.py`, a blob as ``{"hex": "…"}``.
Checkpoints and keys name nobody; entries do. Knows where bytes are written, not who may have them.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from hashlib import file_digest
from itertools import zip_longest
from pathlib import Path
from typing import Any, TextIO

from gateway.flows.sealing_journal import Sealer, SealRefused, private_key
from gateway.flows.verifying_journal import BadExport, Elsewhere, Fault, Wrong, verify
from gateway.rules.checkpoint import Archived, BadNote, entry_bytes
from gateway.rules.merkle import leaf_hash
from gateway.stores import checkpoints
from gateway.stores.checkpoint_keys import sign
from gateway.stores.ledger import Ledger
from gateway.stores.notes import Chain, key_chain, open_archived
from gateway.stores.schema import instant
from gateway.stores.transaction import Row

FORMAT = "switchpoint journal 1"
_BATCH = 500


class NothingToArchive(Exception):
    """No checkpoint lies before that time behind what is archived already."""


def export(ledger: Ledger, file: TextIO, *, entries: bool) -> int:
    """Write keys, checkpoints and archive marks, and with `entries` the journal itself; returns how many checkpoints.
    Blocks. Raises LedgerUnavailable, OSError, SealRefused for an entry that cannot be read."""
    _write_notes(ledger, file)
    written = _write_checkpoints(ledger, file, 0, ledger.read_now(checkpoints.sealed_size), leaves=entries)
    if entries:
        for row in _rows(ledger, ledger.read_now(checkpoints.ends)[0] - 1, ledger.read_now(checkpoints.ends)[1]):
            _write(file, entry=[_plain(value) for value in row])
    return written


def read_export(lines: Iterable[str]) -> Elsewhere:
    """The keys and checkpoints of an exported file. Raises BadExport."""
    told = list(_told(lines))
    kept = {name: tuple(one[name] for one in told if name in one) for name in ("key", "checkpoint")}
    if not kept["key"] or not all(isinstance(note, str) for notes in kept.values() for note in notes):
        raise BadExport("not an export of a journal's checkpoints")
    return Elsewhere(kept["key"], kept["checkpoint"])


def _told(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        try:
            one = json.loads(line)
        except ValueError as wrong:
            raise BadExport(f"line {number} is not JSON") from wrong
        if not isinstance(one, dict) or (number == 1 and one.get("format") != FORMAT):
            raise BadExport("not an exported journal")
        yield one


def _write_notes(ledger: Ledger, file: TextIO) -> None:
    _write(file, format=FORMAT)
    for note in ledger.read_now(checkpoints.keys):
        _write(file, key=note)
    for _, note in ledger.read_now(checkpoints.archives):
        _write(file, archive=note)


def _write_checkpoints(ledger: Ledger, file: TextIO, after: int, through: int, *, leaves: bool) -> int:
    written = 0
    while after < through:
        for kept in ledger.read_now(lambda tx, after=after: checkpoints.above(tx, after, _BATCH)):  # type: ignore[misc]
            if kept.size <= through:
                beside = {"leaves": base64.b64encode(kept.leaves).decode()} if leaves else {}
                _write(file, checkpoint=kept.note, **beside)
                written += 1
            after = kept.size
    return written


def _rows(ledger: Ledger, after: int, through: int) -> Iterator[Row]:
    while batch := ledger.read_now(lambda tx, after=after: checkpoints.entries(tx, after, through, _BATCH)):  # type: ignore[misc]
        for seq, row in batch:
            if row is None:
                raise SealRefused(f"entry {seq} cannot be read")
            yield row
        after = batch[-1][0]


def _write(file: TextIO, **told: object) -> None:
    file.write(json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n")


def _plain(value: object) -> object:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _value(told: object) -> object:
    return bytes.fromhex(told["hex"]) if isinstance(told, dict) else told


# --- archives --------------------------------------------------------------------------------------------------------


def archive(sealer: Sealer, before: int, path: Path) -> Archived:
    """Move the oldest entries, all written before `before` (wall, microseconds), to a new file; returns the mark.

    In this order: the whole journal is verified · the file is durable, and its digest worked out from what it holds ·
    a signed mark is durable in the ledger · only then entries are removed. Their leaf hashes stay, so the tree does.
    Cut short after the mark, `remove_archived` goes on. Raises NothingToArchive, SealRefused, FileExistsError, OSError,
    LedgerUnavailable.
    """
    ledger = sealer.ledger
    after = ledger.read_now(checkpoints.archived_through)
    through = ledger.read_now(lambda tx: checkpoints.boundary(tx, before))
    if through <= after:
        raise NothingToArchive(f"nothing more to archive: entries up to {after} are, and no checkpoint follows in time")
    wrong = verify(ledger).first_wrong
    if wrong is not None:
        raise SealRefused(f"a journal that does not verify is not archived: {wrong.told}")
    chain = key_chain(ledger.read_now(checkpoints.keys))
    digest = _write_archive(ledger, path, after, through)
    told = Archived(chain[0].origin, through, digest, after, instant(sealer.wall()))
    note = str(sign(told.text(), told.origin, private_key(sealer.ring, chain[-1])))
    ledger.commit_now(lambda tx: checkpoints.mark_archived(tx, through, note))
    remove_archived(ledger)
    return told


def remove_archived(ledger: Ledger) -> int:
    """Remove what is marked as archived and still stands in the ledger, in small steps; returns how many entries."""
    removed = 0
    while done := ledger.commit_now(lambda tx: checkpoints.remove_archived(tx, _BATCH)):
        removed += done
    return removed


def _write_archive(ledger: Ledger, path: Path, after: int, through: int) -> str:
    """Write the file, durable and for its owner only; returns the SHA-256 of what can be read back from it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        _write_notes(ledger, file)
        _write_checkpoints(ledger, file, after, through, leaves=True)
        for row in _rows(ledger, after, through):
            _write(file, entry=[_plain(value) for value in row])
        file.flush()
        os.fsync(file.fileno())
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def verify_archive(ledger: Ledger, path: Path) -> list[Wrong]:
    """Whether an archived file is the one that was marked, entry by entry. Raises BadExport, OSError."""
    chain = key_chain(ledger.read_now(checkpoints.keys))
    told = _mark_of(ledger, chain, _digest(path))
    if told is None:
        return [Wrong(Fault.ARCHIVE, f"{path.name} is not a file that was archived from this journal, or was changed")]
    with path.open(encoding="utf-8") as file:
        rows = [tuple(map(_value, one["entry"])) for one in _told(file) if "entry" in one]
    leaves = ledger.read_now(lambda tx: checkpoints.leaf_hashes(tx, told.after, told.through))
    pairs = enumerate(zip_longest(rows, leaves, fillvalue=b""), told.after + 1)
    wrong = next((number for number, (row, leaf) in pairs if leaf_hash(entry_bytes(row)) != leaf), None)
    if wrong is None:
        return []
    return [Wrong(Fault.ARCHIVE, f"{path.name}: entry {wrong} is not what was sealed", wrong)]


def _mark_of(ledger: Ledger, chain: Chain, digest: str) -> Archived | None:
    for _, note in ledger.read_now(checkpoints.archives):
        try:
            told = open_archived(note, chain)
        except BadNote:
            continue  # told by the verification of the ledger
        if told.digest == digest:
            return told
    return None
