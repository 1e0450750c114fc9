"""Is this List, to the letter, the index entry of the interface? The quick way in for registrations by the thousand.

Takes the exact form of interface.md section 4 and nothing else; for anything else it says None and the models judge
(bodies.py), so it can only ever agree with them. A test holds the two against each other.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from gateway.fhir import codes, moments, strict
from gateway.rules.exchange import Category
from gateway.rules.identifiers import (
    APPLICATION_SYSTEM,
    BSN_SYSTEM,
    URA_SYSTEM,
    ApplicationId,
    Bsn,
    InvalidIdentifier,
    Ura,
)
from gateway.rules.network import Registration

_FULL_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9\-.]{1,64}\Z")]


class _Exact(msgspec.Struct, forbid_unknown_fields=True):
    """A struct that takes the elements it names and no others."""


class _Number(_Exact):
    system: str
    value: str


class _Coding(_Exact):
    system: str
    code: str


class _Concept(_Exact):
    coding: Annotated[list[_Coding], msgspec.Meta(min_length=1, max_length=1)]


class _Named(_Exact):
    identifier: _Number


class _Source(_Exact):
    reference: str


class _Device(_Exact):
    resourceType: Literal["Device"]
    id: _Id
    identifier: Annotated[list[_Number], msgspec.Meta(min_length=1, max_length=1)]
    owner: _Named


class _Meta(_Exact):
    tag: Annotated[list[_Coding], msgspec.Meta(min_length=1, max_length=1)]


class _List(_Exact):
    resourceType: Literal["List"]
    status: Literal["current"]
    mode: Literal["working"]
    code: _Concept
    subject: _Named
    source: _Source
    contained: Annotated[list[_Device], msgspec.Meta(min_length=1, max_length=1)]
    date: str
    emptyReason: _Concept
    meta: _Meta | msgspec.UnsetType = msgspec.UNSET


def read(body: bytes) -> Registration | None:
    """The entry, or None for whatever is not exactly of the form. Raises Malformed for what is not sound JSON."""
    try:
        entry = msgspec.convert(strict.decode(body), _List)
        return _registration(entry)
    except (msgspec.ValidationError, InvalidIdentifier, RecursionError):
        return None


def _registration(entry: _List) -> Registration | None:
    code, reason, device = entry.code.coding[0], entry.emptyReason.coding[0], entry.contained[0]
    number, owner, patient = device.identifier[0], device.owner.identifier, entry.subject.identifier
    exact = (
        (code.system, reason.system, reason.code) == (codes.DATA_CATEGORY, codes.EMPTY_REASON, "withheld")
        and (number.system, owner.system, patient.system) == (APPLICATION_SYSTEM, URA_SYSTEM, BSN_SYSTEM)
        and entry.source.reference == f"#{device.id}"
        and (not entry.meta or entry.meta.tag[0] == _Coding(codes.REGISTRATION, "latent"))
    )
    if not exact or code.code not in _CATEGORIES or not _is_date(entry.date):
        return None
    return Registration(
        patient=Bsn(patient.value),
        custodian=Ura(owner.value),
        system=ApplicationId(number.value),
        category=Category(code.code),
        latent=bool(entry.meta),
        date=entry.date,
    )


_CATEGORIES = frozenset(Category) - {Category.RETURN_MESSAGE}


def _is_date(text: str) -> bool:
    if not _FULL_DATE.fullmatch(text):
        return False
    try:
        moments.span(text)
    except ValueError:
        return False
    return True
