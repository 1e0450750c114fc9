"""How does an accepted message reach its end? Every road to delivered, failed, parked or unknown, line by line.

Time is the test's: it passes only by `tick`, and a round ends when its attempts have.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flow_country import (
    HOSPITAL,
    PHARMACY,
    POST,
    POST_2,
    PRACTICE,
    PRACTICE_2,
    THEM,
    US,
    Country,
    more_posts,
)
from transcript import transcript

from gateway.flows.return_message import Accepted
from gateway.rules.choice import Say
from gateway.rules.exchange import Category, Regime, Responsible
from gateway.rules.message import Reply, State, Taking
from gateway.stores import outbox
from gateway.stores.ledger import LedgerUnavailable

DOWN = Reply(Taking.UNREACHABLE, "refused")
LOST = Reply(Taking.REPLY_LOST, "reset")
TAKEN = Reply(Taking.TAKEN)
RETURNS = {Category.RETURN_MESSAGE}
SENT = "message-accepted return-message for 90000101 RET-1"


async def _sent(country: Country, **more: Any) -> int:
    """Enrolled, and a message accepted; returns where the journal stood before that."""
    await country.enrol()
    before = await country.forget()
    assert isinstance(await country.send(**more), Accepted)
    return before


async def _payload(country: Country) -> frozenset[str]:
    return await country.real_ledger.read(outbox.keys_in_use)


# --- the good road ---------------------------------------------------------------------------------------------------


async def test_the_happy_way(country: Country) -> None:
    before = await _sent(country)
    assert await country.rounds(0, 0) == [1, 0]
    assert await transcript(country, before) == [SENT, "message-delivered return-message for 90000101 RET-1 #1"]
    held = await country.held()
    assert (held.state, held.delivered_to, held.reason) == (State.DELIVERED, PRACTICE.ura, None)
    assert await _payload(country) == frozenset()
    assert country.reached == ["accept", "commit", "claim", "unseal", "post", "reply", "mark"]


async def test_what_is_posted_is_what_was_handed_in(country: Country) -> None:
    await _sent(country)
    await country.rounds(0)
    (posted,) = country.post.posted
    assert (posted.body, posted.token) == (b"a return message", f"RET-1 {US}")
    assert posted.leave.address.endpoint == PRACTICE.endpoint
    accepted, delivered = [one.line for one in (await country.lines())[-2:]]
    assert accepted.aorta is not None
    assert delivered.aorta == posted.aorta
    assert posted.aorta.initial == accepted.aorta.initial
    assert posted.aorta.request != accepted.aorta.request


async def test_the_gp_is_down_and_comes_back(country: Country) -> None:
    before = await _sent(country)
    country.post.replies[PRACTICE.ura] = [DOWN, DOWN, TAKEN]
    assert await country.rounds(0, 1.9, 0.1, 3.9, 0.1) == [1, 0, 1, 0, 1]
    assert await transcript(country, before) == [
        SENT,
        "message-postponed return-message for 90000101 unreachable #1 +2s",
        "message-postponed return-message for 90000101 unreachable #2 +4s",
        "message-delivered return-message for 90000101 RET-1 #3",
    ]


async def test_a_reply_lost_and_then_taken_is_delivered(country: Country) -> None:
    before = await _sent(country)
    country.post.replies[PRACTICE.ura] = [LOST, TAKEN]
    assert await country.rounds(0, 2) == [1, 1]
    assert (await transcript(country, before))[1:] == [
        "message-postponed return-message for 90000101 reply-lost #1 +2s",
        "message-delivered return-message for 90000101 RET-1 #2",
    ]


async def test_retry_after_is_honoured(country: Country) -> None:
    before = await _sent(country)
    country.post.replies[PRACTICE.ura] = [Reply(Taking.TURNED_AWAY, "503", 120.0), TAKEN]
    assert await country.rounds(0, 119, 1) == [1, 0, 1]
    assert (await transcript(country, before))[1] == (
        "message-postponed return-message for 90000101 turned-away #1 +120s"
    )


async def test_a_clock_set_back_an_hour_loses_and_delays_nothing(country: Country) -> None:
    await _sent(country)
    country.post.replies[PRACTICE.ura] = [DOWN, TAKEN]
    assert await country.rounds(0, -3600) == [1, 1]
    assert (await country.held()).state is State.DELIVERED


# --- the rule, asked again -------------------------------------------------------------------------------------------


async def _objects(country: Country) -> None:
    await country.say(Say.NO, None, categories=RETURNS)


async def _sender_revoked(country: Country) -> None:
    await country.revoke(POST)


BARRED = {"the patient objects": (_objects, "objection"), "the sender is revoked": (_sender_revoked, "unknown-party")}


@pytest.mark.parametrize("case", BARRED)
async def test_what_bars_it_while_queued_ends_it_and_its_content(country: Country, case: str) -> None:
    act, bar = BARRED[case]
    await _sent(country)
    country.post.replies[PRACTICE.ura] = [DOWN]
    await country.rounds(0)
    await act(country)
    before = await country.forget()
    assert await country.rounds(2) == [1]
    assert await transcript(country, before) == [f"message-failed return-message for 90000101 failed {bar}"]
    held = await country.held()
    assert (held.state, held.reason) == (State.FAILED, bar)
    assert await _payload(country) == frozenset()
    assert len(country.post.posted) == 1


async def test_a_regime_that_ends_bars_what_stood_on_it(country: Country) -> None:
    await country.enrol()
    await country.regime(Regime.EMERGENCY_AVAILABLE)
    assert isinstance(await country.send(of=HOSPITAL, call=country.emergency()), Accepted)
    await country.regime(Regime.EMERGENCY_AVAILABLE, on=False)
    await country.rounds(1)
    assert (await country.held(of=HOSPITAL.ura)).reason == "not-authorised"
    assert country.post.posted == []


async def test_a_referral_is_barred_by_an_objection_that_covers_the_recipient(country: Country) -> None:
    await country.move(HOSPITAL, "https://hospital.test/fhir")
    assert isinstance(await country.send(of=PRACTICE, to=HOSPITAL.ura), Accepted)
    await country.say(Say.NO, PRACTICE, requesters={"hospital"})
    await country.rounds(0)
    assert (await country.held(of=PRACTICE.ura)).reason == "objection"
    assert country.post.posted == []


async def test_mandate_attestation_and_contact_do_not_age_on_the_road(country: Country) -> None:
    """They were good when it was sent; four days later the mandate is over and the attestation too old."""
    await country.enrol()
    boss = Responsible("000000002", "Test Responsible", "01.015", country.now + timedelta(hours=1))
    contact = country.contact(hours_ago=29 * 24)
    call = country.call(POST, "83.000", responsible=boss, contact=contact, verbal_consent=country.verbal())
    assert isinstance(await country.send(call=call), Accepted)
    await country.rounds(4 * 86_400)
    assert (await country.held()).state is State.DELIVERED


async def test_a_mandate_until_the_end_of_time_is_no_trouble(country: Country) -> None:
    await country.enrol()
    boss = Responsible("000000002", "Test Responsible", "01.015", datetime.max.replace(tzinfo=UTC))
    assert isinstance(await country.send(call=country.call(POST, "83.000", responsible=boss)), Accepted)
    await country.rounds(60)
    assert (await country.held()).state is State.DELIVERED


async def test_an_objection_stated_while_it_is_judged_counts_at_the_next_attempt(country: Country) -> None:
    await _sent(country)
    country.post.replies[PRACTICE.ura] = [DOWN]

    async def objects() -> None:
        await _objects(country)

    country.post.during[PRACTICE.ura] = objects
    await country.rounds(0)
    country.post.during.clear()
    await country.rounds(2)
    assert (await country.held()).reason == "objection"
    assert len(country.post.posted) == 1


# --- whose GP --------------------------------------------------------------------------------------------------------


async def test_only_the_new_gp_gets_what_was_accepted_for_the_old_one(country: Country) -> None:
    await _sent(country)
    country.post.replies[PRACTICE.ura] = [DOWN]
    await country.rounds(0)
    before = await country.forget()
    await country.enrol(PRACTICE_2, since="2026-11-20")
    country.post.posted.clear()
    assert await country.rounds(0) == [1]
    await country.rounds(2)
    assert country.post.told == ["90000102 a return message", "90000101 moved to 90000102 since 2026-11-20"]
    assert (await transcript(country, before))[:4] == [
        "entry-registered enrolment False True",
        "gp-of-record-changed moved 90000101>90000102",
        "message-accepted enrolment-changed for 90000101",
        "message-delivered return-message for 90000102 RET-1 #2",
    ]


async def test_an_enrolment_that_begins_tomorrow_counts_tomorrow(country: Country) -> None:
    await _sent(country)
    country.post.replies[PRACTICE.ura] = [DOWN]
    await country.enrol(PRACTICE_2, since="2026-11-22")
    await country.rounds(0)
    assert {one.split()[0] for one in country.post.told} == {"90000101"}
    country.post.posted.clear()
    await country.rounds(86_400, 4, 0)
    assert "90000102 a return message" in country.post.told
    assert "90000101 a return message" not in country.post.told


async def test_no_gp_then_parked_then_enrolled_then_delivered(country: Country) -> None:
    await country.send()
    await country.rounds(0)
    await country.enrol()
    assert await country.rounds(0) == [1]
    assert await transcript(country) == [
        "message-accepted return-message RET-1",
        "message-parked return-message no-gp-of-record",
        "entry-registered enrolment False True",
        "gp-of-record-changed enrolled >90000101",
        "message-delivered return-message for 90000101 RET-1 #1",
    ]


async def test_a_gp_who_lets_the_patient_go_leaves_it_parked(country: Country) -> None:
    before = await _sent(country)
    pointer = (await country.means.index.find(country.means.keys.patient(US), Category.ENROLMENT))[0]
    await country.end(PRACTICE, pointer.id)
    await country.rounds(0)
    assert await transcript(country, before) == [
        SENT,
        "entry-ended enrolment by the custodian",
        "gp-of-record-changed ended 90000101>",
        "message-parked return-message no-gp-of-record",
    ]


async def test_no_endpoint_then_one_is_registered(country: Country) -> None:
    await country.send(of=PRACTICE, to=HOSPITAL.ura, body=b"a referral")
    assert await country.rounds(0) == [0]
    before = await country.forget()
    await country.move(HOSPITAL, "https://hospital.test/fhir")
    assert await country.rounds(0) == [1]
    assert await transcript(country, before) == [
        "participant-joined",
        "message-resumed referral for 90000401 there is a road now",
        "message-delivered referral for 90000401 REF-1 #1",
    ]


async def test_a_parked_message_ends_after_thirty_days(country: Country) -> None:
    await country.send()
    await country.rounds(30 * 86_400)
    held = await country.held()
    assert (held.state, held.reason) == (State.FAILED, "expired")
    assert await _payload(country) == frozenset()
    assert country.reached[-1] == "expire"


# --- ends, and telling the sender ------------------------------------------------------------------------------------


async def test_a_rejection_ends_it_and_the_senders_own_system_is_told(country: Country) -> None:
    await country.move(POST, "https://post.test/fhir")
    before = await _sent(country)
    country.post.replies[PRACTICE.ura] = [Reply(Taking.REJECTED, "422")]
    assert await country.rounds(0, 0) == [1, 1]
    assert await transcript(country, before) == [
        SENT,
        "message-failed return-message for 90000101 failed rejected",
        "message-accepted undeliverable for 90000301",
        "message-delivered undeliverable for 90000301 #1",
    ]
    assert country.post.told[-1] == "90000301 undeliverable m-1 failed rejected"
    assert await _payload(country) == {"key-1"}, "kept for an operator's retry"


async def test_a_sender_without_an_endpoint_is_told_by_its_task(country: Country) -> None:
    before = await _sent(country)
    country.post.replies[PRACTICE.ura] = [Reply(Taking.REJECTED, "422")]
    await country.rounds(0, 0)
    assert (await transcript(country, before))[1:] == ["message-failed return-message for 90000101 failed rejected"]


async def test_a_notice_that_fails_makes_no_other(country: Country) -> None:
    await country.move(POST, "https://post.test/fhir")
    await _sent(country)
    country.post.replies[PRACTICE.ura] = country.post.replies[POST.ura] = [Reply(Taking.REJECTED, "422")]
    assert await country.rounds(0, 0, 0, 0) == [1, 1, 0, 0]
    counts = await country.counts()
    assert (counts.accepted, counts.of[State.FAILED]) == (2, 2)
    assert counts.conserved


EXPIRED = {"never reached": (DOWN, State.FAILED, "expired"), "perhaps arrived": (LOST, State.UNKNOWN, "reply-lost")}


@pytest.mark.parametrize("case", EXPIRED)
async def test_after_five_days_it_is_given_up_truthfully(country: Country, case: str) -> None:
    reply, state, reason = EXPIRED[case]
    await country.move(POST, "https://post.test/fhir")
    await _sent(country)
    country.post.replies[PRACTICE.ura] = [reply]
    for _ in range(80):
        country.tick(hours=2)
        await country.delivery.round()
    held = await country.held()
    assert (held.state, held.reason) == (state, reason)
    lines = await transcript(country)
    assert f"message-failed return-message for 90000101 {state} {reason}" in lines
    assert f"90000301 undeliverable m-1 {state} {reason}" in country.post.told
    assert 30 < held.attempts < 80


async def test_what_was_never_tried_expires_too(country: Country) -> None:
    await country.move(POST, "https://post.test/fhir")
    before = await _sent(country)
    country.tick(days=5)
    assert await country.rounds(0) == [1], "the letter to the sender"
    assert (await transcript(country, before))[1:] == [
        "message-failed return-message for 90000101 failed expired",
        "message-accepted undeliverable for 90000301",
        "message-delivered undeliverable for 90000301 #1",
    ]
    assert country.post.told == ["90000301 undeliverable m-1 failed expired"]


async def test_a_payload_that_does_not_open_ends_it(country: Country) -> None:
    await _sent(country)
    country.means.mail.seals._ciphers.clear()
    await country.rounds(0)
    held = await country.held()
    assert (held.state, held.reason) == (State.FAILED, "unreadable")
    assert country.post.posted == []


async def test_poison_ends_and_does_not_stop_the_others(country: Country) -> None:
    """Whatever blows up over one message costs that message its claim; after ten it is given up."""
    await _sent(country)
    await country.enrol(PRACTICE_2, patient=THEM)
    country.post.during[PRACTICE.ura] = _blow_up
    await country.rounds(0)
    assert isinstance(await country.send("m-2", b"a good one", patient=THEM), Accepted)
    await country.rounds(0)
    assert (await country.held("m-2")).state is State.DELIVERED
    await country.rounds(*[41] * 10)
    held = await country.held()
    assert (held.state, held.reason) == (State.FAILED, "never-marked")
    assert len([one for one in country.post.told if one.startswith("90000101")]) == 10
    assert (await country.counts()).conserved


async def _blow_up() -> None:
    raise ZeroDivisionError


# --- when the ledger fails -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", range(4))
async def test_a_ledger_that_fails_at_any_step_loses_nothing(country: Country, good: int) -> None:
    """After so many good commits it fails, for as long as anybody has patience; then it is back."""
    await _sent(country)
    country.ledger.good_commits = good
    try:
        await country.delivery.round()
    except LedgerUnavailable:
        assert good < 2
    country.ledger.good_commits = None
    await country.rounds(41, 0)
    assert (await country.held()).state is State.DELIVERED
    assert set(country.post.told) == {"90000101 a return message"}
    assert len(country.post.told) <= 2
    assert (await country.counts()).conserved


async def test_a_short_failure_at_the_mark_does_not_post_twice(country: Country) -> None:
    await _sent(country)

    async def fails_for_a_while() -> None:
        country.ledger.failing = 3

    country.post.during[PRACTICE.ura] = fails_for_a_while
    assert await country.rounds(0, 41) == [1, 0]
    assert (await country.held()).state is State.DELIVERED
    assert country.post.told == ["90000101 a return message"]


async def test_a_mark_that_took_effect_unheard_is_written_once(country: Country) -> None:
    before = await _sent(country)

    async def unheard() -> None:
        country.ledger.lost_replies = 1

    country.post.during[PRACTICE.ura] = unheard
    await country.rounds(0)
    assert await transcript(country, before) == [SENT, "message-delivered return-message for 90000101 RET-1 #1"]


async def test_the_loop_outlives_a_ledger_that_is_away_and_says_so_once(
    country: Country, caplog: pytest.LogCaptureFixture
) -> None:
    await _sent(country)
    country.ledger.good_commits = 0
    task = asyncio.create_task(country.delivery.run())
    while country.ledger.good_commits > -5:
        await asyncio.sleep(0.001)
    assert not task.done()
    country.ledger.good_commits = None
    while not country.post.posted:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [one.message for one in caplog.records] == ["delivery-waits-for-ledger"]
    assert (await country.held()).state is State.DELIVERED


# --- side by side ----------------------------------------------------------------------------------------------------


async def test_two_that_race_never_have_one_message_in_flight_twice(country: Country) -> None:
    await country.enrol()
    await country.enrol(PRACTICE_2, patient=THEM)
    for number in range(20):
        await country.send(f"m-{number}", f"message {number}".encode(), patient=US if number % 2 else THEM)
    other = country.deliverer("two")
    for _ in range(8):
        await asyncio.gather(country.delivery.round(), other.round())
    assert sorted(country.post.told) == sorted(
        f"{PRACTICE.ura if number % 2 else PRACTICE_2.ura} message {number}" for number in range(20)
    )
    assert country.post.twice == []
    assert country.post.most_flying > 4, "they did work side by side"
    assert (await country.counts()).of[State.DELIVERED] == 20


async def test_one_whose_claim_was_taken_over_marks_nothing(country: Country) -> None:
    """It hung for longer than its claim counts, and another delivered meanwhile."""
    before = await _sent(country)
    other, hung = country.deliverer("two"), asyncio.Event()

    async def hangs() -> None:
        country.post.during.clear()
        country.tick(seconds=41)
        await other.round()
        hung.set()

    country.post.during[PRACTICE.ura] = hangs
    country.post.replies[PRACTICE.ura] = [TAKEN, DOWN]
    await country.delivery.round()
    assert hung.is_set()
    assert await transcript(country, before) == [SENT, "message-delivered return-message for 90000101 RET-1 #2"]


async def test_a_recipient_known_well_gets_four_at_a_time_and_any_other_one(country: Country) -> None:
    await country.enrol()
    for number in range(10):
        await country.send(f"m-{number}", f"message {number}".encode())
    assert await country.rounds(0, 0) == [1, 4]
    country.post.replies[PRACTICE.ura] = [DOWN]
    assert await country.rounds(0) == [4], "all four of one round are one failure"
    assert await country.rounds(0, 1.9, 0.1, 3.9, 0.1) == [0, 0, 1, 0, 1]
    country.post.replies[PRACTICE.ura] = [TAKEN]
    assert (await country.rounds(8, 0))[0] == 1
    assert (await country.held("m-9")).attempts <= 2


async def test_a_dead_practice_delays_nobody(country: Country) -> None:
    """One practice never answers within the attempt: the other's forty messages are through meanwhile."""
    await country.enrol()
    await country.enrol(PRACTICE_2, patient=THEM)
    dead = asyncio.Event()
    country.post.during[PRACTICE.ura] = dead.wait
    for number in range(40):
        await country.send(f"dead-{number}", f"dead {number}".encode())
        await country.send(f"well-{number}", f"well {number}".encode(), patient=THEM)
    running = asyncio.create_task(country.delivery.run())
    async with asyncio.timeout(20):
        while (await country.counts()).of[State.DELIVERED] < 40:
            await asyncio.sleep(0.01)
    assert len([one for one in country.post.told if one.startswith("90000101")]) == 1
    dead.set()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await country.counts()).of[State.DELIVERED] == 41, "what was in flight was marked before the end"


async def test_no_more_than_sixty_four_in_all(country: Country) -> None:
    posts = await more_posts(country, 20)
    await asyncio.gather(
        *(
            country.send(f"m-{at}-{number}", f"{at} {number}".encode(), of=PRACTICE, to=post.ura)
            for at, post in enumerate(posts)
            for number in range(5)
        )
    )
    assert await country.rounds(0, 0) == [20, 64]
    assert country.post.most_flying == 64


async def test_a_pharmacy_that_is_no_gp_of_record_gets_nothing(country: Country) -> None:
    """Enrolling is refused to it, so nothing is ever resolved to it."""
    await country.register(PHARMACY, Category.ENROLMENT)
    await country.send()
    await country.rounds(0)
    assert country.post.posted == []
    assert (await country.held()).reason == "no-gp-of-record"


async def test_another_senders_messages_do_not_mix(country: Country) -> None:
    await country.enrol()
    await country.send(body=b"of one")
    await country.send(of=POST_2, body=b"of two")
    await country.rounds(0, 0)
    assert sorted(country.post.told) == ["90000101 of one", "90000101 of two"]
