"""Where do the messages stay that the inspector shows? A ring of the last few thousand in a file of a simulation.

Its own SQLite file beside the ledger, shared by the simulation's processes. Nobody needs what is in it: it is never
waited for, and what cannot be written is lost. Nothing comes in here but what describing.py lets out.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from gateway.inspecting.describing import Headers

FILE = "inspector.sqlite"
MOST = 2_000
"""Exchanges that are kept."""
_PATIENCE = 2.0
_TABLE = "CREATE TABLE IF NOT EXISTS exchanged (id INTEGER PRIMARY KEY, initial TEXT NOT NULL, told TEXT NOT NULL)"
_INDEX = "CREATE INDEX IF NOT EXISTS exchanged_by_chain ON exchanged (initial)"


class Way(StrEnum):
    """IN: a participant asked the exchange. OUT: the exchange asked a source. DELIVERY: it handed a message over."""

    IN = "in"
    OUT = "out"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class Half:
    """One message as far as it may be told: `size` is its body's bytes, `content` None where it may not be shown."""

    headers: Headers
    size: int
    shape: tuple[str, ...]
    claims: str = ""
    content: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A request and its answer. `party` is the URA of who asked, or was asked; `at` wall time of the request; `answer`
    None: none came, and `outcome` says why. `outcome` is what the exchange made of a source's answer; empty for IN."""

    initial: str
    request: str
    way: Way
    line: str
    party: str
    at: datetime
    ms: float
    sent: Half
    status: int = 0
    answer: Half | None = None
    outcome: str = ""


class Ring:
    """The file. One writer per process, used from one thread at a time; readers open it for themselves."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        """Raises OSError, sqlite3.Error."""
        self._path, self._most = path, most
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._writer = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        for words in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", _TABLE, _INDEX):
            self._writer.execute(words)

    def write(self, found: Sequence[Exchanged]) -> None:
        """Keep these, and forget the oldest. Raises sqlite3.Error."""
        rows = [(one.initial, json.dumps(asdict(one), default=datetime.isoformat)) for one in found]
        with self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany("INSERT INTO exchanged (initial, told) VALUES (?, ?)", rows)
            self._writer.execute("DELETE FROM exchanged WHERE id <= (SELECT max(id) FROM exchanged) - ?", (self._most,))

    def read(self, initial: str) -> list[Exchanged]:
        """Everything of one chain, oldest first. Raises sqlite3.Error."""
        query = "SELECT told FROM exchanged WHERE initial = ? ORDER BY id"
        with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as reader:
            found = [_read(json.loads(told)) for (told,) in reader.execute(query, (initial,))]
        return sorted(found, key=lambda one: one.at)

    def close(self) -> None:
        self._writer.close()


def _read(told: dict[str, Any]) -> Exchanged:
    halves = {name: _half(told[name]) for name in ("sent", "answer") if told[name] is not None}
    return Exchanged(**{**told, **halves, "at": datetime.fromisoformat(told["at"]), "way": Way(told["way"])})


def _half(told: dict[str, Any]) -> Half:
    pairs = tuple((name, value) for name, value in told["headers"])
    return Half(**{**told, "headers": pairs, "shape": tuple(told["shape"])})
