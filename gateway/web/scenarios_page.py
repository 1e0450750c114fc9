"""How do the stories go? The library of scenarios by theme; one of them with its last play; playing it.

In a simulation only. A play happens beside the running one and touches nobody's data, so the journal is not told.
One at a time: an operator who comes in between is asked to come back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response

from gateway.rules.people import OperatorSits, Role
from gateway.web.admission import require
from gateway.web.pages import Desk
from gateway.web.played import NotPlayed, Stories, Story, Theme, Told, Why

_Viewer = Annotated[OperatorSits, Depends(require(Role.VIEWER))]
_Operator = Annotated[OperatorSits, Depends(require(Role.OPERATOR))]
_MOST_KEPT = 32
_STATUS = MappingProxyType(
    {
        Why.UNREADABLE: HTTPStatus.UNPROCESSABLE_ENTITY,
        Why.TOO_LONG: HTTPStatus.GATEWAY_TIMEOUT,
        Why.BROKEN: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Play:
    """What came of a story when somebody played it. `at` is wall time."""

    told: Told
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing came of it: the id of the sentence that says so, what stands beside it, and the status."""

    word: str
    status: HTTPStatus
    told: str = ""


class Stage:
    """Where stories are played, one at a time; the latest plays are kept until the desk ends, each story's last."""

    def __init__(self, stories: Stories) -> None:
        self._stories = stories
        self._busy = False
        self._plays: OrderedDict[str, Play] = OrderedDict()

    async def stories(self) -> tuple[Story, ...]:
        return await self._stories.stories()

    async def story(self, name: str) -> Story:
        """Raises HTTPException: there is no such story."""
        found = next((one for one in await self.stories() if one.name == name), None)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return found

    def last(self, name: str) -> Play | None:
        return self._plays.get(name)

    async def play(self, story: Story, *, by: str, at: datetime) -> Failed | None:
        """Play it and keep what came; None when something came."""
        if story.wrong:
            return Failed("scenarios.wrong.unreadable", _STATUS[Why.UNREADABLE], story.wrong)
        if self._busy:
            return Failed("scenarios.wrong.busy", HTTPStatus.CONFLICT)
        self._busy = True
        try:
            self._keep(story.name, Play(await self._stories.play(story.name), by, at))
        except NotPlayed as wrong:
            return Failed(f"scenarios.wrong.{wrong.why}", _STATUS[wrong.why], wrong.told)
        finally:
            self._busy = False
        return None

    def _keep(self, name: str, play: Play) -> None:
        self._plays[name] = play
        self._plays.move_to_end(name)
        while len(self._plays) > _MOST_KEPT:
            self._plays.popitem(last=False)


def router(desk: Desk) -> APIRouter:
    """`/scenarios`, one of them, its diagram; nothing at all where there are no stories."""
    routes = APIRouter()
    if desk.settings.simulation and desk.stories is not None:
        _add(routes, desk, Stage(desk.stories))
    return routes


def _add(routes: APIRouter, desk: Desk, stage: Stage) -> None:
    @routes.get("/scenarios")
    async def library(
        request: Request,
        who: _Viewer,
        q: Annotated[str, Query(max_length=200)] = "",
        theme: Annotated[str, Query(max_length=40)] = "",
    ) -> Response:
        everything = await stage.stories()
        found = [one for one in everything if theme in ("", one.theme) and matches(one, q)]
        return desk.pages.render(
            request,
            "scenarios.html",
            groups=by_theme(found),
            number=len(found),
            themes=[theme for theme, _ in by_theme(everything)],
            q=q,
            theme=theme,
            plays={one.name: stage.last(one.name) for one in found},
            may_act=who.may(Role.OPERATOR),
        )

    @routes.get("/scenarios/{name}")
    async def one(request: Request, who: _Viewer, name: str) -> Response:
        return _page(desk, request, who, await stage.story(name), stage)

    @routes.post("/scenarios/{name}")
    async def play(request: Request, who: _Operator, name: str) -> Response:
        story = await stage.story(name)
        failed = await stage.play(story, by=who.name, at=desk.means.live.wall())
        if failed:
            return _page(desk, request, who, story, stage, failed)
        return RedirectResponse(f"/scenarios/{name}", HTTPStatus.SEE_OTHER)

    @routes.get("/scenarios/{name}/diagram.svg")
    async def diagram(who: _Viewer, name: str) -> Response:
        last = stage.last(name)
        if last is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        # a picture in a page, or a file to keep; never a document of this origin
        kept = {"content-disposition": f'attachment; filename="{name}.svg"'}
        return Response(last.told.diagram, media_type="image/svg+xml", headers=kept)


def _page(
    desk: Desk, request: Request, who: OperatorSits, story: Story, stage: Stage, failed: Failed | None = None
) -> Response:
    return desk.pages.render(
        request,
        "scenario.html",
        status=HTTPStatus.OK if failed is None else failed.status,
        story=story,
        play=stage.last(story.name),
        failed=failed,
        may_act=who.may(Role.OPERATOR),
    )


def matches(story: Story, wanted: str) -> bool:
    """Every word of it stands somewhere in the story's file or name."""
    told = f"{story.name} {story.text}".casefold()
    return all(word in told for word in wanted.casefold().split())


def by_theme(stories: Iterable[Story]) -> list[tuple[Theme, list[Story]]]:
    """The themes that have a story, in their order."""
    listed = list(stories)
    groups = [(theme, [one for one in listed if one.theme is theme]) for theme in Theme]
    return [(theme, found) for theme, found in groups if found]
