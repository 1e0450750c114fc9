"""Does the exchange listener show the certificate, keep out whom it must, and outlast slow, large and stuck clients?

Everything over real TLS sockets on uvloop; clients are raw bytes, so that they can be as rude as they like.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import queue
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.web.listener import CERTIFICATE, ExchangeServer, Limits, bind, make_server
from source_sim import pki as throwaway

QUICK = replace(Limits(), head_s=0.3, body_s=0.4, handshake_s=0.3, write_s=0.4, linger_s=0.2, leave_s=0.2, shutdown_s=1)


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test on the loop of production."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


# --- the papers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Papers:
    authority: throwaway.Pki
    folder: Path

    def client(self, stem: str | None = "client", version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.folder / "ca.pem")
        if stem is not None:
            context.load_cert_chain(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def der(self, stem: str = "client") -> bytes:
        first = (self.folder / f"{stem}.pem").read_text().partition("-----END CERTIFICATE-----")
        return ssl.PEM_cert_to_DER_cert(first[0] + first[1] + "\n")


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder, now = tmp_path_factory.mktemp("pki"), datetime.now(UTC)
    authority = throwaway.create(folder / "authority", now=now)
    foreign = throwaway.create(folder / "foreign", now=now)
    for stem in ("server", "renewed"):
        authority.issue("90000001", "100001", "Gateway", dns=["127.0.0.1", "localhost"], out=folder, stem=stem, now=now)
    authority.issue("90000401", "400001", "Post", out=folder, stem="client", now=now)
    authority.issue("90000402", "400002", "Late", out=folder, stem="expired", now=now, flaw=throwaway.Flaw.EXPIRED)
    foreign.issue("90000401", "400001", "Post", out=folder / "abroad", stem="client", now=now)
    for suffix in ("pem", "key"):
        (folder / f"foreign.{suffix}").write_bytes((folder / "abroad" / f"client.{suffix}").read_bytes())
    return Papers(authority, folder)


# --- a small app and a running server --------------------------------------------------------------------------------


@dataclass
class App:
    """Answers what it saw; `/wait` until released, `/large` with 20 MB in pieces, `/boom` not at all."""

    calls: int = 0
    waiting: int = 0
    released: asyncio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.calls += 1
        message = await receive()
        if scope["path"] == "/wait":
            await self._wait()
        seen = {
            "path": scope["path"],
            "certificate": scope["extensions"][CERTIFICATE].hex(),
            "length": len(message["body"]),
            "whole": not message["more_body"],
        }
        pieces = [b"x" * 2**20] * 20 if scope["path"] == "/large" else [json.dumps(seen).encode()]
        length = sum(map(len, pieces))
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _live(self, receive: Any, send: Any) -> None:
        for said in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{said}.complete"})

    async def _wait(self) -> None:
        self.released = self.released or asyncio.Event()
        self.waiting += 1
        await self.released.wait()


@dataclass
class Running:
    server: ExchangeServer
    app: App
    papers: Papers
    port: int
    task: asyncio.Task[None]

    async def connect(self, context: ssl.SSLContext | None = None) -> Client:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context or self.papers.client(), ssl_shutdown_timeout=0.2
        )
        return Client(reader, writer)

    async def get(self, path: str = "/", context: ssl.SSLContext | None = None) -> Reply:
        client = await self.connect(context)
        async with client:
            return await client.ask(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["issue"][0]["details"]["coding"][0]["code"])


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, data: bytes) -> Reply:
        await self.say(data)
        return await self.reply()

    async def reply(self) -> Reply:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(int(first.split()[1]), headers, body)

    async def closed(self) -> bool:
        """Whether the server ends the connection, politely or not, without another byte."""
        try:
            return await self.reader.read(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True


@contextlib.asynccontextmanager
async def running(papers: Papers, limits: Limits = QUICK, **options: Any) -> AsyncIterator[Running]:
    app = App()
    place = papers.folder
    options = {"certificate": place / "server.pem", "key": place / "server.key", "ca": place / "ca.pem"} | options
    server = make_server(app, port=0, limits=limits, **options)
    port = server.port
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield Running(server, app, papers, port, task)
    finally:
        # Stopping politely takes its time and has tests of its own.
        server.should_exit = server.force_exit = True
        if app.released is not None:
            app.released.set()
        await asyncio.wait_for(task, 10)
        await asyncio.sleep(0.01)


def post(length: int, path: str = "/", more: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: h\r\n{more}Content-Length: {length}\r\n\r\n".encode()


# --- who gets in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_uvloop
async def test_every_request_of_a_connection_carries_the_certificate(papers: Papers, version: ssl.TLSVersion) -> None:
    async with running(papers) as it, await it.connect(papers.client(version=version)) as client:
        for path in ("/one", "/two"):
            reply = await client.ask(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert reply.status == 200
            assert json.loads(reply.body)["certificate"] == papers.der().hex()
        tls = client.writer.get_extra_info("ssl_object")
        assert tls.version() == ("TLSv1.2" if version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3")


@pytest.mark.parametrize("name", ["none", "foreign", "expired"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_uvloop
async def test_without_a_good_certificate_no_request_is_heard(
    papers: Papers, name: str, version: ssl.TLSVersion
) -> None:
    context = papers.client(None if name == "none" else name, version)
    async with running(papers) as it:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await it.get(context=context)
        assert it.app.calls == 0
        assert (await it.get()).status == 200


def hello(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> tuple[ssl.SSLSession, bool]:
    """One blocking request; gives the TLS session and whether it resumed the one handed in."""
    with (
        socket.create_connection(("127.0.0.1", port), 5) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert tls.recv(15) == b"HTTP/1.1 200 OK"
        while tls.recv(65536):
            pass
        found = tls.session
        assert found is not None
        return found, bool(tls.session_reused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_uvloop
async def test_a_session_is_never_resumed(papers: Papers, version: ssl.TLSVersion) -> None:
    context = papers.client(version=version)
    async with running(papers) as it:
        session, _ = await asyncio.to_thread(hello, it.port, context)
        assert not session.has_ticket
        _, resumed = await asyncio.to_thread(hello, it.port, context, session)
        assert not resumed


def test_the_resumption_test_can_fail(papers: Papers) -> None:
    """The same two hellos against an ordinary context do resume: OpenSSL keeps TLS 1.2 sessions by id."""
    ordinary = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ordinary.load_cert_chain(papers.folder / "server.pem", papers.folder / "server.key")
    ordinary.options |= ssl.OP_NO_TICKET
    context = papers.client(version=ssl.TLSVersion.TLSv1_2)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async def play() -> bool:
        server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=ordinary)
        port = server.sockets[0].getsockname()[1]
        session, _ = await asyncio.to_thread(hello, port, context)
        _, resumed = await asyncio.to_thread(hello, port, context, session)
        server.close()
        await asyncio.sleep(0.01)
        return resumed

    assert uvloop.run(play())


@on_uvloop
async def test_old_tls_and_weak_ciphers_are_refused(papers: Papers) -> None:
    old = papers.client()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    weak = papers.client(version=ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    async with running(papers) as it:
        for context in (old, weak):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await it.connect(context)


@on_uvloop
async def test_http_1_1_is_negotiated(papers: Papers) -> None:
    context = papers.client()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with running(papers) as it, await it.connect(context) as client:
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


REPEAT_HELLO = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The server random that asks for another hello (RFC 8446 section 4.1.3)."""


def without_key_share(hello: bytes) -> bytes:
    """The same ClientHello with an empty list of key shares, which asks the server to choose (section 4.2.8)."""
    share = hello.index(bytes.fromhex("00330026"))  # one X25519 share; what follows it moves up
    shorter = bytearray(hello[:share] + bytes.fromhex("003300020000") + hello[share + 4 + 0x26 :])
    at = 5 + 4 + 2 + 32  # record head, message head, version, random
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2], "big")  # cipher suites
    at += 1 + hello[at]  # compression methods
    for start, end in ((3, 5), (6, 9), (at, at + 2)):  # lengths of record, message, extensions
        shorter[start:end] = (int.from_bytes(hello[start:end], "big") - 0x24).to_bytes(end - start, "big")
    return bytes(shorter)


@on_uvloop
async def test_a_hello_that_must_be_repeated_still_gets_in(papers: Papers) -> None:
    outgoing = ssl.MemoryBIO()
    client = papers.client().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    proper = outgoing.read()
    async with running(papers) as it:
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            writer.write(without_key_share(proper))
            again = await reader.read(4096)
            writer.write(proper)
            answer = await reader.read(4096)
            writer.transport.abort()
            assert REPEAT_HELLO in again
            assert answer[0] == 0x16, "a handshake record, not an alert"
            assert REPEAT_HELLO not in answer
        assert (await it.get()).status == 200


# --- certificate rotation --------------------------------------------------------------------------------------------


@on_uvloop
async def test_a_renewed_certificate_is_shown_after_reload_and_a_broken_one_never(
    papers: Papers, tmp_path: Path
) -> None:
    place = papers.folder
    certificate, key = tmp_path / "live.pem", tmp_path / "live.key"

    def install(stem: str, key_stem: str) -> None:
        for path, content in ((certificate, f"{stem}.pem"), (key, f"{key_stem}.key")):
            beside = tmp_path / "beside"
            beside.write_bytes((place / content).read_bytes())
            beside.replace(path)

    async def shown(it: Running) -> bytes:
        async with await it.connect() as client:
            return bytes(client.writer.get_extra_info("ssl_object").getpeercert(True))

    install("server", "server")
    async with running(papers, certificate=certificate, key=key) as it, await it.connect() as kept:
        assert it.server.reload() is False
        install("renewed", "server")
        with pytest.raises(ssl.SSLError):
            it.server.reload()
        assert await shown(it) == papers.der("server")
        install("renewed", "renewed")
        assert it.server.reload() is True
        assert await shown(it) == papers.der("renewed")
        assert (await kept.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200


# --- slow ------------------------------------------------------------------------------------------------------------


async def drip(client: Client, data: bytes) -> None:
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        for byte in data:
            await client.say(bytes([byte]))
            await asyncio.sleep(0.02)


SLOW = {
    "half a head": (b"GET / HTTP/1.1\r\nHo", b"", 408),
    "a dripping head": (b"GET / HTTP/1.1\r\n", b"X-Drip: 123456789012345678901234567890\r\n" * 20, 408),
    "no body": (post(10), b"", 408),
    "a dripping body": (post(1000), b"x" * 1000, 408),
    "a dripping chunked body": (
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n" * 1000,
        408,
    ),
    "nothing": (b"", b"", None),
    "only empty lines": (b"", b"\r\n" * 5000, None),
}


@pytest.mark.parametrize("kept", [False, True], ids=["fresh", "kept"])
@pytest.mark.parametrize("name", SLOW)
@on_uvloop
async def test_a_slow_sender_is_told_and_cut_off_by_the_deadline(papers: Papers, name: str, kept: bool) -> None:
    first, then, status = SLOW[name]
    loop = asyncio.get_running_loop()
    async with running(papers, replace(QUICK, idle_s=1)) as it, await it.connect() as client:
        if kept:
            await client.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        started = loop.time()
        if first:
            await client.say(first)
        dripping = asyncio.create_task(drip(client, then))
        if status is not None:
            reply = await client.reply()
            assert (reply.status, reply.code) == (status, "timeout")
            assert loop.time() - started < 2
        assert await client.closed()
        dripping.cancel()
        assert loop.time() - started < 4
        assert it.app.calls == int(kept)


@on_uvloop
async def test_a_handshake_never_finished_is_cut_off(papers: Papers) -> None:
    loop = asyncio.get_running_loop()
    async with running(papers) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        started = loop.time()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert 0.2 < loop.time() - started < 3
        writer.transport.abort()


@on_uvloop
async def test_a_reader_that_does_not_read_is_cut_off(papers: Papers) -> None:
    async with running(papers) as it, await it.connect() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.say(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.sleep(0.2)
        assert len(it.server.server_state.connections) == 1
        await asyncio.sleep(0.6)
        assert len(it.server.server_state.connections) == 0


@on_uvloop
async def test_a_large_answer_is_read_whole(papers: Papers) -> None:
    async with running(papers) as it:
        assert len((await it.get("/large")).body) == 20 * 2**20


@on_uvloop
async def test_two_hundred_stuck_connections_do_not_keep_others_waiting(papers: Papers) -> None:
    loop, patient = asyncio.get_running_loop(), replace(QUICK, head_s=20.0, body_s=20.0, leave_s=0.2, shutdown_s=1)
    stuck: list[Client] = []
    async with running(papers, patient) as it:
        context = papers.client()
        for number in range(200):
            client = await it.connect(context)
            stuck.append(client)
            await client.say([b"GET / HT", post(100)][number % 2])
        durations = []
        for _ in range(20):
            started = loop.time()
            assert (await it.get(context=context)).status == 200
            durations.append(loop.time() - started)
        assert sorted(durations)[10] < 0.25
        assert len(it.server.server_state.connections) >= 200
        started = loop.time()
        it.server.should_exit = True
        await asyncio.wait_for(it.task, 10)
        assert loop.time() - started < 5
        assert all(await asyncio.wait_for(asyncio.gather(*(client.closed() for client in stuck)), 1))
        for client in stuck:
            client.writer.transport.abort()


# --- large -----------------------------------------------------------------------------------------------------------

LIMITS = replace(QUICK, body=1000, batch=10_000, head=2000)


def chunks(size: int, piece: int = 100) -> bytes:
    framed = (b"%x\r\n" % piece) + b"x" * piece + b"\r\n"
    return (
        b"POST %b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + framed * (size // piece) + b"0\r\n\r\n"
    )


SIZES: dict[str, tuple[bytes, int]] = {
    "at the cap": (post(1000) + b"x" * 1000, 200),
    "over the cap": (post(1001) + b"x" * 1001, 413),
    "over the cap, announced only": (post(1001), 413),
    "far over the cap, announced only": (post(10**15), 413),
    "a batch at its cap": (post(10_000, "/fhir") + b"x" * 10_000, 200),
    "a batch on the alias": (post(10_000, "/fhir/R4/?_format=json") + b"x" * 10_000, 200),
    "a batch over its cap": (post(10_001, "/fhir"), 413),
    "a search is no batch": (post(1001, "/fhir/List/_search"), 413),
    "an update of the base is no batch": (post(1001, "/fhir").replace(b"POST", b"PUT"), 413),
    "chunks at the cap": (chunks(1000) % b"/", 200),
    "chunks over the cap": (chunks(1100) % b"/", 413),
    "a chunked batch at its cap": (chunks(10_000) % b"/fhir", 200),
    "a chunked batch over its cap": (chunks(10_100) % b"/fhir", 413),
    "a long header": (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 2100 + b"\r\n\r\n", 431),
    "a long header without end": (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 2100, 431),
    "a long URL": (b"GET /" + b"x" * 2100 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: 123456789\r\n" * 250 + b"\r\n", 431),
    "a head within the cap": (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 1500 + b"\r\n\r\n", 200),
    "a long trailer": ((chunks(100) % b"/")[:-2] + b"X: " + b"x" * 2100 + b"\r\n\r\n", 431),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
    "length and chunks": ((chunks(100) % b"/").replace(b"Host: h", b"Content-Length: 5"), 400),
    "not HTTP": (b"\x16\x03\x01rubbish\r\n\r\n", 400),
    "an upgrade": (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
    "a tunnel": (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
}
CODES = {400: "malformed", 413: "too-large", 431: "too-large"}


@pytest.fixture(scope="module")
def shared(papers: Papers) -> Iterator[Running]:
    """One server for the whole table, on a loop and thread of its own."""
    ready: queue.Queue[Running] = queue.Queue()

    async def serve() -> None:
        async with running(papers, LIMITS) as it:
            ready.put(it)
            await it.task

    thread = threading.Thread(target=uvloop.run, args=(serve(),))
    thread.start()
    it = ready.get(timeout=10)
    yield it
    it.server.should_exit = True
    thread.join(10)


@pytest.mark.parametrize("name", SIZES)
@on_uvloop
async def test_sizes_and_shapes_are_judged_before_the_app_sees_anything(shared: Running, name: str) -> None:
    (data, status), before = SIZES[name], shared.app.calls
    async with await shared.connect() as client:
        reply = await client.ask(data)
        assert reply.status == status
        assert ("connection" in reply.headers) is (status != 200)
        assert shared.app.calls - before == int(status == 200)
        if status == 200:
            assert json.loads(reply.body)["whole"] is True
        else:
            assert reply.code == CODES[status]
            assert reply.headers["content-type"] == "application/fhir+json"
            assert await client.closed()


@on_uvloop
async def test_a_trailer_without_end_is_not_read_on(papers: Papers) -> None:
    async with running(papers, replace(LIMITS, body_s=5.0)) as it, await it.connect() as client:
        await client.say((chunks(100) % b"/")[:-2] + b"X: ")
        for _ in range(8):
            await client.say(b"x" * 500)
            await asyncio.sleep(0.01)
        assert (await client.reply()).status == 431


def pour(port: int, context: ssl.SSLContext, head: bytes, mebibytes: int) -> int:
    """Blocking: send head and body until the server hangs up; tells how many mebibytes went out."""
    sent = 0
    with (
        socket.create_connection(("127.0.0.1", port), 5) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
        contextlib.suppress(OSError),
    ):
        tls.sendall(head)
        while sent < mebibytes:
            tls.sendall(b"x" * 2**20)
            sent += 1
    return sent


@on_uvloop
async def test_a_body_far_over_the_cap_is_not_read_to_its_end(papers: Papers) -> None:
    async with running(papers) as it:
        assert await asyncio.to_thread(pour, it.port, papers.client(), post(200 * 2**20), 200) < 20


@pytest.mark.parametrize(("length", "status"), [(1000, 200), (1001, 413)])
@on_uvloop
async def test_who_asks_before_sending_is_answered_before_sending(papers: Papers, length: int, status: int) -> None:
    async with running(papers, LIMITS) as it, await it.connect() as client:
        await client.say(post(length, more="Expect: 100-continue\r\n"))
        first = (await client.reader.readline()).decode()
        assert first.startswith("HTTP/1.1 100" if status == 200 else "HTTP/1.1 413")
        if status == 200:
            await client.reader.readline()
            assert (await client.ask(b"x" * length)).status == 200


@on_uvloop
async def test_the_writer_of_errors_can_be_given(papers: Papers) -> None:
    def write(status: int, code: str, sentence: str) -> bytes:
        return f"{status} {code} {bool(sentence)}".encode()

    async with running(papers, LIMITS, write_error=write) as it, await it.connect() as client:
        assert (await client.ask(post(5000))).body == b"413 too-large True"


# --- many ------------------------------------------------------------------------------------------------------------


@on_uvloop
async def test_a_connection_too_many_is_told_to_come_back(papers: Papers) -> None:
    async with running(papers, replace(QUICK, connections=2, head_s=5.0)) as it:
        async with await it.connect() as one, await it.connect() as two:
            assert [(await client.ask(post(0))).status for client in (one, two)] == [200, 200]
            async with await it.connect() as three:
                reply = await three.ask(post(0))
                assert (reply.status, reply.headers["retry-after"], reply.code) == (503, "1", "overloaded")
                assert await three.closed()
            assert [(await client.ask(post(0))).status for client in (one, two)] == [200, 200]
        await asyncio.sleep(0.05)
        assert (await it.get()).status == 200


@on_uvloop
async def test_pipelined_requests_are_answered_in_order(papers: Papers) -> None:
    async with running(papers) as it, await it.connect() as client:
        await client.say(b"".join(post(3, f"/{n}") + b"abc" for n in range(5)) + post(3, "/5") + b"ab")
        await asyncio.sleep(0.05)
        await client.say(b"c")
        for number in range(6):
            seen = json.loads((await client.reply()).body)
            assert (seen["path"], seen["length"]) == (f"/{number}", 3)


@on_uvloop
async def test_rubbish_after_a_request_in_progress_gets_no_answer_in_between(papers: Papers) -> None:
    async with running(papers) as it, await it.connect() as client:
        await client.say(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n" + b"\x00rubbish\r\n\r\n")
        assert await client.closed()


# --- what is not said ------------------------------------------------------------------------------------------------


@on_uvloop
async def test_no_url_is_logged_and_no_server_named(papers: Papers, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with running(papers) as it:
            reply = await it.get("/secret-path?secret=value")
            async with await it.connect() as client:
                await client.ask(b"GET /secret-path HTTP/1.1\r\nHost h\r\n\r\n")
    assert "secret" not in caplog.text
    assert "server" not in reply.headers
    assert "date" in reply.headers


# --- stopping --------------------------------------------------------------------------------------------------------

SHAKING = replace(QUICK, handshake_s=3.0, leave_s=0.4)


async def shaking_late(it: Running, seconds: float) -> Client:
    """Let in before the server is told to stop, it begins its handshake so much later."""
    wire = socket.create_connection(("127.0.0.1", it.port))
    await asyncio.sleep(0.05)
    it.server.should_exit = True
    await asyncio.sleep(seconds)
    return Client(*await asyncio.open_connection(sock=wire, ssl=it.papers.client(), server_hostname="127.0.0.1"))


@on_uvloop
async def test_who_was_let_in_just_before_is_still_served(papers: Papers) -> None:
    async with running(papers, SHAKING) as it, await shaking_late(it, 0.3) as client:
        assert (await client.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
        assert not it.task.done()


@on_uvloop
async def test_who_shakes_hands_after_the_others_were_told_is_told_too(papers: Papers) -> None:
    async with running(papers, SHAKING) as it, await it.connect() as busy:
        await busy.say(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
        async with await shaking_late(it, 0.8) as client:
            reply = await client.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (reply.status, reply.headers["connection"]) == (200, "close")


@on_uvloop
async def test_a_request_under_way_is_finished_before_stopping(papers: Papers) -> None:
    async with running(papers) as it, await it.connect() as client:
        await client.say(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
        while not it.app.waiting:
            await asyncio.sleep(0.01)
        it.server.should_exit = True
        await asyncio.sleep(0.3)
        assert it.app.released is not None
        it.app.released.set()
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")


@on_uvloop
async def test_a_kept_connection_may_bring_one_more_request_while_stopping(papers: Papers) -> None:
    async with running(papers) as it, await it.connect() as client:
        await client.ask(post(0))
        it.server.should_exit = True
        await asyncio.sleep(0.15)
        reply = await client.ask(post(0))
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await client.closed()


@on_uvloop
async def test_stopping_is_bounded_though_a_request_never_ends(papers: Papers) -> None:
    loop = asyncio.get_running_loop()
    async with running(papers) as it, await it.connect() as client:
        await client.say(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
        while not it.app.waiting:
            await asyncio.sleep(0.01)
        started = loop.time()
        it.server.should_exit = True
        await asyncio.wait_for(it.task, 10)
        assert 0.9 < loop.time() - started < 5


@on_uvloop
async def test_a_bound_socket_is_inherited_and_can_be_shared(papers: Papers) -> None:
    bound = bind("127.0.0.1", 0)
    assert os.get_inheritable(bound.fileno())
    async with running(papers, sock=bound) as it:
        assert (await it.get()).status == 200
    with bind("127.0.0.1", 0, reuse_port=True) as one:
        one.listen()
        port = one.getsockname()[1]
        bind("127.0.0.1", port, reuse_port=True).close()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", port)
