"""What happens to many messages at once? A patient's GP changes, time is up, delivery is stopped and started again.

Part of the outbox's drawer: outbox.py is the whole. Times are domain time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.rules import redelivery
from gateway.rules.exchange import PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.message import Reason
from gateway.stores import outbox_row
from gateway.stores.outbox_row import ANEW, COLUMNS, Held, marks
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Transaction

# as the partial indexes say it, else they are not used
_LIVE = "state IN ('waiting', 'claimed', 'parked')"
_STILL = "state IN ('waiting', 'parked')"

_LONGEST_SPREAD = timedelta(seconds=600)
_SPREAD_EACH = timedelta(seconds=0.1)
_EVERYBODY = ""


# --- the GP of record changes ----------------------------------------------------------------------------------------


def reroute(tx: Transaction, patient: PatientKey, lane: Ura | None, now: datetime) -> int:
    """Let what is on its way to this patient's GP of record go to `lane` from now on; returns how many that touched.

    What waits is due at once there, and what is parked for want of a GP or of an endpoint wakes up; what is claimed
    finishes its attempt. `lane` None: nobody is the GP of record now, what waits is parked.
    """
    theirs = f"patient = ? AND recipient IS NULL AND {_LIVE}"
    if lane is None:
        return tx.run(
            f"UPDATE outbox SET state = 'parked', reason = ?, lane = NULL, expires = ?, changed = ?, unmarked = 0"  # noqa: S608
            f" WHERE {theirs} AND state = 'waiting'",
            Reason.NO_GP_OF_RECORD.value,
            instant(now + redelivery.PARKED),
            instant(now),
            patient,
        )
    moved = tx.run(
        f"UPDATE outbox SET lane = ?, due = ?, planned = ?, changed = ?, begun = NULL"  # noqa: S608
        f" WHERE {theirs} AND state = 'waiting' AND lane <> ?",
        *(lane.digits, instant(now), instant(now), instant(now), patient, lane.digits),
    )
    moved += tx.run(
        f"UPDATE outbox SET lane = ? WHERE {theirs} AND state = 'claimed' AND lane <> ?",  # noqa: S608
        *(lane.digits, patient, lane.digits),
    )
    return moved + tx.run(
        f"UPDATE outbox SET state = 'waiting', lane = ?, due = ?, planned = ?, expires = ?, changed = ?, {ANEW}"  # noqa: S608
        f" WHERE {theirs} AND state = 'parked' AND reason IN (?, ?)",
        *(lane.digits, instant(now), instant(now), instant(now + redelivery.ON_THE_WAY), instant(now), patient),
        *(Reason.NO_GP_OF_RECORD.value, Reason.NO_ENDPOINT.value),
    )


# --- time is up ------------------------------------------------------------------------------------------------------


def expire(tx: Transaction, now: datetime, most: int) -> list[Held]:
    """End at most `most` messages, waiting or parked, whose time is up, tried or not, and destroy their payloads;
    returns them as they ended."""
    rows = tx.rows(
        f"SELECT seq, doubtful FROM outbox WHERE {_STILL} AND expires <= ? ORDER BY expires, seq LIMIT ?",  # noqa: S608
        instant(now),
        most,
    )
    for doubtful in (False, True):
        _end_expired(tx, [int(seq) for seq, may in rows if bool(may) is doubtful], now, doubtful=doubtful)
    return _held_of(tx, [int(row[0]) for row in rows])


def _end_expired(tx: Transaction, seqs: list[int], now: datetime, *, doubtful: bool) -> None:
    if not seqs:
        return
    ended = redelivery.expired(doubtful=doubtful)
    tx.run(
        f"UPDATE outbox SET state = ?, reason = ?, changed = ? WHERE seq IN ({marks(seqs)})",  # noqa: S608
        ended.state.value,
        None if ended.reason is None else ended.reason.value,
        instant(now),
        *seqs,
    )
    tx.run(f"DELETE FROM payload WHERE message IN ({marks(seqs)})", *seqs)  # noqa: S608


def _held_of(tx: Transaction, seqs: list[int]) -> list[Held]:
    if not seqs:
        return []
    rows = tx.rows(f"SELECT {COLUMNS} FROM outbox AS o WHERE o.seq IN ({marks(seqs)}) ORDER BY o.seq", *seqs)  # noqa: S608
    return [outbox_row.held(row) for row in rows]


def purge(tx: Transaction, now: datetime) -> int:
    """Destroy the payloads that ended messages kept for a retry, once their time is up; returns how many."""
    return tx.run(
        "DELETE FROM payload WHERE message IN (SELECT p.message FROM payload AS p JOIN outbox AS o ON o.seq = p.message"
        " WHERE o.state IN ('delivered', 'failed', 'outcome-unknown') AND o.expires <= ?)",
        instant(now),
    )


def keys_in_use(tx: Transaction) -> frozenset[str]:
    """The ids of the sealing keys some payload still needs."""
    return frozenset(str(row[0]) for row in tx.rows("SELECT DISTINCT key_id FROM payload"))


def hasten(tx: Transaction, lane: Ura, now: datetime) -> int:
    """A recipient answers again: what waits for it, and had its next try hours away, goes out in turn, as after a stop;
    nothing is put off by it. Returns how many it brought forward."""
    later, which = "state = 'waiting' AND lane = ? AND due > ?", (lane.digits, instant(now))
    spread, number = _spread(tx, later, which)
    return tx.run(
        f"UPDATE outbox SET due = turn.at, planned = ? FROM ({_turns(later)}) AS turn"  # noqa: S608
        " WHERE outbox.seq = turn.one AND outbox.due > turn.at",
        *(instant(now), instant(now), spread // timedelta(microseconds=1), max(number, 1), *which),
    )


# --- stopping and starting delivery ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stop:
    """Delivery to `recipient` (None: to everybody) is stopped since `at`, by whom and why."""

    recipient: Ura | None
    at: datetime
    by: str
    reason: str


def stop(tx: Transaction, recipient: Ura | None, now: datetime, by: str, reason: str) -> bool:
    """Stop delivery to one recipient, or (None) to everybody: nothing is claimed from now on, what is claimed finishes
    its attempt. False: it was stopped already, and stays so for the first reason."""
    added = tx.run(
        "INSERT INTO delivery_stop VALUES (?, ?, ?, ?) ON CONFLICT (recipient) DO NOTHING",
        _stopped(recipient),
        instant(now),
        by,
        reason,
    )
    return added == 1


def start(tx: Transaction, recipient: Ura | None, now: datetime) -> timedelta | None:
    """Take that one stop back, and spread what is overdue there by its turn: a tenth of a second each, ten minutes at
    most. Returns over how long; None: it was not stopped. A stop of the other kind stays."""
    if not tx.run("DELETE FROM delivery_stop WHERE recipient = ?", _stopped(recipient)):
        return None
    overdue = "state = 'waiting' AND due <= ?" + ("" if recipient is None else " AND lane = ?")
    which = (instant(now), *([] if recipient is None else [recipient.digits]))
    spread, number = _spread(tx, overdue, which)
    tx.run(
        f"UPDATE outbox SET due = turn.at, planned = ? FROM ({_turns(overdue)}) AS turn WHERE outbox.seq = turn.one",  # noqa: S608
        *(instant(now), instant(now), spread // timedelta(microseconds=1), max(number, 1), *which),
    )
    return spread


def _spread(tx: Transaction, condition: str, which: Sequence[object]) -> tuple[timedelta, int]:
    """Over how long to spread the messages of this condition, and how many they are."""
    row = tx.row(f"SELECT count(*) FROM outbox WHERE {condition}", *which)  # noqa: S608
    number = int(row[0]) if row else 0
    return min(_LONGEST_SPREAD, number * _SPREAD_EACH), number


def _turns(condition: str) -> str:
    """Each of them and its moment; wants now, the spread, the number, and the condition's own."""
    return (
        "SELECT seq AS one, ? + ? * (row_number() OVER (ORDER BY due, seq) - 1) / ? AS at"  # noqa: S608
        f" FROM outbox WHERE {condition}"
    )


def stops(tx: Transaction) -> list[Stop]:
    """What is stopped, the stop of everybody first."""
    rows = tx.rows("SELECT recipient, at, who, reason FROM delivery_stop ORDER BY recipient")
    return [Stop(Ura(one) if one else None, moment(at), who, reason) for one, at, who, reason in rows]


def _stopped(recipient: Ura | None) -> str:
    return _EVERYBODY if recipient is None else recipient.digits
