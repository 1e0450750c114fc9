"""Does sealed content open under its own envelope only, and does an address lead where it should? Tables, one law."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flow_country import POST, PRACTICE, PRACTICE_2, START, US, Country
from hypothesis import given
from hypothesis import strategies as st

from gateway.flows.enveloping import address_at, as_when_sent, destination, seal, sender_now, unseal
from gateway.flows.lanes import PER_LANE, Lanes
from gateway.rules.exchange import (
    AortaId,
    Contact,
    ContactKind,
    GivenBy,
    Requester,
    Responsible,
    Situation,
    VerbalConsent,
)
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.message import Envelope, MessageEvent, Reason, Reply, Sender, Taking
from gateway.rules.network import Network, Organisation, System
from gateway.stores.enrolments import Enrolment
from gateway.stores.sealing import Unreadable

SENDER = Sender(POST.ura, POST.application, "SEH", None, None, POST.serial, Situation())


def _envelope(country: Country) -> Envelope:
    return Envelope(
        id="task-1",
        event=MessageEvent.RETURN_MESSAGE,
        message_id="m-1",
        sender=SENDER,
        patient=country.means.keys.patient(US),
        recipient=None,
        recipient_system=None,
        accepted=START,
        aorta=AortaId("i", "r"),
    )


OTHERS = {
    "another task": {"id": "task-2"},
    "another message id": {"message_id": "m-2"},
    "another sender": {"sender": replace(SENDER, ura=PRACTICE.ura)},
    "no sender": {"sender": None},
}


@pytest.mark.parametrize("case", OTHERS)
async def test_content_opens_under_its_own_envelope_only(country: Country, case: str) -> None:
    envelope = _envelope(country)
    sealed = seal(country.means, envelope, US, b"content")
    assert unseal(country.means, envelope, sealed) == (US, b"content")
    with pytest.raises(Unreadable):
        unseal(country.means, replace(envelope, **OTHERS[case]), sealed)


async def test_a_message_about_nobody_and_one_whose_content_is_gone(country: Country) -> None:
    envelope = _envelope(country)
    assert unseal(country.means, envelope, seal(country.means, envelope, None, b"")) == (None, b"")
    with pytest.raises(Unreadable):
        unseal(country.means, envelope, None)


async def _network(country: Country) -> Network:
    return await country.means.live.network()


async def test_where_a_message_goes(country: Country) -> None:
    network, envelope = await _network(country), _envelope(country)
    gp = Enrolment(PRACTICE.ura, PRACTICE.application, START.date())
    to = destination(network, envelope, gp)
    assert to.address is not None
    assert (to.ura, to.address.endpoint, to.missing) == (PRACTICE.ura, PRACTICE.endpoint, None)
    assert destination(network, envelope, None).missing is Reason.NO_GP_OF_RECORD
    named = destination(network, replace(envelope, recipient=PRACTICE_2.ura), gp)
    assert named.ura == PRACTICE_2.ura, "who is named goes before the GP of record"
    assert destination(network, replace(envelope, recipient=POST.ura), gp).missing is Reason.NO_ENDPOINT
    assert destination(network, replace(envelope, recipient=Ura("90009999")), gp).organisation is None


async def test_the_system_named_goes_before_the_others(country: Country) -> None:
    network = await _network(country)
    uzi = network.systems[PRACTICE.application].uzi
    second = System(ApplicationId("999"), PRACTICE.ura, uzi, "https://second.test/fhir")
    systems = {**network.systems, second.application: second}
    both = replace(network, systems=systems)
    silent = replace(network, systems={**systems, second.application: replace(second, endpoint=None)})
    asked = [
        address_at(both, PRACTICE.ura, ApplicationId("999")),
        address_at(both, PRACTICE.ura, None),
        address_at(silent, PRACTICE.ura, ApplicationId("999")),
    ]
    assert [one.application.digits for one in asked if one] == ["999", "101", "101"]


async def test_a_sender_is_what_the_register_says_now(country: Country) -> None:
    network = await _network(country)
    found = sender_now(network, SENDER)
    assert (found.name, found.organisation_type, found.revoked) == ("Test 90000301", "N6", False)
    assert found.department is None, "the register knows no such department of it"
    moved = replace(network.systems[POST.application], ura=PRACTICE.ura)
    organisations = {**network.organisations, POST.ura: Organisation(POST.ura, "N6", "x", frozenset({"SEH"}))}
    assert sender_now(replace(network, organisations=organisations), SENDER).department == "SEH"
    for gone in (
        replace(network, revoked=frozenset({POST.serial})),
        replace(network, organisations={}),
        replace(network, systems={}),
        replace(network, systems={POST.application: moved}),
    ):
        assert sender_now(gone, SENDER).revoked


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS, MOMENTS, MOMENTS, st.timedeltas(timedelta(days=-40), timedelta(days=40)))
def test_what_was_true_when_sent_stays_as_old_as_it_was(
    start: datetime, until: datetime, now: datetime, under_way: timedelta
) -> None:
    situation = Situation(
        contact=Contact("c", ContactKind.VISIT, start, until),
        verbal_consent=VerbalConsent("v", GivenBy.PATIENT, start, "r"),
    )
    boss = Responsible("000000002", "Test Responsible", "01.015", until)
    sender = Requester(POST.ura, "n", "N6", POST.application, responsible=boss)
    later, then = as_when_sent(sender, situation, under_way)
    assert then.contact is not None
    assert then.contact.end is not None
    assert then.verbal_consent is not None
    assert later.responsible is not None
    assert later.responsible.mandate_until is not None
    at = now + under_way
    assert (at - then.contact.start, at - then.contact.end) == (now - start, now - until)
    assert (at - then.verbal_consent.at, at - later.responsible.mandate_until) == (now - start, now - until)


# --- lanes -----------------------------------------------------------------------------------------------------------

BOTH = frozenset({PRACTICE.ura, PRACTICE_2.ura})
DOWN, TAKEN = Reply(Taking.UNREACHABLE), Reply(Taking.TAKEN)


def test_a_sick_lane_rests_longer_each_time_but_never_for_long() -> None:
    lanes, now, rests = Lanes(), START, []
    for _ in range(6):
        lanes.learn(PRACTICE.ura, DOWN, now)
        began = now
        while lanes.busy(now).get(PRACTICE.ura) == PER_LANE:
            now += timedelta(seconds=1)
        rests.append((now - began).total_seconds())
    assert rests == [2, 4, 8, 15, 15, 15]
    assert lanes.sick(BOTH) == BOTH
    lanes.learn(PRACTICE.ura, TAKEN, now)
    assert lanes.sick(BOTH) == {PRACTICE_2.ura}, "nothing is known of the other yet"
    assert lanes.busy(now) == {}


ASKED = {"a minute": (60.0, 60), "less than its own rest": (1.0, 2), "for ever": (1e9, 300), "nothing": (None, 2)}


@pytest.mark.parametrize("case", ASKED)
def test_a_recipient_may_hold_up_its_lane_within_bounds(case: str) -> None:
    asked, seconds = ASKED[case]
    lanes = Lanes()
    lanes.learn(PRACTICE.ura, Reply(Taking.TURNED_AWAY, "", asked), START)
    assert PRACTICE.ura in lanes.busy(START + timedelta(seconds=seconds - 0.5))
    assert PRACTICE.ura not in lanes.busy(START + timedelta(seconds=seconds))


def test_a_rejection_shows_that_somebody_is_there() -> None:
    lanes = Lanes()
    lanes.learn(PRACTICE.ura, DOWN, START)
    lanes.learn(PRACTICE.ura, Reply(Taking.REJECTED), START)
    assert lanes.sick(BOTH) == {PRACTICE_2.ura}


def test_what_is_in_flight_is_counted_per_lane() -> None:
    lanes = Lanes()
    lanes.took_off(PRACTICE.ura)
    lanes.took_off(PRACTICE.ura)
    lanes.took_off(PRACTICE_2.ura)
    assert lanes.busy(START) == {PRACTICE.ura: 2, PRACTICE_2.ura: 1}
    for one in (PRACTICE.ura, PRACTICE.ura, PRACTICE_2.ura):
        lanes.landed(one)
    assert lanes.busy(START) == {}
