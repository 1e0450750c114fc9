"""How is one source reached? Its pinned addresses, its kept connections, and the proof that it is who we mean.

Knows one registered endpoint. Knows nothing of permits, FHIR or what an answer means.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.rules.exchange import Address
from gateway.sources.asking import Target
from gateway.sources.bounds import Fault, Limits, unreachable
from gateway.sources.breaker import Breaker, Outcome, State
from gateway.sources.wire import Response, Wire

_FAREWELL_S = 1.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to IP addresses as text. Raises OSError."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(info[4][0]) for info in found))


Dial = Callable[[Callable[[], Wire], str, Target, ssl.SSLContext], Awaitable[Wire]]
"""Connects a new wire to one IP address of a target. Raises OSError, ssl.SSLError."""


async def dial(make: Callable[[], Wire], ip: str, to: Target, context: ssl.SSLContext) -> Wire:
    """A TLS connection over a socket."""
    _, wire = await asyncio.get_running_loop().create_connection(
        make, ip, to.port, ssl=context, server_hostname=to.host, ssl_shutdown_timeout=_FAREWELL_S
    )
    return wire


@dataclass(frozen=True, slots=True)
class Reach:
    """How a source is found and connected to: by the system's resolver and TLS, unless the caller brings another way.

    Whatever dials hands over a wire whose `ssl_object` shows the certificate: the owner is checked all the same.
    """

    resolve: Resolve = resolve
    dial: Dial = dial


class Endpoint:
    """One registered endpoint and everything kept about it. Must be used from one event loop."""

    def __init__(
        self,
        address: Address,
        to: Target,
        *,
        limits: Limits,
        context: ssl.SSLContext,
        organisation: Callable[[bytes], str | None],
        reach: Reach,
    ) -> None:
        self.address, self.to = address, to
        self.breaker = Breaker(window=limits.window, failures=limits.failures, rest_s=limits.rest_s)
        self.last_good: float | None = None
        self.counts: dict[str, int] = {}
        self._limits, self._context = limits, context
        self._organisation, self._reach = organisation, reach
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(limits.connections)
        self._pinned: Sequence[str] = ()
        self._idle: deque[Wire] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    async def call(self, request: bytes) -> Response:
        """Send one request, on a kept connection if there is one. Raises Fault.

        A kept connection may have been closed by the source just as we wrote to it. Then, and only if not one byte of
        an answer came, the request is sent once more on a fresh connection: a search changes nothing at the source, so
        the worst that can happen is that it was read twice. Every other failure is told, never retried.
        """
        async with self._places:
            kept = self._take()
            if kept is not None:
                try:
                    return await self._over(kept, request)
                except Fault as fault:
                    if not fault.untouched:
                        raise
            return await self._over(await self._open(), request)

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Wire]:
        """A connection on which nothing has been sent yet, for the one exchange the caller begins at once and must not
        repeat. It is kept afterwards if the exchange went well. Raises Fault while none of the request is written."""
        async with self._places:
            wire = self._take_quiet() or await self._open()
            self._check_owner(wire)
            yield wire
            self._give_back(wire)

    def learn(self, ticket: int, outcome: Outcome) -> None:
        """A call with this breaker ticket ended so."""
        now = self._loop.time()
        self.breaker.leave(ticket, outcome, now)
        if outcome is Outcome.GOOD:
            self.last_good = now
        if self.breaker.state is State.OPEN:
            self.forget_address()  # the probe finds a source that moved

    def forget_address(self) -> None:
        """Resolve the host anew for the next connection, so that a system that moved is found."""
        self._pinned = ()

    def close(self) -> None:
        """Close what is kept; a call under way ends by its own deadline."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._idle:
            self._idle.pop().abort()

    async def _over(self, wire: Wire, request: bytes) -> Response:
        self._check_owner(wire)
        response = await wire.exchange(request)
        self._give_back(wire)
        return response

    def _check_owner(self, wire: Wire) -> None:
        """Asked on every call, not once per connection: a certificate revoked since then must not stay good."""
        if self._organisation(wire.certificate) != self.address.ura.digits:
            wire.abort()
            raise unreachable("certificate of another organisation")

    # --- opening -----------------------------------------------------------------------------------------------------

    async def _open(self) -> Wire:
        for ip in await self._addresses():
            try:
                return await self._connect(ip)
            except ssl.SSLError as error:
                raise unreachable(f"TLS failure: {error.reason or 'closed'}") from None
            except OSError:
                continue
        raise unreachable("no connection")

    async def _addresses(self) -> Sequence[str]:
        if not self._pinned:
            try:
                self._pinned = await self._reach.resolve(self.to.host, self.to.port)
            except OSError:
                raise unreachable("host not found") from None
        return self._pinned

    async def _connect(self, ip: str) -> Wire:
        return await self._reach.dial(lambda: Wire(self._loop, self._limits), ip, self.to, self._context)

    # --- keeping -----------------------------------------------------------------------------------------------------

    def _take(self) -> Wire | None:
        while self._idle:
            wire = self._idle.pop()
            if wire.usable:
                return wire
        return None

    def _take_quiet(self) -> Wire | None:
        """A kept connection on which nothing lies unread: it could be the peer's farewell."""
        while (wire := self._take()) is not None:
            if wire.quiet():
                return wire
            wire.abort()
        return None

    def _give_back(self, wire: Wire) -> None:
        if not wire.usable:
            wire.abort()
            return
        wire.idle_since = self._loop.time()
        self._idle.append(wire)
        if len(self._idle) > self._limits.idle:
            self._idle.popleft().close()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._limits.idle_s, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        oldest = self._loop.time() - self._limits.idle_s
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.popleft().close()
        if self._idle:
            self._sweeper = self._loop.call_at(self._idle[0].idle_since + self._limits.idle_s, self._sweep)
