"""Do the commands do what they say? Each run through the program's own entry point, against a running country."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from program import Run
from running_country import Country, Visit

from gateway.rules.exchange import Regime
from source_sim.country import GP, GP_POST
from source_sim.pki import uzi_of

pytestmark = pytest.mark.xdist_group("country")


@pytest.fixture
def at(country: Country) -> tuple[str, str]:
    return "--running", country.running


def entered(country: Country, bsn: str) -> None:
    async def enter() -> None:
        visit = Visit(country)
        try:
            await visit.enter(GP, bsn, "gp-summary")
        finally:
            await visit.leave()

    asyncio.run(enter())


def test_ask_tells_a_script_and_a_doctor_the_same(country: Country, run: Run, at: tuple[str, str]) -> None:
    bsn = country.patient()
    entered(country, bsn)
    told = run("ask", "gp-summary", "--bsn", bsn, "--json", *at)
    assert told.code == 0
    assert (told.json["status"], told.json["completeness"], told.json["flags"]) == (200, "complete", [])
    assert told.json["answers"][0]["entry"][0]["resource"]["type"] == "document"
    shown = run("ask", "gp-summary", "--bsn", bsn, *at)
    assert shown.code == 0
    assert "complete: 1 found" in shown.out
    assert bsn not in shown.out
    refused = run("ask", "gp-summary", "--bsn", bsn, "--no-cover", "--json", *at)
    assert (refused.code, refused.json["status"], refused.json["code"]) == (1, 403, "no-cover")
    barred = run("ask", "gp-summary", "--bsn", bsn, "--role", "01.008", *at)
    assert barred.code == 1
    assert "barred-profession" in barred.out


def test_a_chain_can_be_followed_from_ask_to_the_journal(country: Country, run: Run, at: tuple[str, str]) -> None:
    bsn = country.patient()
    entered(country, bsn)
    told = run("ask", "gp-summary", "--bsn", bsn, "--json", *at).json
    chain = told["aorta_id"].partition("=")[2].partition(";")[0]
    shown = run("journal", "show", chain, "--json", *at)
    events = [json.loads(line)["event"] for line in shown.out.splitlines()]
    assert events == ["query-decided", "disclosed", "query-answered"]
    tail = run("journal", "tail", "--lines", "5", "--json", *at)
    assert len(tail.out.splitlines()) == 5
    assert json.loads(tail.out.splitlines()[-1])["event"] == "journal-read", "reading the journal is in the journal"
    about_her = run("journal", "show", "--bsn", bsn, "--json", *at)
    assert chain in about_her.out
    assert bsn not in shown.out + tail.out + about_her.out
    assert "disclosed" in run("journal", "tail", "--event", "disclosed", *at).out
    assert "row" in run("journal", "show", chain, *at).out


def test_a_choice_is_taken_in_shown_and_taken_back(country: Country, run: Run, at: tuple[str, str]) -> None:
    bsn = country.patient()
    entered(country, bsn)

    def found() -> int:
        answer = run("ask", "gp-summary", "--bsn", bsn, "--json", *at).json["answers"][0]
        return int(answer["total"])

    assert found() == 1
    narrow = ("--bsn", bsn, "--custodian", GP.ura, "--group", GP_POST.ura)
    assert run("consent", "refuse", *narrow, *at).code == 0
    assert found() == 0
    taken_back = run("consent", "withdraw", *narrow, *at)
    assert (taken_back.code, found()) == (0, 1)
    assert run("consent", "grant", "--bsn", bsn, "--category", "gp-summary", "--emergency-only", *at).code == 0
    rows = run("consent", "show", "--bsn", bsn, "--json", *at).json
    assert [(row["say"], row["in_force"]) for row in rows if GP_POST.ura in row["about"]][-1][0] == "cleared"
    assert any("in emergencies only" in row["about"] and row["in_force"] for row in rows)
    assert bsn not in run("consent", "show", "--bsn", bsn, *at).out


def test_a_regime_is_switched_with_its_reason_and_ends_by_itself(
    country: Country, run: Run, at: tuple[str, str]
) -> None:
    def in_force() -> dict[str, Any]:
        rows = run("regime", "show", "--json", *at).json["regimes"]
        return {row["regime"]: row for row in rows}

    assert in_force()[Regime.REGULAR]["in_force"] == "yes"
    switched = run("regime", "set", "CRISIS_OPT_IN", "on", "--reason", "a rehearsal", *at)
    assert (switched.code, in_force()[Regime.CRISIS_OPT_IN]["in_force"]) == (0, "yes")
    assert in_force()[Regime.CRISIS_OPT_IN]["reason"] == "a rehearsal"
    assert "a rehearsal" in run("regime", "show", *at).out
    assert run("regime", "set", "CRISIS_OPT_IN", "off", "--reason", "over", *at).code == 0
    assert in_force()[Regime.CRISIS_OPT_IN]["in_force"] == "no"
    past = ("--until", "2001-01-01T00:00:00+01:00")
    run("regime", "set", "CRISIS_OPT_IN", "on", "--reason", "too late", *past, *at)
    assert in_force()[Regime.CRISIS_OPT_IN]["in_force"] == "no"


def test_an_authority_issues_shows_and_revokes(run: Run) -> None:
    assert run("pki", "init", "--dir", "pki").code == 0
    again = run("pki", "init", "--dir", "pki")
    assert (again.code, len(again.err.splitlines())) == (2, 1)
    named = ("--ura", "90000901", "--app-id", "400901", "--name", "Test", "--out", "out", "--dir", "pki")
    assert run("pki", "issue", *named).code == 0
    described = run("pki", "show", "out/client.pem", "--dir", "pki", "--json").json
    assert (described["ura"], described["uzi"], described["revoked"]) == (
        "90000901", uzi_of("90000901", "400901"), False,
    )  # fmt: skip
    assert run("pki", "revoke", "out/client.pem", "--dir", "pki").code == 0
    assert run("pki", "show", "out/client.pem", "--dir", "pki", "--json").json["revoked"] is True
    assert "90000901" in run("pki", "show", "out/client.pem").out


def test_the_doctor_finds_a_running_country_well(run: Run, at: tuple[str, str]) -> None:
    told = run("doctor", "--json", *at)
    assert told.code == 0
    assert {one["check"] for one in told.json} >= {"desk", "exchange", "token", "sources", "ledger", "index"}
    assert all(one["well"] for one in told.json)
    assert "well" in run("doctor", *at).out


def test_a_folder_of_instances_is_reported_on(run: Run, real_records: Path) -> None:
    told = run("sources", "--records", str(real_records), "--check")
    assert (told.code, told.err) == (0, "")
    assert "patients with a BSN" in told.out
