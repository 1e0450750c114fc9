"""Which call meets which fault? Narrow before wide, by count, by chance with a seed; and how long a slow one takes."""

from __future__ import annotations

from statistics import mean, median

import pytest
from sources_at_hand import BSN, OTHER_BSN

from source_sim.faults import FOREVER, Fault, FaultName, Place, Spread, Switchboard, UnknownFault, catalogue, fault


def met(board: Switchboard, count: int, leg: str = "Flag", bsn: str = BSN) -> list[str]:
    found = [board.active(leg, bsn) for _ in range(count)]
    return [one.name.value if one else "" for one in found]


def test_the_narrower_goes_before_the_wider_and_a_patient_s_before_a_leg_s() -> None:
    board = Switchboard()
    board.switch(fault("error"))
    board.switch(fault("busy"), "search")
    board.switch(fault("empty"), "Flag")
    board.switch(fault("garbage"), patient=BSN)
    board.switch(fault("paging"), "Flag", patient=BSN)
    cases = {
        ("Flag", BSN): "paging",
        ("Consent", BSN): "garbage",
        ("Flag", OTHER_BSN): "empty",
        ("Consent", OTHER_BSN): "busy",
        ("$process-message", OTHER_BSN): "error",
        ("metadata", BSN): "",
    }
    assert {key: met(board, 1, *key)[0] for key in cases} == cases
    board.clear("Flag", patient=BSN)
    assert met(board, 1) == ["garbage"]
    board.clear_all()
    assert met(board, 1) == [""]


def test_only_the_nth_call_from_the_switching_on() -> None:
    board = Switchboard()
    board.switch(fault("error"), call=3)
    assert met(board, 5) == ["", "", "error", "", ""]
    board.switch(fault("error"), call=1)
    assert met(board, 2) == ["error", ""]


def test_a_fault_that_does_not_meet_the_call_lets_the_next_have_it() -> None:
    board = Switchboard()
    board.switch(fault("empty"), "Flag", call=2)
    board.switch(fault("error"))
    assert met(board, 3) == ["error", "empty", "error"]
    assert [(one["name"], one["calls"], one["met"]) for one in board.listing()] == [("empty", 3, 1), ("error", 2, 2)]


def chances(seed: int, salt: str = "90000001", probability: float = 0.3) -> list[str]:
    board = Switchboard(salt)
    board.switch(fault("error"), probability=probability, seed=seed)
    return met(board, 2000)


def test_the_same_seed_meets_the_same_calls_and_another_meets_others() -> None:
    assert chances(7) == chances(7)
    assert chances(7) != chances(8)
    assert chances(7) != chances(7, "90000002"), "two sources fail in step"


@pytest.mark.parametrize("probability", [0.0, 0.05, 0.3, 1.0])
def test_a_probability_is_the_part_of_the_calls_that_meets_it(probability: float) -> None:
    share = chances(1, probability=probability).count("error") / 2000
    assert abs(share - probability) <= (0.03 if 0 < probability < 1 else 0)


def seconds(spread: Spread) -> list[float]:
    board = Switchboard()
    board.switch(fault("slow", 2.0, spread=spread), seed=3)
    found = [board.active("Flag") for _ in range(4000)]
    return [one.seconds for one in found if one is not None]


def test_a_slow_source_is_slow_as_its_spread_says() -> None:
    drawn = {spread: seconds(spread) for spread in Spread}
    assert set(drawn[Spread.FIXED]) == {2.0}
    assert (min(drawn[Spread.UNIFORM]) < 0.1, 3.9 < max(drawn[Spread.UNIFORM]) <= 4) == (True, True)
    assert abs(mean(drawn[Spread.UNIFORM]) - 2) < 0.1
    assert abs(mean(drawn[Spread.NORMAL]) - 2) < 0.1
    assert min(drawn[Spread.NORMAL]) >= 0
    assert 3700 < sum(1 < one < 3 for one in drawn[Spread.NORMAL]) < 3900, "two standard deviations are 95 in a hundred"
    assert abs(median(drawn[Spread.LONG_TAIL]) - 2) < 0.2
    assert 50 < sum(one > 14 for one in drawn[Spread.LONG_TAIL]) < 200
    assert max(drawn[Spread.LONG_TAIL]) <= FOREVER
    assert all(seconds(spread) == drawn[spread] for spread in Spread)


def test_a_port_s_fault_is_obeyed_by_who_listens_and_met_by_no_call() -> None:
    board = Switchboard()
    board.switch(fault("expired-certificate"))
    assert (board.whole, board.down, met(board, 1)) == (FaultName.EXPIRED_CERTIFICATE, False, [""])
    board.switch(fault("down"))
    assert (board.whole, board.down) == (FaultName.DOWN, True)
    board.switch(fault("error"))
    assert (board.whole, board.down, met(board, 1)) == (None, False, ["error"])


def test_a_wrong_clock_is_met_before_anybody_is_let_in() -> None:
    board = Switchboard()
    board.switch(fault("clock-skew", -90), "Flag")
    skew = board.skew("Flag")
    assert skew == Fault(FaultName.CLOCK_SKEW, -90)
    assert (board.skew("Consent"), board.active("Flag")) == (None, None)
    assert board.listing()[0]["calls"] == 1


@pytest.mark.parametrize(
    "words",
    [
        {"name": "tired"},
        {"name": "slow", "seconds": -1},
        {"name": "clock-skew", "seconds": -FOREVER - 1},
        {"name": "slow", "seconds": FOREVER + 1},
        {"name": "drip", "spread": "uniform"},
        {"name": "slow", "spread": "wild"},
        {"name": "empty", "place": "subject"},
        {"name": "wrong-patient", "place": "cellar"},
    ],
    ids=lambda words: "-".join(map(str, words.values())),
)
def test_a_fault_with_words_that_are_not_its_own_is_none(words: dict[str, object]) -> None:
    with pytest.raises(UnknownFault):
        fault(**words)  # type: ignore[arg-type]


def test_the_listing_never_tells_a_number() -> None:
    board = Switchboard()
    board.switch(fault("wrong-patient", place=Place.SECOND), patient=BSN, label="all-open")
    board.switch(fault("empty"), patient=OTHER_BSN)
    assert [one["patient"] for one in board.listing()] == ["all-open", "somebody"]
    assert BSN not in repr(board.listing())
    assert OTHER_BSN not in repr(board.listing())


def test_every_fault_has_a_sentence_for_people() -> None:
    told = catalogue()
    assert [one["name"] for one in told] == [name.value for name in FaultName]
    assert all(one["sentence"].endswith(".") and 20 < len(one["sentence"]) < 90 for one in told)
    assert {one["name"] for one in told if one["whole"]} == {
        "down", "expired-certificate", "revoked-certificate", "wrong-certificate", "foreign-certificate"
    }  # fmt: skip
