"""`switchpoint consent`: what a patient said, and taking in what she says now (as her own page would)."""

from __future__ import annotations

import getpass
import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.opened import with_means
from gateway.cli.place import Misuse, find
from gateway.cli.terminal import plain
from gateway.flows.consent import Kept, NotEntitled, state_choice
from gateway.flows.means import Means
from gateway.rules import consent as algebra
from gateway.rules.choice import Choice, Method, Party, Say, Scope, Statement
from gateway.rules.exchange import AortaId, Category, Group
from gateway.rules.identifiers import Bsn, InvalidIdentifier, Ura
from gateway.stores import consents

commands = typer.Typer(no_args_is_help=True)
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]
BsnOption = Annotated[str, typer.Option("--bsn", help="The patient.")]
Custodian = Annotated[str, typer.Option(help="URA of the practice or pharmacy it is about; default all.")]
CategoryOption = Annotated[list[str] | None, typer.Option("--category", help="Data category, repeatable; default all.")]
GroupOption = Annotated[list[str] | None, typer.Option("--group", help="Group or URA, repeatable; default all.")]
Emergency = Annotated[bool, typer.Option("--emergency-only", help="Only in emergencies.")]
By = Annotated[list[str] | None, typer.Option("--by", help="Who states it: patient, parent, guardian, representative.")]
Born = Annotated[str, typer.Option("--birth-date", help="The patient's date of birth, where age matters.")]


@commands.command("grant")
def grant(
    bsn: BsnOption, custodian: Custodian = "", category: CategoryOption = None, group: GroupOption = None,
    emergency_only: Emergency = False, by: By = None, birth_date: Born = "", running: Running = None,
) -> None:  # fmt: skip
    """The patient says yes."""
    _state(Say.YES, bsn, _scope(custodian, category, group, emergency_only), by, birth_date, running)


@commands.command("refuse")
def refuse(
    bsn: BsnOption, custodian: Custodian = "", category: CategoryOption = None, group: GroupOption = None,
    emergency_only: Emergency = False, by: By = None, birth_date: Born = "", running: Running = None,
) -> None:  # fmt: skip
    """The patient says no: an objection, effective at once."""
    _state(Say.NO, bsn, _scope(custodian, category, group, emergency_only), by, birth_date, running)


@commands.command("withdraw")
def withdraw(
    bsn: BsnOption, custodian: Custodian = "", category: CategoryOption = None, group: GroupOption = None,
    emergency_only: Emergency = False, by: By = None, birth_date: Born = "", running: Running = None,
) -> None:  # fmt: skip
    """The patient takes back what she said about exactly this: a yes becomes an objection, a no becomes undecided."""
    patient, scope = _bsn(bsn), _scope(custodian, category, group, emergency_only)

    async def act(means: Means) -> Kept:
        said = await _in_force(means, patient, scope)
        say = Say.CLEARED if said is not None and said.say in algebra.DENIALS else Say.WITHDRAWN
        return await _take_in(means, _choice(patient, scope, say, by, birth_date))

    _report(_run(running, act))


async def _in_force(means: Means, patient: Bsn, scope: Scope) -> Statement | None:
    at = means.live.domain(await means.live.network())
    kept = await means.ledger.read(lambda tx: consents.of(tx, means.keys.patient(patient)))
    return next((one for one in algebra.in_force(kept, at) if one.scope == scope), None)


def _state(say: Say, bsn: str, scope: Scope, by: list[str] | None, birth_date: str, running: Path | None) -> None:
    choice = _choice(_bsn(bsn), scope, say, by, birth_date)
    _report(_run(running, lambda means: _take_in(means, choice)))


async def _take_in(means: Means, choice: Choice) -> Kept:
    aorta = AortaId(means.new_id(), means.new_id())
    return await state_choice(means, choice, aorta=aorta, sender=None)


def _run(running: Path | None, act: Callable[[Means], Awaitable[Kept]]) -> Kept:
    try:
        return with_means(find(running), act)
    except NotEntitled as wrong:
        raise Misuse("who states this may not state it for a patient of this age") from wrong


def _report(kept: Kept) -> None:
    print(f"{kept.statement.say}: {_about(kept.statement.scope)} is now {kept.state}")


@commands.command("show")
def show(
    bsn: BsnOption,
    running: Running = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Every statement of a patient, and whether it is in force."""
    patient = _bsn(bsn)

    async def read(means: Means) -> list[dict[str, Any]]:
        at = means.live.domain(await means.live.network())
        kept = await means.ledger.read(lambda tx: consents.of(tx, means.keys.patient(patient)))
        holding = algebra.in_force(kept, at)
        return [_row(one, one in holding) for one in kept]

    rows = with_means(find(running), read)
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("when", "said", "about", "by", "in force", title=f"Consent of {patient}")
    for row in rows:
        table.add_row(
            row["effective"], row["say"], plain(row["about"]), plain(row["by"]), "yes" if row["in_force"] else "no"
        )
    Console().print(table)


def _row(statement: Statement, holding: bool) -> dict[str, Any]:
    return {
        "effective": statement.effective.isoformat(timespec="seconds"),
        "say": statement.say.value,
        "about": _about(statement.scope),
        "by": ", ".join(sorted(statement.by)),
        "in_force": holding,
    }


def _about(scope: Scope) -> str:
    parts = (
        f"custodian {scope.custodian}" if scope.custodian else "every custodian",
        ", ".join(sorted(scope.categories)) if scope.categories is not None else "every category",
        "for " + ", ".join(sorted(scope.requesters)) if scope.requesters is not None else "for everybody",
        "in emergencies only" if scope.emergency_only else "always",
    )
    return "; ".join(parts)


def _choice(patient: Bsn, scope: Scope, say: Say, by: list[str] | None, birth_date: str) -> Choice:
    try:
        parties = frozenset(Party(one) for one in by or ["patient"])
        born = date.fromisoformat(birth_date) if birth_date else None
    except ValueError as wrong:
        raise Misuse(str(wrong)) from wrong
    return Choice(patient, scope, say, None, parties, method=Method.ONLINE, recorder=getpass.getuser(), birth_date=born)


def _bsn(text: str) -> Bsn:
    try:
        return Bsn(text)
    except InvalidIdentifier as wrong:
        raise Misuse(str(wrong)) from wrong


def _scope(custodian: str, categories: list[str] | None, groups: list[str] | None, emergency_only: bool) -> Scope:
    try:
        return Scope(
            custodian=Ura(custodian) if custodian else None,
            categories=frozenset(Category(one) for one in categories) if categories else None,
            requesters=frozenset(_requester(one) for one in groups) if groups else None,
            emergency_only=emergency_only,
        )
    except ValueError as wrong:
        raise Misuse(str(wrong)) from wrong


def _requester(text: str) -> str:
    return Ura(text).digits if text.isdigit() else Group(text).value
