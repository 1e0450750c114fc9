"""Whose turn is it? The outbox's claims: fair between recipients, one claimant at a time, quick with many waiting.

A lane is one recipient's queue. Knows nothing of why a lane is sick or how a message is delivered. `now` is domain
time, `wall` wall time, in which alone claims and leases are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest

from gateway.rules.identifiers import Ura
from gateway.stores import outbox_row
from gateway.stores.outbox_row import COLUMNS, FREED, Held, marks
from gateway.stores.schema import instant
from gateway.stores.sealing import Sealed
from gateway.stores.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message to be delivered by who claimed it. `sealed` None: its payload is gone, so it can only be ended."""

    held: Held
    sealed: Sealed | None


# steps from lane to lane through the index: as quick with ten thousand waiting in one lane as with one
# conditions repeat what the partial indexes say, or those are not used
_LANES = (
    "WITH RECURSIVE road (lane) AS (SELECT min(lane) FROM outbox WHERE state = 'waiting' UNION ALL"
    " SELECT (SELECT min(later.lane) FROM outbox AS later WHERE later.state = 'waiting' AND later.lane > road.lane)"
    " FROM road WHERE road.lane IS NOT NULL)"
)
_OPEN = (
    "road.lane IS NOT NULL AND NOT EXISTS (SELECT 1 FROM delivery_stop WHERE recipient = '' OR recipient = road.lane)"
)
_DUE_IN_LANE = "FROM outbox AS d WHERE d.state = 'waiting' AND d.lane = road.lane AND d.due <= ?"
_DEAD = "state = 'claimed' AND state <> 'waiting' AND (lease <= ? OR claimed > ?)"
_PLANNED_LATER = "state = 'waiting' AND planned > ?"
_DUE_AT_ALL = (
    f"SELECT EXISTS (SELECT 1 FROM outbox WHERE {_DEAD})"  # noqa: S608
    f" OR EXISTS (SELECT 1 FROM outbox WHERE {_PLANNED_LATER})"
    f" OR EXISTS ({_LANES} SELECT 1 FROM road WHERE {_OPEN} AND EXISTS (SELECT 1 {_DUE_IN_LANE}))"
)


def due_at_all(tx: Transaction, now: datetime, wall: datetime) -> bool:
    """Whether `claim` would find anything to do, sick and busy lanes aside. One statement that changes nothing."""
    row = tx.row(_DUE_AT_ALL, instant(wall), instant(wall), instant(now), instant(now))
    return bool(row and row[0])


def claim(
    tx: Transaction,
    *,
    now: datetime,
    wall: datetime,
    claimant: str,
    lease: timedelta,
    most: int,
    per_lane: int,
    sick: Collection[Ura],
    busy: Mapping[Ura, int],
) -> list[Claimed]:
    """Claim at most `most` due messages until `wall + lease`, and count an attempt for each.

    No lane gets more than `per_lane` (a sick one: 1) less what it has in flight by `busy`; lanes take turns, so none
    hides another. Stopped lanes are left alone. First frees what dead claimants held, and makes due what was planned
    at a time that, by a clock set back, is still to come.
    """
    _free_the_dead(tx, now, wall)
    _plan_anew(tx, now)
    allowed = _Allowed(per_lane, frozenset(sick), busy)
    chosen = _in_turn(_candidates(tx, per_lane, now), allowed, instant(wall), most)
    if not chosen:
        return []
    places = marks(chosen)
    tx.run(
        f"UPDATE outbox SET state = 'claimed', claimant = ?, claimed = ?, lease = ?, attempts = attempts + 1,"  # noqa: S608
        f" unmarked = unmarked + 1, begun = coalesce(begun, ?), changed = ? WHERE seq IN ({places})",
        claimant,
        instant(wall),
        instant(wall + lease),
        instant(now),
        instant(now),
        *chosen,
    )
    rows = tx.rows(
        f"SELECT {COLUMNS}, p.key_id, p.sealed FROM outbox AS o LEFT JOIN payload AS p ON p.message = o.seq"  # noqa: S608
        f" WHERE o.seq IN ({places}) ORDER BY o.due, o.seq",
        *chosen,
    )
    return [_claimed(row) for row in rows]


def _free_the_dead(tx: Transaction, now: datetime, wall: datetime) -> None:
    """Who claimed these never told what came of it: they may have arrived, and are due again."""
    tx.run(
        f"UPDATE outbox SET state = 'waiting', doubtful = 1, due = ?, planned = ?, changed = ?, {FREED} WHERE {_DEAD}",  # noqa: S608
        instant(now),
        instant(now),
        instant(now),
        instant(wall),
        instant(wall),
    )


def _plan_anew(tx: Transaction, now: datetime) -> None:
    tx.run(
        f"UPDATE outbox SET due = ?, planned = ? WHERE {_PLANNED_LATER}",  # noqa: S608
        instant(now),
        instant(now),
        instant(now),
    )


def _candidates(tx: Transaction, per_lane: int, now: datetime) -> list[tuple[Ura, list[int]]]:
    """The open lanes with something due, each with its oldest; a scalar look per place, as both databases have it."""
    looks = ", ".join(
        f"(SELECT d.seq {_DUE_IN_LANE} ORDER BY d.due, d.seq LIMIT 1 OFFSET {n})" for n in range(per_lane)
    )
    rows = tx.rows(
        f"{_LANES} SELECT road.lane, {looks} FROM road WHERE {_OPEN}",  # noqa: S608
        *[instant(now)] * per_lane,
    )
    return [(Ura(row[0]), [int(seq) for seq in row[1:] if seq is not None]) for row in rows]


@dataclass(frozen=True, slots=True)
class _Allowed:
    """How many more each lane may have in flight."""

    per_lane: int
    sick: frozenset[Ura]
    busy: Mapping[Ura, int]

    def left(self, lane: Ura) -> int:
        return max(0, (1 if lane in self.sick else self.per_lane) - self.busy.get(lane, 0))


def _in_turn(lanes: Sequence[tuple[Ura, list[int]]], allowed: _Allowed, turn: int, most: int) -> list[int]:
    """One of each lane, then a second of each …; those with least in flight first, and among equals beginning
    elsewhere every time, as `turn` differs."""
    first = turn % len(lanes) if lanes else 0
    order = sorted([*lanes[first:], *lanes[:first]], key=lambda one: allowed.busy.get(one[0], 0))
    rounds = zip_longest(*(seqs[: allowed.left(lane)] for lane, seqs in order))
    return [seq for each in rounds for seq in each if seq is not None][:most]


def _claimed(row: Row) -> Claimed:
    key_id, sealed = row[-2:]
    return Claimed(outbox_row.held(row), None if key_id is None else Sealed(key_id, bytes(sealed)))
