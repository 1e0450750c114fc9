"""How is each step carried out? One small act per verb, giving the values its expectation can name.

It knows the testbed's country through a cast. It may not know what is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from source_sim.scenarios import casting
from source_sim.scenarios.casting import Cast
from source_sim.scenarios.comparing import Came
from source_sim.scenarios.steps import (
    AskStep,
    ChoiceStep,
    ClockStep,
    DeliverStep,
    EndStep,
    EnrolStep,
    ExplainStep,
    FaultStep,
    FollowStep,
    LocaliseStep,
    LookStep,
    MendStep,
    ReferStep,
    RegimeStep,
    RegisterStep,
    Said,
    SendReturnStep,
    Situation,
    WaitStep,
)
from source_sim.testbed import Answer, GpPractice, Patient
from source_sim.testbed.sending import Sent

_SITUATION: Final = frozenset(Situation.model_fields)


def act(cast: Cast, step: Said) -> Came:
    """Carry out one step. Raises what the testbed raises."""
    return _ACTS[type(step)](cast, step)


def _situation(said: Situation) -> dict[str, Any]:
    told = {name: value for name, value in said.told.items() if name in _SITUATION}
    return told | ({"contact": None} if told.get("contact") == "none" else {})


def _ask(cast: Cast, step: AskStep) -> Came:
    asking = step.ask
    requester, patient = cast.requesters[asking.by], cast.patients[asking.patient]
    answer = requester.ask(asking.what, patient, **_situation(asking))
    return Came(_answered(cast, answer), answer.why)


def _answered(cast: Cast, answer: Answer) -> dict[str, Any]:
    decision = answer.decision
    return {
        "status": answer.status,
        "code": answer.code,
        "sentence": answer.sentence,
        "completeness": answer.completeness,
        "outcomes": {cast.names.get(one.source, one.source): one.code for one in answer.outcomes},
        "sources": sorted(cast.names.get(key, key) for key in answer.sources),
        "row": decision.row,
        "reason": decision.reason,
        "total": answer.total,
        "flags": sorted(answer.flags),
        "neutral": (answer.status, answer.total, answer.completeness, len(answer.outcomes)) == (200, 0, "complete", 0),
        "within": answer.elapsed,
    }


def _explain(cast: Cast, step: ExplainStep) -> Came:
    asking = step.explain
    requester, patient = cast.requesters[asking.by], cast.patients[asking.patient]
    told = requester.explain(asking.what, patient, **_situation(asking))
    return Came(
        {
            "status": told.status,
            "code": told.code,
            "sentence": told.sentence,
            "outcome": told.outcome,
            "reason": told.reason,
            "change": told.change,
        },
        told.change,
    )


def _localise(cast: Cast, step: LocaliseStep) -> Came:
    asking = step.localise
    answer = cast.requesters[asking.by].localise(cast.patients[asking.patient], **_situation(asking))
    held = {cast.names.get(ura, ura) for ura in _owners(answer)}
    return Came({**_answered(cast, answer), "sources": sorted(held)}, answer.why)


def _owners(answer: Answer) -> Iterator[str]:
    """Whose entries these are: the owner of the system each List names."""
    for entry in answer.matches:
        yield from (one["owner"]["identifier"]["value"] for one in entry.get("contained", []) if "owner" in one)


def _send_return(cast: Cast, step: SendReturnStep) -> Came:
    told = step.send_return
    requester, patient = cast.requesters[told.by], cast.patients[told.patient]
    if told.again:
        return _remembered(cast, requester.resend(cast.messages[told.again], **_situation(told)), told.named)
    case = {"case": told.case} if told.case else {}
    sent = requester.send_return(patient, **case, **_situation(told))
    return _remembered(cast, sent, told.named)


def _refer(cast: Cast, step: ReferStep) -> Came:
    told = step.refer
    practice = cast.custodians[told.by]
    assert isinstance(practice, GpPractice), "the reader lets practices refer only"
    sent = practice.refer(cast.patients[told.patient], to=cast.requesters[told.to])
    return _remembered(cast, sent, told.named)


def _remembered(cast: Cast, sent: Sent, name: str | None) -> Came:
    if name:
        cast.messages[name] = sent
    return Came(_sent(sent))


def _sent(sent: Sent) -> dict[str, Any]:
    told: dict[str, Any] = {"status": sent.status, "code": sent.code, "sentence": sent.sentence}
    return told | ({"state": sent.state, "reason": sent.reason} if sent.status == 202 else {})


def _follow(cast: Cast, step: FollowStep) -> Came:
    return Came(_sent(cast.messages[step.follow.message]))


def _choose(cast: Cast, step: ChoiceStep) -> Came:
    told, patient = casting.said(cast, step.choice), cast.patients[step.choice.of]
    if step.choice.custodian:
        return _replied(cast.custodians[step.choice.custodian].state(patient, replace(told, birth_date=patient.born)))
    patient.say(told)
    return Came({"status": 201, "code": "", "sentence": ""})


def _register(cast: Cast, step: RegisterStep) -> Came:
    told = step.register_
    reply = cast.custodians[told.by].register(cast.patients[told.patient], told.what, latent=told.latent)
    return _replied(reply)


def _end(cast: Cast, step: EndStep) -> Came:
    return _replied(cast.custodians[step.end.by].end(cast.patients[step.end.patient], step.end.what))


def _enrol(cast: Cast, step: EnrolStep) -> Came:
    told = step.enrol
    return _replied(cast.custodians[told.by].enrol(cast.patients[told.patient], told.since))


def _replied(reply: Any) -> Came:
    return Came({"status": reply.status, "code": reply.code, "sentence": reply.sentence}, reply.sentence)


def _regime(cast: Cast, step: RegimeStep) -> Came:
    told = step.regime
    if told.start:
        cast.switchpoint.regime.on(told.start, until=told.until)
    if told.stop:
        cast.switchpoint.regime.off(told.stop)
    return Came()


def _fault(cast: Cast, step: FaultStep) -> Came:
    casting.break_down(cast, step.fault)
    return Came()


def _mend(cast: Cast, step: MendStep) -> Came:
    casting.mend(cast, step.mend.at)
    return Came()


def _wait(cast: Cast, step: WaitStep) -> Came:
    cast.switchpoint.wait(**step.wait.told)
    return Came(boxes(cast))


def _clock(cast: Cast, step: ClockStep) -> Came:
    cast.switchpoint.clock.to(step.clock.to)
    return Came(boxes(cast))


def _deliver(cast: Cast, step: DeliverStep) -> Came:
    cast.switchpoint.deliver()
    return Came(boxes(cast))


def _look(cast: Cast, step: LookStep) -> Came:
    patient = cast.patients[step.look.of]
    return Came({"sees": page(patient), "notices": len(patient.notices)})


def page(patient: Patient) -> list[str]:
    """What her page lists, newest first, each item in words: what happened, to whom, by which row or why not."""
    return [_item(item) for item in patient.log]


def _item(item: Any) -> str:
    parts = [word for part in item.parts for word in (part.gave, part.row, part.basis, part.reason, part.custodian)]
    who = item.who.organisation if item.who else ""
    said = [item.did, who, item.reason, *parts, *item.flags, item.told.get("category"), item.told.get("say")]
    return " ".join(dict.fromkeys(str(word) for word in said if word))


def boxes(cast: Cast) -> dict[str, Any]:
    """What every organisation has taken, and where messages stand."""
    names = [*cast.custodians, *cast.requesters]
    inboxes = {name: [str(message["event"]) for message in cast.organisation(name).inbox] for name in names}
    return {"inboxes": inboxes, "outbox": dict(cast.switchpoint.outbox.states)}


_ACTS: Final[Mapping[type[Said], Callable[[Cast, Any], Came]]] = MappingProxyType(
    {
        AskStep: _ask,
        ExplainStep: _explain,
        LocaliseStep: _localise,
        SendReturnStep: _send_return,
        ReferStep: _refer,
        FollowStep: _follow,
        ChoiceStep: _choose,
        RegisterStep: _register,
        EndStep: _end,
        EnrolStep: _enrol,
        RegimeStep: _regime,
        FaultStep: _fault,
        MendStep: _mend,
        WaitStep: _wait,
        ClockStep: _clock,
        DeliverStep: _deliver,
        LookStep: _look,
    }
)
