"""How does a source fail? A catalogue of names, and the switchboard on which they are switched while the source runs.

A fault spoils a finished reply (spoiling.py), the sending of it (sending.py), the system's judgement (systems.py), or
its whole port, which whoever listens obeys. It knows HTTP. It may not know what a reply says.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import log
from typing import Any, Final

Header = tuple[bytes, bytes]

FHIR_JSON: Final = b"application/fhir+json; charset=utf-8"
OUTCOMES: Final = "https://switchpoint.example/fhir/CodeSystem/outcome"
SOMEBODY_ELSE: Final = "999949998"
"""The BSN of nobody: what wrong-patient puts in the place of the patient's."""
FOREVER: Final = 3600.0
"""Seconds: no fault lasts longer."""
SEARCH: Final = "search"
"""The leg of every search, whatever type is asked for."""
METADATA: Final = "metadata"
"""The leg of the ping: it fails only when it is named."""


class FaultName(StrEnum):
    """The catalogue: a name, and a sentence for people. `seconds` counts where the sentence says so."""

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> FaultName:
        made = str.__new__(cls, value)
        made._value_, made.sentence = value, sentence
        return made

    SLOW = "slow", "Answers after `seconds`, always the same or by a spread."
    DOWN = "down", "Connections are refused."
    BLACKHOLE = "blackhole", "Takes the question and never sends a byte; hangs up after `seconds` (an hour)."
    STALL = "stall", "Headers, then nothing for `seconds` (an hour)."
    DRIP = "drip", "One byte every `seconds` (0.05)."
    RESET = "reset", "The connection is reset in the middle of the body."
    LOST_REPLY = "lost-reply", "The work is done, a message is taken, and the connection is cut before the reply."
    REFUSING = "refusing", "403 without a reason the exchange knows."
    REJECTING = "rejecting", "400: whatever is sent is called unreadable."
    BUSY = "busy", "429, with `Retry-After` when `seconds` are given."
    ERROR = "error", "503, with `Retry-After` when `seconds` are given."
    REDIRECT = "redirect", "307 to another path of the same source: its log tells who follows."
    CLOCK_SKEW = "clock-skew", "Judges tokens by a clock `seconds` (300) ahead, behind when negative, and refuses them."
    GARBAGE = "garbage", "200 and a page of HTML."
    TRUNCATED = "truncated", "The JSON stops half way; the HTTP message is whole."
    DUPLICATE_KEYS = "duplicate-keys", "JSON in which a name is repeated."
    HUGE = "huge", "A good answer blown up to 24 MB with white space."
    DEEP = "deep", "JSON nested a hundred thousand deep."
    GZIP_BOMB = "gzip-bomb", "64 KB that unpack to 64 MB of good JSON."
    UNKNOWN_TYPE = "unknown-type", "One more match, of a type FHIR does not have."
    WRONG_TYPE = "wrong-type", "One more match, of a FHIR type nobody asked for."
    WRONG_PATIENT = "wrong-patient", "Another person's BSN, everywhere or at one `place`."
    PAGING = "paging", "The answer has a link to a next page."
    EMPTY = "empty", "A searchset with nothing in it."
    STALE = "stale", "A copy of a month ago: dated then, without what was received since."
    WITHHELD = "withheld", "403: the source keeps it back for reasons of good care."
    NO_CONSENT = "no-consent", "403: the source knows of no consent."
    EXPIRED_CERTIFICATE = "expired-certificate", "Serves with a certificate that expired yesterday."
    REVOKED_CERTIFICATE = "revoked-certificate", "Serves with a certificate on the authority's revocation list."
    WRONG_CERTIFICATE = "wrong-certificate", "Serves with a good certificate of another organisation."
    FOREIGN_CERTIFICATE = "foreign-certificate", "Serves with a certificate of an authority nobody here trusts."


CERTIFICATES: Final = frozenset(name for name in FaultName if name.endswith("-certificate"))
WHOLE: Final = CERTIFICATES | {FaultName.DOWN}
"""What holds for a port, and so for everything and always."""


class Spread(StrEnum):
    """How the seconds of a slow source vary from call to call."""

    FIXED = "fixed"
    UNIFORM = "uniform"
    """Anything from nothing to twice the seconds."""
    NORMAL = "normal"
    """Around the seconds, a quarter of them as standard deviation, never below nothing."""
    LONG_TAIL = "long-tail"
    """Half below the seconds, one in forty above seven times as long (log-normal, sigma 1)."""


class Place(StrEnum):
    """Where in an answer another patient hides. A place the answer does not have counts as `subject`."""

    EVERYWHERE = "everywhere"
    SUBJECT = "subject"
    """The first clinical resource names somebody else."""
    PATIENT = "patient"
    """The Patient in the Bundle is somebody else; what refers to it stays as it was."""
    CONTAINED = "contained"
    """The first clinical resource refers to a contained Patient who is somebody else."""
    COMPOSITION = "composition"
    """The summary's Composition is about somebody else; its contents are not."""
    EXTENSION = "extension"
    """An extension deep in the first clinical resource carries another BSN."""
    INCLUDED = "included"
    """One included resource more, about somebody else."""
    SECOND = "second"
    """One match more, somebody else's, behind a sound one."""


class UnknownFault(ValueError):
    """No such fault, or not one that can be had in this way."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One piece of the catalogue; 0 seconds is the piece's own default."""

    name: FaultName
    seconds: float = 0.0
    spread: Spread = Spread.FIXED
    place: Place = Place.EVERYWHERE


def fault(name: str, seconds: float = 0.0, *, spread: str = "", place: str = "") -> Fault:
    """Raises UnknownFault for a word that is not in the catalogue, for an endless time or a negative one where there is
    no clock to be behind, and for a spread or place with a fault that has none."""
    if name not in set(FaultName):
        raise UnknownFault(f"not a fault: {name!r}; there are {', '.join(FaultName)}")
    least = -FOREVER if name == FaultName.CLOCK_SKEW else 0
    if not least <= seconds <= FOREVER:
        raise UnknownFault(f"{name} takes {least:g} to {FOREVER:g} seconds")
    return Fault(FaultName(name), seconds, _spread(name, spread), _place(name, place))


def _spread(name: str, said: str) -> Spread:
    if said and (name != FaultName.SLOW or said not in set(Spread)):
        raise UnknownFault(f"only slow has a spread: {', '.join(Spread)}")
    return Spread(said or Spread.FIXED)


def _place(name: str, said: str) -> Place:
    if said and (name != FaultName.WRONG_PATIENT or said not in set(Place)):
        raise UnknownFault(f"only wrong-patient has a place: {', '.join(Place)}")
    return Place(said or Place.EVERYWHERE)


def catalogue() -> list[dict[str, Any]]:
    """The faults for people and programs: name, sentence, and whether it holds for a whole source only."""
    return [{"name": name.value, "sentence": name.sentence, "whole": name in WHOLE} for name in FaultName]


# --- switching -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Switch:
    """One fault switched on, and its own chance: the same seed meets the same calls."""

    fault: Fault
    probability: float
    seed: int
    call: int | None
    label: str
    chance: random.Random = field(repr=False)
    calls: int = 0
    met: int = 0

    def meet(self) -> Fault | None:
        """The fault this call meets, with the seconds drawn for it."""
        self.calls += 1
        if self.call not in (None, self.calls):
            return None
        if self.probability < 1 and self.chance.random() >= self.probability:
            return None
        self.met += 1
        return replace(self.fault, seconds=_drawn(self.fault, self.chance))


def _drawn(fault: Fault, chance: random.Random) -> float:
    middle = fault.seconds
    match fault.spread:
        case Spread.UNIFORM:
            return chance.uniform(0, 2 * middle)
        case Spread.NORMAL:
            return max(0.0, chance.gauss(middle, middle / 4))
        case Spread.LONG_TAIL if middle:
            return min(chance.lognormvariate(log(middle), 1), FOREVER)
    return middle


_Key = tuple[str | None, str | None]


class Switchboard:
    """The faults of one source, one for each patient and leg: the narrower goes before the wider, a patient's before a
    leg's, and one that does not meet this call lets the next have it.

    A leg is a resource type, `$process-message`, `metadata`, `search` for all searches, or None for all but metadata.
    `salt` keeps the chances of two sources with the same seed apart.
    """

    def __init__(self, salt: str = "") -> None:
        self.salt = salt
        self._set: dict[_Key, _Switch] = {}

    @property
    def whole(self) -> FaultName | None:
        """What holds for the whole port."""
        general = self._set.get((None, None))
        return general.fault.name if general is not None and general.fault.name in WHOLE else None

    @property
    def down(self) -> bool:
        return self.whole is FaultName.DOWN

    def switch(
        self,
        fault: Fault,
        leg: str | None = None,
        *,
        patient: str | None = None,
        probability: float = 1.0,
        seed: int = 0,
        call: int | None = None,
        label: str = "",
    ) -> None:
        """Replaces what that leg and patient (BSN) had. `probability` counts call by call, by a chance of its own from
        `seed`; `call`: only the n-th from now on, counted from 1. `label` stands for the patient in listings.

        Raises UnknownFault: a port cannot fail for one leg, patient or call, nor a clock be wrong for one patient.
        """
        narrowed = leg is not None or patient is not None or call is not None or probability != 1
        if fault.name in WHOLE and narrowed:
            raise UnknownFault(f"{fault.name} holds for a whole source, always")
        if fault.name is FaultName.CLOCK_SKEW and patient is not None:
            raise UnknownFault("a clock is wrong before it is known who is asked about")
        if not 0 <= probability <= 1 or (call is not None and call < 1):
            raise UnknownFault("a probability lies between 0 and 1, and calls are counted from 1")
        chance = random.Random(f"{seed}/{self.salt}/{leg}")
        self._set[patient, leg] = _Switch(fault, probability, seed, call, label, chance)

    def clear(self, leg: str | None = None, *, patient: str | None = None) -> None:
        self._set.pop((patient, leg), None)

    def clear_all(self) -> None:
        self._set.clear()

    def skew(self, leg: str) -> Fault | None:
        """The wrong clock this call is judged by, met before anybody is let in."""
        return self._met(leg, None, before=True)

    def active(self, leg: str, bsn: str | None = None) -> Fault | None:
        """What a call that was let in meets. Each asking is a call: it counts, and draws."""
        return self._met(leg, bsn, before=False)

    def _met(self, leg: str, bsn: str | None, *, before: bool) -> Fault | None:
        for key in _keys(leg, bsn):
            switch = self._set.get(key)
            if switch is None or switch.fault.name in WHOLE or (switch.fault.name is FaultName.CLOCK_SKEW) != before:
                continue
            if (met := switch.meet()) is not None:
                return met
        return None

    def listing(self) -> list[dict[str, Any]]:
        return [_listed(switch, key) for key, switch in self._set.items()]


def _keys(leg: str, bsn: str | None) -> list[_Key]:
    """Under which keys a fault for this call may stand, the narrowest first."""
    legs: tuple[str | None, ...] = (leg, SEARCH, None) if leg[:1].isupper() else (leg, None)
    legs = (METADATA,) if leg == METADATA else legs
    return [(patient, one) for patient in ((bsn, None) if bsn else (None,)) for one in legs]


def _listed(switch: _Switch, key: _Key) -> dict[str, Any]:
    patient, leg = key
    told = {
        "leg": leg,
        "type": leg,
        "name": switch.fault.name.value,
        "seconds": switch.fault.seconds,
        "spread": switch.fault.spread.value,
        "place": switch.fault.place.value if switch.fault.name is FaultName.WRONG_PATIENT else None,
        "patient": None if patient is None else switch.label or "somebody",
        "probability": switch.probability,
        "seed": switch.seed,
        "call": switch.call,
    }
    return {**told, "calls": switch.calls, "met": switch.met}


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished HTTP answer. `resources` counts the matches delivered, `reason` is the outcome code of a refusal."""

    status: int
    body: bytes = field(repr=False)
    resources: int = 0
    reason: str = ""
    media: bytes = FHIR_JSON
    headers: tuple[Header, ...] = ()


def outcome(status: int, code: str, text: str, issue: str = "processing") -> Reply:
    """An OperationOutcome with a machine code of the exchange; `issue` is the FHIR issue type."""
    details = {"coding": [{"system": OUTCOMES, "code": code}], "text": text}
    body = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": issue, "details": details}]}
    return Reply(status, json.dumps(body).encode(), reason=code)
