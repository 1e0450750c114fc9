"""Does the terminal understand what it is told, and refuse in one line what it cannot do? The pure parts only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.cli import join, journal, regime
from gateway.cli.ask import PERSONAS, _claims, system_from
from gateway.cli.place import Misuse, find
from gateway.cli.program import main as program
from gateway.rules.exchange import Regime
from gateway.rules.identifiers import Ura, UziNumber
from gateway.rules.network import RegimeSwitch
from source_sim.pki import uzi_of

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


# --- where the simulation is -----------------------------------------------------------------------------------------


def test_the_nearest_running_simulation_is_found_upward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    with pytest.raises(Misuse):
        find(None)
    for folder in (tmp_path, tmp_path / "a"):
        (folder / ".switchpoint").mkdir()
        told = {"exchange": f"https://{folder.name}.test", "desk": "d", "token_endpoint": "t", "state": "s", "pki": "p"}
        (folder / ".switchpoint" / "running.json").write_text(json.dumps(told))
    assert find(None).exchange == "https://a.test"
    assert find(tmp_path / ".switchpoint").path.parent.parent == tmp_path


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_running_json_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "running.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Misuse):
        find(path)


@pytest.mark.parametrize("content", [None, "{}", "["])
def test_a_folder_that_holds_no_joined_system(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "join.json").write_text(content)
    with pytest.raises(Misuse):
        system_from(tmp_path)


# --- regimes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["REGULAR", "crisis_opt_in", ""])
def test_only_the_two_switchable_regimes_are_switched(name: str) -> None:
    with pytest.raises(Misuse):
        regime._regime(name)


@pytest.mark.parametrize("to", ["ON", "yes", ""])
def test_a_regime_is_switched_on_or_off(to: str) -> None:
    assert (regime._on("on"), regime._on("off")) == (True, False)
    with pytest.raises(Misuse):
        regime._on(to)


@pytest.mark.parametrize("text", ["soon", "2026-11-21T20:00:00"])
def test_an_end_has_a_time_and_a_zone(text: str) -> None:
    assert regime._moment("2026-11-21T21:00:00+01:00") == NOW
    with pytest.raises(Misuse):
        regime._moment(text)


def test_a_regimes_line_tells_the_last_switch() -> None:
    on = RegimeSwitch(Regime.CRISIS_OPT_IN, True, NOW, "one", "begins")
    off = RegimeSwitch(Regime.CRISIS_OPT_IN, False, NOW, "two", "stops")
    row = regime._row(Regime.CRISIS_OPT_IN, frozenset({Regime.REGULAR}), (on, off))
    assert (row["in_force"], row["by"], row["reason"]) == ("no", "two", "stops")
    never = regime._row(Regime.EMERGENCY_AVAILABLE, frozenset({Regime.EMERGENCY_AVAILABLE}), (on, off))
    assert (never["in_force"], never["by"]) == ("yes", None)


# --- joining ---------------------------------------------------------------------------------------------------------


def test_a_participant_in_our_words() -> None:
    organisation, system = join._participant("90000401", "V4", "Test", "401", ["SEH"], "https://here.test:9/fhir/")
    assert (organisation.ura, organisation.departments) == (Ura("90000401"), frozenset({"SEH"}))
    assert system.uzi == UziNumber(uzi_of("90000401", "401"))
    assert system.endpoint == "https://here.test:9/fhir"


PARTICIPANTS: dict[str, tuple[str, str, str, str, list[str], str]] = {
    "a type unheard of": ("90000401", "X1", "Test", "401", [], ""),
    "a URA too short": ("9000040", "V4", "Test", "401", [], ""),
    "an application with letters": ("90000401", "V4", "Test", "4o1", [], ""),
    "another department": ("90000401", "V4", "Test", "401", ["ICU"], ""),
    "no name": ("90000401", "V4", " ", "401", [], ""),
    "a name with a line break": ("90000401", "V4", "Te\nst", "401", [], ""),
    "an endpoint without TLS": ("90000401", "V4", "Test", "401", [], "http://here.test/fhir"),
    "an endpoint with a user": ("90000401", "V4", "Test", "401", [], "https://me@here.test/fhir"),
    "an endpoint with a query": ("90000401", "V4", "Test", "401", [], "https://here.test/fhir?x=1"),
    "an endpoint with a port of letters": ("90000401", "V4", "Test", "401", [], "https://here.test:x/fhir"),
}


@pytest.mark.parametrize("case", PARTICIPANTS)
def test_a_participant_that_cannot_join(case: str) -> None:
    with pytest.raises(Misuse):
        join._participant(*PARTICIPANTS[case])


# --- asking ----------------------------------------------------------------------------------------------------------


def test_what_is_said_on_the_command_line_stands_in_the_claims() -> None:
    persona = PERSONAS["gp-post"]
    plain = _claims(persona, NOW, False, False, "", "")
    assert (plain["role"], plain["cover"], plain["purpose"]) == ("01.015", True, "TREAT")
    changed = _claims(persona, NOW, True, True, "representative", "01.004")
    assert (changed["role"], changed["cover"], changed["capacity"]) == ("01.004", False, "incapable")
    assert changed["verbal_consent"]["given_by"] == "representative"


# --- the journal -----------------------------------------------------------------------------------------------------


def test_an_event_or_a_number_that_is_none() -> None:
    assert journal._event("") is None
    assert journal._event("disclosed") == "disclosed"
    with pytest.raises(Misuse):
        journal._event("gossip")
    with pytest.raises(Misuse) as caught:
        journal._bsn("123456789")
    assert "123456789" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [["regime", "set", "REGULAR", "on", "--reason", "x"], ["ask", "gossip", "--bsn", "1"], ["journal", "show"]],
    ids=["regime", "ask", "journal"],
)
def test_whatever_cannot_be_done_is_one_line_and_exit_code_2(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["switchpoint", *words])
    with pytest.raises(SystemExit) as caught:
        program()
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
