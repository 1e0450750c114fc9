"""How is one request decided, durably, before anything else happens? Facts gathered once, judged once, written once.

Shared by the query, the localisation and the explanation. What was gathered has a version; the transaction that writes
a decision first checks that network and patient still have it, so that a decision is never written on facts that have
moved. Judging itself is pure and happens outside: the one serial history of the ledger is kept short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from gateway.flows.means import Call, Means, Moved, check_unmoved, circumstances, who
from gateway.rules import consent, regimes
from gateway.rules.access import Admission, Bar, Decision, admit, decide, refusal
from gateway.rules.choice import ConsentState, Statement
from gateway.rules.exchange import GROUP_OF, Address, Capacity, Category, PatientKey, Pointer, Requester
from gateway.rules.facts import gather
from gateway.rules.identifiers import Bsn, Ura
from gateway.rules.journal import Event, Json, Line
from gateway.rules.network import Network
from gateway.rules.table import Action
from gateway.stores import consents, journal, once
from gateway.stores.ledger import Transaction


class Unsettled(Exception):
    """The network or the patient's choices kept changing: nothing was released."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A bar about the requester, told plainly; the sentence is for people."""

    bar: Bar
    sentence: str = field(default="", compare=False)


ATTEMPTS = 5
"""How often a decision is gathered anew when something moves meanwhile; more movement than that is a storm."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What was gathered for one request, outside any transaction."""

    call: Call
    network: Network
    requester: Requester
    bsn: Bsn
    patient: PatientKey
    patient_version: int
    statements: tuple[Statement, ...]
    attested_elsewhere: bool
    category: Category
    pointers: tuple[Pointer, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgement on a scene at one moment: the admission, and a decision per pointer."""

    at: datetime
    admission: Admission
    decisions: tuple[Decision, ...]

    @property
    def opens(self) -> bool:
        return any(decision.permitted for decision in self.decisions)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger knows of a patient and an attestation, in one snapshot."""

    version: int
    statements: tuple[Statement, ...]
    attested_elsewhere: bool


async def set_scene(means: Means, call: Call, category: Category, patient: Bsn) -> Scene:
    """Gather network, party, statements and pointers; the index last, so that its entries are as new as the version.
    Whether the network still holds is asked again when the decision is written. Raises IndexUnavailable,
    LedgerUnavailable."""
    network = await means.live.network(call.seen)
    key = means.keys.patient(patient)
    requester = call.party(network)
    single = call.situation.verbal_consent is None
    known = await means.ledger.read(partial(_look_up, call, requester, key), single=single)
    pointers = await means.index.find(key, category)
    return Scene(
        call=call,
        network=network,
        requester=requester,
        bsn=patient,
        patient=key,
        patient_version=known.version,
        statements=known.statements,
        attested_elsewhere=known.attested_elsewhere,
        category=category,
        pointers=pointers,
    )


def _look_up(call: Call, requester: Requester, patient: PatientKey, tx: Transaction) -> _Known:
    verbal, contact = call.situation.verbal_consent, call.situation.contact
    elsewhere = (
        verbal is not None
        and contact is not None
        and once.bound_elsewhere(tx, verbal.id, patient, requester.ura, contact.id)
    )
    version, statements = consents.known(tx, patient)
    return _Known(version, statements, elsewhere)


def judge(means: Means, scene: Scene) -> Judged:
    """Judge the requester and then every pointer, at this moment of domain time."""
    at = means.live.domain(scene.network)
    facts = gather(
        scene.requester,
        scene.call.situation,
        Action.QUERY,
        scene.category,
        at=at,
        regimes=regimes.active(scene.network.switches, at),
        attestation_bound_elsewhere=scene.attested_elsewhere,
    )
    admission = admit(facts)
    decisions = tuple([decide_one(admission, scene, pointer, at) for pointer in scene.pointers])
    return Judged(at, admission, decisions)


def decide_one(admission: Admission, scene: Scene, pointer: Pointer, at: datetime) -> Decision:
    """Judge one pointer of the scene under an admission."""
    # whether the entry stands on a yes to anybody matters to presumed consent only
    presuming = admission.facts.capacity is Capacity.INCAPABLE
    on_yes = presuming and consent.stands_on_yes(scene.statements, pointer.custodian, pointer.category, at)
    return decide(admission, pointer, _state_for(admission, scene, pointer, at), on_yes)


def consent_for(admission: Admission, scene: Scene, pointer: Pointer, at: datetime) -> tuple[ConsentState, bool]:
    """The consent state for this requester and situation, and whether the entry stands on a yes to anybody."""
    on_yes = consent.stands_on_yes(scene.statements, pointer.custodian, pointer.category, at)
    return _state_for(admission, scene, pointer, at), on_yes


def _state_for(admission: Admission, scene: Scene, pointer: Pointer, at: datetime) -> ConsentState:
    kind = scene.requester.kind
    asked = consent.Asked(
        custodian=pointer.custodian,
        category=pointer.category,
        requester=scene.requester.ura,
        group=GROUP_OF[kind] if kind else None,
        emergency=admission.facts.emergency,
    )
    return consent.state(scene.statements, asked, at)


def settle(tx: Transaction, scene: Scene, judged: Judged) -> None:
    """The precondition of everything written about a scene: nothing moved, and the attestation is bound to just this
    patient, organisation and contact. Raises Moved."""
    check_unmoved(tx, scene.network, scene.patient, scene.patient_version)
    verbal, contact = scene.call.situation.verbal_consent, scene.call.situation.contact
    if verbal is None or contact is None or judged.admission.bar is not None:
        return
    if not once.bind(tx, verbal.id, scene.patient, scene.requester.ura, contact.id, judged.at):
        raise Moved


def query_fields(scene: Scene, at: datetime) -> dict[str, Json]:
    """The journal fields every line about a request carries: who, in what situation, for which category."""
    return {
        **who(scene.requester),
        **circumstances(scene.call.situation, at),
        "category": scene.category,
        "interaction": scene.call.interaction,
    }


def decision_fields(decisions: Sequence[Decision]) -> list[Json]:
    return [_decision_field(decision) for decision in decisions]


def _decision_field(decision: Decision) -> dict[str, Json]:
    told: dict[str, Json] = {
        "custodian": decision.pointer.custodian.digits,
        "system": decision.pointer.system.digits,
        "outcome": "permitted" if decision.permitted else "closed",
    }
    if decision.row:
        told |= {"row": decision.row.id, "basis": decision.basis, "view": decision.row.view}
    if decision.reason:
        told["reason"] = decision.reason
    return told


def regimes_in_force(admission: Admission) -> list[Json]:
    in_force: list[Json] = [regime.value for regime in sorted(admission.facts.regimes)]
    return in_force


def refused(admission: Admission, bar: Bar) -> Refused:
    """The refusal for a bar that `told_plainly` gave."""
    return Refused(bar, refusal(admission, bar))


def told_plainly(admission: Admission, *, opens: bool) -> Bar | None:
    """The bar the requester is told: about itself, or that it must ask first. Never one about the patient."""
    if admission.bar is not None:
        return admission.bar
    return Bar.VERBAL_CONSENT_REQUIRED if admission.must_ask_first and not opens else None


def address_of(network: Network, pointer: Pointer) -> Address | None:
    """Where the pointer's system is reached, if the register says so."""
    system = network.systems.get(pointer.system)
    if system is None or system.ura != pointer.custodian or system.endpoint is None:
        return None
    return Address(system.ura, system.application, system.endpoint)


def write(
    means: Means,
    tx: Transaction,
    scene: Scene,
    judged: Judged,
    event: Event,
    fields: dict[str, Json],
    *,
    custodian: Ura | None = None,
) -> None:
    """Append one journal line about this request."""
    line = Line(
        event,
        at=judged.at,
        wall=means.live.wall(),
        aorta=scene.call.aorta,
        patient=scene.patient,
        custodian=custodian,
        requester=scene.requester.ura,
        fields=fields,
    )
    journal.write(tx, line)
