"""Which choices wait for a second voice? The drawer of what one of two who must agree has proposed.

A proposal changes nothing until it is stated by both; it is kept as it was worded. Knows no rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.rules.choice import Party
from gateway.rules.exchange import PatientKey
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class Proposed:
    """What `by` proposed at `at` (domain time); `wish` is what was filled in, as text."""

    id: str
    wish: str
    by: Party
    at: datetime


def propose(tx: Transaction, patient: PatientKey, proposed: Proposed) -> None:
    """Keep a proposal; it replaces what the same voice proposed before."""
    tx.run("DELETE FROM proposed_choice WHERE patient = ? AND stated_by = ?", patient, proposed.by.value)
    tx.run(
        "INSERT INTO proposed_choice VALUES (?, ?, ?, ?, ?)",
        proposed.id,
        patient,
        proposed.wish,
        proposed.by.value,
        instant(proposed.at),
    )


def of(reader: Transaction, patient: PatientKey) -> list[Proposed]:
    """What waits, oldest first."""
    rows = reader.rows("SELECT id, wish, stated_by, at FROM proposed_choice WHERE patient = ? ORDER BY at, id", patient)
    return [_proposed(row) for row in rows]


def find(reader: Transaction, patient: PatientKey, id: str) -> Proposed | None:
    """One of this patient's proposals."""
    row = reader.row("SELECT id, wish, stated_by, at FROM proposed_choice WHERE patient = ? AND id = ?", patient, id)
    return None if row is None else _proposed(row)


def drop(tx: Transaction, patient: PatientKey, id: str) -> bool:
    """It waits no more. False: it did not."""
    return tx.run("DELETE FROM proposed_choice WHERE patient = ? AND id = ?", patient, id) == 1


def _proposed(row: Row) -> Proposed:
    return Proposed(row[0], row[1], Party(row[2]), moment(row[3]))
