"""What can an operator do, and does the journal say so? And who reads the log, and who spends a token."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flow_country import PRACTICE, PRACTICE_2, THEM, US, Country, summary
from transcript import transcript

from gateway.flows import operating
from gateway.flows.grant import grant_once, note_refusal
from gateway.flows.means import Live
from gateway.flows.operating import Taken, Turn
from gateway.flows.query import ask
from gateway.flows.reading import note_reading, read_as_custodian
from gateway.rules import regimes
from gateway.rules.exchange import Regime
from gateway.rules.identifiers import ApplicationId, Ura, UziNumber
from gateway.rules.journal import Event
from gateway.rules.message import Reply, Taking
from gateway.rules.network import Organisation, System
from gateway.stores.ledger import LedgerUnavailable

CRISIS = Regime.CRISIS_OPT_IN


async def test_the_clock_is_set_and_goes_on_ticking(country: Country) -> None:
    wanted = datetime(2020, 4, 20, 3, 0, tzinfo=UTC)
    assert await operating.set_clock(country.means, wanted, by="test") == wanted
    country.tick(minutes=5)
    assert country.means.live.domain(await country.means.live.network()) == wanted + timedelta(minutes=5)
    (line,) = [one.line for one in await country.lines()]
    assert (line.event, line.at, line.wall) == (Event.CLOCK_SET, wanted, country.now - timedelta(minutes=5))


async def test_a_turned_clock_goes_at_its_speed_without_a_jump(country: Country) -> None:
    """Whatever its speed was and becomes, at the moment of turning it is where it was."""
    for speed in (60, 0, 0.5, 3600, 1):
        before = country.means.live.domain(await country.means.live.network())
        network = await operating.turn_clock(country.means, Turn(speed=speed), by="test")
        assert country.means.live.domain(network) == before
        country.tick(minutes=2)
        assert country.means.live.domain(network) - before == timedelta(minutes=2) * speed
    told = [one.line.fields["by"] for one in await country.lines()]
    assert told == ["test (speed 60)", "test (speed 0)", "test (speed 0.5)", "test (speed 3600)", "test"]


async def test_forward_is_from_where_the_clock_is(country: Country) -> None:
    then = datetime(2020, 4, 20, 3, 0, tzinfo=UTC)
    await operating.turn_clock(country.means, Turn(then, speed=0), by="test")
    country.tick(minutes=5)
    network = await operating.turn_clock(country.means, Turn(forward=timedelta(hours=2)), by="test")
    assert (network.domain(country.now), network.clock_speed) == (then + timedelta(hours=2), 0)


@pytest.mark.parametrize(
    "turn",
    [
        Turn(speed=-1),
        Turn(speed=operating.FASTEST + 1),
        Turn(datetime(1899, 12, 31, tzinfo=UTC)),
        Turn(forward=timedelta(days=100_000)),
        Turn(forward=timedelta.max),
        Turn(forward=timedelta.min),
    ],
    ids=["backwards", "too-fast", "too-early", "too-late", "far-too-late", "far-too-early"],
)
async def test_a_turn_out_of_the_calendar_is_none(country: Country, turn: Turn) -> None:
    before = await country.means.live.network()
    with pytest.raises(operating.Uncountable):
        await operating.turn_clock(country.means, turn, by="test")
    assert await country.means.live.network() == before
    assert await transcript(country) == []


async def test_while_the_clock_stands_a_retry_waits_and_nothing_spins(country: Country) -> None:
    """Delivery goes by domain time: an hour of looking at a frozen clock tries nothing again, a turn forward does."""
    await country.enrol()
    await country.send()
    country.post.replies[PRACTICE.ura] = [Reply(Taking.UNREACHABLE, "refused"), Reply(Taking.TAKEN)]
    await operating.turn_clock(country.means, Turn(speed=0), by="test")
    assert await country.rounds(0, 30, 3600) == [1, 0, 0]
    await operating.turn_clock(country.means, Turn(forward=timedelta(seconds=10)), by="test")
    assert await country.rounds(0, 0) == [1, 0]
    assert len(country.post.posted) == 2


async def test_another_worker_sees_a_turn_at_its_next_look(country: Country) -> None:
    """Two views of one ledger, as two workers have: what one turns, the other tells to the microsecond."""
    other = Live(country.real_ledger, country.means.live.wall)
    await other.network()
    for turn in (Turn(datetime(2020, 4, 20, tzinfo=UTC)), Turn(speed=60), Turn(speed=0)):
        network = await operating.turn_clock(country.means, turn, by="test")
        country.tick(minutes=1)
        assert other.domain(await other.network()) == country.means.live.domain(network)


async def test_a_regime_begins_and_ends_with_who_and_why(country: Country) -> None:
    await country.regime(CRISIS, until=country.now + timedelta(hours=1))
    network = await country.means.live.network()
    at = country.now
    in_force = [CRISIS in regimes.active(network.switches, at + timedelta(minutes=m)) for m in (0, 59, 60)]
    assert in_force == [True, True, False]
    await country.regime(CRISIS, on=False)
    assert CRISIS not in regimes.active((await country.means.live.network()).switches, at)
    assert await transcript(country) == [
        "regime-switched test CRISIS_OPT_IN True",
        "regime-switched test CRISIS_OPT_IN False",
    ]


async def test_a_revocation_counts_at_once_everywhere(country: Country) -> None:
    await country.revoke(PRACTICE)
    assert PRACTICE.serial in (await country.means.live.network()).revoked
    assert await transcript(country) == [f"certificate-revoked test {PRACTICE.serial}"]


NEW = Organisation(Ura("90000901"), "Z3", "Test New")
NEW_SYSTEM = System(ApplicationId("901"), NEW.ura, UziNumber("000000901"), "https://new.test/fhir")


async def test_a_participant_joins_and_may_join_again_with_another_endpoint(country: Country) -> None:
    await operating.join(country.means, NEW, NEW_SYSTEM, by="test")
    moved = replace(NEW_SYSTEM, endpoint="https://newer.test/fhir")
    await operating.join(country.means, NEW, moved, by="test")
    network = await country.means.live.network()
    assert network.systems[NEW_SYSTEM.application] == moved
    assert network.organisations[NEW.ura] == NEW
    lines = [one.line for one in await country.lines()]
    assert [(line.event, line.fields["endpoint"]) for line in lines] == [
        (Event.PARTICIPANT_JOINED, NEW_SYSTEM.endpoint),
        (Event.PARTICIPANT_JOINED, moved.endpoint),
    ]


TAKEN: dict[str, tuple[Organisation, System]] = {
    "another's application id": (NEW, replace(NEW_SYSTEM, application=PRACTICE.application)),
    "another type": (
        Organisation(PRACTICE.ura, "V4", "Test"), replace(NEW_SYSTEM, ura=PRACTICE.ura)),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
async def test_what_is_taken_stays_with_its_owner(country: Country, case: str) -> None:
    organisation, system = TAKEN[case]
    known = await country.means.live.network()
    with pytest.raises(Taken):
        await operating.join(country.means, organisation, system, by="test")
    assert await country.means.live.network() == known
    assert await country.lines() == []


async def test_an_act_that_cannot_be_journaled_does_not_happen(country: Country) -> None:
    known = await country.means.live.network()
    acts = (
        lambda: country.regime(CRISIS),
        lambda: country.revoke(PRACTICE),
        lambda: operating.set_clock(country.means, country.now, by="test"),
        lambda: operating.join(country.means, NEW, NEW_SYSTEM, by="test"),
    )
    for act in acts:
        country.ledger.good_commits = 0
        with pytest.raises(LedgerUnavailable):
            await act()
    country.means.live.forget()
    assert await country.means.live.network() == known


# --- reading the journal ---------------------------------------------------------------------------------------------


async def test_a_custodian_reads_only_its_own_data_newest_first_and_that_is_logged(country: Country) -> None:
    await country.open(PRACTICE)
    await country.open(PRACTICE_2)
    await country.open(PRACTICE, patient=THEM)
    country.tick(minutes=1)
    await ask(country.means, country.call(), summary())
    found = (await read_as_custodian(country.means, country.call(PRACTICE, None), US, None, None, 10)).lines
    assert [one.line.event for one in found] == [Event.DISCLOSED, Event.ENTRY_REGISTERED]
    assert {one.line.custodian for one in found} == {PRACTICE.ura}
    assert {one.line.patient for one in found} == {country.means.keys.patient(US)}
    (newest,) = (await read_as_custodian(country.means, country.call(PRACTICE, None), US, None, None, 1)).lines
    assert newest.line.event is Event.JOURNAL_READ, "reading the log is itself in the log"
    assert newest.line.fields["shown"] == 2
    since = (await read_as_custodian(country.means, country.call(PRACTICE, None), US, country.now, None, 10)).lines
    assert Event.ENTRY_REGISTERED not in {one.line.event for one in since}


async def test_what_cannot_be_logged_is_not_read(country: Country) -> None:
    await country.open(PRACTICE)
    country.ledger.good_commits = 0
    with pytest.raises(LedgerUnavailable):
        await read_as_custodian(country.means, country.call(PRACTICE, None), US, None, None, 10)


async def test_an_operator_is_named_as_reader(country: Country) -> None:
    await note_reading(country.means, "operator-7", None, 3)
    assert await transcript(country) == ["journal-read 3 operator-7"]


# --- tokens ----------------------------------------------------------------------------------------------------------


async def _grant(country: Country, jti: str = "j-1", of: object = PRACTICE) -> bool:
    requester = country.call(of, None).party(await country.means.live.network())  # type: ignore[arg-type]
    expires = int(country.now.timestamp()) + 60
    return await grant_once(country.means, requester, US, country.aorta(), jti=jti, expires=expires, certificate="ABC")


async def test_an_assertion_is_spent_once_per_system(country: Country) -> None:
    assert [await _grant(country), await _grant(country), await _grant(country, "j-2")] == [True, False, True]
    assert await _grant(country, of=PRACTICE_2), "another system's ids are its own"
    assert await transcript(country) == [
        "token-issued",
        "token-refused the assertion was used before invalid_grant",
        "token-issued",
        "token-issued",
    ]


async def test_a_grant_that_cannot_be_journaled_spends_nothing(country: Country) -> None:
    country.ledger.good_commits = 0
    with pytest.raises(LedgerUnavailable):
        await _grant(country)
    country.ledger.good_commits = None
    assert await _grant(country)


async def test_a_refusal_is_journaled_with_the_patient_as_key(country: Country) -> None:
    fields = {"interaction": "search-Bundle", "status": 403, "reason": "token-patient-mismatch"}
    await note_refusal(country.means, PRACTICE.ura, country.aorta(), Event.CALL_REFUSED, fields, US)
    (line,) = [one.line for one in await country.lines()]
    assert line.patient == country.means.keys.patient(US)
    assert US.digits not in repr(line)
