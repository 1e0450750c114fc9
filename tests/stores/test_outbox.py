"""Is every message in one state and one claim, in turn, and its payload there just as long as it is needed? On both
databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from outbox_made import (
    DIGEST,
    FULL_SENDER,
    GP,
    LEASE,
    NEW_GP,
    NOON,
    PATIENT,
    POST,
    SENDER,
    WALL,
    accept,
    claim,
    envelope,
    held,
    names,
    payloads,
    state,
)

from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.message import MessageEvent, Reason, Sender, State
from gateway.stores import outbox, schema
from gateway.stores.ledger import Ledger, LedgerUnavailable, open_ledger
from gateway.stores.outbox import Acceptance, Standing
from gateway.stores.sealing import Sealed, Seals
from gateway.stores.transaction import Transaction, Work

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


@pytest.fixture
def tx(ledger: Ledger) -> Iterator[Transaction]:
    """One transaction a test can do everything in; what it did is undone."""
    with serial(ledger) as work:
        yield work


class _Undone(Exception):
    pass


@contextmanager
def serial(ledger: Ledger) -> Iterator[Work]:
    try:
        with ledger._engine.writing() as work:
            yield work
            raise _Undone
    except _Undone:
        pass


# --- taking in -------------------------------------------------------------------------------------------------------

ENVELOPES = {
    "of a post": envelope("a"),
    "with everything": envelope(
        "a", sender=FULL_SENDER, event=MessageEvent.REFERRAL, recipient=GP, recipient_system=ApplicationId("0012"),
        aorta=AortaId("i", "r", "2.0"), at=NOON + timedelta(microseconds=1),
    ),
    "of the exchange": envelope("a", sender=None, event=MessageEvent.UNDELIVERABLE, patient=PatientKey(b"")),
}  # fmt: skip


@pytest.mark.parametrize("sent", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_an_envelope_comes_back_as_it_was(tx: Transaction, sent: object) -> None:
    from gateway.rules.message import Envelope
    from gateway.stores.sealing import Sealed

    assert isinstance(sent, Envelope)
    assert outbox.accept(tx, sent, DIGEST, Sealed("k", b"x"), lane=GP, reason=None) == Acceptance(
        "task-a", Standing.NEW
    )
    found = held(tx, "a")
    assert found.envelope == sent
    assert (found.state, found.reason, found.lane, found.due) == (State.WAITING, None, GP, sent.accepted)
    assert (found.attempts, found.unmarked, found.doubtful, found.begun) == (0, 0, False, None)
    assert found.expires == sent.accepted + 5 * DAY
    assert outbox.by_key(tx, sent.sender.ura if sent.sender else None, "message-a") == (found, DIGEST)


def test_what_is_not_there_is_not_found(tx: Transaction) -> None:
    accept(tx, "a")
    assert outbox.find(tx, "message-a") is None
    assert outbox.by_key(tx, None, "message-a") is None
    assert outbox.by_key(tx, GP, "message-a") is None


def test_a_repeat_is_the_same_message_and_writes_nothing(tx: Transaction) -> None:
    accept(tx, "a")
    again = accept(tx, "a", None, id="task-b", at=NOON + HOUR)
    assert again == Acceptance("task-a", Standing.REPEATED)
    assert accept(tx, "a", digest=b"e" * 32, id="task-b") == Acceptance("task-a", Standing.OTHER_BYTES)
    assert outbox.find(tx, "task-b") is None
    assert state(tx, "a") is State.WAITING
    assert outbox.counts(tx).accepted == 1
    assert payloads(tx) == {"a"}


def test_a_repeat_is_known_long_after_the_end(tx: Transaction) -> None:
    accept(tx, "a")
    claim(tx)
    outbox.end(tx, "task-a", "one", State.DELIVERED, None, NOON, keep_payload=False, delivered_to=GP)
    assert accept(tx, "a", id="task-b") == Acceptance("task-a", Standing.REPEATED)
    assert payloads(tx) == set()


def test_two_senders_may_use_one_message_id(tx: Transaction) -> None:
    accept(tx, "a")
    other = Sender(GP, SENDER.application, None, None, None, "AB", SENDER.situation)
    for name, sender in (("b", other), ("c", None)):
        assert accept(tx, name, sender=sender, message_id="message-a").standing is Standing.NEW


PARKED = {
    "no GP of record": (None, None, Reason.NO_GP_OF_RECORD),
    "no endpoint": (None, Reason.NO_ENDPOINT, Reason.NO_ENDPOINT),
    "no endpoint at a known recipient": (GP, Reason.NO_ENDPOINT, Reason.NO_ENDPOINT),
}


@pytest.mark.parametrize(("lane", "reason", "kept"), PARKED.values(), ids=PARKED.keys())
def test_a_message_can_be_accepted_parked(tx: Transaction, lane: Ura | None, reason: str | None, kept: Reason) -> None:
    accept(tx, "a", lane, reason)
    found = held(tx, "a")
    assert (found.state, found.reason, found.lane) == (State.PARKED, kept, None)
    assert found.expires == NOON + 30 * DAY
    assert claim(tx) == []
    assert not outbox.due_at_all(tx, NOON + DAY, WALL)


# --- claiming --------------------------------------------------------------------------------------------------------


def test_a_claim_counts_an_attempt_and_nobody_else_gets_it(tx: Transaction) -> None:
    accept(tx, "a")
    assert outbox.due_at_all(tx, NOON, WALL)
    (claimed,) = claim(tx, NOON + SECOND)
    assert claimed.sealed is not None
    assert (claimed.sealed.key_id, claimed.sealed.sealed) == ("key-1", b"sealed a")
    found = held(tx, "a")
    assert claimed.held == found
    assert (found.state, found.attempts, found.unmarked, found.begun) == (State.CLAIMED, 1, 1, NOON + SECOND)
    assert claim(tx, NOON + HOUR, claimant="two") == []
    assert not outbox.due_at_all(tx, NOON + HOUR, WALL)


def test_a_claim_nobody_marked_is_due_again_and_doubtful_when_its_lease_is_over(tx: Transaction) -> None:
    accept(tx, "a")
    claim(tx)
    just_before, over = WALL + LEASE - timedelta(microseconds=1), WALL + LEASE
    assert not outbox.due_at_all(tx, NOON, just_before)
    assert claim(tx, wall=just_before, claimant="two") == []
    assert outbox.due_at_all(tx, NOON, over)
    (again,) = claim(tx, wall=over, claimant="two")
    assert (again.held.attempts, again.held.unmarked, again.held.doubtful) == (2, 2, True)
    assert not outbox.postpone(tx, "task-a", "one", until=NOON, now=NOON, doubtful=False)
    assert not outbox.end(tx, "task-a", "one", State.DELIVERED, None, NOON, keep_payload=False)
    assert not outbox.park(tx, "task-a", "one", Reason.NO_ENDPOINT, NOON)
    assert outbox.postpone(tx, "task-a", "two", until=NOON + HOUR, now=NOON, doubtful=False)
    found = held(tx, "a")
    assert (found.unmarked, found.doubtful, found.due) == (0, True, NOON + HOUR)


def test_a_claim_from_a_time_still_to_come_is_over(tx: Transaction) -> None:
    """Wall time was set back an hour: the claimant cannot be told dead by its lease."""
    accept(tx, "a")
    claim(tx)
    assert outbox.due_at_all(tx, NOON, WALL - HOUR)
    assert names(claim(tx, wall=WALL - HOUR, claimant="two")) == ["a"]


def test_a_postponed_message_comes_back_when_due(tx: Transaction) -> None:
    accept(tx, "a")
    claim(tx)
    assert outbox.postpone(tx, "task-a", "one", until=NOON + MINUTE, now=NOON, doubtful=True)
    assert (state(tx, "a"), held(tx, "a").doubtful) == (State.WAITING, True)
    assert not outbox.due_at_all(tx, NOON + 59 * SECOND, WALL)
    assert claim(tx, NOON + 59 * SECOND) == []
    assert outbox.due_at_all(tx, NOON + MINUTE, WALL)
    (again,) = claim(tx, NOON + MINUTE)
    assert (again.held.attempts, again.held.unmarked, again.held.begun) == (2, 1, NOON)


def test_a_clock_set_back_makes_due_what_was_planned_later(tx: Transaction) -> None:
    accept(tx, "b", at=NOON - HOUR)
    claim(tx, NOON - HOUR)
    outbox.postpone(tx, "task-b", "one", until=NOON + 2 * HOUR, now=NOON - HOUR, doubtful=False)
    accept(tx, "a", at=NOON + HOUR)
    assert outbox.due_at_all(tx, NOON, WALL)
    assert names(claim(tx, NOON)) == ["a"], "what was planned in the past keeps its time"
    assert not outbox.due_at_all(tx, NOON, WALL)


def lane(number: int) -> Ura:
    return Ura(f"{90_000_100 + number:08}")


def fill(tx: Transaction, lanes: dict[int, int]) -> None:
    for number, count in lanes.items():
        for n in range(count):
            accept(tx, f"{number}-{n}", lane(number), at=NOON + n * timedelta(milliseconds=1))


def by_lane(tx: Transaction, **how: object) -> dict[int, list[str]]:
    got: dict[int, list[str]] = {}
    for name in names(claim(tx, NOON + MINUTE, **how)):  # type: ignore[arg-type]
        got.setdefault(int(name.split("-")[0]), []).append(name)
    return got


TURNS = {
    "oldest first, so many of each": ({1: 9, 2: 2}, {}, {1: ["1-0", "1-1", "1-2", "1-3"], 2: ["2-0", "2-1"]}),
    "a sick lane gives one": ({1: 9, 2: 1}, {"sick": (lane(1),)}, {1: ["1-0"], 2: ["2-0"]}),
    "a sick lane with its probe out gives none": ({1: 9}, {"sick": (lane(1),), "busy": {lane(1): 1}}, {}),
    "less what is in flight": ({1: 9}, {"busy": {lane(1): 3}}, {1: ["1-0"]}),
    "more in flight than allowed": ({1: 9}, {"busy": {lane(1): 7}}, {}),
    "a second of one only after a first of all": (
        {1: 9, 2: 9, 3: 9},
        {"most": 3},
        {1: ["1-0"], 2: ["2-0"], 3: ["3-0"]},
    ),
    "who has least in flight first": ({1: 9, 2: 9}, {"most": 1, "busy": {lane(1): 1}}, {2: ["2-0"]}),
    "nothing wanted": ({1: 9}, {"most": 0}, {}),
}


@pytest.mark.parametrize(("lanes", "how", "got"), TURNS.values(), ids=TURNS.keys())
def test_lanes_take_turns(
    tx: Transaction, lanes: dict[int, int], how: dict[str, object], got: dict[int, list[str]]
) -> None:
    fill(tx, lanes)
    assert by_lane(tx, **how) == got


def test_a_lane_with_very_many_hides_no_other_and_no_lane_is_always_first(tx: Transaction) -> None:
    fill(tx, {1: 300, **dict.fromkeys(range(2, 12), 1)})
    first = set()
    for n in range(11):
        first |= by_lane(tx, most=1, wall=WALL + n * timedelta(microseconds=1)).keys()
        tx.run("UPDATE outbox SET state = 'waiting'")
    assert first == set(range(1, 12)), "each time another begins"
    assert by_lane(tx, most=11).keys() == set(range(1, 12)), "the ten small ones are not behind the big one"


def test_a_claim_takes_no_more_work_with_ten_thousand_waiting() -> None:
    """Counted in SQLite's own instructions: 100 lanes with 4 each, then with 60 each and one of 4,000."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    tx, took = Work(db.execute), []
    schema.prepare(tx, schema.Dialect.SQLITE)
    fill(tx, dict.fromkeys(range(100), 4))
    for _ in range(2):
        took.append(_work_of(db, lambda: claim(tx, NOON + MINUTE)))
        tx.run("UPDATE outbox SET state = 'waiting'")
        for number in range(100):
            for n in range(100, 160 if number else 4_100):
                accept(tx, f"{number}-{n}", lane(number), at=NOON + n * timedelta(milliseconds=1))
    db.close()
    assert took[1] < 1.2 * took[0], took


def _work_of(db: sqlite3.Connection, act: Callable[[], object]) -> int:
    """How many hundred instructions of SQLite's this takes."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    db.set_progress_handler(count, 100)
    act()
    db.set_progress_handler(None, 0)
    return counted[0]


PLANS = {
    "is anything due": ("due_at_all", lambda tx: outbox.due_at_all(tx, NOON, WALL)),
    "claim": ("claim", lambda tx: claim(tx)),
    "expire": ("expire", lambda tx: outbox.expire(tx, NOON + 9 * DAY, 10)),
    "reroute": ("reroute", lambda tx: outbox.reroute(tx, PATIENT, NEW_GP, NOON)),
    "counts": ("counts", outbox.counts),
    "listing": ("listing", lambda tx: outbox.listing(tx, State.PARKED, 10, None)),
    "find": ("find", lambda tx: outbox.find(tx, "task-a")),
    "by key": ("by_key", lambda tx: outbox.by_key(tx, POST, "message-a")),
}


@pytest.mark.parametrize("act", [plan[1] for plan in PLANS.values()], ids=PLANS.keys())
def test_no_statement_reads_the_whole_outbox(sqlite_ledger: Ledger, act: Callable[[Transaction], object]) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []

    class Noting:
        def __init__(self, tx: Transaction) -> None:
            self._tx = tx

        def rows(self, sql: str, *params: object) -> list[tuple[object, ...]]:
            asked.append((sql, params))
            return self._tx.rows(sql, *params)

        def row(self, sql: str, *params: object) -> tuple[object, ...] | None:
            asked.append((sql, params))
            return self._tx.row(sql, *params)

        def run(self, sql: str, *params: object) -> int:
            asked.append((sql, params))
            return self._tx.run(sql, *params)

    with serial(sqlite_ledger) as tx:
        accept(tx, "a")
        act(Noting(tx))
        plans = [str(row[3]) for sql, params in asked for row in tx.rows("EXPLAIN QUERY PLAN " + sql, *params)]
    assert plans
    bare = [p for p in plans if p.startswith("SCAN") and "INDEX" not in p and p.split()[1] not in ("road", "turn")]
    assert [p for p in bare if p.split()[1] in ("outbox", "o", "p", "payload", "d", "later")] == []


# --- stopping and starting -------------------------------------------------------------------------------------------


def test_a_stopped_lane_is_left_alone_and_the_others_go_on(tx: Transaction) -> None:
    fill(tx, {1: 2, 2: 2})
    assert outbox.stop(tx, lane(1), NOON, "operator", "dead")
    assert not outbox.stop(tx, lane(1), NOON + HOUR, "other", "again")
    assert [(s.recipient, s.at, s.by, s.reason) for s in outbox.stops(tx)] == [(lane(1), NOON, "operator", "dead")]
    assert by_lane(tx) == {2: ["2-0", "2-1"]}
    assert not outbox.due_at_all(tx, NOON + MINUTE, WALL)


def test_a_stop_of_everybody_stops_everybody_and_is_apart_from_one_lanes(tx: Transaction) -> None:
    fill(tx, {1: 1, 2: 1})
    outbox.stop(tx, lane(1), NOON, "operator", "dead")
    outbox.stop(tx, None, NOON, "operator", "storm")
    assert [s.recipient for s in outbox.stops(tx)] == [None, lane(1)]
    assert by_lane(tx) == {}
    assert not outbox.due_at_all(tx, NOON + MINUTE, WALL)
    assert outbox.start(tx, None, NOON + 30 * SECOND) is not None
    assert by_lane(tx) == {2: ["2-0"]}


def test_starting_spreads_the_overdue_by_their_turn(tx: Transaction) -> None:
    fill(tx, {1: 50, 2: 1})
    accept(tx, "1-later", lane(1), at=NOON + HOUR)
    outbox.stop(tx, lane(1), NOON, "operator", "dead")
    started = NOON + MINUTE
    assert outbox.start(tx, lane(1), started) == 5 * SECOND
    dues = [held(tx, f"1-{n}").due - started for n in range(50)]
    assert dues == [n * timedelta(milliseconds=100) for n in range(50)]
    assert held(tx, "2-0").due == NOON
    assert held(tx, "1-later").due == NOON + HOUR
    assert outbox.start(tx, lane(1), started) is None


@pytest.mark.parametrize(("to", "why"), [(GP, None), (None, None), (GP, Reason.NO_ENDPOINT)], ids=str)
def test_what_was_just_accepted_need_not_be_read(tx: Transaction, to: Ura | None, why: Reason | None) -> None:
    sent = envelope("one")
    outbox.accept(tx, sent, DIGEST, Sealed("k", b"x"), lane=to, reason=why)
    assert outbox.as_accepted(sent, lane=to, reason=why) == outbox.find(tx, sent.id)


def test_who_is_back_gets_what_waited_in_turn_and_nothing_later_than_planned(tx: Transaction) -> None:
    fill(tx, {1: 1, 2: 1})
    for number, due in enumerate((HOUR, 2 * HOUR, 3 * HOUR)):
        accept(tx, f"1-late-{number}", lane(1), at=NOON + due)
    back = NOON + HOUR - 50 * timedelta(milliseconds=1)
    assert outbox.hasten(tx, lane(1), back) == 3
    ahead = [held(tx, f"1-late-{number}").due - back for number in range(3)]
    assert ahead == [n * timedelta(milliseconds=100) for n in range(3)]
    assert outbox.hasten(tx, lane(1), back + SECOND) == 0
    assert held(tx, "1-0").due == NOON
    assert held(tx, "2-0").due == NOON


_COPIES = (
    "INSERT INTO outbox (seq, id, event, message_id, sender, patient, accepted, initial, request, digest, state,"
    " attempts, unmarked, doubtful, due, planned, expires, changed, lane)"
    " WITH RECURSIVE made (n) AS (SELECT 1001 UNION ALL SELECT n + 1 FROM made WHERE n < 8960)"
    " SELECT n, 'x' || n, o.event, 'x' || n, '', o.patient, 0, 'i', 'r', o.digest, 'waiting', 0, 0, 0, 0, 0, 0, 0,"
    " o.lane FROM outbox AS o CROSS JOIN made WHERE o.id = 'task-1-0'"
)
"""7,960 more like the first."""


def test_very_many_are_spread_over_ten_minutes_at_most(tx: Transaction) -> None:
    fill(tx, {1: 40})
    outbox.stop(tx, None, NOON, "operator", "storm")
    tx.run(_COPIES)
    assert outbox.start(tx, None, NOON) == 600 * SECOND
    last = tx.row("SELECT max(due) FROM outbox")
    assert last is not None
    assert NOON + 599 * SECOND < schema.moment(int(last[0])) < NOON + 600 * SECOND


def test_ended_messages_do_not_start_again(tx: Transaction) -> None:
    fill(tx, {1: 2})
    claim(tx, most=1)
    outbox.stop(tx, None, NOON, "operator", "storm")
    outbox.end(tx, "task-1-0", "one", State.FAILED, Reason.REJECTED, NOON, keep_payload=True)
    outbox.start(tx, None, NOON + HOUR)
    assert state(tx, "1-0") is State.FAILED
    assert names(claim(tx, NOON + 2 * HOUR)) == ["1-1"]


# --- ends ------------------------------------------------------------------------------------------------------------

KEPT = {
    "delivered": (State.DELIVERED, None, False),
    "barred": (State.FAILED, "objection", False),
    "rejected, kept for a retry": (State.FAILED, Reason.REJECTED, True),
    "poison, kept for a retry": (State.FAILED, Reason.NEVER_MARKED, True),
    "unknown, kept for a retry": (State.UNKNOWN, Reason.REPLY_LOST, True),
}


@pytest.mark.parametrize(("into", "reason", "keep"), KEPT.values(), ids=KEPT.keys())
def test_an_end_is_once_and_keeps_the_payload_only_for_a_retry(
    tx: Transaction, into: State, reason: str | None, keep: bool
) -> None:
    accept(tx, "a")
    accept(tx, "other", NEW_GP)
    claim(tx)
    to = GP if into is State.DELIVERED else None
    assert outbox.end(tx, "task-a", "one", into, reason, NOON + SECOND, keep_payload=keep, delivered_to=to)
    found = held(tx, "a")
    assert (found.state, found.reason, found.delivered_to, found.changed) == (into, reason, to, NOON + SECOND)
    assert payloads(tx) == ({"a", "other"} if keep else {"other"})
    assert not outbox.end(tx, "task-a", "one", State.FAILED, Reason.EXPIRED, NOON, keep_payload=False)
    assert not outbox.end(tx, "task-a", None, State.FAILED, Reason.EXPIRED, NOON, keep_payload=False)
    assert held(tx, "a") == found
    assert outbox.resume(tx, "task-a", lane=NEW_GP, now=NOON + HOUR) is keep
    assert state(tx, "a") is (State.WAITING if keep else into)


def test_only_an_end_is_an_end(tx: Transaction) -> None:
    accept(tx, "a")
    for one in (State.WAITING, State.CLAIMED, State.PARKED):
        with pytest.raises(ValueError, match="is no end"):
            outbox.end(tx, "task-a", None, one, None, NOON, keep_payload=True)


def test_without_a_claim_only_what_nobody_has_in_hand_is_ended_or_parked(tx: Transaction) -> None:
    accept(tx, "a")
    claim(tx)
    assert not outbox.park(tx, "task-a", None, Reason.PARKED_BY_OPERATOR, NOON)
    assert not outbox.end(tx, "task-a", None, State.FAILED, "objection", NOON, keep_payload=False)
    assert not outbox.resume(tx, "task-a", lane=GP, now=NOON)
    assert outbox.postpone(tx, "task-a", "one", until=NOON, now=NOON, doubtful=False)
    assert not outbox.resume(tx, "task-a", lane=GP, now=NOON)
    assert outbox.park(tx, "task-a", None, Reason.PARKED_BY_OPERATOR, NOON)
    assert outbox.end(tx, "task-a", None, State.FAILED, "objection", NOON, keep_payload=False)
    assert payloads(tx) == set()


def test_a_rejection_settles_a_doubt(tx: Transaction) -> None:
    for name in "ab":
        accept(tx, name)
    claim(tx)
    for name, reason in (("a", Reason.REJECTED), ("b", Reason.NEVER_MARKED)):
        outbox.postpone(tx, f"task-{name}", "one", until=NOON, now=NOON, doubtful=True)
        outbox.end(tx, f"task-{name}", None, State.FAILED, reason, NOON, keep_payload=True)
    assert (held(tx, "a").doubtful, held(tx, "b").doubtful) == (False, True)


def test_parking_and_resuming_begin_the_way_anew(tx: Transaction) -> None:
    accept(tx, "a")
    claim(tx)
    later = NOON + 4 * DAY
    assert outbox.park(tx, "task-a", "one", Reason.NO_ENDPOINT, later)
    parked = held(tx, "a")
    assert (parked.state, parked.reason, parked.lane) == (State.PARKED, Reason.NO_ENDPOINT, None)
    assert (parked.unmarked, parked.expires) == (0, later + 30 * DAY)
    much_later = later + 20 * DAY
    assert outbox.expire(tx, much_later, 10) == []
    assert outbox.resume(tx, "task-a", lane=NEW_GP, now=much_later)
    back = held(tx, "a")
    assert (back.state, back.reason, back.lane, back.due) == (State.WAITING, None, NEW_GP, much_later)
    assert (back.begun, back.expires, back.attempts) == (None, much_later + 5 * DAY, 1)
    assert names(claim(tx, much_later)) == ["a"]


EXPIRY = {
    "waiting, never tried": (lambda tx: None, 5, State.FAILED, Reason.EXPIRED),
    "tried in vain": (
        lambda tx: (claim(tx), outbox.postpone(tx, "task-a", "one", until=NOON, now=NOON, doubtful=False)),
        5, State.FAILED, Reason.EXPIRED,
    ),
    "may have arrived": (
        lambda tx: (claim(tx), outbox.postpone(tx, "task-a", "one", until=NOON, now=NOON, doubtful=True)),
        5, State.UNKNOWN, Reason.REPLY_LOST,
    ),
    "stopped": (lambda tx: outbox.stop(tx, None, NOON, "operator", "storm"), 5, State.FAILED, Reason.EXPIRED),
    "parked": (lambda tx: outbox.park(tx, "task-a", None, "no-endpoint", NOON), 30, State.FAILED, Reason.EXPIRED),
}  # fmt: skip


@pytest.mark.parametrize(("first", "days", "into", "reason"), EXPIRY.values(), ids=EXPIRY.keys())
def test_a_message_whose_time_is_up_ends_and_its_payload_goes(
    tx: Transaction, first: Callable[[Transaction], object], days: int, into: State, reason: Reason
) -> None:
    accept(tx, "a")
    first(tx)
    accept(tx, "young", NEW_GP, at=NOON + DAY)
    just_before = NOON + days * DAY - timedelta(microseconds=1)
    assert "task-a" not in {one.envelope.id for one in outbox.expire(tx, just_before, 10)}
    ended = outbox.expire(tx, NOON + days * DAY, 1)
    assert [(one.envelope.id, one.state, one.reason) for one in ended if one.envelope.id == "task-a"] == [
        ("task-a", into, reason)
    ]
    assert held(tx, "a") in ended
    assert "a" not in payloads(tx)
    assert not outbox.resume(tx, "task-a", lane=GP, now=NOON)


def test_expiry_takes_so_many_at_a_time_the_oldest_first_and_none_in_hand(tx: Transaction) -> None:
    fill(tx, {1: 3, 2: 1})
    claim(tx, NOON, sick=(lane(1), lane(2)), busy={lane(1): 1})
    late = NOON + 6 * DAY
    assert [one.envelope.id for one in outbox.expire(tx, late, 2)] == ["task-1-0", "task-1-1"]
    assert [one.envelope.id for one in outbox.expire(tx, late, 2)] == ["task-1-2"]
    assert outbox.expire(tx, late, 2) == []
    assert state(tx, "2-0") is State.CLAIMED


def test_payloads_kept_for_a_retry_go_when_the_five_days_are_over(tx: Transaction) -> None:
    for name in ("kept", "unknown", "waiting"):
        accept(tx, name)
    claim(tx)
    outbox.end(tx, "task-kept", "one", State.FAILED, Reason.REJECTED, NOON, keep_payload=True)
    outbox.end(tx, "task-unknown", "one", State.UNKNOWN, Reason.REPLY_LOST, NOON, keep_payload=True)
    assert outbox.purge(tx, NOON + 5 * DAY - SECOND) == 0
    assert outbox.purge(tx, NOON + 5 * DAY) == 2
    assert payloads(tx) == {"waiting"}
    assert outbox.keys_in_use(tx) == {"key-1"}


# --- the GP of record changes ----------------------------------------------------------------------------------------


def test_a_new_gp_of_record_gets_what_is_on_its_way(tx: Transaction) -> None:
    stranger = PatientKey(b"s" * 12)
    accept(tx, "waiting")
    accept(tx, "named", recipient=GP)
    accept(tx, "strangers", patient=stranger)
    accept(tx, "nobody's", None)
    accept(tx, "unreachable", GP, Reason.NO_ENDPOINT)
    accept(tx, "aside")
    outbox.park(tx, "task-aside", None, Reason.PARKED_BY_OPERATOR, NOON)
    later = NOON + HOUR
    assert outbox.reroute(tx, PATIENT, NEW_GP, later) == 3
    for name in ("waiting", "nobody's", "unreachable"):
        found = held(tx, name)
        assert (found.state, found.lane, found.due, found.reason) == (State.WAITING, NEW_GP, later, None), name
    assert held(tx, "waiting").expires == NOON + 5 * DAY
    assert held(tx, "nobody's").expires == later + 5 * DAY
    assert (held(tx, "named").lane, held(tx, "strangers").lane) == (GP, GP)
    assert state(tx, "aside") is State.PARKED
    assert outbox.reroute(tx, PATIENT, NEW_GP, later + HOUR) == 0
    assert held(tx, "waiting").due == later


def test_a_message_in_hand_finishes_its_attempt_and_then_goes_to_the_new_gp(tx: Transaction) -> None:
    accept(tx, "a")
    claim(tx)
    assert outbox.reroute(tx, PATIENT, NEW_GP, NOON) == 1
    assert (state(tx, "a"), held(tx, "a").lane) == (State.CLAIMED, NEW_GP)
    assert outbox.postpone(tx, "task-a", "one", until=NOON, now=NOON, doubtful=False)
    outbox.stop(tx, GP, NOON, "operator", "gone")
    assert names(claim(tx)) == ["a"]


def test_without_a_gp_of_record_what_waits_is_parked_and_wakes_with_the_next(tx: Transaction) -> None:
    accept(tx, "a")
    accept(tx, "named", recipient=GP)
    assert outbox.reroute(tx, PATIENT, None, NOON + HOUR) == 1
    found = held(tx, "a")
    assert (found.state, found.reason, found.lane) == (State.PARKED, Reason.NO_GP_OF_RECORD, None)
    assert found.expires == NOON + HOUR + 30 * DAY
    assert state(tx, "named") is State.WAITING
    assert outbox.reroute(tx, PATIENT, NEW_GP, NOON + DAY) == 1
    assert (state(tx, "a"), held(tx, "a").lane) == (State.WAITING, NEW_GP)


@pytest.mark.parametrize("parked_by", ["the network", "an operator"])
def test_whoever_parks_it_a_claim_nobody_told_the_end_of_counts_no_more(tx: Transaction, parked_by: str) -> None:
    accept(tx, "a")
    claim(tx)
    outbox.stop(tx, GP, NOON, "operator", "so that it is freed and not claimed again")
    assert claim(tx, wall=WALL + LEASE) == []
    assert (state(tx, "a"), held(tx, "a").unmarked) == (State.WAITING, 1)
    if parked_by == "the network":
        assert outbox.reroute(tx, PATIENT, None, NOON) == 1
    else:
        assert outbox.park(tx, "task-a", None, Reason.PARKED_BY_OPERATOR, NOON)
    assert (state(tx, "a"), held(tx, "a").unmarked) == (State.PARKED, 0)


# --- what can be seen ------------------------------------------------------------------------------------------------


def test_every_message_is_counted_once(tx: Transaction) -> None:
    fill(tx, {1: 3})
    accept(tx, "parked", None)
    accept(tx, "delivered", NEW_GP)
    claim(tx, sick=(lane(1),))
    outbox.end(tx, "task-delivered", "one", State.DELIVERED, None, NOON, keep_payload=False)
    counted = outbox.counts(tx)
    assert counted.accepted == 5
    assert counted.of == {
        State.WAITING: 2, State.CLAIMED: 1, State.PARKED: 1, State.DELIVERED: 1, State.FAILED: 0, State.UNKNOWN: 0,
    }  # fmt: skip
    assert counted.conserved
    tx.run("DELETE FROM payload")
    tx.run("DELETE FROM outbox WHERE id = 'task-parked'")
    assert not outbox.counts(tx).conserved, "a message that vanished is noticed"


def test_the_list_is_in_the_order_of_acceptance_page_by_page(tx: Transaction) -> None:
    for name in "abcde":
        accept(tx, name, None if name in "bd" else GP)

    def listed(which: State | None, limit: int, after: str | None) -> str:
        found = outbox.listing(tx, which, limit, after)
        return "".join(one.envelope.id.removeprefix("task-") for one in found)

    assert listed(None, 3, None) == "abc"
    assert listed(None, 3, "task-c") == "de"
    assert listed(None, 3, "task-e") == listed(None, 3, "unknown") == ""
    assert listed(State.PARKED, 1, None) == "b"
    assert listed(State.PARKED, 9, "task-b") == "d"
    assert listed(State.WAITING, 9, None) == "ace"


# --- at rest ---------------------------------------------------------------------------------------------------------


def test_the_schema_refuses_a_waiting_message_without_a_lane(ledger: Ledger) -> None:
    from gateway.stores.ledger import LedgerRefused

    def broken(tx: Transaction) -> None:
        accept(tx, "a")
        tx.run("UPDATE outbox SET lane = NULL")

    with pytest.raises(LedgerRefused):
        ledger.commit_now(broken)


def test_a_ledger_from_before_the_outbox_is_brought_up_to_date(ledger_url: str) -> None:
    """Version 1 is written by hand as it was released, with a line of content, and opened by today's program."""
    steps = [sql.format(**_words(ledger_url)) for sql in schema.STEPS[0]]
    old = "CREATE TABLE schema_version (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)"
    kept = "INSERT INTO organisation VALUES ('90000401', 'N6', 'Old post', '[]', '')"
    dialect = schema.Dialect.SQLITE if ledger_url.startswith("sqlite") else schema.Dialect.POSTGRESQL
    for sql in (*steps, *schema._UNTOUCHABLE[dialect], old, "INSERT INTO schema_version VALUES (1, 1)", kept):
        _outside(ledger_url, sql)
    upgraded = open_ledger(ledger_url)
    try:
        upgraded.commit_now(lambda tx: accept(tx, "a"))
        assert upgraded.read_now(lambda tx: tx.row("SELECT name FROM organisation")) == ("Old post",)
        assert upgraded.read_now(schema.check) == len(schema.STEPS) >= 2
        assert upgraded.read_now(outbox.counts).conserved
    finally:
        upgraded.close()


def _words(url: str) -> dict[str, str]:
    dialect = schema.Dialect.SQLITE if url.startswith("sqlite") else schema.Dialect.POSTGRESQL
    return dict(zip(("blob", "key", "packed"), dialect.value, strict=True))


def _outside(url: str, sql: str) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite://")) as db:
            db.execute(sql)
        db.close()
    else:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(sql.encode())


def _at_rest(path: Path) -> bytes:
    found = sorted(path.parent.glob(path.name + "*"))
    assert {one.name for one in found} >= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    return b"".join(one.read_bytes() for one in found)


@pytest.mark.parametrize("size", [40, 700, 20_000], ids=["in a leaf", "in part of a page", "over many pages"])
async def test_nothing_of_a_delivered_message_is_left_in_the_file(tmp_path: Path, size: int) -> None:
    """While it waits no plain word is there; after delivery and a scrub not one piece of the sealed bytes either. Its
    neighbours in the same pages stay whole."""
    path = tmp_path / "ledger.db"
    ledger, seals = open_ledger(f"sqlite://{path}"), Seals({"k": bytes(32)})
    sealed = [seals.seal(b"planted word " * (size // 13), str(n).encode()) for n in range(40)]

    def fill_all(tx: Transaction) -> None:
        for n, one in enumerate(sealed):
            outbox.accept(tx, envelope(str(n)), DIGEST, one, lane=lane(n), reason=None)

    await ledger.commit(fill_all)
    assert await ledger.scrub()
    for n, one in enumerate(sealed):
        assert one.sealed[:32] in _at_rest(path), n
    assert b"planted" not in _at_rest(path)
    claimed = await ledger.commit(claim)
    assert len(claimed) == 40
    for n in range(0, 40, 2):
        unit = _delivering(n)
        assert await ledger.commit(unit)
    assert await ledger.scrub()
    left = _at_rest(path)
    for n, one in enumerate(sealed):
        pieces = [one.sealed[i : i + 16] for i in range(0, len(one.sealed) - 16, 16)]
        found = [piece in left for piece in pieces[:20] + pieces[-20:]]
        assert not any(found) if n % 2 == 0 else sum(found) > 0.5 * len(found), n
    ledger.close()


def _delivering(n: int) -> Callable[[Transaction], bool]:
    return lambda tx: outbox.end(tx, f"task-{n}", "one", State.DELIVERED, None, NOON, keep_payload=False)


async def test_scrubbing_empties_the_log_while_others_go_on_writing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    one, other = (open_ledger(f"sqlite://{path}") for _ in range(2))
    await one.commit(lambda tx: accept(tx, "a"))
    await other.commit(lambda tx: accept(tx, "b"))
    assert path.with_name("ledger.db-wal").stat().st_size > 0
    assert await one.scrub()
    assert path.with_name("ledger.db-wal").stat().st_size == 0
    await other.commit(lambda tx: accept(tx, "c"))
    assert (await one.read(outbox.counts)).accepted == 3
    one.close()
    other.close()
    with pytest.raises(LedgerUnavailable):
        await one.scrub()


async def test_scrubbing_says_when_somebody_was_reading(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger(f"sqlite://{path}", patience=0.2)
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM outbox").fetchall()
    await ledger.commit(lambda tx: accept(tx, "a"))
    assert not await ledger.scrub()
    reader.close()
    assert await ledger.scrub()
    ledger.close()


async def test_both_databases_can_be_scrubbed_and_one_opened_for_reading_cannot(
    ledger: Ledger, ledger_url: str
) -> None:
    await ledger.commit(lambda tx: accept(tx, "a"))
    assert await ledger.scrub()
    looking = open_ledger(ledger_url, read_only=True)
    with pytest.raises(LedgerUnavailable):
        await looking.scrub()
    looking.close()
