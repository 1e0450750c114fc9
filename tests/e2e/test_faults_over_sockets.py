"""What does the doctor get when a source fails in one of the known ways? Every fault of the catalogue, on real sockets.

Two practices hold a summary; the first is spoiled. One connection is one worker, and every spoiled question comes after
three sound ones on the same connection, so that the breaker of that worker stays closed until its own test.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from processes import resident_bytes
from running_country import Visit

from gateway.rules.exchange import Regime
from source_sim.country import AMBULANCE, GP, GP_POST, SECOND_GP
from source_sim.faults import WHOLE, FaultName
from source_sim.requesters import Ask, Reply, System

pytestmark = pytest.mark.xdist_group("country")

WAIT, MARGIN = 1, 0.2
"""Seconds this requester will wait, and how far from it an answer after a time-out may lie (promises.md section 2)."""
PATIENT = 5
"""Seconds where no time-out is meant: on a busy machine it may take a while to see that an answer is a bomb."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is said of the spoiled source (empty: nothing), how many matches come from it, and the whole's completeness;
    `alone`: status when there is no other source."""

    said: str
    matches: int
    completeness: str
    alone: int


def _failed(said: str) -> Expected:
    return Expected(said, 0, "partial", 504 if said == "timed-out" else 502)


TABLE = {
    FaultName.SLOW: _failed("timed-out"),
    FaultName.BLACKHOLE: _failed("timed-out"),
    FaultName.DRIP: _failed("timed-out"),
    FaultName.STALL: _failed("timed-out"),
    FaultName.DOWN: _failed("unreachable"),
    FaultName.RESET: _failed("unreachable"),
    FaultName.LOST_REPLY: _failed("unreachable"),
    FaultName.EXPIRED_CERTIFICATE: _failed("unreachable"),
    FaultName.REVOKED_CERTIFICATE: _failed("unreachable"),
    FaultName.WRONG_CERTIFICATE: _failed("unreachable"),
    FaultName.FOREIGN_CERTIFICATE: _failed("unreachable"),
    FaultName.REFUSING: _failed("refused"),
    FaultName.BUSY: _failed("refused"),
    FaultName.REJECTING: _failed("refused"),
    FaultName.ERROR: _failed("refused"),
    FaultName.REDIRECT: _failed("refused"),
    FaultName.CLOCK_SKEW: _failed("refused"),
    FaultName.GARBAGE: _failed("malformed"),
    FaultName.TRUNCATED: _failed("malformed"),
    FaultName.DUPLICATE_KEYS: _failed("malformed"),
    FaultName.HUGE: _failed("malformed"),
    FaultName.DEEP: _failed("malformed"),
    FaultName.GZIP_BOMB: _failed("malformed"),
    FaultName.UNKNOWN_TYPE: _failed("malformed"),
    FaultName.WRONG_TYPE: _failed("malformed"),
    FaultName.WRONG_PATIENT: _failed("wrong-patient"),
    FaultName.PAGING: Expected("truncated", 1, "partial", 200),
    FaultName.WITHHELD: Expected("withheld", 0, "partial", 200),
    FaultName.NO_CONSENT: Expected("", 0, "complete", 200),
    FaultName.EMPTY: Expected("", 0, "complete", 200),
    FaultName.STALE: Expected("", 1, "complete", 200),
}
ASKED = {**dict.fromkeys(WHOLE, 0), FaultName.LOST_REPLY: 2}
"""How often the source sees the question, where it is not once: a kept connection that closes before the first byte may
have been stale, so the search is put once more on a fresh one."""
TIMED_OUT = [name for name, expected in TABLE.items() if expected.said == "timed-out"]
ONE_OF_EACH = {expected: name for name, expected in reversed(TABLE.items())}.values()
"""The first fault of each way to fail."""


def one_of_each(names: Iterable[FaultName]) -> list[Any]:
    """Of each way to fail one fault in any run; the others, which only say the same again, in the wide lane."""
    return [pytest.param(name, marks=() if name in ONE_OF_EACH else pytest.mark.wide) for name in names]


def test_every_fault_of_the_catalogue_is_tried() -> None:
    assert TABLE.keys() == set(FaultName)


async def sound_answers(visit: Visit, system: System) -> None:
    """Three good questions to the source that will be spoiled, on this connection."""
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    token = await visit.token(bsn, system=system)
    for _ in range(3):
        good = await visit.search(bsn, token, system=system)
        assert (good.status, len(good.matches), good.completeness) == (200, 1, "complete"), good.outcomes


def patience(name: str) -> int:
    return WAIT if name in TIMED_OUT else PATIENT


async def spoiled(visit: Visit, name: str, bsn: str, chain: str = "") -> tuple[Reply, float]:
    """One question while the first practice fails in this way; how it was answered, and after how many seconds."""
    system = visit.another(GP_POST)
    await sound_answers(visit, system)
    token = await visit.token(bsn, system=system)
    await visit.fault(GP, name, 5.0 if name == "slow" else 0.0)
    began = time.monotonic()
    reply = await visit.search(bsn, token, chain=chain, wait=patience(name), system=system)
    took = time.monotonic() - began
    await visit.mend(GP)
    return reply, took


@pytest.mark.parametrize("name", TABLE)
async def test_the_fault_is_named_and_the_other_source_s_data_is_untouched(visit: Visit, name: FaultName) -> None:
    bsn, expected = visit.country.patient(), TABLE[name]
    await visit.enter(SECOND_GP, bsn, "gp-summary")
    (sound,) = (await visit.ask("gp-post", Ask.GP_SUMMARY, bsn)).matches
    await visit.enter(GP, bsn, "gp-summary")
    chain = str(uuid4())
    reply, took = await spoiled(visit, name, bsn, chain)
    assert reply.status == 200
    assert [(one.code, one.ura) for one in reply.outcomes] == ([(expected.said, GP.ura)] if expected.said else [])
    assert reply.completeness == expected.completeness
    assert reply.sources == ({GP.ura, SECOND_GP.ura} if expected.matches else {SECOND_GP.ura})
    assert reply.json["total"] == len(reply.matches) == 1 + expected.matches
    assert _clinical(sound) in [_clinical(match) for match in reply.matches]
    assert took < patience(name) + MARGIN + 0.5
    asked = await visit.seen(GP, chain)
    assert len(asked) == ASKED.get(name, 1), "asked twice, or followed to another address"


def _clinical(document: dict[str, object]) -> object:
    """A document without the identity and moment of its making."""
    assert isinstance(document["entry"], list)
    return [one["resource"] for one in document["entry"] if one["resource"]["resourceType"] != "Composition"]


@pytest.mark.parametrize("name", one_of_each(TABLE))
async def test_a_search_that_fails_at_every_source_says_so_in_its_status(visit: Visit, name: FaultName) -> None:
    bsn, expected = visit.country.patient(), TABLE[name]
    await visit.enter(GP, bsn, "gp-summary")
    reply, _ = await spoiled(visit, name, bsn)
    assert reply.status == expected.alone
    if expected.alone == 200:
        assert (len(reply.matches), reply.completeness) == (expected.matches, expected.completeness)
    else:
        assert (reply.json["resourceType"], reply.code) == ("OperationOutcome", expected.said)
        assert reply.sentence
        assert not reply.matches


@pytest.mark.parametrize("name", one_of_each(TIMED_OUT))
async def test_whoever_never_answers_costs_the_deadline_and_no_more(visit: Visit, name: FaultName) -> None:
    """The nearest of three tries counts: a busy machine may hold one answer up, a wrong deadline holds up all."""
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    off = []
    for _ in range(3):
        reply, took = await spoiled(visit, name, bsn)
        assert (reply.status, reply.code) == (504, "timed-out")
        off.append(abs(took - WAIT))
        if off[-1] <= MARGIN:
            return
    raise AssertionError(f"answered {min(off):.2f} s beside the deadline at best")


async def test_an_emergency_has_a_shorter_deadline_of_its_own(visit: Visit) -> None:
    """Four seconds, where a routine query has eight: the flag of the claims decides, not the requester's patience."""
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    async with visit.regime(Regime.EMERGENCY_AVAILABLE):
        token = await visit.token(bsn, "ambulance")
        system = visit.system(AMBULANCE)
        for _ in range(3):
            assert (await visit.search(bsn, token, system=system)).completeness == "complete"
        await visit.fault(GP, "stall")
        began = time.monotonic()
        reply = await visit.search(bsn, token, system=system)
        took = time.monotonic() - began
    assert (reply.status, reply.code) == (504, "timed-out")
    assert 4 - MARGIN <= took <= 4 + MARGIN + 0.5


async def test_a_bomb_does_not_grow_the_worker(visit: Visit) -> None:
    bsn = visit.country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    before = {pid: resident_bytes(pid) for pid in visit.country.workers()}
    for _ in range(2):
        reply, _ = await spoiled(visit, FaultName.GZIP_BOMB, bsn)
        assert reply.code == "malformed"
    assert all(resident_bytes(pid) - held < 100 * 1024 * 1024 for pid, held in before.items())


async def test_sources_are_asked_at_once_not_one_after_another(visit: Visit) -> None:
    bsn, system = visit.country.patient(), visit.another(GP_POST)
    await visit.enter(GP, bsn, "gp-summary")
    await visit.enter(SECOND_GP, bsn, "gp-summary")
    await sound_answers(visit, system)
    token = await visit.token(bsn, system=system)
    await asyncio.gather(visit.fault(GP, "slow", 1.0), visit.fault(SECOND_GP, "slow", 1.0))
    began = time.monotonic()
    reply = await visit.search(bsn, token, system=system)
    assert (reply.completeness, len(reply.matches)) == ("complete", 2)
    assert time.monotonic() - began < 1.9
