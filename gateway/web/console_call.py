"""How did one call go? The chain of one initialRequestID as a time line: decided, asked, released, and what followed.

Never content, and of the patient a pseudonym only. Whoever looks is written down first: the patient sees that, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response
from markupsafe import Markup

from gateway.flows import retelling, sitting
from gateway.flows.retelling import Chain, Step
from gateway.flows.tallying import ANSWERED
from gateway.rules.exchange import Failing
from gateway.rules.journal import Event, Json
from gateway.rules.people import OperatorSits, Role
from gateway.web.admission import require
from gateway.web.console_repeat import repeated
from gateway.web.language import Words
from gateway.web.legible import legible
from gateway.web.pages import Desk, visit_of
from gateway.web.plots import spans

_CHAIN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TOLD_APART = timedelta(seconds=1)
"""From here on a line's two times are told apart: they are read one after the other, a few microseconds apart."""
_ENDED = Event.QUERY_ANSWERED, Event.QUERY_FAILED
_LISTS = frozenset({"decisions", "legs"})
"""What has a table of its own."""
_KIND_OF = MappingProxyType({
    "actor_role": "uzi", "responsible_role": "uzi", "purpose": "purpose", "category": "category", "basis": "basis",
    "contact_kind": "contact", "capacity": "capacity", "view": "view", "flags": "flag", "regimes": "regime",
    "completeness": "completeness", "message_event": "message",
})  # fmt: skip
"""Which words a field's codes have."""
_DELIVERING = frozenset({ANSWERED, Failing.TRUNCATED})
_QUIET = frozenset({Failing.NO_CONSENT, Failing.WITHHELD, Failing.TRUNCATED})


@dataclass(frozen=True, slots=True)
class Leg:
    """One source asked: `released` unless the re-check at release dropped it."""

    custodian: str
    system: str
    outcome: str
    ms: float
    resources: int
    detail: str
    request: str
    released: bool

    @property
    def delivered(self) -> bool:
        """Whether there was anything to release."""
        return self.outcome in _DELIVERING


def add(routes: APIRouter, desk: Desk) -> None:
    """`/calls/{initial}`."""

    @routes.get("/calls/{initial}")
    async def call(
        request: Request, initial: str, who: Annotated[OperatorSits, Depends(require(Role.VIEWER))]
    ) -> Response:
        chain = (
            await retelling.chain(desk.means, initial, most=desk.lengths.steps) if _CHAIN.fullmatch(initial) else None
        )
        if chain is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        for patient in chain.patients:
            await sitting.note_look(desk.means, who, patient, looked_at="/calls/{initial}", shown=len(chain.steps))
        network = await desk.means.live.network()
        ended = chain.of(*_ENDED)
        words = visit_of(request).words
        return desk.pages.render(
            request,
            "console_call.html",
            chain=chain,
            names={ura.digits: one.name for ura, one in network.organisations.items()},
            ended=[(step, legs_of(step), timeline(words, step)) for step in ended],
            disclosed=chain.of(Event.DISCLOSED),
            asked=asked(chain),
            which=which,
            facts_of=lambda step: facts_of(words, step),
            decisions_of=decisions_of,
            inspected=desk.inspected is not None,
            repeat=repeated(chain, desk.settings.exchange_base),
            shifted=any(abs(step.at - step.wall) >= _TOLD_APART for step in chain.steps),
        )


def asked(chain: Chain) -> Mapping[str, Json]:
    """What the first line tells of who asked, as which professional; of the organisation alone where none acted."""
    seen = [step.seen for step in chain.steps]
    of_somebody = (one for name in ("actor_role", "organisation") for one in seen if one.get(name))
    return next(of_somebody, {})


def which(step: Step) -> str:
    """The FHIR type that was searched: a call can take several searches."""
    return str(step.seen.get("interaction") or "").partition("search-")[2]


def facts_of(words: Words, step: Step) -> list[tuple[str, str]]:
    """What else the line says, as name and text, in the order of its catalogue."""
    return [
        (name, _said(words, value, _KIND_OF.get(name, "")))
        for name, value in step.seen.items()
        if name not in _LISTS and value not in (None, "", [])
    ]


def _said(words: Words, value: Json, kind: str) -> str:
    """A code with its word before it."""
    if isinstance(value, list):
        return ", ".join(_said(words, one, kind) for one in value)
    if isinstance(value, bool):
        return {True: "✓", False: "–"}[value]
    word = words.plain(value, kind)
    return word if word == str(value) else f"{word} ({value})"


def decisions_of(step: Step) -> list[dict[str, Json]]:
    """The decisions about the single pointers, if the line has any."""
    found = step.seen.get("decisions")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def legs_of(step: Step) -> list[Leg]:
    """The sources asked, in the order of the line."""
    found, dropped = step.seen.get("legs"), step.seen.get("dropped")
    gone = dropped if isinstance(dropped, list) else []
    legs = found if isinstance(found, list) else []
    return [_leg(one, released=one.get("custodian") not in gone) for one in legs if isinstance(one, dict)]


def _leg(one: Mapping[str, Json], *, released: bool) -> Leg:
    ms, resources = one.get("ms"), one.get("resources")
    return Leg(
        custodian=str(one.get("custodian", "")),
        system=str(one.get("system", "")),
        outcome=str(one.get("outcome", "")),
        ms=float(ms) if isinstance(ms, int | float) else 0.0,
        resources=resources if isinstance(resources, int) else 0,
        detail=str(one.get("detail") or ""),
        request=str(one.get("request", "")),
        released=released,
    )


def timeline(words: Words, step: Step) -> Markup | None:
    """The sources asked at once, and how long the whole took; None when nobody was asked."""
    legs, ms = legs_of(step), step.seen.get("ms")
    if not legs:
        return None
    whole = float(ms) if isinstance(ms, int | float) else 0.0
    rows = [(legible(f"{leg.custodian} · {leg.system}"), _shade(leg), 0.0, leg.ms) for leg in legs]
    rows.append((words("console.call.whole"), "whole", 0.0, whole))
    return spans(words("console.call.timeline"), rows, max(end for *_, end in rows), "ms")


def _shade(leg: Leg) -> str:
    if not leg.released:
        return "dropped"
    if leg.outcome == ANSWERED:
        return "answered"
    return "quiet" if leg.outcome in _QUIET else "failed"
