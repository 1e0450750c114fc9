"""Who sends the messages and who gets them? A receiver that shares no code with anybody, and a sender's own ledger.

A receiver takes each MessageHeader id once, as interface.md section 5 asks, and its inbox survives everything. What a
message does in the record is counted by the mark its text bears: whatever goes wrong with ids, addresses or repeats on
the way, an effect that came twice is seen.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

NAMES = "http://fhir.nl/fhir/NamingSystem/"
OURS = "https://switchpoint.example/fhir/"
MARK = "kenmerk-"
_MARKED = re.compile(MARK + "([0-9a-f]{32})")


# --- messages --------------------------------------------------------------------------------------------------------


@dataclass
class Sent:
    """One line of a sender's ledger: the message, and what came back each time (None: nothing whole). A call's answer
    is its status; `tasks` are the ids of the Tasks it was told."""

    id: str
    mark: str
    body: bytes = field(repr=False)
    token: str = field(repr=False)
    answers: list[int | None] = field(default_factory=list)
    tasks: set[str] = field(default_factory=set)

    @property
    def acknowledged(self) -> bool:
        return 202 in self.answers


def return_message(ura: str, bsn: str, mark: str, *, id: str, words: str = "", size: int = 0) -> bytes:
    """A return message as interface.md section 4 describes it, written by hand; of about `size` bytes at least."""
    header, document, patient, author = (f"urn:uuid:{one}" for one in (id, uuid4(), uuid4(), uuid4()))
    text = f"Klacht en beleid. {MARK}{mark} {words}".strip()
    made = _bundle(
        (header, _header(id, ura, document)),
        (document, _composition(document, patient, author, text)),
        (patient, _patient(bsn, words)),
        (author, {"resourceType": "Practitioner", "id": author[9:], "name": [{"text": "Test Waarnemend-Huisarts"}]}),
    )
    short = size - len(json.dumps(made))
    if short > 0:
        section = made["entry"][1]["resource"]["section"][0]
        section["text"]["div"] = _narrative(text + " " + "gewone woorden van een verslag " * (short // 31 + 1))
    return json.dumps(made).encode()


def _bundle(*entries: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    listed = [{"fullUrl": url, "resource": resource} for url, resource in entries]
    return {"resourceType": "Bundle", "id": str(uuid4()), "type": "message",
            "timestamp": "2026-01-10T23:10:00+01:00", "entry": listed}  # fmt: skip


def _header(id: str, ura: str, focus: str) -> dict[str, Any]:
    return {
        "resourceType": "MessageHeader",
        "id": id,
        "eventCoding": {"system": f"{OURS}CodeSystem/message-event", "code": "return-message"},
        "sender": {"identifier": {"system": f"{NAMES}ura", "value": ura}},
        "source": {"endpoint": "https://afzender.example/fhir"},
        "focus": [{"reference": focus}],
    }


def _composition(url: str, patient: str, author: str, text: str) -> dict[str, Any]:
    return {
        "resourceType": "Composition",
        "id": url[9:],
        "status": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "18761-7"}]},
        "subject": {"reference": patient},
        "date": "2026-01-10T23:05:00+01:00",
        "author": [{"reference": author}],
        "title": "Waarneembericht",
        "section": [{"title": "Subjectief", "text": {"status": "generated", "div": _narrative(text)}}],
    }


def _narrative(text: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'


def _patient(bsn: str, words: str) -> dict[str, Any]:
    name = [{"family": words}] if words else [{"family": "Test-Persoon"}]
    return {"resourceType": "Patient", "id": str(uuid4()), "name": name,
            "identifier": [{"system": f"{NAMES}bsn", "value": bsn}]}  # fmt: skip


# --- receivers -------------------------------------------------------------------------------------------------------


@dataclass
class Inbox:
    """What a receiver keeps, through all its own stops: every POST by MessageHeader id, and each id's message once."""

    posts: Counter[str] = field(default_factory=Counter)
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)

    def post(self, body: bytes) -> None:
        message = json.loads(body)
        header = message["entry"][0]["resource"]
        self.posts[header["id"]] += 1
        self.taken.setdefault(header["id"], message)

    @property
    def marks(self) -> Counter[str]:
        """How often each mark came into the record."""
        return Counter(mark for message in self.taken.values() for mark in _MARKED.findall(json.dumps(message)))

    def of(self, event: str) -> list[dict[str, Any]]:
        """The messages of this event, as they came."""
        headers = ((one["entry"][0]["resource"], one) for one in self.taken.values())
        return [message for header, message in headers if header["eventCoding"]["code"] == event]


class Manner(Enum):
    """How a receiver behaves: takes; takes, but the reply is lost; takes, and answers three seconds later."""

    TAKE = "take"
    LOSE_REPLY = "lose-reply"
    SLOW = "slow"


SLOW_SECONDS = 3.0


class Receiver:
    """A participant's own little server, mutual TLS, on one port for life. Down until `open`."""

    def __init__(self, folder: Path, port: int) -> None:
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
        self._tls.verify_mode = ssl.CERT_REQUIRED
        self._tls.load_cert_chain(folder / "client.pem", folder / "client.key")
        self._port = port
        self._server: asyncio.Server | None = None
        self._connected: set[asyncio.StreamWriter] = set()
        self.inbox = Inbox()
        self.manner = Manner.TAKE

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self._port}/fhir"

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)

    async def close(self) -> None:
        """Down, as a machine that is off: whoever calls is refused, whoever is connected is cut off."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._connected):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connected.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._connected.discard(writer)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        body = await reader.readexactly(length)
        assert head.startswith("post /fhir/$process-message "), head.split("\r\n")[0]
        assert "\r\nauthorization: bearer " in head, "a message without a voucher"
        self.inbox.post(body)
        if self.manner is Manner.SLOW:
            await asyncio.sleep(SLOW_SECONDS)
        if self.manner is Manner.LOSE_REPLY:
            return False
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        return True


# --- senders ---------------------------------------------------------------------------------------------------------


class Sender:
    """A participant's system that hands messages in and writes down every answer; it repeats until it is told 202."""

    def __init__(self, folder: Path, exchange: str) -> None:
        self._tls = ssl.create_default_context(cafile=folder / "ca.pem")
        self._tls.load_cert_chain(folder / "client.pem", folder / "client.key")
        self._exchange = exchange
        self._client = self.connection()
        self.ledger: dict[str, Sent] = {}

    def connection(self) -> httpx.AsyncClient:
        """Another client of this sender, with connections of its own."""
        return httpx.AsyncClient(verify=self._tls, base_url=self._exchange, trust_env=False, timeout=10)

    async def aclose(self) -> None:
        await self._client.aclose()

    def note(self, sent: Sent) -> Sent:
        self.ledger[sent.id] = sent
        return sent

    async def hand_in(self, sent: Sent) -> httpx.Response | None:
        """Once; None when no whole answer came."""
        try:
            got = await self._client.post(
                "/fhir/$process-message",
                content=sent.body,
                headers={"Authorization": f"Bearer {sent.token}", "Content-Type": "application/fhir+json"},
            )
        except httpx.TransportError:
            sent.answers.append(None)
            return None
        sent.answers.append(got.status_code)
        if got.status_code == 202:
            sent.tasks.add(got.headers["Location"])
        return got

    async def insist(self, sent: Sent, *, seconds: float = 30.0) -> None:
        """Until it is acknowledged; busy or broken is asked again, any other answer fails the test."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not sent.acknowledged:
            got = await self.hand_in(sent)
            assert got is None or got.status_code in (202, 503), (got.status_code, got.text)
            assert loop.time() < until, f"not acknowledged in {seconds} s: {sent.answers}"
            if not sent.acknowledged:
                await asyncio.sleep(0.05)

    async def task(self, sent: Sent) -> dict[str, Any]:
        """The Task of a message that was acknowledged."""
        (location,) = sent.tasks
        path = location.removeprefix(str(self._client.base_url).rstrip("/"))
        got = await self._client.get(path, headers={"Authorization": f"Bearer {sent.token}"})
        assert got.status_code == 200, (got.status_code, got.text)
        found: dict[str, Any] = got.json()
        return found
