"""What did a source answer? A searchset's bytes in, our `Answer` out, or the `Failure` it amounts to. The hot path.

Never runs models and never re-serialises: an Entry holds the source's own bytes. Says what is malformed and what does
not prove its patient (proof.py); knows nothing of HTTP, consent or who asked. Source: interface.md sections 4, 5, 7.

Decided here: without `search.mode`, an entry of the type asked for is a match and any other an include. An
OperationOutcome of the source is not content and is dropped; if it reports an error, the answer counts as truncated
(there is more than what came), and as refused when nothing else came. Exact repeats of an entry are shown once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple, Protocol

import msgspec

from gateway.fhir import plain_answer, proof, strict
from gateway.fhir.codes import CLINICAL_SCOPES, CONSENT_SCOPE
from gateway.fhir.proof import MAX_LEVELS, Foreign, Resource
from gateway.fhir.strict import Malformed
from gateway.fhir.types import R4_TYPES
from gateway.rules.exchange import Answer, Entry, Failing, Failure, Mode
from gateway.rules.identifiers import Bsn

MAX_BYTES = 20 * 1024 * 1024
ENTRY_LEVELS = 2
"""Objects around a resource in a searchset: the Bundle and the entry."""

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_URL = re.compile(r"(https?://[^\s/?#]+/[^\s?#]*|urn:uuid:[0-9a-fA-F-]{36}|urn:oid:[0-9.]+)")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


class _RawEntry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")


class _RawSearchset(msgspec.Struct):
    entry: list[_RawEntry] = []


_RAW = msgspec.json.Decoder(_RawSearchset)


class _Item(NamedTuple):
    """One entry on its way: its own bytes beside what they mean, and the URL it has or would have."""

    raw: bytes
    resource: Resource
    type: str
    full_url: str | None
    url: str | None
    mode: str | None


class Clears(Protocol):
    """Says whether an answer certainly holds nobody else, so that it need not be walked through (plain_answer.py)."""

    def __call__(
        self, text: bytes, held: Sequence[plain_answer.Held], bsn: str, patients: Set[str], *, levels: int
    ) -> bool: ...


def read_answer(
    body: bytes, *, patient: Bsn, resource_type: str, endpoint: str, clears: Clears = plain_answer.clears
) -> Answer | Failure:
    """The answer of a source at `endpoint` (its FHIR base) to a search for `resource_type` about `patient`.

    Never raises for anything a source can send. `Failure.detail` names the kind of fault, never content.
    """
    try:
        return _read(body, patient, resource_type, endpoint.rstrip("/"), clears)
    except Foreign as foreign:
        return Failure(Failing.WRONG_PATIENT, foreign.why)
    except Malformed as malformed:
        return Failure(Failing.MALFORMED, str(malformed), breaker=True)


def _read(body: bytes, patient: Bsn, resource_type: str, endpoint: str, clears: Clears) -> Answer | Failure:
    if len(body) > MAX_BYTES:
        raise Malformed("", "the body is too large")
    bundle, text = strict.decode_with_text(body)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle" or bundle.get("type") != "searchset":
        raise Malformed("Bundle", "not a searchset")
    items = _items(bundle, _raw_entries(body), endpoint)
    outcomes = [item for item in items if item.type == "OperationOutcome"]
    content = [item for item in items if item.type != "OperationOutcome"] if outcomes else items
    complains = any(_reports_error(item.resource) for item in outcomes)
    if complains and not content:
        return Failure(Failing.REFUSED, "the source reports an error")
    refers = b'"reference":' in text
    scope = proof.Scope.of([(item.url, item.resource) for item in content]) if refers else proof.NO_NAMES
    clear = clears(text, items, patient.digits, scope.patients, levels=MAX_LEVELS - ENTRY_LEVELS)
    place = proof.Place(scope, ENTRY_LEVELS, cleared=clear)
    entries = tuple([_entry(item, patient, resource_type, place) for item in _once(content)])
    return Answer(entries, truncated=complains or _has_next(bundle), limits=_limits(content, entries))


# --- the envelope ----------------------------------------------------------------------------------------------------


def _raw_entries(body: bytes) -> list[_RawEntry]:
    try:
        return _RAW.decode(body).entry
    except (msgspec.DecodeError, RecursionError):
        raise Malformed("Bundle.entry", "the entries are not of the right form") from None


def _items(bundle: Resource, raws: list[_RawEntry], endpoint: str) -> list[_Item]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or len(entries) != len(raws):
        raise Malformed("Bundle.entry", "a list is expected")
    return [_item(entry, bytes(raw.resource), endpoint) for entry, raw in zip(entries, raws, strict=True)]


def _item(entry: Resource, raw: bytes, endpoint: str) -> _Item:
    resource = entry.get("resource")
    if not isinstance(resource, dict):
        raise Malformed("Bundle.entry.resource", "an entry holds no resource")
    kind, id, given = resource.get("resourceType"), resource.get("id"), entry.get("fullUrl")
    if not isinstance(kind, str) or kind not in R4_TYPES:
        raise Malformed("Bundle.entry.resource", "the resource type is not an R4 type")
    if id is not None and not (isinstance(id, str) and _ID.fullmatch(id)):
        raise Malformed("Bundle.entry.resource.id", "this is not the form of an id")
    mode, place = _mode(entry, kind), f"/{kind}/{id}"
    if id is not None and isinstance(given, str) and given.endswith(place) and _URL.fullmatch(given):
        return _Item(raw, resource, kind, given, given, mode)
    full_url = _full_url(given)
    proof.check_url(full_url, resource)
    own = full_url or (endpoint + place if id is not None else None)
    return _Item(raw, resource, kind, full_url, own, mode)


def _full_url(value: object) -> str | None:
    """An absolute full URL as given; a relative one counts as none, since ours will be absolute. Raises Malformed."""
    if value is None:
        return None
    if isinstance(value, str) and (_URL.fullmatch(value) or not _ABSOLUTE.match(value)):
        return value if _URL.fullmatch(value) else None
    raise Malformed("Bundle.entry.fullUrl", "this is not the form of a full URL")


def _mode(entry: Resource, kind: str) -> str | None:
    search = entry.get("search", {})
    if search == _MATCH and kind != "OperationOutcome":
        return "match"
    mode = search.get("mode") if isinstance(search, dict) else 0
    if mode is not None and mode not in ("match", "include", "outcome"):
        raise Malformed("Bundle.entry.search.mode", "this is not a search mode")
    if (mode == "outcome") != (kind == "OperationOutcome") and mode is not None:
        raise Malformed("Bundle.entry.search.mode", "outcomes and OperationOutcomes belong together")
    return str(mode) if mode is not None else None


def _once(items: list[_Item]) -> Sequence[_Item]:
    """Each entry once. Raises Malformed where one URL stands for different resources."""
    urls = [item.url for item in items if item.url is not None]
    return items if len(set(urls)) == len(urls) else list(_sifted(items))


def _sifted(items: list[_Item]) -> Iterator[_Item]:
    seen: dict[str, bytes] = {}
    for item in items:
        if item.url is not None and item.url in seen:
            if seen[item.url] != item.raw:
                raise Malformed("Bundle.entry.fullUrl", "one URL stands for two different resources")
            continue
        if item.url is not None:
            seen[item.url] = item.raw
        yield item


def _has_next(bundle: Resource) -> bool:
    links = bundle.get("link", [])
    if not isinstance(links, list):
        raise Malformed("Bundle.link", "a list is expected")
    return any(isinstance(link, dict) and link.get("relation") == "next" for link in links)


def _reports_error(outcome: Resource) -> bool:
    issues = outcome.get("issue")
    listed = issues if isinstance(issues, list) else []
    return any(isinstance(issue, dict) and issue.get("severity") in ("fatal", "error") for issue in listed)


# --- the entries -----------------------------------------------------------------------------------------------------


def _entry(item: _Item, patient: Bsn, asked: str, place: proof.Place) -> Entry:
    """Prove one entry and make it ours. Raises Foreign, Malformed."""
    is_match = item.mode == "match" or (item.mode is None and item.type == asked)
    if is_match and (item.type != asked or asked in _JUDGED_BY_CONTENT):
        _check_match(item, asked)
    if not (place.cleared and proof.is_plainly_about(item.resource, item.type, patient)):
        named = proof.prove(item.resource, patient, place)
        if is_match and not named:
            raise Foreign("a match names no patient")
    id = item.resource.get("id")
    mode = Mode.MATCH if is_match else Mode.INCLUDE
    return Entry(item.raw, item.type, id if isinstance(id, str) else None, item.full_url, mode)


_MATCH: Resource = {"mode": "match"}
_JUDGED_BY_CONTENT = frozenset({"Bundle", "Consent"})


def _check_match(item: _Item, asked: str) -> None:
    if item.type != asked:
        raise Malformed("Bundle.entry.resource", "a match is not of the type asked for")
    if asked == "Bundle" and not _is_document(item.resource):
        raise Malformed("Bundle.entry.resource", "a match is not a document that opens with its Composition")
    if asked == "Consent" and not _scopes(item.resource) & CLINICAL_SCOPES:
        raise Malformed("Bundle.entry.resource.scope", "a match is not a treatment limit")


def _is_document(bundle: Resource) -> bool:
    entries = proof.bundle_entries(bundle)
    return bundle.get("type") == "document" and bool(entries) and entries[0][1].get("resourceType") == "Composition"


# --- treatment limits ------------------------------------------------------------------------------------------------


def _limits(items: list[_Item], entries: tuple[Entry, ...]) -> frozenset[tuple[str, str]]:
    """What the limits in force say, as (code, decision): `permit`, `deny`, or `other` where no type is given."""
    if not any(entry.resource_type == "Consent" and entry.mode is Mode.MATCH for entry in entries):
        return frozenset()
    consents = [item.resource for item in items if item.type == "Consent" and item.resource.get("status") == "active"]
    return frozenset(pair for consent in consents if _scopes(consent) & CLINICAL_SCOPES for pair in _pairs(consent))


def _pairs(consent: Resource) -> Iterator[tuple[str, str]]:
    provision = consent.get("provision")
    if not isinstance(provision, dict):
        return
    said = provision.get("type", "other")
    for concept in _dicts(provision.get("code")):
        for coding in _dicts(concept.get("coding")):
            if isinstance(coding.get("code"), str):
                yield str(coding["code"]), str(said)


def _scopes(consent: Resource) -> set[object]:
    scope = consent.get("scope")
    codings = _dicts(scope.get("coding")) if isinstance(scope, dict) else []
    return {code for c in codings if c.get("system") == CONSENT_SCOPE and isinstance(code := c.get("code"), str)}


def _dicts(value: object) -> list[Resource]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
