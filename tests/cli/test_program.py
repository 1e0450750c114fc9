"""What does the program load for the command at hand, and are all of its commands there? Fresh interpreters tell."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer

from gateway.cli.program import COMMANDS, EVERYTHING, GROUPS, program

TELL = "; import json, os, sys; print(json.dumps([sorted(sys.modules), len(os.listdir('/proc/self/task'))]))"


def after(code: str) -> tuple[set[str], int]:
    """The modules loaded and the threads there are after this."""
    told = subprocess.run([sys.executable, "-c", code + TELL], capture_output=True, text=True, check=True, timeout=60)
    modules, threads = json.loads(told.stdout)
    return set(modules), threads


def test_a_parent_about_to_fork_has_no_second_thread_and_no_driver_nobody_asked_for() -> None:
    modules, threads = after("import gateway.cli.working")
    assert threads == 1, "a lock that one of them holds would stay held in every worker"
    assert "gateway.app" in modules
    assert not modules & {"psycopg", "redis", "caio", "httpx", "source_sim.testbed", "source_sim.scenarios.reading"}


def test_a_command_loads_what_it_needs() -> None:
    modules, _ = after("from gateway.cli.program import program; program(['serve'])")
    assert "gateway.cli.serve" in modules
    assert not modules & {"gateway.app", "gateway.cli.demo", "fastapi", "httpx", "rich.console", "fhir.resources"}


@pytest.mark.parametrize("word", EVERYTHING)
def test_a_command_alone_is_the_one_among_all(word: str) -> None:
    alone, among = program([word]), program()
    assert names(alone) == {word}
    assert names(among) == set(EVERYTHING)
    assert told(alone, word) == told(among, word) != ""


def names(made: typer.Typer) -> set[str]:
    return {str(one.name) for one in (*made.registered_commands, *made.registered_groups)}


def told(made: typer.Typer, word: str) -> str:
    """What the list says of it."""
    for one in made.registered_groups:
        if one.name == word:
            return str(one.help)
    (command,) = [one for one in made.registered_commands if one.name == word]
    assert command.callback is not None
    return str(command.callback.__doc__)


def test_no_word_is_told_twice() -> None:
    assert len({*COMMANDS, *GROUPS}) == len(EVERYTHING) > 20


@pytest.mark.parametrize(
    ("words", "code"), [(["serv"], 2), ([], 2), (["--help"], 0), (["serve", "--help"], 0), (["journal"], 2)]
)
def test_how_it_ends(words: list[str], code: int) -> None:
    run = [sys.executable, "-m", "gateway", *words]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr
    if words == ["serv"]:
        assert len(ended.stderr.splitlines()) == 1
        assert "serve" in ended.stderr, "what was meant is said"
