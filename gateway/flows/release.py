"""What may leave, now? Every rule asked again per source, and the line of what leaves written, in one transaction.

A withdrawal, stop button or revocation acknowledged before this transaction wins: the answer is dropped, and the
requester gets what it would have got had nothing been registered. Source: domain.md section 4, "moment of release".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from gateway.flows import notices
from gateway.flows.deciding import (
    ATTEMPTS,
    Judged,
    Refused,
    Scene,
    Unsettled,
    address_of,
    decide_one,
    judge,
    query_fields,
    refused,
    regimes_in_force,
    set_scene,
    settle,
    write,
)
from gateway.flows.means import Means, Moved, note_index_unavailable, who
from gateway.rules.access import Bar, Basis
from gateway.rules.exchange import Answer, Category, Completeness, Failing, Failure
from gateway.rules.journal import Event, Json
from gateway.rules.routing import Combined, Leg, combine
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import Transaction

_TOLD_TO_THE_GP = frozenset({Basis.VERBAL, Basis.PRESUMED})

NOTHING = Combined((), Completeness.COMPLETE, (), None)
"""The neutral answer: what objected, undecided, withdrawn and unknown have in common."""


async def release(means: Means, scene: Scene, legs: Sequence[Leg], started: float) -> Combined | Refused:
    """Release what still may leave; the bar only when the requester itself is no longer a party.
    Raises IndexUnavailable, LedgerUnavailable, Unsettled."""
    for _ in range(ATTEMPTS):
        # the revocation list is a file and moves no version: who asks is asked again every time
        party = scene.call.party(scene.network)
        scene = scene if party == scene.requester else replace(scene, requester=party)
        again = judge(means, scene)
        combined, dropped = _what_may_leave(scene, again, legs)
        elapsed = (asyncio.get_running_loop().time() - started) * 1000
        try:
            told = _notices(means, scene, again, combined)
            unit = partial(_write_release, means, scene, again, legs, combined, dropped, told, elapsed)
            await means.ledger.commit(unit, brief=True)
        except Moved:
            means.live.forget()
            scene = await _look_again(means, scene)
        else:
            bar = again.admission.bar
            return refused(again.admission, bar) if bar is Bar.UNKNOWN_PARTY else combined
    raise Unsettled


def _what_may_leave(scene: Scene, again: Judged, legs: Sequence[Leg]) -> tuple[Combined, list[Leg]]:
    """What the legs that are still permitted amount to, and the legs that are not."""
    kept = [leg for leg in legs if _still_permitted(scene, again, leg)]
    return combine(kept), [leg for leg in legs if leg not in kept]


async def _look_again(means: Means, scene: Scene) -> Scene:
    try:
        return await set_scene(means, scene.call, scene.category, scene.bsn)
    except IndexUnavailable:
        await note_index_unavailable(means, scene.call, scene.category, scene.bsn)
        raise


def _write_release(
    means: Means,
    scene: Scene,
    again: Judged,
    legs: Sequence[Leg],
    combined: Combined,
    dropped: Sequence[Leg],
    told: Sequence[notices.Draft],
    elapsed: float,
    tx: Transaction,
) -> None:
    """On condition that nothing moved since it was judged again, write what leaves. Raises Moved."""
    settle(tx, scene, again)
    if again.admission.bar is Bar.UNKNOWN_PARTY:
        regimes = regimes_in_force(again.admission)
        fields = {**query_fields(scene, again.at), "regimes": regimes, "reason": again.admission.bar}
        write(means, tx, scene, again, Event.QUERY_REFUSED, fields)
        return
    for leg in _disclosing(combined):
        _write_disclosure(means, tx, scene, again, leg)
    for draft in told:
        notices.write(means, tx, scene.network, draft)
    fields = answered_fields(scene, combined, dropped, elapsed)
    event = Event.QUERY_ANSWERED if combined.wholly_failed is None else Event.QUERY_FAILED
    write(means, tx, scene, again, event, {**fields, "legs": [_leg_field(leg) for leg in legs]})


def _disclosing(combined: Combined) -> list[Leg]:
    return [leg for leg in combined.legs if leg.discloses and combined.wholly_failed is None]


def _notices(means: Means, scene: Scene, again: Judged, combined: Combined) -> list[notices.Draft]:
    """One notice to the GP of record for every summary disclosed without a consent recorded beforehand."""
    if again.admission.bar is Bar.UNKNOWN_PARTY:
        return []
    return [
        notices.disclosure_notice(
            means,
            scene.bsn,
            scene.patient,
            scene.requester,
            leg.permit,
            at=again.at,
            aorta=scene.call.aorta,
        )
        for leg in _disclosing(combined)
        if leg.permit.pointer.category is Category.GP_SUMMARY and leg.permit.basis in _TOLD_TO_THE_GP
    ]


def _still_permitted(scene: Scene, again: Judged, leg: Leg) -> bool:
    """The same row must still permit the same pointer at the same address; another row may mean another view."""
    pointer = leg.permit.pointer
    current = next((p for p in scene.pointers if p.id == pointer.id), None)
    if current is None or current.latent != pointer.latent:
        return False
    address = address_of(scene.network, pointer)
    if (address.endpoint if address else "") != leg.address.endpoint:
        return False
    judged = next((one for one in again.decisions if one.pointer is current), None)
    if judged is not None and judged.permitted and judged.row is leg.permit.row:
        return True
    same_row = replace(again.admission, rows=tuple(r for r in again.admission.rows if r is leg.permit.row))
    return decide_one(same_row, scene, current, again.at).permitted


def _write_disclosure(means: Means, tx: Transaction, scene: Scene, again: Judged, leg: Leg) -> None:
    permit = leg.permit
    fields: dict[str, Json] = {
        **query_fields(scene, again.at),
        "system": permit.pointer.system.digits,
        "row": permit.row.id,
        "view": permit.view,
        "basis": permit.basis,
        "resources": len(leg.outcome.entries) if isinstance(leg.outcome, Answer) else 0,
        "source_request": leg.request_id,
    }
    write(means, tx, scene, again, Event.DISCLOSED, fields, custodian=permit.pointer.custodian)


def answered_fields(scene: Scene, combined: Combined, dropped: Sequence[Leg], elapsed: float) -> dict[str, Json]:
    fields: dict[str, Json] = {
        **who(scene.requester),
        "category": scene.category,
        "interaction": scene.call.interaction,
        "dropped": [leg.permit.pointer.custodian.digits for leg in dropped],
        "ms": round(elapsed, 1),
    }
    if combined.wholly_failed is not None:
        return {**fields, "reason": combined.wholly_failed}
    return {**fields, "completeness": combined.completeness, "flags": list(combined.flags), "legs": []}


def _leg_field(leg: Leg) -> dict[str, Json]:
    told: dict[str, Json] = {
        "custodian": leg.permit.pointer.custodian.digits,
        "system": leg.permit.pointer.system.digits,
        "ms": round(leg.ms, 1),
        "request": leg.request_id,
    }
    if isinstance(leg.outcome, Failure):
        return {**told, "outcome": leg.outcome.failing, "detail": leg.outcome.detail}
    outcome = Failing.TRUNCATED if leg.outcome.truncated else "answered"
    return {**told, "outcome": outcome, "resources": len(leg.outcome.entries)}
