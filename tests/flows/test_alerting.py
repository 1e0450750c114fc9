"""Does a real journal raise the alerts it should? Queries, enrolments and messages in, what operators are told out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from flow_country import AMBULANCE, HOSPITAL, POST, PRACTICE_2, Country, numbers, summary

from gateway.flows import alerting
from gateway.flows.query import ask
from gateway.rules.alerts import FEWEST_ASKED, NOTHING_FOUND_FOR, OLDEST_MESSAGE, WINDOW, Alert, Raised
from gateway.rules.exchange import Capacity, Purpose, Regime
from gateway.rules.identifiers import Bsn
from gateway.rules.reviewing import DUE_IN

PEOPLE = [bsn for bsn, _ in zip(numbers(), range(60), strict=False)]


async def told(country: Country, wrong: Mapping[str, str] | None = None) -> dict[Alert, Raised]:
    board = await alerting.board(country.means, wrong=wrong or {}, expiries=())
    return {one.alert: one for one in board.alerts}


async def asks(country: Country, patients: list[Bsn]) -> None:
    for patient in patients:
        await ask(country.means, country.call(), summary(patient))


async def test_a_quiet_country_raises_nothing(country: Country) -> None:
    assert await told(country) == {}


async def test_many_patients_with_nothing_found_are_an_enumeration(country: Country) -> None:
    await asks(country, PEOPLE[: NOTHING_FOUND_FOR - 1])
    await asks(country, PEOPLE[: NOTHING_FOUND_FOR - 1])
    assert await told(country) == {}, "the same patients again are no more patients"
    await asks(country, PEOPLE[NOTHING_FOUND_FOR - 1 : NOTHING_FOUND_FOR])
    raised = (await told(country))[Alert.ENUMERATION]
    assert (raised.organisation, raised.count, raised.of) == (POST.ura, NOTHING_FOUND_FOR, NOTHING_FOUND_FOR)
    country.tick(seconds=WINDOW.total_seconds() + 1)
    assert await told(country) == {}, "an hour later it is over"


async def test_patients_with_data_are_no_enumeration(country: Country) -> None:
    for patient in PEOPLE[:NOTHING_FOUND_FOR]:
        await country.open(patient=patient)
    await asks(country, PEOPLE[:NOTHING_FOUND_FOR])
    assert Alert.ENUMERATION not in await told(country)


async def test_a_patient_whose_data_came_after_all_does_not_count(country: Country) -> None:
    await asks(country, PEOPLE[:NOTHING_FOUND_FOR])
    assert Alert.ENUMERATION in await told(country)
    await country.open(patient=PEOPLE[0])
    await asks(country, PEOPLE[:1])
    assert Alert.ENUMERATION not in await told(country)


async def test_emergencies_are_counted_by_organisation(country: Country) -> None:
    for number in range(FEWEST_ASKED):
        await ask(country.means, country.emergency(AMBULANCE, "80.000"), summary(PEOPLE[0]))
        purpose = Purpose.ETREAT if number < FEWEST_ASKED // 2 else Purpose.TREAT
        await ask(country.means, country.call(purpose=purpose), summary(PEOPLE[0]))
    raised = await told(country)
    assert list(raised) == [Alert.EMERGENCY_SHARE]
    found = raised[Alert.EMERGENCY_SHARE]
    assert (found.organisation, found.count, found.of) == (POST.ura, FEWEST_ASKED // 2, FEWEST_ASKED)


async def test_an_enrolment_grab_is_told_for_a_day(country: Country) -> None:
    for patient in PEOPLE[: country.means.mail.alert_at]:
        await country.say(patient=patient)
        await country.enrol(patient=patient)
        await country.say(custodian=PRACTICE_2, patient=patient)
        await country.enrol(PRACTICE_2, patient=patient)
    raised = (await told(country))[Alert.ENROLMENT_GRAB]
    assert (raised.organisation, raised.count) == (PRACTICE_2.ura, country.means.mail.alert_at)
    country.tick(days=1, seconds=1)
    assert Alert.ENROLMENT_GRAB not in await told(country)


async def test_old_messages_and_late_reviews_are_told(country: Country) -> None:
    await country.say()
    await country.enrol()
    await country.send()
    country.tick(seconds=OLDEST_MESSAGE.total_seconds())
    raised = await told(country)
    assert list(raised) == [Alert.OUTBOX_OLD]
    assert raised[Alert.OUTBOX_OLD].count == OLDEST_MESSAGE // timedelta(hours=1)


async def test_a_late_review_is_told(country: Country) -> None:
    await country.regime(Regime.EMERGENCY_AVAILABLE)
    await country.say(requesters={"gp-care"}, patient=PEOPLE[0])
    await country.register(patient=PEOPLE[0])
    await ask(country.means, country.emergency(HOSPITAL, capacity=Capacity.INCAPABLE), summary(PEOPLE[0]))
    assert Alert.REVIEW_OVERDUE not in await told(country)
    country.tick(seconds=DUE_IN.total_seconds() + 1)
    assert (await told(country))[Alert.REVIEW_OVERDUE].count == 1


async def test_what_readiness_finds_wrong_is_told(country: Country) -> None:
    assert list(await told(country, {"seal": "an entry waits", "other": "?"})) == [Alert.SEAL]
