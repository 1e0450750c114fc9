"""Does the outbound door bring back what a source says, and the right failure by the deadline whatever the source does?

Every fault is played over a real TLS socket by a raw server written here, on uvloop, as in production.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import random
import resource
import socket
import ssl
import struct
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.certificate import organisation_of
from gateway.rules.access import Basis, Decision, Permit
from gateway.rules.exchange import (
    Address,
    Answer,
    AortaId,
    Category,
    Entry,
    Failing,
    Failure,
    Mode,
    PatientKey,
    Pointer,
    Query,
)
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.table import ROWS
from gateway.sources import Limits, Sources, client_context
from gateway.sources.body import Body
from gateway.sources.bounds import Fault
from gateway.sources.breaker import Breaker, Outcome, State
from source_sim import pki as throwaway

URA, APPLICATION = Ura("90000382"), ApplicationId("400002")
PATIENT = Bsn("999990019")
AORTA = AortaId("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")
QUERY = Query(
    Category.MEDICATION,
    "MedicationDispense",
    PATIENT,
    "patient.identifier",
    (("category", "http://snomed.info/sct|373784005"), ("_include", "MedicationDispense:medication")),
)
POINTER = Pointer("p", PatientKey(b"k" * 12), URA, APPLICATION, Category.MEDICATION, latent=False, date="2026-01-01")
PERMIT = Permit(Decision(POINTER, ROWS[0], Basis.CONSENT, None))

BUNDLE = b'{"resourceType":"Bundle","type":"searchset","entry":[],"value":0.10}'
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json; charset=utf-8\r\n"
DEADLINE_S, SLACK_S, PATIENT_S = 0.5, 0.2, 3.0

Act = Callable[["Visit"], Awaitable[None]]


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test on the loop of production."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


# --- a source made of raw bytes --------------------------------------------------------------------------------------


@dataclass
class Visit:
    """One request as it arrived at the source, with the streams to answer on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    connection: int
    head: bytes
    body: bytes

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class RawSource:
    """Answers every request by `act`; counts what it saw."""

    act: Act
    connections: int = 0
    visits: list[Visit] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    port: int = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        mine = self.connections
        try:
            while not writer.is_closing():
                await self._serve_one(reader, writer, mine)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()
            self.tasks.discard(task)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(v) for k, v in headers(head).items() if k == "content-length")
        visit = Visit(reader, writer, len(self.visits) + 1, connection, head, await reader.readexactly(length))
        self.visits.append(visit)
        await self.act(visit)

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}/fhir"


def headers(head: bytes) -> dict[str, str]:
    lines = head.decode("ascii").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}


@dataclass(frozen=True)
class Papers:
    """Certificate files: the authority, the gateway's own, and the source's."""

    authority: throwaway.Pki
    folder: Path

    def context(self) -> ssl.SSLContext:
        place = self.folder
        return client_context(certificate=place / "gw.pem", key=place / "gw.key", ca=place / "ca.pem")

    def server(self, stem: str = "source", ca: str = "ca.pem") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        context.load_verify_locations(self.folder / ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder, now = tmp_path_factory.mktemp("pki"), datetime.now(UTC)
    authority = throwaway.create(folder / "authority", now=now)
    foreign = throwaway.create(folder / "foreign", now=now)
    hosts = ["127.0.0.1", "localhost", "source.test"]
    authority.issue("90000001", "100001", "Gateway", dns=["localhost"], out=folder, stem="gw", now=now)
    authority.issue(URA.digits, APPLICATION.digits, "Source", dns=hosts, out=folder, stem="source", now=now)
    authority.issue("90000999", "400999", "Other", dns=hosts, out=folder, stem="other", now=now)
    authority.issue(
        URA.digits, APPLICATION.digits, "Elsewhere", dns=["else.test"], out=folder, stem="misnamed", now=now
    )
    foreign.issue(URA.digits, APPLICATION.digits, "Foreign", dns=hosts, out=folder / "abroad", stem="source", now=now)
    (folder / "foreign.pem").write_bytes((folder / "abroad/source.pem").read_bytes())
    (folder / "foreign.key").write_bytes((folder / "abroad/source.key").read_bytes())
    return Papers(authority, folder)


@contextlib.asynccontextmanager
async def source(papers: Papers, act: Act, *, stem: str = "source") -> AsyncIterator[RawSource]:
    raw = RawSource(act)
    server = await asyncio.start_server(
        raw.meet, "127.0.0.1", 0, ssl=papers.server(stem), ssl_shutdown_timeout=0.2, limit=2**20
    )
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for task in list(raw.tasks):
            task.cancel()
        await asyncio.gather(*raw.tasks, return_exceptions=True)
        await asyncio.sleep(0.01)


def read(body: bytes, *, patient: Bsn, resource_type: str, endpoint: str) -> Answer | Failure:
    """Stands in for the reader of answers: anything that is JSON is one match."""
    try:
        json.loads(body)
    except ValueError:
        return Failure(Failing.MALFORMED, "not JSON", breaker=True)
    return Answer((Entry(body, resource_type, None, None, Mode.MATCH),))


@contextlib.asynccontextmanager
async def door(papers: Papers, **settings: Any) -> AsyncIterator[Sources]:
    """A door; `settings` are Limits, or constructor arguments by their own names."""
    own = {name: settings.pop(name) for name in ("expected_ura", "resolve", "read") if name in settings}
    arguments = {"expected_ura": organisation_of, "read": read} | own
    sources = Sources(ssl_context=papers.context(), limits=replace(Limits(), **settings), **arguments)
    try:
        yield sources
    finally:
        await sources.close()
        await asyncio.sleep(0.01)


async def ask(sources: Sources, endpoint: str, *, within: float = DEADLINE_S, query: Query = QUERY) -> Answer | Failure:
    deadline = asyncio.get_running_loop().time() + within
    address = Address(URA, APPLICATION, endpoint)
    return await sources.ask(PERMIT, query, address, token="t.o.k", aorta=AORTA, deadline=deadline)


def whole(body: bytes, more: bytes = b"") -> bytes:
    return JSON_HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*pieces: bytes, more: bytes = b"") -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return JSON_HEAD + more + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def saying(data: bytes) -> Act:
    async def act(visit: Visit) -> None:
        await visit.say(data)

    return act


def saying_and_closing(data: bytes) -> Act:
    async def act(visit: Visit) -> None:
        await visit.say(data)
        visit.writer.close()

    return act


def refusal(status: bytes, code: str) -> bytes:
    body = json.dumps({"resourceType": "OperationOutcome", "issue": [{"details": {"coding": [{"code": code}]}}]})
    return b"HTTP/1.1 %b Refused\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body.encode(),
    )


# --- what a good answer may look like --------------------------------------------------------------------------------

RAW_DEFLATE = zlib.compressobj(wbits=-15)
GOOD = {
    "content-length": whole(BUNDLE),
    "chunked": chunked(BUNDLE[:10], BUNDLE[10:11], BUNDLE[11:]),
    "chunked with trailer": chunked(BUNDLE)[:-2] + b"X-Trailer: 1\r\n\r\n",
    "gzip": whole(gzip.compress(BUNDLE), b"Content-Encoding: gzip\r\n"),
    "gzip in chunks": chunked(*(bytes([b]) for b in gzip.compress(BUNDLE)), more=b"Content-Encoding: GZIP\r\n"),
    "deflate": whole(zlib.compress(BUNDLE), b"Content-Encoding: deflate\r\n"),
    "deflate without wrapper": whole(
        RAW_DEFLATE.compress(BUNDLE) + RAW_DEFLATE.flush(), b"Content-Encoding: deflate\r\n"
    ),
    "identity": whole(BUNDLE, b"Content-Encoding: identity\r\n"),
    "application/json": whole(BUNDLE).replace(b"application/fhir+json", b"Application/JSON"),
    "after 100 and 103": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + whole(BUNDLE),
    "connection: close": whole(BUNDLE, b"Connection: close\r\n"),
    "echoes the chain": whole(
        BUNDLE, b"AORTA-ID: requestID=x; initialRequestID=%b\r\n" % AORTA.initial.upper().encode()
    ),
    "with more after it": whole(BUNDLE) + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "with rubbish after it": whole(BUNDLE) + b"\x00\x01rubbish",
}
KEPT = {"content-length", "chunked", "chunked with trailer", "gzip", "gzip in chunks", "deflate", "identity"}


@pytest.mark.parametrize("name", GOOD)
@on_uvloop
async def test_a_good_answer_is_brought_byte_for_byte(papers: Papers, name: str) -> None:
    async with source(papers, saying(GOOD[name])) as raw, door(papers) as sources:
        for _ in range(2):
            answer = await ask(sources, raw.endpoint)
            assert isinstance(answer, Answer), answer
            assert answer.entries[0].resource == BUNDLE
        if name in KEPT:
            assert raw.connections == 1
        if name in {"connection: close", "with more after it", "with rubbish after it"}:
            assert raw.connections == 2


@on_uvloop
async def test_an_answer_without_length_ends_with_the_connection(papers: Papers) -> None:
    async with source(papers, saying_and_closing(JSON_HEAD + b"\r\n" + BUNDLE)) as raw, door(papers) as sources:
        answer = await ask(sources, raw.endpoint)
    assert isinstance(answer, Answer)
    assert answer.entries[0].resource == BUNDLE


@on_uvloop
async def test_the_request_says_what_the_interface_says(papers: Papers) -> None:
    async with source(papers, saying(whole(BUNDLE))) as raw, door(papers) as sources:
        await ask(sources, raw.endpoint + "/")
    (visit,) = raw.visits
    said = headers(visit.head)
    assert visit.head.startswith(b"POST /fhir/MedicationDispense/_search HTTP/1.1\r\n")
    assert said["host"] == f"127.0.0.1:{raw.port}"
    assert said["authorization"] == "Bearer t.o.k"
    assert said["aorta-id"] == f"initialRequestID={AORTA.initial}; requestID={AORTA.request}"
    assert said["accept"] == "application/fhir+json"
    assert said["accept-encoding"] == "gzip"
    assert visit.body == (
        b"patient.identifier=http%3A%2F%2Ffhir.nl%2Ffhir%2FNamingSystem%2Fbsn%7C" + PATIENT.digits.encode() + b"&"
        b"category=http%3A%2F%2Fsnomed.info%2Fsct%7C373784005&_include=MedicationDispense%3Amedication"
    )
    assert PATIENT.digits.encode() not in visit.head


# --- the faults ------------------------------------------------------------------------------------------------------


async def reset_mid_body(visit: Visit) -> None:
    await visit.say(JSON_HEAD + b"Content-Length: 5000\r\n\r\n" + BUNDLE)
    await asyncio.sleep(0.05)
    visit.reset()


async def reset_at_once(visit: Visit) -> None:
    visit.reset()


async def hang_up(visit: Visit) -> None:
    visit.writer.close()


async def stall(visit: Visit) -> None:
    await asyncio.sleep(30)


async def stall_after_headers(visit: Visit) -> None:
    await visit.say(JSON_HEAD + b"Content-Length: 5000\r\n\r\n")
    await asyncio.sleep(30)


async def drip(visit: Visit) -> None:
    await visit.say(JSON_HEAD + b"Content-Length: 5000\r\n\r\n")
    while True:
        await visit.say(b" ")
        await asyncio.sleep(0.02)


async def drip_head(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\n")
    while True:
        await visit.say(b"X-Drip: 1\r\n")
        await asyncio.sleep(0.02)


async def drip_body_of_500(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 500 Broken\r\nContent-Length: 5000\r\n\r\n")
    await drip(visit)


async def flood_head(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        await visit.say(b"x" * 8192)


async def flood_body(visit: Visit) -> None:
    await visit.say(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await visit.say(b"2000\r\n" + b" " * 8192 + b"\r\n")


async def flood_trailer(visit: Visit) -> None:
    await visit.say(chunked(BUNDLE)[:-2] + b"X-Trailer: ")
    while True:
        await visit.say(b"x" * 8192)


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(b" " * size) + packer.flush()


HTML = b"<html><body>Login</body></html>"


@dataclass(frozen=True)
class Case:
    act: Act
    failing: Failing
    breaker: bool
    slow: bool = False


FAULTS = {
    "slow": Case(stall, Failing.TIMED_OUT, breaker=True, slow=True),
    "stalls after headers": Case(stall_after_headers, Failing.TIMED_OUT, breaker=True, slow=True),
    "drips the body": Case(drip, Failing.TIMED_OUT, breaker=True, slow=True),
    "drips the head": Case(drip_head, Failing.TIMED_OUT, breaker=True, slow=True),
    "only ever continues": Case(saying(b"HTTP/1.1 100 Continue\r\n\r\n"), Failing.TIMED_OUT, breaker=True, slow=True),
    "resets at once": Case(reset_at_once, Failing.UNREACHABLE, breaker=True),
    "hangs up at once": Case(hang_up, Failing.UNREACHABLE, breaker=True),
    "resets mid-body": Case(reset_mid_body, Failing.UNREACHABLE, breaker=True),
    "truncated body": Case(
        saying_and_closing(JSON_HEAD + b"Content-Length: 5000\r\n\r\n" + BUNDLE), Failing.MALFORMED, breaker=True
    ),
    "truncated head": Case(saying_and_closing(JSON_HEAD), Failing.MALFORMED, breaker=True),
    "truncated chunks": Case(saying_and_closing(chunked(BUNDLE)[:-5]), Failing.MALFORMED, breaker=True),
    "truncated JSON": Case(saying(whole(BUNDLE[:-9])), Failing.MALFORMED, breaker=True),
    "truncated gzip": Case(
        saying(whole(gzip.compress(BUNDLE)[:-4], b"Content-Encoding: gzip\r\n")), Failing.MALFORMED, breaker=True
    ),
    "empty gzip": Case(saying(whole(b"", b"Content-Encoding: gzip\r\n")), Failing.MALFORMED, breaker=True),
    "not gzip": Case(saying(whole(BUNDLE, b"Content-Encoding: gzip\r\n")), Failing.MALFORMED, breaker=True),
    "gzip and more": Case(
        saying(whole(gzip.compress(BUNDLE) + b"x", b"Content-Encoding: gzip\r\n")), Failing.MALFORMED, breaker=True
    ),
    "gzip bomb": Case(saying(whole(bomb(50 * 2**20), b"Content-Encoding: gzip\r\n")), Failing.MALFORMED, breaker=True),
    "brotli": Case(saying(whole(b"\x0b", b"Content-Encoding: br\r\n")), Failing.MALFORMED, breaker=True),
    "doubly packed": Case(saying(whole(b"", b"Content-Encoding: gzip, gzip\r\n")), Failing.MALFORMED, breaker=True),
    "says it is huge": Case(saying(JSON_HEAD + b"Content-Length: 52428800\r\n\r\n"), Failing.MALFORMED, breaker=True),
    "is huge": Case(flood_body, Failing.MALFORMED, breaker=True),
    "huge header": Case(flood_head, Failing.MALFORMED, breaker=True),
    "many headers": Case(
        saying(JSON_HEAD + b"X-Many: 12345678901234567890\r\n" * 2000), Failing.MALFORMED, breaker=True
    ),
    "huge trailer": Case(flood_trailer, Failing.MALFORMED, breaker=True),
    "HTML": Case(
        saying(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(HTML), HTML)),
        Failing.MALFORMED,
        breaker=True,
    ),
    "HTML dressed as JSON": Case(saying(whole(HTML)), Failing.MALFORMED, breaker=True),
    "no content type": Case(
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BUNDLE), BUNDLE)),
        Failing.MALFORMED,
        breaker=True,
    ),
    "two lengths": Case(saying(whole(BUNDLE, b"Content-Length: 2\r\n")), Failing.MALFORMED, breaker=True),
    "length and chunks": Case(saying(chunked(BUNDLE, more=b"Content-Length: 2\r\n")), Failing.MALFORMED, breaker=True),
    "negative length": Case(saying(JSON_HEAD + b"Content-Length: -1\r\n\r\n"), Failing.MALFORMED, breaker=True),
    "control characters in a header": Case(saying(whole(BUNDLE, b"X-\x00: \x01\r\n")), Failing.MALFORMED, breaker=True),
    "not HTTP": Case(saying(b"SSH-2.0-OpenSSH_9\r\n"), Failing.MALFORMED, breaker=True),
    "switches protocols": Case(
        saying(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        Failing.MALFORMED,
        breaker=True,
    ),
    "answers another request": Case(
        saying(whole(BUNDLE, b"AORTA-ID: initialRequestID=33333333; requestID=4\r\n")), Failing.MALFORMED, breaker=True
    ),
    "no content": Case(saying(b"HTTP/1.1 204 No Content\r\n\r\n"), Failing.MALFORMED, breaker=True),
    "error": Case(saying(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"), Failing.REFUSED, breaker=True),
    "error, its body dripping": Case(drip_body_of_500, Failing.REFUSED, breaker=True),
    "unavailable, in HTML": Case(
        saying(b"HTTP/1.1 503 No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(HTML), HTML)),
        Failing.REFUSED,
        breaker=True,
    ),
    "not found": Case(saying(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), Failing.REFUSED, breaker=False),
    "redirect": Case(
        saying(b"HTTP/1.1 307 There\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        Failing.REFUSED,
        breaker=False,
    ),
    "withheld": Case(saying(refusal(b"403", "withheld")), Failing.WITHHELD, breaker=False),
    "no consent": Case(saying(refusal(b"403", "no-consent")), Failing.NO_CONSENT, breaker=False),
    "forbidden otherwise": Case(saying(refusal(b"403", "not-authorised")), Failing.REFUSED, breaker=False),
    "forbidden in HTML": Case(
        saying(b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n%b" % (len(HTML), HTML)), Failing.REFUSED, breaker=False
    ),
    "forbidden, deeply nested": Case(
        saying(b"HTTP/1.1 403 No\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100000), Failing.REFUSED, breaker=False
    ),
    "withheld, but not with 403": Case(saying(refusal(b"401", "withheld")), Failing.REFUSED, breaker=False),
}


def test_a_bomb_is_never_unpacked_beyond_the_cap() -> None:
    body, packed = Body("gzip", cap=10_000), bomb(20 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(Fault, match="beyond the cap"):
            body.feed(packed)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FAULTS)
@on_uvloop
async def test_a_fault_is_classified_by_the_deadline(papers: Papers, name: str) -> None:
    case, loop = FAULTS[name], asyncio.get_running_loop()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with source(papers, case.act) as raw, door(papers) as sources:
        started = loop.time()
        # a bomb is found out before any deadline; on a busy machine not before a short one
        deadline = DEADLINE_S if case.slow else PATIENT_S
        result = await ask(sources, raw.endpoint, within=deadline)
        took = loop.time() - started
    assert isinstance(result, Failure), result
    assert (result.failing, result.breaker) == (case.failing, case.breaker), result
    assert took < deadline + SLACK_S
    assert (took >= deadline - 0.01) is case.slow
    assert PATIENT.digits not in result.detail
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert len(raw.visits) == 1


@on_uvloop
async def test_a_closed_port_is_unreachable(papers: Papers) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with door(papers) as sources:
            result = await ask(sources, f"https://127.0.0.1:{free.getsockname()[1]}/fhir")
    assert result == Failure(Failing.UNREACHABLE, "no connection", breaker=True)


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a listening socket whose queue is full: connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@on_uvloop
async def test_a_black_hole_ends_by_the_deadline(papers: Papers, deaf: int) -> None:
    loop = asyncio.get_running_loop()
    async with door(papers) as sources:
        started = loop.time()
        result = await ask(sources, f"https://127.0.0.1:{deaf}/fhir")
    assert isinstance(result, Failure)
    assert result.failing is Failing.TIMED_OUT
    assert DEADLINE_S - 0.01 < loop.time() - started < DEADLINE_S + SLACK_S


@on_uvloop
async def test_a_handshake_never_answered_ends_by_the_deadline(papers: Papers) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with door(papers) as sources:
        result = await ask(sources, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir")
    server.close()
    assert isinstance(result, Failure)
    assert result.failing is Failing.TIMED_OUT


@on_uvloop
async def test_a_plain_text_port_is_unreachable(papers: Papers) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with door(papers) as sources:
        result = await ask(sources, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir")
        await asyncio.sleep(0.01)
    server.close()
    assert isinstance(result, Failure)
    assert (result.failing, result.breaker) == (Failing.UNREACHABLE, True)


# --- who is at the other end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "detail"),
    [
        ("other", "certificate of another organisation"),
        ("foreign", "TLS failure: CERTIFICATE_VERIFY_FAILED"),
        ("misnamed", "TLS failure: CERTIFICATE_VERIFY_FAILED"),
    ],
)
@on_uvloop
async def test_only_the_registered_organisation_is_asked(papers: Papers, stem: str, detail: str) -> None:
    async with source(papers, saying(whole(BUNDLE)), stem=stem) as raw, door(papers) as sources:
        result = await ask(sources, raw.endpoint)
    assert result == Failure(Failing.UNREACHABLE, detail, breaker=True)
    assert raw.visits == []


@on_uvloop
async def test_a_source_whose_certificate_loses_its_good_name_is_not_asked_on_a_kept_connection(papers: Papers) -> None:
    names = iter([URA.digits, None])
    async with (
        source(papers, saying(whole(BUNDLE))) as raw,
        door(papers, expected_ura=lambda _: next(names)) as sources,
    ):
        assert isinstance(await ask(sources, raw.endpoint), Answer)
        assert isinstance(await ask(sources, raw.endpoint), Failure)
    assert len(raw.visits) == 1


@on_uvloop
async def test_a_source_that_refuses_our_certificate_is_unreachable(papers: Papers) -> None:
    raw = RawSource(saying(whole(BUNDLE)))
    strict = papers.server()
    strict_ca = papers.folder / "foreign" / "ca.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.folder / "source.pem", papers.folder / "source.key")
    context.load_verify_locations(strict_ca)
    context.verify_mode = strict.verify_mode
    server = await asyncio.start_server(raw.meet, "127.0.0.1", 0, ssl=context)
    async with door(papers) as sources:
        result = await ask(sources, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir")
    server.close()
    assert isinstance(result, Failure)
    assert (result.failing, result.breaker) == (Failing.UNREACHABLE, True)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:8080/fhir",
        "https://user@127.0.0.1/fhir",
        "https://127.0.0.1/fhir?x=1",
        "https:///fhir",
        "https://127.0.0.1:99999/fhir",
        "https://127.0.0.1/fh ir",
        "file:///etc/passwd",
        "",
    ],
)
@on_uvloop
async def test_only_a_plain_https_endpoint_is_called(papers: Papers, endpoint: str) -> None:
    async with door(papers) as sources:
        assert await ask(sources, endpoint) == Failure(Failing.UNREACHABLE, "registered address is not usable")


@on_uvloop
async def test_a_host_is_resolved_once_and_pinned_until_the_breaker_opens(papers: Papers) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    act = saying(whole(BUNDLE, b"Connection: close\r\n"))
    async with source(papers, act) as raw, door(papers, resolve=resolve, failures=1, window=1, rest_s=0.0) as sources:
        endpoint = f"https://source.test:{raw.port}/fhir"
        for _ in range(3):
            assert isinstance(await ask(sources, endpoint), Answer)
        assert asked == ["source.test"]
        raw.act = reset_at_once
        assert isinstance(await ask(sources, endpoint), Failure)
        raw.act = act
        assert isinstance(await ask(sources, endpoint), Answer)
    assert asked == ["source.test"] * 2
    assert raw.connections == 5


@on_uvloop
async def test_a_host_that_does_not_resolve_is_unreachable(papers: Papers) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror("no such host")

    async with door(papers, resolve=resolve) as sources:
        result = await ask(sources, "https://source.test/fhir")
    assert result == Failure(Failing.UNREACHABLE, "host not found", breaker=True)


@on_uvloop
async def test_the_next_pinned_address_is_tried_when_one_refuses(papers: Papers) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with source(papers, saying(whole(BUNDLE))) as raw, door(papers, resolve=resolve) as sources:
        assert isinstance(await ask(sources, f"https://source.test:{raw.port}/fhir"), Answer)


# --- the permit ------------------------------------------------------------------------------------------------------


ADDRESS = Address(URA, APPLICATION, "https://127.0.0.1:1/fhir")
NOT_PERMITTED: dict[str, tuple[Any, Query, Address, type[Exception]]] = {
    "no permit": (None, QUERY, ADDRESS, TypeError),
    "a decision is no permit": (Decision(POINTER, ROWS[0], Basis.CONSENT, None), QUERY, ADDRESS, TypeError),
    "another organisation": (PERMIT, QUERY, replace(ADDRESS, ura=Ura("90000999")), ValueError),
    "another system": (PERMIT, QUERY, replace(ADDRESS, application=ApplicationId("1")), ValueError),
    "another category": (PERMIT, replace(QUERY, category=Category.GP_SUMMARY), ADDRESS, ValueError),
}


@pytest.mark.parametrize("name", NOT_PERMITTED)
@on_uvloop
async def test_the_door_opens_to_a_permit_for_this_source_and_category_only(papers: Papers, name: str) -> None:
    permit, query, to, error = NOT_PERMITTED[name]
    async with door(papers) as sources:
        with pytest.raises(error):
            await sources.ask(permit, query, to, token="t", aorta=AORTA, deadline=1e9)
        assert sources.health() == []


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "a b", "", "é", "a\x00"])
@on_uvloop
async def test_no_word_breaks_out_of_its_header(papers: Papers, token: str) -> None:
    async with door(papers) as sources:
        with pytest.raises(ValueError, match="not a header word"):
            await sources.ask(PERMIT, QUERY, ADDRESS, token=token, aorta=AORTA, deadline=1e9)
        with pytest.raises(ValueError, match="not a header word"):
            await sources.ask(PERMIT, QUERY, ADDRESS, token="t", aorta=AortaId(token, token), deadline=1e9)


def test_a_context_that_does_not_verify_is_refused(papers: Papers) -> None:
    context = papers.context()
    context.check_hostname = False
    with pytest.raises(ValueError, match="verified"):
        Sources(ssl_context=context, limits=Limits(), expected_ura=organisation_of, read=read)


# --- kept connections ------------------------------------------------------------------------------------------------


@on_uvloop
async def test_a_kept_connection_closed_before_any_byte_is_asked_once_more(papers: Papers) -> None:
    async def act(visit: Visit) -> None:
        if visit.number == 2:
            visit.writer.close()
        else:
            await visit.say(whole(BUNDLE))

    async with source(papers, act) as raw, door(papers) as sources:
        assert isinstance(await ask(sources, raw.endpoint), Answer)
        assert isinstance(await ask(sources, raw.endpoint), Answer)
    assert [visit.connection for visit in raw.visits] == [1, 1, 2]


@on_uvloop
async def test_it_is_asked_once_more_and_not_twice(papers: Papers) -> None:
    async def act(visit: Visit) -> None:
        if visit.number > 1:
            visit.reset()
        else:
            await visit.say(whole(BUNDLE))

    async with source(papers, act) as raw, door(papers) as sources:
        assert isinstance(await ask(sources, raw.endpoint), Answer)
        result = await ask(sources, raw.endpoint)
    assert isinstance(result, Failure)
    assert result.failing is Failing.UNREACHABLE
    assert [visit.connection for visit in raw.visits] == [1, 1, 2]


@on_uvloop
async def test_a_kept_connection_closed_after_one_byte_is_not_asked_again(papers: Papers) -> None:
    async def act(visit: Visit) -> None:
        if visit.number == 2:
            await visit.say(b"H")
            await asyncio.sleep(0.02)
            visit.reset()
        else:
            await visit.say(whole(BUNDLE))

    async with source(papers, act) as raw, door(papers) as sources:
        assert isinstance(await ask(sources, raw.endpoint), Answer)
        assert isinstance(await ask(sources, raw.endpoint), Failure)
    assert len(raw.visits) == 2


@on_uvloop
async def test_bytes_nobody_asked_for_are_never_the_next_answer(papers: Papers) -> None:
    async def act(visit: Visit) -> None:
        await visit.say(whole(BUNDLE))
        if visit.number == 1:
            await asyncio.sleep(0.02)
            await visit.say(whole(b'{"resourceType":"Bundle","somebody":"else"}'))

    async with source(papers, act) as raw, door(papers) as sources:
        await ask(sources, raw.endpoint)
        await asyncio.sleep(0.1)
        answer = await ask(sources, raw.endpoint)
    assert isinstance(answer, Answer)
    assert answer.entries[0].resource == BUNDLE
    assert raw.connections == 2


@on_uvloop
async def test_connections_per_endpoint_are_bounded(papers: Papers) -> None:
    async def act(visit: Visit) -> None:
        await asyncio.sleep(0.05)
        await visit.say(whole(BUNDLE))

    async with source(papers, act) as raw, door(papers, connections=3, idle=3) as sources:
        answers = await asyncio.gather(*(ask(sources, raw.endpoint, within=5) for _ in range(12)))
        assert all(isinstance(answer, Answer) for answer in answers)
        assert raw.connections == 3


async def asked_at_once(papers: Papers, idle: int) -> int:
    """How many connections stay open after four calls at once."""

    async def act(visit: Visit) -> None:
        await asyncio.sleep(0.05)
        await visit.say(whole(BUNDLE))

    async with source(papers, act) as raw, door(papers, idle=idle) as sources:
        await asyncio.gather(*(ask(sources, raw.endpoint, within=5) for _ in range(4)))
        assert raw.connections == 4
        await asyncio.sleep(0.1)
        return len(raw.tasks)


@pytest.mark.parametrize("idle", [0, 2, 4])
@on_uvloop
async def test_idle_connections_per_endpoint_are_bounded(papers: Papers, idle: int) -> None:
    assert await asked_at_once(papers, idle) == idle


@on_uvloop
async def test_an_idle_connection_is_closed_in_time(papers: Papers) -> None:
    async with source(papers, saying(whole(BUNDLE))) as raw, door(papers, idle_s=0.1) as sources:
        await ask(sources, raw.endpoint)
        assert len(raw.tasks) == 1
        await asyncio.sleep(0.25)
        assert len(raw.tasks) == 0


@on_uvloop
async def test_a_cancelled_call_leaves_nothing_behind(papers: Papers) -> None:
    async with source(papers, stall) as raw, door(papers) as sources:
        for pause in (0.0, 0.001, 0.1):  # resolving, shaking hands, waiting for the answer
            call = asyncio.create_task(ask(sources, raw.endpoint, within=10))
            await asyncio.sleep(pause)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await asyncio.sleep(0.1)
        assert len(raw.visits) in (1, 2)  # hands may have been shaken within the millisecond
        assert all(visit.writer.is_closing() or visit.reader.at_eof() for visit in raw.visits)
        (health,) = sources.health()
        assert (health.state, health.counts) == (State.CLOSED, {})


# --- the breaker -----------------------------------------------------------------------------------------------------


@on_uvloop
async def test_a_failing_source_is_left_alone_then_probed_by_one_call(papers: Papers) -> None:
    async with source(papers, reset_at_once) as raw, door(papers, rest_s=0.3) as sources:
        for _ in range(5):
            await ask(sources, raw.endpoint)
        left_alone = await ask(sources, raw.endpoint)
        assert left_alone == Failure(Failing.UNREACHABLE, "failed too often just now")
        assert len(raw.visits) == 5
        await asyncio.sleep(0.35)
        raw.act = saying(whole(BUNDLE))
        answers = await asyncio.gather(*(ask(sources, raw.endpoint) for _ in range(4)))
        assert sum(isinstance(answer, Answer) for answer in answers) == 1
        assert isinstance(await ask(sources, raw.endpoint), Answer)
        (health,) = sources.health()
        assert health.state is State.CLOSED
        assert health.last_good is not None
        assert health.counts == {"unreachable": 5 + 1 + 3, "answered": 2}


@on_uvloop
async def test_refusals_never_open_the_breaker(papers: Papers) -> None:
    async with source(papers, saying(refusal(b"403", "withheld"))) as raw, door(papers) as sources:
        for _ in range(12):
            await ask(sources, raw.endpoint)
        assert len(raw.visits) == 12


@on_uvloop
async def test_with_no_time_left_nobody_is_asked(papers: Papers) -> None:
    async with source(papers, saying(whole(BUNDLE))) as raw, door(papers) as sources:
        result = await ask(sources, raw.endpoint, within=-1)
    assert result == Failure(Failing.TIMED_OUT, "no time left to ask")
    assert raw.connections == 0


def breaker() -> Breaker:
    return Breaker(window=10, failures=5, rest_s=10.0)


def play(these: Breaker, outcomes: str, now: float = 0.0) -> None:
    for letter in outcomes:
        ticket = these.enter(now)
        assert ticket is not None, letter
        these.leave(ticket, {"g": Outcome.GOOD, "b": Outcome.BAD, "a": Outcome.ABANDONED}[letter], now)


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("bbbb", State.CLOSED),
        ("bbbbb", State.OPEN),
        ("bgbgbgbgb", State.OPEN),
        ("bbbb" + "g" * 6 + "b", State.CLOSED),
        ("bbbb" + "g" * 5 + "b", State.OPEN),
        ("bbbb" + "a" * 20 + "b", State.OPEN),
        ("a" * 20, State.CLOSED),
    ],
)
def test_the_breaker_opens_after_five_of_ten(outcomes: str, state: State) -> None:
    tried = breaker()
    play(tried, outcomes)
    assert tried.state is state


def test_the_breaker_probes_one_at_a_time_and_only_the_probe_counts() -> None:
    tried = breaker()
    early = tried.enter(0.0)
    assert early is not None
    play(tried, "bbbbb")
    assert tried.enter(9.99) is None
    tried.leave(early, Outcome.GOOD, 9.99)
    assert tried.state is State.OPEN
    probe = tried.enter(10.0)
    assert probe is not None
    assert tried.enter(10.0) is None
    tried.leave(probe, Outcome.BAD, 11.0)
    assert tried.enter(20.9) is None
    abandoned = tried.enter(21.0)
    assert abandoned is not None
    tried.leave(abandoned, Outcome.ABANDONED, 22.0)
    again = tried.enter(22.0)
    assert again is not None
    tried.leave(again, Outcome.GOOD, 22.0)
    assert tried.state is State.CLOSED
    play(tried, "bbbb")
    assert tried.state is State.CLOSED


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["g", "b", "a"])), max_size=80))
def test_the_breaker_agrees_with_its_definition(story: list[tuple[float, str]]) -> None:
    """Against a plain restatement: one call at a time, a list of outcomes, a moment until which it rests."""
    tried, now, last, until = breaker(), 0.0, "", -1.0
    for wait, letter in story:
        now += wait
        ticket = tried.enter(now)
        opened = until >= 0
        assert (ticket is None) == (opened and now < until)
        if ticket is None:
            continue
        tried.leave(ticket, {"g": Outcome.GOOD, "b": Outcome.BAD, "a": Outcome.ABANDONED}[letter], now)
        if opened:
            last, until = ("", -1.0) if letter == "g" else (last, now if letter == "a" else now + 10.0)
        elif letter != "a":
            last = (last + letter)[-10:]
            until = now + 10.0 if last.count("b") >= 5 else -1.0


# --- garbage ---------------------------------------------------------------------------------------------------------


@on_uvloop
async def test_any_damage_to_an_answer_gives_an_answer_or_a_failure_never_an_exception(papers: Papers) -> None:
    dice = random.Random(20201)
    originals = [GOOD["gzip"], GOOD["chunked"], GOOD["content-length"], refusal(b"403", "withheld")]

    async def act(visit: Visit) -> None:
        damaged = bytearray(dice.choice(originals))
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        await visit.say(bytes(damaged[: dice.randint(1, len(damaged))] if dice.random() < 0.3 else damaged))
        visit.writer.close()

    async with source(papers, act) as raw, door(papers, window=1000, failures=1000) as sources:
        for _ in range(150):
            result = await ask(sources, raw.endpoint, within=2)
            assert isinstance(result, Answer | Failure)
            assert not isinstance(result, Failure) or result.failing is not Failing.TIMED_OUT
