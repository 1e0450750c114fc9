"""Who wants to be told of what, and what was told? The drawer of a patient's wishes to be told, and simulated mail.

Of whom wants mail only the last three digits of the number are kept: enough to tell which of a family it is about. A
wish counts for lines written after it. Knows no sentence and sends nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from gateway.rules.exchange import PatientKey
from gateway.stores.journal import Kept, last, line_of
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Wish:
    """A patient wants mail about these subjects."""

    digits: str
    subjects: frozenset[str]


@dataclass(frozen=True, slots=True)
class Mail:
    """One simulated mail: about line number `line` of the journal, at `at` (domain time)."""

    line: int
    digits: str
    subject: str
    at: datetime


def set_wish(tx: Transaction, patient: PatientKey, digits: str, subjects: Collection[str]) -> None:
    """What this patient wants to be told of from the next line on; nothing ends it."""
    tx.run("DELETE FROM tell_me WHERE patient = ?", patient)
    if subjects:
        tx.run("INSERT INTO tell_me VALUES (?, ?, ?, ?)", patient, digits, json.dumps(sorted(subjects)), last(tx))


def wish(reader: Transaction, patient: PatientKey) -> Wish | None:
    row = reader.row("SELECT digits, subjects FROM tell_me WHERE patient = ?", patient)
    return None if row is None else Wish(row[0], frozenset(json.loads(row[1])))


def through(reader: Transaction) -> int:
    """Up to which line mail was written."""
    row = reader.row("SELECT number FROM tally WHERE name = 'told'")
    return int(row[0]) if row else 0


def reach(tx: Transaction, line: int) -> None:
    """Mail is written up to this line."""
    tx.run("UPDATE tally SET number = ? WHERE name = 'told' AND number < ?", line, line)


def wished_for(reader: Transaction, after: int, until: int) -> list[tuple[Kept, Wish]]:
    """The lines numbered above `after` up to `until` about a patient with a wish from before, each with the wish."""
    rows = reader.rows(
        "SELECT j.seq, j.line, t.digits, t.subjects FROM journal AS j JOIN tell_me AS t ON t.patient = j.patient"
        " WHERE j.seq > ? AND j.seq <= ? AND j.seq > t.after ORDER BY j.seq",
        after,
        until,
    )
    return [(Kept(int(row[0]), line_of(row[1])), Wish(row[2], frozenset(json.loads(row[3])))) for row in rows]


def post(tx: Transaction, patient: PatientKey, mail: Mail) -> None:
    """Put a mail in the box; about one line there is one mail."""
    tx.run(
        "INSERT INTO mailbox VALUES (?, ?, ?, ?, ?) ON CONFLICT (patient, line) DO NOTHING",
        mail.line,
        patient,
        mail.digits,
        mail.subject,
        instant(mail.at),
    )


def mails(reader: Transaction, patient: PatientKey, limit: int) -> list[Mail]:
    """The newest mails to this patient, newest first."""
    rows = reader.rows(
        "SELECT line, digits, subject, at FROM mailbox WHERE patient = ? ORDER BY line DESC LIMIT ?", patient, limit
    )
    return [Mail(int(row[0]), row[1], row[2], moment(row[3])) for row in rows]
