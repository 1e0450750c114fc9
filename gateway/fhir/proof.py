"""Does every resource in a source's answer prove to be about this patient, and about nobody else?

Where a foreign patient can hide, and what is asked of each place (domain.md section 5, interface.md section 4):

1.  a match whose subject names nobody, or another                    -> must prove our BSN
2.  a Patient as an entry, with another BSN                           -> any other BSN, anywhere, betrays
3.  a Patient that is contained                                       -> same
4.  a Patient in a nested Bundle or in Parameters                     -> same
5.  a Patient with no BSN at all, or only one in another spelling     -> does not prove itself
6.  a Patient with two BSNs that disagree                             -> betrays
7.  a subject, patient or beneficiary by identifier only              -> another BSN betrays, another system is no proof
8.  a reference to a Patient that is not in the same Bundle           -> not proven
9.  a reference whose identifier and target disagree                  -> betrays
10. an include that is personal but names no one                      -> not proven, unless in a document or contained
11. a resource deep in a document under another subject               -> every subject is asked, at every depth
12. a participant, actor, link, focus or extension that is a Patient  -> every reference to a Patient is asked
13. a conditional reference (`Patient?identifier=...`)                -> a reference to a Patient that resolves nowhere
14. a subject that is a Group, Device or Location                     -> not a patient, so not proven
15. a RelatedPerson, Coverage, Device of another patient              -> their patient or beneficiary is asked
16. a BSN in a coding or quantity, or under the national OID          -> any other BSN, anywhere, betrays
17. a fullUrl that says one id while the resource says another        -> refused as malformed, in answers.py

What no machine can see: free text, narrative and attachments. Pure; knows no wire and no rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from string import ascii_letters, digits

from gateway.fhir.codes import BSN_OID
from gateway.fhir.strict import Malformed
from gateway.fhir.types import PERSONAL_TYPES, R4_TYPES, SUBJECT_ELEMENTS
from gateway.rules.identifiers import BSN_SYSTEM, Bsn

Resource = dict[str, object]

MAX_LEVELS = 32
"""Objects within objects; with the arrays between them the 64 containers of `strict.MAX_DEPTH`."""

_PATIENT_TEXT = re.compile(r"(?:^|/)\s*patient\s*[/?]", re.IGNORECASE)
_TYPED_TEXT = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]+(?:/_history/[A-Za-z0-9\-.]+)?$")
_HISTORY = re.compile(r"/_history/[A-Za-z0-9\-.]+$")
_BSN_LIKE = re.compile(rf"namingsystem/bsn(?![a-z0-9])|(?<![0-9.]){re.escape(BSN_OID)}(?![0-9.])", re.IGNORECASE)
_REFERENCE_PARTS = frozenset({"reference", "type", "identifier", "display", "id", "extension"})
_HARMLESS_ENDS = frozenset(ascii_letters + digits) - frozenset("nN3")
"""A system that ends so is no spelling of the BSN's: tells most systems apart without a search."""
_NOTHING: Mapping[str, Resource] = {}
_SUBJECTS: Set[str] = frozenset(SUBJECT_ELEMENTS)
_NAMED_OTHERWISE = frozenset({"Patient", "Bundle"})


class Foreign(Exception):
    """Something in the answer is not, or not provably, about the patient asked for. `why` never carries content."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Scope:
    """One Bundle as references see it: the names of its Patients, and the type behind every name."""

    patients: frozenset[str]
    types: Mapping[str, str]

    @classmethod
    def of(cls, entries: Iterable[tuple[str | None, Resource]]) -> Scope:
        """`entries`: the full URL (as given, or as it would be) and resource of each entry."""
        types: dict[str, str] = {}
        for url, resource in entries:
            kind = str(resource.get("resourceType"))
            for name in (url, f"{kind}/{resource['id']}" if "id" in resource else None):
                if name is not None:
                    types[name] = kind
        return cls(frozenset(name for name, kind in types.items() if kind == "Patient"), types)


NO_NAMES = Scope(frozenset(), {})
"""What a Bundle in which nothing refers to anything needs to know of its names."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a resource stands: the Bundle around it, how many objects deep, what `#id` means there (None: what it
    contains itself), and whether the document's Composition or the containing resource has said whom it is about.
    `cleared`: the whole answer is known to hold nothing a walk would find (plain_answer.py)."""

    scope: Scope
    levels: int
    vouched: bool = False
    contained: Mapping[str, Resource] | None = None
    cleared: bool = False


def prove(resource: Resource, patient: Bsn, place: Place) -> bool:
    """Examine a resource and everything inside it. True when it names the patient itself, with proof.

    Raises Foreign for the list above, Malformed for an unknown resource type or nesting beyond MAX_LEVELS.
    """
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or kind not in R4_TYPES:
        raise Malformed("entry.resource", "the resource type is not an R4 type")
    if place.cleared and kind != "Bundle":
        return _prove_cleared(resource, kind, patient, place.scope)
    references, nested = _survey(resource, patient.digits, place.levels)
    if kind == "Bundle":
        return _prove_bundle(resource, patient, nested, place)
    if kind == "Patient" and not _carries(resource.get("identifier"), patient.digits):
        raise Foreign("a Patient does not carry the BSN asked for")
    local = place.contained if place.contained is not None else _contained(resource)
    named = _prove_subjects(resource, patient, place.scope, local)
    if not named and not place.vouched and kind in PERSONAL_TYPES:
        raise Foreign(f"a {kind} names no patient")
    for reference in references:
        _prove_reference(reference, patient, place.scope, local, as_subject=False)
    inside = named or place.vouched
    for child, levels in nested:
        child_local = local if any(child is held for held in local.values()) else None
        prove(child, patient, Place(place.scope, levels, inside, child_local))
    return named


def is_plainly_about(resource: Resource, kind: str, patient: Bsn) -> bool:
    """Whether one look proves a cleared resource: its only subject is named by this BSN. False proves nothing."""
    present = _SUBJECTS & resource.keys()
    if len(present) != 1 or kind in _NAMED_OTHERWISE or "contained" in resource:
        return False
    return _is_plainly(resource[next(iter(present))], patient.digits)


def _prove_cleared(resource: Resource, kind: str, patient: Bsn, scope: Scope) -> bool:
    """As `prove`, of a resource in which a walk would find nothing: what is left to ask is whom it names."""
    if kind == "Patient" and not _carries(resource.get("identifier"), patient.digits):
        raise Foreign("a Patient does not carry the BSN asked for")
    named = _prove_subjects(resource, patient, scope, _contained(resource) if "contained" in resource else _NOTHING)
    if not named and kind in PERSONAL_TYPES:
        raise Foreign(f"a {kind} names no patient")
    return named


def _prove_bundle(bundle: Resource, patient: Bsn, nested: list[tuple[Resource, int]], place: Place) -> bool:
    """A document is vouched for by its Composition, which comes first; any other Bundle vouches for nothing."""
    scope = Scope.of(bundle_entries(bundle))
    vouched = False
    for index, (child, levels) in enumerate(nested):
        composition = index == 0 and bundle.get("type") == "document" and child.get("resourceType") == "Composition"
        vouched |= prove(child, patient, Place(scope, levels, vouched)) and composition
    return vouched


def bundle_entries(bundle: Resource) -> list[tuple[str | None, Resource]]:
    """The full URL and resource of each entry of a nested Bundle. Raises Malformed when it is not shaped as one."""
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise Malformed("Bundle.entry", "a list is expected")
    found: list[tuple[str | None, Resource]] = []
    seen: set[str] = set()
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        url = entry.get("fullUrl") if isinstance(entry, dict) else None
        if not isinstance(resource, dict) or not isinstance(url, str | None):
            raise Malformed("Bundle.entry", "an entry of the Bundle inside is not of the right form")
        if url is not None and url in seen:
            raise Malformed("Bundle.entry.fullUrl", "two entries have one full URL")
        seen.add(url or "")
        check_url(url, resource)
        found.append((url, resource))
    return found


def check_url(url: str | None, resource: Resource) -> None:
    """A RESTful full URL may not disagree with type and id of its resource (R4, Bundle.entry.fullUrl); were it allowed,
    `Patient/1` could mean two people. Raises Malformed."""
    if url is not None and url.endswith(f"/{resource.get('resourceType')}/{resource.get('id')}"):
        return
    typed = _TYPED_TEXT.search(url) if url else None
    if url is None or typed is None or typed.group(1) not in R4_TYPES:
        return
    if typed.group(1) != resource.get("resourceType") or not _ends_with_id(url, resource):
        raise Malformed("entry.fullUrl", "full URL and resource disagree")


def _ends_with_id(url: str, resource: Resource) -> bool:
    return "id" not in resource or url.endswith(f"/{resource['id']}")


# --- one resource ----------------------------------------------------------------------------------------------------


def _survey(root: Resource, bsn: str, levels: int) -> tuple[list[Resource], list[tuple[Resource, int]]]:
    """Walk one resource, level by level, up to the resources nested in it: its references, and those resources.

    The hot loop of every answer: no recursion, nothing per string. Any other BSN ends it. Raises Foreign, Malformed.
    """
    references: list[Resource] = []
    nested: list[tuple[Resource, int]] = []
    level = [root]
    while level:
        levels += 1
        if levels > MAX_LEVELS:
            raise Malformed("entry.resource", "nested too deeply")
        for node in level:
            if "system" in node:
                system = node["system"]
                if system.__class__ is str and system[-1:] not in _HARMLESS_ENDS:
                    _refuse_other_bsn(node, str(system), bsn)
            if "reference" in node or "type" in node or "identifier" in node:
                references.append(node)
        level, inner = _below(level)
        nested += [(resource, levels) for resource in inner]
    return references, nested


def _below(level: list[Resource]) -> tuple[list[Resource], list[Resource]]:
    """The objects right below these, apart: parts of the same resource, and resources nested in it."""
    boxes = [value for node in level for value in node.values() if value.__class__ is dict or value.__class__ is list]
    below: list[object] = []
    for box in boxes:
        if box.__class__ is dict:
            below.append(box)
        else:
            below += box
    objects: list[Resource] = [value for value in below if value.__class__ is dict]
    if len(objects) != len(below) and any(value.__class__ is list for value in below):
        raise Malformed("entry.resource", "FHIR has no lists of lists")
    inner = [node for node in objects if "resourceType" in node]
    return ([node for node in objects if "resourceType" not in node], inner) if inner else (objects, inner)


def _refuse_other_bsn(node: Resource, system: str, bsn: str) -> None:
    """Refuse any other number under the BSN system, or under any spelling that could pass for it."""
    if system != BSN_SYSTEM and not _BSN_LIKE.search(system):
        return
    if any(node[name] != bsn for name in ("value", "code") if name in node):
        raise Foreign("there is another BSN")


def _carries(identifiers: object, bsn: str) -> bool:
    """Whether an identifier, or one of a list, is exactly this BSN. Other spellings of the system prove nothing."""
    listed = identifiers if isinstance(identifiers, list) else [identifiers]
    return any(isinstance(one, dict) and one.get("system") == BSN_SYSTEM and one.get("value") == bsn for one in listed)


def _contained(resource: Resource) -> Mapping[str, Resource]:
    contained = resource.get("contained")
    if not contained:
        return _NOTHING
    listed = contained if isinstance(contained, list) else [contained]
    held = {f"#{one.get('id')}": one for one in listed if isinstance(one, dict)}
    if len(held) != len(listed):
        raise Malformed("entry.resource.contained", "contained resources share an id or are not resources")
    return held


def _prove_subjects(resource: Resource, patient: Bsn, scope: Scope, local: Mapping[str, Resource]) -> bool:
    present = _SUBJECTS & resource.keys()
    for element in present if len(present) < 2 else SUBJECT_ELEMENTS:
        if element not in resource or _is_plainly(resource[element], patient.digits):
            continue
        value = resource[element]
        for one in value if isinstance(value, list) and value else [value]:
            if not isinstance(one, dict):
                raise Foreign(f"the {element} is not a reference")
            _prove_reference(one, patient, scope, local, as_subject=True)
    return bool(present)


def _is_plainly(subject: object, bsn: str) -> bool:
    """Whether the subject is named by this BSN and by nothing that could disagree: the usual form, told at once."""
    if not isinstance(subject, dict) or "reference" in subject:
        return False
    identifier = subject.get("identifier")
    return isinstance(identifier, dict) and identifier.get("system") == BSN_SYSTEM and identifier.get("value") == bsn


def _prove_reference(
    reference: Resource, patient: Bsn, scope: Scope, local: Mapping[str, Resource], *, as_subject: bool
) -> None:
    """A reference to a Patient must prove ours, by identifier or by target; a subject must be one. Raises Foreign."""
    text = reference.get("reference")
    literal = text if isinstance(text, str) else None
    if literal in scope.patients:
        return
    kind = _target_type(literal, scope, local)
    if not as_subject and kind != "Patient" and not _says_patient(reference, literal, kind):
        return
    if kind not in (None, "Patient"):
        raise Foreign("a reference to a patient leads to something else")
    if not _resolves(literal, scope, local) and not _carries(reference.get("identifier"), patient.digits):
        raise Foreign("a reference to a patient proves nothing")


def _says_patient(reference: Resource, literal: str | None, kind: str | None) -> bool:
    """Whether the reference declares a Patient, or its text looks like one although it leads nowhere."""
    if kind is None and literal is not None and _PATIENT_TEXT.search(literal):
        return True
    declared = reference.get("type")
    if not isinstance(declared, str) or declared.strip().rsplit("/", 1)[-1] != "Patient":
        return False
    return all(name.lstrip("_") in _REFERENCE_PARTS for name in reference)


def _target_type(literal: str | None, scope: Scope, local: Mapping[str, Resource]) -> str | None:
    """The type a literal reference leads to: by what it resolves to, else by its text; None if it does not say."""
    if literal is None:
        return None
    if literal[:1] == "#":
        held = local.get(literal)
        return str(held.get("resourceType")) if held is not None else None
    known = scope.types.get(literal)
    if known is not None:
        return known
    typed = _TYPED_TEXT.search(literal)
    return typed.group(1) if typed and typed.group(1) in R4_TYPES else None


def _resolves(literal: str | None, scope: Scope, local: Mapping[str, Resource]) -> bool:
    """Whether a literal reference leads to a Patient at hand: each of those must carry our BSN, so that proves."""
    if literal is None:
        return False
    return literal in local or literal in scope.patients or _HISTORY.sub("", literal) in scope.patients
