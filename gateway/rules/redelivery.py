"""When is a message tried again, and when is it given up? What came of an attempt in, the next step out.

Pure: no clock and no chance of its own; the moment and the jitter are arguments. All times are domain time.
Source: interface.md section 7 "Delivery", domain.md section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.rules.message import Reason, Reply, State, Taking

ON_THE_WAY = timedelta(days=5)
"""How long a message is tried, from its acceptance, or from the moment somebody put it on its way again."""
PARKED = timedelta(days=30)
"""How long a message waits parked for people, from the moment it was parked."""
MOST_UNMARKED = 10
"""Claims in a row of which nobody told the outcome, after which the message itself is the suspect."""

FAST_PHASE = timedelta(minutes=5)
_FAST = (2.0, 4.0, 8.0, 15.0, 25.0)
_SLOWEST = 7200.0
_SLOW_FROM = 60.0
_JITTER = 0.2
_LONGEST_ASKED = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Course:
    """How a message has fared up to and including the attempt just made: `attempts` counts it, `begun` is when the
    first of them began, `expires` when it is given up. `doubtful`: some earlier attempt may have arrived."""

    attempts: int
    begun: datetime
    expires: datetime
    doubtful: bool


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at `when`. `doubtful`: this or an earlier attempt may have arrived."""

    when: datetime
    doubtful: bool


@dataclass(frozen=True, slots=True)
class End:
    """The message has reached an end; `reason` is None when it was delivered."""

    state: State
    reason: Reason | None


def next_step(reply: Reply, course: Course, *, now: datetime, jitter: float) -> RetryAt | End:
    """What follows from the reply to an attempt at `now`. `jitter` is between -1 and 1, drawn anew for each attempt.

    Taken ends it delivered and rejected ends it failed, whatever an earlier lost reply left in doubt: the recipient
    has just said that it has it, or never will. Everything else is tried again until `course.expires`.
    """
    if reply.taking is Taking.TAKEN:
        return End(State.DELIVERED, None)
    if reply.taking is Taking.REJECTED:
        return End(State.FAILED, Reason.REJECTED)
    doubtful = course.doubtful or reply.taking is Taking.REPLY_LOST
    if now >= course.expires:
        return expired(doubtful=doubtful)
    wait = max(delay(course, now=now, jitter=jitter), _asked_for(reply))
    return RetryAt(min(now + timedelta(seconds=wait), course.expires), doubtful)


def delay(course: Course, *, now: datetime, jitter: float) -> float:
    """Seconds until the next attempt: 2, 4, 8, 15, 25, 25 … during the first five minutes, so at most 30 apart; then as
    long again as the slow part has lasted, from a minute up to two hours. Each a fifth more or less by `jitter`.

    Told by time, not by count: neither a stopped lane nor a slow recipient stretches the fast part. A clock that was
    set back behind the first attempt begins it anew.
    """
    slow_for = (now - course.begun - FAST_PHASE).total_seconds()
    if slow_for < 0:
        plain = _FAST[min(max(course.attempts, 1), len(_FAST)) - 1]
    else:
        plain = min(slow_for + _SLOW_FROM, _SLOWEST)
    return plain * (1 + _JITTER * min(max(jitter, -1.0), 1.0))


def _asked_for(reply: Reply) -> float:
    """The seconds a recipient asked us to wait, six hours at most; none, when it asked for nothing sensible."""
    asked = reply.retry_after
    # written so that a NaN counts as nothing
    return min(asked, _LONGEST_ASKED) if asked is not None and asked > 0 else 0.0


def expired(*, doubtful: bool) -> End:
    """How a message ends whose time is up: failed, or of unknown outcome when some attempt may have arrived."""
    return End(State.UNKNOWN, Reason.REPLY_LOST) if doubtful else End(State.FAILED, Reason.EXPIRED)


def is_poison(unmarked: int) -> bool:
    """Whether a message takes its deliverer down with it. `unmarked` counts the claim at hand, too."""
    return unmarked > MOST_UNMARKED
