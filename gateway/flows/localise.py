"""Which entries may this requester ask? The same rules and the same silence as a query, without asking anybody.

Also answers `$explain`: the same judgement with every row tried, in a simulation only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.flows.deciding import (
    ATTEMPTS,
    Judged,
    Refused,
    Scene,
    Unsettled,
    consent_for,
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
from gateway.flows.means import Call, Means, Moved, check_unmoved, note_index_unavailable
from gateway.rules.exchange import Category, Pointer
from gateway.rules.explain import Explanation, explain
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import Transaction

ASKABLE = (Category.GP_SUMMARY, Category.MEDICATION, Category.ALLERGIES, Category.TREATMENT_LIMITS)


async def localise(means: Means, call: Call, patient: Bsn, category: Category | None) -> tuple[Pointer, ...] | Refused:
    """The pointers this requester may ask, for one category or for all. For all, a bar is told only when every category
    is barred; then the first one's. Raises IndexUnavailable, LedgerUnavailable, Unsettled."""
    wanted = (category,) if category else ASKABLE
    results = [await _localise_one(means, call, patient, one) for one in wanted]
    shown = [result for result in results if not isinstance(result, Refused)]
    if not shown:
        return next(result for result in results if isinstance(result, Refused))
    return tuple(pointer for pointers in shown for pointer in pointers)


async def _localise_one(means: Means, call: Call, patient: Bsn, category: Category) -> Sequence[Pointer] | Refused:
    for _ in range(ATTEMPTS):
        scene = await _scene(means, call, patient, category)
        judged = judge(means, scene)
        try:
            await means.ledger.commit(partial(_write_localised, means, scene, judged), brief=True)
        except Moved:
            means.live.forget()
            continue
        bar = told_plainly(judged.admission, opens=judged.opens)
        return refused(judged.admission, bar) if bar else [d.pointer for d in judged.decisions if d.permitted]
    raise Unsettled


async def _scene(means: Means, call: Call, patient: Bsn, category: Category) -> Scene:
    try:
        return await set_scene(means, call, category, patient)
    except IndexUnavailable:
        await note_index_unavailable(means, call, category, patient)
        raise


def _write_localised(means: Means, scene: Scene, judged: Judged, tx: Transaction) -> None:
    settle(tx, scene, judged)
    bar = told_plainly(judged.admission, opens=judged.opens)
    fields = {**query_fields(scene, judged.at), "regimes": regimes_in_force(judged.admission)}
    if bar is not None:
        write(means, tx, scene, judged, Event.QUERY_REFUSED, {**fields, "reason": bar})
        return
    shown = sum(1 for decision in judged.decisions if decision.permitted)
    told = {**fields, "decisions": decision_fields(judged.decisions), "shown": shown}
    write(means, tx, scene, judged, Event.LOCALISED, told)


async def explain_query(means: Means, call: Call, patient: Bsn, category: Category) -> Explanation:
    """Judge without asking or binding anything, and tell every row tried. Journaled as explanation.
    Raises IndexUnavailable, LedgerUnavailable, Unsettled."""
    for _ in range(ATTEMPTS):
        scene = await _scene(means, call, patient, category)
        judged = judge(means, scene)
        told = _explained(scene, judged)
        try:
            await means.ledger.commit(partial(_write_explained, means, scene, judged, told))
        except Moved:
            means.live.forget()
        else:
            return told
    raise Unsettled


def _explained(scene: Scene, judged: Judged) -> Explanation:
    states = tuple(consent_for(judged.admission, scene, pointer, judged.at) for pointer in scene.pointers)
    permitting = next((d.row.id for d in judged.decisions if d.permitted and d.row), None)
    return explain(judged.admission, states, permitting)


def _write_explained(means: Means, scene: Scene, judged: Judged, told: Explanation, tx: Transaction) -> None:
    check_unmoved(tx, scene.network, scene.patient, scene.patient_version)
    fields = {**query_fields(scene, judged.at), "reason": told.reason, "outcome": told.outcome}
    write(means, tx, scene, judged, Event.EXPLAINED, fields)
