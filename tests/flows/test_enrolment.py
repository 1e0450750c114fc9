"""Who becomes the GP of record, who is told, and what does an enrolment never open? The journal line by line."""

from __future__ import annotations

import logging

import pytest
from flow_country import NOBODY, PHARMACY, PRACTICE, PRACTICE_2, START, THEM, US, Country, numbers, summary
from transcript import transcript

from gateway.flows import enrolment, localise
from gateway.flows.query import ask
from gateway.flows.release import NOTHING
from gateway.rules.access import Bar
from gateway.rules.exchange import Category
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Audience, view
from gateway.stores import enrolments
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable


async def _gp(country: Country, patient: Bsn = US) -> str:
    key, now = country.means.keys.patient(patient), country.now
    found = await country.real_ledger.read(lambda tx: enrolments.gp_of_record(tx, key, now))
    return found.custodian.digits if found else ""


async def _pointer(country: Country, of: object) -> str:
    found = await country.means.index.find(country.means.keys.patient(US), Category.ENROLMENT)
    return next(one.id for one in found if one.custodian == of)


async def test_a_first_enrolment_is_told_once(country: Country) -> None:
    await country.enrol()
    await country.enrol()
    assert await transcript(country) == [
        "entry-registered enrolment False True",
        "gp-of-record-changed enrolled >90000101",
        "entry-registered enrolment False False",
    ]
    assert await _gp(country) == "90000101"


async def test_a_move_tells_the_former_practice_and_the_patient(country: Country) -> None:
    await country.enrol()
    before = await country.forget()
    await country.enrol(PRACTICE_2, since="2026-11-20")
    await country.rounds(0)
    assert await transcript(country, before) == [
        "entry-registered enrolment False True",
        "gp-of-record-changed moved 90000101>90000102",
        "message-accepted enrolment-changed for 90000101",
        "message-delivered enrolment-changed for 90000101 #1",
    ]
    assert country.post.told == ["90000101 moved to 90000102 since 2026-11-20"]
    (posted,) = country.post.posted
    assert posted.token == f"notice {US}"
    line = next(one.line for one in await country.lines() if one.line.fields.get("why") == "moved")
    assert line.patient == country.means.keys.patient(US)
    shown = view(line, Audience.PATIENT)
    assert (shown["former"], shown["current"], shown["since"]) == ("90000101", "90000102", "2026-11-20")


async def test_an_older_enrolment_moves_nobody(country: Country) -> None:
    await country.enrol()
    before = await country.forget()
    await country.enrol(PRACTICE_2, since="2026-10-01")
    assert await transcript(country, before) == ["entry-registered enrolment False True"]
    assert await _gp(country) == "90000101"


async def test_ending_falls_back_to_the_one_before(country: Country) -> None:
    await country.enrol()
    await country.enrol(PRACTICE_2, since="2026-11-20")
    before = await country.forget()
    await country.end(PRACTICE_2, await _pointer(country, PRACTICE_2.ura))
    assert await transcript(country, before) == [
        "entry-ended enrolment by the custodian",
        "gp-of-record-changed ended 90000102>90000101",
    ]
    assert await _gp(country) == "90000101"


async def test_ending_one_that_was_not_of_record_changes_nothing(country: Country) -> None:
    await country.enrol()
    await country.enrol(PRACTICE_2, since="2026-10-01")
    before = await country.forget()
    await country.end(PRACTICE_2, await _pointer(country, PRACTICE_2.ura))
    assert await transcript(country, before) == ["entry-ended enrolment by the custodian"]


async def test_an_earlier_date_told_later_gives_the_patient_back(country: Country) -> None:
    """The practice corrects its own date to before the other's: that one is the GP of record again, unasked."""
    await country.enrol(PRACTICE, since="2026-11-01")
    await country.enrol(PRACTICE_2, since="2026-11-20")
    before = await country.forget()
    await country.enrol(PRACTICE_2, since="2026-10-01")
    assert await transcript(country, before) == [
        "entry-registered enrolment False False",
        "gp-of-record-changed moved 90000102>90000101",
    ]


async def test_an_enrolment_opens_nothing_and_is_never_localised(country: Country) -> None:
    """A practice that enrols a stranger's patient still reads nothing, and nobody sees where anybody is enrolled."""
    await country.open(PRACTICE)
    await country.enrol(PRACTICE)
    await country.enrol(PRACTICE_2, since="2026-11-20")
    before = await country.forget()
    assert getattr(await ask(country.means, country.call(PRACTICE_2), summary()), "bar", None) is Bar.NOT_AUTHORISED
    assert await transcript(country, before) == ["query-refused gp-summary not-authorised"]
    assert country.door.asked == []
    found = await localise.localise(country.means, country.call(), US, None)
    assert [one.category for one in found] == [Category.GP_SUMMARY]


async def test_who_is_only_enrolled_is_as_unknown_as_anybody(country: Country) -> None:
    await country.enrol(patient=NOBODY)
    assert await ask(country.means, country.call(), summary(NOBODY)) == NOTHING


async def test_taking_over_many_patients_in_a_day_raises_an_alert_per_multiple(
    country: Country, caplog: pytest.LogCaptureFixture
) -> None:
    patients = _patients(7)
    for patient in patients:
        await country.enrol(PRACTICE, patient=patient)
    assert not [one for one in await transcript(country) if one.startswith("alert")], "nobody was taken over"
    for patient in patients:
        await country.enrol(PRACTICE_2, patient=patient, since="2026-11-20")
    alerts = [one for one in await transcript(country) if one.startswith("alert")]
    assert alerts == ["alert-raised enrolment-grab 90000102 3", "alert-raised enrolment-grab 90000102 6"]
    warned = [(one.levelno, one.message, one.__dict__["organisation"]) for one in caplog.records]
    assert warned == [(logging.WARNING, "enrolment-grab", "90000102")] * 2


async def test_what_a_day_ago_was_no_longer_counts(country: Country) -> None:
    for patient in _patients(3):
        await country.enrol(PRACTICE, patient=patient)
        await country.enrol(PRACTICE_2, patient=patient, since="2026-11-20")
        country.tick(hours=13)
    assert not [one for one in await transcript(country) if one.startswith("alert")]


def _patients(number: int) -> list[Bsn]:
    return [bsn for bsn, _ in zip(numbers(), range(number), strict=False)]


async def test_a_failing_ledger_moves_nobody(country: Country) -> None:
    await country.enrol()
    before = await country.forget()
    country.ledger.good_commits = 0
    with pytest.raises(LedgerUnavailable):
        await country.enrol(PRACTICE_2, since="2026-11-20")
    country.ledger.good_commits = None
    assert await _gp(country) == "90000101"
    assert await transcript(country, before) == []
    await country.rounds(0)
    assert country.post.posted == []


async def test_an_end_that_the_ledger_lost_can_be_asked_for_again(country: Country) -> None:
    await country.enrol()
    id = await _pointer(country, PRACTICE.ura)
    country.ledger.good_commits = 0
    with pytest.raises(LedgerUnavailable):
        await country.end(PRACTICE, id)
    country.ledger.good_commits = None
    assert await _gp(country) == "90000101"
    await country.end(PRACTICE, id)
    assert await _gp(country) == ""


async def test_an_end_of_which_the_index_fails_counts_and_can_be_asked_for_again(country: Country) -> None:
    await country.enrol()
    id = await _pointer(country, PRACTICE.ura)
    country.index.broken_for = "remove"
    with pytest.raises(IndexUnavailable):
        await country.end(PRACTICE, id)
    assert await _gp(country) == ""
    country.index.broken_for = ""
    await country.end(PRACTICE, id)
    assert await country.means.index.find(country.means.keys.patient(US), None) == ()


async def test_a_pharmacy_has_no_enrolments(country: Country) -> None:
    assert await country.register(PHARMACY, Category.ENROLMENT) is Bar.NOT_AUTHORISED
    assert await _gp(country) == ""


DAYS = {
    "a day": ("2026-11-20", "2026-11-20"),
    "a month": ("2026-11", "2026-11-01"),
    "a year": ("2026", "2026-01-01"),
    "a moment here": ("2026-11-20T10:00:00+01:00", "2026-11-20"),
    "a moment elsewhere that is the next day here": ("2026-11-19T23:30:00Z", "2026-11-20"),
}


@pytest.mark.parametrize("case", DAYS)
def test_since_is_a_dutch_calendar_day(case: str) -> None:
    told, day = DAYS[case]
    assert enrolment.since_day(told).isoformat() == day


async def test_patients_do_not_mix(country: Country) -> None:
    await country.enrol(PRACTICE, patient=US)
    await country.enrol(PRACTICE_2, patient=THEM)
    assert (await _gp(country, US), await _gp(country, THEM)) == ("90000101", "90000102")
    assert country.now == START
