"""Does the README's chapter for testers work, line by line, in the hands of a stranger?

The chapter is the truth: its blocks are written to a clean folder under the names they give themselves, the tests among
them are run by pytest with the plugin alone, and what it says to type is typed, beside a country of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from program import Done, Run

from gateway.cli.ports import free_port
from gateway.cli.staging import stage
from source_sim.testbed import open_country

README = Path(__file__).parent.parent.parent / "README.md"
HEADING = "## Test your own system"
BLOCKS = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# (\w+\.py)\n")
TYPED = re.compile(r"`(switchpoint [^`]+)`")
ACTED = re.compile(r"`((?:switchpoint|practice)\.[^`]+)`")
LINKS = re.compile(r"\]\(#([\w-]+)\)")
PORT = "9443"
SERVES = "python my_source.py"
LONG = ("population", "load")
"""Commands with tests of their own that take half a minute."""
MOST_SOURCE_LINES = 60
BROKEN_VOUCHER = re.compile(r"voucher-\w+ +│ (?:fail|warn)")
"""In the report on the source: a bad voucher opened something."""

pytestmark = pytest.mark.xdist_group("readme-testers")


def _chapter() -> str:
    text = README.read_text("utf-8")
    assert f"\n{HEADING}\n" in text
    return text.partition(f"\n{HEADING}\n")[2].partition("\n## ")[0]


@dataclass
class Stranger:
    """A folder with the chapter's files, and how to type there. `port` stands for the one the chapter names, which may
    be taken on this machine."""

    folder: Path
    port: str
    leaving: ExitStack = field(default_factory=ExitStack)

    def copy(self) -> None:
        """Save every block under its name, and the block the chapter takes from an earlier one."""
        for _, code in BLOCKS.findall(_chapter()):
            if named := NAMED.match(code):
                (self.folder / named[1]).write_text(self._here(code), "utf-8")
        earlier = next(code for _, code in BLOCKS.findall(README.read_text("utf-8")) if "register_entry" in code)
        (self.folder / "register.py").write_text(earlier, "utf-8")

    def type(self, line: str) -> Done:
        """What comes of a command line."""
        words = ["bash", "-c", self._here(line)]
        done = subprocess.run(words, cwd=self.folder, env=self._environment, capture_output=True, text=True)
        return Done(done.returncode, done.stdout, done.stderr)

    def serve(self, line: str) -> str:
        """Type it in a terminal of its own; what it says until it says that it runs."""
        words = shlex.split(self._here(line), comments=True)
        process = self.leaving.enter_context(
            subprocess.Popen(
                words,
                cwd=self.folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        self.leaving.callback(process.kill)
        assert process.stdout is not None
        said = []
        for told in process.stdout:
            said.append(told)
            if "running" in told:
                break
        return "".join(said)

    @property
    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}

    def _here(self, text: str) -> str:
        return text.replace(PORT, self.port)

    def promised(self, line: str) -> str:
        """The comment behind a command: what is to come."""
        return self._here(line.partition("  # ")[2])


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    """In a clean folder, with the chapter's files."""
    come = Stranger(tmp_path / "mine", str(free_port()))
    come.folder.mkdir()
    come.copy()
    with come.leaving:
        yield come


@pytest.fixture
def beside_a_country(stranger: Stranger) -> Iterator[Stranger]:
    """The same, below a running country of its own."""
    place = stranger.folder.parent
    with warnings.catch_warnings():
        # staging leaves the log files it hands to its processes to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        made = stage(place / ".switchpoint", place / "certs", patients={}, exchange_port=0, desk_port=0)
    try:
        yield stranger
    finally:
        made.close()


def _lines() -> list[str]:
    """Every line the chapter says to type, in its order."""
    shell = [code for language, code in BLOCKS.findall(_chapter()) if language == "sh"]
    return "".join(shell).replace("\\\n", " ").splitlines()


def test_its_tests_pass_in_a_clean_folder_with_the_plugin_alone(stranger: Stranger) -> None:
    told = sum(text.count("def test_") for text in (file.read_text("utf-8") for file in stranger.folder.glob("*.py")))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "source_sim.pytest_plugin"],
        cwd=stranger.folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    assert f" {told} passed" in run.stdout
    assert told >= 3


@pytest.mark.timeout(240)
def test_what_it_says_to_type_gives_what_it_says(
    beside_a_country: Stranger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(beside_a_country.folder)
    promises = 0
    for line in _lines():
        said, code = _typed(beside_a_country, line)
        assert code == (1 if "check source" in line else 0), (line, said)
        assert beside_a_country.promised(line) in said, (line, said)
        assert not BROKEN_VOUCHER.search(said), said
        promises += bool(beside_a_country.promised(line))
    assert promises >= 5
    for line in _table(TYPED):
        if line.split()[1] in LONG:
            continue
        done = beside_a_country.type(line) if ">" in line else run(*shlex.split(line)[1:])
        assert done.code == 0, (line, done)


def _typed(stranger: Stranger, line: str) -> tuple[str, int]:
    """What is said, and the exit code; a server goes on."""
    if line.startswith(SERVES):
        return stranger.serve(line), 0
    done = stranger.type(line)
    return done.out + done.err, done.code


def test_what_it_says_to_do_in_a_test_can_be_done() -> None:
    acts = _table(ACTED)
    assert len(acts) >= 5
    with open_country() as switchpoint:
        practice = switchpoint.gp_practice()
        known = {"switchpoint": switchpoint, "practice": practice, "anna": switchpoint.patient(gp=practice)}
        for act in acts:
            eval(act, known)
        assert practice.faults is not None
        assert len(practice.faults.active) == 1
        assert switchpoint.regime.active == ("CRISIS_OPT_IN", "REGULAR")


def _table(pattern: re.Pattern[str]) -> list[str]:
    rows = [row.split(" | ")[1] for row in _chapter().splitlines() if row.startswith("| ") and row.count(" | ") == 2]
    return [found for row in rows for found in pattern.findall(row)]


def test_every_link_leads_to_a_heading() -> None:
    titles = re.findall(r"^##+ (.+)$", README.read_text("utf-8"), re.MULTILINE)
    known = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
    assert set(LINKS.findall(_chapter())) - known == set()


def test_the_source_is_as_short_as_it_is_said_to_be(stranger: Stranger) -> None:
    written = (stranger.folder / "my_source.py").read_text("utf-8").splitlines()
    assert sum(1 for line in written if line.strip()) <= MOST_SOURCE_LINES
