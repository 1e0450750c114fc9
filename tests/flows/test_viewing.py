"""Does the operator see what the journal holds, each line once, and a decision told again as it was made?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from flow_country import (
    AMBULANCE,
    ASSISTANT,
    GP,
    HOSPITAL,
    PHARMACY,
    POST,
    PRACTICE,
    PRACTICE_2,
    US,
    Country,
    medication,
    summary,
)
from hypothesis import given
from hypothesis import strategies as st
from watched import WatchedLedger

from gateway.flows import localise, query, retelling, routing_log
from gateway.flows.tallying import Durations, Standing, Tally
from gateway.flows.viewing import Lookout
from gateway.rules.access import Bar
from gateway.rules.choice import Say
from gateway.rules.exchange import Capacity, Category, Failing, Failure, GivenBy, Kind, Purpose, Regime, Responsible
from gateway.rules.finding import Outcome, Search
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Line
from gateway.rules.table import ROWS
from gateway.stores import journal
from gateway.stores.journal import Kept
from gateway.stores.ledger import LedgerUnavailable

AT = datetime(2026, 11, 22, 2, 0, 30, tzinfo=UTC)


# --- counting --------------------------------------------------------------------------------------------------------


def kept(event: Event, *, minutes_ago: float = 0, seq: int = 1, **fields: Any) -> Kept:
    wall = AT - timedelta(minutes=minutes_ago)
    return Kept(seq, Line(event, at=wall, wall=wall, fields={"organisation_type": "N6", **fields}))


def leg(outcome: str = "answered", ms: float = 10, custodian: str = "90000101", **more: Any) -> dict[str, Any]:
    return {"custodian": custodian, "system": "101", "outcome": outcome, "ms": ms, **more}


def answered(*legs: dict[str, Any], completeness: str = "complete", **more: Any) -> Kept:
    ms = max((one["ms"] for one in legs), default=0)
    given = {"legs": list(legs), "completeness": completeness, "dropped": [], "ms": ms} | more
    return kept(Event.QUERY_ANSWERED, **given)


def tallied(*lines: Kept) -> Tally:
    tally = Tally()
    for one in lines:
        tally.count(one)
    return tally


COUNTED = {
    "permitted": (answered(leg()), Outcome.PERMITTED),
    "nobody was asked": (answered(), Outcome.NEUTRAL),
    "one source missing": (answered(leg(), leg("timed-out"), completeness="partial"), Outcome.PARTIAL),
    "refused": (kept(Event.QUERY_REFUSED, reason="no-cover"), Outcome.REFUSED),
    "turned away at the door": (kept(Event.CALL_REFUSED, reason="bad-token"), Outcome.REFUSED),
    "failed": (kept(Event.QUERY_FAILED, legs=[leg("timed-out")], reason="timed-out"), Outcome.FAILED),
    "localised": (kept(Event.LOCALISED, shown=2, decisions=[]), Outcome.PERMITTED),
}


@pytest.mark.parametrize("case", COUNTED)
def test_each_call_counts_once_under_its_outcome(case: str) -> None:
    line, outcome = COUNTED[case]
    totals = tallied(line).totals(AT, timedelta(hours=1))
    assert dict(totals.calls) == {(Kind.GP_POST, outcome): 1}


NOT_CALLS = (Event.QUERY_DECIDED, Event.DISCLOSED, Event.TOKEN_ISSUED, Event.ENTRY_REGISTERED, Event.MESSAGE_ACCEPTED)


@pytest.mark.parametrize("event", NOT_CALLS)
def test_what_is_only_part_of_a_call_or_none_is_not_counted(event: Event) -> None:
    assert tallied(kept(event)).totals(AT, timedelta(hours=1)).number == 0


def test_a_minute_falls_into_its_slot_and_out_of_the_hour() -> None:
    tally = tallied(kept(Event.QUERY_REFUSED, minutes_ago=59))
    slots = tally.slots(AT, timedelta(minutes=1), 60)
    assert [sum(slot.calls.values()) for slot in slots] == [1] + [0] * 59
    assert slots[0].start == datetime(2026, 11, 22, 1, 1, tzinfo=UTC)
    assert tally.totals(AT, timedelta(hours=1)).number == 1
    late = tallied(kept(Event.QUERY_REFUSED, minutes_ago=60))
    assert sum(sum(slot.calls.values()) for slot in late.slots(AT, timedelta(minutes=1), 60)) == 0
    assert late.totals(AT, timedelta(hours=1)).number == 0


def test_a_day_s_slots_hold_ten_minutes_each() -> None:
    tally = tallied(*(kept(Event.QUERY_REFUSED, minutes_ago=at) for at in (0, 1, 11, 1430)))
    counts = [sum(slot.calls.values()) for slot in tally.slots(AT, timedelta(minutes=10), 144)]
    assert (counts[-3:], counts[0], sum(counts)) == ([1, 1, 1], 1, 4)


def test_the_emergency_share_counts_what_was_judged_once() -> None:
    totals = tallied(
        kept(Event.QUERY_DECIDED, purpose="ETREAT"),
        kept(Event.QUERY_DECIDED, purpose="TREAT"),
        kept(Event.QUERY_REFUSED, purpose="ETREAT", reason="no-emergency"),
        # written beside a decision that was counted already
        kept(Event.QUERY_REFUSED, purpose="ETREAT", reason="verbal-consent-required"),
    ).totals(AT, timedelta(hours=1))
    assert (totals.emergencies, totals.asked) == (2, 3)


def legs_of(*outcomes: str, detail: str = "") -> list[Kept]:
    return [answered(leg(one, detail=detail), completeness="partial", seq=at) for at, one in enumerate(outcomes, 1)]


STANDING: dict[str, tuple[list[Kept], Standing]] = {
    "answers": (legs_of(*["answered"] * 3), Standing.WELL),
    "one failure": (legs_of("answered", "timed-out", "answered"), Standing.FALTERING),
    "five of ten failed, the last one too": (legs_of(*["answered"] * 5, *["unreachable"] * 5), Standing.BROKEN),
    "four of ten": (legs_of(*["answered"] * 6, *["malformed"] * 4), Standing.FALTERING),
    "five failed, then it answered": (legs_of(*["timed-out"] * 5, "answered"), Standing.FALTERING),
    "failures longer ago than ten calls": (legs_of(*["timed-out"] * 5, *["answered"] * 10), Standing.WELL),
    "withholding is no failure": (legs_of(*["withheld"] * 6), Standing.WELL),
    "refusing us is none either": (legs_of(*["refused"] * 6, detail="status 404"), Standing.WELL),
    "a server error is": (legs_of(*["refused"] * 6, detail="status 503"), Standing.BROKEN),
}


@pytest.mark.parametrize("case", STANDING)
@pytest.mark.parametrize("order", ["as written", "newest first"])
def test_a_source_stands_as_its_last_calls_say(case: str, order: str) -> None:
    lines, expected = STANDING[case]
    (health,) = tallied(*(lines if order == "as written" else reversed(lines))).sources(AT)
    assert health.standing is expected


def test_a_source_tells_of_its_last_hour_and_its_last_good_answer() -> None:
    tally = tallied(
        answered(leg(ms=10), minutes_ago=200, seq=1),
        answered(leg("timed-out", 4000), minutes_ago=5, seq=2, completeness="none"),
    )
    (health,) = tally.sources(AT)
    assert dict(health.outcomes) == {"timed-out": 1}
    assert (health.failed, health.last_good) == (1, datetime(2026, 11, 21, 22, 40, tzinfo=UTC))


def test_the_worst_source_comes_first() -> None:
    tally = tallied(
        *legs_of("answered"),
        *(answered(leg("unreachable", custodian="90000102"), seq=at) for at in range(10, 16)),
        *(answered(leg("timed-out", custodian="90000103"), seq=at) for at in range(20, 22)),
    )
    assert [one.custodian for one in tally.sources(AT)] == ["90000102", "90000103", "90000101"]


def test_what_is_older_than_a_day_is_forgotten() -> None:
    tally = tallied(answered(leg(), minutes_ago=24 * 60 + 5), answered(leg(custodian="90000102")))
    tally.forget_before(AT)
    assert [one.custodian for one in tally.sources(AT)] == ["90000102"]
    assert tally.totals(AT, timedelta(hours=48)).number == 1


@given(st.lists(st.floats(min_value=0.2, max_value=60_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 1]))
def test_a_percentile_is_at_most_five_per_cent_off(durations: list[float], share: float) -> None:
    counted = Durations()
    for one in durations:
        counted.add(one)
    ranked = sorted(durations)
    truth = next(one for at, one in enumerate(ranked, 1) if at >= share * len(ranked) - 1e-9)
    told = counted.percentile(share)
    assert told is not None
    assert abs(told / truth - 1) < 0.051


# --- following -------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def lookout(country: Country) -> AsyncIterator[Lookout]:
    opened = Lookout(country.means)
    yield opened
    await opened.end()


async def written(country: Country, number: int, **ago: float) -> None:
    wall = country.now - timedelta(**ago)
    line = Line(Event.CALL_REFUSED, at=wall, wall=wall, requester=POST.ura, fields={"organisation_type": "N6"})
    await country.real_ledger.commit(lambda tx: [journal.append(tx, line) for _ in range(number)])


async def until_whole(lookout: Lookout) -> None:
    async with asyncio.timeout(5):
        while not lookout.whole:
            await asyncio.sleep(0.01)


async def test_a_day_is_counted_back_and_every_line_once(country: Country, lookout: Lookout) -> None:
    await written(country, 700, hours=30)
    await written(country, 900, hours=2)
    await written(country, 30, minutes=5)
    await lookout.begin()
    await written(country, 40)
    await until_whole(lookout)
    await lookout.look()
    now = await lookout.now()
    assert now.whole
    assert sum(sum(slot.calls.values()) for slot in now.day) == 970
    assert now.totals.number == 70
    assert lookout.newest == await country.forget()


async def test_news_come_in_order_without_gap_or_double(country: Country, lookout: Lookout) -> None:
    await written(country, 5)
    await lookout.begin()
    seen: list[int] = []

    async def watch() -> None:
        after = lookout.newest
        while len(seen) < 1000:
            lines = await lookout.news(after, patience=2)
            seen.extend(one.seq for one in lines)
            after = lines[-1].seq if lines else after

    async def others() -> None:
        for _ in range(100):
            await written(country, 10)
            await asyncio.sleep(0)

    first = lookout.newest
    async with asyncio.timeout(10):
        await asyncio.gather(watch(), others())
    assert seen == list(range(first + 1, first + 1001))


async def test_who_is_far_behind_reads_the_ledger_and_misses_nothing(country: Country, lookout: Lookout) -> None:
    await written(country, 5000)
    await lookout.begin()
    after, seen = 0, 0
    while lines := await lookout.news(after, patience=0):
        assert [one.seq for one in lines] == list(range(after + 1, after + 1 + len(lines)))
        after, seen = lines[-1].seq, seen + len(lines)
    assert seen == 5000


async def test_nothing_new_is_waited_for_and_then_said(country: Country, lookout: Lookout) -> None:
    await lookout.begin()
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await lookout.news(lookout.newest, patience=0.1) == []
    assert loop.time() - began >= 0.09


async def test_a_number_from_the_future_waits_and_gives_nothing(country: Country, lookout: Lookout) -> None:
    await written(country, 3)
    await lookout.begin()
    assert await lookout.news(1000, patience=0.05) == []


class Stumbling(WatchedLedger):
    """A ledger whose reads fail so many times."""

    stumbles = 0

    async def read(self, unit: Any, *, single: bool = False) -> Any:
        if self.stumbles:
            self.stumbles -= 1
            raise LedgerUnavailable("locked")
        return await super().read(unit, single=single)


async def test_a_ledger_that_fails_for_a_while_ends_nothing(country: Country) -> None:
    ledger = Stumbling(country.real_ledger)
    lookout = Lookout(replace(country.means, ledger=ledger))  # type: ignore[arg-type]
    await lookout.begin()
    ledger.stumbles = 2
    await written(country, 4)
    async with asyncio.timeout(5):
        while lookout.newest < 4:
            await asyncio.sleep(0.05)
    await lookout.end()
    assert ledger.stumbles == 0
    assert lookout.tally.totals(country.now, timedelta(hours=1)).number == 4


async def test_it_rests_when_nobody_looks_and_counts_anew_for_who_does(country: Country) -> None:
    ledger = WatchedLedger(country.real_ledger)
    lookout = Lookout(replace(country.means, ledger=ledger), rest=0.2)  # type: ignore[arg-type]
    await written(country, 300, minutes=5)
    assert (await lookout.now()).totals.number >= 256, "what is newest is counted at once"
    async with asyncio.timeout(5):
        while lookout.tally.totals(country.now, timedelta(hours=1)).number:
            await asyncio.sleep(0.05)
    asked = ledger.counts["read"]
    await asyncio.sleep(0.6)
    assert ledger.counts["read"] == asked, "it rests"
    await written(country, 7, minutes=1)
    await lookout.begin()
    await until_whole(lookout)
    assert (await lookout.now()).totals.number == 307
    await lookout.end()


async def test_undelivered_messages_are_counted_by_age(country: Country, lookout: Lookout) -> None:
    """Nobody's GP of record: both are parked, and visible."""
    await country.send("m-1")
    country.tick(minutes=3)
    await country.send("m-2")
    country.tick(seconds=30)
    now = await lookout.now()
    assert list(now.ages) == [1, 1, 0, 0, 0]
    country.tick(days=2)
    assert list((await lookout.now()).ages) == [0, 0, 0, 0, 2]


# --- the log's rows --------------------------------------------------------------------------------------------------


async def test_a_row_tells_routing_and_never_a_patient(country: Country) -> None:
    await country.open()
    country.door.answers[PRACTICE.ura] = Failure(Failing.TIMED_OUT, "no whole answer in time")
    await query.ask(country.means, country.call(), summary())
    page = await routing_log.page(country.means, Search(event=Event.QUERY_FAILED), before=None, limit=10)
    (row,) = page.lines
    assert (row.organisation, row.kind, row.category) == ("90000301", Kind.GP_POST, Category.GP_SUMMARY)
    assert (row.outcome, row.reasons) == (Outcome.FAILED, ("timed-out",))
    assert [(part.custodian, part.outcome) for part in row.parts] == [("90000101", "timed-out")]
    told = repr(page)
    assert US.digits not in told
    assert country.means.keys.patient(US).hex() not in told


NAMED = {
    "its number": ("90000301", POST.ura),
    "its number without the zeros": ("301", Ura("00000301")),
    "part of its name": ("practice of b", Ura("90000102")),
    "part of two names": ("practice", None),
    "nobody's name": ("nowhere", None),
    "digits of another script": ("٩٠", None),
}


@pytest.mark.parametrize("case", NAMED)
def test_an_organisation_is_found_by_number_or_by_a_name_that_is_its_own(case: str) -> None:
    names = {Ura("90000101"): "Test Practice of A", Ura("90000102"): "Test Practice of B"}
    text, expected = NAMED[case]
    assert routing_log.ura_named(names, text) == expected


# --- a decision told again -------------------------------------------------------------------------------------------


async def told_again(country: Country) -> retelling.Retold:
    """The last decision in the journal, told again from its chain."""
    lines = [one for one in await country.lines() if one.line.event in retelling._JUDGING and one.line.aorta]
    aorta = lines[-1].line.aorta
    assert aorta is not None
    chain = await retelling.chain(country.means, aorta.initial)
    assert chain is not None
    return chain.retold[-1]


CALLS: dict[str, dict[str, Any]] = {
    "open": {},
    "no cover": {"cover": False},
    "no contact": {"contact": None},
    "an assistant without mandate": {"role": ASSISTANT},
    "an assistant under mandate": {"role": ASSISTANT, "responsible": Responsible("000000002", "Test GP", GP)},
    "a company doctor": {"role": "01.008"},
    "a pharmacy": {"of": PHARMACY, "role": "17.000"},
    "asked on the spot": {"verbal": GivenBy.PATIENT},
    "asked on the spot, incapable": {"verbal": GivenBy.PATIENT, "capacity": Capacity.INCAPABLE},
    "incapable": {"capacity": Capacity.INCAPABLE},
    "an emergency department": {"emergency": HOSPITAL},
    "an ambulance": {"emergency": AMBULANCE, "role": "80.000"},
}


def call_of(country: Country, told: dict[str, Any]) -> Any:
    told = dict(told)
    if "verbal" in told:
        told["verbal_consent"] = country.verbal(told.pop("verbal"))
    if "emergency" in told:
        of = told.pop("emergency")
        return country.emergency(of, **told) if told else country.emergency(of)
    return country.call(told.pop("of", POST), told.pop("role", GP), **told)


@pytest.mark.parametrize("regime", [None, Regime.CRISIS_OPT_IN, Regime.EMERGENCY_AVAILABLE])
@pytest.mark.parametrize("patient", ["open", "objects", "says nothing"])
@pytest.mark.parametrize("case", CALLS)
async def test_what_was_decided_is_told_again_and_holds(
    country: Country, case: str, patient: str, regime: Regime | None
) -> None:
    await country.open()
    if patient == "objects":
        await country.say(Say.NO, None)
    if patient == "says nothing":
        await country.say(Say.NO, PRACTICE, requesters={"pharmacy"})
        await country.say(Say.YES, PRACTICE, requesters={"ambulance"}, patient=US)
    if regime:
        await country.regime(regime)
    await query.ask(country.means, call_of(country, CALLS[case]), summary())
    retold = await told_again(country)
    assert retold.holds
    decisions: Any = retold.step.seen.get("decisions") or []
    permitting = [one["row"] for one in decisions if one["outcome"] == "permitted"]
    whole = {trial.row.id for trial in retold.trials if not trial.missing}
    assert set(permitting) <= whole
    assert len(retold.trials) == sum(row.action == "query" for row in ROWS)


async def test_a_row_names_what_was_missing(country: Country) -> None:
    await country.open()
    await query.ask(country.means, country.call(cover=False), summary())
    retold = await told_again(country)
    missing = {trial.row.id: trial.missing for trial in retold.trials}
    assert missing["REG-1"] == ("cover", "consent")
    assert missing["EMA-2"][:2] == ("regime", "organisation type")


async def test_facts_that_do_not_come_to_the_recorded_outcome_say_so(country: Country) -> None:
    """A line whose record was cut short: no rows can have permitted it."""
    call = country.call()
    await country.open()
    await query.ask(country.means, call, summary())
    found = next(one for one in await country.lines() if one.line.event is Event.QUERY_DECIDED)
    cut = {**found.line.fields, "cover": False}
    line = Line(Event.QUERY_DECIDED, at=country.now, wall=country.now, aorta=country.aorta(), fields=cut)
    await country.real_ledger.commit(lambda tx: journal.append(tx, line))
    assert not (await told_again(country)).holds


async def test_a_chain_tells_decision_legs_release_and_messages(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.enrol()
    await country.say(Say.YES, PRACTICE, requesters={"ambulance"})
    await country.register()
    call = country.call(verbal_consent=country.verbal())
    await query.ask(country.means, call, summary())
    chain = await retelling.chain(country.means, call.aorta.initial)
    assert chain is not None
    events = [step.event for step in chain.steps]
    assert events == [Event.QUERY_DECIDED, Event.DISCLOSED, Event.MESSAGE_ACCEPTED, Event.QUERY_ANSWERED]
    assert [step.seen["message_event"] for step in chain.messages] == ["disclosure-notice"]
    assert chain.patients == (country.means.keys.patient(US),)
    assert chain.more == 0


async def test_a_long_chain_is_cut_and_says_so(country: Country) -> None:
    aorta = country.aorta()
    line = Line(Event.TOKEN_ISSUED, at=country.now, wall=country.now, aorta=aorta, fields={})
    await country.real_ledger.commit(lambda tx: [journal.append(tx, line) for _ in range(retelling.MOST + 7)])
    chain = await retelling.chain(country.means, aorta.initial)
    assert chain is not None
    assert (len(chain.steps), chain.more) == (retelling.MOST, 7)


async def test_a_chain_nobody_began_is_none(country: Country) -> None:
    assert await retelling.chain(country.means, "00000000-0000-4000-8000-ffffffffffff") is None


async def test_a_localisation_is_told_again_too(country: Country) -> None:
    await country.open(PRACTICE_2)
    await localise.localise(country.means, country.call(purpose=Purpose.TREAT), US, Category.GP_SUMMARY)
    assert (await told_again(country)).holds


async def test_every_bar_of_a_requester_can_be_told_again(country: Country) -> None:
    """Which bars the calls above met: those that only a patient's choice gives are never a requester's."""
    await country.open()
    met = set()
    for told in CALLS.values():
        await query.ask(country.means, call_of(country, told), summary())
        met |= {one.line.fields.get("reason") for one in await country.lines()}
    assert {Bar.NO_COVER, Bar.NO_TREATMENT_RELATION, Bar.NO_MANDATE, Bar.BARRED_PROFESSION} <= met
    assert {Bar.NOT_AUTHORISED, Bar.CONTRADICTION} <= met
    await query.ask(country.means, country.call(), medication())
