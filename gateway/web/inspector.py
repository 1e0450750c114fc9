"""What exactly passed in one call? Every message in and out as the inspector heard it, why, and the call as a scenario.

In a simulation only, and never a number: content is shown of the simulation's own persons alone. Whoever looks is
written down first: the patient sees that, too.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response

from gateway.flows import retelling, sitting
from gateway.flows.retelling import Chain, Retold
from gateway.inspecting.kept import MOST
from gateway.rules.explain import Trial
from gateway.rules.people import OperatorSits, Role
from gateway.web.admission import require
from gateway.web.inspector_scenario import scenario
from gateway.web.pages import Desk, Inspected

_CHAIN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PATH = "/calls/{initial}/messages"


def router(desk: Desk) -> APIRouter:
    """`/calls/{initial}/messages`; nothing at all where nothing is inspected."""
    routes = APIRouter()
    if desk.settings.simulation and desk.inspected is not None:
        _add(routes, desk, desk.inspected)
    return routes


def _add(routes: APIRouter, desk: Desk, inspected: Inspected) -> None:
    sentinels = {desk.means.keys.patient(one.bsn): one.key for one in desk.persons if one.sentinel}

    @routes.get(_PATH)
    async def messages(
        request: Request, initial: str, who: Annotated[OperatorSits, Depends(require(Role.VIEWER))]
    ) -> Response:
        if not _CHAIN.fullmatch(initial):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        chain, passed = await retelling.chain(desk.means, initial), await inspected(initial)
        if chain is None and not passed:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        for patient in chain.patients if chain else ():
            await sitting.note_look(desk.means, who, patient, looked_at=_PATH, shown=len(passed))
        network = await desk.means.live.network()
        return desk.pages.render(
            request,
            "inspector.html",
            initial=initial,
            journaled=chain is not None,
            passed=passed,
            most=MOST,
            reasons=reasons(chain) if chain else [],
            names={ura.digits: one.name for ura, one in network.organisations.items()},
            scenario=scenario(chain, sentinels) if chain else None,
        )


def reasons(chain: Chain) -> list[tuple[Retold, list[Trial]]]:
    """Each decision with the rows that came nearest, the fewest changes first."""
    return [(one, nearest(one.trials)) for one in chain.retold]


def nearest(trials: tuple[Trial, ...]) -> list[Trial]:
    """The rows that permit; if none does, those for which the least would have to change."""
    least = min((len(trial.missing) for trial in trials), default=0)
    return [trial for trial in trials if len(trial.missing) == least]
