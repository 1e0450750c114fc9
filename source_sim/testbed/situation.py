"""In what situation is a question asked? Words of the domain, turned into the claims of a token.

`role="01.015"`, `contact_ended="-80h"`, `emergency=True`: what is not said stays as it is typical of the asker. Knows
the claims of interface.md section 3; judges nothing, so that a test may say what makes no sense.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from source_sim import requesters
from source_sim.requesters import Claims, Persona
from source_sim.testbed.transcript import DUTCH_TIME

Moment = str | datetime | timedelta
"""A time: a datetime (naive: Dutch time), its ISO text, or relative to now: `-5m`, `+2h`, `-3d`, or a timedelta."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_RELATIVE: Final = re.compile(r"([+-]?)(\d+(?:\.\d+)?)\s*([smhd])")

PLAIN: Final[Mapping[str, str]] = {
    "role": "role",
    "cover": "cover",
    "purpose": "purpose",
    "capacity": "capacity",
    "department": "department",
    "sub": "sub",
    "name": "name",
    "organisation": "organisation",
}
"""Words that are a claim by themselves; None leaves the claim out."""

WORDS: Final = frozenset(PLAIN) | {
    "contact",
    "contact_started",
    "contact_ended",
    "contact_id",
    "verbal",
    "verbal_at",
    "verbal_by",
    "verbal_id",
    "mandate",
    "mandate_until",
    "emergency",
    "token_patient",
    "wait",
    "claims",
}
"""Every word a situation may have."""


def moment(said: Moment, now: datetime) -> datetime:
    """The time that is meant. Raises ValueError for a text that is none."""
    if isinstance(said, timedelta):
        return now + said
    if isinstance(said, datetime):
        return said if said.tzinfo else said.replace(tzinfo=DUTCH_TIME)
    relative = _RELATIVE.fullmatch(said.strip())
    if relative is None:
        return moment(datetime.fromisoformat(said), now)
    sign, amount, unit = relative.groups()
    return now + timedelta(**{_UNITS[unit]: float(amount) * (-1 if sign == "-" else 1)})


def claims_of(persona: Persona, now: datetime, new_id: Callable[[], str], said: Mapping[str, Any]) -> Claims:
    """The claims of this persona in this situation. Raises TypeError for a word that is none."""
    require_words(said)
    claims = {**persona(now), "contact": _contact(persona, now, new_id, said)}
    claims |= {claim: said[word] for word, claim in PLAIN.items() if word in said}
    if "emergency" in said:
        claims["purpose"] = "ETREAT" if said["emergency"] else "TREAT"
    if said.get("mandate"):
        until = said.get("mandate_until")
        claims = requesters.under_mandate(claims, said["mandate"], until=moment(until, now) if until else None)
    if said.get("verbal"):
        claims["verbal_consent"] = _verbal(claims, now, new_id, said)
    if "token_patient" in said:
        claims["patient"] = getattr(said["token_patient"], "bsn", said["token_patient"])
    return {**claims, **said.get("claims", {})}


def require_words(said: Mapping[str, Any]) -> None:
    for word in said:
        if word not in WORDS:
            near = difflib.get_close_matches(word, WORDS, 3)
            meant = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(sorted(WORDS))}"
            raise TypeError(f"{word!r} is no word of a situation{meant}")


def _contact(persona: Persona, now: datetime, new_id: Callable[[], str], said: Mapping[str, Any]) -> Claims | None:
    kind = said.get("contact", persona.contact_kind)
    if kind is None:
        return None
    ended = said.get("contact_ended")
    end = moment(ended, now) if ended is not None else None
    usual = min(now, end or now) - timedelta(minutes=5)
    start = moment(said["contact_started"], now) if "contact_started" in said else usual
    return requesters.contact(kind, start, end=end, id=said.get("contact_id") or new_id())


def _verbal(claims: Claims, now: datetime, new_id: Callable[[], str], said: Mapping[str, Any]) -> Claims:
    return {
        "id": said.get("verbal_id") or new_id(),
        "given_by": said["verbal"],
        "at": moment(said.get("verbal_at", now), now).isoformat(),
        "recorded_by": said.get("verbal_by", claims.get("name")),
    }
