"""May this message go to this recipient now? Asked before it is accepted, and again at every attempt to deliver.

The rows RET and REF through the one evaluator; a notice of the exchange itself needs no row. Pure; time is an argument.
Source: domain.md sections 4 and 6, interface.md section 7 "Delivery".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.rules import consent
from gateway.rules.access import Bar, NotPermitted, admit, refusal
from gateway.rules.choice import ConsentState, Statement
from gateway.rules.exchange import (
    GROUP_OF,
    ORGANISATION_TYPES,
    Address,
    Category,
    Kind,
    Regime,
    Requester,
    Situation,
)
from gateway.rules.facts import gather
from gateway.rules.identifiers import Ura
from gateway.rules.message import ACTION_OF, MessageEvent
from gateway.rules.network import Organisation
from gateway.rules.table import Row

REFERRED_TO = frozenset({Kind.HOSPITAL, Kind.GP_POST})
"""Whom a referral may name (row REF-1)."""


@dataclass(frozen=True, slots=True)
class Sending:
    """The judgement on one message to one recipient: `row` permits, or `bar` says why not in `sentence`. Neither: a
    notice of the exchange itself."""

    event: MessageEvent
    recipient: Ura | None
    row: Row | None = None
    bar: Bar | None = None
    sentence: str = ""


def judge_sending(
    event: MessageEvent,
    sender: Requester,
    situation: Situation,
    recipient: Organisation | None,
    statements: Iterable[Statement],
    *,
    at: datetime,
    regimes: frozenset[Regime],
) -> Sending:
    """Judge a party's message. `recipient` None: the GP of record is not known (yet); what is objected to for every
    custodian still counts. Raises KeyError for an event no party may send."""
    facts = gather(sender, situation, ACTION_OF[event], None, at=at, regimes=regimes, attestation_bound_elsewhere=False)
    admission = admit(facts)
    to = recipient.ura if recipient else None
    if admission.bar is not None:
        return Sending(event, to, bar=admission.bar, sentence=refusal(admission, admission.bar))
    asked = _asked(event, sender, recipient, emergency=facts.emergency)
    if consent.state(statements, asked, at) is ConsentState.DENIED:
        return Sending(event, to, bar=Bar.OBJECTION, sentence=refusal(admission, Bar.OBJECTION))
    return Sending(event, to, row=admission.rows[0])


def _asked(event: MessageEvent, sender: Requester, recipient: Organisation | None, *, emergency: bool) -> consent.Asked:
    """A return message goes from the sender into the recipient's record; a referral tells the recipient what the sender
    knows. Without a recipient the sender stands in as custodian: it holds nothing there, so only what is said of all
    custodians covers it."""
    if event is MessageEvent.REFERRAL and recipient is not None:
        kind = ORGANISATION_TYPES.get(recipient.organisation_type)
        return consent.Asked(
            custodian=sender.ura,
            category=Category.GP_SUMMARY,
            requester=recipient.ura,
            group=GROUP_OF[kind] if kind else None,
            emergency=emergency,
        )
    return consent.Asked(
        custodian=recipient.ura if recipient else sender.ura,
        category=Category.RETURN_MESSAGE,
        requester=sender.ura,
        group=GROUP_OF[sender.kind] if sender.kind else None,
        emergency=emergency,
    )


def may_be_referred_to(recipient: Organisation | None) -> bool:
    """Whether a referral may name this organisation: a hospital or GP post on the network."""
    return recipient is not None and ORGANISATION_TYPES.get(recipient.organisation_type) in REFERRED_TO


class Leave:
    """Leave to deliver one message to one address, once. Can only be made from a judgement without a bar, so that no
    attempt, the first or the hundredth, can skip the rule. Raises NotPermitted."""

    __slots__ = ("address", "event", "row")

    def __init__(self, judged: Sending, address: Address) -> None:
        if judged.bar is not None or judged.recipient != address.ura:
            raise NotPermitted("only a judgement without a bar, on this recipient, gives leave to deliver")
        if judged.row is None and judged.event in ACTION_OF:
            raise NotPermitted("a party's message needs a row that permits it")
        self.event: MessageEvent = judged.event
        self.row: Row | None = judged.row
        self.address: Address = address
