"""What does the exchange itself write? Its three messages, each a whole FHIR message Bundle that a system can take in.

A notice that a summary was fetched without a choice made before, word to the former GP that the patient has another
one, and word to a sender that its message did not arrive. Short, in Dutch and English, nothing of any record. Pure: ids
and moments are arguments, and equal arguments give equal bytes. Source: domain.md section 6, interface.md section 4.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from gateway.fhir import codes, moments
from gateway.fhir.showing import coding, concept, identified, organisation
from gateway.fhir.writing import encode
from gateway.rules.access import Basis
from gateway.rules.exchange import Requester
from gateway.rules.identifiers import BSN_SYSTEM, Bsn, Ura
from gateway.rules.message import MessageEvent, Reason, State
from gateway.rules.network import Organisation
from gateway.rules.table import ROWS

Json = dict[str, Any]

_EXCHANGE = "switchpoint"
_SENTENCES = MappingProxyType({row.id: row.sentence for row in ROWS})

_BASES = MappingProxyType(
    {
        Basis.VERBAL: (
            "De patiënt gaf daarvoor ter plaatse mondeling toestemming.",
            "The patient consented on the spot, by word of mouth.",
        ),
        Basis.PRESUMED: (
            "De patiënt kon niets gevraagd worden; de toestemming is verondersteld en wordt achteraf getoetst.",
            "The patient could not be asked; consent was presumed and will be reviewed.",
        ),
    }
)
_KINDS = MappingProxyType(
    {
        MessageEvent.RETURN_MESSAGE: ("waarneemretourbericht", "return message"),
        MessageEvent.REFERRAL: ("verwijzing", "referral"),
    }
)
_WORTH_ANOTHER_TRY = frozenset({Reason.EXPIRED, Reason.UNREADABLE, Reason.NEVER_MARKED, Reason.REPLY_LOST})


@dataclass(frozen=True, slots=True)
class _Letter:
    """What differs from letter to letter: paragraphs in Dutch and in English, as plain text."""

    event: MessageEvent
    title: str
    at: datetime
    dutch: tuple[str, ...]
    english: tuple[str, ...]
    patient: Bsn | None = None
    about: Organisation | None = None
    header: Json = field(default_factory=dict)


class Writer:
    """Writes the messages of the exchange at `base_url` (its FHIR base). `id` is MessageHeader.id, `at` domain time."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/")

    def disclosure_notice(
        self, id: str, *, at: datetime, patient: Bsn, requester: Requester, basis: str, row: str, custodian: Ura
    ) -> bytes:
        """To the GP of record: who fetched the summary that `custodian` holds, under which row. Raises ValueError and
        KeyError for a basis or row that gives no cause for a notice."""
        dutch, english = _BASES[Basis(basis)]
        who, when = f"{requester.name} (URA {requester.ura})", _local(at)
        letter = _Letter(
            MessageEvent.DISCLOSURE_NOTICE,
            "Samenvatting opgevraagd zonder eerder gemaakte keuze",
            at,
            (
                f"Op {when} heeft {who} de professionele samenvatting opgevraagd die {custodian} (URA) van deze patiënt"
                f" bewaart. {dutch}",
                _people(requester, "Handelend", "onder verantwoordelijkheid van"),
                f"Regel {row}.",
            ),
            (
                f"On {when} {who} fetched the professional summary of this patient that {custodian} (URA) holds."
                f" {english}",
                _people(requester, "Acting", "under the responsibility of"),
                f"Rule {row}: {_SENTENCES[row]}",
            ),
            patient,
            Organisation(requester.ura, requester.organisation_type, requester.name),
            {"reason": concept(codes.FLAG, basis)},
        )
        return self._sent(id, letter)

    def enrolment_changed(self, id: str, *, at: datetime, patient: Bsn, current: Organisation, since: str) -> bytes:
        """To the former GP of record: with whom the patient is enrolled now, and since when (`since` a FHIR date)."""
        letter = _Letter(
            MessageEvent.ENROLMENT_CHANGED,
            "Patiënt elders ingeschreven",
            at,
            (
                f"Deze patiënt is sinds {since} ingeschreven bij {current.name} (URA {current.ura}).",
                "Berichten aan de eigen huisarts gaan voortaan daarheen. Is dit een vergissing, neem dan contact op met"
                " de patiënt of met die praktijk.",
            ),
            (
                f"Since {since} this patient is enrolled with {current.name} (URA {current.ura}).",
                "Messages to the GP of record go there from now on. Should this be a mistake, please contact the"
                " patient or that practice.",
            ),
            patient,
            current,
        )
        return self._sent(id, letter)

    def undeliverable(
        self, id: str, *, at: datetime, message_id: str, event: MessageEvent, state: State, reason: str
    ) -> bytes:
        """To the sender of `message_id`: it has failed, or nobody knows. About no patient by name or number; `reason`
        is a Reason or a bar's code. Raises KeyError for an event that is the exchange's own, or an unknown reason."""
        code = state if state is State.UNKNOWN else reason
        dutch, english = _KINDS[event]
        certain = "misschien niet" if state is State.UNKNOWN else "niet"
        again = state is State.UNKNOWN or reason in _WORTH_ANOTHER_TRY
        letter = _Letter(
            MessageEvent.UNDELIVERABLE,
            f"Bericht {certain} bezorgd",
            at,
            (f"Uw bericht ({dutch}, kenmerk {message_id}) is {certain} bezorgd. Reden: {code}.",),
            (f"Your message ({english}, id {message_id}): {codes.OUTCOME_SENTENCES[code]}",),
            header={
                "reason": concept(codes.OUTCOME, code),
                "response": {"identifier": message_id, "code": "transient-error" if again else "fatal-error"},
            },
        )
        return self._sent(id, letter)

    def _sent(self, id: str, letter: _Letter) -> bytes:
        head, main, about = (f"urn:uuid:{uuid5(NAMESPACE_URL, f'{self._base}/{id}/{part}')}" for part in range(3))
        entries: list[Json] = [
            {"fullUrl": head, "resource": self._header(id, letter, main)},
            {"fullUrl": main, "resource": _composition(letter, about)},
        ]
        if letter.about is not None:
            entries.append({"fullUrl": about, "resource": msgspec.Raw(organisation(letter.about))})
        bundle = {"type": "message", "timestamp": moments.instant(letter.at), "entry": entries}
        return encode({"resourceType": "Bundle", "id": id, **bundle})

    def _header(self, id: str, letter: _Letter, main: str) -> Json:
        return {
            "resourceType": "MessageHeader",
            "id": id,
            "eventCoding": coding(codes.MESSAGE_EVENT, letter.event),
            "source": {"name": _EXCHANGE, "endpoint": self._base},
            **letter.header,
            "focus": [{"reference": main}],
        }


def _composition(letter: _Letter, about: str) -> Json:
    named = {"subject": identified(BSN_SYSTEM, letter.patient.digits)} if letter.patient else {}
    held = {"entry": [{"reference": about}]} if letter.about else {}
    return {
        "resourceType": "Composition",
        "language": "nl",
        "status": "final",
        "type": concept(codes.MESSAGE_EVENT, letter.event),
        **named,
        "date": moments.instant(letter.at),
        "author": [{"display": _EXCHANGE}],
        "title": letter.title,
        "section": [
            {"title": "Bericht", "text": _narrative("nl", letter.dutch), **held},
            {"title": "Message", "text": _narrative("en", letter.english)},
        ],
    }


def _narrative(language: str, paragraphs: tuple[str, ...]) -> Json:
    told = "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs if text)
    opening = f'<div xmlns="http://www.w3.org/1999/xhtml" lang="{language}" xml:lang="{language}">'
    return {"status": "generated", "div": f"{opening}{told}</div>"}


def _people(requester: Requester, acting: str, under: str) -> str:
    """Who acted and under whose mandate; empty for a system by itself."""
    if requester.actor is None:
        return ""
    told = f"{acting}: {requester.actor.name} ({requester.actor.role})"
    them = requester.responsible
    return f"{told}, {under} {them.name} ({them.role})." if them else f"{told}."


def _local(at: datetime) -> str:
    """The Dutch date and time of day."""
    return at.astimezone(moments.HERE).strftime("%d-%m-%Y %H:%M")
