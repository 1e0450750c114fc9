"""Which signed notes are true? Those whose signature is by the key in force, in a chain from the journal's first key.

The first key signs for itself and names the journal's origin; every later one is announced under its own signature and
its predecessor's. Who must not be fooled compares the first key's id with one known from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.rules.checkpoint import (
    ORIGIN,
    Archived,
    BadNote,
    Checkpoint,
    KeyBegins,
    read_archived,
    read_checkpoint,
    read_key,
    read_note,
)
from gateway.stores.checkpoint_keys import is_signed

Chain = tuple[KeyBegins, ...]


def key_chain(notes: Sequence[str]) -> Chain:
    """The keys these notes announce, in order. Raises BadNote at the first that does not follow."""
    chain: list[KeyBegins] = []
    for whole in notes:
        note = read_note(whole)
        key = read_key(note.text)
        before = chain[-1] if chain else key
        if key.origin != ORIGIN + (chain[0] if chain else key).id or key.after < before.after:
            raise BadNote(f"key {key.id} is not this journal's")
        if not (is_signed(note, key.origin, key.public) and is_signed(note, key.origin, before.public)):
            raise BadNote(f"key {key.id} is not announced by the one before it")
        chain.append(key)
    return tuple(chain)


def key_for(chain: Chain, size: int) -> KeyBegins:
    """The key that signs a checkpoint of this size. Raises BadNote when none does."""
    for key in reversed(chain):
        if key.after < size:
            return key
    raise BadNote("no key was in force")


def open_checkpoint(whole: str, chain: Chain) -> Checkpoint:
    """What a checkpoint's note says. Raises BadNote unless the key in force signed it."""
    note = read_note(whole)
    told = read_checkpoint(note.text)
    key = key_for(chain, told.size)
    if told.origin != key.origin or not is_signed(note, key.origin, key.public):
        raise BadNote("the signature is not by the key in force")
    return told


def open_archived(whole: str, chain: Chain) -> Archived:
    """What an archive mark says. Raises BadNote unless one of the journal's keys signed it."""
    note = read_note(whole)
    told = read_archived(note.text)
    if not any(told.origin == key.origin and is_signed(note, key.origin, key.public) for key in chain):
        raise BadNote("no key of this journal signed it")
    return told
