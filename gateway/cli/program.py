"""Which commands are there? The `switchpoint` program: one line and exit code 2 for whatever cannot be done.

Exit codes: 0 done, 1 it ran but came out otherwise (a refusal, a step of the story gone wrong), 2 cannot be done. Only
what the command at hand needs is loaded: the others would take longer to load than most take to run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import NoReturn

import typer
from typer import Abort

from gateway.cli.place import Misuse

COMMANDS = (
    "demo", "serve", "sources", "stage", "join", "ask", "send-return", "sentinels", "token", "doctor", "population",
    "load",
)  # fmt: skip
"""Each is the function of its name in the module of its name."""
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "check": "Does somebody else's source or client keep to the contract?",
        "pki": "The throw-away certificate authority of a simulation.",
        "clock": "The time in a simulation: show, set, forward, freeze, run, speed.",
        "fault": "How a simulation's sources fail: list, set, clear.",
        "regime": "Which arrangement is in force.",
        "consent": "What a patient said, and taking in what she says now.",
        "index": "The reference index, when it lives in Redis.",
        "operator": "Who may log in at the desk: add, password, totp, close.",
        "outbox": "Messages on their way: list, show, retry, park, stop, start.",
        "scenario": "Stories told as data: run, list, show, schema, record.",
        "journal": "What happened on the exchange.",
    }
)
"""Each is the `commands` of the module of its name, and how it is told in the list."""
EVERYTHING = (*COMMANDS, *GROUPS)


def program(words: Iterable[str] = EVERYTHING) -> typer.Typer:
    """The program with these commands."""
    made = typer.Typer(
        name="switchpoint", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help="An open national health-exchange switchpoint to test against.",
    )  # fmt: skip
    made.callback()(_whatever_follows)
    for word in words:
        name = word.replace("-", "_")
        module = import_module(f"gateway.cli.{name}")
        if word in GROUPS:
            made.add_typer(module.commands, name=word, help=GROUPS[word])
        else:
            made.command(word)(getattr(module, name))
    return made


def _whatever_follows() -> None:
    pass  # with a step before it, the only command is still one among others, and has to be named


def _cannot(told: str) -> NoReturn:
    """One line on standard error, exit code 2."""
    if told:  # a bare group of commands has shown its help already
        sys.stderr.write(f"switchpoint: {' '.join(told.split())}\n")
    sys.exit(2)


def main() -> None:
    """Run the program. Whatever cannot be done ends as one line on standard error and exit code 2."""
    asked = [word for word in sys.argv[1:2] if word in EVERYTHING]
    try:
        code = program(asked or EVERYTHING)(standalone_mode=False)
    except Misuse as wrong:
        _cannot(str(wrong))
    except typer.TyperException as wrong:
        _cannot(getattr(wrong, "format_message", wrong.__str__)())
    except (Abort, BrokenPipeError):
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
