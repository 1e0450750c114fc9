"""Can old parts be put away without losing a proof, and can nothing else be removed under that name?"""

from __future__ import annotations

import asyncio
import io
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sealed_ledger import (
    SIZES,
    START,
    UNSEALED,
    Clock,
    behind_its_back,
    exported,
    fill,
    kept_elsewhere,
    line,
    micros,
    seal_now,
    sealer_of,
    standalone,
)

from gateway.flows.exported_journal import NothingToArchive, archive, read_export, remove_archived, verify_archive
from gateway.flows.proving_journal import Disproved, NotSealed, prove
from gateway.flows.sealing_journal import Sealer, SealRefused, rotate_key
from gateway.flows.verifying_journal import BadExport, Fault, verify
from gateway.rules.checkpoint import entry_bytes
from gateway.rules.merkle import includes, is_beginning, leaf_hash
from gateway.stores import checkpoints, journal
from gateway.stores.ledger import Ledger, LedgerRefused


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sealer(ledger: Ledger, tmp_path: Path, clock: Clock) -> Sealer:
    made = sealer_of(ledger, tmp_path, clock)
    fill(made, clock)
    return made


def at(seconds: float) -> int:
    return micros(START + timedelta(seconds=seconds))


def numbers(ledger: Ledger) -> list[int]:
    return [kept.seq for kept in ledger.read_now(lambda tx: journal.tail(tx, 0, 1000))]


# entries up to 10 were written at second 0, up to 20 at 10, up to 280 at 20, up to 300 at 30
@pytest.mark.parametrize(
    ("before", "through"), [(0.1, 10), (10, 10), (10.1, 20), (29, 280), (1e6, 300)], ids=lambda one: str(one)
)
def test_whole_checkpoints_before_that_time_are_put_away(
    before: float, through: int, sealer: Sealer, tmp_path: Path
) -> None:
    kept, path = kept_elsewhere(sealer.ledger), tmp_path / "old.jsonl"
    told = archive(sealer, at(before), path)
    assert (told.after, told.through) == (0, through)
    assert numbers(sealer.ledger) == list(range(through + 1, SIZES[-1] + UNSEALED + 1))
    report = verify(sealer.ledger, [kept])
    assert (report.faults, report.archived, report.sealed) == (0, through, SIZES[-1])
    assert report.entries == SIZES[-1] + UNSEALED - through
    assert verify_archive(sealer.ledger, path) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_archives_go_on_from_one_another_and_the_journal_from_its_numbers(
    sealer: Sealer, tmp_path: Path, clock: Clock
) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    archive(sealer, at(1), first)
    asyncio.run(rotate_key(sealer))
    told = archive(sealer, at(1e6), second)
    assert (told.after, told.through) == (10, 300)
    assert sealer.ledger.commit_now(lambda tx: journal.append(tx, line(303))) == 303
    assert seal_now(sealer) == 3
    assert verify(sealer.ledger).faults == 0
    assert verify_archive(sealer.ledger, first) + verify_archive(sealer.ledger, second) == []
    with pytest.raises(NothingToArchive):
        archive(sealer, at(15), tmp_path / "3.jsonl")


def test_the_newest_entry_stays_because_the_numbers_go_on_from_it(sealer: Sealer, tmp_path: Path) -> None:
    assert seal_now(sealer) == UNSEALED
    assert archive(sealer, at(1e6), tmp_path / "old.jsonl").through == SIZES[-1]
    assert numbers(sealer.ledger) == [301, 302]


@pytest.mark.parametrize("before", [-1, 0])
def test_there_may_be_nothing_to_put_away(before: float, sealer: Sealer, tmp_path: Path) -> None:
    with pytest.raises(NothingToArchive):
        archive(sealer, at(before), tmp_path / "old.jsonl")
    assert not (tmp_path / "old.jsonl").exists()


def test_a_file_that_is_there_is_not_written_over(sealer: Sealer, tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text("precious")
    with pytest.raises(FileExistsError):
        archive(sealer, at(15), tmp_path / "old.jsonl")
    assert (tmp_path / "old.jsonl").read_text() == "precious"
    assert len(numbers(sealer.ledger)) == SIZES[-1] + UNSEALED


def test_a_journal_that_was_changed_is_not_put_away(sealer: Sealer, ledger_url: str, tmp_path: Path) -> None:
    behind_its_back(ledger_url, "UPDATE journal SET rule = 'R' WHERE seq = 5")
    with pytest.raises(SealRefused, match="entry 5"):
        archive(sealer, at(15), tmp_path / "old.jsonl")
    assert len(numbers(sealer.ledger)) == SIZES[-1] + UNSEALED


def test_removal_cut_short_is_gone_on_with(sealer: Sealer, ledger_url: str, tmp_path: Path) -> None:
    archive(sealer, at(15), tmp_path / "old.jsonl")
    rows = "SELECT seq - 290, wall, at, event, initial, request, patient, custodian, requester, rule, reason, line"
    behind_its_back(ledger_url, f"INSERT INTO journal {rows} FROM journal WHERE seq = 300")
    assert verify(sealer.ledger).first_wrong is not None, "what still stands of an archived part is verified, too"
    assert remove_archived(sealer.ledger) == 1
    assert verify(sealer.ledger).faults == 0


def test_only_what_is_marked_can_be_removed(sealer: Sealer, tmp_path: Path) -> None:
    archive(sealer, at(5), tmp_path / "old.jsonl")
    for statement in ("DELETE FROM journal WHERE seq = 11", "UPDATE journal SET rule = '' WHERE seq = 11"):
        with pytest.raises(LedgerRefused, match="never"):
            sealer.ledger.commit_now(lambda tx, statement=statement: tx.run(statement))


@pytest.mark.parametrize(
    ("old", "new"), [("REG-1", "REG-2"), ("chain-3", "chain-4"), ('"resources":7', '"resources":8')]
)
def test_an_archive_that_was_changed_is_seen(old: str, new: str, sealer: Sealer, tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    archive(sealer, at(15), path)
    changed = path.read_text("utf-8").replace(old.replace('"', '\\"'), new.replace('"', '\\"'), 1)
    assert changed != path.read_text("utf-8")
    path.write_text(changed, "utf-8")
    (wrong,) = verify_archive(sealer.ledger, path)
    assert wrong.fault is Fault.ARCHIVE


def test_the_second_partys_verifier_reads_archives(sealer: Sealer, tmp_path: Path) -> None:
    path, whole, other = tmp_path / "old.jsonl", tmp_path / "whole.jsonl", standalone()
    told = archive(sealer, at(15), path)
    whole.write_text(exported(sealer.ledger, entries=True), "utf-8")

    def verdict() -> object:
        given = other.Given()
        other.from_file(whole, given, whole=True)
        other.from_file(path, given, whole=False)
        assert len(given.entries) == SIZES[-1] + UNSEALED
        return other.verify(given, None, None)

    assert verdict().wrong == []  # type: ignore[attr-defined]
    path.write_text(path.read_text("utf-8").replace('"disclosed"', '"localised"', 1), "utf-8")
    assert verdict().first() == 1  # type: ignore[attr-defined]
    path.write_text("", "utf-8")
    lost = other.Given()
    other.from_file(whole, lost, whole=True)
    assert other.verify(lost, None, None).wrong == [], "the leaf hashes stay"
    lost.archives.clear()
    assert other.verify(lost, None, None).first() == 1
    assert told.through == 20


# --- proofs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("put_away", [False, True])
def test_every_sealed_entry_is_proved_also_from_an_archive(put_away: bool, sealer: Sealer, tmp_path: Path) -> None:
    rows = sealer.ledger.read_now(lambda tx: checkpoints.entries(tx, 0, 1000, 1000))
    if put_away:
        archive(sealer, at(25), tmp_path / "old.jsonl")
    for number in (1, 2, 10, 11, 255, 256, 257, 280, 299, 300):
        proof = prove(sealer.ledger, number, since=SIZES[number % len(SIZES)])
        leaf = leaf_hash(entry_bytes(rows[number - 1][1] or ()))
        size, root = proof.checkpoint.size, proof.checkpoint.root
        assert (proof.leaf, size) == (leaf, SIZES[-1])
        assert includes(leaf, number - 1, size, list(proof.inclusion), root)
        old = sealer.ledger.read_now(lambda tx, since=proof.since: checkpoints.at_size(tx, since))
        assert old is not None
        old_root = checkpoints.frontier_of(old).root()
        assert is_beginning(old.size, size, old_root, root, list(proof.consistency))


@pytest.mark.parametrize(("entry", "since"), [(0, 0), (-1, 0), (301, 0), (1, 11), (1, 301)])
def test_there_is_no_proof_of_what_is_not_sealed(entry: int, since: int, sealer: Sealer) -> None:
    with pytest.raises(NotSealed):
        prove(sealer.ledger, entry, since=since)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET rule = 'R' WHERE seq = 290",
        "UPDATE journal_node SET hash = x'ff'",
        "DELETE FROM journal_node",
        "UPDATE checkpoint SET note = replace(note, 'wall 1', 'wall 2') WHERE size = 300",
        "DELETE FROM checkpoint WHERE size = 280",
    ],
)
def test_what_was_changed_proves_nothing(statement: str, sealer: Sealer, ledger_url: str) -> None:
    prove(sealer.ledger, 290, since=20)
    behind_its_back(ledger_url, statement)
    with pytest.raises(Disproved):
        prove(sealer.ledger, 290, since=20)


# --- the file --------------------------------------------------------------------------------------------------------


def test_an_export_of_checkpoints_names_nobody(sealer: Sealer) -> None:
    text = exported(sealer.ledger)
    assert len(text.splitlines()) == 2 + len(SIZES)
    for word in ("chain", "REG-1", "00000401", "entry", "leaves", "6161"):
        assert word not in text
    kept = read_export(io.StringIO(text))
    assert (len(kept.keys), len(kept.checkpoints), kept.first_key) == (1, len(SIZES), None)


@pytest.mark.parametrize("text", ["", "{}\n", "nothing\n", '{"format": "switchpoint journal 2"}\n', "[]\n"])
def test_what_is_no_export(text: str) -> None:
    with pytest.raises(BadExport):
        read_export(io.StringIO(text))


def test_the_time_of_an_archive_is_wall_time(sealer: Sealer, tmp_path: Path, clock: Clock) -> None:
    clock.now = datetime.fromisoformat("2031-11-01T00:00:00+00:00")
    assert archive(sealer, at(15), tmp_path / "old.jsonl").wall == micros(clock.now)
