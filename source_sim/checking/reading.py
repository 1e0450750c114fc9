"""What is wrong with the body of an answer to a search? Judged from the bytes alone, by the words of the contract.

It knows FHIR JSON as anybody reads it. It may not know who was asked, nor how the answer travelled.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from source_sim.medicine import NAMING
from source_sim.records import is_absolute, resolve

_BSN: Final = NAMING + "bsn"
_SUBJECTS: Final = ("subject", "patient", "beneficiary")
_MODES: Final = frozenset({"match", "include", "outcome"})
_LIMIT_SCOPES: Final = frozenset({"treatment", "adr"})
_FLOAT_DIGITS: Final = 16
Shape = Mapping[str, Any]


class Wrong(NamedTuple):
    """A breach: the rule's id, and what was seen."""

    rule: str
    saw: str


class Unreadable(Exception):
    """The body is no searchset; the text says why, without content."""


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A searchset as it was read, an answer to a search for type `asked`. Numbers are kept as written."""

    asked: str
    bundle: Shape = field(repr=False)
    entries: tuple[Shape, ...] = field(repr=False)

    @property
    def matches(self) -> list[Shape]:
        """What was found. An entry without a mode is one if it is of the type asked for."""
        return [entry["resource"] for entry in self.entries if self._is_match(entry)]

    def _is_match(self, entry: Shape) -> bool:
        mode = _mode(entry)
        return mode == "match" or (mode is None and entry["resource"]["resourceType"] == self.asked)

    @property
    def pages(self) -> bool:
        return any(one.get("relation") == "next" for one in _shapes(self.bundle.get("link")))

    @property
    def total(self) -> str | None:
        """The total as it is written; None when it is not told."""
        said = self.bundle.get("total")
        return str(said) if said is not None else None

    def numbers(self) -> Iterator[str]:
        """Every number in a resource, as it is written."""
        for entry in self.entries:
            yield from (str(part) for part in _parts(entry["resource"]) if isinstance(part, _Number))


def read(body: bytes, asked: str) -> Page:
    """The searchset in `body`, an answer to a search for type `asked`. Raises Unreadable."""
    try:
        bundle = json.loads(
            body.decode("utf-8"),
            parse_float=_Number, parse_int=_Number, parse_constant=_never, object_pairs_hook=_once,
        )  # fmt: skip
    except RecursionError as deep:
        raise Unreadable("nested too deep") from deep
    except ValueError as wrong:
        raise Unreadable(str(wrong) if wrong.args in (_REPEATED, _CONSTANT) else "not UTF-8 JSON") from wrong
    if not isinstance(bundle, dict) or (bundle.get("resourceType"), bundle.get("type")) != ("Bundle", "searchset"):
        raise Unreadable("not a Bundle of type searchset")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise Unreadable("entry is not a list of entries")
    if not all(isinstance(_resource(each).get("resourceType"), str) for each in entries):
        raise Unreadable("an entry without a resource, or a resource without a type")
    if not all(_mode(each) in (*_MODES, None) for each in entries):
        raise Unreadable("a search.mode that FHIR does not know")
    return Page(asked, bundle, tuple(entries))


_REPEATED: Final = ("a name is repeated in one object",)
_CONSTANT: Final = ("NaN or Infinity is not JSON",)


def _never(constant: str) -> None:
    raise ValueError(*_CONSTANT)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError(*_REPEATED)
    return dict(pairs)


def wrongs(page: Page, bsn: str) -> Iterator[Wrong]:
    """Every breach in an answer about the patient with this `bsn`."""
    yield from _type(page)
    yield from _total(page)
    yield from _unique(page)
    yield from _patients(page, bsn)
    yield from _urls(page, bsn)
    yield from _scope(page)
    yield from _floats(page)


def _type(page: Page) -> Iterator[Wrong]:
    for match in page.matches:
        kind = match["resourceType"]
        if kind not in (page.asked, "OperationOutcome"):
            yield Wrong("search-type", f"a {kind} as match in a search for {page.asked}")
        elif page.asked == "Bundle" and not _is_document(match):
            yield Wrong("search-type", "a match that is no document beginning with a Composition")


def _is_document(bundle: Shape) -> bool:
    inner = _shapes(bundle.get("entry"))
    return bundle.get("type") == "document" and bool(inner) and _kind(inner[0]) == "Composition"


def _kind(entry: Shape) -> object:
    return _resource(entry).get("resourceType")


def _total(page: Page) -> Iterator[Wrong]:
    matches = sum(1 for one in page.matches if one["resourceType"] != "OperationOutcome")
    if page.total is not None and page.total != str(matches) and not page.pages:
        yield Wrong("search-total", f"total {page.total} with {matches} matches")


def _unique(page: Page) -> Iterator[Wrong]:
    named = (_name(entry) for entry in page.entries)
    twice = [kind for (_, kind), times in Counter(name for name in named if name).items() if times > 1]
    if twice:
        yield Wrong("search-unique", f"more than one entry with the same URL or id ({', '.join(sorted(set(twice)))})")


def _name(entry: Shape) -> tuple[str, str] | None:
    """What an entry is known by, and its type; None for one without full URL and id."""
    resource = _resource(entry)
    url, identity, kind = entry.get("fullUrl"), resource.get("id"), str(resource.get("resourceType"))
    known = url if isinstance(url, str) else f"{kind}/{identity}" if identity is not None else None
    return (known, kind) if known else None


# --- whose -----------------------------------------------------------------------------------------------------------


def _patients(page: Page, bsn: str) -> Iterator[Wrong]:
    for match in page.matches:
        kind = match["resourceType"]
        if kind == page.asked and bsn not in _about(match, page):
            yield Wrong("search-patient", f"a {kind} that does not prove whose it is")
    if any(number != bsn for number in _numbers(page.bundle)):
        yield Wrong("search-patient", "another patient's BSN in the answer")


def _about(match: Shape, page: Page) -> frozenset[str]:
    """The BSNs that a match proves itself to be about."""
    if match["resourceType"] == "Bundle":
        inner = _shapes(match.get("entry"))
        composition = _resource(inner[0]) if inner else {}
        return _pointed(composition, inner, _origin(inner[0]) if inner else "")
    own = next((_origin(entry) for entry in page.entries if entry["resource"] is match), "")
    return _pointed(match, list(page.entries), own)


def _pointed(resource: Shape, beside: list[Shape], origin: str) -> frozenset[str]:
    patients = {_origin(entry): _resource(entry) for entry in beside if _kind(entry) == "Patient"}
    patients |= {f"#{one.get('id')}": one for one in _shapes(resource.get("contained"))}
    found: set[str] = set(_numbers(resource)) if resource.get("resourceType") == "Patient" else set()
    for reference in (resource.get(name) for name in _SUBJECTS):
        if not isinstance(reference, Mapping):
            continue
        found |= set(_numbers(reference))
        said = reference.get("reference")
        for name in (said, resolve(said, origin)) if isinstance(said, str) else ():
            found |= set(_numbers(patients.get(name, {})))
    return frozenset(found)


def _origin(entry: Shape) -> str:
    url, resource = entry.get("fullUrl"), _resource(entry)
    return url if isinstance(url, str) and is_absolute(url) else f"{resource.get('resourceType')}/{resource.get('id')}"


def _numbers(part: object) -> Iterator[str]:
    """Every BSN that stands as an identifier."""
    for each in _parts(part):
        if isinstance(each, Mapping) and each.get("system") == _BSN:
            yield str(each.get("value"))


# --- the rest --------------------------------------------------------------------------------------------------------


def _urls(page: Page, bsn: str) -> Iterator[Wrong]:
    urls = [one.get("url") for one in _shapes(page.bundle.get("link"))]
    urls += [part.get("fullUrl") for part in _parts(page.bundle) if isinstance(part, Mapping)]
    ids = [part.get("id") for part in _parts(page.bundle) if isinstance(part, Mapping)]
    if any(isinstance(one, str) and bsn in one for one in (*urls, *ids)):
        yield Wrong("search-urls", "the BSN in a link, full URL or id")


def _scope(page: Page) -> Iterator[Wrong]:
    for match in page.matches:
        if match["resourceType"] == "Consent" and not _scopes(match) & _LIMIT_SCOPES:
            yield Wrong("search-scope", "a Consent that is no treatment limit")
        inner = _shapes(match.get("entry")) if match["resourceType"] == "Bundle" else []
        if any(_kind(entry) == "Consent" for entry in inner):
            yield Wrong("search-scope", "a Consent inside a summary")


def _scopes(consent: Shape) -> frozenset[str]:
    scope = consent.get("scope")
    codings = _shapes(scope.get("coding")) if isinstance(scope, Mapping) else []
    return frozenset(str(each.get("code")) for each in codings)


def _floats(page: Page) -> Iterator[Wrong]:
    """Traces that floating point leaves behind: an exponent, or more digits than any measurement has."""
    for number in page.numbers():
        if re.search("[eE]", number) or ("." in number and len(re.sub(r"\D", "", number)) >= _FLOAT_DIGITS):
            yield Wrong("search-decimals", "a decimal that has been through floating point (an exponent, or 16 digits)")
            return


def _mode(entry: Shape) -> object:
    search = entry.get("search")
    return search.get("mode") if isinstance(search, Mapping) else None


def _resource(entry: Shape) -> Shape:
    found = entry.get("resource")
    return found if isinstance(found, Mapping) else {}


def _shapes(element: object) -> list[Shape]:
    return [each for each in element if isinstance(each, Mapping)] if isinstance(element, list) else []


def _parts(body: object) -> Iterator[object]:
    queue = [body]
    while queue:
        part = queue.pop()
        yield part
        if isinstance(part, Mapping):
            queue.extend(part.values())
        elif isinstance(part, list):
            queue.extend(part)
