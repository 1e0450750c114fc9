"""How fast could the same rows be written at all? Plain inserts in one thread, each writer waits for its own commit.

The tables, indexes, triggers and settings are the ledger's own; batches are what waits when a commit begins.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from queue import Empty, SimpleQueue
from uuid import UUID

from benchmarks.load import Round, cpu_seconds
from gateway.stores.ledger_sqlite import _WRITER

TABLES = ("outbox", "payload", "journal")
_BATCH = 512


class Bare:
    """A database with the tables of `ledger` and nothing in them; a row of each, as an acceptance left it, is written
    again and again under new numbers and ids."""

    def __init__(self, path: Path, ledger: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[asyncio.Future[None] | None] = SimpleQueue()
        self._rows = self._copied(ledger)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _copied(self, ledger: Path) -> dict[str, tuple[object, ...]]:
        """The rows to write; the empty tables made."""
        theirs, ours = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True), self._connected()
        wanted = "SELECT sql FROM sqlite_master WHERE tbl_name IN (?, ?, ?) AND sql IS NOT NULL ORDER BY type = 'index'"
        for (sql,) in theirs.execute(wanted, TABLES):
            ours.execute(sql)
        found = {
            "outbox": theirs.execute("SELECT * FROM outbox ORDER BY seq DESC LIMIT 1").fetchone(),
            "payload": theirs.execute("SELECT * FROM payload ORDER BY message DESC LIMIT 1").fetchone(),
            "journal": theirs.execute(
                "SELECT * FROM journal WHERE event = 'message-accepted' ORDER BY seq DESC LIMIT 1"
            ).fetchone(),
        }
        theirs.close()
        ours.close()
        return found

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in _WRITER:
            db.execute(pragma).close()
        # the rows stand for themselves here: no parents are written
        db.execute("PRAGMA foreign_keys=OFF")
        return db

    async def insert(self) -> None:
        """One acceptance's rows, durable."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(future)
        await future

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _write(self) -> None:
        db, number = self._connected(), 0
        while (first := self._queue.get()) is not None:
            batch = self._batch(first)
            db.execute("BEGIN IMMEDIATE")
            for table in TABLES:
                row = self._rows[table]
                marks = ",".join("?" * len(row))
                rows = (self._fresh(table, row, number + each) for each in range(1, len(batch) + 1))
                db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            db.execute("COMMIT")
            number += len(batch)
            self._loop.call_soon_threadsafe(_wake, batch)
        db.close()

    def _batch(self, first: asyncio.Future[None]) -> list[asyncio.Future[None]]:
        batch = [first]
        try:
            while len(batch) < _BATCH:
                one = self._queue.get_nowait()
                if one is None:
                    self._queue.put(None)
                    break
                batch.append(one)
        except Empty:
            pass
        return batch

    @staticmethod
    def _fresh(table: str, row: tuple[object, ...], number: int) -> tuple[object, ...]:
        if table != "outbox":
            return (number, *row[1:])
        id, message_id = _id(), _id()
        return (number, id, row[2], message_id, *row[4:])


def _id() -> str:
    return str(UUID(bytes=os.urandom(16), version=4))


def _wake(batch: list[asyncio.Future[None]]) -> None:
    for future in batch:
        future.set_result(None)


async def run(bare: Bare, *, writers: int, seconds: float, pids: Iterable[int]) -> Round:
    """`writers` at once for `seconds`, each waiting for its own commit."""
    group, latencies = list(pids), list[float]()
    until = time.perf_counter() + seconds

    async def one() -> None:
        while (began := time.perf_counter()) < until:
            await bare.insert()
            latencies.append(time.perf_counter() - began)

    began, cpu = time.perf_counter(), cpu_seconds(group)
    await asyncio.gather(*(one() for _ in range(writers)))
    return Round(latencies, time.perf_counter() - began, cpu_seconds(group) - cpu)
