"""What does a recorded session tell? Its assertions, the tokens they earned, and which call used which.

It knows the token of interface.md section 3, unverified: the exchange has verified it. It may not judge.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from source_sim.admission import ura_of
from source_sim.checking.observing import Seen
from source_sim.medicine import NAMING
from source_sim.population import is_bsn

PATIENT_PARAMETER: Final = re.compile(r"(composition\.)?(patient|subject)[.:]identifier")
BSN_PREFIX: Final = NAMING + "bsn|"
_NINE: Final = re.compile(r"(?<![0-9])[0-9]{9}(?![0-9])")
_TESTS: Final = "9999"


@dataclass(frozen=True, slots=True)
class Assertion:
    """One request for a token. `header` and `claims` are empty when they cannot be read."""

    seen: Seen
    header: Mapping[str, Any] = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """A token that was given; `ends` is epoch seconds. `patient` is empty for none."""

    token: str = field(repr=False)
    ends: float
    patient: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """What one client did. `application` empty: whichever connected."""

    seen: tuple[Seen, ...] = field(repr=False)
    token_endpoint: str
    application: str = ""
    assertions: tuple[Assertion, ...] = field(init=False, repr=False)
    grants: Mapping[str, Grant] = field(init=False, repr=False)
    patients: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        asked = tuple(_assertion(one) for one in self.seen if one.is_token)
        object.__setattr__(self, "assertions", asked)
        object.__setattr__(self, "grants", {one.token: one for one in map(_grant, asked) if one is not None})
        named = {str(one.claims.get("patient", "")) for one in asked}
        named |= {number for one in self.searches for number in patients_of(one)}
        object.__setattr__(self, "patients", frozenset(number for number in named if is_bsn(number)))

    @property
    def calls(self) -> list[Seen]:
        return [one for one in self.seen if one.is_fhir]

    @property
    def searches(self) -> list[Seen]:
        return [one for one in self.seen if one.is_search]

    @property
    def messages(self) -> list[Seen]:
        return [one for one in self.seen if one.is_message]

    def names_patient(self, text: str) -> bool:
        """Whether the text holds the BSN of a patient of this session, or any of the test range."""
        found = _NINE.findall(text)
        return any(each in self.patients or (is_bsn(each) and each.startswith(_TESTS)) for each in found)

    def of(self, application: str) -> Session:
        """Only what came over the certificates with which this application asked for tokens; all, if it never did."""
        own = {one.seen.certificate for one in self.assertions if one.claims.get("iss") == application}
        mine = tuple(one for one in self.seen if not own or one.certificate in own)
        return Session(mine, self.token_endpoint, application)


def patients_of(search: Seen) -> list[str]:
    """The BSNs that a search's form names, in whatever way."""
    named = [value for name, value in search.form if PATIENT_PARAMETER.fullmatch(name)]
    return [number for value in named for number in _NINE.findall(value)]


def organisation(seen: Seen) -> str:
    """The URA of the certificate; empty for none."""
    return (ura_of(seen.certificate) or "") if seen.certificate else ""


def _assertion(seen: Seen) -> Assertion:
    parts = dict(seen.form).get("assertion", "").split(".")
    header, claims = (_part(part) for part in parts[:2]) if len(parts) == 3 else ({}, {})
    return Assertion(seen, header, claims)


def _part(text: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _grant(asked: Assertion) -> Grant | None:
    told = asked.seen.answer_json
    token, seconds = told.get("access_token"), told.get("expires_in")
    if asked.seen.status != 200 or not isinstance(token, str) or not isinstance(seconds, int):
        return None
    return Grant(token, asked.seen.wall + seconds, str(asked.claims.get("patient", "")))
