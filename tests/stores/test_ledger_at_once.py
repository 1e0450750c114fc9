"""Is what is written at once as good as what waits its turn? Seen by all, serial, whole, on the disk when it says."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Line
from gateway.rules.network import Organisation
from gateway.stores import journal, register
from gateway.stores.ledger import Ledger, LedgerUnavailable, Transaction, open_ledger
from gateway.stores.ledger_sqlite import SqliteEngine

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def named(tx: Transaction) -> list[str]:
    return [str(row[0]) for row in tx.rows("SELECT name FROM organisation ORDER BY ura")]


def insert(number: int, name: str = "x") -> Callable[[Transaction], int]:
    return lambda tx: register.put_organisation(tx, Organisation(Ura(f"{number:08}"), "N6", name))


def append(tx: Transaction) -> int:
    return journal.append(tx, Line(Event.CLOCK_SET, NOON, NOON))


async def test_both_ways_return_the_result_and_are_seen_by_every_reader(ledger: Ledger, ledger_url: str) -> None:
    assert await ledger.note(insert(1, "noted")) == 2
    assert await ledger.commit(insert(2, "brief"), brief=True) == 3
    assert await ledger.read(named) == ["noted", "brief"]
    assert ledger.version() == 3
    other = open_ledger(ledger_url, read_only=True)
    assert other.read_now(named) == ["noted", "brief"]
    other.close()


async def test_a_unit_that_raises_leaves_no_trace(ledger: Ledger) -> None:
    def half_done(tx: Transaction) -> None:
        insert(1, "half done")(tx)
        raise LookupError("changed my mind")

    for way in (ledger.note(half_done), ledger.commit(half_done, brief=True)):
        with pytest.raises(LookupError):
            await way
    assert await ledger.note(insert(2, "after")) == 2
    assert await ledger.read(named) == ["after"]


async def test_a_note_does_not_wait_for_the_disk_on_postgresql(postgres_url: str) -> None:
    ledger = open_ledger(postgres_url)

    def setting(tx: Transaction) -> str:
        row = tx.row("SHOW synchronous_commit")
        assert row is not None
        return str(row[0])

    assert await ledger.note(setting) == "off"
    assert await ledger.commit(setting, brief=True) == "on"
    together = await asyncio.gather(ledger.note(setting), ledger.commit(setting))
    assert together[1] == "on"
    ledger.close()


class Disk(SqliteEngine):
    """A real file whose disk is watched, and may fail or hang."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, read_only=False, busy=0.5)
        self.flushed = 0
        self.failing = False
        self.slow = 0.0

    def descriptor(self) -> int | None:
        return None  # a thread waits (test_flush.py: the kernel tells)

    def flush(self) -> None:
        time.sleep(self.slow)
        if self.failing:
            raise LedgerUnavailable("I/O error")
        super().flush()
        self.flushed += 1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Disk, Ledger]]:
    open_ledger(str(tmp_path / "ledger.db")).close()
    engine = Disk(tmp_path / "ledger.db")
    ledger = Ledger(engine, patience=1.0)
    yield engine, ledger
    engine.slow = 0.0
    ledger.close()


async def test_a_brief_commit_waits_for_the_disk_and_a_note_does_not(disk: tuple[Disk, Ledger]) -> None:
    engine, ledger = disk
    await ledger.note(append)
    assert engine.flushed == 0
    await ledger.commit(append, brief=True)
    assert engine.flushed == 1
    await asyncio.gather(*(ledger.commit(append, brief=True) for _ in range(50)))
    assert engine.flushed <= 3, "who waits together shares the wait"


async def test_a_disk_that_fails_is_told(disk: tuple[Disk, Ledger]) -> None:
    engine, ledger = disk
    engine.failing = True
    with pytest.raises(LedgerUnavailable, match="I/O"):
        await ledger.commit(append, brief=True)
    engine.failing = False
    assert await ledger.commit(append, brief=True) >= 1


async def test_a_disk_that_hangs_costs_patience_and_never_the_loop(disk: tuple[Disk, Ledger]) -> None:
    engine, ledger = disk
    engine.slow = 1.5
    began = time.monotonic()
    waiting = asyncio.ensure_future(ledger.commit(append, brief=True))
    await asyncio.sleep(0.05)
    assert time.monotonic() - began < 0.5, "the loop went on"
    with pytest.raises(LedgerUnavailable, match="patience"):
        await waiting
    assert time.monotonic() - began < 1.4


async def test_a_full_disk_is_told_at_once(sqlite_ledger: Ledger) -> None:
    def capped(tx: Transaction) -> None:
        tx.row("PRAGMA max_page_count=1")

    await sqlite_ledger.note(capped)
    for way in (sqlite_ledger.note, lambda unit: sqlite_ledger.commit(unit, brief=True)):
        with pytest.raises(LedgerUnavailable, match="full"):
            await way(insert(1, "x" * 400_000))
    assert await sqlite_ledger.read(named) == []


@contextmanager
def lock_held(path: Path) -> Iterator[None]:
    """Another process holds the lock of all writers."""
    holder = os.open(path.with_name(path.name + ".lock"), os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    yield
    os.close(holder)


@contextmanager
def transaction_open(path: Path) -> Iterator[None]:
    """Another program is in the middle of a transaction."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    yield
    db.close()


@pytest.mark.parametrize("held", [lock_held, transaction_open])
async def test_who_finds_another_writing_waits_its_turn_beside_the_loop(
    tmp_path: Path, sqlite_ledger: Ledger, held: Callable[[Path], contextmanager[None]]
) -> None:
    await sqlite_ledger.note(append)
    with held(tmp_path / "ledger.db"):
        began = time.monotonic()
        waiting = [asyncio.ensure_future(sqlite_ledger.note(append)) for _ in range(2)]
        waiting.append(asyncio.ensure_future(sqlite_ledger.commit(append, brief=True)))
        await asyncio.sleep(0.05)
        assert time.monotonic() - began < 0.5, "the loop went on"
        assert not any(one.done() for one in waiting)
        assert await sqlite_ledger.read(journal.last) == 1, "who reads does not wait"
    assert sorted(await asyncio.gather(*waiting)) == [2, 3, 4]


async def test_the_write_ahead_log_does_not_grow_without_end(tmp_path: Path, sqlite_ledger: Ledger) -> None:
    wal = tmp_path / "ledger.db-wal"
    sizes = []
    for _ in range(6):
        for _ in range(500):
            await sqlite_ledger.note(append)
        sizes.append(wal.stat().st_size)
    assert sizes[-1] == sizes[2], "it is begun anew, not lengthened"


_WRITER = """
import asyncio, json, sys
from datetime import UTC, datetime
from gateway.rules.journal import Event, Line
from gateway.stores import journal
from gateway.stores.ledger import open_ledger

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINE = Line(Event.CLOCK_SET, NOON, NOON, fields={"by": sys.argv[2]})

async def main() -> None:
    ledger, seqs = open_ledger(sys.argv[1]), []
    def unit(tx): return journal.append(tx, LINE)
    async def one(n) -> None:
        for _ in range(40):
            seqs.append(await (ledger.note(unit) if n % 2 else ledger.commit(unit, brief=n % 4 == 0)))
            if len(sys.argv) > 3:
                print(seqs[-1], flush=True)
    await asyncio.gather(*(one(n) for n in range(8)))
    print(json.dumps(seqs))
    ledger.close()

asyncio.run(main())
"""


def test_three_processes_write_one_gapless_history_in_every_way(ledger: Ledger, ledger_url: str) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, ledger_url, f"writer {n}"], stdout=subprocess.PIPE)
        for n in range(3)
    ]
    given = [json.loads(writer.communicate(timeout=60)[0]) for writer in writers]
    assert sorted(seq for seqs in given for seq in seqs) == list(range(1, 961))
    lines = ledger.read_now(lambda tx: journal.tail(tx, 0, 1000))
    for n, seqs in enumerate(given):
        assert [kept.seq for kept in lines if kept.line.fields["by"] == f"writer {n}"] == sorted(seqs)


def test_what_was_noted_survives_kill_9(ledger_url: str) -> None:
    script = _WRITER.replace("range(40)", "range(100000)")
    open_ledger(ledger_url).close()
    writer = subprocess.Popen([sys.executable, "-c", script, ledger_url, "doomed", "aloud"], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(60)]
    writer.kill()
    told += [int(seq) for seq in writer.stdout.read().split(b"\n")[:-1]]
    writer.wait()
    writer.stdout.close()
    ledger = open_ledger(ledger_url)
    kept = [line.seq for line in ledger.read_now(lambda tx: journal.tail(tx, 0, 100_000))]
    assert set(told) <= set(kept)
    assert kept == list(range(1, len(kept) + 1))
    ledger.close()
