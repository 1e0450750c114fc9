"""Does every sentinel behave as its row tells? Asked for in a staged country, over real sockets, by everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from uuid import uuid4

import pytest
from running_country import Visit

from gateway.cli.ask import PERSONAS
from gateway.cli.planting import plant_all
from gateway.cli.send_return import follow
from gateway.rules.exchange import Regime
from gateway.rules.journal import Event
from source_sim import cases, country, messages, senders
from source_sim.messages import Occasion
from source_sim.requesters import Ask, Reply
from source_sim.sentinel import Answered, Question, Sentinel
from source_sim.sentinels import GARBAGE_PHARMACY, SENTINELS, SLOW_PHARMACY, TROUBLED

pytestmark = pytest.mark.xdist_group("country")

RESTING = {SLOW_PHARMACY.ura: "timed-out", GARBAGE_PHARMACY.ura: "malformed"}
"""A source that failed five times is left alone for ten seconds, told as `unreachable` meanwhile: read here as
its own fault. That the fault itself was met is a test of its own."""

Seen = tuple[int, str, frozenset[str], frozenset[tuple[str, str]], frozenset[str], str]


def wanted(told: Answered) -> Seen:
    missing = frozenset((one.ura, code) for one, code in told.missing)
    return _compared(told.status, told.completeness, {one.ura for one in told.sources}, missing, told.flags, told.code)


def seen(reply: Reply) -> Seen:
    if reply.status != 200:
        return _compared(reply.status, reply.completeness or "none", reply.sources, (), reply.flags, reply.code)
    missing = {(one.ura, _own_fault(one.ura, one.code)) for one in reply.outcomes}
    return _compared(200, str(reply.completeness), reply.sources, missing, reply.flags, "")


def _own_fault(ura: str, code: str) -> str:
    return RESTING.get(ura, code) if code == "unreachable" else code


def _compared(
    status: int,
    completeness: str,
    sources: Iterable[str],
    missing: Iterable[tuple[str, str]],
    flags: Iterable[str],
    code: str,
) -> Seen:
    return status, completeness, frozenset(sources), frozenset(missing), frozenset(flags), code


async def ask(visit: Visit, one: Sentinel, question: Question) -> Reply:
    slow = any(trouble.fault == "slow" for trouble in one.troubles)
    return await visit.ask(question.requester, Ask(question.category), one.number, wait=2 if slow else 0)


def told(one: Sentinel, regime: str) -> dict[Question, Answered]:
    return {question: answer for question, answer in one.answers.items() if question.regime == regime}


async def unlike(visit: Visit, one: Sentinel, regime: str) -> dict[str, tuple[Seen, Seen]]:
    """Every question of this regime whose answer is not as told: what came, what was told."""
    wrong = {}
    for question, answer in told(one, regime).items():
        came = seen(await ask(visit, one, question))
        if came != wanted(answer):
            wrong[f"{one.key} {question}"] = came, wanted(answer)
    return wrong


@pytest.mark.parametrize("key", SENTINELS)
async def test_under_the_regular_rules_everybody_gets_what_the_row_tells(visit: Visit, key: str) -> None:
    assert await unlike(visit, SENTINELS[key], "") == {}


async def test_in_emergencies_everybody_gets_what_the_row_tells(visit: Visit) -> None:
    async with visit.regime(Regime.EMERGENCY_AVAILABLE):
        found = await asyncio.gather(*(unlike(visit, one, "EMERGENCY_AVAILABLE") for one in SENTINELS.values()))
    assert {name: pair for wrong in found for name, pair in wrong.items()} == {}


@pytest.mark.parametrize(
    ("custodian", "outcome"),
    [
        pytest.param(SLOW_PHARMACY, "timed-out", id="slow"),
        pytest.param(GARBAGE_PHARMACY, "malformed", id="garbage"),
    ],
)
async def test_a_troubled_source_failed_by_its_own_fault_first(
    visit: Visit, custodian: country.Participant, outcome: str
) -> None:
    """That it rests afterwards is not the only thing that makes the answers above come out."""
    lines = [kept.line.fields["legs"] for kept in visit.country.lines(Event.QUERY_ANSWERED)]
    legs = [leg for line in lines if isinstance(line, list) for leg in line if isinstance(leg, dict)]
    assert outcome in {leg["outcome"] for leg in legs if leg["custodian"] == custodian.ura}


# --- return messages -------------------------------------------------------------------------------------------------


async def ended(visit: Visit, one: Sentinel) -> str:
    now, post = await visit.now(), visit.system(country.GP_POST)
    case = Occasion(str(uuid4()), now, one.person(now.date()), country.GP_POST, PERSONAS["gp-post"], cases.CYSTITIS)
    sent = await senders.send(post, messages.return_message(case), PERSONAS["gp-post"](now))
    assert sent.status == 202, (one.key, sent.status, sent.sentence)
    waits = one.returned == "in-progress"
    return str((await follow(post, senders.task_of(sent), 3.0 if waits else 20.0)).get("status"))


async def test_a_return_message_ends_as_the_row_tells(visit: Visit) -> None:
    ends = await asyncio.gather(*(ended(visit, one) for one in SENTINELS.values()))
    assert dict(zip(SENTINELS, ends, strict=True)) == {one.key: one.returned for one in SENTINELS.values()}


# --- planting --------------------------------------------------------------------------------------------------------


async def test_planting_again_says_nothing_anew(visit: Visit) -> None:
    """A vendor's country is set up again around its ledger: what was said to a sentinel since then stays."""
    before = len(visit.country.lines(Event.CONSENT_STATED))
    assert before > 0
    await visit.operate(plant_all)
    assert len(visit.country.lines(Event.CONSENT_STATED)) == before


async def test_the_past_is_told_as_the_past_and_leaves_no_regime_behind(visit: Visit) -> None:
    lines = [kept.line for kept in visit.country.lines(Event.ENTRY_REGISTERED) if kept.line.fields["latent"]]
    assert lines
    assert all((line.wall - line.at).days in (1799, 1800) for line in lines[:1])


async def test_troubled_custodians_hold_nothing_of_other_sentinels() -> None:
    others = [one.key for one in SENTINELS.values() if not one.troubles and set(one.records) & set(TROUBLED)]
    assert others == []
