"""What would have made a difference? An answer that gave less than all, explained by what came close.

The case is gathered once, right after the answer, from what the gateway itself would gather; then each kind of miss is
looked for: the number, the token, the bar, the patient's word, the source, the rows. Judges nothing: it asks the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.flows.deciding import Judged, Scene, consent_for, judge, set_scene
from gateway.flows.means import Call
from gateway.identity.certificate import read_certificate
from gateway.identity.claims import BadClaim, read_claims
from gateway.identity.party import requester_from
from gateway.rules.exchange import AortaId, Category
from gateway.rules.explain import Explanation, explain
from gateway.rules.identifiers import Bsn, InvalidIdentifier
from gateway.rules.network import Network
from source_sim.country import Participant
from source_sim.requesters import Claims
from source_sim.testbed import missing_bars, missing_consent, missing_sources
from source_sim.testbed.transcript import Told
from source_sim.testbed.world import World


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a miss is looked for in. `judged` and `told` are the gateway's own judgement, made again after the
    answer; None where the question never got that far."""

    kind: str
    status: int
    code: str
    reason: str | None
    outcomes: Sequence[Any]
    at: datetime
    claims: Claims = field(repr=False)
    patient: Any
    asker: Participant
    network: Network = field(repr=False)
    call: Sequence[Told] = field(repr=False)
    """What this call wrote."""
    history: Sequence[Told] = field(repr=False)
    """What was written about this patient so far."""
    scene: Scene | None = field(default=None, repr=False)
    judged: Judged | None = field(default=None, repr=False)
    explained: Explanation | None = field(default=None, repr=False)


def gather(world: World, asker: Participant, asked: Any, found: Any) -> Case:
    """The case of one question (`asked`: kind, patient, claims) and what came of it (`found`: the answer)."""
    network = world.network()
    scene = world.run(_scene(world, asker, asked)) if found.status else None
    judged = judge(world.gateway.means, scene) if scene else None
    told = _explained(scene, judged) if scene and judged else None
    return Case(
        kind=asked.kind.value,
        status=found.status,
        code=found.code,
        reason=found.decision.reason,
        outcomes=found.outcomes,
        at=world.gateway.means.live.domain(network),
        claims=asked.claims,
        patient=asked.patient,
        asker=asker,
        network=network,
        call=found.transcript.all,
        history=world.about(asked.patient.bsn),
        scene=scene,
        judged=judged,
        explained=told,
    )


async def _scene(world: World, asker: Participant, asked: Any) -> Scene | None:
    """What the gateway gathers for this question; None for what is no question about a patient's data."""
    means, papers = world.gateway.means, world.papers(asker)
    raw = {"iss": asker.application, "organisation": asker.ura, "patient": asked.patient.bsn, **asked.claims}
    try:
        category, bsn = Category(asked.kind.value), Bsn(asked.patient.bsn)
        claims = read_claims({name: value for name, value in raw.items() if value is not None})
    except (ValueError, InvalidIdentifier, BadClaim):
        return None
    certificate = read_certificate(papers.der)

    def party(network: Network) -> Any:
        return requester_from(network, certificate, claims, in_good_standing=True)

    return await set_scene(means, Call(AortaId("", ""), claims.situation, party, "testbed"), category, bsn)


def _explained(scene: Scene, judged: Judged) -> Explanation:
    states = tuple(consent_for(judged.admission, scene, pointer, judged.at) for pointer in scene.pointers)
    permitting = next((one.row.id for one in judged.decisions if one.permitted and one.row), None)
    return explain(judged.admission, states, permitting)


def misses(world: World, asker: Participant, asked: Any, found: Any) -> tuple[str, ...]:
    """What came close, the nearest first; empty when nothing is missing."""
    if found.status == 200 and found.total and not found.outcomes:
        return ()
    return tuple(_found(world, gather(world, asker, asked, found)))


def _found(world: World, case: Case) -> list[str]:
    number = _number(case.patient.bsn)
    if number:
        return [number]
    if case.status == 0:
        return [line.fields["why"] for line in case.call if line.fields.get("why")][-1:] or [case.code]
    found = missing_bars.of(case) if case.status in (401, 403) else []
    if case.status == 200:
        found += missing_consent.of(world, case)
    found += missing_sources.of(world, case)
    return found + _rows(case) + _change(case)


def _number(bsn: str) -> str:
    """What is wrong with a BSN, without telling it."""
    if not (bsn.isascii() and bsn.isdigit() and len(bsn) == 9):
        return f"the BSN has {len(bsn)} characters where nine digits are wanted"
    try:
        Bsn(bsn)
    except InvalidIdentifier:
        return "the BSN fails the eleven-test"
    return ""


_NEAR = 2


def _rows(case: Case) -> list[str]:
    """The rows that failed by one or two conditions."""
    if case.explained is None or case.explained.outcome == "permitted":
        return []
    near = [one for one in case.explained.trials if 0 < len(one.missing) <= _NEAR and "category" not in one.missing]
    near.sort(key=lambda one: len(one.missing))
    return [f"row {one.row.id} would have permitted but for: {', '.join(_wanted(one))}" for one in near]


def _change(case: Case) -> list[str]:
    told = case.explained
    told_already = told is None or told.change in ("", told.sentence) or "another category" in told.change
    return [] if told is None or told_already else [f"the smallest change: {told.change}"]


def _wanted(trial: Any) -> list[str]:
    return [f"regime {trial.row.regime.value}" if word == "regime" else word for word in trial.missing]
