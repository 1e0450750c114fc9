"""Who seals the journal? A ring of Ed25519 keys in one file of the owner's, and the last note that was signed.

A private key stays only while it may sign; the public ones stand in the ledger. The last note is kept outside the
ledger on purpose: a ledger that was set back is noticed by it. Knows notes as texts, not what they say.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.rules.checkpoint import Note, key_hint, key_id

_PRIVATE = 0o600


class RingUnusable(Exception):
    """The file of keys is readable by others than its owner, or is not a file of keys."""


class Ring:
    """The private keys at hand, by id. Several processes may share the file; prints nothing of it."""

    __slots__ = ("_keys", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, Ed25519PrivateKey] = {}

    def key(self, id: str) -> Ed25519PrivateKey | None:
        """The key with this id; an unknown one is looked for in the file again. Raises RingUnusable, OSError."""
        if id not in self._keys:
            self._keys = self._read()
        return self._keys.get(id)

    def make(self, at: datetime) -> Ed25519PrivateKey:
        """A new key, durable in the file when this returns. Raises RingUnusable, OSError."""
        fresh = Ed25519PrivateKey.generate()
        with self._alone():
            made = {"id": key_id(public_of(fresh)), "created": at.isoformat(), "key": _encoded(fresh)}
            _replace(self._path, self._text() + json.dumps(made) + "\n")
        self._keys[made["id"]] = fresh
        return fresh

    def keep_only(self, ids: Collection[str]) -> None:
        """Destroy every other private key: what it signed can then no longer be signed anew."""
        with self._alone():
            lines = (line for line in self._text().splitlines() if json.loads(line)["id"] in ids)
            _replace(self._path, "".join(f"{line}\n" for line in lines))
        self._keys = {id: key for id, key in self._keys.items() if id in ids}

    def _read(self) -> dict[str, Ed25519PrivateKey]:
        try:
            kept = [json.loads(line) for line in self._text().splitlines()]
            keys = [Ed25519PrivateKey.from_private_bytes(base64.b64decode(one["key"], validate=True)) for one in kept]
        except (ValueError, KeyError, TypeError):
            raise RingUnusable(f"{self._path.name} is not a file of keys") from None
        return {key_id(public_of(key)): key for key in keys}

    def _text(self) -> str:
        if not self._path.exists():
            return ""
        if self._path.stat().st_mode & 0o077:
            raise RingUnusable(f"{self._path.name} must be readable by its owner only (mode 0600)")
        return self._path.read_text("utf-8")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


class Witness:
    """The last note signed from this folder, as a file of its own beside the ledger."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self) -> str | None:
        """What was signed last; None before the first time. Raises OSError."""
        return self.path.read_text("utf-8") if self.path.exists() else None

    def remember(self, note: str) -> None:
        """Raises OSError."""
        _replace(self.path, note)


def public_of(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def sign(text: str, name: str, *keys: Ed25519PrivateKey) -> Note:
    """The text with one signature by each key, under the journal's name."""
    return Note(text, tuple((name, key_hint(name, public_of(key)), key.sign(text.encode())) for key in keys))


def is_signed(note: Note, name: str, public: bytes) -> bool:
    """Whether one of the signatures is by this key under this name (a 32-byte Ed25519 key)."""
    hint = key_hint(name, public)
    made = [signature for signer, told, signature in note.signatures if (signer, told) == (name, hint)]
    return any(_holds(public, signature, note.text.encode()) for signature in made)


def _holds(public: bytes, signature: bytes, text: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _encoded(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.private_bytes_raw()).decode()


def _replace(path: Path, text: str) -> None:
    """Put a whole file in the place of another, durable, for its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
