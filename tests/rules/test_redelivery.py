"""Is a message tried soon, then patiently, and given up in time? The schedule case by case, and as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.message import Reason, Reply, State, Taking
from gateway.rules.redelivery import (
    FAST_PHASE,
    MOST_UNMARKED,
    ON_THE_WAY,
    Course,
    End,
    RetryAt,
    delay,
    expired,
    is_poison,
    next_step,
)

NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)
RETRIED = [Taking.TURNED_AWAY, Taking.UNREACHABLE, Taking.REPLY_LOST]
seconds = st.floats(0, 6 * 86400, allow_nan=False)
jitters = st.floats(-1, 1, allow_nan=False)


def course(attempts: int = 1, *, doubtful: bool = False, begun: datetime = NOON) -> Course:
    return Course(attempts, begun, NOON + ON_THE_WAY, doubtful)


def after(elapsed: float) -> datetime:
    return NOON + timedelta(seconds=elapsed)


DELAYS = {
    "first": (1, 0, 2),
    "second": (2, 3, 4),
    "third": (3, 8, 8),
    "fourth": (4, 20, 15),
    "fifth": (5, 40, 25),
    "all through five minutes": (14, 299.9, 25),
    "a message that waited in a stopped lane begins fast whatever the day": (1, 299, 2),
    "slow from five minutes on": (15, 300, 60),
    "doubles": (16, 360, 120),
    "doubles again": (17, 480, 240),
    "an hour later": (20, 3840, 3600),
    "two hours at most": (21, 7440, 7200),
    "two hours on day four": (70, 4 * 86400, 7200),
    "clock set back behind the first attempt": (9, -3600, 25),
}


@pytest.mark.parametrize(("attempts", "elapsed", "wait"), DELAYS.values(), ids=DELAYS.keys())
def test_the_delay(attempts: int, elapsed: float, wait: float) -> None:
    assert delay(course(attempts), now=after(elapsed), jitter=0) == pytest.approx(wait)
    assert delay(course(attempts), now=after(elapsed), jitter=1) == pytest.approx(1.2 * wait)
    assert delay(course(attempts), now=after(elapsed), jitter=-1) == pytest.approx(0.8 * wait)


ENDS = {
    "taken": (Reply(Taking.TAKEN), False, 0, End(State.DELIVERED, None)),
    "taken after doubt": (Reply(Taking.TAKEN), True, 0, End(State.DELIVERED, None)),
    "taken at the last moment": (Reply(Taking.TAKEN), False, 6 * 86400, End(State.DELIVERED, None)),
    "rejected": (Reply(Taking.REJECTED), False, 0, End(State.FAILED, Reason.REJECTED)),
    "rejected clears a doubt": (Reply(Taking.REJECTED), True, 0, End(State.FAILED, Reason.REJECTED)),
    "rejected is not retried because it asks": (
        Reply(Taking.REJECTED, retry_after=5), False, 0, End(State.FAILED, Reason.REJECTED),
    ),
    "unreachable too long": (Reply(Taking.UNREACHABLE), False, 5 * 86400, End(State.FAILED, Reason.EXPIRED)),
    "turned away too long": (Reply(Taking.TURNED_AWAY), False, 5 * 86400, End(State.FAILED, Reason.EXPIRED)),
    "the last reply lost": (Reply(Taking.REPLY_LOST), False, 5 * 86400, End(State.UNKNOWN, Reason.REPLY_LOST)),
    "an earlier reply lost": (Reply(Taking.UNREACHABLE), True, 5 * 86400, End(State.UNKNOWN, Reason.REPLY_LOST)),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "doubtful", "elapsed", "end"), ENDS.values(), ids=ENDS.keys())
def test_how_a_message_ends(reply: Reply, doubtful: bool, elapsed: float, end: End) -> None:
    assert next_step(reply, course(doubtful=doubtful), now=after(elapsed), jitter=0) == end


ASKED = {
    "nothing asked": (None, 2),
    "less than we would wait": (1, 2),
    "more": (90, 90),
    "hours": (7200, 7200),
    "days are cut to six hours": (86400 * 3, 6 * 3600),
    "for ever": (inf, 6 * 3600),
    "before now": (-5, 2),
    "nonsense": (nan, 2),
}


@pytest.mark.parametrize(("asked", "wait"), ASKED.values(), ids=ASKED.keys())
def test_what_a_recipient_asks_is_a_floor(asked: float | None, wait: float) -> None:
    step = next_step(Reply(Taking.TURNED_AWAY, retry_after=asked), course(), now=NOON, jitter=0)
    assert step == RetryAt(after(wait), doubtful=False)


@pytest.mark.parametrize("taking", RETRIED)
@pytest.mark.parametrize("before", [False, True])
def test_a_doubt_comes_with_a_lost_reply_and_stays(taking: Taking, before: bool) -> None:
    step = next_step(Reply(taking), course(doubtful=before), now=NOON, jitter=0)
    assert isinstance(step, RetryAt)
    assert step.doubtful is (before or taking is Taking.REPLY_LOST)


def test_expired_says_what_is_known() -> None:
    assert expired(doubtful=False) == End(State.FAILED, Reason.EXPIRED)
    assert expired(doubtful=True) == End(State.UNKNOWN, Reason.REPLY_LOST)


def test_ten_deliverers_may_die_over_a_message_and_not_one_more() -> None:
    assert not is_poison(MOST_UNMARKED)  # the tenth claim, at hand
    assert is_poison(MOST_UNMARKED + 1)
    assert MOST_UNMARKED == 10


@given(st.integers(0, 10_000), st.integers(0, 299_999), jitters)
def test_in_the_first_five_minutes_the_next_attempt_is_within_thirty_seconds(n: int, ms: int, jitter: float) -> None:
    s = ms / 1000
    step = next_step(Reply(Taking.UNREACHABLE), course(n), now=after(s), jitter=jitter)
    assert isinstance(step, RetryAt)
    assert timedelta(0) < step.when - after(s) <= timedelta(seconds=30)


@given(st.integers(1, 100), seconds, st.integers(0, 100), seconds)
def test_it_only_grows_more_patient(n: int, s: float, more: int, later: float) -> None:
    assert delay(course(n), now=after(s), jitter=0) <= delay(course(n + more), now=after(s + later), jitter=0)


@given(st.sampled_from(RETRIED), st.floats(), seconds, st.floats(allow_nan=False))
def test_never_planned_beyond_the_end_nor_in_the_past(t: Taking, asked: float, s: float, jitter: float) -> None:
    step = next_step(Reply(t, retry_after=asked), course(), now=after(s), jitter=jitter)
    if isinstance(step, RetryAt):
        assert after(s) < step.when <= NOON + ON_THE_WAY
    else:
        assert s >= ON_THE_WAY.total_seconds()


@given(st.lists(st.tuples(st.sampled_from(RETRIED), jitters), min_size=1, max_size=5), st.floats(0, 10))
def test_it_comes_to_an_end_within_five_days_and_a_hundred_or_so_attempts(
    replies: list[tuple[Taking, float]], takes: float
) -> None:
    """Whatever is replied, however long an attempt takes; and the gaps stay small for the whole first five minutes."""
    now, attempts, doubtful, lost = NOON, 0, False, False
    while True:
        taking, jitter = replies[attempts % len(replies)]
        attempts += 1
        now += timedelta(seconds=takes)
        lost = lost or taking is Taking.REPLY_LOST
        step = next_step(Reply(taking), course(attempts, doubtful=doubtful), now=now, jitter=jitter)
        if isinstance(step, End):
            break
        assert now - NOON >= FAST_PHASE or step.when - now <= timedelta(seconds=30)
        now, doubtful = step.when, step.doubtful
        assert attempts < 250
    assert step == expired(doubtful=lost)
    assert now - NOON <= ON_THE_WAY + timedelta(seconds=10)
