"""Who sits at the desk? The words for an operator and for a patient, or whoever may act for her, while logged in.

Frozen values only. No word here knows of passwords, cookies or pages. Source: domain.md sections 1, 3 and 7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from gateway.rules.choice import Party
from gateway.rules.exchange import PatientKey
from gateway.rules.identifiers import Bsn

_ACCOUNT = re.compile(r"[a-z][a-z0-9-]{1,31}")


class Role(StrEnum):
    """What an operator may do: look, act on the exchange, judge disclosures. Whoever has any role may look."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    REVIEWER = "reviewer"


@dataclass(frozen=True, slots=True)
class OperatorSits:
    """An operator who logged in. `name` is the account's, as it stands in the journal under `by`."""

    name: str
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Whether this operator may do what `role` may; every role may look."""
        return role in self.roles or (role is Role.VIEWER and bool(self.roles))


@dataclass(frozen=True, slots=True)
class PatientSits:
    """A patient's page, opened by `party`: she herself, or who acts for her. `born` is what the login told, if it did;
    a birth date the exchange was told before goes first. `name` is for greeting only."""

    bsn: Bsn = field(repr=False)
    party: Party = Party.PATIENT
    born: date | None = field(default=None, repr=False)
    name: str = field(default="", repr=False)


Sitter = OperatorSits | PatientSits


@dataclass(frozen=True, slots=True)
class TestPerson:
    """Somebody of a simulation, whom the simulated login lets anybody be. `key` is what pages and forms say instead of
    the number; a `sentinel` behaves the same in every simulation."""

    key: str
    bsn: Bsn = field(repr=False)
    name: str
    born: date | None = field(default=None, repr=False)
    sentinel: bool = False


def is_account_name(text: str) -> bool:
    """Whether an account can be called this: 2 to 32 small letters, digits and hyphens, a letter first."""
    return _ACCOUNT.fullmatch(text) is not None


def pseudonym(patient: PatientKey) -> str:
    """What an operator sees instead of a patient: `P-` and the first eight hexadecimal digits of the key."""
    return "P-" + patient.hex()[:8]
