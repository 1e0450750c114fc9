"""What do reviewers find again, and can two people open the same proposal? On SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.rules.exchange import Regime
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Line
from gateway.rules.network import RegimeSwitch
from gateway.rules.proposing import Ended, Proposal
from gateway.rules.reviewing import Judgement, Verdict
from gateway.stores import proposals, register, reviews
from gateway.stores.journal import Kept
from gateway.stores.ledger import Ledger, LedgerRefused
from gateway.stores.reviews import Waiting

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
CRISIS, EMERGENCY = Regime.CRISIS_OPT_IN, Regime.EMERGENCY_AVAILABLE


def disclosure(number: int, basis: str = "presumed-consent") -> Kept:
    at = NOON + number * DAY
    return Kept(number, Line(Event.DISCLOSED, at, at, requester=Ura("90000301"), fields={"basis": basis}))


def taken_in(ledger: Ledger, *numbers: int) -> int:
    return ledger.commit_now(lambda tx: reviews.take_in(tx, [disclosure(number) for number in numbers]))


def listed(ledger: Ledger, *, closed: bool = False, after: int = 0, limit: int = 50) -> list[int]:
    cases = ledger.read_now(lambda tx: reviews.listing(tx, closed=closed, after=after, limit=limit))
    return [case.line for case in cases]


def judge(ledger: Ledger, line: int, verdict: Verdict, note: str = "", who: str = "test-reviewer") -> None:
    ledger.commit_now(lambda tx: reviews.judge(tx, line, Judgement(verdict, note, who, NOON)))


def test_a_disclosure_is_one_case_however_often_it_is_taken_in(ledger: Ledger) -> None:
    assert taken_in(ledger, 3, 1) == 2
    assert taken_in(ledger, 3, 2) == 1
    assert listed(ledger) == [1, 2, 3]
    found = ledger.read_now(lambda tx: reviews.find(tx, 3))
    assert found is not None
    assert (found.basis, found.disclosed, found.verdict) == ("presumed-consent", NOON + 3 * DAY, None)


def test_open_cases_come_oldest_first_and_closed_ones_newest_first(ledger: Ledger) -> None:
    taken_in(ledger, *range(1, 7))
    for line in (2, 4, 6):
        judge(ledger, line, Verdict.IN_ORDER)
    assert (listed(ledger, limit=2), listed(ledger, after=3)) == ([1, 3], [5])
    assert (listed(ledger, closed=True, limit=2), listed(ledger, closed=True, after=4)) == ([6, 4], [2])


def test_asking_leaves_a_case_open_and_every_verdict_stays(ledger: Ledger) -> None:
    taken_in(ledger, 1)
    judge(ledger, 1, Verdict.ASK, "why?", "test-one")
    assert listed(ledger) == [1]
    judge(ledger, 1, Verdict.NOT_IN_ORDER, "no answer", "test-two")
    assert listed(ledger) == []
    judge(ledger, 1, Verdict.ASK, "again", "test-one")
    assert listed(ledger) == [1], "the newest verdict counts"
    told = ledger.read_now(lambda tx: reviews.judgements(tx, 1))
    assert [(one.verdict, one.note, one.who, one.at) for one in told] == [
        (Verdict.ASK, "why?", "test-one", NOON),
        (Verdict.NOT_IN_ORDER, "no answer", "test-two", NOON),
        (Verdict.ASK, "again", "test-one", NOON),
    ]


def test_nobody_judges_what_is_no_case(ledger: Ledger) -> None:
    with pytest.raises(LedgerRefused):
        judge(ledger, 7, Verdict.IN_ORDER)


def test_what_waits_is_counted_with_what_is_late(ledger: Ledger) -> None:
    taken_in(ledger, 1, 2, 3, 4)
    judge(ledger, 1, Verdict.IN_ORDER)
    judge(ledger, 2, Verdict.ASK, "why?")
    told = ledger.read_now(lambda tx: reviews.waiting(tx, NOON + 4 * DAY))
    assert told == Waiting(open=3, overdue=2, closed=1)


def test_the_mark_never_goes_back(ledger: Ledger) -> None:
    for number, expected in ((5, 5), (3, 5), (8, 8)):
        ledger.commit_now(lambda tx, n=number: reviews.set_mark(tx, n))
        assert ledger.read_now(reviews.mark) == expected


# --- proposals -------------------------------------------------------------------------------------------------------


def proposed(ledger: Ledger, regime: Regime = CRISIS, who: str = "test-one") -> Proposal | None:
    return ledger.commit_now(lambda tx: proposals.put(tx, regime, until=NOON + DAY, reason="a drill", who=who, at=NOON))


def test_a_regime_has_one_open_proposal_at_a_time(ledger: Ledger) -> None:
    first = proposed(ledger)
    assert first == Proposal(1, CRISIS, NOON + DAY, "a drill", "test-one", NOON, after=0)
    assert proposed(ledger, who="test-two") is None
    other = proposed(ledger, EMERGENCY)
    assert ledger.read_now(proposals.open_ones) == [first, other]


def test_a_settled_proposal_is_gone_and_makes_room(ledger: Ledger) -> None:
    proposed(ledger)
    settle = [
        ledger.commit_now(lambda tx: proposals.settle(tx, 1, Ended.REFUSED, by="test-two", at=NOON)) for _ in range(2)
    ]
    assert settle == [True, False]
    assert ledger.read_now(lambda tx: proposals.find(tx, 1)) is None
    again = proposed(ledger)
    assert again is not None
    assert again.id == 2


def test_a_proposal_knows_which_switch_was_the_newest(ledger: Ledger) -> None:
    for regime in (CRISIS, EMERGENCY):
        ledger.commit_now(lambda tx, r=regime: register.switch(tx, RegimeSwitch(r, True, NOON, "test-one", "x")))
    numbers = [ledger.read_now(lambda tx, r=regime: proposals.newest_switch(tx, r)) for regime in Regime]
    assert dict(zip(Regime, numbers, strict=True)) == {Regime.REGULAR: 0, CRISIS: 1, EMERGENCY: 2}
    made = proposed(ledger)
    assert made is not None
    assert made.after == 1
