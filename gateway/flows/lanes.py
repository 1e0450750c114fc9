"""Which recipients do not answer now, and when is each looked at again? What one process remembers of its attempts.

A lane whose last attempt failed, or from which nobody has answered yet, gets one message at a time, its probe; the
others of that lane wait for it, and cost nothing. So after a start the dead cannot take all places at once. In memory
only: forgetting it costs a few attempts. Knows no message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.rules.identifiers import Ura
from gateway.rules.message import Reply, Taking

PER_LANE = 4
"""How many messages one healthy recipient gets at a time."""

_PROBES = (2.0, 4.0, 8.0, 15.0)
"""Seconds until the next probe after one, two, three and more failures: a message's own first retries are as far apart,
and nobody who is back waits longer than the last of them to be found well."""
_LONGEST_ASKED = 300.0
"""Seconds for which a recipient may hold up its whole lane by Retry-After."""
_ANSWERED = frozenset({Taking.TAKEN, Taking.REJECTED})


@dataclass(frozen=True, slots=True)
class _Ill:
    """How often the probes failed in a row, and when the next may go (domain time, as the
    schedule of the messages)."""

    failures: int
    since: datetime
    until: datetime

    def rests(self, now: datetime) -> bool:
        """Not yet to be probed. A clock set back behind the last failure ends the rest: it would else be long."""
        return self.since <= now < self.until


class Lanes:
    """What is known of the recipients, and how many messages each has in flight from here."""

    def __init__(self) -> None:
        self._well: set[Ura] = set()
        self._ill: dict[Ura, _Ill] = {}
        self._flying: dict[Ura, int] = {}

    def sick(self, everybody: Iterable[Ura]) -> frozenset[Ura]:
        """Who of these is not known to be well."""
        return frozenset(everybody) - self._well

    def busy(self, now: datetime) -> Mapping[Ura, int]:
        """How many each lane has in flight; one that rests is full."""
        resting = {ura: PER_LANE for ura, ill in self._ill.items() if ill.rests(now)}
        return {**self._flying, **resting}

    def took_off(self, ura: Ura) -> None:
        self._flying[ura] = self._flying.get(ura, 0) + 1

    def landed(self, ura: Ura) -> None:
        left = self._flying.pop(ura) - 1
        if left:
            self._flying[ura] = left

    def learn(self, ura: Ura, reply: Reply, now: datetime) -> bool:
        """Take in how an attempt at this recipient went; True when one that was ill has come back."""
        if reply.taking in _ANSWERED:
            self._well.add(ura)
            return self._ill.pop(ura, None) is not None
        self._well.discard(ura)
        known = self._ill.get(ura)
        if known is not None and known.rests(now):
            return False  # several were in flight when it fell ill: that is one failure
        failures = (known.failures if known else 0) + 1
        wait = max(_PROBES[min(failures, len(_PROBES)) - 1], min(reply.retry_after or 0.0, _LONGEST_ASKED))
        self._ill[ura] = _Ill(failures, now, now + timedelta(seconds=wait))
        return False
