"""Is everything offered declared, and nothing offered that is not? Registry, statement, and what any bytes get."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exchange_made import FORM, PLANTED, US, Exchange, Member, N, open_exchange
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.fhir.catalogue import REGISTRY, Act, Who
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable
from source_sim.pki import Pki


def _path(interaction: Any) -> str:
    return "/" + interaction.template.replace("{id}", "x") if interaction.template else ""


async def test_the_statement_names_every_route(exchange: Exchange, members: SimpleNamespace) -> None:
    reply = await exchange.call("GET", "/metadata", by=members.post)
    CapabilityStatement.model_validate(reply.json)
    assert reply.json["fhirVersion"] == "4.0.1"
    rest = reply.json["rest"][0]
    told = {(one["type"], act["code"]) for one in rest["resource"] for act in one.get("interaction", [])}
    told |= {("", act["code"]) for act in rest.get("interaction", [])}
    wanted = {
        (one.resource_type or "", str(one.act)) for one in REGISTRY if one.act not in (Act.CAPABILITIES, Act.OPERATION)
    }
    assert told == wanted | ({("", "batch")} & told)
    assert [one["name"] for one in rest["operation"]] == ["process-message", "explain"]
    for one in rest["resource"]:
        named = {parameter["name"] for parameter in one.get("searchParam", [])}
        offered = [i for i in REGISTRY if i.resource_type == one["type"]]
        assert named == {p.name for i in offered for p in i.parameters if p.kind != "special"}


async def test_every_route_but_the_open_ones_wants_a_token(exchange: Exchange, members: SimpleNamespace) -> None:
    """Deny by default: a route added without a declared caller would show here."""
    for one in REGISTRY:
        reply = await exchange.call(one.method, _path(one), by=members.post)
        open_to_all = one.who is Who.CERTIFICATE
        assert (reply.status == 401) == (not open_to_all), one.name
        assert reply.status in (200, 401, 404), one.name


async def test_outside_a_simulation_nothing_is_explained(
    tmp_path: Path, authority: Pki, members: SimpleNamespace
) -> None:
    serious = await open_exchange(tmp_path / "serious", authority.directory, simulation=False)
    await serious.admit(members.post)
    try:
        token = await serious.doctor(members.post)
        reply = await serious.call("POST", "/$explain", by=members.post, token=token, resource={})
        assert (reply.status, reply.code) == (404, "not-found")
        told = (await serious.call("GET", "/metadata", by=members.post)).json
        assert [one["name"] for one in told["rest"][0]["operation"]] == ["process-message"]
    finally:
        await serious.gateway.close()


async def test_the_directory_lists_members_and_where_they_are(exchange: Exchange, members: SimpleNamespace) -> None:
    listed = await exchange.call("GET", "/Organization", by=members.post)
    Bundle.model_validate(listed.json)
    assert {one["id"] for one in listed.resources} == {one.ura for one in vars(members).values()}
    one = await exchange.call("GET", "/Organization/90000101", by=members.post)
    assert one.json["name"] == "Test 90000101"
    asked = await exchange.call("GET", "/Endpoint", by=members.post, query=f"identifier={N}aorta-app-id%7C101")
    assert [found["address"] for found in asked.resources] == ["https://source-90000101.test/fhir"]
    gone = await exchange.call("GET", "/Organization/90000999", by=members.post)
    assert (gone.status, gone.code) == (404, "not-found")
    bsn = await exchange.call("GET", "/Organization", by=members.post, query=f"identifier={N}bsn%7C{US}")
    assert bsn.status == 400
    assert US.encode() not in bsn.body


@pytest.mark.parametrize("kind", ["CodeSystem", "StructureDefinition", "SearchParameter"])
async def test_our_own_definitions_can_be_read(exchange: Exchange, members: SimpleNamespace, kind: str) -> None:
    listed = await exchange.call("GET", f"/{kind}", by=members.post)
    assert listed.resources
    for one in listed.resources:
        read = await exchange.call("GET", f"/{kind}/{one['id']}", by=members.post)
        assert read.json == one


UNAVAILABLE = {LedgerUnavailable: "ledger-unavailable", IndexUnavailable: "index-unavailable"}


@pytest.mark.parametrize("kind", UNAVAILABLE, ids=UNAVAILABLE.get)
async def test_a_store_that_fails_is_503_with_its_name(
    exchange: Exchange, members: SimpleNamespace, kind: type[Exception]
) -> None:
    from dataclasses import replace

    class Broken:
        async def find(self, *args: Any) -> Any:
            raise kind("no answer")

    means = replace(exchange.gateway.means, index=Broken())  # type: ignore[arg-type]
    broken = Exchange(replace(exchange.gateway, means=means))
    token = await exchange.doctor(members.post)
    form = [("patient.identifier", f"{N}bsn|{US}")]
    reply = await broken.call("POST", "/Flag/_search", by=members.post, token=token, form=form)
    assert (reply.status, reply.code) == (503, UNAVAILABLE[kind])
    assert reply.headers["retry-after"] == "1"


# --- whatever comes --------------------------------------------------------------------------------------------------

TEMPLATES = sorted({_path(one) for one in REGISTRY} | {"/Patient/1", "/List/" + PLANTED, "/%00", "/../token", "/é"})
CHUNKS = [
    b"", b"{", b"}", b"[]", b"null", b'"', b"\\ud800", b"\xff", b"\x00", b"&", b"=", b"%", b"%zz", b"resourceType",
    b'{"resourceType":"List"}', b'{"resourceType":"Bundle","type":"batch","entry":[{}]}', PLANTED.encode(),
    f"patient.identifier={N}bsn|{PLANTED}".encode(), b"scope=treatment", b"_count=0", b"date=9999", b"1e999",
    b"[" * 200,
    f'{{"resourceType":"Parameters","parameter":[{{"name":"{PLANTED}"}}]}}'.encode(),
]  # fmt: skip
BYTES = st.lists(st.sampled_from(CHUNKS) | st.binary(max_size=6), max_size=5).map(b"".join)
NAMES = [b"accept", b"content-type", b"aorta-id", b"aorta-version", b"if-match", b"prefer", b"x"]
VALUES = st.sampled_from([
    b"application/fhir+json", FORM.encode(), b"application/json; charset=latin-1", b"*/*;q=0", b"wait=99999",
    b"initialRequestID=1; requestID=2", b'W/"1"', PLANTED.encode(), b"\xff\xfe", b"", b";;;", b"W/\"99999999999\"",
])  # fmt: skip


class Playground:
    """One exchange kept open for many examples."""

    def __init__(self, authority: Pki) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.member = Member(authority, "90000601", "Z3")
        self.exchange = self.runner.run(
            open_exchange(Path(self.folder.name) / "s", authority.directory, token_seconds=900)
        )
        self.runner.run(self.exchange.admit(self.member))
        self.token = self.runner.run(self.exchange.doctor(self.member, PLANTED))

    async def _opened(self, authority: Pki) -> Exchange:
        return await open_exchange(Path(self.folder.name) / "state", authority.directory, token_seconds=900)

    def close(self) -> None:
        self.runner.run(self.exchange.gateway.close())
        self.runner.close()
        self.folder.cleanup()


@pytest.fixture(scope="module")
def playground(authority: Pki) -> Any:
    made = Playground(authority)
    yield made
    made.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"]),
    path=st.sampled_from(TEMPLATES) | st.text(max_size=12).map(lambda text: "/" + text),
    body=BYTES,
    query=BYTES,
    lines=st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=3),
    form=st.booleans(),
    bearer=st.sampled_from(["good", "none", "bad"]),
)
def test_whatever_comes_is_answered_without_a_500_and_without_the_number(
    playground: Playground, method: str, path: str, body: bytes, query: bytes, lines: Any, form: bool, bearer: str
) -> None:
    given = [(b"content-type", FORM.encode() if form else b"application/fhir+json")]
    if bearer != "none":
        given.append((b"authorization", f"Bearer {playground.token if bearer == 'good' else 'x'}".encode()))
    sent = playground.exchange.send(
        method, "/fhir" + path, by=playground.member, body=body, query=query, headers=[*lines, *given]
    )
    reply = playground.runner.run(sent)
    assert reply.status != 500
    assert PLANTED.encode() not in reply.body
    assert all(PLANTED not in value for value in reply.headers.values())
    if reply.status >= 400:
        assert reply.code


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BYTES, content_type=VALUES | st.just(FORM.encode()))
def test_whatever_comes_to_token_is_answered_in_oauths_words(
    playground: Playground, body: bytes, content_type: bytes
) -> None:
    sent = playground.exchange.send(
        "POST", "/token", by=playground.member, body=body, headers=[(b"content-type", content_type)]
    )
    reply = playground.runner.run(sent)
    assert (reply.status, reply.json["error"]) in ((400, "invalid_request"), (400, "unsupported_grant_type"))
    assert PLANTED.encode() not in reply.body
