"""What does a system of the country answer? A practice, a pharmacy, a receiver: a FHIR server as an ASGI application.

It knows the searches and the delivery of interface.md section 5, and writes its own log of both. It may not know TLS,
sockets or files, nor who is to be trusted: its gate does.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from source_sim import medicine, records
from source_sim.admission import Gate, Refused, Voucher
from source_sim.faults import METADATA, SOMEBODY_ELSE, Fault, FaultName, Reply, Switchboard, outcome
from source_sim.folding import folded
from source_sim.inbox import Inbox
from source_sim.offered import PROCESS_MESSAGE, SERVED, TAKEN, Kind, capabilities
from source_sim.population import is_bsn
from source_sim.receiving import check, read_message, receipt, says_taken
from source_sim.records import Instance, Record, View
from source_sim.sending import Message, Receive, Send, Wire, deliver
from source_sim.spoiling import Asked, spoil

Scope = Message
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_BSN_PREFIX: Final = medicine.NAMING + "bsn|"
_BODY_CAP: Final = 65536
_MESSAGE_CAP: Final = 4 * 1024 * 1024
_TOO_LARGE: Final = outcome(413, "too-large", "Nothing that is asked or sent here is that long.", "too-long")
_NOT_FOUND: Final = outcome(404, "not-supported", "There is nothing here.", "not-found")
_NOT_ALLOWED: Final = outcome(405, "not-supported", "That method is not offered here.", "not-supported")


@dataclass(frozen=True, slots=True)
class LogLine:
    """What the source writes down of one call: never a BSN, never content. `fault` is what stood in the way."""

    at: str
    initial: str
    request: str
    resource_type: str
    requester: str
    actor: Mapping[str, Any] | None
    responsible: Mapping[str, Any] | None
    purpose: str
    rule: str
    view: str
    status: int
    reason: str
    resources: int
    fault: str


@dataclass(slots=True)
class SimulatedSystem:
    """One system of one organisation.

    `endpoint` is its FHIR base as the world knows it; `record` gives a patient's record by BSN; `today` is domain time,
    for the views. `stuck` are the faults that follow one patient, by BSN, and go before all others.
    """

    kind: Kind
    ura: str
    name: str
    endpoint: str
    gate: Gate
    record: Callable[[str], Record | None] = field(repr=False)
    today: Callable[[], datetime] = field(repr=False)
    stuck: Mapping[str, Fault] = field(default_factory=dict, repr=False)
    faults: Switchboard = field(default_factory=Switchboard)
    inbox: Inbox = field(default_factory=Inbox, repr=False)
    log: deque[LogLine] = field(default_factory=lambda: deque(maxlen=10_000), repr=False)

    def __post_init__(self) -> None:
        self.faults.salt = self.faults.salt or self.ura


# --- what is asked ---------------------------------------------------------------------------------------------------

_PATIENT: Final = tuple(f"{name}{mark}identifier" for name in ("patient", "subject") for mark in ".:")
_Form = list[tuple[str, str]]


def _form(system: SimulatedSystem, resource_type: str, call: _Call) -> tuple[str, _Form]:
    """The BSN asked for, and the other parameters. Raises Refused for what this search does not know."""
    if call.header(b"content-type").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Refused(415, "not-supported", "A search is a form.", "not-supported")
    try:
        form = parse_qsl(call.body.decode(), keep_blank_values=True, strict_parsing=bool(call.body), errors="strict")
    except ValueError as problem:
        raise _bad("The form cannot be read.") from problem
    patient = [f"{'composition.' if resource_type == 'Bundle' else ''}{name}" for name in _PATIENT]
    known = (*patient, *SERVED[system.kind][resource_type], "_format")
    if any(name not in known for name, _ in form):
        raise Refused(400, "not-supported", "This search does not know one of the parameters.", "not-supported")
    naming = [value for name, value in form if name in patient]
    bsn = naming[0].removeprefix(_BSN_PREFIX) if len(naming) == 1 else ""
    if not is_bsn(bsn) or not naming[0].startswith(_BSN_PREFIX):
        raise _bad("One patient is wanted, by BSN.")
    return bsn, [(name, value) for name, value in form if name not in patient]


def _bad(text: str) -> Refused:
    return Refused(400, "invalid", text, "invalid")


_STALE: Final = timedelta(days=30)
_SKEWED: Final = 300.0
"""How old a stale copy is, and how many seconds a wrong clock is ahead when nobody says."""


def _answer(
    system: SimulatedSystem, resource_type: str, bsn: str, form: _Form, voucher: Voucher, fault: Fault | None
) -> Reply:
    view = _view(voucher) if resource_type == "Bundle" else None
    record = system.record(bsn)
    if record is None:
        return Reply(200, records.searchset((), (), system.endpoint))
    stale = fault is not None and fault.name is FaultName.STALE
    record = record if stale else folded(record, system.inbox.about(bsn))
    now = system.today() - _STALE if stale else system.today()
    matches, included = _summary(system, record, form, view, now) if view else _search(record, resource_type, form)
    return Reply(200, records.searchset(matches, included, system.endpoint), len(matches))


def _view(voucher: Voucher) -> View:
    if voucher.view not in set(View):
        raise Refused(403, "not-authorised", "A summary is given in the view that the rule names, and none is named.")
    return View(voucher.view)


_Found = tuple[list[Instance], list[Instance]]


def _summary(system: SimulatedSystem, record: Record, form: _Form, view: View, now: datetime) -> _Found:
    ours = [{"system": medicine.LOINC, "code": "60591-5"}]
    if not all(_token_matches(ours, value) for _, value in _only(form, "composition.type")):
        return [], []
    practice = records.instance(medicine.organization(f"practice-{system.ura}", system.ura, system.name))
    made = records.document(record, view, now=now, endpoint=system.endpoint, practice=practice)
    return [made] if made else [], []


def _search(record: Record, resource_type: str, form: _Form) -> _Found:
    if any(value != f"{resource_type}:medication" for _, value in _only(form, "_include")):
        raise Refused(400, "not-supported", "Only the medication can be included.", "not-supported")
    if any("patient-privacy" in value for _, value in _only(form, "scope")):
        raise _bad("Privacy consent is not kept here.")
    found = [one for one in record.instances if one.resource_type == resource_type and _fits(one, form)]
    medicines = _medicines(record, found) if _only(form, "_include") else []
    return found, [*record.patients, *medicines] if found else []


def _only(form: _Form, name: str) -> _Form:
    return [pair for pair in form if pair[0] == name]


def _fits(one: Instance, form: _Form) -> bool:
    filters = [pair for pair in form if pair[0] in ("category", "scope")]
    limit = one.resource_type != "Consent" or _token_matches(_codings(one.body.get("scope")), "treatment,adr")
    return limit and all(_token_matches(_codings(one.body.get(name)), value) for name, value in filters)


def _codings(element: object) -> list[Mapping[str, Any]]:
    """The codings of a CodeableConcept, or of a list of them."""
    concepts = element if isinstance(element, list) else [element]
    lists = [concept.get("coding") for concept in concepts if isinstance(concept, Mapping)]
    return [coding for each in lists if isinstance(each, list) for coding in each if isinstance(coding, Mapping)]


def _token_matches(codings: Sequence[Mapping[str, Any]], value: str) -> bool:
    """A FHIR token parameter: comma means or; `system|code` or the bare code."""
    tokens = [token.rpartition("|") for token in value.split(",")]
    return any(
        coding.get("code") == code and (not bar or coding.get("system", "") == system)
        for coding in codings
        for system, bar, code in tokens
    )


def _medicines(record: Record, found: list[Instance]) -> list[Instance]:
    keys = [
        records.resolve(str(one.body["medicationReference"].get("reference")), one.key)
        for one in found
        if isinstance(one.body.get("medicationReference"), Mapping)
    ]
    return [record.shared[key] for key in dict.fromkeys(keys) if key in record.shared]


# --- the application -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Call:
    """One HTTP request, its body read."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    body: bytes
    certificate: bytes | None

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")


def app(system: SimulatedSystem) -> Application:
    """The system as an ASGI application.

    `scope["state"]` may hold `client_certificate` (DER) and `transport` (the connection); in process both are absent.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.get("state", {})
        headers = dict(scope["headers"])
        body = await read_body(receive, _MESSAGE_CAP if scope["path"].endswith(PROCESS_MESSAGE) else _BODY_CAP)
        call = _Call(scope["method"], scope["path"], headers, body or b"", state.get("client_certificate"))
        reply, fault = await _reply(system, call) if body is not None else (_TOO_LARGE, None)
        echoed = tuple((name, headers[name]) for name in (b"aorta-id", b"aorta-version") if name in headers)
        reply = replace(reply, headers=(*reply.headers, *echoed))
        await deliver(reply, fault, Wire(receive, send, state.get("transport")))

    return answer


async def read_body(receive: Receive, cap: int = _BODY_CAP) -> bytes | None:
    """The request's body; None when it is longer than `cap` bytes."""
    body, more = bytearray(), True
    while more and len(body) <= cap:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body) if len(body) <= cap else None


async def _reply(system: SimulatedSystem, call: _Call) -> tuple[Reply, Fault | None]:
    path = call.path.removeprefix("/fhir/")
    try:
        system.gate.check_certificate(call.certificate)
        if path == "metadata":
            return _pinged(system, call)
    except Refused as refused:
        return refused.reply, None
    if path == PROCESS_MESSAGE and TAKEN[system.kind]:
        return await _processed(system, call)
    searched = re.fullmatch(r"([A-Za-z]+)/_search", path)
    return await _searched(system, call, searched[1]) if searched else (_NOT_FOUND, None)


def _metadata(system: SimulatedSystem, call: _Call) -> Reply:
    if call.method != "GET":
        return _NOT_ALLOWED
    return Reply(200, capabilities(system.kind, system.name, system.endpoint, system.today().date()))


def _pinged(system: SimulatedSystem, call: _Call) -> tuple[Reply, Fault | None]:
    fault = system.faults.active(METADATA)
    return spoil(_metadata(system, call), fault, Asked(system.endpoint, SOMEBODY_ELSE)), fault


def _gate(system: SimulatedSystem, skew: Fault | None) -> Gate:
    """Who is let in, by the clock this system goes by."""
    if skew is None:
        return system.gate
    ahead = timedelta(seconds=skew.seconds or _SKEWED)
    return replace(system.gate, wall=lambda: system.gate.wall() + ahead)


async def _searched(system: SimulatedSystem, call: _Call, resource_type: str) -> tuple[Reply, Fault | None]:
    """Answer a search, spoiled if it must be, and log it. Only an admitted search meets a fault."""
    skew = fault = system.faults.skew(resource_type)
    voucher = None
    try:
        if call.method != "POST":
            raise Refused(405, "not-supported", "A search is a POST.", "not-supported")
        voucher = await _gate(system, skew).admit(call.headers.get(b"authorization", b""))
        if resource_type not in SERVED[system.kind]:
            raise Refused(404, "not-supported", "Nothing of this type is kept here.", "not-supported")
        bsn, form = _form(system, resource_type, call)
        if bsn != voucher.patient:
            raise Refused(403, "token-patient-mismatch", "The token is about another patient.")
        fault = system.stuck.get(bsn) or system.faults.active(resource_type, bsn) or skew
        given = _answer(system, resource_type, bsn, form, voucher, fault)
        reply = spoil(given, fault, Asked(system.endpoint, bsn))
    except Refused as refused:
        reply = refused.reply
    system.log.append(_line(system, call, resource_type, voucher, reply, fault))
    return reply, fault


async def _processed(system: SimulatedSystem, call: _Call) -> tuple[Reply, Fault | None]:
    """Take a message, once, and log it. Only what is answered as taken is taken, however badly that answer travels."""
    skew = fault = system.faults.skew(PROCESS_MESSAGE)
    voucher = None
    try:
        if call.method != "POST":
            raise Refused(405, "not-supported", "A message is a POST.", "not-supported")
        voucher = await _gate(system, skew).admit_delivery(call.headers.get(b"authorization", b""))
        message = read_message(call.header(b"content-type"), call.body)
        check(message, voucher, system.ura, TAKEN[system.kind])
        fault = system.faults.active(PROCESS_MESSAGE, voucher.patient or None) or skew
        asked = Asked(system.endpoint, voucher.patient or SOMEBODY_ELSE)
        reply = spoil(receipt(system.inbox.knows(message)), fault, asked)
        if says_taken(reply):
            reply = replace(reply, resources=int(system.inbox.take(message, system.today())))
    except Refused as refused:
        reply = refused.reply
    system.log.append(_line(system, call, PROCESS_MESSAGE, voucher, reply, fault))
    return reply, fault


def _line(
    system: SimulatedSystem, call: _Call, resource_type: str, voucher: Voucher | None, reply: Reply, fault: Fault | None
) -> LogLine:
    aorta_id = call.header(b"aorta-id")
    parts = dict(re.findall(r"(initialRequestID|requestID)=([0-9A-Fa-f-]{36})", aorta_id))
    return LogLine(
        at=medicine.instant(system.gate.wall()),
        initial=parts.get("initialRequestID", ""),
        request=parts.get("requestID", ""),
        resource_type=resource_type,
        requester=voucher.requester if voucher else "",
        actor=voucher.actor if voucher else None,
        responsible=voucher.responsible if voucher else None,
        purpose=voucher.purpose if voucher else "",
        rule=voucher.rule if voucher else "",
        view=voucher.view if voucher else "",
        status=reply.status,
        reason=reply.reason,
        resources=reply.resources,
        fault=fault.name.value if fault else "",
    )
