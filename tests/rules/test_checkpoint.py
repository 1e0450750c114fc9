"""Are the sealed bytes and the signed texts exactly what others were told? A contract, spelt out by hand."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.checkpoint import (
    COLUMNS,
    Archived,
    BadNote,
    Checkpoint,
    KeyBegins,
    Note,
    entry_bytes,
    key_hint,
    key_id,
    read_archived,
    read_checkpoint,
    read_key,
    read_note,
)

ROOT, PUBLIC, ORIGIN = b"r" * 32, b"p" * 32, "switchpoint/journal/0011223344556677"
CHECKPOINT = Checkpoint(ORIGIN, 12, ROOT, 7, 1_795_262_400_000_000)
KEY = KeyBegins(ORIGIN, PUBLIC, 7, 1_795_262_400_000_001)
ARCHIVED = Archived(ORIGIN, 7, "ab" * 32, 0, 1_795_262_400_000_002)


def test_the_bytes_of_an_entry() -> None:
    row = (1, -2, 3, "disclosed", None, "r", b"\x00\xff", None, None, "é", None, "{}")
    assert len(row) == len(COLUMNS)
    assert entry_bytes(row) == (
        b"switchpoint journal entry 1\n"
        b"I\x00\x00\x00\x00\x00\x00\x00\x01"
        b"I\xff\xff\xff\xff\xff\xff\xff\xfe"
        b"I\x00\x00\x00\x00\x00\x00\x00\x03"
        b"T\x00\x00\x00\x09disclosed"
        b"N"
        b"T\x00\x00\x00\x01r"
        b"B\x00\x00\x00\x02\x00\xff"
        b"NN"
        b"T\x00\x00\x00\x02\xc3\xa9"
        b"N"
        b"T\x00\x00\x00\x02{}"
    )
    assert entry_bytes((1.0,)).endswith(b"\nR\x3f\xf0\x00\x00\x00\x00\x00\x00")


values = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4) | st.binary(max_size=4) | st.floats()


@given(st.lists(values, max_size=4), st.lists(values, max_size=4))
def test_two_entries_never_have_the_same_bytes(one: list[object], other: list[object]) -> None:
    same = [(type(a), a) for a in one] == [(type(b), b) for b in other] and repr(one) == repr(other)
    assert same or entry_bytes(one) != entry_bytes(other) or "nan" in repr(one)


def test_a_value_of_no_known_kind_is_not_sealed() -> None:
    with pytest.raises(TypeError):
        entry_bytes((object(),))


def test_the_texts() -> None:
    root, public = base64.b64encode(ROOT).decode(), base64.b64encode(PUBLIC).decode()
    assert CHECKPOINT.text() == f"{ORIGIN}\n12\n{root}\nafter 7\nwall 1795262400000000\n"
    assert KEY.text() == f"{ORIGIN}/key\n{key_id(PUBLIC)}\n{public}\nafter 7\nwall 1795262400000001\n"
    assert ARCHIVED.text() == f"{ORIGIN}/archive\n7\nsha256 {'ab' * 32}\nafter 0\nwall 1795262400000002\n"
    assert key_id(PUBLIC) == sha256(PUBLIC).hexdigest()[:16]
    assert key_hint("n", PUBLIC) == sha256(b"n\n\x01" + PUBLIC).digest()[:4]


READ = {"checkpoint": (read_checkpoint, CHECKPOINT), "key": (read_key, KEY), "archive": (read_archived, ARCHIVED)}


@pytest.mark.parametrize("kind", READ)
def test_a_text_is_read_back_and_as_nothing_else(kind: str) -> None:
    for other, (read, told) in READ.items():
        text = READ[kind][1].text()
        if other == kind:
            assert read(text) == told
        else:
            with pytest.raises(BadNote):
                read(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("12\n", "012\n"),
        ("12\n", "-12\n"),
        ("12\n", "１２\n"),
        ("12\n", "\n"),
        ("after 7", "after  7"),
        ("after 7", "before 7"),
        ("after", "wall"),
        (base64.b64encode(ROOT).decode(), base64.b64encode(ROOT[1:]).decode()),
        (base64.b64encode(ROOT).decode(), "?"),
        ("wall 1795262400000000\n", "wall 1795262400000000"),
        ("wall 1795262400000000\n", "wall 1795262400000000\nmore\n"),
    ],
)
def test_a_text_that_is_not_exactly_one_is_refused(old: str, new: str) -> None:
    text = CHECKPOINT.text().replace(old, new)
    assert text != CHECKPOINT.text()
    with pytest.raises(BadNote):
        read_checkpoint(text)


def test_a_note_and_its_signatures() -> None:
    note = Note("one\ntwo\n", (("name", b"hint", b"s" * 64), ("name", b"tnih", b"t" * 64)))
    first, second = (base64.b64encode(raw).decode() for raw in (b"hint" + b"s" * 64, b"tnih" + b"t" * 64))
    assert str(note) == f"one\ntwo\n\n— name {first}\n— name {second}\n"
    assert read_note(str(note)) == note


@pytest.mark.parametrize(
    "whole",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n— name c2lnbmF0dXJl",
        "text\n\n- name c2lnbmF0dXJl\n",
        "text\n\n— name\n",
        "text\n\n— name aGludA==\n",
        "text\n\n— name !\n",
        "text\n\n— c2lnbmF0dXJl\n",
    ],
)
def test_what_is_no_note(whole: str) -> None:
    with pytest.raises(BadNote):
        read_note(whole)
