"""Is the journal sealed in time, by one story only, with keys that change? On SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sealed_ledger import SIZES, UNSEALED, Clock, behind_its_back, fill, micros, seal_now, sealer_of, write

from gateway.flows.sealing_journal import SEAL_SECONDS, Sealer, Sealing, SealRefused, overdue, rotate_key, seal
from gateway.flows.verifying_journal import Fault, verify
from gateway.rules.checkpoint import KeyBegins, entry_bytes
from gateway.rules.merkle import leaf_hash, root_of
from gateway.stores import checkpoints
from gateway.stores.checkpoint_keys import Ring, RingUnusable, public_of, sign
from gateway.stores.ledger import Ledger, LedgerRefused, open_ledger
from gateway.stores.notes import key_chain, open_checkpoint


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sealer(ledger: Ledger, tmp_path: Path, clock: Clock) -> Sealer:
    return sealer_of(ledger, tmp_path, clock)


def standing(sealer: Sealer) -> checkpoints.Standing:
    return sealer.ledger.read_now(checkpoints.standing)


def test_an_empty_journal_needs_no_seal(sealer: Sealer) -> None:
    assert seal_now(sealer) == 0
    assert (standing(sealer).keys, standing(sealer).checkpoint) == ((), None)
    assert asyncio.run(overdue(sealer)) is None


def test_a_checkpoint_says_the_root_over_every_entry_and_who_signed(sealer: Sealer, clock: Clock) -> None:
    fill(sealer, clock)
    now = standing(sealer)
    chain = key_chain(now.keys)
    rows = sealer.ledger.read_now(lambda tx: checkpoints.entries(tx, 0, SIZES[-1], 1000))
    hashes = [leaf_hash(entry_bytes(row or ())) for _, row in rows]
    for before, size in zip((0, *SIZES), SIZES, strict=False):
        kept = sealer.ledger.read_now(lambda tx, size=size: checkpoints.at_size(tx, size))
        assert kept is not None
        told = open_checkpoint(kept.note, chain)
        assert (told.size, told.after, told.root) == (size, before, root_of(hashes[:size]))
        assert kept.leaves == b"".join(hashes[before:size])
    assert sealer.witness.note() == (now.checkpoint and now.checkpoint.note)


def test_an_entry_that_waits_too_long_is_told(sealer: Sealer, clock: Clock) -> None:
    write(sealer.ledger, 3, clock.now)
    clock.tick(SEAL_SECONDS)
    assert asyncio.run(overdue(sealer)) is None
    clock.tick(0.001)
    assert "overdue" in str(asyncio.run(overdue(sealer)))
    seal_now(sealer)
    assert asyncio.run(overdue(sealer)) is None


async def test_one_round_seals_and_the_next_waits_unless_there_is_much(sealer: Sealer, clock: Clock) -> None:
    sealing = Sealing(sealer)
    for many, sealed in ((5, 5), (2047, 0), (1, 2048), (4500, 4500)):
        await asyncio.to_thread(write, sealer.ledger, many, clock.now)
        assert await sealing.round() == sealed
    assert await sealing.trouble() is None
    sizes = [one.size for one in sealer.ledger.read_now(lambda tx: checkpoints.above(tx, 0, 99))]
    assert sizes == [5, 2053, 6149, 6553]


async def test_it_runs_by_itself_and_seals_once_more_when_it_ends(sealer: Sealer, clock: Clock) -> None:
    sealing = Sealing(sealer)
    await asyncio.to_thread(write, sealer.ledger, 5)
    running = asyncio.create_task(sealing.run())
    async with asyncio.timeout(8):
        while standing(sealer).size < 5:
            await asyncio.sleep(0.1)
    await asyncio.to_thread(write, sealer.ledger, 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert standing(sealer).size == 7


async def test_many_sealers_tell_one_story(ledger_url: str, tmp_path: Path, clock: Clock) -> None:
    ledgers = [open_ledger(ledger_url) for _ in range(3)]
    try:
        folders = [tmp_path / str(number) for number in range(3)]
        for folder in folders:
            folder.mkdir()
        sealers = [sealer_of(ledger, folders[0], clock) for ledger in ledgers]
        sealers[1] = replace(sealers[1], ring=Ring(folders[0] / "checkpoint.key"))
        total = 0
        for _ in range(6):
            await asyncio.to_thread(write, ledgers[0], 7, clock.now)
            clock.tick()
            done = await asyncio.gather(*(seal(one) for one in sealers))
            assert sum(done) == 7
            total += 7
        report = await asyncio.to_thread(verify, ledgers[0])
        assert (report.faults, report.sealed, report.checkpoints, len(report.keys)) == (0, total, 6, 1)
    finally:
        for ledger in ledgers:
            ledger.close()


# --- what is not sealed ----------------------------------------------------------------------------------------------

REFUSED = {
    "the last checkpoint's frontier changed": "UPDATE checkpoint SET peaks = (SELECT peaks FROM checkpoint"
    " WHERE size = 10) WHERE size = 300",
    "the last checkpoint's frontier is another tree's": "UPDATE checkpoint SET peaks = (SELECT substr(leaves, 1, 128)"
    " FROM checkpoint WHERE size = 10) WHERE size = 300",
    "its note changed": "UPDATE checkpoint SET note = replace(note, 'wall 1', 'wall 2') WHERE size = 300",
    "another note in its place": "UPDATE checkpoint SET note = (SELECT note FROM checkpoint WHERE size = 280)"
    " WHERE size = 300",
    "the last checkpoint gone": "DELETE FROM checkpoint WHERE size = 300",
    "a checkpoint slipped in": "INSERT INTO checkpoint SELECT 301, note, peaks, leaves FROM checkpoint"
    " WHERE size = 280",
    "a key changed": "UPDATE checkpoint_key SET note = replace(note, 'wall 1', 'wall 2')",
    "sealed entries gone": "DELETE FROM journal WHERE seq > 290",
    "all that was sealed gone": "DELETE FROM checkpoint; DELETE FROM checkpoint_key",
    "a gap in the new ones": "DELETE FROM journal WHERE seq = 301",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_on_what_was_changed_no_seal_is_put(name: str, sealer: Sealer, clock: Clock, ledger_url: str) -> None:
    await asyncio.to_thread(fill, sealer, clock)
    behind_its_back(ledger_url, *REFUSED[name].split(";"))
    changed = standing(sealer)
    with pytest.raises(SealRefused):
        await seal(sealer)
    sealing = Sealing(sealer)
    assert await sealing.round() == 0
    assert await sealing.trouble() is not None
    assert (standing(sealer).size, standing(sealer).keys) == (changed.size, changed.keys)


async def test_a_subtree_slipped_in_stops_the_seal_not_the_sealer(
    sealer: Sealer, clock: Clock, ledger_url: str
) -> None:
    await asyncio.to_thread(fill, sealer, clock)
    behind_its_back(ledger_url, "INSERT INTO journal_node SELECT 8, 1, hash FROM journal_node")
    await asyncio.to_thread(write, sealer.ledger, 300, clock.now)
    sealing = Sealing(sealer)
    assert await sealing.round() == 0
    assert "does not take" in str(await sealing.trouble())


def test_without_its_private_key_nothing_is_sealed(sealer: Sealer, clock: Clock, tmp_path: Path) -> None:
    fill(sealer, clock)
    (tmp_path / "checkpoint.key").unlink()
    with pytest.raises(SealRefused, match="gone"):
        seal_now(sealer_of(sealer.ledger, tmp_path, clock))


async def test_a_ledger_that_cannot_be_written_is_only_put_off(tmp_path: Path, clock: Clock) -> None:
    sealer = sealer_of(open_ledger(f"sqlite://{tmp_path / 'ledger.db'}"), tmp_path, clock)
    await asyncio.to_thread(write, sealer.ledger, 1, clock.now)
    sealer.ledger.close()
    sealing = Sealing(sealer)
    assert await sealing.round() == 0
    assert await sealing.trouble() == "closed"


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_new_key_is_announced_by_the_old_one_which_is_destroyed(sealer: Sealer, clock: Clock, tmp_path: Path) -> None:
    fill(sealer, clock)
    (first,) = key_chain(standing(sealer).keys)
    second = asyncio.run(rotate_key(sealer))
    third = asyncio.run(rotate_key(sealer))
    assert seal_now(sealer) == UNSEALED
    chain = key_chain(standing(sealer).keys)
    assert [(key.id, key.after) for key in chain] == [(first.id, 0), (second, SIZES[-1]), (third, SIZES[-1])]
    assert len({first.id, second, third}) == 3
    report = verify(sealer.ledger)
    assert (report.faults, report.keys) == (0, (first.id, second, third))
    ring = Ring(tmp_path / "checkpoint.key")
    assert (ring.key(first.id), ring.key(second)) == (None, None)
    assert ring.key(third) is not None


def test_a_sealer_that_runs_takes_a_new_key_into_use(sealer: Sealer, clock: Clock, tmp_path: Path) -> None:
    fill(sealer, clock)
    key = asyncio.run(rotate_key(sealer_of(sealer.ledger, tmp_path, clock)))
    assert seal_now(sealer) == UNSEALED
    assert verify(sealer.ledger).keys[-1] == key


def test_the_old_key_signs_nothing_any_more(sealer: Sealer, clock: Clock, tmp_path: Path, ledger_url: str) -> None:
    fill(sealer, clock)
    old = (tmp_path / "checkpoint.key").read_text()
    asyncio.run(rotate_key(sealer))
    (note,) = sealer.ledger.read_now(lambda tx: tx.rows("SELECT note FROM checkpoint_key WHERE number = 2"))[0]
    behind_its_back(ledger_url, "DELETE FROM checkpoint_key WHERE number = 2")
    (tmp_path / "checkpoint.key").write_text(old)
    assert seal_now(sealer_of(sealer.ledger, tmp_path, clock)) == UNSEALED
    behind_its_back(ledger_url, f"INSERT INTO checkpoint_key VALUES (2, '{note}')")
    first = verify(sealer.ledger).first_wrong
    assert first is not None
    assert "key in force" in first.told


def test_a_key_nobody_announced_is_not_followed(sealer: Sealer, clock: Clock, ledger_url: str) -> None:
    fill(sealer, clock)
    (note,) = standing(sealer).keys
    behind_its_back(ledger_url, f"INSERT INTO checkpoint_key VALUES (2, '{note.replace('after 0', 'after 300')}')")
    with pytest.raises(SealRefused, match="keys were changed"):
        seal_now(sealer)
    assert verify(sealer.ledger).wrong[0].told.startswith("key 2")


def test_a_key_that_only_announces_itself_is_not_followed(sealer: Sealer, clock: Clock, ledger_url: str) -> None:
    fill(sealer, clock)
    (first,) = key_chain(standing(sealer).keys)
    own = Ed25519PrivateKey.generate()
    begins = KeyBegins(first.origin, public_of(own), SIZES[-1], micros(clock.now))
    note = sign(begins.text(), first.origin, own)
    behind_its_back(ledger_url, f"INSERT INTO checkpoint_key VALUES (2, '{note}')")
    with pytest.raises(SealRefused, match="not announced"):
        seal_now(sealer)
    assert [one.fault for one in verify(sealer.ledger).wrong] == [Fault.KEY]


def test_the_ring_is_its_owners_alone(sealer: Sealer, tmp_path: Path, clock: Clock) -> None:
    write(sealer.ledger, 1)
    seal_now(sealer)
    for name in ("checkpoint.key", "checkpoint.last"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    (tmp_path / "checkpoint.key").chmod(0o640)
    with pytest.raises(RingUnusable, match="0600"):
        Ring(tmp_path / "checkpoint.key").key("any")
    (tmp_path / "checkpoint.key").chmod(0o600)
    (tmp_path / "checkpoint.key").write_text("{}\n")
    with pytest.raises(RingUnusable, match="not a file of keys"):
        Ring(tmp_path / "checkpoint.key").key("any")
    assert "key" not in repr(sealer.ring).replace("checkpoint_keys", "")


# --- the tables ------------------------------------------------------------------------------------------------------

UNTOUCHABLE = [
    "UPDATE checkpoint SET note = ''",
    "DELETE FROM checkpoint",
    "UPDATE checkpoint_key SET note = ''",
    "DELETE FROM checkpoint_key WHERE number = 1",
    "UPDATE journal_node SET hash = leaves FROM checkpoint",
    "DELETE FROM journal_node",
    "INSERT INTO checkpoint SELECT 5, note, peaks, leaves FROM checkpoint WHERE size = 10",
    "INSERT INTO checkpoint_key SELECT 0, note FROM checkpoint_key",
    "INSERT INTO journal_node SELECT level, place, hash FROM journal_node",
    "INSERT INTO journal_archive VALUES (15, '')",
    "INSERT INTO journal_archive VALUES (999, '')",
    "DELETE FROM journal WHERE seq = 1",
    "UPDATE journal SET rule = NULL WHERE seq = 1",
]


def test_what_is_sealed_can_be_neither_changed_nor_removed(sealer: Sealer, clock: Clock) -> None:
    fill(sealer, clock)
    for statement in UNTOUCHABLE:
        with pytest.raises(LedgerRefused, match=r"never|only appended"):
            sealer.ledger.commit_now(lambda tx, statement=statement: tx.run(statement))
    assert verify(sealer.ledger).faults == 0


def test_seals_cannot_be_replaced(tmp_path: Path, clock: Clock) -> None:
    with closing(open_ledger(f"sqlite://{tmp_path / 'ledger.db'}")) as ledger:
        fill(sealer_of(ledger, tmp_path, clock), clock)
        for table in ("checkpoint", "checkpoint_key", "journal_node"):
            with pytest.raises(LedgerRefused, match="only appended"):
                ledger.commit_now(lambda tx, table=table: tx.run(f"REPLACE INTO {table} SELECT * FROM {table}"))


@pytest.mark.parametrize("table", ["checkpoint", "checkpoint_key", "journal_node", "journal_archive"])
def test_seals_cannot_be_truncated(postgres_url: str, table: str) -> None:
    with closing(open_ledger(postgres_url)) as ledger, pytest.raises(LedgerRefused, match="never"):
        ledger.commit_now(lambda tx: tx.run(f"TRUNCATE {table}"))
