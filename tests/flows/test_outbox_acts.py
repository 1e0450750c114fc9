"""What can an operator do about messages, and what never starts by itself? Each act in the journal, by whom and why."""

from __future__ import annotations

import asyncio
from datetime import date

from flow_country import POST, PRACTICE, PRACTICE_2, THEM, US, Country
from transcript import transcript

from gateway.flows import outbox_acts
from gateway.flows.outbox_acts import CannotAct
from gateway.rules.exchange import Category
from gateway.rules.message import Reply, State, Taking
from gateway.stores import enrolments, outbox

DOWN, REJECTED = Reply(Taking.UNREACHABLE, "refused"), Reply(Taking.REJECTED, "422")


async def _ended(country: Country) -> str:
    await country.enrol()
    await country.send()
    country.post.replies[PRACTICE.ura] = [REJECTED]
    await country.rounds(0)
    return (await country.held()).envelope.id


async def test_a_failed_message_goes_again_when_somebody_says_so(country: Country) -> None:
    id = await _ended(country)
    country.post.replies.clear()
    before = await country.forget()
    assert await country.rounds(3600) == [0], "what has ended never starts by itself"
    held = await outbox_acts.retry(country.means, id, by="operator", why="their system is repaired")
    assert not isinstance(held, CannotAct)
    assert held.state is State.WAITING
    assert await country.rounds(0) == [1]
    assert await transcript(country, before) == [
        "message-resumed return-message for 90000101 their system is repaired operator",
        "message-delivered return-message for 90000101 RET-1 #2",
    ]


async def test_what_cannot_be_retried_is_told_why(country: Country) -> None:
    await country.send()
    id = (await country.held()).envelope.id
    assert await outbox_acts.retry(country.means, id, by="operator", why="x") is CannotAct.NO_ROAD
    assert await outbox_acts.retry(country.means, "none", by="operator", why="x") is CannotAct.UNKNOWN
    await country.enrol()
    await country.rounds(0)
    before = await country.forget()
    assert await outbox_acts.retry(country.means, id, by="operator", why="x") is CannotAct.NOT_NOW, "it is delivered"
    assert await transcript(country, before) == []


async def test_the_rule_is_asked_of_a_retry_too(country: Country) -> None:
    id = await _ended(country)
    country.post.replies.clear()
    await country.revoke(POST)
    await outbox_acts.retry(country.means, id, by="operator", why="x")
    await country.rounds(0)
    assert (await country.held()).reason == "unknown-party"
    assert len(country.post.posted) == 1


async def test_a_parked_message_waits_for_people_alone(country: Country) -> None:
    await country.enrol()
    await country.send()
    id = (await country.held()).envelope.id
    before = await country.forget()
    await outbox_acts.park(country.means, id, by="operator")
    await country.enrol(PRACTICE_2, since="2026-11-02")
    await outbox_acts.wake(country.means)
    await country.rounds(0, 3600)
    assert (await transcript(country, before))[0] == (
        "message-parked return-message for 90000101 parked-by-operator operator"
    )
    assert (await country.held()).state is State.PARKED
    assert await outbox_acts.park(country.means, "none", by="operator") is CannotAct.UNKNOWN
    await outbox_acts.retry(country.means, id, by="operator", why="settled")
    await country.rounds(0)
    assert "90000102 a return message" in country.post.told


async def test_what_has_ended_cannot_be_parked(country: Country) -> None:
    id = await _ended(country)
    before = await country.forget()
    assert await outbox_acts.park(country.means, id, by="operator") is CannotAct.NOT_NOW
    assert await transcript(country, before) == []


async def test_one_recipient_is_stopped_and_the_others_go_on(country: Country) -> None:
    await country.enrol()
    await country.enrol(PRACTICE_2, patient=THEM)
    before = await country.forget()
    assert await outbox_acts.stop(country.means, PRACTICE.ura, by="operator", reason="their outage")
    assert not await outbox_acts.stop(country.means, PRACTICE.ura, by="operator", reason="again")
    await country.send()
    await country.send("m-2", b"for them", patient=THEM)
    await country.rounds(0, 60)
    assert country.post.told == ["90000102 for them"]
    spread = await outbox_acts.start(country.means, PRACTICE.ura, by="operator", reason="over")
    assert spread is not None
    assert await outbox_acts.start(country.means, PRACTICE.ura, by="operator", reason="over") is None
    await country.rounds(0)
    assert country.post.told == ["90000102 for them", "90000101 a return message"]
    assert await transcript(country, before) == [
        "delivery-switched 90000101 False 0s",
        "message-accepted return-message for 90000101 RET-1",
        "message-accepted return-message for 90000102 RET-1",
        "message-delivered return-message for 90000102 RET-1 #1",
        "delivery-switched 90000101 True 0.1s",
        "message-delivered return-message for 90000101 RET-1 #1",
    ]


async def test_a_stop_of_all_stops_all_and_starting_spreads_what_is_overdue(country: Country) -> None:
    await country.enrol()
    for number in range(30):
        await country.send(f"m-{number}", f"message {number}".encode())
    await outbox_acts.stop(country.means, None, by="operator", reason="drill")
    assert await country.rounds(0, 60) == [0, 0]
    spread = await outbox_acts.start(country.means, None, by="operator", reason="drill over")
    assert spread is not None
    assert spread.total_seconds() == 3.0
    assert await country.rounds(0.25, 0, 0) == [1, 2, 0], "a tenth of a second each"


async def test_a_stop_is_respected_by_what_moves_to_that_practice(country: Country) -> None:
    """It was queued for another, and the calendar made the stopped one the GP of record."""
    await country.enrol()
    await country.enrol(PRACTICE_2, since="2026-11-22")
    await outbox_acts.stop(country.means, PRACTICE_2.ura, by="operator", reason="their outage")
    await country.send()
    country.post.replies[PRACTICE.ura] = [DOWN]
    country.tick(days=1)
    await country.rounds(0, 0, 60)
    assert "return message" not in " ".join(country.post.told)
    held = await country.held()
    assert (held.state, held.lane) == (State.WAITING, PRACTICE_2.ura)


async def test_tidying_destroys_what_is_kept_no_longer(country: Country) -> None:
    await _ended(country)
    await outbox_acts.tidy(country.means)
    assert await country.real_ledger.read(outbox.keys_in_use) == {"key-1"}, "an operator may still retry it"
    country.tick(days=5)
    await outbox_acts.tidy(country.means)
    assert await country.real_ledger.read(outbox.keys_in_use) == frozenset()
    assert country.counted()["scrub"] == 2


async def test_tidying_turns_the_key_and_forgets_the_old_one_once_nothing_needs_it(country: Country) -> None:
    await country.send()
    seals = country.means.mail.seals
    await outbox_acts.tidy(country.means)
    country.tick(hours=2)
    await country.send("m-2")
    used = await country.real_ledger.read(outbox.keys_in_use)
    assert len(used) == 2, "the newest key seals, the older one still opens"
    await country.enrol()
    await country.rounds(0, 0)
    assert len(country.post.posted) == 2
    await outbox_acts.tidy(country.means)
    assert len(seals._ring) == 1


async def test_waking_finds_every_parked_message_however_many(country: Country) -> None:
    await asyncio.gather(*(country.send(f"m-{at}", patient=US if at % 2 else THEM) for at in range(203)))
    key = country.means.keys.patient(US)
    await country.real_ledger.commit(lambda tx: _enrol_unseen(tx, key, country))
    assert await outbox_acts.wake(country.means) == 101
    assert await outbox_acts.wake(country.means) == 0
    counts = await country.counts()
    assert (counts.of[State.WAITING], counts.of[State.PARKED]) == (101, 102)


def _enrol_unseen(tx: object, key: object, country: Country) -> None:
    """An enrolment that woke nobody: as one whose first day has come."""
    day = date(2026, 11, 1)
    enrolments.enrol(tx, key, PRACTICE.ura, PRACTICE.application, day, country.now)  # type: ignore[arg-type]


async def test_the_reference_index_still_lists_an_enrolment_for_its_custodian(country: Country) -> None:
    await country.enrol()
    found = await country.means.index.find(country.means.keys.patient(US), None)
    assert [(one.custodian, one.category) for one in found] == [(PRACTICE.ura, Category.ENROLMENT)]
