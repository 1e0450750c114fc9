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

_UNTOUCHABLE: dict[Dialect, tuple[str, ...]] = {
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

# "sender" is empty for the exchange itself; "origin" is who sent and in what situation, as JSON
# "planned" is when "due" was decided; "claimed" and "lease" alone are wall time
_OUTBOX = (
    "CREATE TABLE outbox (seq {key} PRIMARY KEY, id TEXT NOT NULL UNIQUE, event TEXT NOT NULL,"
    " message_id TEXT NOT NULL, sender TEXT NOT NULL, origin TEXT, patient {blob} NOT NULL, recipient TEXT,"
    " recipient_system TEXT, accepted BIGINT NOT NULL, initial TEXT NOT NULL, request TEXT NOT NULL, version TEXT,"
    " digest {blob} NOT NULL, state TEXT NOT NULL, reason TEXT, attempts BIGINT NOT NULL, unmarked BIGINT NOT NULL,"
    " doubtful BIGINT NOT NULL, begun BIGINT, due BIGINT NOT NULL, planned BIGINT NOT NULL, expires BIGINT NOT NULL,"
    " changed BIGINT NOT NULL, lane TEXT, delivered_to TEXT, claimant TEXT, claimed BIGINT, lease BIGINT,"
    " UNIQUE (sender, message_id), CHECK (state <> 'waiting' OR lane IS NOT NULL))",
    # without the waiting ones, so that no planner prefers it for them
    "CREATE INDEX outbox_state ON outbox (state, seq) WHERE state <> 'waiting'",
    "CREATE INDEX outbox_due ON outbox (lane, due, seq) WHERE state = 'waiting'",
    "CREATE INDEX outbox_planned ON outbox (planned) WHERE state = 'waiting'",
    "CREATE INDEX outbox_expires ON outbox (expires, seq) WHERE state IN ('waiting', 'parked')",
    "CREATE INDEX outbox_patient ON outbox (patient) WHERE state IN ('waiting', 'claimed', 'parked')",
    "CREATE TABLE payload (message {key} PRIMARY KEY REFERENCES outbox (seq), key_id TEXT NOT NULL,"
    " sealed {blob} NOT NULL)",
    "CREATE TABLE delivery_stop (recipient TEXT PRIMARY KEY, at BIGINT NOT NULL, who TEXT NOT NULL,"
    " reason TEXT NOT NULL)",
    "CREATE TABLE tally (name TEXT PRIMARY KEY, number BIGINT NOT NULL)",
    "INSERT INTO tally VALUES ('accepted', 0)",
)
# "former" is whom this enrolment replaced as GP of record, empty when nobody
_ENROLMENT = (
    "CREATE TABLE enrolment (seq {key} PRIMARY KEY, patient {blob} NOT NULL, custodian TEXT NOT NULL,"
    " system TEXT NOT NULL, since TEXT NOT NULL, at BIGINT NOT NULL, ended BIGINT, former TEXT)",
    "CREATE INDEX enrolment_patient ON enrolment (patient, seq)",
    "CREATE INDEX enrolment_taken_over ON enrolment (custodian, at) WHERE former IS NOT NULL",
)

# "after" and sizes count journal lines; the notes are signed texts (rules/checkpoint.py), the truth about their row
_SEALED = (
    "CREATE TABLE checkpoint_key (number {key} PRIMARY KEY, note TEXT NOT NULL)",
    "CREATE TABLE checkpoint (size {key} PRIMARY KEY, note TEXT NOT NULL, peaks {blob} NOT NULL,"
    " leaves {blob} NOT NULL)",
    "CREATE TABLE journal_node (level BIGINT NOT NULL, place BIGINT NOT NULL, hash {blob} NOT NULL,"
    " PRIMARY KEY (level, place)) {packed}",
    "CREATE TABLE journal_archive (through {key} PRIMARY KEY, note TEXT NOT NULL)",
)
# what is kept of a cookie is its hash; "sealed" can be opened with the cookie alone; all times here are wall time
_PEOPLE = (
    "CREATE TABLE operator (name TEXT PRIMARY KEY, password TEXT NOT NULL, salt {blob} NOT NULL, roles TEXT NOT NULL,"
    " step BIGINT NOT NULL, added BIGINT NOT NULL, closed BIGINT)",
    "CREATE TABLE sitting (token {blob} PRIMARY KEY, operator TEXT REFERENCES operator (name), sealed {blob},"
    " began BIGINT NOT NULL, seen BIGINT NOT NULL, ends BIGINT NOT NULL,"
    " CHECK ((operator IS NULL) <> (sealed IS NULL)))",
    "CREATE INDEX sitting_ends ON sitting (ends)",
    "CREATE TABLE login_attempt (id {blob} NOT NULL, whom {blob} NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (whom, id))"
    " {packed}",
    "CREATE INDEX login_attempt_at ON login_attempt (at)",
)
_APPENDED = {
    "checkpoint_key": "NEW.number IS NULL OR NEW.number <= (SELECT max(number) FROM checkpoint_key)",
    "checkpoint": "NEW.size IS NULL OR NEW.size <= (SELECT max(size) FROM checkpoint)",
    "journal_node": "EXISTS (SELECT 1 FROM journal_node WHERE level = NEW.level AND place = NEW.place)",
    # an archive ends where a checkpoint does, and never takes the newest line: the numbers go on from it
    "journal_archive": "NEW.through IS NULL OR NEW.through <= (SELECT max(through) FROM journal_archive)"
    " OR NEW.through >= (SELECT max(seq) FROM journal)"
    " OR NOT EXISTS (SELECT 1 FROM checkpoint WHERE size = NEW.through)",
}
_ARCHIVED_ONLY = "OLD.seq > (SELECT coalesce(max(through), 0) FROM journal_archive)"
_SEALED_UNTOUCHABLE: dict[Dialect, tuple[str, ...]] = {
    Dialect.SQLITE: (
        "DROP TRIGGER journal_no_delete",
        f"CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal WHEN {_ARCHIVED_ONLY}"
        " BEGIN SELECT RAISE(ABORT, 'journal lines are never removed'); END",
        *(
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table}"
            " BEGIN SELECT RAISE(ABORT, 'what is sealed is never changed'); END"
            for table in _APPENDED
            for act in ("UPDATE", "DELETE")
        ),
        *(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {taken}"
            " BEGIN SELECT RAISE(ABORT, 'seals are only appended'); END"
            for table, taken in _APPENDED.items()
        ),
    ),
    Dialect.POSTGRESQL: (
        "DROP TRIGGER journal_no_change ON journal",
        "CREATE TRIGGER journal_no_change BEFORE UPDATE ON journal FOR EACH ROW EXECUTE FUNCTION journal_untouchable()",
        "CREATE FUNCTION journal_archived_only() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF {_ARCHIVED_ONLY} THEN"
        " RAISE integrity_constraint_violation USING MESSAGE = 'journal lines are never removed';"
        " END IF; RETURN OLD; END $$",
        "CREATE TRIGGER journal_no_removal BEFORE DELETE ON journal"
        " FOR EACH ROW EXECUTE FUNCTION journal_archived_only()",
        "CREATE FUNCTION seal_untouchable() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = 'what is sealed is never changed'; END $$",
        *(
            f"CREATE TRIGGER {table}_no_{name} BEFORE {act} ON {table}"
            f" FOR EACH {each} EXECUTE FUNCTION seal_untouchable()"
            for table in _APPENDED
            for name, act, each in (("change", "UPDATE OR DELETE", "ROW"), ("truncate", "TRUNCATE", "STATEMENT"))
        ),
        *(
            f"CREATE FUNCTION {table}_appended() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {taken} THEN"
            " RAISE integrity_constraint_violation USING MESSAGE = 'seals are only appended';"
            " END IF; RETURN NEW; END $$"
            for table, taken in _APPENDED.items()
        ),
        *(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION {table}_appended()"
            for table in _APPENDED
        ),
    ),
}

# where the lines are that carry a term (rules/finding.py), one bit a line: derived from the journal, made anew at will
_FOUND = (
    "CREATE TABLE journal_term (term TEXT NOT NULL, block BIGINT NOT NULL, bits {blob} NOT NULL,"
    " PRIMARY KEY (term, block)) {packed}",
)

# what a second operator must agree to, and disclosures somebody looks at afterwards; "at", "settled" and "judged" are
# wall time. "after" is the regime's newest switch when it was proposed; "read_to" the newest line the cases came from
_ACTS = (
    "CREATE TABLE regime_proposal (id {key} PRIMARY KEY, regime TEXT NOT NULL, until BIGINT, reason TEXT NOT NULL,"
    " who TEXT NOT NULL, at BIGINT NOT NULL, after BIGINT NOT NULL, settled BIGINT, settled_by TEXT, how TEXT)",
    "CREATE UNIQUE INDEX regime_proposal_open ON regime_proposal (regime) WHERE settled IS NULL",
    "CREATE TABLE review_case (line {key} PRIMARY KEY, basis TEXT NOT NULL, disclosed BIGINT NOT NULL,"
    " verdict TEXT, closed BIGINT NOT NULL)",
    "CREATE INDEX review_case_open ON review_case (line) WHERE closed = 0",
    "CREATE TABLE review_verdict (seq {key} PRIMARY KEY, line BIGINT NOT NULL REFERENCES review_case (line),"
    " verdict TEXT NOT NULL, note TEXT NOT NULL, who TEXT NOT NULL, judged BIGINT NOT NULL)",
    "CREATE INDEX review_verdict_line ON review_verdict (line, seq)",
    "CREATE TABLE review_mark (id {key} PRIMARY KEY, read_to BIGINT NOT NULL)",
    "INSERT INTO review_mark VALUES (1, 0)",
)

# what one of two who must agree proposed; of whom wants to be told only the last three digits are kept
_TOLD = (
    "CREATE TABLE proposed_choice (id TEXT PRIMARY KEY, patient {blob} NOT NULL, wish TEXT NOT NULL,"
    " stated_by TEXT NOT NULL, at BIGINT NOT NULL)",
    "CREATE INDEX proposed_choice_patient ON proposed_choice (patient, at)",
    "CREATE TABLE tell_me (patient {blob} PRIMARY KEY, digits TEXT NOT NULL, subjects TEXT NOT NULL,"
    " after BIGINT NOT NULL)",
    "CREATE TABLE mailbox (line BIGINT NOT NULL, patient {blob} NOT NULL, digits TEXT NOT NULL, subject TEXT NOT NULL,"
    " at BIGINT NOT NULL, PRIMARY KEY (patient, line)) {packed}",
    "INSERT INTO tally VALUES ('told', 0)",
)

# a simulation's clock may run at a speed of its own: millionths of the wall's, from "clock_anchor" (wall time) on
_CLOCK = (
    "ALTER TABLE network_state ADD COLUMN clock_anchor BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE network_state ADD COLUMN clock_speed BIGINT NOT NULL DEFAULT 1000000",
)

STEPS: tuple[tuple[str, ...], ...] = (
    (*_NETWORK, *_CONSENT, *_JOURNAL, *_ONCE, *_INDEX, *_PROBE),
    (*_OUTBOX, *_ENROLMENT),
    _SEALED,
    _PEOPLE,
    _FOUND,
    _ACTS,
    _TOLD,
    _CLOCK,
)
"""Step n brings a ledger from version n-1 to n. A step that was released is never edited; a change is a new step."""

_TRIGGERS = {1: _UNTOUCHABLE, 3: _SEALED_UNTOUCHABLE}


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
    if number in _TRIGGERS:
        for statement in _TRIGGERS[number][dialect]:
            tx.run(statement)
