"""How does a query go when nothing moves meanwhile? The journal line by line, for every outcome a source can have."""

from __future__ import annotations

import asyncio

import pytest
from flow_country import (
    HOSPITAL,
    PHARMACY,
    POST,
    POST_2,
    PRACTICE,
    PRACTICE_2,
    US,
    Country,
    limits,
    summary,
)
from transcript import transcript
from watched import answer

from gateway.flows.query import ask
from gateway.rules.exchange import (
    Category,
    Completeness,
    ContactKind,
    Failing,
    Failure,
    Flag,
    Purpose,
    Regime,
)
from gateway.rules.identifiers import Ura

CRISIS, EMERGENCY = Regime.CRISIS_OPT_IN, Regime.EMERGENCY_AVAILABLE


async def test_a_permitted_query_is_decided_disclosed_and_answered(country: Country) -> None:
    await country.open()
    before = await country.forget()
    combined = await ask(country.means, country.call(), summary())
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 REG-1 consent",
        "disclosed 90000101 REG-1 covering consent x1",
        "query-answered complete, 90000101 answered",
    ]
    assert [leg.outcome for leg in combined.legs] == [answer("1")]
    assert combined.completeness is Completeness.COMPLETE
    assert combined.flags == ()


async def test_the_decision_is_durable_before_the_source_is_asked(country: Country) -> None:
    await country.open()
    before = await country.forget()
    seen: list[list[str]] = []

    async def look() -> None:
        seen.append(await transcript(country, before))

    country.door.during[PRACTICE.ura] = look
    await ask(country.means, country.call(), summary())
    assert seen == [["query-decided gp-summary: 90000101 REG-1 consent"]]


async def test_what_a_source_is_told(country: Country) -> None:
    await country.open()
    call = country.call()
    await ask(country.means, call, summary())
    (asked,) = country.door.asked
    assert asked.query == summary()
    assert asked.address.endpoint == PRACTICE.endpoint
    assert asked.aorta.initial == call.aorta.initial
    assert asked.aorta.request != call.aorta.request
    assert asked.token == f"voucher REG-1 {asked.aorta.request}"
    (disclosed,) = [k.line for k in await country.lines() if k.line.event == "disclosed"]
    assert disclosed.fields["source_request"] == asked.aorta.request
    assert disclosed.patient == country.means.keys.patient(US)
    assert disclosed.requester == POST.ura


async def test_two_sources_are_asked_at_once(country: Country) -> None:
    await country.open(PRACTICE)
    await country.open(PRACTICE_2)
    both = asyncio.Barrier(2)

    async def together() -> None:
        async with asyncio.timeout(2):
            await both.wait()

    country.door.during = {PRACTICE.ura: together, PRACTICE_2.ura: together}
    country.door.answers[PRACTICE_2.ura] = answer("1", "2")
    before = await country.forget()
    combined = await ask(country.means, country.call(), summary())
    assert [leg.matches for leg in combined.legs] == [1, 2]
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 REG-1 consent; 90000102 REG-1 consent",
        "disclosed 90000101 REG-1 covering consent x1",
        "disclosed 90000102 REG-1 covering consent x2",
        "query-answered complete, 90000101 answered, 90000102 answered",
    ]


def _failed(failing: Failing) -> Failure:
    return Failure(failing, "test")


PARTIAL = {
    "timed out": (_failed(Failing.TIMED_OUT), "timed-out", Completeness.PARTIAL),
    "refused": (_failed(Failing.REFUSED), "refused", Completeness.PARTIAL),
    "unreachable": (_failed(Failing.UNREACHABLE), "unreachable", Completeness.PARTIAL),
    "malformed": (_failed(Failing.MALFORMED), "malformed", Completeness.PARTIAL),
    "wrong patient": (_failed(Failing.WRONG_PATIENT), "wrong-patient", Completeness.PARTIAL),
    "withheld": (_failed(Failing.WITHHELD), "withheld", Completeness.PARTIAL),
    "refused for consent": (_failed(Failing.NO_CONSENT), "no-consent", Completeness.COMPLETE),
    "empty": (answer(), "answered", Completeness.COMPLETE),
}


@pytest.mark.parametrize("case", PARTIAL)
async def test_one_source_fails_and_the_other_still_arrives(country: Country, case: str) -> None:
    outcome, told, completeness = PARTIAL[case]
    await country.open(PRACTICE)
    await country.open(PRACTICE_2)
    country.door.answers[PRACTICE_2.ura] = outcome
    before = await country.forget()
    combined = await ask(country.means, country.call(), summary())
    assert await transcript(country, before) == [
        "query-decided gp-summary: 90000101 REG-1 consent; 90000102 REG-1 consent",
        "disclosed 90000101 REG-1 covering consent x1",
        f"query-answered {completeness}, 90000101 answered, 90000102 {told}",
    ]
    shown = [leg.address.ura for leg in combined.legs]
    assert shown == ([PRACTICE.ura] if case == "refused for consent" else [PRACTICE.ura, PRACTICE_2.ura])


async def test_a_source_that_paged_is_delivered_and_told_truncated(country: Country) -> None:
    await country.open()
    country.door.answers[PRACTICE.ura] = answer("1", "2", truncated=True)
    before = await country.forget()
    combined = await ask(country.means, country.call(), summary())
    assert combined.completeness is Completeness.PARTIAL
    assert (await transcript(country, before))[1:] == [
        "disclosed 90000101 REG-1 covering consent x2",
        "query-answered partial, 90000101 truncated",
    ]


WHOLLY = {
    "all timed out": (Failing.TIMED_OUT, Failing.TIMED_OUT, Failing.TIMED_OUT),
    "one timed out, one malformed": (Failing.TIMED_OUT, Failing.MALFORMED, Failing.MALFORMED),
    "all refused": (Failing.REFUSED, Failing.REFUSED, Failing.REFUSED),
    "one timed out, one neutral": (Failing.TIMED_OUT, Failing.NO_CONSENT, Failing.TIMED_OUT),
}


@pytest.mark.parametrize("case", WHOLLY)
async def test_when_nobody_answers_the_search_fails_and_nothing_is_disclosed(country: Country, case: str) -> None:
    one, other, reason = WHOLLY[case]
    await country.open(PRACTICE)
    await country.open(PRACTICE_2)
    country.door.answers = {PRACTICE.ura: _failed(one), PRACTICE_2.ura: _failed(other)}
    before = await country.forget()
    combined = await ask(country.means, country.call(), summary())
    assert combined.wholly_failed is reason
    assert combined.completeness is Completeness.NONE
    assert (await transcript(country, before))[1:] == [f"query-failed {reason}, 90000101 {one}, 90000102 {other}"]


async def test_a_withheld_source_alone_is_no_failure(country: Country) -> None:
    await country.open()
    country.door.answers[PRACTICE.ura] = _failed(Failing.WITHHELD)
    combined = await ask(country.means, country.call(), summary())
    assert combined.wholly_failed is None
    assert combined.completeness is Completeness.PARTIAL


async def test_an_entry_without_an_endpoint_is_unreachable_and_nobody_is_asked(country: Country) -> None:
    await country.open()
    await country.move(PRACTICE, "")
    await country.real_ledger.commit(lambda tx: tx.run("UPDATE system SET endpoint = NULL WHERE application = '101'"))
    country.means.live.forget()
    combined = await ask(country.means, country.call(), summary())
    assert combined.wholly_failed is Failing.UNREACHABLE
    assert country.door.asked == []


async def test_two_sources_that_contradict_each_other_on_limits_are_both_shown_and_flagged(country: Country) -> None:
    await country.regime(EMERGENCY)
    for practice, says in ((PRACTICE, "permit"), (PRACTICE_2, "deny")):
        await country.open(practice, Category.TREATMENT_LIMITS)
        country.door.answers[practice.ura] = answer("1", limits=frozenset({("89666000", says)}))
    combined = await ask(country.means, country.emergency(), limits())
    assert len(combined.legs) == 2
    assert combined.flags == (Flag.CONTRADICTORY_LIMITS,)


# --- the deadline ----------------------------------------------------------------------------------------------------

DEADLINES: dict[str, tuple[bool, float | None, float]] = {
    "routine": (False, None, 8.0),
    "emergency": (True, None, 4.0),
    "routine, the caller wishes less": (False, 2.0, 2.0),
    "routine, the caller wishes more": (False, 60.0, 8.0),
    "emergency, the caller wishes more": (True, 6.0, 4.0),
}


@pytest.mark.parametrize("case", DEADLINES)
async def test_which_deadline_a_source_gets(country: Country, case: str) -> None:
    emergency, wish, seconds = DEADLINES[case]
    await country.open()
    contact = country.contact(ContactKind.TRIAGE)
    purpose = Purpose.ETREAT if emergency else Purpose.TREAT
    started = asyncio.get_running_loop().time()
    await ask(country.means, country.call(contact=contact, purpose=purpose), summary(), wish)
    taken = asyncio.get_running_loop().time() - started
    given = country.door.asked[0].deadline - started
    kept = country.means.deadlines.release
    assert seconds - kept <= given <= seconds - kept + taken


def test_the_numbers_of_test_organisations_are_distinct() -> None:
    assert len({Ura(one.ura.digits) for one in (PRACTICE, PRACTICE_2, PHARMACY, POST, POST_2, HOSPITAL)}) == 6
