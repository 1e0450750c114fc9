"""Which messages are on their way, whose turn is it, and how did each end? The drawer of store-and-forward.

One row per message, for ever; its sealed payload only while it is needed. Every change of state is one statement that
names the state it expects, so a message is in one state and in one claim, whatever runs at the same time. Knows nothing
of rules, keys or recipients' systems. Times are domain time; only claims and leases are wall time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from gateway.rules import redelivery
from gateway.rules.identifiers import Ura
from gateway.rules.message import ENDS, Envelope, Reason, State
from gateway.stores import outbox_row
from gateway.stores.outbox_claim import Claimed, claim, due_at_all
from gateway.stores.outbox_keeping import Stop, expire, hasten, keys_in_use, purge, reroute, start, stop, stops
from gateway.stores.outbox_row import ANEW, COLUMNS, FREED, Held
from gateway.stores.schema import instant
from gateway.stores.sealing import Sealed
from gateway.stores.transaction import Transaction

__all__ = [
    "Acceptance",
    "Claimed",
    "Counts",
    "Held",
    "Standing",
    "Stop",
    "accept",
    "as_accepted",
    "by_key",
    "claim",
    "counts",
    "due_at_all",
    "end",
    "expire",
    "find",
    "hasten",
    "keys_in_use",
    "listing",
    "park",
    "postpone",
    "purge",
    "reroute",
    "resume",
    "start",
    "stop",
    "stops",
]

_STILL = "state IN ('waiting', 'parked')"
_RETRIABLE = "state IN ('parked', 'failed', 'outcome-unknown')"


class Standing(Enum):
    """What a message is to the outbox when it is handed in."""

    NEW = "new"
    REPEATED = "repeated"
    """The same sender, message id and bytes as before: what was accepted then is the answer."""
    OTHER_BYTES = "other-bytes"
    """The sender has used this message id for other bytes; nothing was written."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What came of handing in. `id` is that of the message that stands: the earlier one's, unless it is new."""

    id: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages were ever accepted, and how many there are in each state (every state is listed)."""

    accepted: int
    of: Mapping[State, int]

    @property
    def conserved(self) -> bool:
        """Whether every message ever accepted is in exactly one state."""
        return self.accepted == sum(self.of.values())


# --- taking in, and finding again ------------------------------------------------------------------------------------


def accept(
    tx: Transaction, envelope: Envelope, digest: bytes, sealed: Sealed, *, lane: Ura | None, reason: str | None
) -> Acceptance:
    """Take a message in: waiting in `lane` and due at once; parked when there is no lane, or a reason to.

    `digest` tells its bytes from others under the same sender and message id. A repeat writes nothing.
    """
    queue, why = _placed(lane, reason)
    row = tx.row(
        f"{outbox_row.INSERT} ON CONFLICT (sender, message_id) DO NOTHING RETURNING seq",
        *outbox_row.values(envelope, digest, lane=queue, reason=why),
    )
    if row is None:
        return _again(tx, envelope, digest)
    tx.run("INSERT INTO payload VALUES (?, ?, ?)", row[0], sealed.key_id, sealed.sealed)
    tx.run("UPDATE tally SET number = number + 1 WHERE name = 'accepted'")
    return Acceptance(envelope.id, Standing.NEW)


def as_accepted(envelope: Envelope, *, lane: Ura | None, reason: str | None) -> Held:
    """What `find` gives right after this message was accepted as new."""
    queue, why = _placed(lane, reason)
    return outbox_row.just_accepted(envelope, lane=queue, reason=why)


def _placed(lane: Ura | None, reason: str | None) -> tuple[Ura | None, str | None]:
    """The lane a new message queues in, or None and why it is parked."""
    if lane is not None and reason is None:
        return lane, None
    return None, reason or Reason.NO_GP_OF_RECORD


def _again(tx: Transaction, envelope: Envelope, digest: bytes) -> Acceptance:
    found = by_key(tx, envelope.sender.ura if envelope.sender else None, envelope.message_id)
    assert found is not None, "the row that stood in the way is there"
    return Acceptance(found[0].envelope.id, Standing.REPEATED if found[1] == digest else Standing.OTHER_BYTES)


def by_key(tx: Transaction, sender: Ura | None, message_id: str) -> tuple[Held, bytes] | None:
    """The message this sender (None: the exchange itself) handed in under this id, and its digest; or None."""
    row = tx.row(
        f"SELECT {COLUMNS}, o.digest FROM outbox AS o WHERE o.sender = ? AND o.message_id = ?",  # noqa: S608
        outbox_row.sender_key(sender),
        message_id,
    )
    return None if row is None else (outbox_row.held(row), bytes(row[-1]))


def find(tx: Transaction, id: str) -> Held | None:
    """The message with this id (the Task's), or None."""
    row = tx.row(f"SELECT {COLUMNS} FROM outbox AS o WHERE o.id = ?", id)  # noqa: S608
    return None if row is None else outbox_row.held(row)


def listing(tx: Transaction, state: State | None, limit: int, after: str | None) -> list[Held]:
    """At most `limit` messages in the order of their acceptance, in one state or in all; `after` the one with this id
    (an unknown id lists nothing)."""
    which = "" if state is None else f" AND {_IN_STATE if state is State.WAITING else _IN_OTHER_STATE}"
    rows = tx.rows(
        f"SELECT {COLUMNS} FROM outbox AS o WHERE o.seq > {'0' if after is None else _SEQ_OF}{which}"  # noqa: S608
        " ORDER BY o.seq LIMIT ?",
        *([] if after is None else [after]),
        *([] if state is None else [state.value]),
        limit,
    )
    return [outbox_row.held(row) for row in rows]


def counts(tx: Transaction) -> Counts:
    """The conservation equation's two sides, each counted by itself: the tally of acceptances, and the rows."""
    row = tx.row("SELECT number FROM tally WHERE name = 'accepted'")
    found = {State(state): int(number) for state, number in tx.rows(_COUNT_ROWS)}
    return Counts(int(row[0]) if row else 0, {state: found.get(state, 0) for state in State})


_SEQ_OF = "(SELECT seq FROM outbox WHERE id = ?)"
# each half has an index that holds no other rows
_IN_STATE = "o.state = ?"
_IN_OTHER_STATE = "o.state = ? AND o.state <> 'waiting'"
_COUNT_ROWS = (
    "SELECT state, count(*) FROM outbox WHERE state <> 'waiting' GROUP BY state"
    " UNION ALL SELECT 'waiting', count(*) FROM outbox WHERE state = 'waiting'"
)


# --- what came of an attempt -----------------------------------------------------------------------------------------


def postpone(tx: Transaction, id: str, claimant: str, *, until: datetime, now: datetime, doubtful: bool) -> bool:
    """Put a claimed message back, due at `until`. `doubtful` stays once it was told. False: no longer our claim."""
    return _moved(
        tx,
        f"UPDATE outbox SET state = 'waiting', due = ?, planned = ?, changed = ?, unmarked = 0, {FREED},"  # noqa: S608
        f" doubtful = CASE WHEN doubtful = 1 THEN 1 ELSE ? END WHERE id = ? AND {_holder(claimant)}",
        instant(until),
        instant(now),
        instant(now),
        int(doubtful),
        id,
        claimant,
    )


def end(
    tx: Transaction,
    id: str,
    claimant: str | None,
    state: State,
    reason: str | None,
    now: datetime,
    *,
    keep_payload: bool,
    delivered_to: Ura | None = None,
) -> bool:
    """End a message, claimed by `claimant`, or (None) waiting or parked; `keep_payload` for a later retry.

    False: it is not in that state or claim any more. A rejection settles every doubt. Raises ValueError for a state
    that is no end.
    """
    if state not in ENDS:
        raise ValueError(f"{state} is no end")
    row = tx.row(
        f"UPDATE outbox SET state = ?, reason = ?, delivered_to = ?, changed = ?, unmarked = 0, {FREED},"  # noqa: S608
        f" doubtful = CASE WHEN ? = 1 THEN 0 ELSE doubtful END WHERE id = ? AND {_holder(claimant)} RETURNING seq",
        state.value,
        reason,
        None if delivered_to is None else delivered_to.digits,
        instant(now),
        int(reason == Reason.REJECTED or state is State.DELIVERED),
        id,
        *_named(claimant),
    )
    if row is not None and not keep_payload:
        tx.run("DELETE FROM payload WHERE message = ?", row[0])
    return row is not None


def park(tx: Transaction, id: str, claimant: str | None, reason: str, now: datetime) -> bool:
    """Take a message aside for people, claimed by `claimant`, or (None) waiting or parked. False: not so any more."""
    return _moved(
        tx,
        f"UPDATE outbox SET state = 'parked', reason = ?, lane = NULL, expires = ?, changed = ?, unmarked = 0,"  # noqa: S608
        f" {FREED} WHERE id = ? AND {_holder(claimant)}",
        reason,
        instant(now + redelivery.PARKED),
        instant(now),
        id,
        *_named(claimant),
    )


def resume(tx: Transaction, id: str, *, lane: Ura, now: datetime) -> bool:
    """Put a parked message on its way again, or one that failed or whose outcome is unknown while its payload is
    kept: due at once, for five days. False: it is not in such a state, or its payload is gone."""
    return _moved(
        tx,
        f"UPDATE outbox SET state = 'waiting', lane = ?, due = ?, planned = ?, expires = ?, changed = ?, {ANEW}"  # noqa: S608
        f" WHERE id = ? AND {_RETRIABLE} AND EXISTS (SELECT 1 FROM payload WHERE message = outbox.seq)",
        lane.digits,
        instant(now),
        instant(now),
        instant(now + redelivery.ON_THE_WAY),
        instant(now),
        id,
    )


def _holder(claimant: str | None) -> str:
    return _STILL if claimant is None else "state = 'claimed' AND claimant = ?"


def _named(claimant: str | None) -> tuple[str, ...]:
    return () if claimant is None else (claimant,)


def _moved(tx: Transaction, sql: str, *params: object) -> bool:
    return tx.run(sql, *params) == 1
