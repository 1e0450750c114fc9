"""What does a token say? JSON claims (interface.md section 3) to our words: shape only, meaning is for the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from gateway.rules.exchange import (
    Capacity,
    Contact,
    ContactKind,
    GivenBy,
    Professional,
    Purpose,
    Responsible,
    Situation,
    VerbalConsent,
)
from gateway.rules.identifiers import ApplicationId, Bsn, InvalidIdentifier, Ura

_E = TypeVar("_E", bound=StrEnum)
_TEXT_MOST = 200


class BadClaim(ValueError):
    """A claim is missing or has the wrong shape; names the claim, never its value."""


@dataclass(frozen=True, slots=True)
class Claims:
    """A token's content in our words. `actor` is None for a system acting by itself."""

    application: ApplicationId
    organisation: Ura
    actor: Professional | None
    responsible: Responsible | None
    department: str | None
    patient: Bsn | None
    situation: Situation


def read_claims(raw: Mapping[str, Any]) -> Claims:
    """Check the shape of all claims beyond the envelope. Raises BadClaim."""
    application = _identifier(raw, "iss", ApplicationId)
    subject = _text(raw, "sub")
    role = _text(raw, "role", needed=False)
    if role is None and subject != application.digits:
        raise BadClaim("role: a person acts in a role; a system acting by itself has the application id as sub")
    actor = None if role is None else Professional(subject or "", _text(raw, "name") or "", role)
    return Claims(
        application=application,
        organisation=_identifier(raw, "organisation", Ura),
        actor=actor,
        responsible=_responsible(_object(raw, "responsible")),
        department=_text(raw, "department", needed=False),
        patient=_identifier(raw, "patient", Bsn) if raw.get("patient") is not None else None,
        situation=_situation(raw, person=actor is not None),
    )


def _situation(raw: Mapping[str, Any], *, person: bool) -> Situation:
    return Situation(
        purpose=_word(raw, "purpose", Purpose, None if person else Purpose.TREAT),
        contact=_contact(_object(raw, "contact")),
        cover=_flag(raw, "cover"),
        capacity=_word(raw, "capacity", Capacity, Capacity.CAPABLE),
        verbal_consent=_verbal_consent(_object(raw, "verbal_consent")),
    )


def _responsible(raw: Mapping[str, Any] | None) -> Responsible | None:
    if raw is None:
        return None
    return Responsible(
        uzi=_text(raw, "uzi") or "",
        name=_text(raw, "name") or "",
        role=_text(raw, "role") or "",
        mandate_until=_moment(raw, "mandate_until", needed=False),
    )


def _contact(raw: Mapping[str, Any] | None) -> Contact | None:
    if raw is None:
        return None
    start = _moment(raw, "start")
    if start is None:
        raise BadClaim("contact.start: missing")
    return Contact(
        id=_text(raw, "id") or "",
        kind=_word(raw, "kind", ContactKind, None),
        start=start,
        end=_moment(raw, "end", needed=False),
    )


def _verbal_consent(raw: Mapping[str, Any] | None) -> VerbalConsent | None:
    if raw is None:
        return None
    at = _moment(raw, "at")
    if at is None:
        raise BadClaim("verbal_consent.at: missing")
    try:
        id = str(UUID(_text(raw, "id")))
    except ValueError as wrong:
        raise BadClaim("verbal_consent.id: not a uuid") from wrong
    given_by = _word(raw, "given_by", GivenBy, None)
    return VerbalConsent(id=id, given_by=given_by, at=at, recorded_by=_text(raw, "recorded_by", needed=False))


def _text(raw: Mapping[str, Any], name: str, *, needed: bool = True) -> str | None:
    value = raw.get(name)
    if value is None and not needed:
        return None
    if not isinstance(value, str) or not value or len(value) > _TEXT_MOST or not value.isprintable():
        raise BadClaim(f"{name}: must be text of 1 to {_TEXT_MOST} printable characters")
    return value


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadClaim(f"{name}: must be an object")
    return value


def _flag(raw: Mapping[str, Any], name: str) -> bool:
    value = raw.get(name, False)
    if not isinstance(value, bool):
        raise BadClaim(f"{name}: must be true or false")
    return value


def _word(raw: Mapping[str, Any], name: str, words: type[_E], default: _E | None) -> _E:
    value = raw.get(name)
    if value is None and default is not None:
        return default
    try:
        return words(str(value))
    except ValueError as wrong:
        raise BadClaim(f"{name}: must be one of {', '.join(words)}") from wrong


def _moment(raw: Mapping[str, Any], name: str, *, needed: bool = True) -> datetime | None:
    value = raw.get(name)
    if value is None and not needed:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadClaim(f"{name}: must be an RFC 3339 time with a zone")
    return moment


_I = TypeVar("_I", Bsn, Ura, ApplicationId)


def _identifier(raw: Mapping[str, Any], name: str, kind: type[_I]) -> _I:
    try:
        return kind(_text(raw, name) or "")
    except InvalidIdentifier as wrong:
        raise BadClaim(f"{name}: {wrong}") from wrong
