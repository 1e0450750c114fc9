"""Is what a patient is shown before she saves what then happens? The effect, cell by cell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.choice import Say, Scope, Statement
from gateway.rules.effect import (
    Change,
    Effect,
    Held,
    Onlooker,
    Place,
    Sight,
    When,
    effect,
    may_be_seen,
    sight,
)
from gateway.rules.exchange import Category, Group, Kind, Regime
from gateway.rules.identifiers import Ura

AT = datetime(2026, 11, 21, 20, tzinfo=UTC)
GP, PHARMACY, POST = Ura("90000101"), Ura("90000201"), Ura("90000301")
KINDS = {GP: Kind.GP_PRACTICE, PHARMACY: Kind.PHARMACY, POST: Kind.GP_POST}
SUMMARY = Held(GP, Category.GP_SUMMARY, registered=True)
LIMITS = Held(GP, Category.TREATMENT_LIMITS, registered=True)
PILLS = Held(PHARMACY, Category.MEDICATION, registered=True)
REGULAR = frozenset({Regime.REGULAR})
EMERGENCY = REGULAR | {Regime.EMERGENCY_AVAILABLE}
CRISIS = REGULAR | {Regime.CRISIS_OPT_IN}


def said(say: Say, minutes: int = 0, **scope: object) -> Statement:
    at = AT - timedelta(hours=1) + timedelta(minutes=minutes)
    return Statement(f"{say}-{minutes}-{scope}", Scope(**scope), say, at, at)  # type: ignore[arg-type]


YES, NO = said(Say.YES), said(Say.NO, 5)
NOT_THE_AMBULANCE = said(Say.NO, 5, requesters=frozenset({"ambulance"}))
ONLY_EMERGENCIES = said(Say.YES, emergency_only=True)


def told(before: list[Statement], after: list[Statement], *held: Held, regimes: frozenset[Regime] = REGULAR) -> Effect:
    return effect(before, after, held or (SUMMARY,), regimes=regimes, kinds=KINDS, gp=GP, at=AT)


SIGHTS = {
    "nothing said": (Onlooker.GP_POST, SUMMARY, [], REGULAR, Sight.NOTHING),
    "yes, covered": (Onlooker.GP_POST, SUMMARY, [YES], REGULAR, Sight.SEES),
    "yes, and no": (Onlooker.GP_POST, SUMMARY, [YES, NO], REGULAR, Sight.NOTHING),
    "emergencies only, at rest": (Onlooker.GP_POST, SUMMARY, [ONLY_EMERGENCIES], REGULAR, Sight.NOTHING),
    "emergencies only, urgent": (Onlooker.GP_POST_URGENT, SUMMARY, [ONLY_EMERGENCIES], REGULAR, Sight.SEES),
    "no row for the ambulance": (Onlooker.AMBULANCE, SUMMARY, [YES], REGULAR, Sight.NOTHING),
    "a row for the ambulance": (Onlooker.AMBULANCE, SUMMARY, [YES], EMERGENCY, Sight.SEES),
    "no pills for the ambulance": (Onlooker.AMBULANCE, PILLS, [YES], EMERGENCY, Sight.NOTHING),
    "yes to another only": (
        Onlooker.AMBULANCE, SUMMARY, [said(Say.YES, requesters=frozenset({"hospital"}))], EMERGENCY, Sight.UNLESS_ABLE,
    ),
    "crisis, nothing said": (Onlooker.GP_POST, SUMMARY, [], CRISIS, Sight.ASKS),
    "crisis, no": (Onlooker.GP_POST, SUMMARY, [NO], CRISIS, Sight.NOTHING),
    "crisis, yes, at the ED": (Onlooker.EMERGENCY_DEPARTMENT, SUMMARY, [YES], CRISIS, Sight.ASKS),
    "specialist, pills": (Onlooker.SPECIALIST, PILLS, [YES], REGULAR, Sight.SEES),
    "specialist, summary": (Onlooker.SPECIALIST, SUMMARY, [YES], REGULAR, Sight.NOTHING),
    "pharmacy, pills": (Onlooker.PHARMACY, PILLS, [YES], REGULAR, Sight.SEES),
}  # fmt: skip


@pytest.mark.parametrize(("who", "held", "statements", "regimes", "seen"), SIGHTS.values(), ids=SIGHTS)
def test_what_is_seen(
    who: Onlooker, held: Held, statements: list[Statement], regimes: frozenset[Regime], seen: Sight
) -> None:
    assert sight(Place(who, None, held), statements, regimes, AT) is seen


def test_the_ambulance_will_then_not_see() -> None:
    changes = told([YES], [YES, NOT_THE_AMBULANCE], SUMMARY, LIMITS, PILLS, regimes=EMERGENCY).changes
    assert changes == (Change(Onlooker.AMBULANCE, None, Sight.SEES, Sight.NOTHING, When.NOW, (SUMMARY, LIMITS)),)


def test_what_is_felt_only_under_an_arrangement_is_told_as_such() -> None:
    (change,) = told([YES], [YES, NOT_THE_AMBULANCE]).changes
    assert (change.onlooker, change.when) == (Onlooker.AMBULANCE, When.ARRANGED)


def test_what_waits_for_registration_is_told_as_such() -> None:
    held = Held(PHARMACY, Category.MEDICATION, registered=False)
    changes = told([], [YES], held).changes
    assert {change.when for change in changes} == {When.REGISTERED}


def test_a_yes_below_an_objection_changes_nothing() -> None:
    later = said(Say.YES, 9, custodian=GP)
    assert told([YES, NO], [YES, NO, later], SUMMARY, LIMITS, PILLS).nothing


def test_a_general_no_ends_what_is_registered_and_only_that() -> None:
    possible = Held(PHARMACY, Category.ALLERGIES, registered=False)
    assert told([YES], [YES, NO], SUMMARY, PILLS, possible).ended == (SUMMARY, PILLS)


def test_a_no_to_all_groups_but_one_ends_nothing() -> None:
    some = said(Say.NO, 5, requesters=frozenset({"hospital", "ambulance", "pharmacy"}))
    assert told([YES], [YES, some], SUMMARY).ended == ()


def test_an_organisation_by_name_is_told_apart_only_where_it_differs() -> None:
    post = said(Say.NO, 5, requesters=frozenset({POST.digits}))
    changes = told([YES], [YES, post]).changes
    assert [(one.onlooker, one.organisation, one.after) for one in changes] == [
        (Onlooker.GP_POST, POST, Sight.NOTHING),
        (Onlooker.GP_POST_URGENT, POST, Sight.NOTHING),
    ]
    everybody = told([YES], [YES, post, NO]).changes
    assert [one.organisation for one in everybody if one.when is When.NOW] == [None, None]


def test_reports_are_kept_by_an_objection_that_names_them_only() -> None:
    assert told([YES], [YES, NO]).reports == ()
    named = said(Say.NO, 5, categories=frozenset({Category.RETURN_MESSAGE}))
    assert [(one.onlooker, one.after) for one in told([YES], [YES, named]).reports] == [
        (Onlooker.GP_POST, False),
        (Onlooker.EMERGENCY_DEPARTMENT, False),
        (Onlooker.AMBULANCE, False),
    ]


scopes = st.builds(
    Scope,
    custodian=st.sampled_from([None, GP, PHARMACY]),
    categories=st.none() | st.frozensets(st.sampled_from([*Category]), min_size=1, max_size=3),
    requesters=st.none() | st.frozensets(st.sampled_from([*(g.value for g in Group), POST.digits]), min_size=1),
    emergency_only=st.booleans(),
)
statements = st.lists(st.tuples(scopes, st.sampled_from(list(Say))), max_size=4).map(
    lambda many: [Statement(str(n), scope, say, _at(n), _at(n)) for n, (scope, say) in enumerate(many)]
)


def _at(number: int) -> datetime:
    return AT - timedelta(hours=1) + timedelta(minutes=number)


@given(before=statements, more=statements, regimes=st.sampled_from([REGULAR, EMERGENCY, CRISIS, EMERGENCY | CRISIS]))
def test_every_cell_that_changes_now_is_told_and_no_other(
    before: list[Statement], more: list[Statement], regimes: frozenset[Regime]
) -> None:
    after = [*before, *(Statement(f"more-{s.id}", s.scope, s.say, AT, AT) for s in more)]
    held = (SUMMARY, LIMITS, PILLS)
    shown = told(before, after, *held, regimes=regimes).changes
    now = {
        (one.onlooker, one.organisation, what): (one.before, one.after)
        for one in shown
        if one.when is When.NOW
        for what in one.what
    }
    for place in may_be_seen(held, after, KINDS):
        seen = tuple(sight(place, said, regimes, AT) for said in (before, after))
        cell = (place.onlooker, place.organisation, place.held)
        everybody = (place.onlooker, None, place.held)
        told_as = next((now[one] for one in (cell, everybody) if now.get(one) == seen), None)
        assert (told_as is not None) == (seen[0] is not seen[1]), cell
