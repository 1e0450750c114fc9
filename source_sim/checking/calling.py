"""How is a source under test called, and what came back? Mutual TLS as the exchange does it, one call at a time.

It knows sockets and the request of interface.md section 5. It may not judge anything. A BSN goes
into the form body only.
"""

from __future__ import annotations

import json
import re
import ssl
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import httpx

from source_sim.requesters import FHIR_JSON, FORM, Pairs, Search, aorta_id, bsn_token

_MOST_BYTES: Final = 32 * 1024 * 1024


class Unreachable(Exception):
    """Nobody answers at the address; the text says how it failed."""


@dataclass(frozen=True, slots=True)
class Papers:
    """Who calls: certificate and key, the authority trusted, and (for one probe) another participant's pair. PEM."""

    certificate: Path
    key: Path = field(repr=False)
    ca: Path
    stranger: tuple[Path, Path] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """The source under test: its base, who the register says it is, and what it should hold about whom.

    `patient` is known there, `unknown` is not, `withheld` is held back (empty: none such). `categories` are data
    categories; `decimal` is a decimal as it was recorded for the patient, such as 0.10 (empty: not told). `message` is
    the event of the messages it takes, return-message or referral (empty: none). `deadline` in seconds.
    """

    endpoint: str
    application: str
    ura: str
    patient: str = field(repr=False)
    unknown: str = field(repr=False)
    categories: tuple[str, ...]
    withheld: str = field(default="", repr=False)
    decimal: str = ""
    message: str = ""
    deadline: float = 4.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a voucher shall say; `wall` is when it is issued. An empty `view` leaves it out."""

    patient: str = field(repr=False)
    audience: str
    wall: datetime
    rule: str
    view: str = ""


class Pen(Protocol):
    """Signs as the exchange does (interface.md section 5)."""

    def search(self, said: Said) -> str:
        """The voucher of a search."""

    def delivery(self, said: Said) -> str:
        """The voucher of a message, about `sender`."""

    @property
    def sender(self) -> str:
        """The URA of the organisation whose messages these are."""


Reads = Callable[[bytes, str, str], str]
"""Would the exchange pass this body on? Body, BSN, resource type to what is wrong; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer. `status` 0: none came, and `problem` says why. `seconds` is how long it took;
    `sent_chain` and `chain` are the initialRequestID that was sent and the one that came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seconds: float
    problem: str = ""
    certificate: bytes = field(default=b"", repr=False)
    sent_chain: str = ""

    @property
    def media(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def chain(self) -> str:
        return chain_of(self.headers.get("aorta-id", ""))

    @property
    def code(self) -> str:
        """The machine code of an OperationOutcome; empty for anything else."""
        outcome = self.json
        issues = outcome.get("issue") if outcome.get("resourceType") == "OperationOutcome" else None
        codings = _shape(_first(issues).get("details")).get("coding")
        return str(_first(codings).get("code", ""))

    @property
    def is_outcome(self) -> bool:
        return self.json.get("resourceType") == "OperationOutcome"

    @property
    def json(self) -> dict[str, Any]:
        """The body's object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def __str__(self) -> str:
        """For a report: the status and code, never content."""
        return f"{self.status} {self.code}".strip() if self.status else f"no answer ({self.problem})"


def _shape(part: object) -> dict[str, Any]:
    return part if isinstance(part, dict) else {}


def _first(part: object) -> dict[str, Any]:
    return _shape(part[0]) if isinstance(part, list) and part else {}


class Caller:
    """Calls one source. Use as an asynchronous context manager."""

    def __init__(self, subject: Subject, papers: Papers) -> None:
        self._base, self._papers = subject.endpoint.rstrip("/"), papers
        self._patience = max(10.0, 2.5 * subject.deadline)
        self._web = self._client(tls(papers))

    def _client(self, context: ssl.SSLContext) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=context, trust_env=False, follow_redirects=False, timeout=self._patience)

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._web.aclose()

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Heard:
        return await self._send(self._web, "GET", path, b"", headers or {})

    async def search(
        self, search: Search, bsn: str, token: str, *, more: Pairs = (), headers: Mapping[str, str] | None = None
    ) -> Heard:
        """The search as the exchange writes it; without a `bsn` it names no patient, without a `token` no bearer."""
        patient = [(search.patient, bsn_token(bsn))] if bsn else []
        form = urlencode([*patient, *search.others, *more]).encode()
        said = {"Content-Type": FORM, **bearer(token), **(headers or {})}
        return await self._send(self._web, "POST", f"/{search.resource_type}/_search", form, said)

    async def bring(self, message: bytes, token: str) -> Heard:
        said = {"Content-Type": FHIR_JSON, **bearer(token)}
        return await self._send(self._web, "POST", "/$process-message", message, said)

    async def as_somebody(self, context: ssl.SSLContext, search: Search, bsn: str, token: str) -> Heard:
        """The same search on a connection of its own, with other papers or another version of TLS."""
        form = urlencode([(search.patient, bsn_token(bsn)), *search.others]).encode()
        async with self._client(context) as web:
            said = {"Content-Type": FORM, **bearer(token)}
            return await self._send(web, "POST", f"/{search.resource_type}/_search", form, said)

    async def _send(
        self, web: httpx.AsyncClient, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Heard:
        told = {"AORTA-ID": aorta_id(), "Accept": FHIR_JSON, **headers}
        began = time.monotonic()
        try:
            async with web.stream(method, self._base + path, content=body, headers=told) as answer:
                return await _whole(answer, began, told["AORTA-ID"])
        except (httpx.HTTPError, ssl.SSLError, OSError) as failed:
            return Heard(0, {}, b"", time.monotonic() - began, _why(failed))


async def _whole(answer: httpx.Response, began: float, sent: str) -> Heard:
    stream = answer.extensions.get("network_stream")
    wire = stream.get_extra_info("ssl_object") if stream else None
    shown = wire.getpeercert(True) if wire else None
    body = bytearray()
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > _MOST_BYTES:
            break
    headers = {name.lower(): value for name, value in answer.headers.items()}
    took = time.monotonic() - began
    return Heard(answer.status_code, headers, bytes(body), took, certificate=shown or b"", sent_chain=chain_of(sent))


def chain_of(aorta: str) -> str:
    """The initialRequestID of an AORTA-ID header, lower case; empty when it names none."""
    found = re.search(r"initialRequestID\s*=\s*([0-9A-Fa-f-]{36})", aorta, re.IGNORECASE)
    return found[1].lower() if found else ""


def _why(failed: BaseException) -> str:
    """What an error of the connection says of the peer: its kind, and OpenSSL's word where there is one."""
    inner: BaseException | None = failed
    while inner is not None:
        if isinstance(inner, ssl.SSLError):
            return f"TLS: {inner.reason or type(inner).__name__}"
        inner = inner.__cause__ or inner.__context__
    return type(failed).__name__


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


# --- papers ----------------------------------------------------------------------------------------------------------


def tls(papers: Papers) -> ssl.SSLContext:
    """As the exchange. Raises OSError (ssl.SSLError included) for files that do not serve."""
    return _context(papers, (papers.certificate, papers.key))


def as_stranger(papers: Papers) -> ssl.SSLContext:
    """As another participant; without one, as nobody."""
    return _context(papers, papers.stranger)


def as_nobody(papers: Papers) -> ssl.SSLContext:
    return _context(papers, None)


def outdated(papers: Papers) -> ssl.SSLContext | None:
    """As the exchange, in TLS 1.1 at most; None where this machine cannot speak that any more."""
    context = tls(papers)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    except (ValueError, ssl.SSLError):
        return None
    return context


def _context(papers: Papers, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=papers.ca)
    context.set_alpn_protocols(["http/1.1"])
    if pair:
        context.load_cert_chain(*pair)
    return context
