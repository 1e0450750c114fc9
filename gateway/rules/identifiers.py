"""Which numbers name whom? Identifiers as types: an invalid one cannot exist, and none prints in clear.

Knows the check digits and formats of the Dutch identifiers (domain.md section 1). Knows nothing of who holds them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import mul

NAMING = "http://fhir.nl/fhir/NamingSystem/"
BSN_SYSTEM = NAMING + "bsn"
URA_SYSTEM = NAMING + "ura"
UZI_PERSON_SYSTEM = NAMING + "uzi-nr-pers"
UZI_SYSTEM_SYSTEM = NAMING + "uzi-nr-sys"
APPLICATION_SYSTEM = NAMING + "aorta-app-id"

_BSN_WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2, -1)


class InvalidIdentifier(ValueError):
    """The text is not an identifier of this kind. Never carries the text itself."""


@dataclass(frozen=True, slots=True)
class Bsn:
    """A citizen service number: nine digits passing the eleven-test. Prints masked; `digits` is the clear value."""

    digits: str

    def __post_init__(self) -> None:
        if len(self.digits) != 9 or not self.digits.isascii() or not self.digits.isdigit():
            raise InvalidIdentifier("a BSN has nine digits")
        total = sum(map(mul, _BSN_WEIGHTS, map(int, self.digits)))
        if total % 11 or self.digits == "000000000":
            raise InvalidIdentifier("the BSN fails the eleven-test")

    def __repr__(self) -> str:
        return "Bsn(******" + self.digits[-3:] + ")"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, order=True)
class Ura:
    """An organisation's number in the UZI register: eight digits, zero padded. Raises InvalidIdentifier."""

    digits: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]{8}", self.digits):
            raise InvalidIdentifier("a URA has eight digits, zero padded")

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True)
class UziNumber:
    """A person's or system's number on a UZI pass: nine digits. Raises InvalidIdentifier."""

    digits: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]{9}", self.digits):
            raise InvalidIdentifier("a UZI number has nine digits")

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True, order=True)
class ApplicationId:
    """An AORTA application id: one to sixteen digits. Raises InvalidIdentifier."""

    digits: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]{1,16}", self.digits):
            raise InvalidIdentifier("an application id has one to sixteen digits")

    def __str__(self) -> str:
        return self.digits
