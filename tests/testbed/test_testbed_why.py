"""Do failures teach? What is said when an answer gives less than all, word for word."""

from __future__ import annotations

import pytest

from source_sim.testbed import Answer, Switchpoint, no, open_country, yes


@pytest.fixture
def country():
    with open_country() as opened:
        yield opened


def ask(country: Switchpoint, consents: object = "all", kind: str = "gp-summary", **situation: object) -> Answer:
    gp, pharmacy = country.gp_practice(), country.pharmacy()
    anna = country.patient("anna", gp=gp, pharmacy=pharmacy, consents=consents)
    return country.gp_post().ask(kind, anna, **situation)


def test_a_whole_answer_has_nothing_to_explain(country: Switchpoint) -> None:
    assert ask(country).misses == ()


GOLDEN = """\
the answer is another:
  status: expected 200, got 403
  row: expected 'REG-1', got None

Test Huisartsenpost Stad: gp-summary: 403 no-treatment-relation
  No current contact with the patient: none given, not begun yet, or over for too long.
what came close:
  - the contact ended 3 days 8 hours before; 72 hours are allowed: 8 hours too old
  - row REG-1 would have permitted but for: contact
  - the smallest change: REG-1: a current contact with the patient would have to be given
the journal:
  2026-11-21 23:40:00  query-refused        gp-summary · no-treatment-relation · Test Huisartsenpost Stad"""


def test_an_expectation_that_fails_says_what_came_close(country: Switchpoint) -> None:
    answer = ask(country, contact_started="-90h", contact_ended="-80h")
    with pytest.raises(AssertionError) as failed:
        answer.expect(status=200, row="REG-1", flags=[])
    assert str(failed.value) == GOLDEN


REFUSED = {
    "no contact": ({"contact": None}, 'no contact was given: `contact="visit"` would name one'),
    "to come": ({"contact_started": "+2h"}, "the contact begins in 2 hours"),
    "backwards": ({"contact_started": "-1h", "contact_ended": "-2h"}, "the contact ends before it begins"),
    "long ago": (
        {"contact_started": "-73h"},
        "the contact began, without an end, 3 days 1 hour before; 72 hours are allowed: 1 hour too old",
    ),
    "no cover": ({"cover": False}, "cover of the patient's own practice or pharmacy was not declared: `cover=True`"),
    "role": ({"role": "17.075"}, "role 17.075 is on no row that fits; `mandate=` with a role that is would do"),
    "lapsed": (
        {"role": "83.000", "mandate": "01.015", "mandate_until": "-2h"},
        "the mandate of role 01.015 lapsed 2 hours before",
    ),
    "useless mandate": (
        {"role": "83.000", "mandate": "17.075"},
        "neither role 83.000 nor the responsible's role 17.075 is on a row that fits",
    ),
    "old attestation": (
        {"verbal": "patient", "verbal_at": "-73h"},
        "the attestation is 3 days 1 hour old; 72 hours are allowed: 1 hour too old",
    ),
    "attestation to come": (
        {"verbal": "patient", "verbal_at": "+2h"},
        "the attestation is of a moment to come (in 2 hours)",
    ),
    "unrecorded": ({"verbal": "patient", "verbal_by": " "}, "nobody recorded the attestation"),
    "contradiction": (
        {"verbal": "patient", "capacity": "incapable"},
        "capacity incapable and an attestation given by patient contradict each other",
    ),
    "somebody else": (
        {"token_patient": "999900018"},
        "the token is about another patient than the search",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_by_how_much(country: Switchpoint, name: str) -> None:
    situation, sentence = REFUSED[name]
    assert ask(country, **situation).misses[0] == sentence


NEUTRAL = {
    "objected": ([no()], "Test Huisarts De Linde: she objected a moment before"),
    "nothing": ("none", "Test Huisarts De Linde: she never chose, and gp-summary was never registered"),
    "others": ([yes(to="hospital")], "Test Huisarts De Linde: her yes is to hospital, not to gp-care"),
    "emergencies": ([yes(emergency_only=True)], "Test Huisarts De Linde: her yes holds in emergencies only"),
    "category": (
        [yes(categories=["treatment-limits"])],
        "Test Huisarts De Linde: her yes names treatment-limits, not gp-summary, and gp-summary was never registered",
    ),
}


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_neutral_answer_says_what_the_requester_may_never_learn(country: Switchpoint, name: str) -> None:
    consents, sentence = NEUTRAL[name]
    answer = ask(country, consents)
    assert (answer.status, answer.total, answer.misses[0]) == (200, 0, sentence)
    assert sentence.partition(": ")[2] not in answer.body.decode()


def test_a_withdrawal_is_told_with_its_day(country: Switchpoint) -> None:
    gp, post = country.gp_practice(), country.gp_post()
    anna = country.patient("anna", gp=gp)
    anna.withdraw(gp)
    country.wait(days=1)
    assert post.ask("gp-summary", anna).misses[0] == (
        "Test Huisarts De Linde: she withdrew her yes yesterday 23:40; "
        "its entry gp-summary ended yesterday 23:40 (by the patient)"
    )


def test_an_entry_its_custodian_ended_or_never_made_is_told(country: Switchpoint) -> None:
    gp, post = country.gp_practice(), country.gp_post()
    anna = country.patient("anna", gp=gp, consents="none")
    anna.yes(gp, register=False)
    never = "Test Huisarts De Linde: she said yes, but gp-summary was never registered"
    assert post.ask("gp-summary", anna).misses[0] == never
    gp.register(anna, "gp-summary")
    gp.end(anna, "gp-summary")
    country.wait(hours=2)
    ended = "Test Huisarts De Linde: its entry gp-summary ended 2 hours before (by the custodian)"
    assert post.ask("gp-summary", anna).misses[0] == ended


def test_nobody_has_her(country: Switchpoint) -> None:
    answer = country.gp_post().ask("gp-summary", country.patient("nobody"))
    assert answer.misses[0] == "nobody in the country has her as a patient"


def test_a_row_that_sleeps_is_told_with_its_regime(country: Switchpoint) -> None:
    gp, ambulance = country.gp_practice(), country.ambulance()
    anna = country.patient("anna", gp=gp)
    never = "row EMA-2 would permit this, but EMERGENCY_AVAILABLE was never switched on"
    assert never in ambulance.ask("gp-summary", anna).misses
    country.regime.on("EMERGENCY_AVAILABLE", until="+1h")
    country.wait(days=1)
    ended = "row EMA-2 would permit this, but EMERGENCY_AVAILABLE ended 23 hours before (2026-11-22 00:40)"
    assert ended in ambulance.ask("gp-summary", anna).misses
    country.regime.on("EMERGENCY_AVAILABLE")
    country.wait(minutes=1)
    country.regime.off("EMERGENCY_AVAILABLE")
    country.wait(minutes=5)
    off = "row EMA-2 would permit this, but EMERGENCY_AVAILABLE was switched off 5 minutes before"
    assert off in ambulance.ask("gp-summary", anna).misses


def test_a_silent_entry_is_told_with_the_crisis_that_ended(country: Switchpoint) -> None:
    gp, post = country.gp_practice(), country.gp_post()
    country.regime.on("CRISIS_OPT_IN", until="+1d")
    anna = country.patient("anna", gp=gp, consents="none", latent=True)
    asked = 'the patient has to be asked first: `verbal="patient"` sends the attestation along'
    assert post.ask("gp-summary", anna).misses[0] == asked
    country.wait(days=1, hours=12)
    told = post.ask("gp-summary", anna, verbal="patient").misses[0]
    assert told == (
        "Test Huisarts De Linde: the entry is latent, and CRISIS_OPT_IN ended yesterday 23:40 (2026-11-22 23:40)"
    )


def test_a_silent_source_is_told_with_the_fault_that_was_set(country: Switchpoint) -> None:
    one, other = country.pharmacy(), country.pharmacy()
    anna = country.patient("anna", pharmacy=[one, other])
    other.faults.set("slow", seconds=30)
    answer = country.gp_post().ask("medication", anna)
    answer.expect(completeness="partial", outcomes=["timed-out second-pharmacy"] * 3)
    assert answer.misses == (
        "Test Apotheek Noord: timed-out after 7.9 s (no whole answer in time); switched on there: `slow` (30 s)",
    )


@pytest.mark.parametrize(
    ("bsn", "sentence"),
    [
        ("999900007", "the BSN fails the eleven-test"),
        ("99990000", "the BSN has 8 characters where nine digits are wanted"),
        ("", "the BSN has 0 characters where nine digits are wanted"),
    ],
)
def test_a_bad_number_is_told_without_the_number(country: Switchpoint, bsn: str, sentence: str) -> None:
    answer = country.gp_post().ask("gp-summary", country.patient(bsn=bsn))
    assert answer.misses == (sentence,)
    assert not bsn or bsn not in answer.why
