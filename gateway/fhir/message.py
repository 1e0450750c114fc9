"""Is this a message we can take, and what stands on its envelope? Bytes in; `Message`, or what is wrong and where.

Proves the form of all we act on, that the message is whole, and that it is about one patient and nobody else; the
content itself is passed on as it came. Own checks only, no models: every message accepted comes by here. Judges no rule
and no right to send. Source: interface.md section 4 "Message", domain.md section 6, FHIR R4 messaging.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from gateway.fhir import codes, moments, proof, strict
from gateway.fhir.bodies import content, only
from gateway.fhir.codes import Problem
from gateway.fhir.proof import Foreign, Place, Scope
from gateway.fhir.references import Names, Part, check_whole, parts
from gateway.fhir.refusal import BadRequest, refuse
from gateway.fhir.shape import PATTERNS
from gateway.fhir.strict import Malformed
from gateway.rules.exchange import Failing
from gateway.rules.identifiers import BSN_SYSTEM, URA_SYSTEM, Bsn, InvalidIdentifier, Ura
from gateway.rules.message import ACTION_OF, Message, MessageEvent

MAX_BYTES = 1024 * 1024
ENTRY_LEVELS = 2
"""How many objects deep an entry's resource stands: the Bundle and its entry."""

STATUSES = frozenset({"final", "amended"})
"""Composition.status of what may enter another record: nothing preliminary, nothing entered in error."""

_BUNDLE = frozenset(
    {"resourceType", "id", "meta", "language", "identifier", "type", "timestamp", "entry", "link", "signature"}
)
_HEADER = frozenset(
    {"resourceType", "id", "meta", "language", "text", "contained", "extension", "eventCoding", "destination", "sender"}
    | {"enterer", "author", "source", "responsible", "reason", "response", "focus", "definition"}
)
_AT = re.compile(r"`\$\.?([A-Za-z0-9.\[\]]*)`")
_LACKING = re.compile(r"missing required field `([A-Za-z]+)`")


class _Coding(msgspec.Struct):
    system: str | None = None
    code: str | None = None


class _Concept(msgspec.Struct):
    coding: list[_Coding] = []
    text: str | None = None


class _Identifier(msgspec.Struct):
    system: str | None = None
    value: str | None = None


class _Reference(msgspec.Struct):
    reference: str | None = None
    identifier: _Identifier | None = None


class _Source(msgspec.Struct):
    endpoint: str


class _Destination(msgspec.Struct):
    receiver: _Reference | None = None


class _Header(msgspec.Struct):
    source: _Source
    eventCoding: _Coding | None = None
    sender: _Reference | None = None
    focus: list[_Reference] = []
    destination: list[_Destination] | None = None


class _Composition(msgspec.Struct):
    status: str
    type: _Concept
    date: str
    author: list[_Reference]
    title: str
    subject: _Reference | None = None


_Form = TypeVar("_Form", _Header, _Composition)


def read_message(body: bytes) -> Message:
    """The envelope of a message Bundle of at most MAX_BYTES. Raises Malformed (400) and BadRequest (413, 422); neither
    carries anything that was sent."""
    if len(body) > MAX_BYTES:
        raise refuse(413, Problem.TOO_LARGE)
    bundle = _bundle(body)
    known = parts(bundle)
    head = _first(known)
    header = _formed(head, _Header)
    event = _event(header)
    sender = _sender(header)
    receiver = _receiver(event, header)
    names = Names(known)
    check_whole(known, names)
    main = _focus(header, head, names)
    patient = _patient(main, _composition(main), names)
    _prove(patient, main, known)
    return Message(_message_id(head, patient), event, sender, patient, receiver)


# --- the Bundle ------------------------------------------------------------------------------------------------------


def _bundle(body: bytes) -> dict[str, object]:
    bundle = strict.parse(body)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Malformed("resourceType", "a Bundle is expected")
    if bundle.get("type") != "message":
        raise Malformed("Bundle.type", "a message is expected")
    only("Bundle", bundle, _BUNDLE)
    return bundle


def _first(known: Sequence[Part]) -> Part:
    """The MessageHeader: the first entry, and no other."""
    headers = [part for part in known if part.kind == "MessageHeader"]
    if not known or not headers or headers[0] is not known[0]:
        raise Malformed("Bundle.entry[0]", "a message opens with its MessageHeader")
    only("MessageHeader", headers[0].resource, _HEADER)
    if len(headers) > 1:
        raise content(headers[1].place, "A message has one MessageHeader.")
    return headers[0]


def _formed(part: Part, form: type[_Form]) -> _Form:
    """The elements we act on, each in its JSON form. Raises Malformed."""
    try:
        return msgspec.convert(part.resource, form)
    except msgspec.ValidationError as refused:
        said = str(refused)
    at, lacking = _AT.search(said), _LACKING.search(said)
    steps = [part.kind, at[1] if at else "", lacking[1] if lacking else ""]
    why = "a required element is missing" if lacking else "the value is not of the right form"
    raise Malformed(".".join(step for step in steps if step), why)


# --- the header ------------------------------------------------------------------------------------------------------


def _event(header: _Header) -> MessageEvent:
    given = header.eventCoding
    if given is None:
        raise content("MessageHeader.eventCoding", f"The event is a code of {codes.MESSAGE_EVENT}.", Problem.REQUIRED)
    for event in ACTION_OF:
        if (given.system, given.code) == (codes.MESSAGE_EVENT, event):
            return event
    taken = ", ".join(ACTION_OF)
    raise content("MessageHeader.eventCoding", f"Of {codes.MESSAGE_EVENT} are taken: {taken}.", Problem.NOT_SUPPORTED)


def _sender(header: _Header) -> Ura:
    if not PATTERNS["Url"].fullmatch(header.source.endpoint):
        raise Malformed("MessageHeader.source.endpoint", "this is not the form of a url")
    return _ura(header.sender, "MessageHeader.sender", "sender")


def _receiver(event: MessageEvent, header: _Header) -> Ura | None:
    """Whom a referral names. A return message names nobody: it goes to the GP of record at delivery."""
    place = "MessageHeader.destination"
    if event is MessageEvent.RETURN_MESSAGE:
        if header.destination is not None:
            raise content(place, problem=Problem.DESTINATION_NOT_ALLOWED)
        return None
    named = header.destination or []
    if len(named) != 1:
        raise content(place, "A referral has one destination.", Problem.INVALID_CONTENT if named else Problem.REQUIRED)
    return _ura(named[0].receiver, f"{place}[0].receiver", "receiver")


def _ura(reference: _Reference | None, place: str, role: str) -> Ura:
    identifier = reference.identifier if reference else None
    if identifier is None or identifier.system != URA_SYSTEM:
        raise content(place, f"The {role} is named by an identifier of {URA_SYSTEM}.", Problem.REQUIRED)
    try:
        return Ura(identifier.value or "")
    except InvalidIdentifier as invalid:
        raise content(f"{place}.identifier", f"This is no URA: {invalid}.") from None


def _message_id(head: Part, patient: Bsn) -> str:
    """MessageHeader.id: kept beside the envelope in clear, so that the patient's number may not stand in it."""
    id = head.resource.get("id")
    if id is None:
        raise content("MessageHeader.id", "The MessageHeader has an id: a message is known by it.", Problem.REQUIRED)
    if patient.digits in str(id):
        raise content("MessageHeader.id", "The id of a message holds no citizen service number.")
    return str(id)


# --- the Composition -------------------------------------------------------------------------------------------------


def _focus(header: _Header, head: Part, names: Names) -> Part:
    """The Composition the message is about."""
    place, focus = "MessageHeader.focus", header.focus
    if len(focus) != 1:
        problem = Problem.INVALID_CONTENT if focus else Problem.REQUIRED
        raise content(place, "The focus is one Composition.", problem)
    main = names.part(focus[0].reference or "", head)
    if main is None or main.kind != "Composition":
        raise content(f"{place}[0]", "The focus leads to a Composition of this Bundle.")
    return main


def _composition(main: Part) -> _Composition:
    """The Composition in the form we ask of it."""
    form = _formed(main, _Composition)
    if form.status not in STATUSES:
        raise content("Composition.status", "What is sent is final or amended.")
    if not form.type.coding and not form.type.text:
        raise content("Composition.type", "The type has a code or a text.")
    if not form.author:
        raise Malformed("Composition.author", "a required element is missing")
    try:
        moments.span(form.date if PATTERNS["DateTime"].fullmatch(form.date) else "")
    except ValueError:
        raise Malformed("Composition.date", "this is not the form of a datetime") from None
    return form


def _patient(main: Part, form: _Composition, names: Names) -> Bsn:
    """The one patient the Composition's subject names: by identifier, or as a Patient in the message, or both."""
    place, subject = "Composition.subject", form.subject
    numbers = _numbers(main.resource.get("subject"))
    if subject is not None and subject.reference is not None:
        target = names.resource(subject.reference, main)
        numbers |= _numbers({"identifier": target.get("identifier")}) if target else set()
    if not numbers:
        raise content(place, f"The subject is a patient with an identifier of {BSN_SYSTEM}.", Problem.REQUIRED)
    if len(numbers) > 1:
        raise _about_others(place, "the subject has two numbers")
    try:
        return Bsn(numbers.pop())
    except InvalidIdentifier:
        raise content(place, problem=Problem.INVALID_BSN) from None


def _numbers(named: object) -> set[str]:
    """The values under the BSN system among the identifiers of a reference (one) or a resource (a list)."""
    given = named.get("identifier") if isinstance(named, dict) else None
    listed = given if isinstance(given, list) else [given]
    return {str(one.get("value")) for one in listed if isinstance(one, dict) and one.get("system") == BSN_SYSTEM}


def _prove(patient: Bsn, main: Part, known: Sequence[Part]) -> None:
    """Everything in the message is about this patient: the Composition vouches for what names nobody."""
    scope = Scope.of((part.url, part.resource) for part in known)
    for part in (main, *(part for part in known if part is not main)):
        try:
            proof.prove(part.resource, patient, Place(scope, ENTRY_LEVELS, vouched=part is not main))
        except Foreign as foreign:
            raise _about_others(part.place, foreign.why) from None
        except Malformed as malformed:
            raise Malformed(part.place, malformed.why) from None


def _about_others(place: str, why: str) -> BadRequest:
    return BadRequest(422, Failing.WRONG_PATIENT, f"A message is provably about one patient: {why}.", place)
