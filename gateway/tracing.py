"""Where does the time of one call go? Spans for what comes in and what is asked of sources, for whoever wants them.

Wanted is what the standard OTEL_… variables say; without them nothing here stands in a call's way. Every span carries
the AORTA-ID and is linked to the message it answers: trace id = initialRequestID, span id = the last half of requestID,
so that systems which never meet a trace header are joined by what they do log. Never a patient, a body or a query.
Knows OpenTelemetry (the extra `otel`); knows no room but the rules.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from gateway.rules.access import Permit
from gateway.rules.exchange import Address, Answer, AortaId, Failure, Query
from gateway.rules.message import Reply, Taking
from gateway.rules.sending import Leave

if TYPE_CHECKING:
    from types import ModuleType

_log = logging.getLogger("switchpoint.tracing")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

SERVICE = "switchpoint"
_WHERE = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SDK, _EXPORT = "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http.trace_exporter"


@dataclass(frozen=True, slots=True)
class Tracing:
    """The tracer of this process; `close` sends what is still waiting, and may take some seconds."""

    tracer: Tracer
    close: Callable[[], None]


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces: an OTLP address, and nothing that turns them off."""
    off = (
        environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none"
    )
    return not off and any(environment.get(name) for name in _WHERE)


def open_tracing(
    environment: Mapping[str, str], version: str, load: Callable[[str], ModuleType] = import_module
) -> Tracing | None:
    """Tracing as the environment asks for it; None when it does not, or when the extra is missing (which is logged)."""
    if not wanted(environment):
        return None
    try:
        resources, trace, processing = (load(f"{_SDK}.{name}") for name in ("resources", "trace", "trace.export"))
        exporter = load(_EXPORT).OTLPSpanExporter()
    except ImportError:
        _log.warning("tracing-not-installed", extra={"install": "switchpoint[otel]"})
        return None
    name = environment.get("OTEL_SERVICE_NAME") or SERVICE
    told = resources.Resource.create({"service.name": name, "service.version": version})
    provider = trace.TracerProvider(resource=told, shutdown_on_exit=False)
    provider.add_span_processor(processing.BatchSpanProcessor(exporter))
    return Tracing(provider.get_tracer(SERVICE, version), provider.shutdown)


# --- AORTA-ID --------------------------------------------------------------------------------------------------------


def link_of(aorta: AortaId) -> Link | None:
    """The message with these ids as a span that can be linked to; None when they are no UUIDs."""
    try:
        trace, span = UUID(aorta.initial).int, UUID(aorta.request).int & (2**64 - 1)
    except ValueError:
        return None
    context = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return Link(context) if context.is_valid else None


def _attributes(aorta: AortaId) -> dict[str, str]:
    return {"aorta.initial_request_id": aorta.initial, "aorta.request_id": aorta.request}


def _read(headers: Iterable[tuple[bytes, bytes]]) -> AortaId | None:
    """The AORTA-ID header; None when it is missing or not whole."""
    text = next((value.decode("latin-1") for name, value in headers if name == b"aorta-id"), "")
    said = {name.strip().lower(): value.strip() for name, _, value in (part.partition("=") for part in text.split(";"))}
    initial, request = said.get("initialrequestid"), said.get("requestid")
    return AortaId(initial, request) if initial and request else None


# --- what comes in ---------------------------------------------------------------------------------------------------


def traced(app: Asgi, tracer: Tracer, named: Callable[[str, str], str]) -> Asgi:
    """The application with a span for every request; `named` gives method and path a name of which there are few."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        name = named(scope["method"], scope["path"])
        given = _read(scope["headers"])
        link = None if given is None else link_of(given)
        attributes = {"http.request.method": scope["method"], "switchpoint.interaction": name}
        links = [] if link is None else [link]
        with tracer.start_as_current_span(name, kind=SpanKind.SERVER, attributes=attributes, links=links) as span:
            await app(scope, receive, _telling(span, send))

    return call


def _telling(span: Span, send: Send) -> Send:
    """Our answer's status and AORTA-ID go on the span: the chain's id is there also when it was minted here."""

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                span.set_status(StatusCode.ERROR)
            answered = _read(message["headers"])
            if answered is not None:
                span.set_attributes(_attributes(answered))
        await send(message)

    return sent


# --- what is asked ---------------------------------------------------------------------------------------------------


class Outward(Protocol):
    """The outbound door as the flows know it: for questions and for messages."""

    async def ask(
        self, permit: Permit, query: Query, address: Address, *, token: str, aorta: AortaId, deadline: float
    ) -> Answer | Failure: ...

    async def deliver(self, leave: Leave, body: bytes, *, token: str, aorta: AortaId, deadline: float) -> Reply: ...


class TracedDoor:
    """The outbound door with a span for everything that goes through it."""

    def __init__(self, door: Outward, tracer: Tracer) -> None:
        self._door, self._tracer = door, tracer

    async def ask(
        self, permit: Permit, query: Query, address: Address, *, token: str, aorta: AortaId, deadline: float
    ) -> Answer | Failure:
        """See `sources.Sources.ask`."""
        told = {**_attributes(aorta), **_address(address), "switchpoint.row": permit.row.id}
        with self._span(f"ask {query.resource_type}", told) as span:
            answer = await self._door.ask(permit, query, address, token=token, aorta=aorta, deadline=deadline)
            failing = answer.failing.value if isinstance(answer, Failure) else None
            _tell_outcome(span, failing or "answered", failed=failing is not None)
            return answer

    async def deliver(self, leave: Leave, body: bytes, *, token: str, aorta: AortaId, deadline: float) -> Reply:
        """See `sources.Sources.deliver`."""
        with self._span("deliver message", {**_attributes(aorta), **_address(leave.address)}) as span:
            reply = await self._door.deliver(leave, body, token=token, aorta=aorta, deadline=deadline)
            _tell_outcome(span, reply.taking.value, failed=reply.taking is not Taking.TAKEN)
            return reply

    def _span(self, name: str, attributes: dict[str, str]) -> Any:
        return self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes)


def _address(address: Address) -> dict[str, str]:
    return {"switchpoint.custodian": address.ura.digits, "switchpoint.system": address.application.digits}


def _tell_outcome(span: Span, outcome: str, *, failed: bool) -> None:
    span.set_attribute("switchpoint.outcome", outcome)
    if failed:
        span.set_status(StatusCode.ERROR)
