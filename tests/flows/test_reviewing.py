"""Is every disclosure without a recorded choice looked at? Cases out of a real journal, verdicts, and what is late."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flow_country import HOSPITAL, PRACTICE, THEM, US, Country, summary

from gateway.flows import reviewing
from gateway.flows.query import ask
from gateway.flows.reviewing import NoVerdict
from gateway.rules.exchange import Capacity, Category, Regime
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event, Line
from gateway.rules.people import pseudonym
from gateway.rules.reviewing import DUE_IN, Verdict
from gateway.stores import journal, reviews
from gateway.stores.ledger import LedgerUnavailable
from gateway.stores.reviews import Waiting

WHO = "test-reviewer"


async def presumed(country: Country, patient: Bsn = US) -> None:
    """An emergency department sees an incapable patient's summary, who said yes to somebody else only."""
    await country.regime(Regime.EMERGENCY_AVAILABLE)
    await country.say(patient=patient, requesters={"gp-care"})
    await country.register(PRACTICE, Category.GP_SUMMARY, patient=patient)
    await ask(country.means, country.emergency(HOSPITAL, capacity=Capacity.INCAPABLE), summary(patient))


async def asked(country: Country, patient: Bsn = US) -> None:
    """An ordinary disclosure on consent: nothing to review."""
    await country.open(patient=patient)
    await ask(country.means, country.call(), summary(patient))


async def disclosures(country: Country) -> list[int]:
    return [kept.seq for kept in await country.lines() if kept.line.event is Event.DISCLOSED]


async def test_presumed_consent_is_a_case_and_recorded_consent_is_none(country: Country) -> None:
    await asked(country, THEM)
    await presumed(country)
    found = await reviewing.queue(country.means)
    (_plain, expected) = await disclosures(country)
    assert found.waiting == Waiting(open=1, overdue=0, closed=0)
    (one,) = found.cases
    assert (one.case.line, one.case.basis, one.overdue) == (expected, "presumed-consent", False)
    assert one.kept is not None
    assert one.kept.line.requester == HOSPITAL.ura


async def test_a_verdict_closes_the_case_and_the_patient_sees_that_it_was_reviewed(country: Country) -> None:
    await presumed(country)
    (line,) = await disclosures(country)
    await reviewing.queue(country.means)
    before = await country.forget()
    judged = await reviewing.judge(country.means, line, Verdict.IN_ORDER, "", by=WHO)
    assert judged is not None
    assert judged.verdict is Verdict.IN_ORDER
    assert (await reviewing.queue(country.means)).waiting == Waiting(0, 0, 1)
    (told,) = [kept.line for kept in await country.lines() if kept.seq > before]
    assert told.patient == country.means.keys.patient(US)
    assert told.fields["by"] == WHO
    assert str(Verdict.IN_ORDER) in str(list(told.fields.values()))


async def test_the_note_is_the_reviewers_and_never_the_journals(country: Country) -> None:
    await presumed(country)
    await reviewing.collect(country.means)
    (line,) = await disclosures(country)
    await reviewing.judge(country.means, line, Verdict.ASK, "why was nobody asked", by=WHO)
    assert "why was nobody asked" not in "".join(journal.text_of(kept.line) for kept in await country.lines())
    shown = await reviewing.case(country.means, line)
    assert shown is not None
    assert [one.note for one in shown.judgements] == ["why was nobody asked"]


@pytest.mark.parametrize("verdict", [Verdict.ASK, Verdict.NOT_IN_ORDER])
async def test_what_is_not_in_order_needs_words(country: Country, verdict: Verdict) -> None:
    await presumed(country)
    await reviewing.collect(country.means)
    (line,) = await disclosures(country)
    before = await country.forget()
    with pytest.raises(NoVerdict):
        await reviewing.judge(country.means, line, verdict, "  ", by=WHO)
    assert await country.forget() == before


async def test_a_case_is_late_after_seven_days_and_asking_does_not_stop_the_clock(country: Country) -> None:
    await presumed(country)
    await reviewing.collect(country.means)
    (line,) = await disclosures(country)
    await reviewing.judge(country.means, line, Verdict.ASK, "why?", by=WHO)
    country.tick(seconds=DUE_IN.total_seconds())
    assert await reviewing.overdue(country.means) == 0
    country.tick(seconds=1)
    assert await reviewing.overdue(country.means) == 1
    assert (await reviewing.queue(country.means)).cases[0].overdue
    await reviewing.judge(country.means, line, Verdict.NOT_IN_ORDER, "no answer", by=WHO)
    assert await reviewing.overdue(country.means) == 0


async def test_no_case_is_no_case(country: Country) -> None:
    await asked(country)
    (line,) = await disclosures(country)
    for number in (line, 10_000):
        assert await reviewing.judge(country.means, number, Verdict.IN_ORDER, "", by=WHO) is None
        assert await reviewing.case(country.means, number) is None


def _line(country: Country, basis: str) -> Line:
    patient = country.means.keys.patient(US)
    return Line(Event.DISCLOSED, country.now, country.now, None, patient, PRACTICE.ura, HOSPITAL.ura, {"basis": basis})


async def test_a_long_journal_is_taken_in_once_and_whole(country: Country) -> None:
    bases = ("consent", "presumed-consent", "verbal-consent")

    async def more(number: int) -> None:
        for start in range(0, number, 300):
            lines = [_line(country, bases[n % 3]) for n in range(start, min(start + 300, number))]
            await country.real_ledger.commit(lambda tx, lines=lines: [journal.append(tx, line) for line in lines])

    await more(900)
    assert await reviewing.collect(country.means) == 600
    assert await reviewing.collect(country.means) == 0
    await more(3)
    assert await reviewing.collect(country.means) == 2
    first = await reviewing.queue(country.means, limit=50)
    assert first.waiting.open == 602
    seen, after = list(first.cases), first.next
    while after is not None:
        page = await reviewing.queue(country.means, after=after, limit=50)
        seen, after = seen + list(page.cases), page.next
    expected = [kept.seq for kept in await country.lines() if kept.line.fields.get("basis") in bases[1:]]
    assert [one.case.line for one in seen] == expected


async def test_a_collector_that_fails_halfway_leaves_nothing_out(country: Country) -> None:
    lines = [_line(country, "presumed-consent") for _ in range(250)]
    await country.real_ledger.commit(lambda tx: [journal.append(tx, line) for line in lines])
    country.ledger.good_commits = 1
    with pytest.raises(LedgerUnavailable):
        await reviewing.collect(country.means)
    country.ledger.good_commits = None
    assert await country.real_ledger.read(reviews.mark) == 0
    await reviewing.collect(country.means)
    assert (await reviewing.queue(country.means)).waiting.open == 250


async def test_reviewers_see_a_pseudonym(country: Country) -> None:
    await presumed(country)
    ((shown,),) = [(await reviewing.queue(country.means)).cases]
    assert shown.kept is not None
    assert shown.kept.line.patient is not None
    assert US.digits not in pseudonym(shown.kept.line.patient)
    assert country.now - shown.case.disclosed < timedelta(minutes=1)
