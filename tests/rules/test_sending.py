"""May this message go to this recipient now? Rows RET and REF, and every word of the patient that bars them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.rules.access import SENTENCES, Bar, NotPermitted
from gateway.rules.choice import Say, Scope, Statement
from gateway.rules.exchange import (
    SEH,
    Address,
    Category,
    Contact,
    ContactKind,
    GivenBy,
    Professional,
    Purpose,
    Regime,
    Requester,
    Responsible,
    Situation,
    VerbalConsent,
)
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.message import MessageEvent
from gateway.rules.network import Organisation
from gateway.rules.sending import Leave, Sending, judge_sending, may_be_referred_to

NOW = datetime(2026, 5, 2, 23, 30, tzinfo=UTC)
POST, GP, OTHER_GP, HOSPITAL, OTHER_POST = (
    Ura(n) for n in ("90000401", "90000101", "90000102", "90000501", "90000402")
)
RETURN, REFERRAL = MessageEvent.RETURN_MESSAGE, MessageEvent.REFERRAL
ORGANISATIONS = {
    GP: Organisation(GP, "Z3", "Test practice"),
    OTHER_GP: Organisation(OTHER_GP, "K3", "Other test practice"),
    HOSPITAL: Organisation(HOSPITAL, "V4", "Test hospital"),
    OTHER_POST: Organisation(OTHER_POST, "N6", "Other test post"),
}
VISIT = Contact("c1", ContactKind.VISIT, NOW - timedelta(hours=2), NOW - timedelta(hours=1))
ALWAYS = frozenset({Regime.REGULAR})
EMERGENCY = ALWAYS | {Regime.EMERGENCY_AVAILABLE}


@dataclass(frozen=True, slots=True)
class Case:
    """One message to be judged, in the words of a token, a register and a consent."""

    event: MessageEvent = RETURN
    ura: Ura = POST
    type: str = "N6"
    role: str | None = "01.015"
    department: str | None = None
    responsible: Responsible | None = None
    revoked: bool = False
    contact: Contact | None = VISIT
    purpose: Purpose = Purpose.TREAT
    verbal: VerbalConsent | None = None
    to: Ura | None = GP
    said: tuple[Statement, ...] = ()
    regimes: frozenset[Regime] = ALWAYS


def judge(case: Case) -> Sending:
    actor = None if case.role is None else Professional("900000001", "Testarts", case.role)
    sender = Requester(
        case.ura, "Test sender", case.type, ApplicationId("400001"), case.department, actor, case.responsible,
        case.revoked,
    )  # fmt: skip
    situation = Situation(purpose=case.purpose, contact=case.contact, verbal_consent=case.verbal)
    recipient = ORGANISATIONS[case.to] if case.to else None
    return judge_sending(case.event, sender, situation, recipient, case.said, at=NOW, regimes=case.regimes)


def told(case: Case) -> str:
    judged = judge(case)
    assert (judged.row is None) != (judged.bar is None)
    assert judged.recipient == case.to
    if judged.bar is not None:
        assert judged.sentence.startswith(SENTENCES[judged.bar])
        return judged.bar
    assert judged.row is not None
    return judged.row.id


def said(say: Say = Say.NO, /, **scope: object) -> tuple[Statement, ...]:
    about = Scope(**scope)  # type: ignore[arg-type]
    return (Statement("s1", about, say, NOW - timedelta(days=1), NOW - timedelta(days=1)),)


def of(*categories: Category) -> frozenset[Category]:
    return frozenset(categories)


RETURNING = of(Category.RETURN_MESSAGE)
ED = Case(ura=HOSPITAL, type="V4", role="01.071", department=SEH, regimes=EMERGENCY)
AMBULANCE = Case(ura=Ura("90000601"), type="AMB", role="30.000", regimes=EMERGENCY)
REFERRING = Case(event=REFERRAL, ura=GP, type="Z3", contact=None, to=HOSPITAL)

ROWS = {
    "RET-1": (Case(), "RET-1"),
    "RET-1 by a dispensing GP": (Case(role="01.004"), "RET-1"),
    "RET-1 under mandate": (
        Case(role="83.000", responsible=Responsible("900000002", "Testarts", "01.015")), "RET-1"),
    "RET-1 to nobody known yet": (Case(to=None), "RET-1"),
    "RET-1 of an undecided patient, no word of consent needed": (Case(said=()), "RET-1"),
    "RET-2 emergency department": (ED, "RET-2"),
    "RET-2 ambulance": (AMBULANCE, "RET-2"),
    "RET-2 ambulance after a visit without a ride": (AMBULANCE, "RET-2"),
    "REF-1 to a hospital": (REFERRING, "REF-1"),
    "REF-1 to a GP post": (replace(REFERRING, to=OTHER_POST), "REF-1"),
    "REF-1 needs no contact": (replace(REFERRING, contact=None), "REF-1"),
}  # fmt: skip

MISSING = {
    "RET-1 role": (Case(role="01.016"), Bar.NO_MANDATE),
    "RET-1 nobody acts": (Case(role=None), Bar.NO_MANDATE),
    "RET-1 mandate lapsed": (
        Case(role="83.000", responsible=Responsible("900000002", "Testarts", "01.015", NOW - timedelta(hours=1))),
        Bar.NO_MANDATE,
    ),
    "RET-1 no contact": (Case(contact=None), Bar.NO_TREATMENT_RELATION),
    "RET-1 contact to come": (
        Case(contact=replace(VISIT, start=NOW + timedelta(hours=1), end=None)), Bar.NO_TREATMENT_RELATION),
    "RET-2 regime off, department": (replace(ED, regimes=ALWAYS), Bar.NOT_AUTHORISED),
    "RET-2 regime off, ambulance": (replace(AMBULANCE, regimes=ALWAYS), Bar.NOT_AUTHORISED),
    "RET-2 not the emergency department": (replace(ED, department=None), Bar.NOT_AUTHORISED),
    "RET-2 department role": (replace(ED, role="30.000"), Bar.NO_MANDATE),
    "a GP practice sends no return message": (Case(ura=OTHER_GP, type="Z3"), Bar.NOT_AUTHORISED),
    "a pharmacy sends no return message": (Case(type="J8", role="17.075"), Bar.NOT_AUTHORISED),
    "REF-1 by a GP post": (replace(REFERRING, ura=POST, type="N6"), Bar.NOT_AUTHORISED),
    "REF-1 role": (replace(REFERRING, role="01.016"), Bar.NO_MANDATE),
    "revoked since": (Case(revoked=True), Bar.UNKNOWN_PARTY),
    "type not on the network": (Case(type="X9"), Bar.UNKNOWN_PARTY),
    "barred profession": (Case(role="01.008"), Bar.BARRED_PROFESSION),
    "an attestation that is not good": (
        Case(verbal=VerbalConsent("v1", GivenBy.PATIENT, NOW - timedelta(hours=73), "900000001")),
        Bar.BAD_ATTESTATION,
    ),
}  # fmt: skip

OBJECTIONS = {
    "names return messages": (Case(said=said(categories=RETURNING)), Bar.OBJECTION),
    "a withdrawn yes to return messages": (Case(said=said(Say.WITHDRAWN, categories=RETURNING)), Bar.OBJECTION),
    "names them among others": (
        Case(said=said(categories=of(Category.RETURN_MESSAGE, Category.MEDICATION))), Bar.OBJECTION),
    "emergency report too": (replace(ED, said=said(categories=RETURNING)), Bar.OBJECTION),
    "ambulance report too": (replace(AMBULANCE, said=said(categories=RETURNING)), Bar.OBJECTION),
    "of this practice": (Case(said=said(categories=RETURNING, custodian=GP)), Bar.OBJECTION),
    "of this sender's kind": (Case(said=said(categories=RETURNING, requesters=frozenset({"gp-care"}))), Bar.OBJECTION),
    "of this very sender": (Case(said=said(categories=RETURNING, requesters=frozenset({POST.digits}))), Bar.OBJECTION),
    "of all, with no GP known": (Case(to=None, said=said(categories=RETURNING)), Bar.OBJECTION),
    "in emergencies only, in one": (
        replace(ED, purpose=Purpose.ETREAT, said=said(categories=RETURNING, emergency_only=True)), Bar.OBJECTION),
    "to everything does not name return messages": (Case(said=said()), "RET-1"),
    "to everything of this practice neither": (Case(said=said(custodian=GP)), "RET-1"),
    "to the summary": (Case(said=said(categories=of(Category.GP_SUMMARY))), "RET-1"),
    "of another practice": (Case(said=said(categories=RETURNING, custodian=OTHER_GP)), "RET-1"),
    "of one practice, with no GP known": (Case(to=None, said=said(categories=RETURNING, custodian=GP)), "RET-1"),
    "of another kind of sender": (Case(said=said(categories=RETURNING, requesters=frozenset({"hospital"}))), "RET-1"),
    "of another sender": (
        Case(said=said(categories=RETURNING, requesters=frozenset({OTHER_POST.digits}))), "RET-1"),
    "in emergencies only, in none": (Case(said=said(categories=RETURNING, emergency_only=True)), "RET-1"),
    "taken back": (Case(said=said(Say.CLEARED, categories=RETURNING)), "RET-1"),
    "referral: to everything": (replace(REFERRING, said=said()), Bar.OBJECTION),
    "referral: to this hospital": (
        replace(REFERRING, said=said(requesters=frozenset({HOSPITAL.digits}))), Bar.OBJECTION),
    "referral: to hospitals": (replace(REFERRING, said=said(requesters=frozenset({"hospital"}))), Bar.OBJECTION),
    "referral: to this practice's summary": (
        replace(REFERRING, said=said(custodian=GP, categories=of(Category.GP_SUMMARY))), Bar.OBJECTION),
    "referral: to GP posts, sent to a hospital": (
        replace(REFERRING, said=said(requesters=frozenset({"gp-care"}))), "REF-1"),
    "referral: to GP posts, sent to one": (
        replace(REFERRING, to=OTHER_POST, said=said(requesters=frozenset({"gp-care"}))), Bar.OBJECTION),
    "referral: to another practice's data": (replace(REFERRING, said=said(custodian=OTHER_GP)), "REF-1"),
    "referral: to medication": (replace(REFERRING, said=said(categories=of(Category.MEDICATION))), "REF-1"),
    "referral: to return messages": (replace(REFERRING, said=said(categories=RETURNING)), "REF-1"),
    "referral: in emergencies only": (replace(REFERRING, said=said(emergency_only=True)), "REF-1"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("case", "outcome"),
    [*ROWS.values(), *MISSING.values(), *OBJECTIONS.values()],
    ids=[*ROWS, *MISSING, *(f"objection {name}" for name in OBJECTIONS)],
)
def test_the_judgement(case: Case, outcome: str) -> None:
    assert told(case) == outcome


ENDED_AGO = {
    "just": (timedelta(0), "RET-1"),
    "four days": (timedelta(days=4), "RET-1"),
    "thirty days": (timedelta(days=30), "RET-1"),
    "a second more": (timedelta(days=30, seconds=1), Bar.NO_TREATMENT_RELATION),
}


@pytest.mark.parametrize(("ago", "outcome"), ENDED_AGO.values(), ids=ENDED_AGO.keys())
@pytest.mark.parametrize("sender", [Case(), ED, AMBULANCE], ids=["post", "department", "ambulance"])
def test_a_contact_may_be_reported_for_thirty_days(sender: Case, ago: timedelta, outcome: str) -> None:
    row = "RET-1" if sender.type == "N6" else "RET-2"
    ended = Contact("c1", ContactKind.VISIT, NOW - ago - timedelta(hours=1), NOW - ago)
    assert told(replace(sender, contact=ended)) == (row if outcome == "RET-1" else outcome)


def test_the_exchanges_own_messages_are_nobodys_to_send() -> None:
    with pytest.raises(KeyError):
        judge(Case(event=MessageEvent.DISCLOSURE_NOTICE))


REFERRED = {
    "hospital": (ORGANISATIONS[HOSPITAL], True),
    "GP post": (ORGANISATIONS[OTHER_POST], True),
    "GP practice": (ORGANISATIONS[GP], False),
    "pharmacy": (Organisation(Ura("90000201"), "J8", "Test pharmacy"), False),
    "ambulance": (Organisation(Ura("90000601"), "AMB", "Test ambulance"), False),
    "type off the network": (Organisation(Ura("90000999"), "X9", "Stranger"), False),
    "nobody": (None, False),
}


@pytest.mark.parametrize(("to", "may"), REFERRED.values(), ids=REFERRED.keys())
def test_whom_a_referral_may_name(to: Organisation | None, may: bool) -> None:
    assert may_be_referred_to(to) is may


AT_GP = Address(GP, ApplicationId("1"), "https://127.0.0.1:1/fhir")
NO_LEAVE: dict[str, Callable[[], Leave]] = {
    "barred": lambda: Leave(judge(Case(said=said(categories=RETURNING))), AT_GP),
    "for another recipient": lambda: Leave(judge(Case(to=OTHER_GP)), AT_GP),
    "judged before the GP was known": lambda: Leave(judge(Case(to=None)), AT_GP),
    "a party's message without a row": lambda: Leave(Sending(RETURN, GP), AT_GP),
}


@pytest.mark.parametrize("take", NO_LEAVE.values(), ids=NO_LEAVE.keys())
def test_no_leave_to_deliver_without_a_judgement_for_this_recipient(take: Callable[[], Leave]) -> None:
    with pytest.raises(NotPermitted):
        take()


def test_leave_carries_what_permitted_it() -> None:
    leave = Leave(judge(Case()), AT_GP)
    assert (leave.event, leave.row and leave.row.id, leave.address) == (RETURN, "RET-1", AT_GP)
    notice = Leave(Sending(MessageEvent.DISCLOSURE_NOTICE, GP), AT_GP)
    assert notice.row is None
