"""What happened, in order? The drawer of journal lines: numbered without gaps, appended, never changed or removed.

The text of a line is the truth, in one canonical form that can be sealed; the columns beside it only find it, and
`leaves` tells when they disagree. Knows nothing of audiences (`rules/journal.py`) nor of signatures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json, Line
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Row, Transaction

_FINDING = "wall, at, event, initial, request, patient, custodian, requester, rule, reason"


@dataclass(frozen=True, slots=True)
class Kept:
    """A line with its number in the one history: 1, 2, 3, ... without gaps."""

    seq: int
    line: Line


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is sealed: the number and the canonical text. `faithful` False: the finding columns do not say what the text
    says, so somebody has changed one of them."""

    seq: int
    text: str
    faithful: bool


def append(tx: Transaction, line: Line) -> int:
    """Write a line and return its number. Only inside a commit: the serial history keeps the numbers gapless."""
    write(tx, line)
    return last(tx)


def write(tx: Transaction, line: Line) -> None:
    """As `append`, for who does not ask for the number."""
    tx.run(
        "INSERT INTO journal VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM journal), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *_finding(line),
        text_of(line),
    )


def last(reader: Transaction) -> int:
    """The number of the newest line; 0 for an empty journal."""
    row = reader.row("SELECT max(seq) FROM journal")
    return int(row[0]) if row and row[0] is not None else 0


def first(reader: Transaction) -> int:
    """The number of the oldest line still here; 1 for an empty journal."""
    row = reader.row("SELECT min(seq) FROM journal")
    return int(row[0]) if row and row[0] is not None else 1


def newest_first(reader: Transaction, start: int, limit: int) -> list[Kept]:
    """At most `limit` lines numbered `start` or lower, newest first."""
    return _kept(reader.rows("SELECT seq, line FROM journal WHERE seq <= ? ORDER BY seq DESC LIMIT ?", start, limit))


def newest_first_until(reader: Transaction, start: int, until: int) -> Iterator[Kept]:
    """The lines numbered from `start` down to, not including, `until`, newest first, some at a time."""
    while start > until:
        low = max(until, start - _A_TRIP)
        yield from _kept(
            reader.rows("SELECT seq, line FROM journal WHERE seq <= ? AND seq > ? ORDER BY seq DESC", start, low)
        )
        start = low


def numbered(reader: Transaction, seqs: Sequence[int]) -> list[Kept]:
    """The lines with these numbers that are still here, newest first."""
    these = ", ".join("?" * len(seqs))
    return _kept(reader.rows(f"SELECT seq, line FROM journal WHERE seq IN ({these}) ORDER BY seq DESC", *seqs))  # noqa: S608


def tail(
    reader: Transaction,
    after: int,
    limit: int,
    *,
    event: Event | None = None,
    custodian: Ura | None = None,
    requester: Ura | None = None,
    patient: PatientKey | None = None,
    row: str | None = None,
    reason: str | None = None,
) -> list[Kept]:
    """At most `limit` lines numbered above `after`, oldest first, that match every filter given."""
    filters = {
        "event": event,
        "custodian": None if custodian is None else custodian.digits,
        "requester": None if requester is None else requester.digits,
        "patient": patient,
        "rule": row,
        "reason": reason,
    }
    given = {column: value for column, value in filters.items() if value is not None}
    conditions = "".join(f" AND {column} = ?" for column in given)
    sql = f"SELECT seq, line FROM journal WHERE seq > ?{conditions} ORDER BY seq LIMIT ?"  # noqa: S608
    return _kept(reader.rows(sql, after, *given.values(), limit))


def by_chain(reader: Transaction, initial: str) -> list[Kept]:
    """Every line of one chain of messages (the AORTA-ID's initialRequestID), oldest first."""
    return _kept(reader.rows("SELECT seq, line FROM journal WHERE initial = ? ORDER BY seq", initial))


def of_patient(reader: Transaction, patient: PatientKey, before: int | None, limit: int) -> list[Kept]:
    """The lines about a patient, newest first; `before` is the number the last page ended with, None the first page."""
    return _kept(
        reader.rows(
            "SELECT seq, line FROM journal WHERE patient = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
            patient,
            _END if before is None else before,
            limit,
        )
    )


def count_of_patient(reader: Transaction, patient: PatientKey, since: datetime | None, until: datetime | None) -> int:
    """How many lines are about a patient, with domain time in [since, until)."""
    row = reader.row(
        "SELECT count(*) FROM journal WHERE patient = ? AND at >= ? AND at < ?",
        patient,
        -_END if since is None else instant(since),
        _END if until is None else instant(until),
    )
    return int(row[0]) if row else 0


def of_custodian(
    reader: Transaction,
    custodian: Ura,
    patient: PatientKey,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    *,
    before: int | None = None,
) -> list[Kept]:
    """The lines about this custodian's data on a patient, newest first, with domain time in [since, until]."""
    return _kept(
        reader.rows(
            "SELECT seq, line FROM journal WHERE custodian = ? AND patient = ? AND at >= ? AND at < ? AND seq < ?"
            " ORDER BY seq DESC LIMIT ?",
            custodian.digits,
            patient,
            -_END if since is None else instant(since),
            _END if until is None else instant(until),
            _END if before is None else before,
            limit,
        )
    )


def count_of_custodian(
    reader: Transaction, custodian: Ura, patient: PatientKey, since: datetime | None, until: datetime | None
) -> int:
    """How many lines `of_custodian` would give in all."""
    row = reader.row(
        "SELECT count(*) FROM journal WHERE custodian = ? AND patient = ? AND at >= ? AND at < ?",
        custodian.digits,
        patient,
        -_END if since is None else instant(since),
        _END if until is None else instant(until),
    )
    return int(row[0]) if row else 0


def leaves(reader: Transaction, after: int, limit: int) -> list[Leaf]:
    """The texts to seal or verify, numbered above `after`, oldest first."""
    rows = reader.rows(
        f"SELECT seq, line, {_FINDING} FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608
        after,
        limit,
    )
    return [Leaf(seq=int(row[0]), text=row[1], faithful=_faithful(row[1], row[2:])) for row in rows]


def text_of(line: Line) -> str:
    """The canonical text: one JSON object, keys sorted, no spaces, times in microseconds since 1970 UTC, absent as
    null."""
    return _CANONICAL.encode(
        {
            "aorta": None if line.aorta is None else [line.aorta.initial, line.aorta.request, line.aorta.version],
            "at": instant(line.at),
            "custodian": None if line.custodian is None else line.custodian.digits,
            "event": line.event.value,
            "fields": dict(line.fields),
            "patient": None if line.patient is None else line.patient.hex(),
            "requester": None if line.requester is None else line.requester.digits,
            "wall": instant(line.wall),
        }
    ).decode()


def line_of(text: str) -> Line:
    """The line a canonical text stands for. Raises ValueError when it is none."""
    kept = msgspec.json.decode(text, type=_Text)
    return Line(
        event=Event(kept.event),
        at=moment(kept.at),
        wall=moment(kept.wall),
        aorta=None if kept.aorta is None else AortaId(*kept.aorta),
        patient=None if kept.patient is None else PatientKey(bytes.fromhex(kept.patient)),
        custodian=None if kept.custodian is None else _ura(kept.custodian),
        requester=None if kept.requester is None else _ura(kept.requester),
        fields=kept.fields,
    )


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    aorta: tuple[str, str, str | None] | None
    at: int
    custodian: str | None
    event: str
    fields: dict[str, Any]
    patient: str | None
    requester: str | None
    wall: int


_ura = lru_cache(maxsize=16_384)(Ura)
_CANONICAL = msgspec.json.Encoder(order="deterministic")
_END = 2**62
_A_TRIP = 128


def _finding(line: Line) -> tuple[object, ...]:
    return (
        instant(line.wall),
        instant(line.at),
        line.event.value,
        None if line.aorta is None else line.aorta.initial,
        None if line.aorta is None else line.aorta.request,
        line.patient,
        None if line.custodian is None else line.custodian.digits,
        None if line.requester is None else line.requester.digits,
        _plain(line.fields.get("row")),
        _plain(line.fields.get("reason")),
    )


def _plain(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _faithful(text: str, columns: Row) -> bool:
    try:
        line = line_of(text)
    except ValueError:
        return False
    return _finding(line) == columns and text_of(line) == text


def _kept(rows: Iterable[Row]) -> list[Kept]:
    return [Kept(int(seq), line_of(text)) for seq, text in rows]
