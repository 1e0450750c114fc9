"""Do all workers see one network, and can nothing be used twice? On SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.rules.exchange import PatientKey, Regime
from gateway.rules.identifiers import ApplicationId, Ura, UziNumber
from gateway.rules.network import Network, Organisation, RegimeSwitch, System
from gateway.stores import once, register, schema
from gateway.stores.ledger import Ledger, LedgerRefused, Transaction, open_ledger

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
HOSPITAL = Organisation(Ura("00000501"), "V4", "Ziekenhuis Één", frozenset({"SEH", "ICU"}), "06010501")
SYSTEM = System(ApplicationId("0400001"), Ura("00000501"), UziNumber("900000001"), "https://127.0.0.1:9443/fhir")
CRISIS = RegimeSwitch(Regime.CRISIS_OPT_IN, True, NOON, "operator", "drill", NOON + timedelta(days=1))
STOP = RegimeSwitch(Regime.CRISIS_OPT_IN, False, NOON - timedelta(days=1), "operator", "stop", None)


def test_what_is_put_is_loaded_again(ledger: Ledger) -> None:
    ledger.commit_now(lambda tx: register.put_organisation(tx, HOSPITAL))
    ledger.commit_now(lambda tx: register.put_system(tx, SYSTEM))
    ledger.commit_now(lambda tx: register.revoke(tx, "00ab", NOON, "operator", "lost"))
    ledger.commit_now(lambda tx: register.switch(tx, CRISIS))
    ledger.commit_now(lambda tx: register.switch(tx, STOP))
    ledger.commit_now(lambda tx: register.set_clock(tx, timedelta(days=-2400, microseconds=7)))
    assert ledger.read_now(register.load) == Network(
        version=7,
        organisations={HOSPITAL.ura: HOSPITAL},
        systems={SYSTEM.application: SYSTEM},
        revoked=frozenset({"AB"}),
        switches=(CRISIS, STOP),
        clock_offset=timedelta(days=-2400, microseconds=7),
    )


def test_an_empty_network_loads(ledger: Ledger) -> None:
    assert ledger.read_now(register.load) == Network(1, {}, {}, frozenset(), (), timedelta())
    assert ledger.read_now(register.version) == 1


def test_a_clock_of_its_own_speed_is_kept_to_the_millionth(ledger: Ledger) -> None:
    def turn(speed: float) -> Network:
        ledger.commit_now(lambda tx: register.set_clock(tx, timedelta(days=-5), anchor=NOON, speed=speed))
        return ledger.read_now(register.load)

    assert [turn(speed).clock_speed for speed in (0, 0.25, 60, 1.000001)] == [0, 0.25, 60, 1.000001]
    assert (turn(60).clock_anchor, turn(60).clock_offset) == (NOON, timedelta(days=-5))
    assert turn(60).domain(NOON + timedelta(minutes=1)) == NOON - timedelta(days=5) + timedelta(hours=1)
    assert {turn(0).domain(NOON + timedelta(hours=far)) for far in (0, 1, 9)} == {NOON - timedelta(days=5)}


def test_a_ledger_from_before_the_clock_had_a_speed_keeps_its_offset(ledger: Ledger, ledger_url: str) -> None:
    """Back to how version 7 left it, by hand, and opened by today's program."""
    ledger.commit_now(lambda tx: register.set_clock(tx, timedelta(days=-900)))
    before = ledger.read_now(register.load)

    def back(tx: Transaction) -> None:
        for column in ("clock_anchor", "clock_speed"):
            tx.run(f"ALTER TABLE network_state DROP COLUMN {column}")
        tx.run("UPDATE schema_version SET version = 7")

    ledger.commit_now(back)
    upgraded = open_ledger(ledger_url)
    try:
        assert upgraded.read_now(register.load) == before
        assert upgraded.read_now(schema.check) == len(schema.STEPS) >= 8
    finally:
        upgraded.close()


def test_a_participant_is_replaced_by_its_number(ledger: Ledger) -> None:
    renamed = Organisation(HOSPITAL.ura, "V5", "Anders")
    moved = System(SYSTEM.application, HOSPITAL.ura, UziNumber("900000002"), None)
    for organisation in (HOSPITAL, renamed):
        ledger.commit_now(lambda tx, one=organisation: register.put_organisation(tx, one))
    for system in (SYSTEM, moved):
        ledger.commit_now(lambda tx, one=system: register.put_system(tx, one))
    network = ledger.read_now(register.load)
    assert network.organisations == {HOSPITAL.ura: renamed}
    assert network.systems == {SYSTEM.application: moved}


def test_a_system_needs_its_organisation(ledger: Ledger) -> None:
    with pytest.raises(LedgerRefused):
        ledger.commit_now(lambda tx: register.put_system(tx, SYSTEM))


def test_a_second_revocation_changes_nothing(ledger: Ledger) -> None:
    first = ledger.commit_now(lambda tx: register.revoke(tx, "1f", NOON, "operator", "lost"))
    again = ledger.commit_now(lambda tx: register.revoke(tx, "001F", NOON, "someone", "again"))
    assert (first, again) == (2, 2)
    assert ledger.read_now(lambda tx: tx.rows("SELECT serial, who FROM revocation")) == [("1F", "operator")]


def test_a_serial_that_is_no_number_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        ledger.commit_now(lambda tx: register.revoke(tx, "no serial", NOON, "operator", "lost"))


def test_a_naive_time_is_refused(ledger: Ledger) -> None:
    with pytest.raises(TypeError):
        ledger.commit_now(lambda tx: register.revoke(tx, "1", datetime(2026, 1, 1), "operator", "lost"))  # noqa: DTZ001


def test_the_index_generation_is_kept_beside_the_network_version(ledger: Ledger) -> None:
    assert ledger.read_now(register.generation) is None
    ledger.commit_now(lambda tx: register.set_generation(tx, "first"))
    assert ledger.read_now(register.generation) == "first"
    assert ledger.read_now(register.version) == 1


# --- once ------------------------------------------------------------------------------------------------------------

PATIENT, OTHER = PatientKey(b"p" * 12), PatientKey(b"q" * 12)
HERE = (PATIENT, Ura("00000501"), "contact 1")


@pytest.mark.parametrize(
    ("where", "allowed"),
    [
        pytest.param(HERE, True, id="the same three again"),
        pytest.param((OTHER, *HERE[1:]), False, id="another patient"),
        pytest.param((PATIENT, Ura("00000502"), "contact 1"), False, id="another organisation"),
        pytest.param((PATIENT, Ura("00000501"), "contact 2"), False, id="another contact"),
    ],
)
def test_an_attestation_is_bound_at_its_first_use(
    ledger: Ledger, where: tuple[PatientKey, Ura, str], allowed: bool
) -> None:
    assert not ledger.read_now(lambda tx: once.bound_elsewhere(tx, "a1", *where))
    assert ledger.commit_now(lambda tx: once.bind(tx, "a1", *HERE, NOON))
    assert ledger.read_now(lambda tx: once.bound_elsewhere(tx, "a1", *where)) is not allowed
    assert ledger.commit_now(lambda tx: once.bind(tx, "a1", *where, NOON)) is allowed
    assert ledger.commit_now(lambda tx: once.bind(tx, "a2", *where, NOON))


def test_a_token_id_is_good_once_per_issuer_until_purged(ledger: Ledger) -> None:
    late = NOON + timedelta(minutes=5)
    assert ledger.commit_now(lambda tx: once.use_once(tx, "400001", "j1", NOON))
    assert not ledger.commit_now(lambda tx: once.use_once(tx, "400001", "j1", late))
    assert ledger.commit_now(lambda tx: once.use_once(tx, "400002", "j1", late))
    assert ledger.commit_now(lambda tx: once.purge(tx, NOON)) == 0
    assert ledger.commit_now(lambda tx: once.purge(tx, NOON + timedelta(microseconds=1))) == 1
    assert not ledger.commit_now(lambda tx: once.use_once(tx, "400002", "j1", late))
    assert ledger.commit_now(lambda tx: once.use_once(tx, "400001", "j1", late))
