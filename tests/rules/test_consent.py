"""Does the consent algebra say what the law says? Tables for the sentences, enumeration and properties for the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain, combinations, product
from random import Random

import consent_reference as reference
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.rules.choice import Choice, ConsentState, Party, Say, Scope, Statement
from gateway.rules.consent import (
    Asked,
    Ended,
    age,
    counts_from,
    covers,
    deciding,
    ends_entry,
    entitled,
    entries_ended,
    in_force,
    may_act_for,
    stands_on_yes,
    state,
    state_of_scope,
)
from gateway.rules.exchange import Category, Group
from gateway.rules.identifiers import Bsn, Ura

GP, PHARMACY = reference.CUSTODIANS
POST, OTHER_POST = reference.NAMED_REQUESTERS
START = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)
GRANTED, UNDECIDED, DENIED = ConsentState.GRANTED, ConsentState.UNDECIDED, ConsentState.DENIED
YES, NO, WITHDRAWN, CLEARED = Say.YES, Say.NO, Say.WITHDRAWN, Say.CLEARED
SUMMARY, MEDICATION = Category.GP_SUMMARY, Category.MEDICATION

EVERYTHING = Scope()
ASKED = Asked(GP, SUMMARY, POST, Group.GP_CARE, emergency=False)
IN_EMERGENCY = replace(ASKED, emergency=True)


def hour(n: float) -> datetime:
    return START + timedelta(hours=n)


def say(what: Say, scope: Scope = EVERYTHING, effective: float = 0, received: float | None = None) -> Statement:
    """A statement effective at hour `effective`, received then too unless told otherwise."""
    taken = effective if received is None else received
    return Statement(f"{what}-{effective}-{taken}", scope, what, hour(effective), hour(taken))


def only(*categories: Category) -> Scope:
    return Scope(categories=frozenset(categories))


def to(*requesters: str) -> Scope:
    return Scope(requesters=frozenset(requesters))


# --- the law, sentence by sentence ----------------------------------------------------------------------------------

LAW = {
    "silence is undecided": ([], ASKED, UNDECIDED),
    "a yes to everything opens": ([say(YES)], ASKED, GRANTED),
    "a yes to this custodian opens it": ([say(YES, Scope(custodian=GP))], ASKED, GRANTED),
    "a yes to the GP does not open the pharmacy": ([say(YES, Scope(custodian=PHARMACY))], ASKED, UNDECIDED),
    "a yes to this category opens it": ([say(YES, only(SUMMARY))], ASKED, GRANTED),
    "a yes to another category opens nothing here": ([say(YES, only(MEDICATION))], ASKED, UNDECIDED),
    "a yes to the group opens": ([say(YES, to("gp-care"))], ASKED, GRANTED),
    "a yes to another group opens nothing here": ([say(YES, to("hospital"))], ASKED, UNDECIDED),
    "a yes to this organisation opens": ([say(YES, to(POST.digits))], ASKED, GRANTED),
    "a yes to another organisation opens nothing": ([say(YES, to(OTHER_POST.digits))], ASKED, UNDECIDED),
    "emergency only is shut outside": ([say(YES, Scope(emergency_only=True))], ASKED, UNDECIDED),
    "emergency only opens in one": ([say(YES, Scope(emergency_only=True))], IN_EMERGENCY, GRANTED),
    "an objection for emergencies leaves other days": (
        [say(YES), say(NO, Scope(emergency_only=True))], ASKED, GRANTED),
    "an objection for emergencies holds in one": (
        [say(YES), say(NO, Scope(emergency_only=True))], IN_EMERGENCY, DENIED),
    "no emergency beats an objection": ([say(NO), say(YES, Scope(emergency_only=True), 1)], IN_EMERGENCY, DENIED),
    "a broad no beats a newer narrow yes": ([say(NO), say(YES, only(SUMMARY), 1)], ASKED, DENIED),
    "a narrow no beats a newer broad yes": ([say(NO, only(SUMMARY)), say(YES, EVERYTHING, 1)], ASKED, DENIED),
    "a no elsewhere does not close here": ([say(YES), say(NO, only(MEDICATION), 1)], ASKED, GRANTED),
    "the same scope is replaced by a yes": ([say(NO), say(YES, EVERYTHING, 1)], ASKED, GRANTED),
    "the same scope is replaced by a no": ([say(YES), say(NO, EVERYTHING, 1)], ASKED, DENIED),
    "a withdrawn yes denies": ([say(YES), say(WITHDRAWN, EVERYTHING, 1)], ASKED, DENIED),
    "a yes after a withdrawal opens": ([say(WITHDRAWN), say(YES, EVERYTHING, 1)], ASKED, GRANTED),
    "a cleared no is undecided": ([say(NO), say(CLEARED, EVERYTHING, 1)], ASKED, UNDECIDED),
    "a cleared no does not bring the yes back": (
        [say(YES), say(NO, EVERYTHING, 1), say(CLEARED, EVERYTHING, 2)], ASKED, UNDECIDED),
    "clearing a narrow no uncovers the broad yes": (
        [say(YES), say(NO, only(SUMMARY), 1), say(CLEARED, only(SUMMARY), 2)], ASKED, GRANTED),
    "at one moment a no wins over a yes": ([say(YES), say(NO)], ASKED, DENIED),
    "at one moment a no wins over its clearing": ([say(NO), say(CLEARED)], ASKED, DENIED),
    "at one moment a clearing wins over a yes": ([say(YES), say(CLEARED)], ASKED, UNDECIDED),
    "an older word arriving late changes nothing": ([say(NO, effective=2), say(YES, EVERYTHING, 1, 3)], ASKED, DENIED),
    "a yes dated ahead counts from receipt": ([say(YES, EVERYTHING, 99, 1)], ASKED, GRANTED),
    "a no dated ahead is not put off": ([say(YES), say(NO, EVERYTHING, 99, 1)], ASKED, DENIED),
    "a yes dated ahead does not outrank a later no": (
        [say(YES, EVERYTHING, 99, 1), say(NO, EVERYTHING, 2)], ASKED, DENIED),
    "a repeat of a yes dated ahead does not revive it": (
        [say(YES, EVERYTHING, 99, 1), say(NO, EVERYTHING, 2), say(YES, EVERYTHING, 99, 3)], ASKED, DENIED),
    "a word counts from its very moment": ([say(YES), say(NO, EVERYTHING, 10)], ASKED, DENIED),
    "what counts only later is not in force": ([say(YES), say(NO, EVERYTHING, 11)], ASKED, GRANTED),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "asked", "expected"), LAW.values(), ids=LAW.keys())
def test_the_law(statements: list[Statement], asked: Asked, expected: ConsentState) -> None:
    assert state(statements, asked, hour(10)) is expected


@pytest.mark.parametrize("category", [Category.RETURN_MESSAGE, Category.ENROLMENT])
@pytest.mark.parametrize(("word", "named"), [(YES, GRANTED), (NO, DENIED), (WITHDRAWN, DENIED)])
def test_return_messages_and_enrolment_count_only_when_named(
    category: Category, word: Say, named: ConsentState
) -> None:
    asked = replace(ASKED, category=category)
    assert state([say(word)], asked, hour(1)) is UNDECIDED
    assert state([say(word, only(category))], asked, hour(1)) is named


def test_what_decides_are_all_covering_denials_or_else_all_covering_yeses() -> None:
    yes, narrow_yes, no, narrow_no = (
        say(YES),
        say(YES, only(SUMMARY)),
        say(NO, to("gp-care")),
        say(NO, only(SUMMARY), 1),
    )
    assert set(deciding([yes, narrow_yes], ASKED, hour(2))) == {yes, narrow_yes}
    assert set(deciding([yes, no, narrow_no], ASKED, hour(2))) == {no, narrow_no}
    assert deciding([say(CLEARED)], ASKED, hour(2)) == ()


def test_a_requester_in_no_group_is_reached_by_name_or_by_everybody_only() -> None:
    stranger = replace(ASKED, group=None)
    assert state([say(YES, to("gp-care"))], stranger, hour(1)) is UNDECIDED
    assert state([say(YES, to(POST.digits))], stranger, hour(1)) is GRANTED
    assert state([say(YES)], stranger, hour(1)) is GRANTED


WHOLE_SCOPE = {
    # statements -> what the sender who stated this scope (the summary, for everybody) is told
    "silence": ([], UNDECIDED),
    "its own yes": ([say(YES, only(SUMMARY))], GRANTED),
    "a broader yes": ([say(YES)], GRANTED),
    "a yes to a part of it": ([say(YES, Scope(None, frozenset({SUMMARY}), frozenset({"hospital"})))], UNDECIDED),
    "a no to a part of it": ([say(YES), say(NO, Scope(None, frozenset({SUMMARY}), frozenset({"hospital"})))], GRANTED),
    "a broader no after its yes": ([say(YES, only(SUMMARY)), say(NO, EVERYTHING, 1)], DENIED),
    "a broader no before its yes": ([say(NO), say(YES, only(SUMMARY), 1)], DENIED),
    "its no cleared": ([say(NO, only(SUMMARY)), say(CLEARED, only(SUMMARY), 1)], UNDECIDED),
    "its yes withdrawn": ([say(YES, only(SUMMARY)), say(WITHDRAWN, only(SUMMARY), 1)], DENIED),
    "a yes in emergencies": ([say(YES, Scope(emergency_only=True))], UNDECIDED),
    "another category": ([say(YES, only(MEDICATION))], UNDECIDED),
    "one custodian": ([say(NO, Scope(custodian=GP))], UNDECIDED),
}


@pytest.mark.parametrize(("statements", "expected"), WHOLE_SCOPE.values(), ids=WHOLE_SCOPE.keys())
def test_what_holds_for_a_whole_scope(statements: list[Statement], expected: ConsentState) -> None:
    assert state_of_scope(statements, only(SUMMARY), hour(10)) is expected


# --- entries ---------------------------------------------------------------------------------------------------------

ALL_GROUPS = to("gp-care", "pharmacy", "hospital", "ambulance")
EACH_GROUP = [say(NO, to(group.value), 1) for group in Group]

ENTRY = {
    # statements -> (stands on a yes, must end)
    "nothing said": ([], False, False),
    "a yes": ([say(YES)], True, False),
    "a yes for emergencies": ([say(YES, Scope(emergency_only=True))], True, False),
    "a yes to one organisation": ([say(YES, to(POST.digits))], True, False),
    "a yes to another category": ([say(YES, only(MEDICATION))], False, False),
    "a no": ([say(NO)], False, True),
    "a withdrawn yes": ([say(YES), say(WITHDRAWN, EVERYTHING, 1)], False, True),
    "a no to this custodian": ([say(YES), say(NO, Scope(custodian=GP), 1)], False, True),
    "a no to another custodian": ([say(YES), say(NO, Scope(custodian=PHARMACY), 1)], True, False),
    "a no to one group leaves it": ([say(YES), say(NO, to("hospital"), 1)], True, False),
    "a no for emergencies leaves it": ([say(YES), say(NO, Scope(emergency_only=True), 1)], True, False),
    "a yes for emergencies, no in emergencies": (
        [say(YES, Scope(None, None, frozenset({"gp-care"}), True)), say(NO, Scope(emergency_only=True), 1)],
        False, False),
    "a no to the only group with a yes": (
        [say(YES, to("gp-care")), say(NO, to("gp-care", "hospital"), 1)], False, False),
    "a no to all groups by name": ([say(YES), say(NO, ALL_GROUPS, 1)], False, True),
    "a no to each group apart closes, leaves it standing": ([say(YES), *EACH_GROUP], False, False),
    "a yes to one organisation, each group denied": ([say(YES, to(POST.digits)), *EACH_GROUP], False, False),
    "a yes to two organisations, one denied": (
        [say(YES, to(POST.digits, OTHER_POST.digits)), say(NO, to(POST.digits), 1)], True, False),
    "a no that was cleared": ([say(NO), say(CLEARED, EVERYTHING, 1)], False, False),
    "a late no that a newer yes replaced": ([say(YES, EVERYTHING, 2), say(NO, EVERYTHING, 1, 3)], True, False),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "stands", "ends"), ENTRY.values(), ids=ENTRY.keys())
def test_whether_an_entry_stands_on_a_yes_and_whether_it_must_end(
    statements: list[Statement], stands: bool, ends: bool
) -> None:
    assert stands_on_yes(statements, GP, SUMMARY, hour(10)) is stands
    assert ends_entry(statements, GP, SUMMARY, hour(10)) is ends


FOUR = frozenset({SUMMARY, MEDICATION, Category.ALLERGIES, Category.TREATMENT_LIMITS})

ENDED = {
    "a no to all": (NO, EVERYTHING, Ended(None, FOUR)),
    "a withdrawal at one custodian": (WITHDRAWN, Scope(custodian=GP), Ended(GP, FOUR)),
    "a no to one category": (NO, only(MEDICATION), Ended(None, frozenset({MEDICATION}))),
    "a no to all groups": (NO, ALL_GROUPS, Ended(None, FOUR)),
    "a no to one group": (NO, to("hospital"), None),
    "a no for emergencies": (NO, Scope(emergency_only=True), None),
    "a no to return messages only": (NO, only(Category.RETURN_MESSAGE), None),
    "a no naming enrolment": (NO, only(Category.ENROLMENT), Ended(None, frozenset({Category.ENROLMENT}))),
    "a yes": (YES, EVERYTHING, None),
    "clearing a no": (CLEARED, EVERYTHING, None),
}


@pytest.mark.parametrize(("word", "scope", "expected"), ENDED.values(), ids=ENDED.keys())
def test_which_entries_a_statement_ends(word: Say, scope: Scope, expected: Ended | None) -> None:
    choice = Choice(Bsn("999900006"), scope, word, None, frozenset({Party.PATIENT}))
    assert entries_ended(choice) == entries_ended(say(word, scope)) == expected


# --- against the slow reference, and laws over large spaces ---------------------------------------------------------

WORDS = [*(group.value for group in Group), POST.digits, OTHER_POST.digits]
SCOPES = st.builds(
    Scope,
    custodian=st.sampled_from([None, GP, PHARMACY]),
    categories=st.none() | st.frozensets(st.sampled_from([*Category]), min_size=1, max_size=2),
    requesters=st.none()
    | st.frozensets(st.sampled_from(WORDS), min_size=1, max_size=5)
    | st.just(ALL_GROUPS.requesters),
    emergency_only=st.booleans(),
)
# few scopes and few moments, so that replacements, ties and repeats are common
FEW_SCOPES = st.sampled_from(
    [EVERYTHING, Scope(custodian=GP), only(SUMMARY), to("gp-care"), to(POST.digits), Scope(emergency_only=True)]
)
HOURS = st.integers(0, 5)


@st.composite
def statement(draw: st.DrawFn) -> Statement:
    effective, received = draw(HOURS), draw(HOURS)
    id = f"{draw(st.integers(0, 10**9))}"
    return Statement(id, draw(FEW_SCOPES | SCOPES), draw(st.sampled_from(Say)), hour(effective), hour(received))


STATEMENTS = st.lists(statement(), max_size=7, unique_by=lambda s: s.id)
SQUARES = st.sampled_from(reference.BOARD)


def calm(examples: int) -> settings:
    """So many examples, without a stopwatch: the machine may be busy."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


MOMENTS = st.integers(0, 6).map(hour)


@given(STATEMENTS, MOMENTS)
@calm(80)
def test_every_square_of_the_board_is_as_the_reference_reads_it(statements: list[Statement], at: datetime) -> None:
    board = reference.colours(statements, at)
    live = in_force(statements, at)
    for square, said in board.items():
        decided = [s.say for s in live if covers(s.scope, Asked(*square))]
        assert reference.read_off(decided) is reference.read_off(said), square
    for square in list(board)[:: max(1, len(board) // 20)]:
        assert state(statements, Asked(*square), at) is reference.read_off(board[square])


@given(STATEMENTS, SQUARES, MOMENTS)
@calm(150)
def test_one_square_is_as_the_reference_reads_it(
    statements: list[Statement], square: reference.Square, at: datetime
) -> None:
    assert state(statements, Asked(*square), at) is reference.read_off(reference.colours(statements, at)[square])


@given(STATEMENTS, st.sampled_from(reference.CUSTODIANS), st.sampled_from([*Category]), MOMENTS)
@calm(150)
def test_entries_are_as_the_reference_reads_them(
    statements: list[Statement], custodian: Ura, category: Category, at: datetime
) -> None:
    stands, ends = stands_on_yes(statements, custodian, category, at), ends_entry(statements, custodian, category, at)
    assert stands is reference.somebody_granted(statements, custodian, category, at)
    assert ends is reference.one_denial_fills(statements, custodian, category, at)
    assert not (stands and ends)


@given(STATEMENTS, FEW_SCOPES | SCOPES, MOMENTS)
@calm(80)
def test_whole_scopes_are_as_the_reference_reads_them(statements: list[Statement], scope: Scope, at: datetime) -> None:
    assert state_of_scope(statements, scope, at) is reference.read_off(reference.said_of_all(statements, scope, at))


@given(STATEMENTS, SQUARES, MOMENTS, st.randoms(use_true_random=False))
@calm(80)
def test_the_order_of_arrival_changes_nothing(
    statements: list[Statement], square: reference.Square, at: datetime, random: Random
) -> None:
    shuffled = random.sample(statements, len(statements))
    assert in_force(shuffled, at) == in_force(statements, at)
    assert state(shuffled, Asked(*square), at) is state(statements, Asked(*square), at)


@given(STATEMENTS, SQUARES, MOMENTS, st.data())
@calm(80)
def test_a_repeat_received_later_changes_nothing(
    statements: list[Statement], square: reference.Square, at: datetime, data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(statements))) if statements else []
    repeats = [
        replace(s, id=f"again-{n}-{s.id}", received=s.received + timedelta(hours=n)) for n, s in enumerate(chosen)
    ]
    assert in_force([*statements, *repeats], at) == in_force(statements, at)
    assert state([*repeats, *statements], Asked(*square), at) is state(statements, Asked(*square), at)


@given(STATEMENTS, SCOPES, SQUARES)
@calm(80)
def test_no_yes_of_another_scope_ever_beats_an_objection(
    statements: list[Statement], scope: Scope, square: reference.Square
) -> None:
    asked, at = Asked(*square), hour(20)
    denying = [s for s in deciding(statements, asked, at) if s.say in (NO, WITHDRAWN)]
    newer_yes = say(YES, scope, 10)
    if denying and scope not in {s.scope for s in denying}:
        assert state([*statements, newer_yes], asked, at) is DENIED
    if covers(scope, asked):
        assert state([*statements, newer_yes, say(NO, scope, 11)], asked, at) is DENIED


@given(STATEMENTS, SCOPES, SQUARES)
@calm(80)
def test_a_yes_opens_only_what_it_names(statements: list[Statement], scope: Scope, square: reference.Square) -> None:
    asked, at = Asked(*square), hour(20)
    before, after = state(statements, asked, at), state([*statements, say(YES, scope, 10)], asked, at)
    if not covers(scope, asked):
        assert after is before
    elif before is UNDECIDED:
        assert after is GRANTED


@given(STATEMENTS, SCOPES, SQUARES)
@calm(80)
def test_clearing_a_no_undoes_exactly_that_no(
    statements: list[Statement], scope: Scope, square: reference.Square
) -> None:
    asked, at = Asked(*square), hour(20)
    others = [s for s in statements if s.scope != scope]
    cleared = [*statements, say(NO, scope, 10), say(CLEARED, scope, 11)]
    assert state(cleared, asked, at) is state(others, asked, at)
    assert state([say(NO, scope), say(CLEARED, scope, 1)], asked, at) is UNDECIDED


@given(STATEMENTS, SQUARES, MOMENTS, st.lists(statement(), max_size=4))
@calm(80)
def test_what_is_received_and_effective_later_is_ignored(
    statements: list[Statement], square: reference.Square, at: datetime, more: list[Statement]
) -> None:
    later = [
        replace(
            s, id=f"later-{n}", effective=s.effective + timedelta(hours=50), received=s.received + timedelta(hours=50)
        )
        for n, s in enumerate(more)
    ]
    assert in_force([*later, *statements], at) == in_force(statements, at)


@given(STATEMENTS, SQUARES, MOMENTS)
@calm(80)
def test_effective_is_capped_at_receipt(statements: list[Statement], square: reference.Square, at: datetime) -> None:
    firsts = {
        (s.scope, s.say, s.effective): s for s in sorted(statements, key=lambda s: (s.received, s.id), reverse=True)
    }
    capped = [replace(s, effective=min(s.effective, s.received)) for s in firsts.values()]
    assert all(counts_from(s) <= s.received for s in statements)
    assert state(capped, Asked(*square), at) is state(statements, Asked(*square), at)


@given(STATEMENTS, MOMENTS)
@calm(80)
def test_one_statement_per_scope_is_in_force_and_it_is_the_newest(statements: list[Statement], at: datetime) -> None:
    live = in_force(statements, at)
    assert len({s.scope for s in live}) == len(live)
    for kept, other in product(live, statements):
        first = min((s for s in statements if _alike(s, other)), key=lambda s: s.received)
        if kept.scope == other.scope and counts_from(first) <= at:
            assert counts_from(kept) >= counts_from(first)


def _alike(one: Statement, other: Statement) -> bool:
    return (one.scope, one.say, one.effective) == (other.scope, other.say, other.effective)


# --- who may state ---------------------------------------------------------------------------------------------------

SUBSETS = [frozenset(by) for by in chain.from_iterable(combinations(Party, n) for n in range(5))]
P, M, G, R = Party.PATIENT, Party.PARENT, Party.GUARDIAN, Party.REPRESENTATIVE


@pytest.mark.parametrize("years", [None, -1, 0, 11, 12, 15, 16, 17, 18, 90])
def test_every_company_at_every_age_against_the_sentences(years: int | None) -> None:
    born = None if years is None else reference.birth_date_at(years, START)
    assert years is None or age(born or date.min, START) == years
    for by, word in product(SUBSETS, Say):
        assert entitled(word, by, born, START) is reference.may_state(word, by, years), (by, word)


ENTITLED = {
    "16, patient alone says yes": (YES, {P}, 16, True),
    "16, parent says yes": (YES, {M}, 16, False),
    "16, parent says no": (NO, {M}, 16, False),
    "16, parent withdraws": (WITHDRAWN, {M}, 16, False),
    "16, patient and parent say yes": (YES, {P, M}, 16, False),
    "16, patient objects with a parent beside": (NO, {P, M}, 16, True),
    "17, representative": (YES, {R}, 17, False),
    "18, representative": (YES, {R}, 18, True),
    "14, both say yes": (YES, {P, M}, 14, True),
    "14, patient and guardian say yes": (YES, {P, G}, 14, True),
    "14, patient alone says yes": (YES, {P}, 14, False),
    "14, parent alone says yes": (YES, {M}, 14, False),
    "14, patient alone says no": (NO, {P}, 14, True),
    "14, parent alone withdraws": (WITHDRAWN, {M}, 14, True),
    "14, patient alone clears the parent's no": (CLEARED, {P}, 14, False),
    "14, both clear": (CLEARED, {P, M}, 14, True),
    "11, parent": (YES, {M}, 11, True),
    "11, guardian": (YES, {G}, 11, True),
    "11, patient": (YES, {P}, 11, False),
    "11, patient says no": (NO, {P}, 11, False),
    "no birth date, patient": (YES, {P}, None, True),
    "no birth date, parent": (YES, {M}, None, False),
    "nobody": (NO, set(), 40, False),
}


@pytest.mark.parametrize(("word", "by", "years", "expected"), ENTITLED.values(), ids=ENTITLED.keys())
def test_who_may_state(word: Say, by: set[Party], years: int | None, expected: bool) -> None:
    born = None if years is None else reference.birth_date_at(years, START)
    assert entitled(word, frozenset(by), born, START) is expected


BIRTHDAYS = {
    # birth date, moment (UTC), age
    "last second before a birthday in Dutch summer": (
        date(2010, 6, 1),
        datetime(2026, 5, 31, 21, 59, 59, tzinfo=UTC),
        15,
    ),
    "first second of it": (date(2010, 6, 1), datetime(2026, 5, 31, 22, 0, tzinfo=UTC), 16),
    "last second before one in Dutch winter": (date(2010, 1, 1), datetime(2025, 12, 31, 22, 59, 59, tzinfo=UTC), 15),
    "first second of that": (date(2010, 1, 1), datetime(2025, 12, 31, 23, 0, tzinfo=UTC), 16),
    "born on a leap day, 28 February": (date(2008, 2, 29), datetime(2026, 2, 28, 12, tzinfo=UTC), 17),
    "born on a leap day, 1 March": (date(2008, 2, 29), datetime(2026, 3, 1, 12, tzinfo=UTC), 18),
    "born on a leap day, 29 February": (date(2008, 2, 29), datetime(2028, 2, 29, 12, tzinfo=UTC), 20),
    "born on a leap day, 28 February of a leap year": (date(2008, 2, 29), datetime(2028, 2, 28, 12, tzinfo=UTC), 19),
}


@pytest.mark.parametrize(("born", "at", "years"), BIRTHDAYS.values(), ids=BIRTHDAYS.keys())
def test_age_in_whole_years_on_dutch_days(born: date, at: datetime, years: int) -> None:
    assert age(born, at) == years


def test_a_parents_voice_and_view_end_with_the_sixteenth_birthday() -> None:
    born, birthday = date(2010, 6, 1), datetime(2026, 5, 31, 22, 0, tzinfo=UTC)
    before = birthday - timedelta(seconds=1)
    assert may_act_for(M, born, before)
    assert not may_act_for(M, born, birthday)
    assert entitled(YES, frozenset({P, M}), born, before)
    assert entitled(YES, frozenset({P}), born, birthday)


MAY_ACT = {P: (False, True, True, True), M: (True, True, False, False), G: (True, True, False, False),
           R: (False, False, False, True)}  # fmt: skip


@pytest.mark.parametrize(("party", "expected"), MAY_ACT.items())
def test_who_may_act_alone_at_11_14_16_and_18(party: Party, expected: tuple[bool, ...]) -> None:
    born = [reference.birth_date_at(years, START) for years in (11, 14, 16, 18)]
    assert tuple(may_act_for(party, day, START) for day in born) == expected
    assert may_act_for(party, None, START) is (party in (P, R))


def test_a_yes_given_by_parents_outlives_the_birthday() -> None:
    given = replace(say(YES), by=frozenset({P, M}))
    assert state([given], ASKED, START + timedelta(days=4000)) is GRANTED
