"""Who is on the network, under which regimes, at what time? The drawer of what all workers must agree on.

Every change raises the network version, so a worker knows with one number whether its `Network` is still the truth.
Knows no rule: whether a regime is active at a moment, or a certificate good, is judged elsewhere.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from gateway.rules.exchange import PatientKey, Regime
from gateway.rules.identifiers import ApplicationId, Ura, UziNumber
from gateway.rules.network import Network, Organisation, RegimeSwitch, System
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Transaction

_MICROSECOND, _MILLION, _EPOCH = timedelta(microseconds=1), 1_000_000, moment(0)


def put_organisation(tx: Transaction, organisation: Organisation) -> int:
    """Add or replace a participant; returns the new network version."""
    tx.run(
        "INSERT INTO organisation VALUES (?, ?, ?, ?, ?) ON CONFLICT (ura) DO UPDATE SET type = excluded.type,"
        " name = excluded.name, departments = excluded.departments, agb = excluded.agb",
        organisation.ura.digits,
        organisation.organisation_type,
        organisation.name,
        json.dumps(sorted(organisation.departments)),
        organisation.agb,
    )
    return _bump(tx)


def put_system(tx: Transaction, system: System) -> int:
    """Add or replace a system; returns the new network version. Raises LedgerRefused for an unknown organisation."""
    tx.run(
        "INSERT INTO system VALUES (?, ?, ?, ?) ON CONFLICT (application) DO UPDATE SET ura = excluded.ura,"
        " uzi = excluded.uzi, endpoint = excluded.endpoint",
        system.application.digits,
        system.ura.digits,
        system.uzi.digits,
        system.endpoint,
    )
    return _bump(tx)


def revoke(tx: Transaction, serial_hex: str, at: datetime, by: str, reason: str) -> int:
    """Revoke a certificate by serial number (hex, any case, leading zeros allowed); the first revocation stands.

    Returns the network version. Raises ValueError when the serial is not hexadecimal.
    """
    serial = f"{int(serial_hex, 16):X}"
    added = tx.run(
        "INSERT INTO revocation VALUES (?, ?, ?, ?) ON CONFLICT (serial) DO NOTHING", serial, instant(at), by, reason
    )
    return _bump(tx) if added else version(tx)


def switch(tx: Transaction, turned: RegimeSwitch) -> int:
    """Record that a regime was switched; history is kept in order. Returns the new network version."""
    tx.run(
        "INSERT INTO regime_switch VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM regime_switch), ?, ?, ?, ?, ?, ?)",
        turned.regime.value,
        int(turned.on),
        instant(turned.at),
        turned.by,
        turned.reason,
        None if turned.until is None else instant(turned.until),
    )
    return _bump(tx)


def take_back(tx: Transaction, by: str) -> int:
    """Forget every switch that `by` recorded: only where domain time comes back to the same moment again and again, so
    that yesterday's switches would lie ahead of today's. Returns the network version."""
    return _bump(tx) if tx.run("DELETE FROM regime_switch WHERE who = ?", by) else version(tx)


def set_clock(tx: Transaction, offset: timedelta, *, anchor: datetime = _EPOCH, speed: float = 1.0) -> int:
    """Set domain time minus wall time, as it is at `anchor` (wall time), and the domain seconds in a second from there
    on, kept to the millionth; returns the new network version."""
    tx.run(
        "UPDATE network_state SET clock_offset = ?, clock_anchor = ?, clock_speed = ?",
        offset // _MICROSECOND,
        instant(anchor),
        round(speed * _MILLION),
    )
    return _bump(tx)


def version(tx: Transaction) -> int:
    """The network version: 1 for an empty network, higher after every change."""
    return _state(tx)[0]


def versions(tx: Transaction, patient: PatientKey) -> tuple[int, int]:
    """The network version and this patient's, in one look: what a decision was based on must still be both."""
    row = tx.row(
        "SELECT version, (SELECT consent_version FROM patient WHERE key = ?) FROM network_state",
        patient,
    )
    assert row is not None, "the schema puts one row in network_state"
    return int(row[0]), int(row[1] or 0)


def load(tx: Transaction) -> Network:
    """The whole network as one frozen value."""
    current, offset, anchor, speed = _state(tx)
    return Network(
        version=current,
        organisations={one.ura: one for one in _organisations(tx)},
        systems={one.application: one for one in _systems(tx)},
        revoked=frozenset(str(row[0]) for row in tx.rows("SELECT serial FROM revocation")),
        switches=_switches(tx),
        clock_offset=timedelta(microseconds=offset),
        clock_anchor=moment(anchor),
        clock_speed=speed / _MILLION,
    )


def generation(tx: Transaction) -> str | None:
    """The mark of the complete reference index, when that lives outside the ledger; None when there never was one."""
    row = tx.row("SELECT generation FROM network_state")
    return None if row is None else row[0]


def set_generation(tx: Transaction, mark: str) -> None:
    """Record which mark a complete reference index carries. No participant cares: the network version stays."""
    tx.run("UPDATE network_state SET generation = ?", mark)


def _bump(tx: Transaction) -> int:
    row = tx.row("UPDATE network_state SET version = version + 1 RETURNING version")
    assert row is not None, "the schema puts one row in network_state"
    return int(row[0])


def _state(tx: Transaction) -> tuple[int, int, int, int]:
    row = tx.row("SELECT version, clock_offset, clock_anchor, clock_speed FROM network_state")
    assert row is not None, "the schema puts one row in network_state"
    current, offset, anchor, speed = (int(value) for value in row)
    return current, offset, anchor, speed


def _organisations(tx: Transaction) -> list[Organisation]:
    rows = tx.rows("SELECT ura, type, name, departments, agb FROM organisation ORDER BY ura")
    return [
        Organisation(Ura(ura), kind, name, frozenset(json.loads(departments)), agb)
        for ura, kind, name, departments, agb in rows
    ]


def _systems(tx: Transaction) -> list[System]:
    rows = tx.rows("SELECT application, ura, uzi, endpoint FROM system ORDER BY application")
    return [System(ApplicationId(own), Ura(ura), UziNumber(uzi), endpoint) for own, ura, uzi, endpoint in rows]


def _switches(tx: Transaction) -> tuple[RegimeSwitch, ...]:
    rows = tx.rows("SELECT regime, is_on, at, who, reason, until FROM regime_switch ORDER BY seq")
    return tuple(
        RegimeSwitch(Regime(regime), bool(on), moment(at), who, reason, None if until is None else moment(until))
        for regime, on, at, who, reason, until in rows
    )
