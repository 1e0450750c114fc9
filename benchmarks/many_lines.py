"""What does a busy country's journal look like? Lines as the exchange writes them, a million of them in seconds.

Every line is first made by the program's own words and text; then numbers, times, chains and patients are put into
that text, so that a million need not be made one by one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json, Line
from gateway.stores import journal
from gateway.stores.ledger import Ledger, Transaction
from gateway.stores.schema import instant

START = datetime(2026, 11, 1, tzinfo=UTC)
SOME_CHAIN = "00000000-0000-4000-9000-000000000100"
"""The initialRequestID of the hundredth call."""
MOST_OF_ONE = 25
"""Calls about the one patient whose page is looked at: as many among few lines as among many."""
PRACTICE = Ura("90000101")
"""A custodian that stands in many lines."""
_INITIAL, _REQUEST = "00000000-0000-4000-9000-000000000000", "00000000-0000-4000-a000-000000000000"
_PATIENT = PatientKey(b"\xee" * 12)
RECENT = 1000
"""Lines of the last hour; all others are older than a day, so that only the journal's size differs."""
_STEP, _RECENT_STEP, _BEFORE = timedelta(milliseconds=300), timedelta(seconds=3.5), timedelta(hours=25)
_AT_ONCE = 10_000
_SHAPES = 400

_REQUESTERS = (
    ("N6", "search-Bundle", "gp-summary", "REG-1"),
    ("V4", "search-Flag", "allergies", "REG-3"),
    ("AMB", "search-Bundle", "gp-summary", "EMA-2"),
    ("J8", "search-Flag", "medication", "REG-4"),
)


def _line(event: Event, fields: dict[str, Json], *, custodian: Ura | None = None, requester: Ura) -> Line:
    return Line(event, START, START, AortaId(_INITIAL, _REQUEST), _PATIENT, custodian, requester, fields)


def _call(rng: random.Random) -> list[Line]:
    """One call: asked and answered by one source, by several, refused, with nothing found, or failed."""
    type, interaction, category, row = rng.choice(_REQUESTERS)
    us = Ura(f"{90001000 + rng.randrange(300):08}")
    them = [PRACTICE if rng.random() < 0.02 else Ura(f"{90002000 + rng.randrange(3000):08}") for _ in range(3)]
    who: dict[str, Json] = {
        "organisation": us.digits, "organisation_name": f"Proeforganisatie {us.digits}", "organisation_type": type,
        "application": us.digits, "actor": "000000001", "actor_name": "Waarnemend arts (test)", "actor_role": "01.015",
    }  # fmt: skip
    query = {**who, "purpose": rng.choice(("TREAT", "TREAT", "ETREAT")), "contact": "contact-1", "capacity": "capable",
             "contact_kind": "visit", "cover": True, "local_hour": 21, "category": category,
             "interaction": interaction}  # fmt: skip
    token = _line(Event.TOKEN_ISSUED, {**who, "purpose": "TREAT", "certificate": "0A" * 10}, requester=us)
    if rng.random() < 0.15:
        reason = rng.choice(("no-treatment-relation", "no-cover", "not-authorised", "verbal-consent-required"))
        return [token, _line(Event.QUERY_REFUSED, {**query, "reason": reason, "regimes": ["REGULAR"]}, requester=us)]
    sources = them[: rng.choice((0, 1, 1, 1, 2, 3))]
    basis = "presumed-consent" if rng.random() < 0.001 else "consent"
    decisions: list[Json] = [
        {"custodian": one.digits, "system": "101", "outcome": "permitted", "row": row, "basis": basis, "view": None}
        for one in sources
    ] or [{"custodian": them[0].digits, "system": "101", "outcome": "closed", "reason": "no-consent"}]
    decided = {**query, "decisions": decisions, "regimes": ["REGULAR"]}
    failing = {one: rng.choice(("timed-out", "unreachable", "malformed")) for one in sources if rng.random() < 0.03}
    legs: list[Json] = [
        {"custodian": one.digits, "system": "101", "ms": round(rng.expovariate(0.02), 1), "request": _REQUEST,
         "outcome": failing.get(one, "answered")}
        for one in sources
    ]  # fmt: skip
    told = {**who, "category": category, "interaction": interaction, "legs": legs, "dropped": [], "ms": 42.5}
    if failing and len(failing) == len(sources):
        ended = _line(Event.QUERY_FAILED, {**told, "reason": next(iter(failing.values()))}, requester=us)
    else:
        whole = "partial" if failing else "complete"
        ended = _line(Event.QUERY_ANSWERED, {**told, "completeness": whole, "flags": []}, requester=us)
    shown = {**query, "system": "101", "row": row, "view": None, "basis": basis, "resources": 1}
    disclosed = [_line(Event.DISCLOSED, shown, custodian=one, requester=us) for one in sources if one not in failing]
    return [token, _line(Event.QUERY_DECIDED, decided, requester=us), *disclosed, ended]


Row = tuple[object, ...]


def _rows(many: int, looked_at: PatientKey, first: int, until: datetime) -> Iterator[Row]:
    rng = random.Random(7)
    shapes = [[(one, journal.text_of(one)) for one in _call(rng)] for _ in range(_SHAPES)]
    seq, call, of_one = first, 0, 0
    while True:
        call += 1
        patient = PatientKey((call * 2654435761 % 2**64 // 1024).to_bytes(12, "big"))
        if call % 10 == 0 and of_one < MOST_OF_ONE:
            patient, of_one = looked_at, of_one + 1
        for line, text in rng.choice(shapes):
            yield _row(seq, call, _wall(many - (seq - first), until), patient, line, text)
            seq += 1


def _wall(left: int, until: datetime) -> datetime:
    """When the line is written that so many are left of."""
    recent = min(left, RECENT)
    return until - recent * _RECENT_STEP - (_BEFORE + (left - recent) * _STEP if left > recent else timedelta())


def _row(seq: int, call: int, wall: datetime, patient: PatientKey, line: Line, text: str) -> Row:
    at = instant(wall)
    initial, request = f"{_INITIAL[:-12]}{call:012}", f"{_REQUEST[:-12]}{seq:012}"
    said = (
        text.replace(_INITIAL, initial)
        .replace(_REQUEST, request)
        .replace(str(instant(START)), str(at))
        .replace(_PATIENT.hex(), patient.hex())
    )
    custodian = line.custodian.digits if line.custodian else None
    requester = line.requester.digits if line.requester else None
    found = [line.fields.get(name) for name in ("row", "reason")]
    return (seq, at, at, line.event.value, initial, request, patient, custodian, requester, *found, said)


def fill(ledger: Ledger, many: int, looked_at: PatientKey, until: datetime) -> None:
    """Write so many lines after what is there, the last at `until`, straight into the table; some are about the patient
    looked at. Raises LedgerUnavailable."""
    rows = _rows(many, looked_at, ledger.read_now(journal.last) + 1, until)
    for first in range(0, many, _AT_ONCE):
        batch = list(islice(rows, min(_AT_ONCE, many - first)))

        def unit(tx: Transaction, batch: list[Row] = batch) -> None:
            for row in batch:
                tx.run(f"INSERT INTO journal VALUES ({', '.join('?' * len(row))})", *row)

        ledger.commit_now(unit)
