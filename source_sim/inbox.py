"""Which messages has this system taken? Each once, whoever repeats it, in the order in which they came.

It knows messages by their key. It may not know what is made of them, nor read a clock: the time is an argument.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from source_sim.medicine import instant
from source_sim.receiving import Delivered


@dataclass(slots=True)
class Kept:
    """One message in the inbox: never a BSN, never content. `at` is the domain time of the first taking, `repeats` the
    takings after it, `altered` those of them that had other bytes."""

    id: str
    event: str
    sender: str
    at: str
    digest: bytes = field(repr=False)
    repeats: int = 0
    altered: int = 0


class Inbox:
    """The inbox of one system; what it keeps lives as long as the system does."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Kept] = {}
        self._reports = defaultdict[str, list[bytes]](list)

    def knows(self, message: Delivered) -> bool:
        return message.key in self._kept

    def take(self, message: Delivered, at: datetime) -> bool:
        """Keep the message; False if it is a repeat, which is only counted."""
        digest, before = sha256(message.body).digest(), self._kept.get(message.key)
        if before is not None:
            before.repeats += 1
            before.altered += digest != before.digest
            return False
        self._kept[message.key] = Kept(message.id, message.event, message.sender, instant(at), digest)
        if message.event == "return-message":
            for bsn in message.patients:
                self._reports[bsn].append(message.body)
        return True

    def about(self, bsn: str) -> tuple[bytes, ...]:
        """The return messages about this patient, oldest first."""
        return tuple(self._reports.get(bsn, ()))

    def listing(self) -> list[dict[str, object]]:
        """Every message once, oldest first: id, event, sender (URA), at (domain time), repeats, altered."""
        shown = ("id", "event", "sender", "at", "repeats", "altered")
        return [{name: getattr(one, name) for name in shown} for one in self._kept.values()]
