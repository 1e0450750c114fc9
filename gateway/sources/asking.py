"""How is a question to a source written, and what does the head of its answer say? Bytes out, a judgement back.

Knows the request of interface.md section 5 and the outcomes of section 7. Knows no sockets. The BSN goes into the body
and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode, urlsplit

import msgspec

from gateway.rules.exchange import AortaId, Failing, Failure, Query
from gateway.rules.identifiers import BSN_SYSTEM
from gateway.sources.wire import Response

_FHIR_JSON = frozenset({"application/fhir+json", "application/json"})
_PATIENT = "_________"
_REASONS = {"withheld": Failing.WITHHELD, "no-consent": Failing.NO_CONSENT}


@dataclass(frozen=True, slots=True)
class Target:
    """A registered endpoint taken apart: `authority` as in Host, `path` without a trailing slash."""

    host: str
    port: int
    authority: str
    path: str


def target(endpoint: str) -> Target:
    """Take a registered FHIR base apart. Raises ValueError unless it is a plain https address."""
    parts = urlsplit(endpoint)
    odd = parts.username is not None or parts.password is not None or parts.query or parts.fragment
    if parts.scheme != "https" or not parts.hostname or odd or not _plain(endpoint):
        raise ValueError("not a plain https address")
    port = parts.port or 443
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Target(parts.hostname, port, host if port == 443 else f"{host}:{port}", parts.path.rstrip("/"))


def write(to: Target, query: Query, token: str, aorta: AortaId) -> bytes:
    """The whole request. Raises ValueError for a word that could break out of its header."""
    if not (_plain(query.resource_type) and query.resource_type.isalpha()):
        raise ValueError("not a resource type")
    version = f"AORTA-Version: {header_word(aorta.version)}\r\n" if aorta.version else ""
    form = _form(query.patient_parameter, query.parameters).replace(_PATIENT, query.patient.digits, 1)
    return (
        f"POST {to.path}/{query.resource_type}/_search HTTP/1.1\r\n"
        f"Host: {to.authority}\r\n"
        f"Authorization: Bearer {header_word(token)}\r\n"
        f"AORTA-ID: initialRequestID={header_word(aorta.initial)}; requestID={header_word(aorta.request)}\r\n"
        f"{version}"
        "Accept: application/fhir+json\r\n"
        "Accept-Encoding: gzip\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\n\r\n"
        f"{form}"
    ).encode("ascii")


@lru_cache(maxsize=256)
def _form(patient_parameter: str, parameters: tuple[tuple[str, str], ...]) -> str:
    """The form of a question, without the patient: the same few are asked all day, and no BSN is remembered."""
    return urlencode(((patient_parameter, f"{BSN_SYSTEM}|{_PATIENT}"), *parameters))


def judge(response: Response, aorta: AortaId) -> bytes | Failure:
    """The body to read, or how the source did not deliver (interface.md section 7). A 4xx is an answer of a source that
    lives, and does not count against it."""
    status = response.status
    if status == 200:
        return _readable(response, aorta)
    if 300 <= status < 400:
        return Failure(Failing.REFUSED, "redirects, which is never followed")
    if status == 403:
        return Failure(_reason(response.body), "status 403")
    if 400 <= status < 600:
        return Failure(Failing.REFUSED, f"status {status}", breaker=status >= 500)
    return Failure(Failing.MALFORMED, f"status {status}", breaker=True)


def _readable(response: Response, aorta: AortaId) -> bytes | Failure:
    kind = response.headers.get(b"content-type", b"").decode("latin-1")
    if kind.partition(";")[0].strip().lower() not in _FHIR_JSON:
        return Failure(Failing.MALFORMED, "not FHIR JSON", breaker=True)
    if not same_chain(response.headers.get(b"aorta-id", b"").decode("latin-1"), aorta):
        return Failure(Failing.MALFORMED, "answers another request", breaker=True)
    return response.body


def same_chain(said: str, aorta: AortaId) -> bool:
    """A source need not say the chain's id, but if it does and means another chain, the answer is somebody else's."""
    for part in said.split(";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "initialrequestid":
            return value.strip().lower() == aorta.initial.lower()
    return True


class _Coding(msgspec.Struct):
    code: str = ""


class _Details(msgspec.Struct):
    coding: list[_Coding] = []


class _Issue(msgspec.Struct):
    details: _Details = msgspec.field(default_factory=_Details)


class _Outcome(msgspec.Struct):
    issue: list[_Issue] = []


def _reason(body: bytes) -> Failing:
    """What a 403 means: the source's own reason if its OperationOutcome gives one, else a plain refusal."""
    try:
        outcome = msgspec.json.decode(body, type=_Outcome)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Failing.REFUSED
    codes = (coding.code for issue in outcome.issue for coding in issue.details.coding)
    return next((_REASONS[code] for code in codes if code in _REASONS), Failing.REFUSED)


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def header_word(text: str) -> str:
    """A word fit for a header. Raises ValueError for one that could break out of it."""
    if not text or not _plain(text):
        raise ValueError("not a header word")
    return text
