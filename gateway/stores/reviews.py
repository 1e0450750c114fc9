"""Which disclosures wait for a reviewer, and what did reviewers find? The drawer of cases and verdicts.

A case is made from a journal line and only points to it: what was disclosed stands in the journal. Verdicts are added,
never changed; the newest one counts. Knows no rule about who may judge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.rules.reviewing import Case, Judgement, Verdict
from gateway.stores.journal import Kept
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many cases are open, how many of them disclosed before a moment, and how many are closed."""

    open: int
    overdue: int
    closed: int


def mark(tx: Transaction) -> int:
    """Up to which number the journal's lines were made into cases."""
    row = tx.row("SELECT read_to FROM review_mark WHERE id = 1")
    return int(row[0]) if row else 0


def set_mark(tx: Transaction, read_to: int) -> None:
    """Never goes back, whoever comes late."""
    tx.run("UPDATE review_mark SET read_to = ? WHERE id = 1 AND read_to < ?", read_to, read_to)


def take_in(tx: Transaction, lines: Iterable[Kept]) -> int:
    """Make a case of each of these disclosures; returns how many were new."""
    return sum(
        tx.run(
            "INSERT INTO review_case VALUES (?, ?, ?, NULL, 0) ON CONFLICT (line) DO NOTHING",
            kept.seq,
            str(kept.line.fields.get("basis", "")),
            instant(kept.line.at),
        )
        for kept in lines
    )


def listing(tx: Transaction, *, closed: bool, after: int, limit: int) -> list[Case]:
    """At most `limit` cases: the open ones oldest first, above line `after`; the closed ones newest first, below line
    `after` (0: from the newest)."""
    if closed:
        rows = tx.rows(
            f"SELECT {_CASE} FROM review_case WHERE closed = 1 AND line < ? ORDER BY line DESC LIMIT ?",  # noqa: S608
            after or _END,
            limit,
        )
    else:
        rows = tx.rows(
            f"SELECT {_CASE} FROM review_case WHERE closed = 0 AND line > ? ORDER BY line LIMIT ?",  # noqa: S608
            after,
            limit,
        )
    return [_case(row) for row in rows]


def find(tx: Transaction, line: int) -> Case | None:
    row = tx.row(f"SELECT {_CASE} FROM review_case WHERE line = ?", line)  # noqa: S608
    return None if row is None else _case(row)


def judgements(tx: Transaction, line: int) -> list[Judgement]:
    """Every verdict on a case, oldest first."""
    rows = tx.rows("SELECT verdict, note, who, judged FROM review_verdict WHERE line = ? ORDER BY seq", line)
    return [Judgement(Verdict(verdict), note, who, moment(at)) for verdict, note, who, at in rows]


def judge(tx: Transaction, line: int, judgement: Judgement) -> None:
    """Add a verdict. Raises LedgerRefused when there is no such case."""
    tx.run(
        "INSERT INTO review_verdict VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM review_verdict), ?, ?, ?, ?, ?)",
        line,
        judgement.verdict.value,
        judgement.note,
        judgement.who,
        instant(judgement.at),
    )
    tx.run(
        "UPDATE review_case SET verdict = ?, closed = ? WHERE line = ?",
        judgement.verdict.value,
        int(judgement.verdict.closes),
        line,
    )


def waiting(tx: Transaction, disclosed_before: datetime) -> Waiting:
    """The numbers of one moment."""
    row = tx.row(
        "SELECT (SELECT count(*) FROM review_case WHERE closed = 0),"
        " (SELECT count(*) FROM review_case WHERE closed = 0 AND disclosed < ?),"
        " (SELECT count(*) FROM review_case WHERE closed = 1)",
        instant(disclosed_before),
    )
    assert row is not None, "a count is always one row"
    return Waiting(*(int(number) for number in row))


_CASE = "line, basis, disclosed, verdict"
_END = 2**62


def _case(row: Row) -> Case:
    line, basis, disclosed, verdict = row
    return Case(int(line), basis, moment(disclosed), None if verdict is None else Verdict(verdict))
