"""Who is a patient's GP, and who was? The drawer of enrolments: never removed, only ended, so that history can be told.

Keeps what custodians told and says what it adds up to. Knows nothing of who may enrol, of messages or of notices.
Source: domain.md section 4 row IDX-2, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from gateway.rules.exchange import PatientKey
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.stores import consents
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Row, Transaction

_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A patient is on the list of this practice, in this system, since this day."""

    custodian: Ura
    system: ApplicationId
    since: date


@dataclass(frozen=True, slots=True)
class Recorded:
    """An enrolment with its history: told at `at`, ended (or replaced by another date) at `ended`, in domain time."""

    enrolment: Enrolment
    at: datetime
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """The GP of record before and after an enrolment was written or ended; for one that begins later, on that day."""

    former: Enrolment | None
    current: Enrolment | None

    @property
    def moved(self) -> bool:
        """Whether another practice, or none, is the GP of record now."""
        return _practice(self.former) != _practice(self.current)


def enrol(
    tx: Transaction, patient: PatientKey, custodian: Ura, system: ApplicationId, since: date, at: datetime
) -> Change | None:
    """Write an enrolment, told at `at` (domain time). None: exactly this one stands already, nothing is written.

    Another `since` from the same practice and system replaces what it told before. Raises the patient's version.
    """
    told = Enrolment(custodian, system, since)
    standing = _standing(tx, patient)
    if told in standing:
        return None
    day = max(_dutch_day(at), since)
    rest = [one for one in standing if (one.custodian, one.system) != (custodian, system)]
    former, current = _of_record(standing, day), _of_record([*rest, told], day)
    _end_rows(tx, patient, custodian, system, at)
    takes_over = former is not None and current is told and former.custodian != custodian
    _insert(tx, patient, told, at, former.custodian.digits if former and takes_over else None)
    consents.bump(tx, patient)
    return Change(former, current)


def end(tx: Transaction, patient: PatientKey, custodian: Ura, system: ApplicationId, at: datetime) -> Change | None:
    """End this practice's enrolment of the patient in this system at `at` (domain time); the next newest that stands
    counts again. None: there is none to end. Raises the patient's version."""
    standing = _standing(tx, patient)
    rest = [one for one in standing if (one.custodian, one.system) != (custodian, system)]
    if rest == standing:
        return None
    day = max(_dutch_day(at), *(one.since for one in standing if one not in rest))
    _end_rows(tx, patient, custodian, system, at)
    consents.bump(tx, patient)
    return Change(_of_record(standing, day), _of_record(rest, day))


def gp_of_record(tx: Transaction, patient: PatientKey, at: datetime) -> Enrolment | None:
    """The GP of record at `at` (domain time): of the enrolments that stand and have begun by then (Dutch calendar day)
    the one that began last, and of several the one told last."""
    return _of_record(_standing(tx, patient), _dutch_day(at))


def history(tx: Transaction, patient: PatientKey) -> list[Recorded]:
    """Every enrolment ever told of this patient, in the order they were told."""
    rows = tx.rows(
        "SELECT custodian, system, since, at, ended FROM enrolment WHERE patient = ? ORDER BY seq",
        patient,
    )
    return [Recorded(_enrolment(row), moment(row[3]), None if row[4] is None else moment(row[4])) for row in rows]


def taken_over(tx: Transaction, custodian: Ura, since_at: datetime) -> int:
    """How many patients this practice has taken over from another GP of record since `since_at` (domain time)."""
    row = tx.row(
        "SELECT count(DISTINCT patient) FROM enrolment WHERE custodian = ? AND at >= ? AND former IS NOT NULL",
        custodian.digits,
        instant(since_at),
    )
    return int(row[0]) if row else 0


def _standing(tx: Transaction, patient: PatientKey) -> list[Enrolment]:
    """The enrolments not ended, in the order they were told."""
    rows = tx.rows(
        "SELECT custodian, system, since FROM enrolment WHERE patient = ? AND ended IS NULL ORDER BY seq", patient
    )
    return [_enrolment(row) for row in rows]


def _of_record(standing: list[Enrolment], day: date) -> Enrolment | None:
    begun = [(one.since, told, one) for told, one in enumerate(standing) if one.since <= day]
    return max(begun, key=lambda one: one[:2])[2] if begun else None


def _insert(tx: Transaction, patient: PatientKey, told: Enrolment, at: datetime, former: str | None) -> None:
    tx.run(
        "INSERT INTO enrolment VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM enrolment), ?, ?, ?, ?, ?, NULL, ?)",
        patient,
        told.custodian.digits,
        told.system.digits,
        told.since.isoformat(),
        instant(at),
        former,
    )


def _end_rows(tx: Transaction, patient: PatientKey, custodian: Ura, system: ApplicationId, at: datetime) -> None:
    tx.run(
        "UPDATE enrolment SET ended = ? WHERE patient = ? AND custodian = ? AND system = ? AND ended IS NULL",
        instant(at),
        patient,
        custodian.digits,
        system.digits,
    )


def _enrolment(row: Row) -> Enrolment:
    return Enrolment(Ura(row[0]), ApplicationId(row[1]), date.fromisoformat(row[2]))


def _practice(enrolment: Enrolment | None) -> Ura | None:
    return None if enrolment is None else enrolment.custodian


def _dutch_day(at: datetime) -> date:
    return at.astimezone(_DUTCH_TIME).date()
