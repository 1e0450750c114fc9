"""`switchpoint outbox`: which messages are on their way, which ended how, and what people can do about them.

Envelopes only: the content is sealed, and no command unseals it. Every act is journaled with who and why.
"""

from __future__ import annotations

import getpass
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.opened import with_means
from gateway.cli.place import Misuse, find
from gateway.cli.terminal import plain
from gateway.flows import outbox_acts
from gateway.flows.means import Means
from gateway.flows.outbox_acts import CannotAct
from gateway.rules.identifiers import InvalidIdentifier, Ura
from gateway.rules.message import State
from gateway.stores import outbox, outbox_keeping
from gateway.stores.ledger import Transaction
from gateway.stores.outbox import Counts, Held
from gateway.stores.outbox_keeping import Stop

commands = typer.Typer(no_args_is_help=True)
Running = Annotated[Path | None, typer.Option(help="running.json of the simulation.")]
Id = Annotated[str, typer.Argument(help="The message's id (its Task's).")]
Recipient = Annotated[str, typer.Option("--recipient", help="URA; default every recipient.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the journal.")]

_CANNOT = {
    CannotAct.UNKNOWN: "there is no such message",
    CannotAct.NO_ROAD: "there is still no GP of record, or no endpoint to bring it to",
    CannotAct.NOT_NOW: "it is being attempted, has ended for good, or its content is destroyed",
}
_COLOURS = {State.DELIVERED: "green", State.PARKED: "yellow", State.FAILED: "red", State.UNKNOWN: "red"}


@commands.command("list")
def list_(
    state: Annotated[str, typer.Option(help=f"Only these: {', '.join(State)}.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=5000)] = 50,
    running: Running = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Messages, oldest first, and the sum that must be right: accepted is what is in each state together."""
    wanted = _state(state)

    def look(tx: Transaction) -> tuple[list[Held], Counts, list[Stop]]:
        return outbox.listing(tx, wanted, limit, None), outbox.counts(tx), outbox_keeping.stops(tx)

    async def read(means: Means) -> tuple[list[Held], Counts, list[Stop]]:
        return await means.ledger.read(look)

    found, counts, stops = with_means(find(running), read)
    if as_json:
        sums = {one.value: counts.of[one] for one in State}
        stopped = [one.recipient.digits if one.recipient else "" for one in stops]
        told = {"messages": [_row(one) for one in found], "accepted": counts.accepted, "states": sums}
        print(json.dumps({**told, "conserved": counts.conserved, "stopped": stopped}))
        return
    _show(found, counts, stops, Console())


def _state(text: str) -> State | None:
    try:
        return State(text) if text else None
    except ValueError as wrong:
        raise Misuse(f"unknown state {text!r}; one of {', '.join(State)}") from wrong


def _show(found: list[Held], counts: Counts, stops: list[Stop], console: Console) -> None:
    table = Table("id", "message", "from", "to", "state", "why", "tries", "accepted", "next")
    for one in found:
        row = _row(one)
        colour = _COLOURS.get(one.state)
        state = f"[{colour}]{one.state}[/]" if colour else str(one.state)
        lane, why = row["lane"] or row["delivered_to"], plain(row["reason"])
        table.add_row(row["id"], row["event"], row["sender"], lane, state, why, str(one.attempts),
                      _short(one.envelope.accepted), row["due"][:16])  # fmt: skip
    console.print(table)
    parts = " + ".join(f"{counts.of[one]} {one}" for one in State)
    balance = "" if counts.conserved else "  [bold red]DOES NOT ADD UP[/]"
    console.print(f"{counts.accepted} accepted = {parts}{balance}")
    for stop in stops:
        who = f"to {stop.recipient}" if stop.recipient else "to everybody"
        console.print(
            f"[bold yellow]delivery {who} is stopped[/] since {_short(stop.at)} by "
            f"{plain(stop.by)}: {plain(stop.reason)}"
        )


def _row(one: Held) -> dict[str, Any]:
    envelope = one.envelope
    waiting = one.state is State.WAITING
    return {
        "id": envelope.id,
        "event": envelope.event.value,
        "message_id": envelope.message_id,
        "sender": envelope.sender.ura.digits if envelope.sender else "the exchange",
        "lane": one.lane.digits if one.lane else "",
        "state": one.state.value,
        "reason": str(one.reason or ""),
        "attempts": one.attempts,
        "doubtful": one.doubtful,
        "accepted": envelope.accepted.isoformat(timespec="seconds"),
        "due": one.due.isoformat(timespec="seconds") if waiting else "",
        "expires": one.expires.isoformat(timespec="seconds"),
        "changed": one.changed.isoformat(timespec="seconds"),
        "delivered_to": one.delivered_to.digits if one.delivered_to else "",
        "initial_request_id": envelope.aorta.initial,
    }


def _short(at: datetime) -> str:
    return at.isoformat(timespec="minutes")[:16]


@commands.command("show")
def show(
    id: Id, running: Running = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """One message's envelope. Its content nobody sees here."""

    async def read(means: Means) -> Held | None:
        return await means.ledger.read(lambda tx: outbox.find(tx, id))

    held = with_means(find(running), read)
    if held is None:
        raise Misuse(_CANNOT[CannotAct.UNKNOWN])
    if as_json:
        print(json.dumps(_row(held)))
        return
    table = Table(show_header=False)
    for name, value in _row(held).items():
        table.add_row(name, plain(str(value)))
    Console().print(table)


@commands.command("retry")
def retry(id: Id, reason: Reason = "asked by an operator", running: Running = None) -> None:
    """Put a parked message, or one that failed or is of unknown outcome, on its way again."""
    _report(with_means(find(running), lambda means: outbox_acts.retry(means, id, by=getpass.getuser(), why=reason)))


@commands.command("park")
def park(id: Id, running: Running = None) -> None:
    """Take a waiting message aside until somebody retries it."""
    _report(with_means(find(running), lambda means: outbox_acts.park(means, id, by=getpass.getuser())))


def _report(came: Held | CannotAct) -> None:
    if isinstance(came, CannotAct):
        raise Misuse(_CANNOT[came])
    print(f"{came.envelope.id} is {came.state}")


@commands.command("stop")
def stop(reason: Reason, recipient: Recipient = "", running: Running = None) -> None:
    """Stop delivery to one recipient, or to all. Nothing is lost: messages wait."""
    ura = _ura(recipient)
    user = getpass.getuser()
    stopped = with_means(find(running), lambda means: outbox_acts.stop(means, ura, by=user, reason=reason))
    _about(ura, "is stopped" if stopped else "was stopped already")


@commands.command("start")
def start(reason: Reason, recipient: Recipient = "", running: Running = None) -> None:
    """Take a stop back. What is overdue goes out spread over time, not at once."""
    ura = _ura(recipient)
    user = getpass.getuser()
    spread = with_means(find(running), lambda means: outbox_acts.start(means, ura, by=user, reason=reason))
    _about(ura, "was not stopped" if spread is None else f"goes on; what waited is spread over {spread.seconds} s")


def _ura(text: str) -> Ura | None:
    try:
        return Ura(text) if text else None
    except InvalidIdentifier as wrong:
        raise Misuse(str(wrong)) from wrong


def _about(recipient: Ura | None, told: str) -> None:
    print(f"delivery {f'to {recipient}' if recipient else 'to everybody'} {told}")
