"""What does a patient's page know, and what do her choices do? The flows behind it, in a whole country."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from flow_country import (
    PHARMACY,
    PRACTICE,
    PRACTICE_2,
    THEM,
    US,
    Country,
    medication,
    summary,
)
from transcript import transcript

from gateway.flows import patient_choices, patient_page, sitting, tell_me
from gateway.flows.patient_choices import Ended, NoSuchWish, Preset, Wish
from gateway.flows.patient_items import SUBJECTS, Came, Gave, Item, Subject
from gateway.flows.patient_page import Wanted
from gateway.flows.query import ask
from gateway.flows.release import NOTHING
from gateway.flows.sealing_journal import open_sealer, seal
from gateway.rules.choice import Party, Say, Scope
from gateway.rules.exchange import Category, Failing, Failure, Regime
from gateway.rules.journal import FIELDS, Audience, Event
from gateway.rules.people import OperatorSits, PatientSits
from gateway.stores import checkpoints

SHE = PatientSits(US)
ALL = Wanted()


async def items(country: Country, wanted: Wanted = Wanted(Subject.ASKED), *, sitter: PatientSits = SHE) -> list[Item]:
    return list((await patient_page.who_looked(country.means, sitter, wanted)).items)


async def choose(country: Country, wish: Wish, *, sitter: PatientSits = SHE) -> Ended:
    """See the effect and save, a minute after whatever was said before."""
    country.tick(minutes=1)
    known = await patient_choices.known(country.means, sitter)
    return await patient_choices.save(country.means, sitter, wish, known.version, worded="{}")


# --- who looked ------------------------------------------------------------------------------------------------------


async def test_one_query_is_one_item_with_what_each_custodian_gave(country: Country) -> None:
    await country.open(PHARMACY, Category.MEDICATION)
    await country.open(PRACTICE)
    await country.open(PRACTICE_2)
    await country.say(Say.NO, PRACTICE_2, requesters={"gp-care"})
    await ask(country.means, country.call(), summary())
    (item,) = await items(country)
    assert (item.event, item.came, item.told["category"]) == (Event.QUERY_DECIDED, Came.SAW, "gp-summary")
    assert [(part.custodian, part.gave, part.row, part.basis, part.reason) for part in item.parts] == [
        ("Test 90000101", Gave.SEEN, "REG-1", "consent", None),
        ("Test 90000102", Gave.CLOSED, None, None, "objection"),
    ]
    assert item.who is not None
    assert (item.who.organisation, item.who.kind, item.who.role) == ("Test 90000301", "gp-post", "01.015")


async def test_what_did_not_arrive_and_what_was_dropped_are_told_apart(country: Country) -> None:
    await country.open(PRACTICE)
    await country.open(PRACTICE_2)
    country.door.answers[PRACTICE_2.ura] = Failure(Failing.TIMED_OUT, "late")

    async def objects() -> None:
        await country.say(Say.NO, PRACTICE, requesters={"gp-care"})

    country.door.during[PRACTICE.ura] = objects
    await ask(country.means, country.call(), summary())
    (item,) = await items(country)
    assert [(part.custodian, part.gave) for part in item.parts] == [
        ("Test 90000101", Gave.DROPPED),
        ("Test 90000102", Gave.NOT_DELIVERED),
    ]
    assert item.came is not Came.SAW


async def test_two_calls_under_one_id_stay_two_items(country: Country) -> None:
    await country.open(PRACTICE)
    call = country.call()
    await ask(country.means, call, summary())
    await ask(country.means, call, summary())
    assert [(item.came, len(item.parts)) for item in await items(country)] == [(Came.SAW, 1), (Came.SAW, 1)]


async def test_a_refusal_at_the_door_and_one_after_deciding_are_each_told_once(country: Country) -> None:
    await country.open(PRACTICE)
    await ask(country.means, country.emergency(), summary())
    await country.regime(Regime.CRISIS_OPT_IN)
    await ask(country.means, country.emergency(), summary())
    found = await items(country)
    assert [(item.came, item.reason) for item in found] == [
        (Came.REFUSED, "verbal-consent-required"),
        (Came.REFUSED, "not-authorised"),
    ]


async def test_verbal_and_presumed_are_marked(country: Country) -> None:
    await country.regime(Regime.CRISIS_OPT_IN)
    await country.register(latent=True)
    await ask(country.means, country.call(verbal_consent=country.verbal()), summary())
    (item,) = await items(country)
    assert [(part.row, part.basis) for part in item.parts] == [("CRI-1", "verbal-consent")]
    assert item.flags == ("verbal-consent",)


async def test_pages_follow_each_other_without_gap_or_double(country: Country) -> None:
    await country.open(PRACTICE)
    for _ in range(7):
        await ask(country.means, country.call(), summary())
    whole = [item.seq for item in await items(country)]
    paged: list[int] = []
    wanted = Wanted(Subject.ASKED)
    while True:
        page = await patient_page.who_looked(country.means, SHE, wanted, count=2)
        paged += [item.seq for item in page.items]
        if page.before is None:
            break
        wanted = Wanted(Subject.ASKED, before=page.before)
    assert paged == whole
    assert len(whole) == 7


async def test_a_period_is_of_dutch_days(country: Country) -> None:
    await country.open(PRACTICE)
    country.now = datetime(2026, 11, 21, 22, 59, tzinfo=UTC)  # a minute before midnight in the Netherlands
    await ask(country.means, country.call(), summary())
    country.tick(minutes=2)
    await ask(country.means, country.call(), summary())
    days = [(date(2026, 11, 21), 1), (date(2026, 11, 22), 1), (date(2026, 11, 23), 0)]
    for day, number in days:
        assert len(await items(country, Wanted(Subject.ASKED, since=day, until=day))) == number, day
    assert len(await items(country, Wanted(Subject.ASKED, until=days[1][0]))) == 2


async def test_the_reading_is_journaled_under_who_read(country: Country) -> None:
    start = await country.forget()
    await items(country, ALL)
    await items(country, ALL, sitter=PatientSits(US, Party.REPRESENTATIVE))
    assert await transcript(country, start) == ["journal-read 0 patient", "journal-read 1 representative"]
    shown = await items(country, ALL)
    assert [(item.own, item.told["reader"]) for item in shown] == [(False, "representative"), (True, "patient")]


async def test_every_event_with_a_field_for_the_patient_is_told_or_told_with_another() -> None:
    hers = {event for event, fields in FIELDS.items() if any(Audience.PATIENT in who for who in fields.values())}
    not_about_one = {Event.PARTICIPANT_JOINED, Event.REGIME_SWITCHED}
    with_the_query = {Event.DISCLOSED, Event.QUERY_ANSWERED}
    assert hers - not_about_one - with_the_query == set(SUBJECTS)


async def test_nothing_routing_only_reaches_her(country: Country) -> None:
    await country.open(PRACTICE)
    await ask(country.means, country.call(), summary())
    for item in await items(country, ALL):
        assert all(Audience.PATIENT in FIELDS[item.event][name] for name in item.told), item.event


async def test_without_a_seal_the_page_says_so(country: Country) -> None:
    await country.open(PRACTICE)
    page = await patient_page.who_looked(country.means, SHE, ALL)
    assert (page.seal.at, page.seal.proved, page.seal.waiting) == (None, 0, len(page.items))
    assert await country.real_ledger.read(checkpoints.sealed_size) == 0


async def test_every_line_shown_is_held_against_the_seal_and_a_changed_one_is_found(
    country: Country, tmp_path: Path
) -> None:
    await country.open(PRACTICE)
    await ask(country.means, country.call(), summary())
    lines = await country.lines()
    disclosed = next(kept for kept in lines if kept.line.event is Event.DISCLOSED)
    await seal(open_sealer(country.real_ledger, tmp_path, lambda: country.now))
    whole = (await patient_page.who_looked(country.means, SHE, ALL)).seal
    assert (whole.at, whole.proved, whole.waiting, whole.wrong) == (country.now, len(lines), 0, ())
    text = "replace(line, 'REG-1', 'REG-2')"
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as db:
        db.execute("DROP TRIGGER journal_no_update")
        db.execute(f"UPDATE journal SET line = {text}, rule = 'REG-2' WHERE seq = ?", (disclosed.seq,))
    changed = (await patient_page.who_looked(country.means, SHE, ALL)).seal
    assert changed.wrong == (disclosed.seq,)
    assert changed.waiting == 1, "the reading before this one"


# --- choices ---------------------------------------------------------------------------------------------------------

SAID: dict[str, tuple[list[tuple[Say, Scope]], Preset, list[tuple[Say, Scope]]]] = {
    "yes to all, from nothing": ([], Preset.EVERYTHING, [(Say.YES, Scope())]),
    "yes to all, over a general no": ([(Say.NO, Scope())], Preset.EVERYTHING, [(Say.YES, Scope())]),
    "yes to all takes back a narrower no": (
        [(Say.NO, Scope(custodian=PRACTICE.ura))],
        Preset.EVERYTHING,
        [(Say.CLEARED, Scope(custodian=PRACTICE.ura)), (Say.YES, Scope())],
    ),
    "emergencies only takes back what reaches further, and every no": (
        [(Say.YES, Scope()), (Say.NO, Scope(requesters=frozenset({"ambulance"})))],
        Preset.EMERGENCIES,
        [
            (Say.CLEARED, Scope()),
            (Say.CLEARED, Scope(requesters=frozenset({"ambulance"}))),
            (Say.YES, Scope(emergency_only=True)),
        ],
    ),
    "emergencies only leaves what is said of return messages": (
        [(Say.NO, Scope(categories=frozenset({Category.RETURN_MESSAGE})))],
        Preset.EMERGENCIES,
        [(Say.YES, Scope(emergency_only=True))],
    ),
    "nobody": ([(Say.YES, Scope())], Preset.NOTHING, [(Say.NO, Scope())]),
}


@pytest.mark.parametrize(("before", "preset", "steps"), SAID.values(), ids=SAID)
async def test_what_a_preset_comes_down_to(
    country: Country, before: list[tuple[Say, Scope]], preset: Preset, steps: list[tuple[Say, Scope]]
) -> None:
    for say, scope in before:
        assert await choose(country, Wish(say=say, scope=scope)) is Ended.SAVED
    known = await patient_choices.known(country.means, SHE)
    assert [(step.say, step.scope) for step in patient_choices.steps_of(Wish(preset), known.in_force)] == steps


async def test_what_was_shown_is_what_then_holds(country: Country) -> None:
    await country.open(PRACTICE)
    await country.open(PHARMACY, Category.MEDICATION)
    for preset in (Preset.EMERGENCIES, Preset.EVERYTHING, Preset.EMERGENCIES):
        country.tick(minutes=1)
        known = await patient_choices.known(country.means, SHE)
        shown = {
            (change.onlooker, held): change.after
            for change in patient_choices.preview(known, Wish(preset), SHE).effect.changes
            if change.when == "now"
            for held in change.what
        }
        before = {(who, held): seen for held, row in patient_choices.standing(known) for who, seen in row.items()}
        assert await choose(country, Wish(preset)) is Ended.SAVED
        now = patient_choices.standing(await patient_choices.known(country.means, SHE))
        after = {(who, held): seen for held, row in now for who, seen in row.items()}
        assert after == {**before, **shown}, preset
        assert await ask(country.means, country.call(), summary()) == NOTHING or preset is Preset.EVERYTHING


async def test_a_no_to_everybody_ends_the_entries_it_said_it_would(country: Country) -> None:
    await country.open(PRACTICE)
    await country.open(PHARMACY, Category.MEDICATION)
    known = await patient_choices.known(country.means, SHE)
    ended = patient_choices.preview(known, Wish(Preset.NOTHING), SHE).effect.ended
    assert {(one.custodian, one.category) for one in ended} == {
        (PRACTICE.ura, Category.GP_SUMMARY),
        (PHARMACY.ura, Category.MEDICATION),
    }
    assert await choose(country, Wish(Preset.NOTHING)) is Ended.SAVED
    assert (await patient_choices.known(country.means, SHE)).pointers == ()


async def test_a_choice_bites_on_the_next_request_and_on_one_under_way(country: Country) -> None:
    await country.open(PRACTICE)
    not_gps = Wish(say=Say.NO, scope=Scope(requesters=frozenset({"gp-care"})))

    async def saved_meanwhile() -> None:
        assert await choose(country, not_gps) is Ended.SAVED

    country.door.during[PRACTICE.ura] = saved_meanwhile
    assert await ask(country.means, country.call(), summary()) == NOTHING
    assert country.door.custodians == [PRACTICE.ura.digits], "it was asked, and then dropped"
    country.door.during.clear()
    assert await ask(country.means, country.call(), summary()) == NOTHING
    assert len(country.door.custodians) == 1
    (later, earlier) = await items(country)
    assert ([part.gave for part in earlier.parts], [part.gave for part in later.parts]) == (
        [Gave.DROPPED],
        [Gave.CLOSED],
    )


async def test_what_changed_after_the_effect_was_shown_saves_nothing(country: Country) -> None:
    known = await patient_choices.known(country.means, SHE)
    await country.say(Say.NO, PRACTICE)
    start = await country.forget()
    wish = Wish(Preset.EVERYTHING)
    assert await patient_choices.save(country.means, SHE, wish, known.version, worded="{}") is Ended.CHANGED
    assert await transcript(country, start) == []


async def test_taking_back_a_yes_denies_and_taking_back_a_no_leaves_no_choice(country: Country) -> None:
    for say, back in ((Say.YES, Say.WITHDRAWN), (Say.NO, Say.CLEARED), (Say.WITHDRAWN, Say.CLEARED)):
        scope = Scope(custodian=PRACTICE.ura)
        country.tick(minutes=1)
        await country.say(say, PRACTICE)
        said = (await patient_choices.known(country.means, SHE)).in_force[-1]
        assert await choose(country, Wish(take_back=said.id)) is Ended.SAVED
        (now,) = (await patient_choices.known(country.means, SHE)).in_force
        assert (now.say, now.scope) == (back, scope)
        with pytest.raises(NoSuchWish):
            await choose(country, Wish(take_back=said.id))


async def test_what_is_stated_on_the_page_is_stated_online(country: Country) -> None:
    await choose(country, Wish(Preset.EVERYTHING))
    (said,) = (await patient_choices.known(country.means, SHE)).statements
    assert (said.method, said.information, said.by) == ("online", "patient-page-1", {Party.PATIENT})


# --- age -------------------------------------------------------------------------------------------------------------

YES, NO = Wish(Preset.EVERYTHING), Wish(Preset.NOTHING)
BORN = {11: date(2015, 1, 1), 14: date(2012, 1, 1), 16: date(2010, 1, 1), 40: date(1986, 1, 1)}
VOICES: dict[str, tuple[int, Party, Wish, Ended]] = {
    "11, parent, yes": (11, Party.PARENT, YES, Ended.SAVED),
    "11, child, yes": (11, Party.PATIENT, YES, Ended.NOT_ENTITLED),
    "14, parent, yes": (14, Party.PARENT, YES, Ended.PROPOSED),
    "14, guardian, yes": (14, Party.GUARDIAN, YES, Ended.PROPOSED),
    "14, child, yes": (14, Party.PATIENT, YES, Ended.PROPOSED),
    "14, parent, no": (14, Party.PARENT, NO, Ended.SAVED),
    "14, child, no": (14, Party.PATIENT, NO, Ended.SAVED),
    "16, parent, yes": (16, Party.PARENT, YES, Ended.NOT_ENTITLED),
    "16, parent, no": (16, Party.PARENT, NO, Ended.NOT_ENTITLED),
    "16, patient, yes": (16, Party.PATIENT, YES, Ended.SAVED),
    "16, representative, no": (16, Party.REPRESENTATIVE, NO, Ended.NOT_ENTITLED),
    "40, representative, yes": (40, Party.REPRESENTATIVE, YES, Ended.SAVED),
    "40, parent, no": (40, Party.PARENT, NO, Ended.NOT_ENTITLED),
}


@pytest.mark.parametrize(("age", "party", "wish", "ended"), VOICES.values(), ids=VOICES)
async def test_who_may_say_what_at_which_age(
    country: Country, age: int, party: Party, wish: Wish, ended: Ended
) -> None:
    sitter = PatientSits(US, party, BORN[age])
    assert await choose(country, wish, sitter=sitter) is ended
    said = (await patient_choices.known(country.means, sitter)).statements
    assert bool(said) is (ended is Ended.SAVED), "a proposal changes nothing yet"


async def test_a_yes_of_a_child_of_14_holds_when_both_said_it(country: Country) -> None:
    child, parent = PatientSits(US, Party.PATIENT, BORN[14]), PatientSits(US, Party.PARENT, BORN[14])
    assert await choose(country, YES, sitter=parent) is Ended.PROPOSED
    known = await patient_choices.known(country.means, child)
    (proposal,) = known.waiting
    again = await patient_choices.agree(country.means, parent, proposal, YES, known.version)
    assert again is Ended.NOT_ENTITLED, "nobody is two voices"
    assert await patient_choices.agree(country.means, child, proposal, YES, known.version) is Ended.SAVED
    now = await patient_choices.known(country.means, child)
    assert [(one.say, one.by) for one in now.in_force] == [(Say.YES, {Party.PATIENT, Party.PARENT})]
    assert now.waiting == ()
    assert await patient_choices.agree(country.means, child, proposal, YES, now.version) is Ended.CHANGED


async def test_a_proposal_of_somebody_else_is_not_hers(country: Country) -> None:
    parent, other = PatientSits(US, Party.PARENT, BORN[14]), PatientSits(THEM, Party.PATIENT, BORN[14])
    await choose(country, YES, sitter=parent)
    (proposal,) = (await patient_choices.known(country.means, parent)).waiting
    version = (await patient_choices.known(country.means, other)).version
    assert await patient_choices.agree(country.means, other, proposal, YES, version) is Ended.CHANGED
    await patient_choices.drop(country.means, other, proposal.id)
    assert (await patient_choices.known(country.means, parent)).waiting == (proposal,)
    await patient_choices.drop(country.means, parent, proposal.id)
    assert (await patient_choices.known(country.means, parent)).waiting == ()


async def test_a_parent_loses_view_and_say_at_midnight(country: Country) -> None:
    parent = PatientSits(US, Party.PARENT, date(2010, 11, 22))
    country.now = datetime(2026, 11, 21, 22, 59, 59, tzinfo=UTC)
    assert await sitting.still_has_say(country.means, parent)
    country.tick(seconds=1)
    assert not await sitting.still_has_say(country.means, parent)
    version = (await patient_choices.known(country.means, parent)).version
    ended = await patient_choices.save(country.means, parent, NO, version, worded="{}")
    assert ended is Ended.NOT_ENTITLED


# --- tell me ---------------------------------------------------------------------------------------------------------


async def mails(country: Country, sitter: PatientSits = SHE) -> list[tuple[str, str]]:
    await tell_me.tell(country.real_ledger)
    return [(mail.subject, mail.digits) for mail in (await tell_me.told(country.means, sitter))[1]]


async def test_mail_tells_of_what_was_wished_from_then_on_and_names_three_digits(country: Country) -> None:
    await country.open(PRACTICE)
    await ask(country.means, country.call(), summary())
    await tell_me.wish_for(country.means, SHE, [Subject.ASKED])
    await ask(country.means, country.call(), summary())
    await ask(country.means, country.emergency(), summary())
    await country.say(Say.NO, PRACTICE)
    assert await mails(country) == [("asked", US.digits[-3:])] * 2
    assert await mails(country) == [("asked", US.digits[-3:])] * 2, "each once"
    assert await mails(country, PatientSits(THEM)) == []


async def test_reading_ones_own_page_is_no_news_but_anothers_look_is(country: Country) -> None:
    await tell_me.wish_for(country.means, SHE, [Subject.LOG])
    await items(country)
    await items(country, sitter=PatientSits(US, Party.REPRESENTATIVE))
    assert await mails(country) == []
    key = country.means.keys.patient(US)
    await sitting.note_look(country.means, OperatorSits("an-operator", frozenset()), key, looked_at="/calls", shown=1)
    assert await mails(country) == [("log", US.digits[-3:])]


async def test_wishing_nothing_ends_the_mail(country: Country) -> None:
    await country.open(PRACTICE)
    await tell_me.wish_for(country.means, SHE, [Subject.ASKED])
    await tell_me.wish_for(country.means, SHE, [])
    await ask(country.means, country.call(), summary())
    assert await mails(country) == []
    assert (await tell_me.told(country.means, SHE))[0] is None


async def test_long_stretches_nobody_wished_for_are_passed_and_what_follows_is_found(
    country: Country, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tell_me, "_BATCH", 5)
    await country.open(PRACTICE)
    await tell_me.wish_for(country.means, SHE, [Subject.ASKED])
    for _ in range(6):
        await ask(country.means, country.call(), medication(THEM))
    await ask(country.means, country.call(), summary())
    while await tell_me.tell(country.real_ledger):
        pass
    assert await mails(country) == [("asked", US.digits[-3:])]
