"""What does the operator see first? Whether care is being served at this moment, and what is wrong if it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response
from markupsafe import Markup

from gateway.flows.tallying import Slot, SourceHealth, Standing, Totals
from gateway.flows.viewing import Lookout, Now
from gateway.rules.exchange import Kind
from gateway.rules.finding import Outcome
from gateway.rules.identifiers import Ura
from gateway.rules.message import State
from gateway.rules.network import Network
from gateway.rules.people import OperatorSits, Role
from gateway.web import console_call, console_log
from gateway.web.admission import require
from gateway.web.language import Words
from gateway.web.pages import Desk, visit_of
from gateway.web.plots import Mark, Series, bars, lines

_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")
AGE_WORDS = ("minute", "five-minutes", "hour", "day", "older")
"""The words for the ages of `flows/viewing.py`, the youngest first."""
_UNITS = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_SIGN = {Standing.WELL: "good", Standing.FALTERING: "warn", Standing.BROKEN: "bad"}


@dataclass(frozen=True, slots=True)
class KindRow:
    """Calls of the last hour by one kind of requester; None: nobody on the network."""

    kind: Kind | None
    calls: tuple[int, ...]

    @property
    def number(self) -> int:
        return sum(self.calls)


def router(desk: Desk) -> APIRouter:
    """`/`, and the pages that look through the same look-out: `/log`, `/log/events`, `/calls/{initial}`."""
    lookout = Lookout(desk.means)

    @asynccontextmanager
    async def following(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await lookout.end()

    routes = APIRouter(lifespan=following)

    @routes.get("/")
    async def now(request: Request, who: Annotated[OperatorSits, Depends(require(Role.VIEWER))]) -> Response:
        wrong = {name: why for name, check in desk.checks.items() if (why := await check()) is not None}
        found, network = await lookout.now(), await desk.means.live.network()
        return desk.pages.render(
            request, "console_now.html", wrong=wrong, **shown(visit_of(request).words, desk, found, network)
        )

    console_log.add(routes, desk, lookout)
    console_call.add(routes, desk)
    return routes


def shown(words: Words, desk: Desk, now: Now, network: Network) -> dict[str, Any]:
    """What the page's template needs beside the checks."""
    totals = now.totals
    return {
        "now": now,
        "outcomes": tuple(Outcome),
        "kinds": kind_rows(totals),
        "served": served(totals),
        "failed": totals.of(Outcome.FAILED),
        "partial": totals.of(Outcome.PARTIAL),
        "emergency_share": share(totals.emergencies, totals.asked),
        "sources": now.sources[: desk.lengths.sources],
        "others": max(0, len(now.sources) - desk.lengths.sources),
        "troubled": sum(one.standing is not Standing.WELL for one in now.sources),
        "sign": _SIGN,
        "name_of": lambda source: name_of(network, source),
        "ages": list(zip(AGE_WORDS, now.ages, strict=True)),
        "states": [(state.value, now.mail.of.get(state, 0)) for state in State],
        "plots": plots(words, now),
        "span": lambda seconds: span(words, seconds),
        "quiet": quiet(now),
        "version": desk.settings.version,
        "desk_started": desk.started,
    }


def served(totals: Totals) -> float | None:
    """Of the calls that were allowed, how many per cent got their answer, also an empty or a partial one."""
    allowed = totals.number - totals.of(Outcome.REFUSED)
    return share(allowed - totals.of(Outcome.FAILED), allowed)


def span(words: Words, seconds: float) -> str:
    """A stretch of time in its largest whole unit."""
    unit = next((unit for unit in _UNITS if seconds >= _UNITS[unit]), "second")
    return words(f"console.span.{unit}", number=int(seconds // _UNITS[unit]))


def kind_rows(totals: Totals) -> list[KindRow]:
    """A row for every kind on the network, and one for who is not, if there were any."""
    kinds: list[Kind | None] = [*Kind]
    if any(kind is None for kind, _ in totals.calls):
        kinds.append(None)
    return [KindRow(kind, tuple(totals.calls.get((kind, one), 0) for one in Outcome)) for kind in kinds]


def share(part: int, whole: int) -> float | None:
    """In per cent; None of nothing."""
    return None if whole == 0 else 100 * part / whole


def quiet(now: Now) -> bool:
    """Whether there was no call at all in the last five minutes."""
    return not any(sum(slot.calls.values()) for slot in now.hour[-5:])


def name_of(network: Network, source: SourceHealth) -> str:
    """The source's organisation as the register calls it."""
    known = network.organisations.get(Ura(source.custodian))
    return known.name if known else ""


def plots(words: Words, now: Now) -> dict[str, Markup]:
    """The pictures by name: `hour`, `day` and `pace`."""
    hour_marks, day_marks = _marks(now.hour, 10), _marks(now.day, 24)
    return {
        "hour": bars(words("console.plot.hour"), _outcomes(now.hour), hour_marks),
        "day": bars(words("console.plot.day"), _outcomes(now.day), day_marks),
        "pace": lines(
            words("console.plot.pace"),
            [Series("p50", [slot.p50 for slot in now.hour]), Series("p95", [slot.p95 for slot in now.hour])],
            hour_marks,
        ),
    }


def _outcomes(slots: Sequence[Slot]) -> list[Series]:
    return [Series(f"o-{one}", [slot.calls.get(one, 0) for slot in slots]) for one in Outcome]


def _marks(slots: Sequence[Slot], every: int) -> list[Mark]:
    """The time of day under every so many slots, counted back from the newest."""
    last = len(slots) - 1
    places = range(last, -1, -every)
    return [Mark(place, f"{slots[place].start.astimezone(_DUTCH_TIME):%H:%M}") for place in places]
