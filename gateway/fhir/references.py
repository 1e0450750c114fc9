"""Is a message whole? Every reference in its Bundle leads to something in it, and nothing stands where it may not.

Resolves as FHIR does: by full URL, relative to the full URL of the resource that refers, or to what that contains.
Knows nothing of patients or of what a message is for. Source: FHIR R4, Bundle, "Resolving references in Bundles".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.fhir import narrative, proof, shape
from gateway.fhir.bodies import content, only
from gateway.fhir.codes import Problem
from gateway.fhir.shape import PATTERNS, Misshapen
from gateway.fhir.strict import Malformed, safe_name
from gateway.fhir.types import R4_TYPES

Resource = dict[str, object]

_ENTRY = frozenset({"id", "link", "fullUrl", "resource", "extension"})
_USUAL = frozenset({"fullUrl", "resource"})
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_RESTFUL = re.compile(r"(https?://\S+?)/([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}")
_HISTORY = re.compile(r"/_history/[A-Za-z0-9\-.]{1,64}$")


@dataclass(frozen=True, slots=True)
class Part:
    """One entry: where it stands, the full URL if it has one, its resource and what that contains (by `#id`)."""

    place: str
    url: str | None
    resource: Resource = field(repr=False)
    contained: dict[str, Resource] = field(repr=False)

    @property
    def kind(self) -> str:
        return str(self.resource["resourceType"])


def parts(bundle: Resource) -> tuple[Part, ...]:
    """The entries of a Bundle, each with a resource of an R4 type and a full URL of its own.

    Raises Malformed (400) and BadRequest (422)."""
    entries = bundle.get("entry")
    if not isinstance(entries, list):
        raise Malformed("Bundle.entry", "a list is expected")
    _refuse_hollow({name: value for name, value in bundle.items() if name != "entry"}, "Bundle")
    found = tuple(_part(f"Bundle.entry[{index}]", entry) for index, entry in enumerate(entries))
    urls = [part.url for part in found if part.url is not None]
    if len(set(urls)) != len(urls):
        raise Malformed("Bundle.entry.fullUrl", "two entries have one full URL")
    return found


def _part(place: str, entry: object) -> Part:
    resource = entry.get("resource") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(resource, dict):
        raise Malformed(place, "an entry holds a resource")
    if not entry.keys() <= _USUAL:
        only(place, entry, _ENTRY)
        _refuse_hollow({name: value for name, value in entry.items() if name != "resource"}, place)
    _check_names(place, resource)
    return Part(f"{place}.resource", _full_url(place, entry, resource), resource, _contained(place, resource))


def _check_names(place: str, resource: Resource) -> None:
    kind, id = resource.get("resourceType"), resource.get("id", "none")
    if not isinstance(kind, str) or kind not in R4_TYPES:
        raise Malformed(f"{place}.resource", "the resource type is not an R4 type")
    if not isinstance(id, str) or not PATTERNS["Id"].fullmatch(id):
        raise Malformed(f"{place}.resource.id", "this is not the form of an id")


def _full_url(place: str, entry: Resource, resource: Resource) -> str | None:
    url = entry.get("fullUrl")
    if url is None and "fullUrl" not in entry:
        return None
    if not isinstance(url, str) or not _ABSOLUTE.fullmatch(url) or _HISTORY.search(url):
        raise Malformed(f"{place}.fullUrl", "a full URL is absolute and names no version")
    try:
        proof.check_url(url, resource)
    except Malformed as disagreeing:
        raise Malformed(f"{place}.fullUrl", disagreeing.why) from None
    return url


def _contained(place: str, resource: Resource) -> dict[str, Resource]:
    listed = resource.get("contained", [])
    if not isinstance(listed, list):
        raise Malformed(f"{place}.resource.contained", "a list is expected")
    named = [one for one in listed if isinstance(one, dict) and isinstance(one.get("id"), str)]
    held: dict[str, Resource] = {f"#{one['id']}": one for one in named}
    if len(held) != len(listed):
        raise Malformed(f"{place}.resource.contained", "a contained resource needs an id of its own")
    return held


# --- what a reference leads to ---------------------------------------------------------------------------------------


class Names:
    """What references in one Bundle can lead to."""

    def __init__(self, known: Sequence[Part]) -> None:
        self._by_url = {part.url: part for part in known if part.url is not None}
        self._by_id: dict[str, list[Part]] = {}
        for part in known:
            if "id" in part.resource:
                self._by_id.setdefault(f"{part.kind}/{part.resource['id']}", []).append(part)

    def resource(self, text: str, source: Part) -> Resource | None:
        """The resource that a reference in `source` leads to, contained or an entry; None: nothing here."""
        if text.startswith("#"):
            return source.contained.get(text) if text != "#" else source.resource
        part = self.part(text, source)
        return part.resource if part is not None else None

    def part(self, text: str, source: Part) -> Part | None:
        """The entry that a reference in `source` leads to; None: none here, or it could be more than one."""
        name = _HISTORY.sub("", text)
        if _ABSOLUTE.fullmatch(name):
            return self._by_url.get(name)
        base = _RESTFUL.fullmatch(source.url) if source.url is not None else None
        exact = self._by_url.get(f"{base[1]}/{name}") if base else None
        return exact or self._called(name, nameless=base is not None)

    def _called(self, name: str, *, nameless: bool) -> Part | None:
        """The one entry of this type and id. From a RESTful place a relative reference names one URL, so that an entry
        with another URL is another resource."""
        found = [part for part in self._by_id.get(name, ()) if part.url is None or not nameless]
        return found[0] if len(found) == 1 else None


# --- the examination -------------------------------------------------------------------------------------------------


def check_whole(known: Sequence[Part], names: Names) -> None:
    """Examine every entry: its references lead to something here, its narratives only format, its resources stand in
    entries or are contained. Raises Malformed (400) and BadRequest (422)."""
    for part in known:
        seen = _survey(part)
        if seen.hollow:
            _refuse_hollow(part.resource, part.place)
        if seen.resources != len(part.contained):
            raise content(part.place, "A resource stands in an entry, or is contained in it.", Problem.NOT_SUPPORTED)
        for text in seen.references:
            if names.resource(text, part) is None:
                raise content(_place_of("reference", text, part), problem=Problem.REFERENCE_OUTSIDE)
        for div in seen.narratives:
            if not narrative.is_harmless(div):
                raise Malformed(_place_of("div", div, part), "a narrative holds formatting only")


@dataclass(slots=True)
class _Seen:
    references: list[str]
    narratives: list[str]
    resources: int = 0
    hollow: bool = False
    """Something is empty or null: perhaps only the placeholder that R4 allows beside `_name`."""


def _survey(part: Part) -> _Seen:
    """Walk one entry's resource: no recursion, no paths; whatever is wrong is looked up again for its place."""
    seen = _Seen([], [], resources=-1)
    rest: list[object] = [part.resource]
    while rest:
        node = rest.pop()
        if node.__class__ is dict:
            assert isinstance(node, dict)
            if "resourceType" in node:
                seen.resources += 1
            if "reference" in node or "div" in node:
                _note(node, part, seen)
            rest += node.values()
        elif node.__class__ is list:
            assert isinstance(node, list)
            rest += node
        if not node and node is not False and node != 0:
            seen.hollow = True
    return seen


def _note(node: Resource, part: Part, seen: _Seen) -> None:
    for name, noted in (("reference", seen.references), ("div", seen.narratives)):
        value = node.get(name)
        if isinstance(value, str):
            noted.append(value)
        elif value is not None and not isinstance(value, dict):
            raise Malformed(f"{part.place}.{name}", f"this is not the form of a {name}")


def _refuse_hollow(element: Resource, place: str) -> None:
    try:
        shape.refuse_hollow(element, place)
    except Misshapen as misshapen:
        raise Malformed(misshapen.path, misshapen.why) from None


def _place_of(name: str, text: str, part: Part) -> str:
    return next(
        (f"{place}.{name}" for place, node in _places(part.resource, part.place) if node.get(name) == text), part.place
    )


def _places(value: object, path: str) -> Iterator[tuple[str, Resource]]:
    if isinstance(value, dict):
        yield path, value
        for name, child in value.items():
            yield from _places(child, f"{path}.{safe_name(name)}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _places(child, f"{path}[{index}]")
