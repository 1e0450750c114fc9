"""Is every statement kept as it was made, once, in order, under a version that shows any change? On both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.rules.choice import Method, Party, Say, Scope, Statement
from gateway.rules.exchange import Category, Group, PatientKey
from gateway.rules.identifiers import Ura
from gateway.stores import consents
from gateway.stores.consents import ForeignStatement, Recorded
from gateway.stores.ledger import Ledger, Transaction

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PATIENT, OTHER = PatientKey(b"p" * 12), PatientKey(b"q" * 12)
GP, PHARMACY = Ura("00000101"), Ura("00000201")
YES = Statement("s1", Scope(custodian=GP), Say.YES, NOON, NOON)

instants = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
words = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=("Cs",)), max_size=20)
scopes = st.builds(
    Scope,
    custodian=st.none() | st.just(GP),
    categories=st.none() | st.frozensets(st.sampled_from(Category)),
    requesters=st.none() | st.frozensets(st.sampled_from([*map(str, Group), "00000501"])),
    emergency_only=st.booleans(),
)
statements = st.builds(
    Statement,
    id=st.uuids().map(str),
    scope=scopes,
    say=st.sampled_from(Say),
    effective=instants,
    received=instants,
    by=st.frozensets(st.sampled_from(Party), min_size=1),
    method=st.sampled_from(Method),
    recorder=words,
    information=words,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(statement=statements)
def test_any_statement_comes_back_as_it_was_made(ledger: Ledger, statement: Statement) -> None:
    def look_and_undo(tx: Transaction) -> None:
        consents.append(tx, PATIENT, "r1", statement)
        seen.append((consents.of(tx, PATIENT), consents.resource(tx, "r1")))
        raise LookupError

    seen: list[object] = []
    with pytest.raises(LookupError):
        ledger.commit_now(look_and_undo)
    assert seen[-1] == ((statement,), (PATIENT, statement, 1))


def test_a_resource_grows_by_versions_and_the_patient_with_it(ledger: Ledger) -> None:
    taken_back = replace(YES, id="s2", say=Say.WITHDRAWN, effective=NOON - timedelta(days=1))
    assert ledger.read_now(lambda tx: consents.patient_version(tx, PATIENT)) == 0
    assert ledger.commit_now(lambda tx: consents.append(tx, PATIENT, "r1", YES)) == 1
    assert ledger.commit_now(lambda tx: consents.append(tx, PATIENT, "r1", taken_back)) == 2
    assert ledger.read_now(lambda tx: consents.of(tx, PATIENT)) == (YES, taken_back)
    assert ledger.read_now(lambda tx: consents.resource(tx, "r1")) == (PATIENT, taken_back, 2)
    assert ledger.read_now(lambda tx: consents.patient_version(tx, PATIENT)) == 2
    assert ledger.commit_now(lambda tx: consents.bump(tx, PATIENT)) == 3
    assert ledger.read_now(lambda tx: consents.patient_version(tx, OTHER)) == 0


def test_the_same_statement_again_changes_nothing(ledger: Ledger) -> None:
    ledger.commit_now(lambda tx: consents.append(tx, PATIENT, "r1", YES))
    ledger.commit_now(lambda tx: consents.append(tx, PATIENT, "r1", replace(YES, id="s2", say=Say.NO)))
    assert ledger.commit_now(lambda tx: consents.append(tx, PATIENT, "r1", YES)) == 1
    assert [one.say for one in ledger.read_now(lambda tx: consents.of(tx, PATIENT))] == [Say.YES, Say.NO]
    assert ledger.read_now(lambda tx: consents.patient_version(tx, PATIENT)) == 2


@pytest.mark.parametrize(
    ("patient", "resource", "statement_id"),
    [
        pytest.param(OTHER, "r1", "s2", id="a resource of another patient"),
        pytest.param(OTHER, "r2", "s1", id="a statement id of another patient"),
        pytest.param(PATIENT, "r2", "s1", id="a statement id of another resource"),
    ],
)
def test_foreign_ids_are_refused(ledger: Ledger, patient: PatientKey, resource: str, statement_id: str) -> None:
    ledger.commit_now(lambda tx: consents.append(tx, PATIENT, "r1", YES))
    with pytest.raises(ForeignStatement):
        ledger.commit_now(lambda tx: consents.append(tx, patient, resource, replace(YES, id=statement_id)))
    assert ledger.read_now(lambda tx: consents.of(tx, OTHER)) == ()
    assert ledger.read_now(lambda tx: consents.patient_version(tx, PATIENT)) == 1


def test_a_custodian_finds_the_newest_of_each_resource_about_itself(ledger: Ledger) -> None:
    told = [
        (PATIENT, "r1", YES),
        (PATIENT, "r2", replace(YES, id="s2", scope=Scope(custodian=PHARMACY))),
        (PATIENT, "r3", replace(YES, id="s3", scope=Scope())),
        (OTHER, "r4", replace(YES, id="s4")),
        (PATIENT, "r5", replace(YES, id="s5")),
        (PATIENT, "r1", replace(YES, id="s6", say=Say.NO)),
    ]
    for patient, resource, statement in told:
        ledger.commit_now(lambda tx, all=(patient, resource, statement): consents.append(tx, *all))
    found = ledger.read_now(lambda tx: consents.of_custodian(tx, PATIENT, GP))
    assert found == (Recorded("r5", told[4][2], 1), Recorded("r1", told[5][2], 2))


def test_a_resource_never_made_is_none(ledger: Ledger) -> None:
    assert ledger.read_now(lambda tx: consents.resource(tx, "r1")) is None


def test_the_birth_date_is_the_last_one_told(ledger: Ledger) -> None:
    ledger.commit_now(lambda tx: consents.append(tx, PATIENT, "r1", YES))
    assert ledger.read_now(lambda tx: consents.birth_date(tx, PATIENT)) is None
    for patient, born in ((PATIENT, date(2012, 2, 29)), (PATIENT, date(2012, 3, 1)), (OTHER, date(1950, 1, 1))):
        ledger.commit_now(lambda tx, all=(patient, born): consents.set_birth_date(tx, *all))
    assert ledger.read_now(lambda tx: consents.birth_date(tx, PATIENT)) == date(2012, 3, 1)
    assert ledger.read_now(lambda tx: consents.patient_version(tx, PATIENT)) == 1
    assert ledger.read_now(lambda tx: consents.birth_date(tx, OTHER)) == date(1950, 1, 1)


def test_times_are_kept_as_instants_whatever_their_zone(ledger: Ledger) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    ledger.commit_now(lambda tx: consents.append(tx, PATIENT, "r1", replace(YES, effective=there)))
    (kept,) = ledger.read_now(lambda tx: consents.of(tx, PATIENT))
    assert kept.effective == NOON
    assert kept.effective.utcoffset() == timedelta(0)
