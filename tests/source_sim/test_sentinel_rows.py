"""Do the rows of the sentinels hang together? Nobody answers who keeps no record, nothing is held without a yes."""

from __future__ import annotations

from datetime import date

import pytest

from source_sim import population
from source_sim.country import PARTICIPANTS
from source_sim.faults import FaultName
from source_sim.sentinel import DOWN, Enrolled, Held, Said, Sentinel
from source_sim.sentinels import SENTINELS, TROUBLED, held_at, lasting_fault

TODAY = date(2026, 11, 21)
ROWS = [pytest.param(one, id=key) for key, one in SENTINELS.items()]
INTERFACE = [
    "all-open", "objected", "undecided", "latent", "withdrawn", "unknown", "gp-only", "pharmacy-only",
    "hospital-objected", "emergency-only", "slow-pharmacy", "down-gp", "garbage-pharmacy", "wrong-patient",
    "two-gps", "two-pharmacies-one-objected", "contradictory-limits", "withholding-gp", "minor-11", "minor-14",
    "parent-consent-now-16", "no-gp-of-record", "large-record", "empty-record",
]  # fmt: skip


def test_every_sentinel_of_the_interface_has_a_row_and_a_number_of_her_own() -> None:
    assert list(SENTINELS) == INTERFACE
    assert len({one.number for one in SENTINELS.values()}) == len(INTERFACE)


@pytest.mark.parametrize("one", ROWS)
def test_a_row_never_prints_the_number(one: Sentinel) -> None:
    assert one.number not in repr(one)
    assert one.person(TODAY).key == one.key


@pytest.mark.parametrize("one", ROWS)
def test_whoever_answers_or_is_missed_keeps_a_record_and_is_registered(one: Sentinel) -> None:
    registered = {act.custodian for act in one.acts if isinstance(act, Held)}
    assert registered <= set(one.records)
    for answer in one.answers.values():
        assert {*answer.sources, *(who for who, _ in answer.missing)} <= registered
        assert (answer.completeness == "partial") is bool(answer.missing)
        assert (answer.status == 200) is not bool(answer.code)


@pytest.mark.parametrize("one", ROWS)
def test_nothing_is_registered_before_a_yes_to_that_custodian_unless_latent(one: Sentinel) -> None:
    yes = set()
    for act in one.acts:
        if isinstance(act, Said) and act.permit and act.active:
            yes.add(act.custodian)
        if isinstance(act, Held):
            assert (act.custodian in yes) is not act.latent
    assert bool(one.regime) is one.latent


@pytest.mark.parametrize("one", ROWS)
def test_a_return_message_ends_by_who_the_gp_of_record_is(one: Sentinel) -> None:
    practices = [act.practice for act in one.acts if isinstance(act, Enrolled)]
    down = {trouble.custodian for trouble in one.troubles if trouble.fault == DOWN}
    waits = bool(practices) and practices[-1] in down
    assert one.returned == ("on-hold" if not practices else "in-progress" if waits else "completed")


@pytest.mark.parametrize("one", ROWS)
def test_every_trouble_is_of_the_catalogue_and_stands_in_the_configuration(one: Sentinel) -> None:
    for trouble in one.troubles:
        assert trouble.fault in set(FaultName)
        held = [each for each in held_at(trouble.custodian) if each["bsn"] == one.number]
        follows = [each["fault"]["name"] for each in held if "fault" in each]
        assert follows == ([] if trouble.fault == DOWN else [trouble.fault])
        assert (lasting_fault(trouble.custodian) is not None) is (trouble.fault == DOWN)


def test_what_counts_against_a_source_happens_only_at_custodians_kept_for_it() -> None:
    """Else a source that all-open needs would be left alone for a while after somebody tried garbage-pharmacy."""
    counted = {"slow", "down", "garbage"}
    spoiled = {(one.key, trouble.custodian) for one in SENTINELS.values() for trouble in one.troubles}
    tried = {who for key, who in spoiled for trouble in SENTINELS[key].troubles if trouble.fault in counted}
    assert tried == set(TROUBLED)
    assert not {(one.ura, one.application) for one in TROUBLED} & {(one.ura, one.application) for one in PARTICIPANTS}


def test_the_players_of_the_story_are_nobody_s_sentinel() -> None:
    players = population.players(TODAY)
    assert not {one.bsn for one in players} & {one.number for one in SENTINELS.values()}
    assert all(population.is_bsn(one.bsn) and population.person(one.bsn, TODAY) == one for one in players)
