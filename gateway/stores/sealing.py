"""How does a message's content rest? Sealed under a key that is kept outside the database, and never in the clear.

AES-256-GCM (NIST SP 800-38D): the envelope's own numbers are bound in, so that a payload cannot be moved to another
message. The keys stand in one file that several processes share; a destroyed key makes everything under it noise, also
in freed pages and old backups of the database. Knows nothing of where sealed bytes are kept, and no clock.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
ROTATES = timedelta(days=1)
OUTLIVES = timedelta(hours=1)
"""How long a key nobody needs is kept after the next came: a message another process sealed under it just before may
be on its way into the ledger."""
_UNKNOWN_AGE = datetime(1970, 1, 1, tzinfo=UTC)


class Unreadable(Exception):
    """A payload cannot be unsealed: its key is gone, or the bytes were changed."""


class RingUnusable(Exception):
    """The key ring's file is readable by others than its owner, or no key ring. Never carries a key."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed payload: the id of the key, and nonce, ciphertext and tag in one."""

    key_id: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class _Key:
    id: str
    created: datetime
    key: bytes = field(repr=False)


class Seals:
    """The ring of sealing keys: the newest seals, every one that is still there unseals. One per process; processes
    share the file. Used from one thread at a time. Prints nothing of a key."""

    def __init__(self, keys: Mapping[str, bytes], *, path: Path | None = None) -> None:
        """Keys by id, the newest last, at least one. Without a `path` they live in this process only."""
        self._path = path
        self._seen = (0, 0)
        self._ciphers: dict[str, AESGCM] = {}
        self._take([_Key(id, _UNKNOWN_AGE, key) for id, key in keys.items()])

    def _take(self, ring: list[_Key]) -> None:
        # in this order: another thread may seal meanwhile, with the key it finds newest
        self._ciphers = {**self._ciphers, **{one.id: AESGCM(one.key) for one in ring}}
        self._ring = ring
        self._ciphers = {one.id: self._ciphers[one.id] for one in ring}

    def seal(self, content: bytes, bound: bytes) -> Sealed:
        """Seal, binding `bound` in: it is needed again to unseal. Raises OSError, RingUnusable."""
        self._look_again()
        nonce = os.urandom(_NONCE_BYTES)
        newest = self._ring[-1].id
        return Sealed(newest, nonce + self._ciphers[newest].encrypt(nonce, content, bound))

    def unseal(self, sealed: Sealed, bound: bytes) -> bytes:
        """The content. Raises Unreadable; OSError and RingUnusable when the ring itself cannot be read."""
        if sealed.key_id not in self._ciphers:
            self._look_again()
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise Unreadable("the sealing key is gone")
        try:
            return cipher.decrypt(sealed.sealed[:_NONCE_BYTES], sealed.sealed[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):
            raise Unreadable("the sealed bytes were changed") from None

    def rotate(self, wall: datetime) -> bool:
        """Add a new key when the newest is a day old by `wall`, or of unknown age; whether that was so. Only one of
        several processes does it. Raises OSError, RingUnusable."""
        with self._alone():
            # either way: the wall clock may have been set back
            if abs(wall - self._ring[-1].created) < ROTATES:
                return False
            self._put([*self._ring, _new_key(wall)])
        return True

    def forget(self, in_use: Collection[str], wall: datetime) -> frozenset[str]:
        """Destroy every key that no payload needs (`in_use` names those that are needed) and whose successor is an hour
        old; returns their ids. The newest stays. Raises OSError, RingUnusable."""
        with self._alone():
            successors = zip(self._ring, self._ring[1:], strict=False)
            ripe = {old.id for old, new in successors if wall - new.created >= OUTLIVES}
            gone = frozenset(ripe.difference(in_use))
            if gone:
                self._put([one for one in self._ring if one.id not in gone])
        return gone

    def _look_again(self) -> None:
        """Read the file again if another process has put a new one there."""
        if self._path is not None and _identity(self._path.stat()) != self._seen:
            with _locked(self._path, fcntl.LOCK_SH):
                self._reread(self._path)

    def _reread(self, path: Path) -> None:
        ring, self._seen = _read(path)
        self._take(ring)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The ring as it stands now, with nobody else changing it."""
        if self._path is None:
            yield
            return
        with _locked(self._path, fcntl.LOCK_EX):
            self._reread(self._path)
            yield

    def _put(self, ring: list[_Key]) -> None:
        if self._path is not None:
            self._seen = _replace(self._path, ring)
        self._take(ring)


def load_or_create(path: Path) -> Seals:
    """The seals whose ring is in this file, made on first use for its owner alone (mode 0600).

    Several processes may start at once. Raises RingUnusable and OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path, fcntl.LOCK_EX):
        if not path.exists():
            _replace(path, [_new_key(_UNKNOWN_AGE)])
        ring, seen = _read(path)
    made = Seals({one.id: one.key for one in ring}, path=path)
    made._ring, made._seen = ring, seen
    return made


def _new_key(created: datetime) -> _Key:
    return _Key(secrets.token_hex(8), created, secrets.token_bytes(KEY_BYTES))


# --- the file --------------------------------------------------------------------------------------------------------


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """Hold the lock beside the file: the file itself is replaced, and a lock on it would go with it."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_mtime_ns


def _read(path: Path) -> tuple[list[_Key], tuple[int, int]]:
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if found.st_mode & 0o077:
            raise RingUnusable("the key ring's file must be readable by its owner only (mode 0600)")
        lines = file.read().splitlines()
    try:
        ring = [_key(json.loads(line)) for line in lines]
    except (ValueError, KeyError, TypeError):
        ring = []
    if not ring:
        # from nothing: the cause would quote the line, which holds a key
        raise RingUnusable("the key ring's file holds no key ring") from None
    return ring, _identity(found)


def _key(told: dict[str, str]) -> _Key:
    key = base64.b64decode(told["key"], validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError("a sealing key has 32 bytes")
    return _Key(told["id"], datetime.fromisoformat(told["created"]), key)


def _line(one: _Key) -> bytes:
    told = {"id": one.id, "created": one.created.isoformat(), "key": base64.b64encode(one.key).decode()}
    return json.dumps(told).encode() + b"\n"


def _replace(path: Path, ring: list[_Key]) -> tuple[int, int]:
    """Put a new file in place, durably, and wipe the old one: only under the exclusive lock. Returns its identity."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(map(_line, ring)))
        file.flush()
        os.fsync(file.fileno())
        seen = _identity(os.fstat(file.fileno()))
    with _wiped_afterwards(path):
        draft.replace(path)
        _sync_directory(path.parent)
    return seen


@contextmanager
def _wiped_afterwards(path: Path) -> Iterator[None]:
    """Overwrite the file that stood here once another has taken its name, so that no key lingers on the disk."""
    descriptor = -1
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        yield
        if descriptor >= 0:
            os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
            os.fsync(descriptor)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
