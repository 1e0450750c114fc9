"""Do traces tell where the time went, joined by AORTA-ID, never whom it was about, and cost nothing unless wanted?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from exchange_made import SEARCHES, US, Exchange
from opentelemetry.trace import SpanKind, StatusCode

from gateway.rules.exchange import AortaId, Failing, Failure
from gateway.rules.identifiers import Ura
from gateway.rules.message import Reply, Taking
from gateway.sources import Sources
from gateway.tracing import TracedDoor, Tracing, link_of, open_tracing, wanted

INITIAL, REQUEST = "0b0e2f2a-4b44-4c3b-9c55-1f6f0a7b2d11", "7d3a5f5e-58c3-4a53-a9c4-b0f4e6f3a001"


@dataclass
class Span:
    """One span as it was told."""

    name: str
    kind: SpanKind
    attributes: dict[str, Any]
    links: list[Any]
    inside: str | None
    status: StatusCode | None = None
    ended: bool = False

    def set_attribute(self, name: str, value: Any) -> None:
        self.attributes[name] = value

    def set_attributes(self, more: Mapping[str, Any]) -> None:
        self.attributes |= more

    def set_status(self, status: StatusCode) -> None:
        self.status = status


@dataclass
class Recorder:
    """A tracer that keeps every span."""

    spans: list[Span] = field(default_factory=list)
    open: list[Span] = field(default_factory=list)

    @contextmanager
    def start_as_current_span(
        self, name: str, *, kind: SpanKind, attributes: Mapping[str, Any], links: list[Any] | None = None
    ) -> Iterator[Span]:
        span = Span(name, kind, dict(attributes), links or [], self.open[-1].name if self.open else None)
        self.spans.append(span)
        self.open.append(span)
        try:
            yield span
        finally:
            self.open.remove(span)
            span.ended = True


def traced(exchange: Exchange, recorder: Recorder) -> Exchange:
    """The same exchange, traced on both sides."""
    tracing = Tracing(recorder, lambda: None)  # type: ignore[arg-type]
    made = Exchange(replace(exchange.gateway, tracing=tracing))
    door = TracedDoor(made.door, recorder)  # type: ignore[arg-type]
    means = replace(made.gateway.means, sources=door)
    made.gateway = replace(made.gateway, means=means, site=replace(made.gateway.site, means=means))
    made.app = made.gateway.exchange()
    return made


async def test_one_query_is_a_span_with_one_inside_for_every_source(
    exchange: Exchange, members: SimpleNamespace
) -> None:
    await exchange.open(members.practice)
    recorder = Recorder()
    made = traced(exchange, recorder)
    token = await made.doctor(members.post)
    recorder.spans.clear()
    said = f"initialRequestID={INITIAL}; requestID={REQUEST}"
    reply = await made.call(
        "POST", "/Bundle/_search", by=members.post, token=token, form=SEARCHES["Bundle"], aorta_id=said
    )
    assert reply.status == 200
    call, asked = recorder.spans
    assert (call.name, call.kind, call.inside) == ("search-Bundle", SpanKind.SERVER, None)
    assert (asked.name, asked.kind, asked.inside) == ("ask Bundle", SpanKind.CLIENT, "search-Bundle")
    assert call.attributes["http.response.status_code"] == 200
    assert call.attributes["aorta.initial_request_id"] == asked.attributes["aorta.initial_request_id"] == INITIAL
    assert asked.attributes["aorta.request_id"] not in (REQUEST, call.attributes["aorta.request_id"])
    assert asked.attributes["switchpoint.custodian"] == members.practice.ura
    assert (asked.attributes["switchpoint.row"], asked.attributes["switchpoint.outcome"]) == ("REG-1", "answered")
    (link,) = call.links
    assert (link.context.trace_id, link.context.span_id) == (UUID(INITIAL).int, UUID(REQUEST).int & (2**64 - 1))
    assert US not in str(recorder.spans)
    assert all(span.ended and span.status is None for span in recorder.spans)


async def test_a_failure_is_an_error_and_a_refusal_is_none(exchange: Exchange, members: SimpleNamespace) -> None:
    await exchange.open(members.practice)
    recorder = Recorder()
    made = traced(exchange, recorder)
    made.door.answers[members.practice.ura] = Failure(Failing.TIMED_OUT, "8 s")
    ask: dict[str, Any] = {"by": members.post, "form": SEARCHES["Bundle"]}
    assert (await made.call("POST", "/Bundle/_search", token=await made.doctor(members.post), **ask)).status == 504
    assert [span.status for span in recorder.spans[-2:]] == [StatusCode.ERROR, StatusCode.ERROR]
    assert recorder.spans[-1].attributes["switchpoint.outcome"] == "timed-out"
    refused = await made.doctor(members.post, cover=False)
    assert (await made.call("POST", "/Bundle/_search", token=refused, **ask)).status == 403
    assert recorder.spans[-1].status is None


async def test_names_are_few_and_a_chain_minted_here_is_told(exchange: Exchange, members: SimpleNamespace) -> None:
    recorder = Recorder()
    made = traced(exchange, recorder)
    for path in (f"/List/{US}", "/Organization/90000101", f"/nothing/{US}"):
        reply = await made.call("GET", path, by=members.post)
        chain = recorder.spans[-1].attributes["aorta.initial_request_id"]
        assert reply.headers["aorta-id"].startswith(f"initialRequestID={chain};")
    await made.post_token(members.post, {})
    assert [span.name for span in recorder.spans] == ["read-List", "read-Organization", "not-offered", "/token"]
    assert not any(span.links for span in recorder.spans)
    assert US not in str(recorder.spans)


@pytest.mark.parametrize(("taking", "status"), [(Taking.TAKEN, None), (Taking.UNREACHABLE, StatusCode.ERROR)])
async def test_a_delivery_is_a_span(taking: Taking, status: StatusCode | None) -> None:
    recorder = Recorder()

    class Door:
        async def deliver(self, leave: Any, body: bytes, **more: Any) -> Reply:
            return Reply(taking)

    address = SimpleNamespace(ura=Ura("90000101"), application=SimpleNamespace(digits="101"))
    door = TracedDoor(Door(), recorder)  # type: ignore[arg-type]
    leave: Any = SimpleNamespace(address=address)
    reply = await door.deliver(leave, b"body", token="t", aorta=AortaId(INITIAL, REQUEST), deadline=1.0)
    (span,) = recorder.spans
    assert (reply.taking, span.name, span.status) == (taking, "deliver message", status)
    assert span.attributes["switchpoint.outcome"] == taking.value
    assert "body" not in str(span.attributes)


@pytest.mark.parametrize("request_id", ["not a uuid", "00000000-0000-0000-0000-000000000000"])
def test_ids_that_cannot_be_a_span_give_no_link(request_id: str) -> None:
    assert link_of(AortaId(INITIAL, request_id)) is None


# --- wanted or not ---------------------------------------------------------------------------------------------------

TO = "http://127.0.0.1:4318"
ENVIRONMENTS: dict[str, tuple[dict[str, str], bool]] = {
    "nothing": ({}, False),
    "an address": ({"OTEL_EXPORTER_OTLP_ENDPOINT": TO}, True),
    "an address for traces": ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": TO}, True),
    "an empty address": ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    "turned off": ({"OTEL_EXPORTER_OTLP_ENDPOINT": TO, "OTEL_SDK_DISABLED": "True"}, False),
    "no exporter": ({"OTEL_EXPORTER_OTLP_ENDPOINT": TO, "OTEL_TRACES_EXPORTER": "none"}, False),
}


@pytest.mark.parametrize(("environment", "is_wanted"), ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_the_standard_variables_say(environment: dict[str, str], is_wanted: bool) -> None:
    assert wanted(environment) is is_wanted


async def test_without_them_nothing_stands_in_the_way(exchange: Exchange) -> None:
    def never(name: str) -> Any:
        raise AssertionError(f"{name} was loaded")

    assert open_tracing({}, "1", never) is None
    assert exchange.gateway.tracing is None
    assert type(exchange.gateway.means.mail.post) is Sources, "the door itself, not one around it"


def test_wanted_but_not_installed_is_said(caplog: pytest.LogCaptureFixture) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    with caplog.at_level(logging.WARNING):
        assert open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": TO}, "1", missing) is None
    assert [record.message for record in caplog.records] == ["tracing-not-installed"]


def test_the_kit_is_put_together_as_the_environment_says() -> None:
    told: dict[str, Any] = {}

    class Provider:
        def __init__(self, resource: Any, shutdown_on_exit: bool) -> None:
            told["resource"] = resource

        def add_span_processor(self, processor: Any) -> None:
            told["processor"] = processor

        def get_tracer(self, name: str, version: str) -> Any:
            return (name, version)

        def shutdown(self) -> None:
            told["closed"] = True

    modules = {
        "opentelemetry.sdk.resources": SimpleNamespace(Resource=SimpleNamespace(create=lambda given: given)),
        "opentelemetry.sdk.trace": SimpleNamespace(TracerProvider=Provider),
        "opentelemetry.sdk.trace.export": SimpleNamespace(BatchSpanProcessor=lambda exporter: ("batched", exporter)),
        "opentelemetry.exporter.otlp.proto.http.trace_exporter": SimpleNamespace(OTLPSpanExporter=lambda: "otlp"),
    }
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": TO, "OTEL_SERVICE_NAME": "test"}
    tracing = open_tracing(environment, "1.2", modules.__getitem__)  # type: ignore[arg-type]
    assert tracing is not None
    assert tracing.tracer == ("switchpoint", "1.2")
    tracing.close()
    assert told == {
        "resource": {"service.name": "test", "service.version": "1.2"},
        "processor": ("batched", "otlp"),
        "closed": True,
    }
