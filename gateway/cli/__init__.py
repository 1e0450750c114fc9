"""What can one do from a terminal? The `switchpoint` program: one line and exit code 2 for whatever cannot be done.

Exit codes: 0 done, 1 it ran but came out otherwise (a refusal, a step of the story gone wrong), 2 cannot be done.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from typer import Abort

from gateway.cli import (
    ask,
    check,
    clock,
    consent,
    demo,
    fault,
    index,
    join,
    journal,
    operator,
    outbox,
    pki,
    regime,
    scenario,
    serve,
    sources,
    stage,
    token,
)
from gateway.cli.doctor import doctor
from gateway.cli.load import load
from gateway.cli.place import Misuse
from gateway.cli.population import population
from gateway.cli.send_return import send_return
from gateway.cli.sentinels import sentinels

program = typer.Typer(
    name="switchpoint", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="An open national health-exchange switchpoint to test against.",
)  # fmt: skip
program.command("demo")(demo.demo)
program.command("serve")(serve.serve)
program.command("sources")(sources.sources)
program.command("stage")(stage.stage)
program.command("join")(join.join)
program.command("ask")(ask.ask)
program.command("send-return")(send_return)
program.command("sentinels")(sentinels)
program.command("token")(token.token)
program.command("doctor")(doctor)
program.command("population")(population)
program.command("load")(load)
program.add_typer(check.commands, name="check", help="Does somebody else's source or client keep to the contract?")
program.add_typer(pki.commands, name="pki", help="The throw-away certificate authority of a simulation.")
program.add_typer(
    clock.commands, name="clock", help="The time in a simulation: show, set, forward, freeze, run, speed."
)
program.add_typer(fault.commands, name="fault", help="How a simulation's sources fail: list, set, clear.")
program.add_typer(regime.commands, name="regime", help="Which arrangement is in force.")
program.add_typer(consent.commands, name="consent", help="What a patient said, and taking in what she says now.")
program.add_typer(index.commands, name="index", help="The reference index, when it lives in Redis.")
program.add_typer(operator.commands, name="operator", help="Who may log in at the desk: add, password, totp, close.")
program.add_typer(outbox.commands, name="outbox", help="Messages on their way: list, show, retry, park, stop, start.")
program.add_typer(scenario.commands, name="scenario", help="Stories told as data: run, list, show, schema, record.")
program.add_typer(journal.commands, name="journal", help="What happened on the exchange.")


def _cannot(told: str) -> NoReturn:
    """One line on standard error, exit code 2."""
    if told:  # a bare group of commands has shown its help already
        sys.stderr.write(f"switchpoint: {' '.join(told.split())}\n")
    sys.exit(2)


def main() -> None:
    """Run the program. Whatever cannot be done ends as one line on standard error and exit code 2."""
    try:
        code = program(standalone_mode=False)
    except Misuse as wrong:
        _cannot(str(wrong))
    except typer.TyperException as wrong:
        _cannot(getattr(wrong, "format_message", wrong.__str__)())
    except (Abort, BrokenPipeError):
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
