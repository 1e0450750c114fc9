"""What goes out? Searchsets, OperationOutcomes and small Bundles as bytes, with the sources' own bytes spliced in.

Never re-serialises what a source sent. No BSN in anything written here. Pure: ids and moments are arguments.
Source: interface.md section 4, domain.md section 5, FHIR R4 Bundle and OperationOutcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from gateway.fhir import codes, moments
from gateway.rules.exchange import Address, Answer, Completeness, Entry, Failing, Failure, Flag, Mode
from gateway.rules.explain import Explanation, Trial

Json = dict[str, Any]
Leg = tuple[Address, Answer | Failure]

_ENCODER = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """Compact JSON."""
    return _ENCODER.encode(value)


def outcome(code: str, sentence: str | None = None, *, severity: str = "error", expression: str | None = None) -> bytes:
    """An OperationOutcome for one machine code of CodeSystem/outcome. `sentence` None is the code's standing sentence.

    Raises KeyError for a code that is not in the code system.
    """
    return encode(_outcome(code, sentence or codes.OUTCOME_SENTENCES[code], severity, expression))


def _outcome(code: str, sentence: str, severity: str, expression: str | None = None) -> Json:
    issue: Json = {
        "severity": severity,
        "code": codes.ISSUE_TYPES[code],
        "details": {"coding": [{"system": codes.OUTCOME, "code": code}], "text": sentence},
    }
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


# --- the answer to a clinical search ---------------------------------------------------------------------------------


def searchset(
    *,
    id: str,
    at: datetime,
    self_url: str,
    legs: Sequence[Leg],
    completeness: Completeness,
    flags: Sequence[Flag] = (),
    sentences: Mapping[Failing, str] = codes.FAILING_SENTENCES,
) -> bytes:
    """One searchset from what every source answered, in the order given; `at` is wall time.

    A source that refused for consent leaves no trace, so the answer without legs is the neutral answer. A source that
    failed, or paged, gets one OperationOutcome entry; `total` counts matches.
    """
    seen = [leg for leg in legs if not _is_neutral(leg[1])]
    urls = _Urls([entry.full_url for _, answer in seen if isinstance(answer, Answer) for entry in answer.entries])
    entries = [written for leg in seen for written in _leg(leg, urls, sentences)]
    tags = [{"system": codes.COMPLETENESS, "code": completeness}]
    tags += [{"system": codes.FLAG, "code": flag} for flag in flags]
    head = {
        "resourceType": "Bundle",
        "id": id,
        "meta": {"lastUpdated": moments.instant(at), "tag": tags},
        "type": "searchset",
        "total": sum(_matches(answer) for _, answer in seen),
        "link": [{"relation": "self", "url": self_url}],
    }
    return _bundle(head, entries)


def _bundle(head: Json, entries: Sequence[bytes]) -> bytes:
    """The envelope with its entries spliced in; R4 knows no empty list, so none is written."""
    if not entries:
        return encode(head)
    return b"".join((encode(head)[:-1], b',"entry":[', b",".join(entries), b"]}"))


def _is_neutral(answer: Answer | Failure) -> bool:
    return isinstance(answer, Failure) and answer.failing is Failing.NO_CONSENT


def _matches(answer: Answer | Failure) -> int:
    return [entry.mode for entry in answer.entries].count(Mode.MATCH) if isinstance(answer, Answer) else 0


class _Urls:
    """Full URLs of one Bundle: an absolute one stays if nobody else has it; else the entry gets its endpoint's."""

    def __init__(self, given: list[str | None]) -> None:
        once = set(given)
        if len(once) < len(given):
            once = {url for url, count in Counter(given).items() if count == 1}
        self._once = once - {None}
        self._used = set(self._once)

    def of(self, entry: Entry, endpoint: str) -> str | None:
        """None where no unique URL can be made: the entry then has none, rather than somebody else's."""
        if entry.full_url in self._once:
            return entry.full_url
        made = f"{endpoint.rstrip('/')}/{entry.resource_type}/{entry.id}"
        if entry.id is None or made in self._used:
            return None
        self._used.add(made)
        return made


def _leg(leg: Leg, urls: _Urls, sentences: Mapping[Failing, str]) -> list[bytes]:
    address, answer = leg
    extension = encode([_source(address)])
    if isinstance(answer, Failure):
        return [_told(extension, answer.failing, sentences)]
    written = [_spliced(extension, entry, urls.of(entry, address.endpoint)) for entry in answer.entries]
    return [*written, _told(extension, Failing.TRUNCATED, sentences)] if answer.truncated else written


def _source(address: Address) -> Json:
    parts = [
        {"url": "ura", "valueString": address.ura.digits},
        {"url": "app-id", "valueString": address.application.digits},
    ]
    return {"extension": parts, "url": codes.SOURCE_EXTENSION}


_MODES = {Mode.MATCH: b',"search":{"mode":"match"}}', Mode.INCLUDE: b',"search":{"mode":"include"}}'}


def _spliced(extension: bytes, entry: Entry, url: str | None) -> bytes:
    full_url = b"" if url is None else b',"fullUrl":' + _ENCODER.encode(url)
    return b'{"extension":%b%b,"resource":%b%b' % (extension, full_url, entry.resource, _MODES[entry.mode])


def _told(extension: bytes, failing: Failing, sentences: Mapping[Failing, str]) -> bytes:
    resource = encode(_outcome(failing, sentences[failing], "warning"))
    return b"".join((b'{"extension":', extension, b',"resource":', resource, b',"search":{"mode":"outcome"}}'))


# --- other Bundles ---------------------------------------------------------------------------------------------------


def listing(
    resources: Sequence[tuple[str, bytes]],
    *,
    id: str,
    at: datetime,
    self_url: str,
    next_url: str | None = None,
    total: int | None = None,
) -> bytes:
    """A searchset of resources of our own: (full URL, resource) each. `total` defaults to what is listed."""
    links = [{"relation": "self", "url": self_url}]
    if next_url is not None:
        links.append({"relation": "next", "url": next_url})
    head = {
        "resourceType": "Bundle",
        "id": id,
        "meta": {"lastUpdated": moments.instant(at)},
        "type": "searchset",
        "total": len(resources) if total is None else total,
        "link": links,
    }
    entries = [
        b"".join((b'{"fullUrl":', encode(url), b',"resource":', one, _MODES[Mode.MATCH])) for url, one in resources
    ]
    return _bundle(head, entries)


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What became of one message of a batch: HTTP status, the resource on success, an OperationOutcome on failure."""

    status: int
    resource: bytes | None = field(default=None, repr=False)
    outcome: bytes | None = field(default=None, repr=False)
    location: str | None = None
    etag: str | None = None


def batch_response(answers: Sequence[BatchAnswer], *, id: str, at: datetime) -> bytes:
    """The answers to a batch, in its order."""
    head = {
        "resourceType": "Bundle",
        "id": id,
        "meta": {"lastUpdated": moments.instant(at)},
        "type": "batch-response",
    }
    return _bundle(head, [_batch_entry(answer) for answer in answers])


def _batch_entry(answer: BatchAnswer) -> bytes:
    response: Json = {"status": str(answer.status)}
    if answer.location is not None:
        response["location"] = answer.location
    if answer.etag is not None:
        response["etag"] = answer.etag
    if answer.outcome is not None:
        response["outcome"] = msgspec.Raw(answer.outcome)
    whole: Json = {"resource": msgspec.Raw(answer.resource)} if answer.resource is not None else {}
    return encode({**whole, "response": response})


def parameters_explained(explanation: Explanation) -> bytes:
    """The answer of `$explain`: outcome, reason, its sentence, every row tried, and the smallest change."""
    texts = (
        ("outcome", explanation.outcome),
        ("reason", explanation.reason),
        ("sentence", explanation.sentence),
        ("change", explanation.change),
    )
    plain = [_parameter(name, text) for name, text in texts if text]
    return encode({"resourceType": "Parameters", "parameter": plain + [_row(trial) for trial in explanation.trials]})


def _row(trial: Trial) -> Json:
    parts = [_parameter("id", trial.row.id), _parameter("sentence", trial.row.sentence)]
    parts += [_parameter("matched", word) for word in trial.matched]
    parts += [_parameter("missing", word) for word in trial.missing]
    return {"name": "row", "part": parts}


def _parameter(name: str, text: str) -> Json:
    return {"name": name, "valueString": text}
