"""Who is the GP of record, as of any day, whatever was told in whatever order? On both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from outbox_made import PATIENT
from test_outbox import serial

from gateway.rules.exchange import PatientKey
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.stores import consents, enrolments
from gateway.stores.enrolments import Change, Enrolment, Recorded
from gateway.stores.ledger import Ledger
from gateway.stores.transaction import Transaction

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
A, B, C = (Ura(f"9000010{n}") for n in range(1, 4))
ONE, TWO = ApplicationId("1"), ApplicationId("2")
TODAY = date(2026, 5, 2)
LAST_YEAR, LONG_AGO, NEXT_MONTH = date(2025, 6, 1), date(2019, 1, 1), date(2026, 6, 1)


@pytest.fixture
def tx(ledger: Ledger) -> Iterator[Transaction]:
    with serial(ledger) as work:
        yield work


def enrol(
    tx: Transaction, practice: Ura, since: date, *, system: ApplicationId = ONE, at: datetime = NOW,
    patient: PatientKey = PATIENT,
) -> Change | None:  # fmt: skip
    return enrolments.enrol(tx, patient, practice, system, since, at)


def gp(tx: Transaction, at: datetime = NOW) -> Ura | None:
    found = enrolments.gp_of_record(tx, PATIENT, at)
    return found.custodian if found else None


ORDERS = {
    "nobody": ([], None),
    "one": ([(A, LONG_AGO)], A),
    "the one that began last": ([(A, LONG_AGO), (B, LAST_YEAR)], B),
    "in whatever order it is told": ([(B, LAST_YEAR), (A, LONG_AGO)], B),
    "of one day the one told last": ([(A, TODAY), (B, TODAY)], B),
    "not one that is still to begin": ([(A, LONG_AGO), (B, NEXT_MONTH)], A),
    "nobody yet": ([(B, NEXT_MONTH)], None),
    "a repeat of an older one takes nobody back": ([(A, LONG_AGO), (B, LAST_YEAR), (A, LONG_AGO)], B),
    "a new beginning does": ([(A, LONG_AGO), (B, LAST_YEAR), (A, TODAY)], A),
    "an earlier beginning gives way": ([(A, LONG_AGO), (B, LAST_YEAR), (B, date(2018, 1, 1))], A),
}


@pytest.mark.parametrize(("told", "record"), ORDERS.values(), ids=ORDERS.keys())
def test_the_gp_of_record(tx: Transaction, told: list[tuple[Ura, date]], record: Ura | None) -> None:
    for practice, since in told:
        enrol(tx, practice, since)
    assert gp(tx) == record
    assert enrolments.gp_of_record(tx, PatientKey(b"x" * 12), NOW) is None


MOMENTS = {
    "the day before, late": (datetime(2026, 5, 31, 21, 59, 59, tzinfo=UTC), A),
    "midnight in the Netherlands is still the day before in UTC": (datetime(2026, 5, 31, 22, tzinfo=UTC), B),
    "later": (datetime(2027, 1, 1, tzinfo=UTC), B),
    "a clock set back before everything": (datetime(2018, 1, 1, tzinfo=UTC), None),
}


@pytest.mark.parametrize(("at", "record"), MOMENTS.values(), ids=MOMENTS.keys())
def test_an_enrolment_counts_from_its_dutch_day(tx: Transaction, at: datetime, record: Ura | None) -> None:
    enrol(tx, A, LONG_AGO)
    enrol(tx, B, NEXT_MONTH)
    assert gp(tx, at) == record


def test_what_changed_is_told_once(tx: Transaction) -> None:
    first, second = Enrolment(A, ONE, LONG_AGO), Enrolment(B, ONE, LAST_YEAR)
    changes = [enrol(tx, A, LONG_AGO), enrol(tx, B, LAST_YEAR), enrol(tx, B, LAST_YEAR), enrol(tx, A, LONG_AGO)]
    assert changes == [Change(None, first), Change(first, second), None, None]
    assert [one.moved for one in changes if one] == [True, True]
    assert len(enrolments.history(tx, PATIENT)) == 2


def test_a_change_that_moves_nobody_says_so(tx: Transaction) -> None:
    enrol(tx, B, LAST_YEAR)
    older = enrol(tx, A, LONG_AGO)
    same_practice = enrol(tx, B, TODAY, system=TWO)
    assert older == Change(Enrolment(B, ONE, LAST_YEAR), Enrolment(B, ONE, LAST_YEAR))
    assert same_practice == Change(Enrolment(B, ONE, LAST_YEAR), Enrolment(B, TWO, TODAY))
    assert not older.moved
    assert not same_practice.moved


def test_a_change_to_come_is_told_when_it_is_told(tx: Transaction) -> None:
    """So that the former GP hears of it before, not never."""
    enrol(tx, A, LONG_AGO)
    change = enrol(tx, B, NEXT_MONTH)
    assert change is not None
    assert change.moved
    assert (gp(tx), gp(tx, NOW + 40 * DAY)) == (A, B)
    undone = enrolments.end(tx, PATIENT, B, ONE, NOW + HOUR)
    assert undone is not None
    assert (undone.former, undone.current) == (change.current, change.former)


def test_ending_falls_back_to_the_next_newest_that_stands(tx: Transaction) -> None:
    for practice, since in ((A, LONG_AGO), (C, date(2020, 1, 1)), (B, LAST_YEAR)):
        enrol(tx, practice, since)
    assert enrolments.end(tx, PATIENT, C, ONE, NOW) == Change(*[Enrolment(B, ONE, LAST_YEAR)] * 2)
    assert enrolments.end(tx, PATIENT, B, ONE, NOW) == Change(Enrolment(B, ONE, LAST_YEAR), Enrolment(A, ONE, LONG_AGO))
    assert gp(tx) == A
    assert enrolments.end(tx, PATIENT, A, ONE, NOW) == Change(Enrolment(A, ONE, LONG_AGO), None)
    assert gp(tx) is None
    assert enrolments.end(tx, PATIENT, A, ONE, NOW) is None


def test_only_ones_own_enrolment_in_that_system_ends(tx: Transaction) -> None:
    enrol(tx, A, LONG_AGO)
    enrol(tx, A, LONG_AGO, patient=PatientKey(b"x" * 12))
    for other in ((B, ONE), (A, TWO)):
        assert enrolments.end(tx, PATIENT, *other, NOW) is None
    enrolments.end(tx, PatientKey(b"x" * 12), A, ONE, NOW)
    assert gp(tx) == A


def test_who_is_enrolled_again_after_an_end_counts_again(tx: Transaction) -> None:
    enrol(tx, A, LONG_AGO)
    enrolments.end(tx, PATIENT, A, ONE, NOW)
    assert enrol(tx, A, LONG_AGO, at=NOW + HOUR) is not None
    assert gp(tx) == A


def test_history_keeps_everything_that_was_ever_told(tx: Transaction) -> None:
    enrol(tx, A, LONG_AGO)
    enrol(tx, A, LAST_YEAR, at=NOW + HOUR)
    enrol(tx, B, TODAY, at=NOW + DAY)
    enrolments.end(tx, PATIENT, B, ONE, NOW + 2 * DAY)
    assert enrolments.history(tx, PATIENT) == [
        Recorded(Enrolment(A, ONE, LONG_AGO), NOW, NOW + HOUR),
        Recorded(Enrolment(A, ONE, LAST_YEAR), NOW + HOUR, None),
        Recorded(Enrolment(B, ONE, TODAY), NOW + DAY, NOW + 2 * DAY),
    ]


def test_a_practice_that_takes_patients_over_is_counted(tx: Transaction) -> None:
    patients = [PatientKey(bytes([n]) * 12) for n in range(6)]
    for patient in patients[:5]:
        enrol(tx, A, LAST_YEAR, patient=patient)
    enrol(tx, B, TODAY, patient=patients[0], at=NOW - 25 * HOUR)
    for patient in patients[1:4]:
        enrol(tx, B, TODAY, patient=patient)
    enrol(tx, B, NEXT_MONTH, patient=patients[1], at=NOW + HOUR)  # its own already
    enrol(tx, B, LONG_AGO, patient=patients[4])  # replaces nobody
    enrol(tx, B, TODAY, patient=patients[5])  # had no GP
    assert enrolments.taken_over(tx, B, NOW - 24 * HOUR) == 3
    assert enrolments.taken_over(tx, B, NOW - 26 * HOUR) == 4
    assert enrolments.taken_over(tx, A, NOW - 26 * HOUR) == 0
    enrol(tx, B, NEXT_MONTH, patient=patients[4])
    assert enrolments.taken_over(tx, B, NOW - 24 * HOUR) == 4, "one that is to begin later counts when it is told"


def test_a_decision_made_before_a_change_is_seen_to_be_old(tx: Transaction) -> None:
    versions = [consents.patient_version(tx, PATIENT)]
    for act in (lambda: enrol(tx, A, LONG_AGO), lambda: enrolments.end(tx, PATIENT, A, ONE, NOW)):
        act()
        versions.append(consents.patient_version(tx, PATIENT))
        act() if len(versions) == 2 else None  # a repeat changes nothing
    assert versions == [0, 1, 2]
