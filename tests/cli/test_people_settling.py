"""Does a population come to be known as if every custodian had told of it? Real flows on a real ledger and index."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.app import open_gateway
from gateway.cli.settling import Settled, settle
from gateway.cli.staging import participant
from gateway.flows.means import Means
from gateway.flows.operating import join, switch_regime
from gateway.rules import consent
from gateway.rules.choice import ConsentState, Party
from gateway.rules.exchange import Category, Group, Pointer, Regime
from gateway.rules.identifiers import Bsn, Ura
from gateway.rules.journal import Event
from gateway.rules.network import RegimeSwitch
from gateway.settings import Settings
from gateway.stores import consents, enrolments, journal
from source_sim import pki
from source_sim.peopling.choices import Word
from source_sim.peopling.region import Inhabitant, Recipe, Region, region
from source_sim.peopling.surveys import Leaning

MADE = region(Recipe(500, 4))
POST = Ura("90000301")
ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
pytestmark = pytest.mark.xdist_group("settled")


@asynccontextmanager
async def _opened(place: Path) -> AsyncIterator[Means]:
    certs = place / "certs"
    made = pki.create(certs, now=datetime.now(UTC))
    made.issue("90000001", "400001", "Test Switchpoint", now=datetime.now(UTC), out=certs, stem="gateway")
    settings = Settings(
        state_dir=place / "state",
        certificate=certs / "gateway.pem",
        key=certs / "gateway.key",
        ca=certs / "ca.pem",
        crl=certs / "crl.pem",
    )
    gateway = await open_gateway(settings)
    try:
        yield gateway.means
    finally:
        await gateway.close()


@pytest_asyncio.fixture
async def means(tmp_path: Path) -> AsyncIterator[Means]:
    """A gateway's own stores."""
    async with _opened(tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Home:
    """Where everybody lives already, and what was told when they came; only looked at."""

    means: Means
    done: Settled


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    async with _opened(tmp_path_factory.mktemp("home")) as made:
        yield Home(made, await _joined(made))


async def _joined(means: Means, made: Region = MADE) -> Settled:
    for one in made.custodians:
        await join(means, *participant(one, "https://source.test/fhir"), by="a test")
    return await settle(means, made)


async def _entries(means: Means, one: Inhabitant) -> tuple[Pointer, ...]:
    return await means.index.find(means.keys.patient(_bsn(one)), None)


def _bsn(one: Inhabitant) -> Bsn:
    assert one.bsn is not None
    return Bsn(one.bsn)


async def _state(means: Means, one: Inhabitant, custodian: str, group: Group, *, emergency: bool) -> ConsentState:
    kept = await means.ledger.read(lambda tx: consents.of(tx, means.keys.patient(_bsn(one))))
    asked = consent.Asked(Ura(custodian), Category.MEDICATION, POST, group, emergency)
    return consent.state(kept, asked, means.live.domain(await means.live.network()))


@ONE_LOOP
async def test_everybody_is_known_as_they_said(home: Home) -> None:
    means, done = home.means, home.done
    assert (done.people, done.refused) == (len(MADE.numbered), Counter())
    assert done.statements == sum(len(one.said) for one in MADE.numbered)
    for one in MADE.numbered:
        held = {(entry.custodian.digits, entry.category.value) for entry in await _entries(means, one)}
        back = any(said.word is Word.WITHDRAWN for said in one.said)
        told = set() if back else {(holder.ura, category) for holder, category in one.entries}
        assert held == told | {(one.known.practice.ura, "enrolment")}


@pytest.mark.parametrize("group", list(Group))
@pytest.mark.parametrize("emergency", [False, True], ids=["routine", "emergency"])
@ONE_LOOP
async def test_the_state_of_consent_is_what_each_said(home: Home, group: Group, emergency: bool) -> None:
    means = home.means
    seen = Counter[ConsentState]()
    for one in MADE.numbered:
        for custodian in MADE.custodians:
            state = await _state(means, one, custodian.ura, group, emergency=emergency)
            assert state == _meant(one, custodian.ura, group, emergency), (custodian.key, group)
            seen[state] += 1
    assert all(seen[state] for state in ConsentState)


def _meant(one: Inhabitant, custodian: str, group: Group, emergency: bool) -> ConsentState:
    """Read anew from what was said, by the words of domain.md section 3."""
    about = [said for said in one.said if said.custodian is None or said.custodian.ura == custodian]
    if any(said.word in (Word.NO, Word.WITHDRAWN) for said in about):
        return ConsentState.DENIED
    opens = [s for s in about if (not s.requesters or group in s.requesters) and (emergency or not s.emergency_only)]
    return ConsentState.GRANTED if opens else ConsentState.UNDECIDED


@ONE_LOOP
async def test_enrolments_make_a_gp_of_record(home: Home) -> None:
    means = home.means
    at = means.live.domain(await means.live.network())
    for one in MADE.numbered:
        key = means.keys.patient(_bsn(one))
        found = await means.ledger.read(lambda tx, key=key: enrolments.gp_of_record(tx, key, at))
        assert found is not None
        assert (found.custodian.digits, found.since) == (one.known.practice.ura, one.enrolled)


@ONE_LOOP
async def test_who_may_state_did_so_at_every_age(home: Home) -> None:
    means = home.means
    at = means.live.domain(await means.live.network())
    seen = set()
    for one in MADE.numbered:
        kept = await means.ledger.read(lambda tx, key=means.keys.patient(_bsn(one)): consents.of(tx, key))
        age = consent.age(one.resident.birth_date, at)
        wanted = {Party.PATIENT} if age >= 16 else {Party.PARENT} if age < 12 else {Party.PARENT, Party.PATIENT}
        assert all(statement.by == wanted for statement in kept)
        seen |= {frozenset(statement.by) for statement in kept}
    assert len(seen) == 3


async def test_every_act_is_in_the_journal(means: Means) -> None:
    before = await means.ledger.read(journal.last)
    done = await _joined(means)
    lines = await means.ledger.read(lambda tx: journal.tail(tx, before, 100_000))
    counted = Counter(kept.line.event for kept in lines)
    assert counted[Event.CONSENT_STATED] == done.statements
    assert counted[Event.ENTRY_REGISTERED] == sum(done.entries.values())
    assert counted[Event.GP_OF_RECORD_CHANGED] == len(MADE.numbered)


async def test_doing_it_again_adds_no_statement_and_no_entry(means: Means) -> None:
    await _joined(means)
    first = await _rows(means)
    again = await settle(means, MADE)
    assert await _rows(means) == first
    # who took a yes back cannot be registered again: that is the rule at work
    back = [one for one in MADE.numbered if one.said and one.said[-1].word is Word.WITHDRAWN]
    assert again.refused == Counter({"no-consent": sum(len(one.entries) for one in back)})


async def _rows(means: Means) -> Any:
    def read(tx: Any) -> Any:
        tables = ("SELECT * FROM entry ORDER BY 1, 2, 3", "SELECT * FROM statement ORDER BY id",
                  "SELECT patient, custodian, system, since, ended FROM enrolment ORDER BY 1, 2")  # fmt: skip
        return [[tuple(row) for row in tx.rows(table)] for table in tables]

    return await means.ledger.read(read)


async def test_the_undecided_are_latent_while_the_crisis_lasts(means: Means) -> None:
    at = means.live.domain(await means.live.network())
    await switch_regime(means, RegimeSwitch(Regime.CRISIS_OPT_IN, True, at, "a test", "a test"))
    done = await _joined(means)
    undecided = [one for one in MADE.numbered if one.leaning is Leaning.UNDECIDED]
    assert undecided
    assert done.entries["gp-summary, latent"] == len(undecided)
    latent = {
        entry.latent for one in undecided for entry in await _entries(means, one) if entry.category == "gp-summary"
    }
    assert latent == {True}
    for one in MADE.numbered:
        assert not one.said or not any(entry.latent for entry in await _entries(means, one))


async def test_what_a_rule_refuses_is_counted_and_not_forced(means: Means) -> None:
    """Pharmacies nobody registered: their entries are refused, the practices' stand."""
    for one in MADE.practices:
        await join(means, *participant(one, None), by="a test")
    done = await settle(means, MADE)
    wanted = Counter(category for one in MADE.numbered for holder, category in one.entries if holder in MADE.pharmacies)
    assert sum(done.refused.values()) == sum(wanted.values()) > 0
    assert not done.entries.keys() & wanted.keys()


async def test_two_ledgers_settle_to_the_same_rows(means: Means, tmp_path: Path) -> None:
    """With one patient key the same seed gives the same rows: ids and dates come from the seed, not from the run."""
    from gateway.flows.means import Live
    from gateway.stores.index_sql import SqlIndex
    from gateway.stores.ledger import open_ledger

    await _joined(means)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'other.sqlite'}")
    try:
        index, live = SqlIndex(ledger, means.keys), Live(ledger, lambda: datetime(2027, 3, 1, tzinfo=UTC))
        other = replace(means, ledger=ledger, index=index, live=live)
        await _joined(other)
        assert _without_receipt(await _rows(other)) == _without_receipt(await _rows(means))
    finally:
        ledger.close()


def _without_receipt(rows: Any) -> Any:
    entries, statements, enrolled = rows
    # seq is the order of arrival, received the moment, stated_by the age of that day
    return entries, [(*row[1:11], *row[13:]) for row in statements], enrolled
