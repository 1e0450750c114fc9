"""Is there certainly nobody else in this answer? A few looks at its text, instead of a walk through every element.

May say yes only where the walk (`proof.py`) would find nothing: no other BSN, no resource within a resource, nothing
too deep, and no reference to a Patient but those at hand. Anything unusual is a no, and then the walk decides: what is
asked here is never a reason to refuse. Knows texts in one spelling (`strict.decode_with_text`), and no wire.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Protocol

from gateway.fhir.codes import BSN_OID
from gateway.rules.identifiers import BSN_SYSTEM

Resource = dict[str, object]

_REFERENCE = re.compile(rb'"reference":"([^"\\]*)"(,"type":"Patient")?')
_SAYS_PATIENT = re.compile(rb'"type":"(?:[^"\\]|\\.)*Patient')
_TO_PATIENT = re.compile(rb"patient\s*[/?]")
_LIKE_BSN = (b"namingsystem/bsn", BSN_OID.encode())
_FOLDED = tuple(letter.encode() for letter in "\u0130\u0131\u017f")
"""Letters that a search for `i` or `s` in any case finds, too."""


class Held(Protocol):
    """One entry's resource: its own bytes, and decoded."""

    @property
    def raw(self) -> bytes: ...

    @property
    def resource(self) -> Resource: ...


def clears(text: bytes, held: Sequence[Held], bsn: str, patients: Set[str], *, levels: int) -> bool:
    """Whether nobody else can be in a searchset. `text` is its canonical text, `held` are its entries; `patients` the
    names of its Patients, whose own BSN is asked elsewhere, as is every subject; `levels` how many objects deep an
    entry's resource may go."""
    return (
        text.count(b'"resourceType":') == 1 + len(held)
        and b"[[" not in text
        and b",[" not in text
        and _has_no_other_number(text, bsn)
        and _has_no_reference_astray(text, bsn, patients)
        and all(_is_shallow(one.resource, levels) for one in held if one.raw.count(b"{") > levels)
    )


def _identifier(bsn: str) -> bytes:
    return f'"system":"{BSN_SYSTEM}","value":"{bsn}"}}'.encode()


def _has_no_other_number(text: bytes, bsn: str) -> bool:
    """Whether every text that could pass for the BSN's system stands in an identifier of this patient."""
    if not text.isascii() and any(letter in text for letter in _FOLDED):
        return False
    ours = _identifier(bsn)
    lowered = text.lower()
    like = sum(lowered.count(spelling) for spelling in _LIKE_BSN)
    return like == text.count(b"{" + ours) + text.count(b'{"use":"official",' + ours)


def _has_no_reference_astray(text: bytes, bsn: str, patients: Set[str]) -> bool:
    """Whether every reference leads to a Patient at hand, or neither says nor looks as if it led to one."""
    references = text.count(b'"reference":')
    if not references and b"Patient" not in text:
        return True
    found = _REFERENCE.findall(text)
    if references != len(found):
        return False
    typed = sum(1 for _, kind in found if kind)
    return (
        len(_SAYS_PATIENT.findall(text)) == typed + _typed_identifiers(text, bsn)
        and all(_leads_to(literal, patients) for literal, kind in found if kind)
        and all(_leads_to(one, patients) or _leads_elsewhere(one) for one in {literal for literal, _ in found})
    )


def _typed_identifiers(text: bytes, bsn: str) -> int:
    """How many references name this patient, by identifier and as a Patient, and hold nothing else."""
    ours = b'"identifier":{' + _identifier(bsn)
    return text.count(b'{"type":"Patient",' + ours + b"}") + text.count(b"{" + ours + b',"type":"Patient"}')


def _leads_to(literal: bytes, patients: Set[str]) -> bool:
    return literal.decode() in patients


def _leads_elsewhere(literal: bytes) -> bool:
    return literal.isascii() and _TO_PATIENT.search(literal.lower()) is None


def _is_shallow(resource: Resource, levels: int) -> bool:
    """Whether objects and arrays together go no deeper than objects alone may."""
    level: list[object] = [resource]
    for _ in range(levels):
        level = [child for node in level for child in _parts(node) if child.__class__ in _BOXES]
        if not level:
            return True
    return False


_BOXES = frozenset({dict, list})


def _parts(node: object) -> Sequence[object]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else ()
