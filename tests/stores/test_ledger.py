"""Is the ledger one durable, serial history, that says so when it cannot be? On SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Line
from gateway.rules.network import Organisation
from gateway.stores import journal, register
from gateway.stores import ledger as ledger_module
from gateway.stores.ledger import Ledger, LedgerRefused, LedgerUnavailable, Transaction, open_ledger
from gateway.stores.schema import STEPS, SchemaTooNew

if TYPE_CHECKING:
    from conftest import Server

POST = Organisation(Ura("90000401"), "N6", "Test post")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def named(tx: Transaction) -> list[str]:
    return [str(row[0]) for row in tx.rows("SELECT name FROM organisation ORDER BY ura")]


def insert(number: int, name: str = "x") -> ledger_module.Callable[[Transaction], int]:
    return lambda tx: register.put_organisation(tx, Organisation(Ura(f"{number:08}"), "N6", name))


def append(tx: Transaction) -> int:
    return journal.append(tx, Line(Event.CLOCK_SET, NOON, NOON))


async def test_a_commit_returns_the_units_result_and_is_seen_by_every_reader(ledger: Ledger, ledger_url: str) -> None:
    assert await ledger.commit(lambda tx: register.put_organisation(tx, POST)) == 2
    assert await ledger.read(named) == ["Test post"]
    other = open_ledger(ledger_url, read_only=True)
    assert other.read_now(named) == ["Test post"]
    other.close()


async def test_a_unit_that_raises_is_rolled_back_alone(ledger: Ledger) -> None:
    def half_done(tx: Transaction) -> None:
        insert(1, "half done")(tx)
        raise LookupError("changed my mind")

    gate = threading.Event()
    first = asyncio.ensure_future(ledger.commit(lambda tx: gate.wait(5)))
    results = [asyncio.ensure_future(ledger.commit(unit)) for unit in (insert(2, "a"), half_done, insert(3, "b"))]
    await asyncio.sleep(0.05)
    gate.set()
    done = await asyncio.gather(*results, return_exceptions=True)
    await first
    assert isinstance(done[1], LookupError)
    assert [type(one) for one in done] == [int, LookupError, int]
    assert await ledger.read(named) == ["a", "b"]


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO nowhere VALUES (1)", "INSERT INTO organisation VALUES (NULL, NULL, NULL, NULL, NULL)"],
    ids=["a mistake in the SQL", "a broken constraint"],
)
async def test_a_failing_statement_ends_its_unit_only(ledger: Ledger, statement: str) -> None:
    def swallowing(tx: Transaction) -> None:
        insert(1)(tx)
        try:
            tx.run(statement)
        except Exception as error:
            raise KeyError("told") from error

    outcomes = await asyncio.gather(
        ledger.commit(insert(2, "before")),
        ledger.commit(swallowing),
        ledger.commit(insert(3, "after")),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [int, KeyError, int]
    assert await ledger.read(named) == ["before", "after"]


async def test_a_unit_that_raises_stop_iteration_does_not_stop_the_others(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await ledger.commit(lambda tx: next(iter(())))
    assert await ledger.commit(insert(1)) == 2


async def test_the_schema_refuses_a_system_of_an_unknown_organisation(ledger: Ledger) -> None:
    with pytest.raises(LedgerRefused):
        await ledger.commit(lambda tx: tx.run("INSERT INTO system VALUES ('1', '90000401', '900000001', NULL)"))


async def test_a_transaction_cannot_be_used_after_its_end(ledger: Ledger) -> None:
    kept: list[Transaction] = []
    await ledger.commit(lambda tx: kept.append(tx))
    await ledger.read(lambda tx: kept.append(tx))
    for tx in kept:
        with pytest.raises(LedgerUnavailable, match="ended"):
            tx.run("DELETE FROM organisation")


async def test_a_read_changes_nothing_and_sees_one_moment(ledger: Ledger) -> None:
    with pytest.raises((sqlite3.OperationalError, LedgerUnavailable)):
        await ledger.read(insert(1))
    assert await ledger.read(named) == []


async def test_hundreds_of_waiters_share_a_few_commits(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    gate = threading.Event()
    held = asyncio.ensure_future(sqlite_ledger.commit(lambda tx: gate.wait(5)))
    await asyncio.sleep(0.05)
    waiting = [asyncio.ensure_future(sqlite_ledger.commit(insert(n))) for n in range(1, 401)]
    await asyncio.sleep(0.05)
    with sqlite3.connect(tmp_path / "ledger.db") as outside:
        gate.set()
        versions = set()
        while (seen := outside.execute("SELECT version FROM network_state").fetchone()[0]) < 401:
            versions.add(seen)
    outside.close()
    await asyncio.gather(held, *waiting)
    # an outside reader saw only states between batches: far fewer than there were units
    assert len(versions) <= 3


async def test_the_version_follows_every_change(ledger: Ledger) -> None:
    assert ledger.version() == 1
    await ledger.commit(insert(1))
    assert ledger.version() == 2


async def test_another_process_change_shows_in_the_version_within_a_second(ledger: Ledger, ledger_url: str) -> None:
    ledger.version()
    other = open_ledger(ledger_url)
    other.commit_now(insert(1))
    other.close()
    until = time.monotonic() + 1
    while ledger.version() == 1:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def test_the_queue_is_bounded(sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "QUEUE_LIMIT", 3)
    gate = threading.Event()
    first = asyncio.ensure_future(sqlite_ledger.commit(lambda tx: gate.wait(5)))
    await asyncio.sleep(0.05)
    waiting = [asyncio.ensure_future(sqlite_ledger.commit(insert(n))) for n in range(1, 4)]
    await asyncio.sleep(0)
    with pytest.raises(LedgerUnavailable, match="too many"):
        await sqlite_ledger.commit(insert(9))
    gate.set()
    await asyncio.gather(first, *waiting)


async def test_a_caller_that_was_cancelled_before_its_turn_leaves_no_trace(sqlite_ledger: Ledger) -> None:
    gate = threading.Event()
    first = asyncio.ensure_future(sqlite_ledger.commit(lambda tx: gate.wait(5)))
    await asyncio.sleep(0.05)
    cancelled = asyncio.ensure_future(sqlite_ledger.commit(insert(1, "cancelled")))
    kept = asyncio.ensure_future(sqlite_ledger.commit(insert(2, "kept")))
    await asyncio.sleep(0)
    cancelled.cancel()
    gate.set()
    await asyncio.gather(first, kept)
    assert await sqlite_ledger.read(named) == ["kept"]


async def test_close_commits_what_waits_and_refuses_what_comes_later(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    waiting = [asyncio.ensure_future(ledger.commit(insert(n))) for n in range(1, 51)]
    await asyncio.sleep(0)
    ledger.close()
    assert sorted(await asyncio.gather(*waiting)) == list(range(2, 52))
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.commit(insert(99))
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.read(named)


def test_commit_now_works_without_a_loop(ledger: Ledger) -> None:
    assert ledger.commit_now(insert(1, "now")) == 2
    assert ledger.read_now(named) == ["now"]


def test_opening_again_changes_nothing_and_a_newer_schema_is_refused(ledger_url: str) -> None:
    first = open_ledger(ledger_url)
    first.commit_now(insert(1, "kept"))
    first.close()
    second = open_ledger(ledger_url)
    assert second.read_now(named) == ["kept"]
    second.commit_now(lambda tx: tx.run("UPDATE schema_version SET version = ?", len(STEPS) + 1))
    second.close()
    for read_only in (False, True):
        with pytest.raises(SchemaTooNew, match="newer program"):
            open_ledger(ledger_url, read_only=read_only)


def test_read_only_writes_nothing(ledger: Ledger, ledger_url: str) -> None:
    ledger.commit_now(insert(1))
    reader = open_ledger(ledger_url, read_only=True)
    with pytest.raises(LedgerUnavailable, match="reading only"):
        reader.commit_now(insert(2))
    assert reader.read_now(named) == ["x"]
    reader.close()


def test_what_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "not.db").write_bytes(b"this is no database at all" * 100)
    for url in (str(tmp_path / "not.db"), "postgresql://nobody:hunter2@127.0.0.1:1/none"):
        with pytest.raises(LedgerUnavailable) as caught:
            open_ledger(url)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(LedgerUnavailable):
        open_ledger(str(tmp_path / "absent.db"), read_only=True)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "fresh" / "ledger.db"
    path.parent.mkdir()
    path.touch(0o644)
    ledger = open_ledger(str(path))
    ledger.commit_now(insert(1))
    for file in sorted(path.parent.iterdir()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    assert len(list(path.parent.iterdir())) == 4
    ledger.close()


def test_a_commit_waits_for_the_disk(ledger: Ledger, ledger_url: str) -> None:
    questions = ("SHOW synchronous_commit", "SHOW transaction_isolation")
    expected: list[object] = ["on", "read committed"]
    if ledger_url.startswith("sqlite"):
        questions, expected = ("PRAGMA synchronous", "PRAGMA journal_mode"), [2, "wal"]
    assert ledger.commit_now(lambda tx: [row[0] for sql in questions for row in tx.rows(sql)]) == expected


# --- trouble ---------------------------------------------------------------------------------------------------------


async def fill_up(ledger: Ledger) -> None:
    acknowledged = 0
    for _ in range(2000):
        acknowledged = await ledger.commit(append)
        assert await ledger.read(journal.last) == acknowledged


async def test_a_full_disk_is_told_and_recovered_from(sqlite_ledger: Ledger) -> None:
    def cap(pages: int) -> ledger_module.Callable[[Transaction], object]:
        return lambda tx: tx.row(f"PRAGMA max_page_count={pages}")

    assert await sqlite_ledger.ready() is None
    await sqlite_ledger.commit(append)
    await sqlite_ledger.commit(cap(1))  # SQLite takes the present size as the smallest cap
    with pytest.raises(LedgerUnavailable, match="full"):
        await fill_up(sqlite_ledger)
    assert "full" in str(await sqlite_ledger.ready())
    before = await sqlite_ledger.read(journal.last)
    await sqlite_ledger.commit(cap(1_000_000))
    assert await sqlite_ledger.ready() is None
    assert await sqlite_ledger.commit(append) == before + 1


async def test_a_unit_that_swallows_the_full_disk_is_not_acknowledged(sqlite_ledger: Ledger) -> None:
    def swallowing(tx: Transaction) -> str:
        tx.row("PRAGMA max_page_count=1")
        try:
            insert(1, "x" * 100_000)(tx)
        except LedgerUnavailable:
            return "as if nothing happened"
        return "there was room"

    with pytest.raises(LedgerUnavailable, match="full"):
        await sqlite_ledger.commit(swallowing)
    await sqlite_ledger.commit(lambda tx: tx.row("PRAGMA max_page_count=1000000"))
    assert await sqlite_ledger.read(named) == []


@pytest.fixture
def intruder(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another program in an exclusive transaction on the ledger's file."""
    db = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    yield db
    db.close()


async def test_a_locked_database_is_told_within_patience_and_recovered_from(
    sqlite_ledger: Ledger, intruder: sqlite3.Connection
) -> None:
    intruder.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    outcomes = await asyncio.gather(*(sqlite_ledger.commit(insert(n)) for n in (1, 2)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [LedgerUnavailable, LedgerUnavailable]
    assert 1 < time.monotonic() - began < 2.2
    intruder.execute("ROLLBACK")
    assert await sqlite_ledger.commit(insert(3, "later")) == 2
    assert await sqlite_ledger.read(named) == ["later"]


async def test_a_stopped_process_that_holds_the_lock_costs_patience_not_the_service(
    tmp_path: Path, sqlite_ledger: Ledger
) -> None:
    holder = os.open(tmp_path / "ledger.db.lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable, match="patience"):
        await sqlite_ledger.commit(insert(1, "given up"))
    assert time.monotonic() - began < 2.5
    os.close(holder)
    await sqlite_ledger.commit(insert(2, "served"))
    assert await sqlite_ledger.read(named) == ["served"]


async def test_a_killed_postgresql_is_told_and_recovered_from(postgres: Server, postgres_url: str) -> None:
    ledger = open_ledger(postgres_url)
    await ledger.commit(insert(1, "before"))
    assert await ledger.read(named) == ["before"]
    postgres.kill()
    with pytest.raises(LedgerUnavailable):
        await ledger.commit(insert(2))
    with pytest.raises(LedgerUnavailable):
        await ledger.read(named)
    assert await ledger.ready() is not None
    postgres.start()
    assert await ledger.ready() is None
    await ledger.commit(insert(3, "after"))
    assert await ledger.read(named) == ["before", "after"]
    ledger.close()


async def test_a_postgresql_restart_between_requests_is_not_noticed(postgres: Server, postgres_url: str) -> None:
    ledger = open_ledger(postgres_url)
    await ledger.commit(insert(1, "before"))
    await ledger.read(named)
    postgres.kill()
    postgres.start()
    await ledger.commit(insert(2, "after"))
    assert await ledger.read(named) == ["before", "after"]
    ledger.close()


async def test_a_hanging_postgresql_is_told_within_patience(postgres: Server, postgres_url: str) -> None:
    ledger = open_ledger(postgres_url, patience=0.5)
    await ledger.commit(insert(1))
    await ledger.read(named)
    postgres.hang()
    try:
        began = time.monotonic()
        with pytest.raises(LedgerUnavailable):
            await ledger.commit(insert(2))
        with pytest.raises(LedgerUnavailable):
            await ledger.read(named)
        assert time.monotonic() - began < 1.5
    finally:
        postgres.go_on()
    until = time.monotonic() + 5
    while await ledger.ready() is not None:
        assert time.monotonic() < until
    ledger.close()


async def test_another_session_holding_the_lock_is_told_within_patience(postgres_url: str) -> None:
    ledger = open_ledger(postgres_url, patience=0.5)
    with psycopg.connect(postgres_url) as outside:
        outside.execute("SELECT pg_advisory_xact_lock(7263104411)")
        with pytest.raises(LedgerUnavailable):
            await ledger.commit(insert(1))
    assert await ledger.commit(insert(2)) == 2
    ledger.close()


# --- several processes -----------------------------------------------------------------------------------------------

_WRITER = """
import asyncio, json, sys
from datetime import UTC, datetime
from gateway.rules.journal import Event, Line
from gateway.stores import journal
from gateway.stores.ledger import open_ledger

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

async def main() -> None:
    ledger = open_ledger(sys.argv[1])
    line = Line(Event.CLOCK_SET, NOON, NOON, fields={"by": sys.argv[2]})
    seqs = []
    async def one() -> None:
        for _ in range(20):
            seqs.append(await ledger.commit(lambda tx: journal.append(tx, line)))
    await asyncio.gather(*(one() for _ in range(10)))
    print(json.dumps(seqs))
    ledger.close()

asyncio.run(main())
"""


def test_three_processes_write_one_gapless_history(ledger: Ledger, ledger_url: str) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, ledger_url, f"writer {n}"], stdout=subprocess.PIPE)
        for n in range(3)
    ]
    given = [json.loads(writer.communicate(timeout=60)[0]) for writer in writers]
    assert sorted(seq for seqs in given for seq in seqs) == list(range(1, 601))
    lines = ledger.read_now(lambda tx: journal.tail(tx, 0, 1000))
    for n, seqs in enumerate(given):
        assert [kept.seq for kept in lines if kept.line.fields["by"] == f"writer {n}"] == sorted(seqs)


def test_what_was_acknowledged_survives_kill_9(ledger_url: str, tmp_path: Path) -> None:
    script = _WRITER.replace("range(20)", "range(100000)").replace(
        "seqs.append(await ledger.commit(lambda tx: journal.append(tx, line)))",
        "print(await ledger.commit(lambda tx: journal.append(tx, line)), flush=True)",
    )
    open_ledger(ledger_url).close()
    writer = subprocess.Popen([sys.executable, "-c", script, ledger_url, "doomed"], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(30)]
    writer.kill()
    acknowledged += [int(seq) for seq in writer.stdout.read().split(b"\n")[:-1]]
    writer.wait()
    writer.stdout.close()
    ledger = open_ledger(ledger_url)
    kept = [line.seq for line in ledger.read_now(lambda tx: journal.tail(tx, 0, 100_000))]
    assert set(acknowledged) <= set(kept)
    assert kept == list(range(1, len(kept) + 1))
    assert ledger.commit_now(append) == len(kept) + 1
    ledger.close()
