"""Why was nothing found at this custodian? Her words and its entries, as the requester may never learn them.

For people who test only: what stays neutral outside is told here. Judges nothing: it asks the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.flows.deciding import Scene
from gateway.rules import consent
from gateway.rules.choice import Say, Statement
from gateway.rules.exchange import GROUP_OF, Regime
from gateway.rules.identifiers import Ura
from source_sim.testbed import missing_bars
from source_sim.testbed.ago import ago
from source_sim.testbed.transcript import Told
from source_sim.testbed.world import World

_SAID = {Say.YES: "said yes", Say.NO: "objected", Say.WITHDRAWN: "withdrew her yes", Say.CLEARED: "took her no back"}


def of(world: World, case: Any) -> list[str]:
    """One sentence for each custodian of hers that holds the category and whose data did not come."""
    scene: Scene | None = case.scene
    if scene is None or case.judged is None:
        return []
    permitted = {one.pointer.custodian.digits for one in case.judged.decisions if one.permitted}
    closed = [one for one in case.patient.custodians if one.ura not in permitted and _holds(one, case.kind)]
    if not case.patient.custodians:
        return ["nobody in the country has her as a patient"]
    return [f"{one.name}: {_why(case, scene, one, case.history)}" for one in closed]


def _holds(custodian: Any, kind: str) -> bool:
    return kind in custodian.categories


def _why(case: Any, scene: Scene, custodian: Any, lines: Sequence[Told]) -> str:
    ura, at = Ura(custodian.ura), case.at
    asked = _asked(scene, ura, case)
    deciding = consent.deciding(scene.statements, asked, at)
    denial = next((one for one in deciding if one.say in consent.DENIALS), None)
    if denial is not None:
        return f"she {_told(denial, at)}; {_ended(custodian, case.kind, lines, at)}".rstrip("; ")
    pointer = next((one for one in scene.pointers if one.custodian == ura), None)
    if pointer is None:
        return _unregistered(custodian, case, scene, lines, granted=bool(deciding))
    if pointer.latent:
        return f"the entry is latent, and {missing_bars.standing(case.network, Regime.CRISIS_OPT_IN, at)}"
    return _no_yes(scene.statements, asked, at)


def _asked(scene: Scene, ura: Ura, case: Any) -> consent.Asked:
    kind = scene.requester.kind
    emergency = case.judged.admission.facts.emergency
    return consent.Asked(ura, scene.category, scene.requester.ura, GROUP_OF[kind] if kind else None, emergency)


def _told(one: Statement, at: datetime) -> str:
    where = "" if one.scope.custodian is not None else " to everybody"
    return f"{_SAID[one.say]}{where} {ago(one.effective, at)}"


def _unregistered(custodian: Any, case: Any, scene: Scene, lines: Sequence[Told], *, granted: bool) -> str:
    ended = _ended(custodian, case.kind, lines, case.at)
    if ended:
        return ended
    if granted:
        return f"she said yes, but {case.kind} was never registered"
    own = [one for one in scene.statements if one.scope.custodian in (None, Ura(custodian.ura))]
    said = _no_yes(scene.statements, _asked(scene, Ura(custodian.ura), case), case.at) if own else "she never chose"
    return f"{said}, and {case.kind} was never registered"


def _ended(custodian: Any, category: str, lines: Sequence[Told], at: datetime) -> str:
    """When and why the entry ended, if that is the last thing that happened to it."""
    own = [one for one in lines if one.category == category and custodian.ura == one.fields.get("organisation")]
    last = next((one for one in reversed(own) if one.event in ("entry-registered", "entry-ended")), None)
    if last is None or last.event != "entry-ended":
        return ""
    return f"its entry {category} ended {ago(last.at, at)} ({last.fields.get('why', '')})"


def _no_yes(statements: Sequence[Statement], asked: consent.Asked, at: datetime) -> str:
    """What her yes leaves out, if there is one about this custodian."""
    later = [one for one in statements if one.say is Say.YES and consent.counts_from(one) > at]
    if later:
        return f"her yes takes effect {ago(min(consent.counts_from(one) for one in later), at)}"
    yes = [one for one in consent.in_force(statements, at) if one.say is Say.YES]
    here = [one for one in yes if one.scope.custodian in (None, asked.custodian)]
    if not here:
        return "she never chose"
    scope = here[-1].scope
    if scope.categories is not None and asked.category not in scope.categories:
        return f"her yes names {', '.join(sorted(scope.categories))}, not {asked.category.value}"
    if scope.emergency_only and not asked.emergency:
        return "her yes holds in emergencies only"
    return f"her yes is to {', '.join(sorted(scope.requesters or ()))}, not to {asked.group or asked.requester.digits}"
