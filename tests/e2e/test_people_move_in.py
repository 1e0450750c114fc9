"""Does a population move into a country that runs, and into one that stands still; and is it asked about under load?

A country of its own: the population's numbers are those the other tests give to their patients.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Run

from gateway.cli.staging import Stage, stage
from source_sim.configuring import load_config
from source_sim.peopling.choices import Word
from source_sim.peopling.region import Inhabitant, Recipe, region

SMALL = Recipe(300, 9)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    place = tmp_path_factory.mktemp("peopled")
    with warnings.catch_warnings():
        # staging leaves the log files it hands to its processes to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        built = stage(place / "state", place / "certs", patients={}, exchange_port=0, desk_port=0)
    try:
        yield built
    finally:
        built.close()


def _somebody_with_medicines() -> Inhabitant:
    people = region(SMALL).numbered
    return next(
        one
        for one in people
        if one.problems
        and all(said.word is Word.YES and not said.requesters and not said.emergency_only for said in one.said)
        and any(category == "medication" for _, category in one.entries)
    )


@pytest.mark.xdist_group("peopled")
def test_a_population_moves_in_is_asked_about_and_stays_the_same(run: Run, made: Stage) -> None:
    running = ("--running", str(made.state / "running.json"))
    moved = run("population", "--patients", "300", "--seed", "9", "--json", *running)
    assert moved.code == 0, moved.err
    told = moved.json
    assert (told["fingerprint"], told["refused"]) == (region(SMALL).fingerprint, {})
    assert told["numbered"] == len(region(SMALL).numbered) == told["entries"]["enrolment"]

    one = _somebody_with_medicines()
    asked = run("ask", "medication", "--bsn", str(one.bsn), "--json", *running)
    found = {entry["resource"]["medicationReference"]["display"]
             for answer in asked.json["answers"] for entry in answer.get("entry", ())
             if entry["resource"]["resourceType"] == "MedicationStatement"}  # fmt: skip
    assert {problem.drug.name for problem in one.problems} <= found

    again = run("population", "--patients", "300", "--seed", "9", "--json", *running)
    assert again.json["fingerprint"] == told["fingerprint"]
    other = run("population", "--patients", "300", "--seed", "10", *running)
    assert other.code == 2
    assert "has a population already" in other.err

    loaded = run("load", "--profile", "saturday-night", "--seconds", "4", "--rate", "8", "--json", *running)
    assert loaded.code == 0, loaded.err
    _check_report(loaded.json)


def _check_report(told: dict[str, dict[str, dict[str, float]]]) -> None:
    whole = told["all"]
    assert whole["count"] == sum(row["count"] for row in told["roles"].values()) > 15
    assert whole["permitted"] > 0
    assert whole["neutral"] > 0
    assert whole["failed"] == 0, whole["why"]
    # the regime that would let them ask is off: refused by the rule, told plainly
    emergency = told["roles"]["emergency-department"]
    assert emergency["refused"] > 0
    ours = {one.ura for one in region(SMALL).custodians}
    assert set(told["sources"]) <= ours
    assert told["sources"]
    assert 0 < whole["p50"] <= whole["p95"] <= whole["p99"] <= whole["max"]
    assert set(told["generator"]) == {"late", "busy", "kept_up"}


def test_a_population_moves_into_a_country_that_stands_still(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    for name in ("certificate", "key", "ca", "crl"):
        file = {"certificate": "gateway.pem", "key": "gateway.key", "ca": "ca.pem", "crl": "crl.pem"}[name]
        monkeypatch.setenv(f"SWITCHPOINT_{name.upper()}", str(tmp_path / "certs" / file))
    monkeypatch.setenv("SWITCHPOINT_STATE_DIR", str(state))
    assert run("stage", "--host", "sources").code == 0
    before = json.loads((state / "sources.json").read_text("utf-8"))["systems"]
    moved = run("population", "--patients", "120", "--state", str(state), "--json")
    assert moved.code == 0, moved.err
    assert moved.json["refused"] == {}
    config = load_config(state / "sources.json")
    added = config.systems[len(before) :]
    assert [one.people for one in added] == [Recipe(120, 1)] * 2
    last = max(one["port"] for one in before)
    assert [one.endpoint for one in added] == [f"https://sources:{last + step}/fhir" for step in (1, 2)]
    assert all(Path(one.cert).exists() for one in added)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        pytest.param(("population",), "no running simulation", id="nowhere"),
        pytest.param(("population", "--state", "nowhere"), "not a folder", id="no-such-state"),
        pytest.param(("population", "--state", "."), "no country was set up", id="an-empty-folder"),
        pytest.param(("population", "--state", ".", "--running", "x"), "not both", id="two-places"),
        pytest.param(("load",), "no running simulation", id="load-nowhere"),
        pytest.param(("load", "--profile", "sunday"), "unknown profile", id="no-such-profile"),
        pytest.param(("load", "--rate", "0"), "above 0", id="no-rate"),
        pytest.param(("load", "--seconds", "0"), "at least 1", id="no-time"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, words: tuple[str, ...], why: str) -> None:
    told = run(*words)
    assert told.code == 2
    assert why in told.err
    assert len(told.err.splitlines()) == 1


@pytest.mark.xdist_group("peopled")
def test_more_people_than_numbers_is_one_line(run: Run, made: Stage) -> None:
    told = run("population", "--patients", "90000", "--running", str(made.state / "running.json"))
    assert (told.code, len(told.err.splitlines())) == (2, 1)
    assert "never used" in told.err
