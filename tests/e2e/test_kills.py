"""Does anything leave that is not written down? Workers killed with SIGKILL, and a ledger that cannot be written."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from processes import holder_of
from raw_wire import Wire, search
from running_country import Country, Visit, tls_of, within

from gateway.rules.journal import Event
from source_sim.country import GP, GP_POST
from source_sim.custodians import Choice, consent
from source_sim.requesters import Ask, TokenRefused

pytestmark = pytest.mark.xdist_group("rough-country")


async def wire_to(country: Country) -> Wire:
    return await Wire.open(tls_of(country.made.folder(GP_POST)), country.made.settings.exchange_port)


async def recovered(visit: Visit) -> bool:
    """Two workers again, and one of them answers a new connection."""

    async def whole() -> bool:
        return len(visit.country.workers()) == 2

    system = visit.another(GP_POST)
    return await within(40, whole) and (await system.call("GET", "/metadata")).status == 200


async def test_a_worker_killed_between_decision_and_release_lets_no_byte_out(visit: Visit) -> None:
    bsn, chain, country = visit.country.patient(), str(uuid4()), visit.country
    await visit.enter(GP, bsn, "gp-summary")
    token = await visit.token(bsn)
    await visit.fault(GP, "slow", 2.0)
    wire = await wire_to(country)
    await wire.send(search(bsn, token, chain))

    async def asked() -> bool:
        return bool(await visit.seen(GP, chain))

    assert await within(5, asked)
    assert country.told(chain) == [Event.QUERY_DECIDED], "a source was asked before the decision was written down"
    worker = holder_of(wire.port, country.made.settings.exchange_port, country.workers())
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    assert await wire.rest() == b""
    await wire.close()
    assert await recovered(visit)
    assert worker not in country.workers()
    assert country.told(chain) == [Event.QUERY_DECIDED]
    await visit.mend(GP)
    assert len((await visit.ask("gp-post", Ask.GP_SUMMARY, bsn, system=visit.another(GP_POST))).matches) == 1


async def test_every_answer_that_reached_a_client_among_random_kills_has_its_durable_line(
    visit: Visit, soak: bool
) -> None:
    bsn, country, dice = visit.country.patient(), visit.country, random.Random(20)
    await visit.enter(GP, bsn, "gp-summary")
    await visit.fault(GP, "slow", 0.2)
    came: dict[str, bytes] = {}
    for _ in range(12 if soak else 3):
        assert await recovered(visit)
        token = await visit.token(bsn, system=visit.another(GP_POST))
        asking = [asyncio.create_task(_ask(visit, bsn, token, dice.uniform(0, 0.4), came)) for _ in range(10)]
        await asyncio.sleep(dice.uniform(0.25, 0.45))
        os.kill(dice.choice(sorted(country.workers())), signal.SIGKILL)
        await asyncio.gather(*asking)
        if soak:
            await asyncio.sleep(4)
    assert await recovered(visit)
    disclosed = {chain for chain, answer in came.items() if b'"mode":"match"' in answer}
    assert disclosed, "no answer came through at all"
    assert any(not answer for answer in came.values()), "no kill hit a query"
    for chain in disclosed:
        assert Event.DISCLOSED in country.told(chain)
    for chain in came.keys() - disclosed:
        assert b"Composition" not in came[chain]


async def _ask(visit: Visit, bsn: str, token: str, after: float, came: dict[str, bytes]) -> None:
    await asyncio.sleep(after)
    chain, wire = str(uuid4()), None
    came[chain] = b""
    try:
        wire = await wire_to(visit.country)
        await wire.send(search(bsn, token, chain))
        came[chain] = await wire.rest()
    except OSError:
        pass  # killed while we connected: nothing came
    finally:
        if wire is not None:
            await wire.close()


# --- a ledger that cannot be written ---------------------------------------------------------------------------------

_HOLDERS = {
    "sqlite": "import sqlite3,sys; d=sqlite3.connect(sys.argv[1],isolation_level=None,timeout=20);"
    "d.execute('BEGIN EXCLUSIVE'); print('held',flush=True); sys.stdin.read()",
    "flock": "import fcntl,sys; f=open(sys.argv[1]+'.lock','r+'); fcntl.flock(f,fcntl.LOCK_EX);"
    "print('held',flush=True); sys.stdin.read()",
}


@asynccontextmanager
async def ledger_held(country: Country, how: str) -> AsyncIterator[None]:
    """Another process sits on the ledger: in the middle of a transaction, or on the lock of all writers."""
    path = str(country.made.state / "ledger.sqlite")
    command = [sys.executable, "-c", _HOLDERS[how], path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
        try:
            yield
        finally:
            holder.kill()


async def _ready_is(visit: Visit, status: int) -> bool:
    return (await visit.desk.get("/health/ready")).status_code == status


@pytest.mark.parametrize("how", _HOLDERS)
async def test_with_a_ledger_that_cannot_be_written_nobody_is_asked_and_nothing_is_told(visit: Visit, how: str) -> None:
    bsn, country, chain = visit.country.patient(), visit.country, str(uuid4())
    await visit.enter(GP, bsn, "gp-summary")
    token = await visit.token(bsn)
    assert len((await visit.search(bsn, token)).matches) == 1
    async with ledger_held(country, how):
        replies = await asyncio.gather(
            visit.search(bsn, token, chain=chain),
            visit.search(bsn, token, kind=Ask.LOCALISE, chain=chain),
            visit.search(country.patient(), token, kind=Ask.GP_SUMMARY, chain=chain),
        )
        assert [(one.status, one.code) for one in replies[:2]] == [(503, "ledger-unavailable")] * 2
        assert replies[2].status in (403, 503)
        assert all("retry-after" in one.headers for one in replies[:2])
        assert not any(one.matches for one in replies)
        with pytest.raises(TokenRefused) as refused:
            await visit.token(bsn)
        assert (refused.value.status, refused.value.error) == (503, "temporarily_unavailable")
        assert await within(2, lambda: _ready_is(visit, 503))
        assert (await visit.desk.get("/health/live")).status_code == 200
    assert await visit.seen(GP, chain) == []
    assert not {Event.QUERY_DECIDED, Event.DISCLOSED, Event.LOCALISED} & set(country.told(chain))
    assert len((await visit.search(bsn, await visit.token(bsn))).matches) == 1
    assert await within(2, lambda: _ready_is(visit, 200))


@pytest.mark.parametrize("how", _HOLDERS)
async def test_a_ledger_lost_between_decision_and_release_keeps_the_answer_back(visit: Visit, how: str) -> None:
    bsn, country, chain = visit.country.patient(), visit.country, str(uuid4())
    await visit.enter(GP, bsn, "gp-summary")
    token = await visit.token(bsn)
    await visit.fault(GP, "slow", 1.0)
    asking = asyncio.create_task(visit.search(bsn, token, chain=chain))

    async def asked() -> bool:
        return bool(await visit.seen(GP, chain))

    assert await within(5, asked)
    async with ledger_held(country, how):
        reply = await asking
    assert (reply.status, reply.code, reply.matches) == (503, "ledger-unavailable", [])
    assert b"Composition" not in reply.body
    assert Event.DISCLOSED not in country.told(chain)
    await visit.mend(GP)
    assert len((await visit.search(bsn, await visit.token(bsn))).matches) == 1


async def test_a_consent_that_could_not_be_written_is_not_acknowledged(visit: Visit) -> None:
    bsn, custodian = visit.country.patient(), visit.custodian(GP)
    token = await custodian.token()
    async with ledger_held(visit.country, "sqlite"):
        reply = await custodian.system.call(
            "POST", "/Consent", token=token, resource=consent(bsn, custodian.own(Choice()))
        )
    assert (reply.status, reply.code) == (503, "ledger-unavailable")
    entered = await custodian.register_entry(bsn, "gp-summary", at=await visit.now())
    assert (entered.status, entered.code) == (403, "no-consent")
