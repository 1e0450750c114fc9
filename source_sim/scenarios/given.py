"""What holds before a scenario begins? Time, regimes, organisations, patients with their choices, faults.

Part of the form; it may not know how any of it is put in place.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from source_sim.faults import FaultName, Place, Spread
from source_sim.population import Profile, persons
from source_sim.scenarios import words
from source_sim.scenarios.form import (
    CustodianName,
    Listed,
    Part,
    PatientName,
    PharmacyName,
    PracticeName,
    Short,
    Words,
)

SENTINELS: Final = tuple(one.key for one in persons(date(2026, 1, 1)))
KEY: Final = r"^[a-z][a-z0-9-]*$"
Key = Annotated[str, Field(pattern=KEY, max_length=40)]


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError("moment", "is not a time; write 2026-11-21T23:40 (Dutch time)") from None
    return text


def _span(text: str) -> str:
    if not re.fullmatch(r"[-+]?\d+(\.\d+)?[smhd]", text):
        raise PydanticCustomError("span", "is not a span of time; write -5m, 90s, -72h or -3d") from None
    return text


Moment = Annotated[str, AfterValidator(_moment), Field(examples=["2026-11-21T23:40"])]
"""Domain time; without a zone it is Dutch time."""
Ago = Annotated[str, AfterValidator(_span), Field(examples=["-5m"])]
"""A span from now: s, m, h or d; negative is past."""
Category = Annotated[str, Words(words.CATEGORIES)]
Fault_ = Annotated[str, Words(tuple(FaultName))]
RegimeName = Annotated[str, Words(words.REGIMES)]
Party = Annotated[str, Words(words.PARTIES)]


class Organisation(Part):
    """An organisation: one of the usual kinds, or any organisation type with the role its people act in."""

    kind: Annotated[str, Words(words.KINDS)] | None = None
    """What it is; a custodian (gp-practice, pharmacy) also runs a source."""
    type: Annotated[str, Field(max_length=8)] | None = None
    """Organisation-type code; alone for an organisation that is none of the usual kinds, here a requester."""
    role: str | None = None
    """The role code its people act in, for one told by type."""
    departments: Annotated[list[str], Listed()] = Field(default_factory=list)
    name: str | None = None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Organisation:
        if self.kind is None and self.type is None:
            raise PydanticCustomError("kind", f"needs a kind ({', '.join(words.KINDS)}) or a type")
        if self.kind not in (None, "gp-practice") and (self.type or self.role or self.departments):
            raise PydanticCustomError("kind", "type, role and departments go with an organisation told by its type")
        return self

    @property
    def holds_records(self) -> bool:
        """Whether it is a custodian."""
        return self.kind in words.CUSTODIANS


class Choice(Part):
    """What a patient says about who may see what. What is not named is meant as: all."""

    says: Literal["yes", "no", "withdraw", "clear"] = "yes"
    """`withdraw` takes back a yes (an objection); `clear` takes back a no (undecided again)."""
    custodian: CustodianName | None = None
    """Through whom, about its own data; left out: on her own page, about everybody's."""
    categories: Annotated[list[Category], Listed()] = Field(default_factory=list)
    to: Annotated[list[str], Listed()] = Field(default_factory=list)
    """Requester groups (gp-care, pharmacy, hospital, ambulance) or organisations of the scenario."""
    emergency_only: bool = False
    stated_by: Annotated[list[Party], Listed()] = Field(default_factory=list)
    """Who says it, when not the patient alone."""

    @model_validator(mode="after")
    def _cleared_at_a_custodian(self) -> Choice:
        if self.says == "clear" and self.custodian is None:
            raise PydanticCustomError("clear", "a no is taken back through the custodian it was said to; name it")
        return self


class Patient(Part):
    """A patient with her custodians and choices, or one of the sentinels as it stands."""

    sentinel: Annotated[str, Words(SENTINELS)] | None = None
    """A sentinel patient with everything that belongs to it; then nothing else is said here."""
    gp: PracticeName | None = None
    """Her practice: enrolled there and, with a yes, registered."""
    pharmacy: Annotated[list[PharmacyName], Listed()] = Field(default_factory=list)
    consents: Literal["all", "none", "objected"] | list[Choice] = Field(default="all", union_mode="left_to_right")
    """all: yes to each custodian · none: never asked · objected: no to all · or the choices one by one."""
    latent: bool = False
    """Registered without a choice, as under CRISIS_OPT_IN."""
    record: Annotated[str, Words(tuple(Profile))] = Profile.TYPICAL.value
    """What her records hold."""
    born: date | None = None
    age: Annotated[int, Field(ge=0, le=120)] | None = None

    @model_validator(mode="after")
    def _a_sentinel_stands_alone(self) -> Patient:
        if self.sentinel and self.model_fields_set - {"sentinel"}:
            raise PydanticCustomError("sentinel", "a sentinel brings everything along; say nothing else about it")
        if self.born and self.age is not None:
            raise PydanticCustomError("age", "say born or age, not both")
        return self


class Fault(Part):
    """Something wrong at a source, by the name the fault catalogue has for it."""

    at: CustodianName
    fault: Fault_
    seconds: Annotated[float, Field(ge=-3600, le=3600)] | None = None
    spread: Annotated[str, Words(tuple(Spread))] | None = None
    """How the seconds of `slow` vary from call to call."""
    place: Annotated[str, Words(tuple(Place))] | None = None
    """Where in the answer another patient hides."""
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    """Of the chance; left out: the scenario's."""
    call: Annotated[int, Field(ge=1)] | None = None
    """Only at the n-th call."""
    leg: str | None = None
    """Only for this resource type, `search`, `$process-message` or `metadata`; left out: for all but the last."""
    patient: PatientName | None = Field(default=None, alias="for")
    """Only for this patient."""


class Given(Part):
    """What holds before the scenario begins."""

    time: Moment = "2026-11-21T20:00"
    seed: int = 0
    regimes: Annotated[list[RegimeName], Listed()] = Field(default_factory=list)
    """In force besides REGULAR, which always is."""
    organisations: dict[Key, Annotated[Organisation, Short("kind")]] = Field(default_factory=dict)
    patients: dict[Key, Annotated[Patient, Short("sentinel")]] = Field(default_factory=dict)
    faults: list[Fault] = Field(default_factory=list)
