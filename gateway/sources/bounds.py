"""How much does the exchange bear from a source before it gives up on it?

The caps on one call and one endpoint, and the word for a call that broke one. Knows nothing of sockets or FHIR.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.rules.exchange import Failing, Failure


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps per answer in bytes, per endpoint in connections, times in seconds (promises.md section 2)."""

    head: int = 32 * 1024
    """Status line, headers and trailers, interim (1xx) heads included."""
    body: int = 10 * 1024 * 1024
    """The body as it travels: compressed if it is, chunk framing included."""
    unpacked: int = 20 * 1024 * 1024
    """The body as it is read."""
    connections: int = 64
    """At once per endpoint; further calls wait for a free one under their own deadline."""
    idle: int = 32
    """Kept open per endpoint while nobody asks."""
    idle_s: float = 60.0
    """How long a connection is kept open unused."""
    window: int = 10
    """The breaker looks at this many last calls ..."""
    failures: int = 5
    """... and opens when this many of them failed ..."""
    rest_s: float = 10.0
    """... and lets a single probe through after this long."""


class Fault(Exception):
    """A call broke. Carries the Failure it becomes; `untouched`: the peer closed before a single byte of an answer;
    `unread`: it has certainly read nothing of the request."""

    def __init__(self, failing: Failing, detail: str, *, untouched: bool = False, unread: bool = False) -> None:
        super().__init__(detail)
        self.failure = Failure(failing, detail, breaker=True)
        self.untouched, self.unread = untouched, unread


def unreachable(detail: str, *, untouched: bool = False, unread: bool = False) -> Fault:
    return Fault(Failing.UNREACHABLE, detail, untouched=untouched, unread=unread)


def malformed(detail: str) -> Fault:
    return Fault(Failing.MALFORMED, detail)
