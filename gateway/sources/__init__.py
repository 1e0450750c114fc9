"""What did that source say? The one outbound door: a permit and a question in, an answer or a classified failure out.

And the same for a message: leave to deliver and a sealed letter's content in, how it was taken out. Nothing else in the
gateway calls a system. The door holds to the deadline, the caps and the register's endpoint, and
knows nothing of who asked, of consent, or of what other sources say. Source: interface.md sections 5 and 7.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.rules.access import Permit
from gateway.rules.exchange import Address, Answer, AortaId, Failing, Failure, Query
from gateway.rules.identifiers import Bsn
from gateway.rules.message import Reply, Taking
from gateway.rules.sending import Leave
from gateway.sources import delivering
from gateway.sources.asking import judge, target, write
from gateway.sources.bounds import Fault, Limits
from gateway.sources.breaker import Outcome, State
from gateway.sources.endpoint import Dial, Endpoint, Reach, Resolve, dial, resolve
from gateway.sources.wire import Response

__all__ = ["Health", "Limits", "Reach", "Read", "Sources", "client_context"]

ANSWERED = "answered"


class Read(Protocol):
    """Reads the body of an answer: proves the patient, or says what is wrong with it. Never raises."""

    def __call__(self, body: bytes, *, patient: Bsn, resource_type: str, endpoint: str) -> Answer | Failure: ...


@dataclass(frozen=True, slots=True)
class Health:
    """How one endpoint does. `last_good` is loop time in seconds, None if it never answered; `counts` per outcome."""

    address: Address
    state: State
    last_good: float | None
    counts: Mapping[str, int]


def client_context(*, certificate: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """TLS 1.2 or better, our certificate shown, the source's verified against `ca` and its host name. PEM files.

    Raises OSError or ssl.SSLError for files that do not serve.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


Heard = Callable[[AortaId, Response], None]
"""Is told every answer as it came, with the id of the message it answers. Must neither raise nor wait."""


class Sources:
    """The outbound door. `expected_ura` tells whose certificate (DER) this is, None for nobody's; it is asked on every
    call and should remember. Must be used from one event loop."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext,
        limits: Limits,
        expected_ura: Callable[[bytes], str | None],
        read: Read,
        resolve: Resolve = resolve,
        dial: Dial = dial,
        heard: Heard | None = None,
    ) -> None:
        if not ssl_context.check_hostname or ssl_context.verify_mode is not ssl.CERT_REQUIRED:
            raise ValueError("a source's certificate and host name must be verified")
        self._context, self._limits = ssl_context, limits
        self._organisation, self._read, self._reach = expected_ura, read, Reach(resolve, dial)
        self._endpoints: dict[Address, Endpoint] = {}
        self._heard = heard

    async def ask(
        self, permit: Permit, query: Query, address: Address, *, token: str, aorta: AortaId, deadline: float
    ) -> Answer | Failure:
        """Ask one source, by `deadline` (loop time, seconds). `aorta` is this message's own; `token` the source's JWT.

        Raises TypeError without a Permit, ValueError where the permit is for another source or category.
        """
        _require_permit(permit, query, address)
        try:
            endpoint = self._endpoint(address)
        except ValueError:
            return Failure(Failing.UNREACHABLE, "registered address is not usable")
        return await self._guarded(endpoint, query, write(endpoint.to, query, token, aorta), aorta, deadline)

    async def deliver(self, leave: Leave, body: bytes, *, token: str, aorta: AortaId, deadline: float) -> Reply:
        """Deliver one message to the address leave was given for, by `deadline` (loop time, seconds). `aorta` is this
        message's own; `token` the voucher. The message is written once at most. It keeps clear of the breaker:
        deliveries have their own lanes, and neither holds the other up.

        Raises TypeError without leave.
        """
        if not isinstance(leave, Leave):
            raise TypeError("a message is delivered with leave, or not at all")
        try:
            endpoint = self._endpoint(leave.address)
        except ValueError:
            return Reply(Taking.UNREACHABLE, "registered address is not usable")
        request = delivering.write(endpoint.to, body, token, aorta)
        return await _delivered(endpoint, request, aorta, deadline, self._heard)

    def health(self) -> list[Health]:
        """Every endpoint asked so far."""
        return [Health(e.address, e.breaker.state, e.last_good, dict(e.counts)) for e in self._endpoints.values()]

    async def close(self) -> None:
        """Close all kept connections; calls under way end by their own deadline."""
        for endpoint in self._endpoints.values():
            endpoint.close()
        await asyncio.sleep(0)

    def _endpoint(self, address: Address) -> Endpoint:
        known = self._endpoints.get(address)
        if known is None:
            known = self._endpoints[address] = Endpoint(
                address,
                target(address.endpoint),
                limits=self._limits,
                context=self._context,
                organisation=self._organisation,
                reach=self._reach,
            )
        return known

    async def _guarded(
        self, endpoint: Endpoint, query: Query, request: bytes, aorta: AortaId, deadline: float
    ) -> Answer | Failure:
        """The call under its breaker, which learns how it ended also when the caller goes away."""
        now = asyncio.get_running_loop().time
        if now() >= deadline:
            return _counted(endpoint, Failure(Failing.TIMED_OUT, "no time left to ask"))
        ticket = endpoint.breaker.enter(now())
        if ticket is None:
            return _counted(endpoint, Failure(Failing.UNREACHABLE, "failed too often just now"))
        outcome = Outcome.ABANDONED
        try:
            result = await self._called(endpoint, query, request, aorta, deadline)
            outcome = Outcome.BAD if isinstance(result, Failure) and result.breaker else Outcome.GOOD
        finally:
            endpoint.learn(ticket, outcome)
        return _counted(endpoint, result)

    async def _called(
        self, endpoint: Endpoint, query: Query, request: bytes, aorta: AortaId, deadline: float
    ) -> Answer | Failure:
        try:
            async with asyncio.timeout_at(deadline):
                response = await endpoint.call(request)
        except TimeoutError:
            return Failure(Failing.TIMED_OUT, "no whole answer in time", breaker=True)
        except Fault as fault:
            return fault.failure
        if self._heard is not None:
            self._heard(aorta, response)
        body = judge(response, aorta)
        if isinstance(body, Failure):
            return body
        base = endpoint.address.endpoint
        return self._read(body, patient=query.patient, resource_type=query.resource_type, endpoint=base)


def _require_permit(permit: Permit, query: Query, address: Address) -> None:
    if not isinstance(permit, Permit):
        raise TypeError("a source is asked with a permit, or not at all")
    pointer = permit.pointer
    if address.ura != pointer.custodian or address.application != pointer.system:
        raise ValueError("the permit is for another source")
    if query.category is not pointer.category:
        raise ValueError("the permit is for another category")


async def _delivered(endpoint: Endpoint, request: bytes, aorta: AortaId, deadline: float, heard: Heard | None) -> Reply:
    """One attempt. Until the request is being written the recipient has certainly not got it; after, it may have."""
    if asyncio.get_running_loop().time() >= deadline:
        return Reply(Taking.UNREACHABLE, "no time left to deliver")
    writing = False
    try:
        async with asyncio.timeout_at(deadline), endpoint.line() as wire:
            writing = True
            response = await wire.exchange(request)
    except TimeoutError:
        reply = Reply(Taking.REPLY_LOST if writing else Taking.UNREACHABLE, "no whole answer in time")
    except Fault as fault:
        unread = fault.unread or not writing
        reply = Reply(Taking.UNREACHABLE if unread else Taking.REPLY_LOST, fault.failure.detail)
    else:
        if heard is not None:
            heard(aorta, response)
        return delivering.judge(response, aorta)
    if reply.taking is Taking.UNREACHABLE:
        endpoint.forget_address()
    return reply


def _counted(endpoint: Endpoint, result: Answer | Failure) -> Answer | Failure:
    name = result.failing.value if isinstance(result, Failure) else ANSWERED
    endpoint.counts[name] = endpoint.counts.get(name, 0) + 1
    return result
