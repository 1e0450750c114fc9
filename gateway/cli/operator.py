"""`switchpoint operator`: who may log in at the desk, with which role; adding, renewing and closing accounts.

Works on the running simulation, or without one on what the SWITCHPOINT_… settings name. A password and a code's secret
are printed once, when they are made.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.opened import with_means, with_means_async
from gateway.cli.place import Misuse, find, nearest
from gateway.cli.serve import settings_from_environment
from gateway.flows import accounts
from gateway.flows.accounts import Login, NoSuchAccount
from gateway.flows.means import Means
from gateway.rules.people import Role
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable

T = TypeVar("T")
commands = typer.Typer(no_args_is_help=True)
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]
Name = Annotated[str, typer.Argument(help="The account's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command("add")
def add(
    name: Name,
    role: Annotated[list[str], typer.Option(help=f"One of {', '.join(Role)}; more than once for more.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input; else a random one.")
    ] = False,
    running: Running = None,
    as_json: AsJson = False,
) -> None:
    """Add an account, or set a known one up anew; prints what to log in with."""
    roles, password = _roles(role), sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    by = getpass.getuser()
    login = _on_stores(running, lambda means: accounts.add_operator(means, name, roles, by=by, password=password))
    _show(login, as_json=as_json)


@commands.command("password")
def password(name: Name, running: Running = None, as_json: AsJson = False) -> None:
    """Give an account a new random password."""
    by = getpass.getuser()
    _show(_on_stores(running, lambda means: accounts.renew_password(means, name, by=by)), as_json=as_json)


@commands.command("totp")
def totp(
    name: Name,
    renew: Annotated[bool, typer.Option("--renew", help="Make a new secret for an authenticator.")] = False,
    running: Running = None,
    as_json: AsJson = False,
) -> None:
    """Print the one-time code of this moment, or make a new secret."""
    if renew:
        by = getpass.getuser()
        _show(_on_stores(running, lambda means: accounts.renew_code(means, name, by=by)), as_json=as_json)
        return
    code = _on_stores(running, lambda means: accounts.code_now(means, name))
    print(json.dumps({"name": name, "code": code}) if as_json else code)


@commands.command("close")
def close(name: Name, running: Running = None) -> None:
    """Nobody logs in with this account any more; who sits there is gone."""
    by = getpass.getuser()
    _on_stores(running, lambda means: accounts.close_account(means, name, by=by))
    print(f"{name} is closed")


@commands.command("list")
def list_(running: Running = None, as_json: AsJson = False) -> None:
    """Which accounts there are."""
    found = _on_stores(running, accounts.operators)
    rows = [
        {"name": one.name, "roles": sorted(one.roles), "closed": one.closed.isoformat() if one.closed else None}
        for one in found
    ]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("account", "roles", "closed")
    for one in found:
        table.add_row(one.name, ", ".join(sorted(one.roles)), f"{one.closed:%Y-%m-%d %H:%M}" if one.closed else "")
    Console().print(table)


def told(login: Login) -> dict[str, object]:
    """What to log in with, as running.json and `--json` tell it."""
    return {
        "name": login.name,
        "roles": sorted(login.roles),
        "password": login.password,
        "totp": login.totp,
        "totp_uri": login.totp_uri,
    }


def _roles(given: list[str]) -> frozenset[Role]:
    try:
        return frozenset(Role(one) for one in given)
    except ValueError as wrong:
        raise Misuse(f"{wrong}; one of {', '.join(Role)}") from wrong


def _on_stores(running: Path | None, act: Callable[[Means], Awaitable[T]]) -> T:
    """On the simulation's stores; where none runs, on those the environment names. Raises Misuse."""
    simulated = running is not None or nearest() is not None
    try:
        return with_means(find(running), act) if simulated else _on_settings(act)
    except NoSuchAccount as wrong:
        raise Misuse(f"there is no open account {wrong}") from wrong
    except ValueError as wrong:
        raise Misuse(str(wrong)) from wrong


def _on_settings(act: Callable[[Means], Awaitable[T]]) -> T:
    try:
        return asyncio.run(with_means_async(settings_from_environment(simulation=False), act))
    except (LedgerUnavailable, IndexUnavailable, OSError) as wrong:
        raise Misuse(f"the stores cannot be used now: {wrong}") from wrong


def _show(login: Login, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(told(login)))
        return
    table = Table(show_header=False)
    for name, value in told(login).items():
        if value:
            table.add_row(name, ", ".join(value) if isinstance(value, list) else str(value))
    Console().print(table)
