"""Can accounts be kept from a terminal, where nothing runs yet? On a state folder of its own, by the settings."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.cli.program import main
from source_sim.pki import Pki, create


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    pki = create(tmp_path_factory.mktemp("authority") / "ca", now=datetime.now(UTC))
    pki.issue("90000900", "900", "Gateway", now=datetime.now(UTC), out=pki.directory, stem="gateway")
    return pki


@pytest.fixture
def settled(tmp_path: Path, authority: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with settings and certificates, and nothing else."""
    monkeypatch.chdir(tmp_path)
    files = {"certificate": "gateway.pem", "key": "gateway.key", "ca": "ca.pem", "crl": "crl.pem"}
    for name, file in files.items():
        monkeypatch.setenv(f"SWITCHPOINT_{name.upper()}", str(authority.directory / file))
    monkeypatch.setenv("SWITCHPOINT_STATE_DIR", str(tmp_path / "state"))


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["switchpoint", "operator", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out or told.err


def test_an_account_from_beginning_to_end(
    settled: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    added = json.loads(
        run(monkeypatch, capsys, "add", "test-one", "--role", "operator", "--role", "viewer", "--json")[1]
    )
    assert (added["name"], added["roles"], len(added["password"])) == ("test-one", ["operator", "viewer"], 23)
    code = run(monkeypatch, capsys, "totp", "test-one")[1].strip()
    assert len(code) == 6
    renewed = json.loads(run(monkeypatch, capsys, "password", "test-one", "--json")[1])
    assert renewed["password"] != added["password"]
    assert json.loads(run(monkeypatch, capsys, "totp", "test-one", "--renew", "--json")[1])["totp"] != added["totp"]
    assert run(monkeypatch, capsys, "close", "test-one") == (0, "test-one is closed\n")
    (listed,) = json.loads(run(monkeypatch, capsys, "list", "--json")[1])
    assert listed["closed"]
    assert run(monkeypatch, capsys, "totp", "test-one")[0] == 2
    table = run(monkeypatch, capsys, "list")[1]
    assert "test-one" in table
    assert added["password"] not in table


def test_a_password_of_ones_own_comes_by_standard_input(
    settled: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a password of my own\n"))
    status, told = run(monkeypatch, capsys, "add", "test-one", "--role", "viewer", "--password-stdin", "--json")
    assert (status, json.loads(told)["password"]) == (0, "a password of my own")


CANNOT = {
    "no such role": (["add", "test-one", "--role", "boss"], "viewer, operator, reviewer"),
    "no role": (["add", "test-one"], "role"),
    "no name for an account": (["add", "Test One", "--role", "viewer"], "2 to 32"),
    "no such account": (["totp", "nobody"], "no open account nobody"),
    "nothing to close": (["close", "nobody"], "no open account nobody"),
    "a running.json that is not there": (["list", "--running", "none.json"], "cannot read"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_cannot_be_done_is_one_line(
    settled: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    words, told = CANNOT[case]
    status, said = run(monkeypatch, capsys, *words)
    assert status == 2
    assert told in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("line", ["short\n", "\n", ""], ids=["short", "empty", "nothing"])
def test_a_password_that_is_too_short_is_refused(
    settled: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    status, told = run(monkeypatch, capsys, "add", "test-one", "--role", "viewer", "--password-stdin")
    assert (status, "12 to 1024" in told) == (2, True)
