"""Can a sealed payload be read only as it was sealed, and never again once its key is destroyed?"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.sealing import RingUnusable, Sealed, Seals, Unreadable, load_or_create

WALL = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SEALS = Seals({"k1": bytes(32), "k2": bytes(range(32))})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.keys"


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_bytes().splitlines()]


@given(st.binary(max_size=300), st.binary(max_size=80))
def test_what_is_sealed_comes_back(content: bytes, bound: bytes) -> None:
    sealed = SEALS.seal(content, bound)
    assert sealed.key_id == "k2", "the newest key seals"
    assert SEALS.unseal(sealed, bound) == content
    assert len(content) < 4 or content not in sealed.sealed
    assert SEALS.seal(content, bound) != sealed, "never twice the same"


@given(st.binary(min_size=1, max_size=60), st.data())
def test_one_bit_changed_anywhere_is_unreadable(content: bytes, data: st.DataObject) -> None:
    sealed = SEALS.seal(content, b"envelope sender message")
    bit = data.draw(st.integers(0, 8 * len(sealed.sealed) - 1))
    changed = bytearray(sealed.sealed)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Unreadable):
        SEALS.unseal(Sealed(sealed.key_id, bytes(changed)), b"envelope sender message")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_bound_to_another_envelope_is_unreadable(one: bytes, other: bytes) -> None:
    sealed = SEALS.seal(b"content", one)
    if one != other:
        with pytest.raises(Unreadable):
            SEALS.unseal(sealed, other)


@pytest.mark.parametrize("length", [0, 5, 12, 27])
def test_a_cut_payload_is_unreadable(length: int) -> None:
    sealed = SEALS.seal(b"content", b"b")
    with pytest.raises(Unreadable):
        SEALS.unseal(Sealed(sealed.key_id, sealed.sealed[:length]), b"b")


def test_another_key_under_the_same_name_is_unreadable() -> None:
    sealed = SEALS.seal(b"content", b"b")
    with pytest.raises(Unreadable):
        Seals({"k2": bytes(32)}).unseal(sealed, b"b")
    with pytest.raises(Unreadable):
        Seals({"k1": bytes(32)}).unseal(sealed, b"b")


def test_the_ring_is_made_once_for_its_owner_alone(path: Path) -> None:
    sealed = load_or_create(path).seal(b"content", b"b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create(path).unseal(sealed, b"b") == b"content"
    assert len(ids(path)) == 1
    assert {one.name for one in path.parent.iterdir()} == {"outbox.keys", "outbox.keys.lock"}


def test_nothing_of_a_key_is_printed(path: Path) -> None:
    seals = load_or_create(path)
    key = json.loads(path.read_bytes())["key"]
    assert key not in repr(seals) + repr(vars(seals))
    assert repr(seals._ring[0].key) not in repr(seals._ring)


BROKEN = {
    "empty": b"",
    "no ring": b"hello\n",
    "a short key": b'{"id": "a", "created": "2026-11-21T09:30:00+00:00", "key": "QUJD"}\n',
    "no key": b'{"id": "a", "created": "2026-11-21T09:30:00+00:00"}\n',
    "half a line": b'{"id": "a", "created": "2026-11-21T09:30:00+00:00", "key": "QUJDsecretsecret',
    "a list": b"[]\n",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_ring_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(RingUnusable) as raised:
        load_or_create(path)
    assert "QUJD" not in str(raised.value)
    assert raised.value.__suppress_context__
    assert path.read_bytes() == content


def test_a_ring_others_can_read_is_refused(path: Path) -> None:
    load_or_create(path)
    path.chmod(0o640)
    with pytest.raises(RingUnusable):
        load_or_create(path)


def test_a_ring_turns_once_a_day(path: Path) -> None:
    seals = load_or_create(path)
    before = seals.seal(b"before", b"b")
    assert seals.rotate(WALL), "a key of unknown age is replaced at once"
    assert not seals.rotate(WALL + DAY - HOUR)
    assert seals.rotate(WALL + DAY)
    assert seals.seal(b"after", b"b").key_id == ids(path)[-1] != before.key_id
    assert len(ids(path)) == 3
    assert seals.unseal(before, b"b") == b"before"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_wall_clock_set_back_does_not_stop_the_turning(path: Path) -> None:
    seals = load_or_create(path)
    seals.rotate(WALL + 400 * DAY)
    assert seals.rotate(WALL)
    assert not seals.rotate(WALL + HOUR)


def test_a_key_nobody_needs_is_destroyed(path: Path) -> None:
    seals = load_or_create(path)
    needed = seals.seal(b"needed", b"b")
    seals.rotate(WALL)
    gone = seals.seal(b"gone", b"b")
    secret = path.read_bytes().splitlines()[1]
    seals.rotate(WALL + DAY)
    with path.open("rb") as old:
        assert seals.forget({needed.key_id}, WALL + DAY + HOUR) == {gone.key_id}
        assert set(old.read()) == {0}, "the file that held it is wiped, too"
    assert secret not in path.read_bytes()
    for one in (seals, load_or_create(path)):
        assert one.unseal(needed, b"b") == b"needed"
        with pytest.raises(Unreadable):
            one.unseal(gone, b"b")


def test_the_newest_key_and_one_just_replaced_are_kept(path: Path) -> None:
    seals = load_or_create(path)
    seals.rotate(WALL)
    sealed = seals.seal(b"on its way into the ledger", b"b")
    seals.rotate(WALL + DAY)
    seals.forget(frozenset(), WALL + DAY + HOUR - timedelta(seconds=1))
    assert sealed.key_id in ids(path)
    assert seals.forget(frozenset(), WALL + DAY + HOUR) == {sealed.key_id}
    assert seals.forget(frozenset(), WALL + 99 * DAY) == frozenset()
    assert len(ids(path)) == 1


def test_processes_see_each_others_keys(path: Path) -> None:
    one, other = load_or_create(path), load_or_create(path)
    old = one.seal(b"old", b"b")
    one.rotate(WALL)
    assert other.seal(b"x", b"b").key_id == one.seal(b"x", b"b").key_id, "the next payload is under the new key"
    new = one.seal(b"new", b"b")
    third = load_or_create(path)
    one.rotate(WALL + DAY)
    newest = one.seal(b"newest", b"b")
    assert third.unseal(newest, b"b") == b"newest"
    one.forget({new.key_id}, WALL + 2 * DAY)
    other.seal(b"x", b"b")
    with pytest.raises(Unreadable):
        other.unseal(old, b"b")
    assert not other.rotate(WALL + DAY + HOUR), "another process has turned it today"
    assert other.unseal(new, b"b") == b"new"


_AT_ONCE = """
import sys
from datetime import datetime, timedelta, UTC
from pathlib import Path
from gateway.stores.sealing import load_or_create
seals = load_or_create(Path(sys.argv[1]))
turned = 0
for day in range(25):
    turned += seals.rotate(datetime(2026, 1, 1, tzinfo=UTC) + day * timedelta(days=1))
    sealed = seals.seal(b"content", b"b")
    assert load_or_create(Path(sys.argv[1])).unseal(sealed, b"b") == b"content"
print(turned)
"""


def test_several_processes_turn_one_ring(path: Path) -> None:
    """No key is lost between them, and none ever reads half a file."""
    command = [sys.executable, "-c", _AT_ONCE, str(path)]
    root = str(Path(__file__).parents[2])
    playing = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root})
        for _ in range(3)
    ]
    turned = [int(one.communicate(timeout=60)[0]) for one in playing]
    assert all(one.returncode == 0 for one in playing)
    assert sum(turned) == len(ids(path)) - 1
    assert len(set(ids(path))) == len(ids(path))
