"""How does one emergency query go? Localise, decide, write it down, ask all sources at once, ask the rules again.

The journal line of the decision is written before any source is asked, where no end of this process can undo it; with
the line of every disclosure it is on the disk before the first byte leaves (release.py). No FHIR and no HTTP here.
"""

from __future__ import annotations

import asyncio
from functools import partial

from gateway.flows.deciding import (
    ATTEMPTS,
    Judged,
    Refused,
    Scene,
    Unsettled,
    address_of,
    decision_fields,
    judge,
    query_fields,
    refused,
    regimes_in_force,
    set_scene,
    settle,
    told_plainly,
    write,
)
from gateway.flows.means import Call, Means, Moved, note_index_unavailable
from gateway.flows.release import NOTHING, answered_fields, release
from gateway.rules.access import Admission, Permit
from gateway.rules.exchange import Address, Answer, AortaId, Failing, Failure, Query
from gateway.rules.journal import Event
from gateway.rules.routing import Combined, Leg
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import Transaction


async def ask(means: Means, call: Call, query: Query, wish: float | None = None) -> Combined | Refused:
    """Carry out one query; `wish` is the caller's own limit in seconds. Returns what may be shown, or the bar.

    Raises IndexUnavailable, LedgerUnavailable, Unsettled; then nothing was released, and nobody was asked unless a
    decision line says so.
    """
    started = asyncio.get_running_loop().time()
    scene, judged = await _decide(means, call, query)
    bar = told_plainly(judged.admission, opens=judged.opens)
    if bar is not None:
        return refused(judged.admission, bar)
    if not judged.opens:
        return NOTHING
    deadline = started + _allowed(means, judged.admission, wish) - means.deadlines.release
    legs = await _ask_all(means, scene, judged, query, deadline)
    return await release(means, scene, legs, started)


def _allowed(means: Means, admission: Admission, wish: float | None) -> float:
    most = means.deadlines.emergency if admission.facts.emergency else means.deadlines.routine
    return most if wish is None else min(most, wish)


# --- deciding --------------------------------------------------------------------------------------------------------


async def _decide(means: Means, call: Call, query: Query) -> tuple[Scene, Judged]:
    for _ in range(ATTEMPTS):
        try:
            scene = await set_scene(means, call, query.category, query.patient)
        except IndexUnavailable:
            await note_index_unavailable(means, call, query.category, query.patient)
            raise
        judged = judge(means, scene)
        try:
            await _written(means, scene, judged)
        except Moved:
            means.live.forget()
        else:
            return scene, judged
    raise Unsettled


async def _written(means: Means, scene: Scene, judged: Judged) -> None:
    """The decision, written before anybody is asked or refused. A line of permission is on the disk before the first
    byte leaves, since the release is; a refusal leaves now, so it waits for the disk now."""
    unit = partial(_write_decision, means, scene, judged)
    if judged.opens and judged.admission.bar is None:
        await means.ledger.note(unit)
    else:
        await means.ledger.commit(unit, brief=True)


def _write_decision(means: Means, scene: Scene, judged: Judged, tx: Transaction) -> None:
    settle(tx, scene, judged)
    fields = {**query_fields(scene, judged.at), "regimes": regimes_in_force(judged.admission)}
    if judged.admission.bar is not None:
        write(means, tx, scene, judged, Event.QUERY_REFUSED, {**fields, "reason": judged.admission.bar})
        return
    decided = {**fields, "decisions": decision_fields(judged.decisions)}
    write(means, tx, scene, judged, Event.QUERY_DECIDED, decided)
    bar = told_plainly(judged.admission, opens=judged.opens)
    if bar is not None:
        write(means, tx, scene, judged, Event.QUERY_REFUSED, {**fields, "reason": bar})
    elif not judged.opens:
        write(means, tx, scene, judged, Event.QUERY_ANSWERED, answered_fields(scene, NOTHING, (), 0.0))


# --- asking ----------------------------------------------------------------------------------------------------------


async def _ask_all(means: Means, scene: Scene, judged: Judged, query: Query, deadline: float) -> list[Leg]:
    permits = [Permit(decision) for decision in judged.decisions if decision.permitted]
    asked = [_ask_one(means, scene, permit, query, deadline) for permit in permits]
    return [await asked[0]] if len(asked) == 1 else list(await asyncio.gather(*asked))


async def _ask_one(means: Means, scene: Scene, permit: Permit, query: Query, deadline: float) -> Leg:
    loop = asyncio.get_running_loop()
    chain = scene.call.aorta
    began, aorta = loop.time(), AortaId(chain.initial, means.new_id(), chain.version)
    address = address_of(scene.network, permit.pointer)
    outcome: Answer | Failure
    if address is None:
        address = Address(permit.pointer.custodian, permit.pointer.system, "")
        outcome = Failure(Failing.UNREACHABLE, "no endpoint is registered for this system")
    else:
        outcome = await _ask_source(means, scene, permit, query, address, aorta, deadline)
    return Leg(permit, address, outcome, (loop.time() - began) * 1000, aorta.request)


async def _ask_source(
    means: Means, scene: Scene, permit: Permit, query: Query, address: Address, aorta: AortaId, deadline: float
) -> Answer | Failure:
    token = means.vouch(permit, scene.requester, scene.call.situation, query, aorta)
    return await means.sources.ask(permit, query, address, token=token, aorta=aorta, deadline=deadline)
