"""How long do askers wait when nobody waits for the one before? Arrivals played open-loop, and what came of them.

Every question starts at its planned moment whatever happened to the others, and its time counts from that moment, not
from when it was sent: a stalled exchange (or a stalled generator) shows as long waits, never as fewer questions. It
knows moments and answers. It may not know profiles, nor who is to be asked about.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from source_sim.profiles import Arrival
from source_sim.requesters import OURS, Reply

_SOURCE: Final = f"{OURS}StructureDefinition/source"
_COMPLETENESS: Final = f"{OURS}CodeSystem/completeness"


class Came(StrEnum):
    """What came of a question."""

    PERMITTED = "permitted"
    """Complete, with data."""
    NEUTRAL = "neutral"
    """Complete, nothing found: no entry, no consent or an objection; the asker cannot tell, nor can we."""
    REFUSED = "refused"
    """A bar, told plainly (401, 403)."""
    PARTIAL = "partial"
    """Not every source, or not every search, delivered."""
    FAILED = "failed"
    """No answer: turned away, no token, no connection, all sources silent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer summed up. `why` is the code of a refusal or failure; `sources` what became of each, by URA."""

    came: Came
    why: str = ""
    sources: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One question played: seconds it waited from its planned moment on, and seconds it was begun late."""

    arrival: Arrival
    waited: float
    late: float
    heard: Heard


Put = Callable[[Arrival], Awaitable[Heard]]
"""Ask one question; whatever goes wrong is heard, not raised."""


async def play(arrivals: Iterable[Arrival], put: Put, told: Callable[[], None] = lambda: None) -> list[Call]:
    """Put every question at its moment, and wait for the last answer; `told` is called for each that ended."""
    loop = asyncio.get_running_loop()
    began, calls = loop.time(), list[Call]()

    async def one(arrival: Arrival) -> None:
        planned = began + arrival.at
        late = loop.time() - planned
        heard = await put(arrival)
        calls.append(Call(arrival, loop.time() - planned, late, heard))
        told()

    async with asyncio.TaskGroup() as under_way:
        for arrival in arrivals:
            await asyncio.sleep(began + arrival.at - loop.time())
            under_way.create_task(one(arrival))
    return calls


# --- what was heard --------------------------------------------------------------------------------------------------


class _Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


class _Meta(msgspec.Struct):
    tag: list[_Coding] = []


class _Named(msgspec.Struct):
    url: str = ""
    valueString: str = ""
    extension: list[_Named] = []


class _Search(msgspec.Struct):
    mode: str = ""


class _Details(msgspec.Struct):
    coding: list[_Coding] = []


class _Issue(msgspec.Struct):
    details: _Details = msgspec.field(default_factory=_Details)


class _Resource(msgspec.Struct):
    resourceType: str = ""
    issue: list[_Issue] = []


class _Entry(msgspec.Struct):
    extension: list[_Named] = []
    search: _Search = msgspec.field(default_factory=_Search)
    resource: _Resource = msgspec.field(default_factory=_Resource)


class _Bundle(msgspec.Struct):
    meta: _Meta = msgspec.field(default_factory=_Meta)
    entry: list[_Entry] = []
    issue: list[_Issue] = []


def heard(reply: Reply) -> Heard:
    """What a reply (with its other searches) comes down to. Reads only what it needs: the generator has to keep up."""
    read = [_read(one) for one in (reply, *reply.others)]
    good = [bundle for status, bundle in read if status == 200]
    bad = [(status, bundle) for status, bundle in read if status != 200]
    sources = tuple(sorted({each for bundle in good for each in _sources(bundle)}))
    if not good:
        return Heard(Came.REFUSED if bad[0][0] in (401, 403) else Came.FAILED, _why(*bad[0]), sources)
    if bad or any(tag.code != "complete" for bundle in good for tag in _said(bundle)):
        return Heard(Came.PARTIAL, _why(*bad[0]) if bad else "", sources)
    found = any(entry.search.mode == "match" for bundle in good for entry in bundle.entry)
    return Heard(Came.PERMITTED if found else Came.NEUTRAL, "", sources)


def _read(reply: Reply) -> tuple[int, _Bundle]:
    """Status and body; an answer that is no FHIR JSON counts as none."""
    try:
        return reply.status, msgspec.json.decode(reply.body, type=_Bundle)
    except msgspec.DecodeError:
        return 0 if reply.status == 200 else reply.status, _Bundle()


def _said(bundle: _Bundle) -> list[_Coding]:
    return [tag for tag in bundle.meta.tag if tag.system == _COMPLETENESS]


def _why(status: int, bundle: _Bundle) -> str:
    code = _code(bundle.issue)
    return f"{status} {code}".strip() if status else "no FHIR"


def _code(issues: Sequence[_Issue]) -> str:
    return next((coding.code for issue in issues for coding in issue.details.coding), "")


def _sources(bundle: _Bundle) -> Iterable[tuple[str, str]]:
    """Each source of an answer with what it did: `delivered`, or the code of the outcome that stands in its place."""
    for entry in bundle.entry:
        parts = [part for one in entry.extension if one.url == _SOURCE for part in one.extension]
        ura = next((part.valueString for part in parts if part.url == "ura"), "")
        if ura and entry.search.mode == "match":
            yield ura, "delivered"
        elif ura and entry.search.mode == "outcome":
            yield ura, _code(entry.resource.issue)


# --- the report ------------------------------------------------------------------------------------------------------

LATE: Final = 0.05
"""Seconds: a generator later than this at its 99th percentile could not keep up, and its waits are its own, too."""
BUSY: Final = 0.9
"""Of one core: a generator that used more could not keep up either."""


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that `part` of the values do not exceed (nearest rank); 0 for none."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0


def _times(seconds: Iterable[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(seconds)
    marks = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(1000 * percentile(ordered, part), 1) for name, part in marks.items()}


def _row(calls: Sequence[Call]) -> dict[str, Any]:
    came = Counter(call.heard.came for call in calls)
    why = Counter(call.heard.why for call in calls if call.heard.why)
    told = {"count": len(calls), **{kind.value: came[kind] for kind in Came}}
    return {**told, **_times(call.waited for call in calls), "why": dict(why.most_common())}


def _by_source(calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    uras = sorted({ura for call in calls for ura, _ in call.heard.sources})
    return {ura: _source_row(ura, calls) for ura in uras}


def _source_row(ura: str, calls: Sequence[Call]) -> dict[str, Any]:
    about = [(call, did) for call in calls for source, did in call.heard.sources if source == ura]
    did = Counter(word for _, word in about)
    return {"count": len(about), "did": dict(did.most_common()), **_times(call.waited for call, _ in about)}


def report(calls: Sequence[Call], *, busy: float) -> dict[str, Any]:
    """Per role and per source: how many, what came, and milliseconds from the planned moment (p50, p95, p99, max).

    A source's times are those of the answers it had a part in. `busy` is the share of a core the generator used.
    """
    late = sorted(call.late for call in calls)
    return {
        "all": _row(calls),
        "roles": {role: _row([c for c in calls if c.arrival.role == role]) for role in _roles(calls)},
        "sources": _by_source(calls),
        "generator": {
            "late": _times(late),
            "busy": round(busy, 2),
            "kept_up": percentile(late, 0.99) <= LATE and busy <= BUSY,
        },
    }


def _roles(calls: Sequence[Call]) -> list[str]:
    return sorted({call.arrival.role for call in calls})
