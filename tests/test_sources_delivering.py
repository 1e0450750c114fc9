"""Is a message handed over once, to whom leave was given for, and is the reply told for what it is?

Every recipient is a raw server on a real TLS socket, on uvloop, as in production.
"""

# ruff: noqa: F811  (fixtures are imported by name)

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_sources import (
    AORTA,
    APPLICATION,
    DEADLINE_S,
    PERMIT,
    SLACK_S,
    URA,
    Act,
    Papers,
    Visit,
    ask,
    deaf,  # noqa: F401  a fixture
    door,
    headers,
    on_uvloop,
    papers,  # noqa: F401  a fixture
    reset_at_once,
    saying,
    saying_and_closing,
    source,
    stall,
)

from gateway.rules.exchange import Address, Answer
from gateway.rules.identifiers import Ura
from gateway.rules.message import MessageEvent, Reply, Taking
from gateway.rules.sending import Leave, Sending
from gateway.rules.table import ROWS, Action
from gateway.sources import Sources
from gateway.sources.delivering import REJECTED, judge
from gateway.sources.wire import Response

MESSAGE = '{"resourceType":"Bundle","type":"message","value":0.10,"text":"één"}'.encode()
RET_1 = next(row for row in ROWS if row.action is Action.SEND_RETURN)
TAKEN, REJECT, AWAY, NO_WAY, LOST = (
    Taking.TAKEN, Taking.REJECTED, Taking.TURNED_AWAY, Taking.UNREACHABLE, Taking.REPLY_LOST
)  # fmt: skip


def leave_for(endpoint: str) -> Leave:
    judged = Sending(MessageEvent.RETURN_MESSAGE, URA, row=RET_1)
    return Leave(judged, Address(URA, APPLICATION, endpoint))


async def deliver(sources: Sources, endpoint: str, *, within: float = DEADLINE_S, body: bytes = MESSAGE) -> Reply:
    deadline = asyncio.get_running_loop().time() + within
    return await sources.deliver(leave_for(endpoint), body, token="t.o.k", aorta=AORTA, deadline=deadline)


def reply(status: int, body: bytes = b"", more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d Said\r\nContent-Type: application/fhir+json\r\n" % status
    return head + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


# --- what travels ----------------------------------------------------------------------------------------------------


@on_uvloop
async def test_the_message_travels_byte_for_byte_as_the_interface_says(papers: Papers) -> None:
    async with source(papers, saying(reply(202))) as raw, door(papers) as sources:
        assert await deliver(sources, raw.endpoint + "/") == Reply(TAKEN)
    (visit,) = raw.visits
    said = headers(visit.head)
    assert visit.head.startswith(b"POST /fhir/$process-message HTTP/1.1\r\n")
    assert said["content-type"] == "application/fhir+json"
    assert said["authorization"] == "Bearer t.o.k"
    assert said["aorta-id"] == f"initialRequestID={AORTA.initial}; requestID={AORTA.request}"
    assert said["host"] == f"127.0.0.1:{raw.port}"
    assert visit.body == MESSAGE


# --- how it was taken ------------------------------------------------------------------------------------------------

HTML = b"<html><body>Welkom</body></html>"
OUTCOME = b'{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}'


async def reset_after_a_byte(visit: Visit) -> None:
    await visit.say(b"H")
    await asyncio.sleep(0.02)
    visit.reset()


async def drip(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 202 Accepted\r\nContent-Length: 5000\r\n\r\n{")
    while True:
        await visit.say(b" ")
        await asyncio.sleep(0.02)


async def flood(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await visit.say(b"2000\r\n" + b" " * 8192 + b"\r\n")


@dataclass(frozen=True)
class Case:
    act: Act
    taking: Taking
    retry_after: float | None = None
    slow: bool = False


OTHER_CHAIN = b"AORTA-ID: initialRequestID=33333333; requestID=4\r\n"
SAME_CHAIN = b"AORTA-ID: requestID=x; initialRequestID=%b\r\n" % AORTA.initial.upper().encode()

CASES = {
    "200, empty": Case(saying(reply(200)), TAKEN),
    "202, empty": Case(saying(reply(202)), TAKEN),
    "200, white space": Case(saying(reply(200, b"\r\n ")), TAKEN),
    "200, an OperationOutcome": Case(saying(reply(200, OUTCOME)), TAKEN),
    "202, an OperationOutcome": Case(saying(reply(202, OUTCOME)), TAKEN),
    "202, packed though not asked for": Case(
        saying(reply(202, gzip.compress(OUTCOME), b"Content-Encoding: gzip\r\n")), TAKEN
    ),
    "202, echoing the chain": Case(saying(reply(202, b"", SAME_CHAIN)), TAKEN),
    "200, until the connection closes": Case(saying_and_closing(b"HTTP/1.1 200 OK\r\n\r\n" + OUTCOME), TAKEN),
    "202 after 100": Case(saying(b"HTTP/1.1 100 Continue\r\n\r\n" + reply(202)), TAKEN),
    "200, HTML": Case(saying(reply(200, HTML)), LOST),
    "202, HTML": Case(saying(reply(202, HTML)), LOST),
    "200, a JSON list": Case(saying(reply(200, b"[]")), LOST),
    "200, half an object": Case(saying(reply(200, OUTCOME[:-1])), LOST),
    "200, an object and more": Case(saying(reply(200, OUTCOME + b"x")), LOST),
    "200, not UTF-8": Case(saying(reply(200, b'{"a":"\xff"}')), LOST),
    "200, deeply nested": Case(saying(reply(200, b'{"a":' + b"[" * 100_000)), LOST),
    "200, a truncated body": Case(saying_and_closing(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), LOST),
    "202, of another chain": Case(saying(reply(202, b"", OTHER_CHAIN)), LOST),
    "400, of another chain": Case(saying(reply(400, b"", OTHER_CHAIN)), LOST),
    "204": Case(saying(b"HTTP/1.1 204 No Content\r\n\r\n"), LOST),
    "201": Case(saying(reply(201)), LOST),
    **{f"{status}": Case(saying(reply(status, OUTCOME)), REJECT) for status in sorted(REJECTED)},
    "422, in HTML": Case(saying(reply(422, HTML)), REJECT),
    **{f"{status}": Case(saying(reply(status)), AWAY) for status in (401, 403, 404, 408, 429, 500, 503)},
    **{f"{status}": Case(saying(reply(status)), LOST) for status in (502, 504)},
    "503, in HTML": Case(saying(reply(503, HTML)), AWAY),
    "503, in 7 s": Case(saying(reply(503, b"", b"Retry-After: 7\r\n")), AWAY, 7.0),
    "429, in an hour": Case(saying(reply(429, b"", b"RETRY-AFTER:  3600 \r\n")), AWAY, 3600.0),
    "503, at a date": Case(saying(reply(503, b"", b"Retry-After: Sun, 22 Nov 2026 03:00:00 GMT\r\n")), AWAY),
    "503, in a negative time": Case(saying(reply(503, b"", b"Retry-After: -5\r\n")), AWAY),
    "503, in no time anybody lives": Case(saying(reply(503, b"", b"Retry-After: 99999999999\r\n")), AWAY),
    "redirect": Case(saying(reply(307, b"", b"Location: https://127.0.0.1:1/\r\n")), AWAY),
    "redirect of a success": Case(saying(reply(303, b"", b"Location: https://127.0.0.1:1/\r\n")), AWAY),
    "resets after reading": Case(reset_at_once, LOST),
    "resets after a byte": Case(reset_after_a_byte, LOST),
    "hangs up after reading": Case(saying_and_closing(b""), LOST),
    "not HTTP": Case(saying(b"SSH-2.0-OpenSSH_9\r\n"), LOST),
    "two lengths": Case(saying(reply(200, b"", b"Content-Length: 2\r\n")), LOST),
    "huge reply": Case(flood, LOST),
    "says it is huge": Case(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n"), LOST),
    "slow": Case(stall, LOST, slow=True),
    "drips": Case(drip, LOST, slow=True),
}


@pytest.mark.parametrize("name", CASES)
@on_uvloop
async def test_a_reply_is_told_for_what_it_is_by_the_deadline(papers: Papers, name: str) -> None:
    case, loop = CASES[name], asyncio.get_running_loop()
    async with source(papers, case.act) as raw, door(papers) as sources:
        started = loop.time()
        result = await deliver(sources, raw.endpoint)
        took = loop.time() - started
    assert (result.taking, result.retry_after) == (case.taking, case.retry_after), result
    assert bool(result.detail) is (case.taking is not TAKEN)
    assert took < DEADLINE_S + SLACK_S
    assert (took >= DEADLINE_S - 0.01) is case.slow
    assert [visit.body for visit in raw.visits] == [MESSAGE], "it travelled once"


JSONISH = st.text('{}[]":, a1\\\x00', max_size=12).map(str.encode)


@given(st.integers(100, 999), st.binary(max_size=40) | JSONISH, st.binary(max_size=12))
@example(502, b"", b"")
@example(504, b"{}", b"3")
def test_every_reply_is_told_and_only_a_sensible_success_is_taken(status: int, body: bytes, after: bytes) -> None:
    told = judge(Response(status, {b"retry-after": after}, body), AORTA)
    if told.taking is TAKEN:
        assert status in (200, 202)
        assert not body.strip() or isinstance(json.loads(body), dict)
    assert (told.taking is REJECT) is (status in REJECTED)
    between = status in (502, 504)
    assert (told.taking is LOST) is (between or (200 <= status < 300 and told.taking is not TAKEN))
    assert told.retry_after is None or told.retry_after >= 0


# --- when it was certainly not taken ---------------------------------------------------------------------------------


@on_uvloop
async def test_a_closed_port_is_unreachable(papers: Papers) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with door(papers) as sources:
            told = await deliver(sources, f"https://127.0.0.1:{free.getsockname()[1]}/fhir")
    assert told == Reply(NO_WAY, "no connection")


@on_uvloop
async def test_a_connection_that_hangs_is_unreachable(papers: Papers, deaf: int) -> None:
    async with door(papers) as sources:
        assert (await deliver(sources, f"https://127.0.0.1:{deaf}/fhir", within=0.2)).taking is NO_WAY


@on_uvloop
async def test_a_handshake_never_answered_is_unreachable(papers: Papers) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with door(papers) as sources:
        told = await deliver(sources, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir", within=0.2)
    server.close()
    assert told.taking is NO_WAY


@on_uvloop
async def test_a_connection_reset_before_the_handshake_is_unreachable(papers: Papers) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        Visit(reader, writer, 1, 1, b"", b"").reset()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with door(papers) as sources:
        told = await deliver(sources, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir")
    server.close()
    assert told.taking is NO_WAY


@pytest.mark.parametrize("stem", ["other", "foreign", "misnamed"])
@on_uvloop
async def test_only_the_organisation_leave_was_given_for_gets_it(papers: Papers, stem: str) -> None:
    async with source(papers, saying(reply(202)), stem=stem) as raw, door(papers) as sources:
        assert (await deliver(sources, raw.endpoint)).taking is NO_WAY
    assert raw.visits == []


@on_uvloop
async def test_a_certificate_that_loses_its_good_name_gets_nothing_on_a_kept_connection(
    papers: Papers,
) -> None:
    names = iter([URA.digits, None])
    async with (
        source(papers, saying(reply(202))) as raw,
        door(papers, expected_ura=lambda _: next(names)) as sources,
    ):
        assert (await deliver(sources, raw.endpoint)).taking is TAKEN
        assert await deliver(sources, raw.endpoint) == Reply(NO_WAY, "certificate of another organisation")
    assert len(raw.visits) == 1


@contextlib.contextmanager
def choosy(papers: Papers, version: ssl.TLSVersion) -> Iterator[int]:
    """The port of a recipient that does not know our authority, and says so as OpenSSL does: with an alert."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.folder / "source.pem", papers.folder / "source.key")
    context.load_verify_locations(papers.folder / "foreign" / "ca.pem")
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version

    def meet(listening: socket.socket) -> None:
        with listening.accept()[0] as accepted:
            accepted.settimeout(5)
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=True)
            with contextlib.suppress(OSError):
                accepted.recv(65536)  # closing over unread bytes would be a reset, and the alert lost

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        meeting = threading.Thread(target=meet, args=(listening,))
        meeting.start()
        yield listening.getsockname()[1]
        meeting.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_uvloop
async def test_a_recipient_that_refuses_our_certificate_has_read_nothing(
    papers: Papers,
    version: ssl.TLSVersion,
) -> None:
    with choosy(papers, version) as port:
        async with door(papers) as sources:
            told = await deliver(sources, f"https://127.0.0.1:{port}/fhir", within=2)
    assert told.taking is NO_WAY, told
    assert told.detail in {"our certificate was refused", "TLS failure: TLSV1_ALERT_UNKNOWN_CA"}


@on_uvloop
async def test_only_a_plain_https_endpoint_is_called(papers: Papers) -> None:
    async with door(papers) as sources:
        for endpoint in ("http://127.0.0.1:8080/fhir", "https://user@127.0.0.1/fhir", ""):
            assert await deliver(sources, endpoint) == Reply(NO_WAY, "registered address is not usable")


@on_uvloop
async def test_with_no_time_left_nothing_is_sent(papers: Papers) -> None:
    async with source(papers, saying(reply(202))) as raw, door(papers) as sources:
        assert (await deliver(sources, raw.endpoint, within=0.0)).taking is NO_WAY
        assert (await deliver(sources, raw.endpoint)).taking is TAKEN
        assert (await deliver(sources, raw.endpoint, within=-1.0)).taking is NO_WAY, "nor on a kept connection"
    assert len(raw.visits) == 1


@on_uvloop
async def test_a_host_that_moved_is_found_again(papers: Papers) -> None:
    answers = iter([["127.0.0.9"], ["127.0.0.1"]])

    async def resolve(_host: str, _port: int) -> list[str]:
        return next(answers)

    async with source(papers, saying(reply(202))) as raw, door(papers, resolve=resolve) as sources:
        for wanted in (NO_WAY, TAKEN, TAKEN):
            assert (await deliver(sources, f"https://source.test:{raw.port}/fhir")).taking is wanted


# --- leave, and words ------------------------------------------------------------------------------------------------


@on_uvloop
async def test_the_door_opens_to_leave_only(papers: Papers) -> None:
    look_alike: Any = replace(Address(URA, APPLICATION, "https://127.0.0.1:1/fhir"))
    async with door(papers) as sources:
        for wrong in (None, PERMIT, look_alike, Sending(MessageEvent.RETURN_MESSAGE, URA, row=RET_1)):
            with pytest.raises(TypeError):
                await sources.deliver(wrong, MESSAGE, token="t", aorta=AORTA, deadline=0.0)


def test_leave_for_one_recipient_is_none_for_another() -> None:
    with pytest.raises(TypeError):
        Leave(Sending(MessageEvent.RETURN_MESSAGE, Ura("90000999"), row=RET_1), Address(URA, APPLICATION, "https://x"))


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "", "é"])
@on_uvloop
async def test_no_word_breaks_out_of_its_header(papers: Papers, token: str) -> None:
    async with door(papers) as sources:
        with pytest.raises(ValueError, match="header word"):
            await sources.deliver(
                leave_for("https://127.0.0.1:1/fhir"), MESSAGE, token=token, aorta=AORTA, deadline=0.0
            )


# --- connections -----------------------------------------------------------------------------------------------------


@on_uvloop
async def test_messages_and_queries_share_kept_connections(papers: Papers) -> None:
    async with source(papers, saying(reply(200, OUTCOME))) as raw, door(papers) as sources:
        assert (await deliver(sources, raw.endpoint)).taking is TAKEN
        assert isinstance(await ask(sources, raw.endpoint), Answer)
        assert (await deliver(sources, raw.endpoint)).taking is TAKEN
    assert (raw.connections, len(raw.visits)) == (1, 3)


@contextlib.contextmanager
def hanging_up(papers: Papers) -> Iterator[tuple[int, threading.Event, list[int]]]:
    """A recipient on a thread of its own that takes one message per connection and closes the first when told: its
    port, the word to close, and the bytes it read on each connection."""
    close, read = threading.Event(), list[int]()

    def meet(listening: socket.socket) -> None:
        listening.settimeout(5)
        for patience in (5, 0):
            with (
                contextlib.suppress(TimeoutError),
                papers.server().wrap_socket(listening.accept()[0], server_side=True) as accepted,
            ):
                read.append(len(accepted.recv(65536)))
                accepted.sendall(reply(202))
                close.wait(patience)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        meeting = threading.Thread(target=meet, args=(listening,))
        meeting.start()
        yield listening.getsockname()[1], close, read
        meeting.join()


@on_uvloop
async def test_a_kept_connection_that_was_closed_is_noticed_before_anything_is_written(papers: Papers) -> None:
    with hanging_up(papers) as (port, close, read):
        async with door(papers) as sources:
            endpoint = f"https://127.0.0.1:{port}/fhir"
            assert (await deliver(sources, endpoint, within=5)).taking is TAKEN
            close.set()
            time.sleep(0.2)  # our loop stands still: the farewell has come, and nobody has looked yet
            assert (await deliver(sources, endpoint, within=5)).taking is TAKEN
    assert len(read) == 2


@on_uvloop
async def test_a_message_written_to_a_connection_just_closed_may_have_arrived(papers: Papers) -> None:
    async def act(visit: Visit) -> None:
        await visit.say(reply(202)) if visit.number == 1 else visit.reset()

    async with source(papers, act) as raw, door(papers) as sources:
        assert (await deliver(sources, raw.endpoint)).taking is TAKEN
        assert (await deliver(sources, raw.endpoint)).taking is LOST
        assert (raw.connections, len(raw.visits)) == (1, 2), "it is never sent again by itself"


@on_uvloop
async def test_the_breaker_of_queries_stays_out_of_it(papers: Papers) -> None:
    broken = True

    async def act(visit: Visit) -> None:
        await visit.say(reply(500) if broken else reply(200, OUTCOME))

    async with source(papers, act) as raw, door(papers, failures=2, window=2) as sources:
        for _ in range(3):
            assert (await deliver(sources, raw.endpoint)).taking is AWAY
        assert not isinstance(await ask(sources, raw.endpoint), Answer)
        assert not isinstance(await ask(sources, raw.endpoint), Answer)
        asked = len(raw.visits)
        broken = False
        assert not isinstance(await ask(sources, raw.endpoint), Answer)
        assert len(raw.visits) == asked, "open for queries"
        assert (await deliver(sources, raw.endpoint)).taking is TAKEN


@on_uvloop
async def test_a_cancelled_delivery_leaves_no_connection_behind(papers: Papers) -> None:
    async with source(papers, stall) as raw, door(papers, connections=1) as sources:
        under_way = asyncio.create_task(deliver(sources, raw.endpoint, within=5))
        while not raw.visits:
            await asyncio.sleep(0.005)
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        raw.act = saying(reply(202))
        assert (await deliver(sources, raw.endpoint)).taking is TAKEN, "the only place was given back"
        assert raw.connections == 2


@on_uvloop
async def test_a_big_message_travels_whole(papers: Papers) -> None:
    big = b'{"a":"' + b"x" * 1_000_000 + b'"}'
    async with source(papers, saying(reply(202))) as raw, door(papers) as sources:
        told = await asyncio.gather(*(deliver(sources, raw.endpoint, within=5, body=big) for _ in range(4)))
    assert [one.taking for one in told] == [TAKEN] * 4
    assert [visit.body for visit in raw.visits] == [big] * 4
