"""What stands in the ledger? The tables, step by step, in the one SQL that SQLite and PostgreSQL share.

Knows the words of two databases (blob types, triggers) and how values are kept: instants as whole microseconds since
1970 UTC, numbers of organisations and systems as integers. Knows nothing of connections, locks or who reads.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.rules.identifiers import ApplicationId, Ura

if TYPE_CHECKING:
    from gateway.stores.transaction import Transaction

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KNOWN = 16_384


class SchemaTooNew(RuntimeError):
    """The ledger was written by a newer program: this one would not understand it."""


class Dialect(Enum):
    """The words in which the two databases differ: blob type, integer key type, clustering by the primary key."""

    SQLITE = ("BLOB", "INTEGER", "WITHOUT ROWID")
    POSTGRESQL = ("BYTEA", "BIGINT", "")


def instant(at: datetime) -> int:
    """Whole microseconds since 1970 UTC. Raises TypeError for a naive datetime."""
    return (at - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The aware UTC datetime that `instant` turned into this number."""
    return _EPOCH + timedelta(microseconds=microseconds)


def ura_number(ura: Ura) -> int:
    """Eight digits as an integer; the padding comes back by itself in `ura_of`."""
    return int(ura.digits)


@lru_cache(maxsize=_KNOWN)
def ura_of(number: int) -> Ura:
    return Ura(f"{number:08}")


def system_number(system: ApplicationId) -> int:
    """The digits behind a leading 1, so that `007` and `7` stay two systems; below 2**55."""
    return int("1" + system.digits)


@lru_cache(maxsize=_KNOWN)
def system_of(number: int) -> ApplicationId:
    return ApplicationId(str(number)[1:])


_NETWORK = (
    "CREATE TABLE network_state (id {key} PRIMARY KEY, version BIGINT NOT NULL, clock_offset BIGINT NOT NULL,"
    " generation TEXT)",
    "INSERT INTO network_state VALUES (1, 1, 0, NULL)",
    "CREATE TABLE organisation (ura TEXT PRIMARY KEY, type TEXT NOT NULL, name TEXT NOT NULL,"
    " departments TEXT NOT NULL, agb TEXT NOT NULL)",
    "CREATE TABLE system (application TEXT PRIMARY KEY, ura TEXT NOT NULL REFERENCES organisation (ura),"
    " uzi TEXT NOT NULL, endpoint TEXT)",
    "CREATE TABLE revocation (serial TEXT PRIMARY KEY, at BIGINT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL)",
    "CREATE TABLE regime_switch (seq {key} PRIMARY KEY, regime TEXT NOT NULL, is_on BIGINT NOT NULL,"
    " at BIGINT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL, until BIGINT)",
)
_CONSENT = (
    "CREATE TABLE patient (key {blob} PRIMARY KEY, consent_version BIGINT NOT NULL, birth_date TEXT)",
    "CREATE TABLE statement (seq {key} PRIMARY KEY, id TEXT NOT NULL UNIQUE, patient {blob} NOT NULL,"
    " resource TEXT NOT NULL, version BIGINT NOT NULL, custodian TEXT, categories TEXT, requesters TEXT,"
    " emergency_only BIGINT NOT NULL, say TEXT NOT NULL, effective BIGINT NOT NULL, received BIGINT NOT NULL,"
    " stated_by TEXT NOT NULL, method TEXT NOT NULL, recorder TEXT NOT NULL, information TEXT NOT NULL,"
    " UNIQUE (resource, version))",
    "CREATE INDEX statement_patient ON statement (patient, seq)",
)
_JOURNAL = (
    "CREATE TABLE journal (seq {key} PRIMARY KEY, wall BIGINT NOT NULL, at BIGINT NOT NULL, event TEXT NOT NULL,"
    " initial TEXT, request TEXT, patient {blob}, custodian TEXT, requester TEXT, rule TEXT, reason TEXT,"
    " line TEXT NOT NULL)",
    "CREATE INDEX journal_initial ON journal (initial, seq) WHERE initial IS NOT NULL",
    "CREATE INDEX journal_patient ON journal (patient, seq) WHERE patient IS NOT NULL",
    "CREATE INDEX journal_custodian ON journal (custodian, patient, seq) WHERE custodian IS NOT NULL",
)
_ONCE = (
    "CREATE TABLE attestation (id TEXT PRIMARY KEY, patient {blob} NOT NULL, ura TEXT NOT NULL, contact TEXT NOT NULL,"
    " at BIGINT NOT NULL)",
    "CREATE TABLE used_token (issuer TEXT NOT NULL, jti TEXT NOT NULL, expires BIGINT NOT NULL,"
    " PRIMARY KEY (issuer, jti)) {packed}",
    "CREATE INDEX used_token_expires ON used_token (expires)",
)
_INDEX = (
    "CREATE TABLE entry (patient {blob} NOT NULL, system BIGINT NOT NULL, category BIGINT NOT NULL,"
    " custodian BIGINT NOT NULL, latent BIGINT NOT NULL, date TEXT NOT NULL,"
    " PRIMARY KEY (patient, system, category, custodian)) {packed}",
    "CREATE INDEX entry_custodian ON entry (custodian, patient, system, category)",
)
_PROBE = ("CREATE TABLE probe (id {key} PRIMARY KEY, filler {blob} NOT NULL)",)

_UNTOUCHABLE = {
    Dialect.SQLITE: (
        "CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal"
        " BEGIN SELECT RAISE(ABORT, 'journal lines are never changed'); END",
        "CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal"
        " BEGIN SELECT RAISE(ABORT, 'journal lines are never removed'); END",
        # INSERT OR REPLACE deletes without firing a delete trigger: the sequence number must be new
        "CREATE TRIGGER journal_no_replace BEFORE INSERT ON journal"
        " WHEN NEW.seq IS NULL OR NEW.seq <= (SELECT max(seq) FROM journal)"
        " BEGIN SELECT RAISE(ABORT, 'journal lines are only appended'); END",
    ),
    Dialect.POSTGRESQL: (
        "CREATE FUNCTION journal_untouchable() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = 'journal lines are never changed'; END $$",
        "CREATE TRIGGER journal_no_change BEFORE UPDATE OR DELETE ON journal"
        " FOR EACH ROW EXECUTE FUNCTION journal_untouchable()",
        "CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal"
        " FOR EACH STATEMENT EXECUTE FUNCTION journal_untouchable()",
    ),
}

STEPS: tuple[tuple[str, ...], ...] = ((*_NETWORK, *_CONSENT, *_JOURNAL, *_ONCE, *_INDEX, *_PROBE),)
"""Step n brings a ledger from version n-1 to n. A step that was released is never edited; a change is a new step."""

_TRIGGERS_AT_STEP = 1


def prepare(tx: Transaction, dialect: Dialect) -> None:
    """Bring the ledger to the newest version, inside the serial transaction; nothing to do is the usual case.

    Raises SchemaTooNew for a ledger of a newer program.
    """
    tx.run("CREATE TABLE IF NOT EXISTS schema_version (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)")
    have = check(tx)
    for number in range(have + 1, len(STEPS) + 1):
        _take_step(tx, dialect, number)
    if have < len(STEPS):
        tx.run(
            "INSERT INTO schema_version VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version",
            len(STEPS),
        )


def check(tx: Transaction) -> int:
    """The version of this ledger; 0 when it is empty. Raises SchemaTooNew."""
    row = tx.row("SELECT version FROM schema_version WHERE id = 1")
    have = int(row[0]) if row else 0
    if have > len(STEPS):
        raise SchemaTooNew(
            f"the ledger has schema version {have}, this program knows {len(STEPS)}: start the newer program"
        )
    return have


def _take_step(tx: Transaction, dialect: Dialect, number: int) -> None:
    blob, key, packed = dialect.value
    for statement in STEPS[number - 1]:
        tx.run(statement.format(blob=blob, key=key, packed=packed))
    if number == _TRIGGERS_AT_STEP:
        for statement in _UNTOUCHABLE[dialect]:
            tx.run(statement)
