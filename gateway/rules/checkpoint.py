"""What exactly is sealed, and what exactly is signed? The bytes of a journal entry, and the texts of signed notes.

These forms are a contract with whoever checks the journal without this program: they are never changed, only replaced
under another name. Knows no database, no private key and no clock; instants are whole microseconds since 1970 UTC.

**An entry's bytes** are the text ``switchpoint journal entry 1``, a line feed, and then for each of the twelve columns
in the order of `COLUMNS` one letter and the value: ``N`` absent · ``I`` integer, 8 bytes, big-endian, two's complement
· ``T`` text, length in 4 bytes big-endian, UTF-8 · ``B`` blob, length in 4 bytes, bytes · ``R`` real, 8 bytes IEEE 754
big-endian (no honest entry has one; what somebody planted must have a form, too). The entry numbered n is leaf n - 1 of
the tree in `rules/merkle.py`.

**A signed note** is a text whose lines end in a line feed, an empty line, and one line for each signature:
``— <name> <base64 of four bytes that tell the key, and the Ed25519 signature of the text>``: the form transparency logs
use, so their tools read it. The name is the journal's origin: ``switchpoint/journal/`` and the id of its first key.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

COLUMNS = (
    "seq", "wall", "at", "event", "initial", "request", "patient", "custodian", "requester", "rule", "reason", "line",
)  # fmt: skip
ORIGIN = "switchpoint/journal/"
PUBLIC_BYTES = 32
_OPENING = b"switchpoint journal entry 1\n"
_ED25519 = b"\x01"
_HINT_BYTES = 4


class BadNote(ValueError):
    """A text is not a note of ours, or not the kind that was asked for."""


def entry_bytes(columns: Sequence[object]) -> bytes:
    """The bytes that are sealed for one entry. Raises TypeError for a value no database gives."""
    return _OPENING + b"".join(map(_value_bytes, columns))


def _value_bytes(value: object) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, str):
        raw = value.encode()
        return b"T" + len(raw).to_bytes(4, "big") + raw
    if isinstance(value, int):
        return b"I" + value.to_bytes(8, "big", signed=True)
    if isinstance(value, bytes):
        return b"B" + len(value).to_bytes(4, "big") + value
    if isinstance(value, float):
        return b"R" + struct.pack(">d", value)
    raise TypeError("a column holds a value of no known kind")


# --- keys and notes --------------------------------------------------------------------------------------------------


def key_id(public: bytes) -> str:
    """How an Ed25519 public key (32 bytes) is named: the first eight bytes of its SHA-256, in hex."""
    return sha256(public).hexdigest()[:16]


def key_hint(name: str, public: bytes) -> bytes:
    """The four bytes before a signature that tell its key."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:_HINT_BYTES]


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, each as name, hint and signature. Nothing of it is verified yet."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    def __str__(self) -> str:
        lines = (f"— {name} {base64.b64encode(hint + made).decode()}\n" for name, hint, made in self.signatures)
        return self.text + "\n" + "".join(lines)


def read_note(whole: str) -> Note:
    """The note a text stands for. Raises BadNote."""
    text, gap, signed = whole.rpartition("\n\n")
    if not gap or not signed.endswith("\n"):
        raise BadNote("not a signed note")
    return Note(text + "\n", tuple(map(_signature, signed.removesuffix("\n").split("\n"))))


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error as wrong:
        raise BadNote("a signature is not base64") from wrong
    if dash != "—" or not name or len(raw) <= _HINT_BYTES:
        raise BadNote("not a signature line")
    return name, raw[:_HINT_BYTES], raw[_HINT_BYTES:]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `size` entries have this `root`. `after` is the size of the checkpoint before, `wall` when it was made.

    Five lines: origin, size, root in base64, ``after <size>``, ``wall <microseconds>``.
    """

    origin: str
    size: int
    root: bytes
    after: int
    wall: int

    def text(self) -> str:
        return _lines(self.origin, self.size, _encoded(self.root), f"after {self.after}", f"wall {self.wall}")


@dataclass(frozen=True, slots=True)
class KeyBegins:
    """Checkpoints of more than `after` entries are signed with this key, until another begins.

    Five lines: origin and ``/key``, the key's id, the key in base64, ``after <size>``, ``wall <microseconds>``. Signed
    by the key itself and by the one before it.
    """

    origin: str
    public: bytes
    after: int
    wall: int

    @property
    def id(self) -> str:
        return key_id(self.public)

    def text(self) -> str:
        public = _encoded(self.public)
        return _lines(self.origin + "/key", self.id, public, f"after {self.after}", f"wall {self.wall}")


@dataclass(frozen=True, slots=True)
class Archived:
    """The entries `after` + 1 to `through` were moved to a file with this SHA-256; their leaf hashes stay.

    Five lines: origin and ``/archive``, `through`, ``sha256 <hex>``, ``after <size>``, ``wall <microseconds>``.
    """

    origin: str
    through: int
    digest: str
    after: int
    wall: int

    def text(self) -> str:
        digest = f"sha256 {self.digest}"
        return _lines(self.origin + "/archive", self.through, digest, f"after {self.after}", f"wall {self.wall}")


def read_checkpoint(text: str) -> Checkpoint:
    """The checkpoint a note's text says. Raises BadNote unless it is exactly that."""
    origin, size, root, after, wall = _five(text)
    return _exactly(
        Checkpoint(origin, _number(size), _decoded(root), _named(after, "after"), _named(wall, "wall")), text
    )


def read_key(text: str) -> KeyBegins:
    """The key a note's text announces. Raises BadNote unless it is exactly that."""
    origin, _, public, after, wall = _five(text)
    told = KeyBegins(origin.removesuffix("/key"), _decoded(public), _named(after, "after"), _named(wall, "wall"))
    return _exactly(told, text)


def read_archived(text: str) -> Archived:
    """What a note's text says was archived. Raises BadNote unless it is exactly that."""
    origin, through, digest, after, wall = _five(text)
    origin, digest = origin.removesuffix("/archive"), digest.removeprefix("sha256 ")
    return _exactly(Archived(origin, _number(through), digest, _named(after, "after"), _named(wall, "wall")), text)


_Told = TypeVar("_Told", Checkpoint, KeyBegins, Archived)


def _exactly(told: _Told, text: str) -> _Told:
    if told.text() != text:
        raise BadNote("not a note of this kind")
    return told


def _lines(*lines: object) -> str:
    return "".join(f"{line}\n" for line in lines)


def _five(text: str) -> list[str]:
    lines = text.split("\n")
    if len(lines) != 6 or lines[5]:
        raise BadNote("not five lines")
    return lines[:5]


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadNote("not a number")
    return int(text)


def _named(text: str, name: str) -> int:
    return _number(text.removeprefix(name + " "))


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decoded(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as wrong:
        raise BadNote("not base64") from wrong
    if len(raw) != PUBLIC_BYTES:
        raise BadNote("not 32 bytes")
    return raw
