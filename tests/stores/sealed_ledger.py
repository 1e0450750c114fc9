"""What do the tests of the sealed journal act on? A small journal under a few checkpoints, and ways behind its back."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import psycopg

from gateway.flows.exported_journal import export, read_export
from gateway.flows.sealing_journal import Sealer, open_sealer, seal
from gateway.flows.verifying_journal import Elsewhere
from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Line
from gateway.stores import journal
from gateway.stores.ledger import Ledger, Transaction
from gateway.stores.schema import instant

START = datetime(2026, 11, 1, tzinfo=UTC)
SIZES = (10, 20, 280, 300)
UNSEALED = 2
_AT_ONCE = 500
STANDALONE = Path(__file__).parents[2] / "gateway" / "cli" / "verify_journal.py"


class Clock:
    """Wall time as the test sets it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float = 10) -> None:
        self.now += timedelta(seconds=seconds)


def line(number: int, wall: datetime = START) -> Line:
    fields: dict[str, journal.Json] = {"row": "REG-1", "resources": number}
    aorta = AortaId(f"chain-{number // 3}", f"request-{number}")
    patient = PatientKey(bytes([97 + number % 5]) * 12)
    return Line(Event.DISCLOSED, wall, wall, aorta, patient, Ura("00000101"), Ura("00000401"), fields)


def write(ledger: Ledger, many: int, wall: datetime = START) -> None:
    """Write this many entries, some hundreds at once."""
    for left in range(many, 0, -_AT_ONCE):

        def unit(tx: Transaction, more: int = min(left, _AT_ONCE)) -> None:
            first = journal.last(tx) + 1
            for number in range(first, first + more):
                journal.append(tx, line(number, wall))

        ledger.commit_now(unit)


def sealer_of(ledger: Ledger, folder: Path, clock: Clock) -> Sealer:
    return open_sealer(ledger, folder, clock)


def seal_now(sealer: Sealer) -> int:
    return asyncio.run(seal(sealer))


def fill(sealer: Sealer, clock: Clock) -> None:
    """Checkpoints at SIZES, ten seconds apart, each sealing what was written just before; and a few entries after."""
    before = 0
    for size in SIZES:
        write(sealer.ledger, size - before, clock.now)
        clock.tick()
        before += seal_now(sealer)
    assert before == SIZES[-1]
    write(sealer.ledger, UNSEALED, clock.now)


def exported(ledger: Ledger, *, entries: bool = False) -> str:
    file = io.StringIO()
    export(ledger, file, entries=entries)
    return file.getvalue()


def kept_elsewhere(ledger: Ledger) -> Elsewhere:
    return read_export(io.StringIO(exported(ledger)))


def behind_its_back(url: str, *statements: str) -> None:
    """Change a ledger as somebody would who holds the database: with its triggers out of the way."""
    if url.startswith("postgresql:"):
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("SET session_replication_role = replica")
            for statement in statements:
                db.execute(statement.replace("x'ff'", "'\\xff'").encode())
        return
    with closing(sqlite3.connect(url.removeprefix("sqlite://"), isolation_level=None)) as db:
        kept = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in kept:
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        for _, sql in kept:
            db.execute(sql)


def standalone(path: Path = STANDALONE) -> ModuleType:
    """The verifier for a second party, loaded as a file by itself."""
    spec = importlib.util.spec_from_file_location("verifier_by_itself", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


def micros(at: datetime) -> int:
    return instant(at)
