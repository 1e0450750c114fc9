"""Was the journal changed? A verifier for a second party: this one file, Python 3.11 and `cryptography`, nothing else.

    python verify_journal.py --ledger ledger.sqlite [--file ARCHIVE ...] [--against EXPORT] [--first-key ID]
    python verify_journal.py --file FULL_EXPORT     [--file ARCHIVE ...] [--against EXPORT] [--first-key ID]

Rebuilds the tree of RFC 6962 over every entry it is given, checks each checkpoint's root and Ed25519 signature, the
chain of keys and the archive marks, and that every checkpoint in EXPORT (kept by you since earlier) still stands. Exit
code 0: nothing is wrong; 1: something is, the first wrong entry is named; 2: what was given cannot be read.

Shares no code with the gateway on purpose: it was written from the forms that `gateway/rules/checkpoint.py` and
`gateway/flows/exported_journal.py` describe. Without --against or --first-key it can only say that the journal agrees
with itself. A copied SQLite file needs its -wal file beside it, else the newest entries are not in the copy.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sqlite3
import struct
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ORIGIN = "switchpoint/journal/"
FORMAT = "switchpoint journal 1"
COLUMNS = "seq, wall, at, event, initial, request, patient, custodian, requester, rule, reason, line"


class Unreadable(Exception):
    """Nothing can be said about the journal."""


class Wrong(Exception):
    """A note that cannot be believed."""


def leaf(row: Sequence[Any]) -> bytes:
    """SHA-256 over 0x00 and the entry's bytes: an opening line, then each column as a letter and its value."""
    parts = [b"\x00switchpoint journal entry 1\n"]
    for value in row:
        if value is None:
            parts.append(b"N")
        elif type(value) is int:
            parts.append(b"I" + struct.pack(">q", value))
        elif type(value) is float:
            parts.append(b"R" + struct.pack(">d", value))
        else:
            raw = value if type(value) is bytes else value.encode("utf-8", "surrogateescape")
            parts.append((b"B" if type(value) is bytes else b"T") + struct.pack(">I", len(raw)) + raw)
    return hashlib.sha256(b"".join(parts)).digest()


class Tree:
    """A growing tree: a stack of (height, root) of complete subtrees, each higher than the next."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[tuple[int, bytes]] = []

    def add(self, hashed: bytes) -> None:
        height = 0
        while self._stack and self._stack[-1][0] == height:
            hashed = hashlib.sha256(b"\x01" + self._stack.pop()[1] + hashed).digest()
            height += 1
        self._stack.append((height, hashed))
        self.size += 1

    def root(self) -> bytes:
        if not self._stack:
            return hashlib.sha256().digest()
        roots = [root for _, root in self._stack]
        while len(roots) > 1:
            right = roots.pop()
            roots[-1] = hashlib.sha256(b"\x01" + roots[-1] + right).digest()
        return roots[0]


@dataclass
class Key:
    """A key of the chain: it signs checkpoints of more than `after` entries."""

    public: bytes
    after: int

    @property
    def id(self) -> str:
        return hashlib.sha256(self.public).hexdigest()[:16]

    def signed(self, origin: str, text: str, signatures: list[str]) -> bool:
        hint = hashlib.sha256(origin.encode() + b"\n\x01" + self.public).digest()[:4]
        for line in signatures:
            head, _, encoded = line.rpartition(" ")
            raw = base64.b64decode(encoded)
            if head == f"— {origin}" and raw[:4] == hint:
                try:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(raw[4:], text.encode())
                except InvalidSignature:
                    continue
                return True
        return False


def split(note: str) -> tuple[str, list[str], list[str]]:
    """A note's text, the five lines of it, and its signature lines. Raises Wrong."""
    text, gap, signed = note.partition("\n\n")
    lines = text.split("\n")
    if not gap or len(lines) != 5 or not lines[3].startswith("after ") or not lines[4].startswith("wall "):
        raise Wrong("not a note")
    return text + "\n", lines, [line for line in signed.split("\n") if line]


def chain_of(notes: list[str]) -> list[Key]:
    """The keys, each announced under its own signature and the one's before it. Raises Wrong."""
    keys: list[Key] = []
    for note in notes:
        text, lines, signatures = split(note)
        key = Key(base64.b64decode(lines[2]), int(lines[3][6:]))
        first, before = (keys[0], keys[-1]) if keys else (key, key)
        origin = ORIGIN + first.id
        honest = (lines[0], lines[1]) == (origin + "/key", key.id) and key.after >= before.after
        if not honest or not key.signed(origin, text, signatures) or not before.signed(origin, text, signatures):
            raise Wrong(f"key {lines[1]} does not follow from the one before it")
        keys.append(key)
    return keys


def checkpoint(note: str, keys: list[Key]) -> tuple[int, bytes, int]:
    """Size, root and the size before it, of a checkpoint signed by the key in force. Raises Wrong."""
    text, lines, signatures = split(note)
    size, after = int(lines[1]), int(lines[3][6:])
    in_force = [key for key in keys if key.after < size]
    origin = ORIGIN + keys[0].id if keys else ""
    if not in_force or lines[0] != origin or not in_force[-1].signed(origin, text, signatures):
        raise Wrong(f"the checkpoint of {size} entries is not signed by the key in force")
    return size, base64.b64decode(lines[2]), after


@dataclass
class Given:
    """Everything read: notes as texts, the kept leaf hashes per checkpoint note, and each entry's leaf hash."""

    keys: list[str] = field(default_factory=list)
    checkpoints: list[tuple[str, bytes]] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    entries: dict[int, bytes] = field(default_factory=dict)


def from_ledger(path: Path, into: Given) -> None:
    with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as db:
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        into.keys = [note for (note,) in db.execute("SELECT note FROM checkpoint_key ORDER BY number")]
        into.checkpoints = list(db.execute("SELECT note, leaves FROM checkpoint ORDER BY size"))
        into.archives = [note for (note,) in db.execute("SELECT note FROM journal_archive ORDER BY through")]
        for row in db.execute(f"SELECT {COLUMNS} FROM journal"):  # noqa: S608
            into.entries[row[0]] = leaf(row)


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            told = json.loads(line)
            if number == 0 and told.get("format") != FORMAT:
                raise Unreadable(f"{path} is not an exported journal")
            yield told


def from_file(path: Path, into: Given, *, whole: bool) -> None:
    """Take in an export. `whole`: its notes count, too; of an archive beside a ledger only the entries do."""
    for told in lines_of(path):
        if "entry" in told:
            row = [bytes.fromhex(one["hex"]) if isinstance(one, dict) else one for one in told["entry"]]
            into.entries.setdefault(int(row[0]), leaf(row))
        elif whole and "key" in told:
            into.keys.append(told["key"])
        elif whole and "checkpoint" in told:
            into.checkpoints.append((told["checkpoint"], base64.b64decode(told.get("leaves", ""))))
        elif whole and "archive" in told:
            into.archives.append(told["archive"])


@dataclass
class Verdict:
    """What was found: each fault with the first entry it touches, or None."""

    sealed: int = 0
    wrong: list[tuple[int | None, str]] = field(default_factory=list)

    def add(self, entry: int | None, told: str) -> None:
        self.wrong.append((entry, told))

    def first(self) -> int | None:
        return min((entry for entry, _ in self.wrong if entry is not None), default=None)


def verify(given: Given, against: Given | None, first_key: str | None) -> Verdict:
    """Everything this file can tell about what was given."""
    verdict = Verdict()
    try:
        keys = chain_of(given.keys)
    except (Wrong, ValueError) as wrong:
        verdict.add(None, f"keys: {wrong}")
        return verdict
    if first_key is not None and (not keys or keys[0].id != first_key):
        verdict.add(None, f"the journal does not begin with key {first_key}")
    walk(given, keys, archived(given, keys, verdict), verdict)
    if against is not None:
        compare(given, against, verdict)
    return verdict


def archived(given: Given, keys: list[Key], verdict: Verdict) -> int:
    """Through which entry signed marks say that entries are in a file elsewhere."""
    through, origin = 0, ORIGIN + keys[0].id if keys else ""
    for note in given.archives:
        try:
            text, lines, signatures = split(note)
            if lines[0] != origin + "/archive" or int(lines[3][6:]) != through:
                raise Wrong("it does not go on from the one before it")
            if not any(key.signed(origin, text, signatures) for key in keys):
                raise Wrong("no key of this journal signed it")
            through = int(lines[1])
        except (Wrong, ValueError) as wrong:
            verdict.add(None, f"archive mark: {wrong}")
    return through


def walk(given: Given, keys: list[Key], moved: int, verdict: Verdict) -> None:
    """Every checkpoint against the tree of the entries before it."""
    tree = Tree()
    for note, leaves in given.checkpoints:
        try:
            size, root, after = checkpoint(note, keys)
            if size <= tree.size:
                raise Wrong(f"a second checkpoint of {size} entries")
        except (Wrong, ValueError) as wrong:
            verdict.add(tree.size + 1, str(wrong))
            continue
        if after != tree.size:
            verdict.add(tree.size + 1, f"no checkpoint of {after} entries that can be believed")
        kept = [leaves[at : at + 32] for at in range(0, len(leaves), 32)] if after == tree.size else []
        tree = stretch(given, tree, size, root, kept, moved, verdict)
    verdict.sealed = tree.size
    newest = max(given.entries, default=0)
    gone = [number for number in range(tree.size + 1, newest) if number not in given.entries]
    verdict.wrong += [(number, f"entry {number} is missing") for number in gone]
    verdict.wrong += [(number, f"entry {number} has no place") for number in given.entries if number < 1]
    if not given.checkpoints and given.entries:
        verdict.add(1, "nothing is sealed")


def stretch(given: Given, tree: Tree, size: int, root: bytes, kept: list[bytes], moved: int, verdict: Verdict) -> Tree:
    """The entries from the last checkpoint to this one; returns the tree to go on with."""
    numbers = range(tree.size + 1, size + 1)
    beside = dict(zip(numbers, kept, strict=True)) if len(kept) == len(numbers) else {}
    if kept and not beside:
        verdict.add(None, f"leaf hashes beside the checkpoint of {size} entries are not whole")
    from_kept, from_entries = deepcopy(tree), deepcopy(tree)
    missing, changed = [], []
    for number in numbers:
        there = given.entries.get(number, beside.get(number) if number <= moved else None)
        if there is None:
            missing.append((number, f"entry {number} is missing"))
        elif there != beside.get(number, there):
            changed.append((number, f"entry {number} is not what was sealed"))
        from_entries.add(there or b"")
        from_kept.add(beside.get(number, b""))
    if not missing and from_entries.root() == root:
        if changed:
            verdict.add(None, f"leaf hashes beside the checkpoint of {size} entries were changed")
        return from_entries
    if from_kept.root() != root:
        changed = [(numbers[0], f"entries {numbers[0]} to {size} do not give the signed root")]
    verdict.wrong += missing + changed
    return from_kept


def compare(given: Given, against: Given, verdict: Verdict) -> None:
    """What was exported earlier must still stand, word for word."""
    try:
        keys = chain_of(against.keys)
        theirs = [(checkpoint(note, keys)[0], note) for note, _ in against.checkpoints]
    except (Wrong, ValueError) as wrong:
        raise Unreadable(f"the export to compare with cannot be believed: {wrong}") from wrong
    if not keys or against.keys != given.keys[: len(against.keys)]:
        verdict.add(None, "the journal's keys are not those of the export")
    ours = {note for note, _ in given.checkpoints}
    agreed = 0
    for size, note in theirs:
        if note in ours:
            agreed = size
        elif size > verdict.sealed:
            verdict.add(
                verdict.sealed + 1, f"the export knows {size} sealed entries, here are {verdict.sealed}: set back"
            )
        else:
            verdict.add(agreed + 1, f"the checkpoint of {size} entries in the export is not this journal's")


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify a switchpoint journal without the switchpoint.")
    parser.add_argument("--ledger", type=Path, help="the SQLite ledger")
    parser.add_argument("--file", type=Path, action="append", default=[], help="an export with entries, or an archive")
    parser.add_argument("--against", type=Path, help="an export kept since earlier")
    parser.add_argument("--first-key", help="the id the journal's first key must have")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    if not (wanted.ledger or wanted.file):
        parser.error("name --ledger or --file")
    try:
        verdict = verify(*read(wanted), wanted.first_key)
    except (Unreadable, Wrong, OSError, sqlite3.Error, ValueError, KeyError, TypeError) as wrong:
        sys.stderr.write(f"cannot be read: {type(wrong).__name__}: {wrong}\n")
        return 2
    show(verdict, as_json=wanted.json)
    return 1 if verdict.wrong else 0


def read(wanted: argparse.Namespace) -> tuple[Given, Given | None]:
    given = Given()
    if wanted.ledger is not None:
        from_ledger(wanted.ledger, given)
    for number, path in enumerate(wanted.file):
        from_file(path, given, whole=wanted.ledger is None and number == 0)
    against = Given() if wanted.against else None
    if against is not None:
        from_file(wanted.against, against, whole=True)
    return given, against


def show(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        wrong = [{"entry": entry, "told": told} for entry, told in verdict.wrong]
        sys.stdout.write(json.dumps({"sealed": verdict.sealed, "first": verdict.first(), "wrong": wrong}) + "\n")
        return
    for _, told in verdict.wrong[:50]:
        sys.stdout.write(f"WRONG  {told}\n")
    sys.stdout.write(f"{verdict.sealed} sealed entries, {len(verdict.wrong)} faults\n")


if __name__ == "__main__":
    sys.exit(main())
