"""Do the commands say by their exit code what a script must know, and does the verifier run as one copied file?"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.cli.program import main as program
from gateway.flows.sealing_journal import Sealer, open_sealer, seal
from gateway.rules.journal import Event, Line
from gateway.stores import journal
from gateway.stores.ledger import open_ledger

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
STANDALONE = Path(__file__).parents[2] / "gateway" / "cli" / "verify_journal.py"


@pytest.fixture
def sealer(tmp_path: Path) -> Iterator[Sealer]:
    """A journal of thirty entries under three checkpoints, as a running simulation's state folder has it."""
    with closing(open_ledger(f"sqlite://{tmp_path / 'ledger.sqlite'}")) as ledger:
        made = open_sealer(ledger, tmp_path, lambda: NOON)
        for _ in range(3):
            for number in range(10):
                line = Line(Event.TOKEN_REFUSED, NOON, NOON, fields={"why": f"reason {number}"})
                ledger.commit_now(lambda tx, line=line: journal.append(tx, line))
            asyncio.run(seal(made))
        told = {"state": str(tmp_path), "settings": {"state_dir": str(tmp_path)}}
        (tmp_path / "running.json").write_text(json.dumps(told))
        yield made


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["switchpoint", "journal", *words])
    with pytest.raises(SystemExit) as ended:
        program()
    return int(ended.value.code or 0)


def change(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as db:
        db.execute("DROP TRIGGER journal_no_update")
        db.execute("UPDATE journal SET line = replace(line, 'reason 6', 'reason 5') WHERE seq = 17")


Captured = pytest.CaptureFixture[str]


def test_verify_says_by_its_exit_code_whether_something_is_wrong(
    sealer: Sealer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    here = ["--running", str(tmp_path)]
    assert run(monkeypatch, "verify", *here) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    change(tmp_path)
    assert run(monkeypatch, "verify", *here) == 1
    assert "first wrong: entry 17 is not what was sealed" in capsys.readouterr().out
    assert run(monkeypatch, "verify", "--ledger", str(tmp_path / "ledger.sqlite"), "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["first_wrong"]["entry"], told["first_wrong"]["fault"], told["sealed"]) == (17, "changed", 30)
    assert run(monkeypatch, "prove", "17", *here) == 1
    assert "WRONG" in capsys.readouterr().err
    assert run(monkeypatch, "verify", "--ledger", str(tmp_path / "nowhere")) == 2


def test_what_was_exported_is_held_against_a_ledger_set_back(
    sealer: Sealer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    export, backup = str(tmp_path / "export.jsonl"), tmp_path / "backup.sqlite"
    assert run(monkeypatch, "seal", "--running", str(tmp_path)) == 0
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db, closing(sqlite3.connect(backup)) as to:
        db.backup(to)
    sealer.ledger.commit_now(lambda tx: journal.append(tx, Line(Event.CLOCK_SET, NOON, NOON)))
    asyncio.run(seal(sealer))
    assert run(monkeypatch, "export", export, "--running", str(tmp_path)) == 0
    assert run(monkeypatch, "export", export, "--running", str(tmp_path)) == 2, "an export is never overwritten"
    assert run(monkeypatch, "verify", "--ledger", str(backup)) == 0
    capsys.readouterr()
    assert run(monkeypatch, "verify", "--ledger", str(backup), "--against", export, "--json") == 1
    assert json.loads(capsys.readouterr().out)["first_wrong"]["entry"] == 31
    assert run(monkeypatch, "verify", "--running", str(tmp_path), "--against", export) == 0
    assert run(monkeypatch, "verify", "--running", str(tmp_path), "--first-key", "0" * 16) == 1
    assert run(monkeypatch, "verify", "--running", str(tmp_path), "--against", str(tmp_path / "running.json")) == 2


def test_prove_archive_and_rotate(
    sealer: Sealer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    here, old = ["--running", str(tmp_path)], str(tmp_path / "old.jsonl")
    assert run(monkeypatch, "prove", "3", "--since", "10", *here) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["entry"], told["since"], told["sealed"]) == (3, 10, NOON.isoformat())
    assert run(monkeypatch, "prove", "31", *here) == 2
    assert run(monkeypatch, "rotate-key", *here) == 0
    assert run(monkeypatch, "archive", old, "--before", "soon", *here) == 2
    assert run(monkeypatch, "archive", old, "--before", "2026-11-21", *here) == 2, "nothing is that old"
    assert run(monkeypatch, "archive", old, "--before", "2026-11-22", *here) == 0
    assert run(monkeypatch, "verify", "--archive", old, *here) == 0
    with Path(old).open("a") as file:
        file.write("{}\n")
    assert run(monkeypatch, "verify", "--archive", old, *here) == 1


# --- as one copied file ----------------------------------------------------------------------------------------------


def by_itself(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    copied = shutil.copy(STANDALONE, elsewhere / "verify.py")
    command = [sys.executable, "-I", str(copied), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=elsewhere, check=False)


def test_the_verifier_needs_nothing_of_the_gateway(sealer: Sealer, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger.sqlite")
    fine = by_itself(tmp_path, "--ledger", ledger)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert "30 sealed entries, 0 faults" in fine.stdout
    change(tmp_path)
    wrong = by_itself(tmp_path, "--ledger", ledger, "--json")
    assert (wrong.returncode, json.loads(wrong.stdout)["first"]) == (1, 17)
    assert by_itself(tmp_path, "--ledger", str(tmp_path / "nowhere")).returncode == 2
    assert by_itself(tmp_path, "--file", str(tmp_path / "running.json")).returncode == 2
    assert by_itself(tmp_path).returncode == 2


def test_the_verifier_imports_only_the_standard_library_and_cryptography() -> None:
    import ast

    tree = ast.parse(STANDALONE.read_text("utf-8"))
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(name).partition(".")[0] for name in named} - set(sys.stdlib_module_names) == {"cryptography"}
