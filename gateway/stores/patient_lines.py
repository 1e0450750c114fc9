"""Which journal lines are about one patient, and what became of what was asked? The reading side of her own page.

A call's later lines carry its AORTA-ID, so they are found from its first. Knows no audience and writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from gateway.rules.exchange import PatientKey
from gateway.rules.journal import Event
from gateway.stores.journal import Kept, line_of
from gateway.stores.schema import instant
from gateway.stores.transaction import Row, Transaction

_END = 2**62
_MOST_OF_A_CALL = 200
"""Lines of one call that are read; a call to more custodians than that does not exist."""
_ABOUT = "coalesce(patient, patient)"
"""The patient of a line, written so that a call is found by its id and not among all the patient's lines."""


def newest(
    reader: Transaction,
    patient: PatientKey,
    events: Collection[Event],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int,
) -> list[Kept]:
    """At most `limit` lines of these events about a patient, newest first, numbered below `before`, with domain time in
    [since, until)."""
    named = sorted(event.value for event in events)
    rows = reader.rows(
        "SELECT seq, line FROM journal WHERE patient = ? AND seq < ? AND at >= ? AND at < ?"  # noqa: S608
        f" AND event IN ({', '.join('?' for _ in named)}) ORDER BY seq DESC LIMIT ?",
        patient,
        _END if before is None else before,
        -_END if since is None else instant(since),
        _END if until is None else instant(until),
        *named,
        limit,
    )
    return [_kept(row) for row in rows]


def of_call_after(reader: Transaction, kept: Kept) -> list[Kept]:
    """The later lines of the same call about the same patient, oldest first; none for a line outside any call."""
    aorta = kept.line.aorta
    if aorta is None:
        return []
    rows = reader.rows(
        f"SELECT seq, line FROM journal WHERE initial = ? AND request = ? AND {_ABOUT} = ? AND seq > ?"  # noqa: S608
        " ORDER BY seq LIMIT ?",
        aorta.initial,
        aorta.request,
        kept.line.patient,
        kept.seq,
        _MOST_OF_A_CALL,
    )
    return [_kept(row) for row in rows]


def began_with(reader: Transaction, kept: Kept, event: Event) -> bool:
    """Whether a line of this event about the same patient stands before this one in the same call."""
    aorta = kept.line.aorta
    if aorta is None:
        return False
    row = reader.row(
        f"SELECT 1 FROM journal WHERE initial = ? AND request = ? AND {_ABOUT} = ? AND seq < ? AND event = ?"  # noqa: S608
        " LIMIT 1",
        aorta.initial,
        aorta.request,
        kept.line.patient,
        kept.seq,
        event.value,
    )
    return row is not None


def _kept(row: Row) -> Kept:
    return Kept(int(row[0]), line_of(row[1]))
