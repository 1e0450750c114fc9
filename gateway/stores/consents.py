"""What did the patient say, ever? The drawer of consent statements: appended, never changed, one version per patient.

The version is what a decision notes and the release compares: a statement acknowledged in between shows. Knows nothing
of what the statements add up to (`rules/consent.py`) nor of who may state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from gateway.rules.choice import Method, Party, Say, Scope, Statement
from gateway.rules.exchange import Category, PatientKey
from gateway.rules.identifiers import Ura
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Transaction

_COLUMNS = (
    "id, custodian, categories, requesters, emergency_only, say, effective, received, stated_by, method, recorder,"
    " information"
)


class ForeignStatement(ValueError):
    """This resource or statement id belongs to another patient or resource."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The newest statement of one Consent resource; `version` counts 1, 2, ... (the ETag)."""

    resource: str
    statement: Statement
    version: int


def append(tx: Transaction, patient: PatientKey, resource_id: str, statement: Statement) -> int:
    """Keep a statement as the next version of its resource, and raise the patient's version; returns the former.

    A statement id seen before changes nothing and returns the version it got then. Raises ForeignStatement.
    """
    again = _version_of(tx, patient, resource_id, statement.id)
    if again is not None:
        return again
    number = _next_version(tx, patient, resource_id)
    tx.run(
        "INSERT INTO statement VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM statement),"
        " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        statement.id,
        patient,
        resource_id,
        number,
        *_scope_values(statement.scope),
        statement.say.value,
        instant(statement.effective),
        instant(statement.received),
        _listed(statement.by),
        statement.method.value,
        statement.recorder,
        statement.information,
    )
    bump(tx, patient)
    return number


def of(tx: Transaction, patient: PatientKey) -> tuple[Statement, ...]:
    """Every statement of this patient, in the order they were taken in."""
    rows = tx.rows(f"SELECT {_COLUMNS} FROM statement WHERE patient = ? ORDER BY seq", patient)  # noqa: S608
    return tuple(_statement(row) for row in rows)


_THEIRS = ", ".join(f"s.{name.strip()}" for name in _COLUMNS.split(","))
_KNOWN = (
    f"SELECT p.consent_version, {_THEIRS} FROM (SELECT 1) AS one"  # noqa: S608
    " LEFT JOIN patient AS p ON p.key = ? LEFT JOIN statement AS s ON s.patient = p.key ORDER BY s.seq"
)


def known(tx: Transaction, patient: PatientKey) -> tuple[int, tuple[Statement, ...]]:
    """The patient's version and every statement, in one statement of SQL: the same for every patient."""
    rows = tx.rows(_KNOWN, patient)
    return int(rows[0][0] or 0), tuple(_statement(row[1:]) for row in rows if row[1] is not None)


def patient_version(tx: Transaction, patient: PatientKey) -> int:
    """How often this patient's consent changed; 0 for a patient never heard of."""
    row = tx.row("SELECT consent_version FROM patient WHERE key = ?", patient)
    return int(row[0]) if row else 0


def bump(tx: Transaction, patient: PatientKey) -> int:
    """Raise the patient's version, so that a decision made before is seen to be old; returns the new one."""
    row = tx.row(
        "INSERT INTO patient VALUES (?, 1, NULL) ON CONFLICT (key)"
        " DO UPDATE SET consent_version = patient.consent_version + 1 RETURNING consent_version",
        patient,
    )
    assert row is not None, "an upsert returns its row"
    return int(row[0])


def resource(tx: Transaction, resource_id: str) -> tuple[PatientKey, Statement, int] | None:
    """Whose a Consent resource is, its newest statement and version; None when there is no such resource."""
    row = tx.row(
        f"SELECT patient, version, {_COLUMNS} FROM statement WHERE resource = ?"  # noqa: S608
        " ORDER BY version DESC LIMIT 1",
        resource_id,
    )
    return None if row is None else (PatientKey(row[0]), _statement(row[2:]), int(row[1]))


def of_custodian(tx: Transaction, patient: PatientKey, custodian: Ura) -> tuple[Recorded, ...]:
    """The newest statement of each of this patient's resources that is about this custodian alone, oldest first."""
    rows = tx.rows(
        f"SELECT resource, version, {_COLUMNS} FROM statement AS s"  # noqa: S608
        " WHERE patient = ? AND custodian = ?"
        " AND version = (SELECT max(version) FROM statement AS newer WHERE newer.resource = s.resource) ORDER BY seq",
        patient,
        custodian.digits,
    )
    return tuple(Recorded(resource=row[0], version=int(row[1]), statement=_statement(row[2:])) for row in rows)


def birth_date(tx: Transaction, patient: PatientKey) -> date | None:
    """What the exchange was told of the patient's age, or None: then an adult (interface.md section 7)."""
    row = tx.row("SELECT birth_date FROM patient WHERE key = ?", patient)
    return date.fromisoformat(row[0]) if row and row[0] else None


def set_birth_date(tx: Transaction, patient: PatientKey, born: date) -> None:
    """Keep the birth date last told."""
    tx.run(
        "INSERT INTO patient VALUES (?, 0, ?) ON CONFLICT (key) DO UPDATE SET birth_date = excluded.birth_date",
        patient,
        born.isoformat(),
    )


def _version_of(tx: Transaction, patient: PatientKey, resource_id: str, statement_id: str) -> int | None:
    row = tx.row("SELECT patient, resource, version FROM statement WHERE id = ?", statement_id)
    if row is None:
        return None
    if (row[0], row[1]) != (patient, resource_id):
        raise ForeignStatement("the statement id is in use elsewhere")
    return int(row[2])


def _next_version(tx: Transaction, patient: PatientKey, resource_id: str) -> int:
    row = tx.row("SELECT patient, version FROM statement WHERE resource = ? ORDER BY version DESC LIMIT 1", resource_id)
    if row is None:
        return 1
    if row[0] != patient:
        raise ForeignStatement("the resource belongs to another patient")
    return int(row[1]) + 1


def _listed(values: Iterable[str]) -> str:
    return json.dumps(sorted(values))


def _scope_values(scope: Scope) -> tuple[str | None, str | None, str | None, int]:
    return (
        None if scope.custodian is None else scope.custodian.digits,
        None if scope.categories is None else _listed(scope.categories),
        None if scope.requesters is None else _listed(scope.requesters),
        int(scope.emergency_only),
    )


def _scope(custodian: str | None, categories: str | None, requesters: str | None, emergency_only: int) -> Scope:
    return Scope(
        custodian=None if custodian is None else Ura(custodian),
        categories=None if categories is None else frozenset(Category(one) for one in json.loads(categories)),
        requesters=None if requesters is None else frozenset(json.loads(requesters)),
        emergency_only=bool(emergency_only),
    )


@lru_cache(maxsize=4096)
def _statement(row: tuple[Any, ...]) -> Statement:
    """A row as a statement. Rows never change, so reading one twice gives the same; which rows there are is asked anew
    every time."""
    own, custodian, categories, requesters, emergency_only, say, effective, received, by, method, recorder, info = row
    return Statement(
        id=own,
        scope=_scope(custodian, categories, requesters, emergency_only),
        say=Say(say),
        effective=moment(effective),
        received=moment(received),
        by=frozenset(Party(one) for one in json.loads(by)),
        method=Method(method),
        recorder=recorder,
        information=info,
    )
