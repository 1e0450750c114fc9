"""`switchpoint send-return`: report back after a visit, and see what becomes of the message.

Composes a return message about the patient (or takes one from a file), hands it in over mutual TLS, and tells its Task.
The same `--id` again is the same message: it is taken once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from gateway.cli.ask import PERSONAS, domain_now, system_from, who_asks
from gateway.cli.place import Misuse, Place, find
from gateway.rules.identifiers import Bsn, InvalidIdentifier
from source_sim import cases, country, messages, population, senders
from source_sim.cases import Case
from source_sim.country import Participant
from source_sim.messages import Occasion
from source_sim.requesters import Persona, Reply, System, TokenRefused

SENDERS: dict[str, tuple[Persona, Case]] = {
    "gp-post": (PERSONAS["gp-post"], cases.CYSTITIS),
    "emergency-department": (PERSONAS["emergency-department"], cases.BROKEN_WRIST),
    "ambulance": (PERSONAS["ambulance"], cases.LOW_SUGAR),
    "gp-practice": (senders.own_gp, cases.CHEST_PAIN),
}
"""Who sends what: the practice refers, the others report back."""

_ENDS = frozenset({"completed", "failed", "on-hold"})
_POLL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A message to hand in, and as whom."""

    folder: Path
    persona: Persona
    now: datetime
    body: bytes


def send_return(
    bsn: Annotated[str, typer.Option("--bsn", help="The patient.")] = "",
    as_: Annotated[str, typer.Option("--as", help="gp-post, emergency-department, ambulance, gp-practice (a referral), "
                                     "or a folder made by `switchpoint join`.")] = "gp-post",
    to: Annotated[str, typer.Option("--to", help="URA a referral goes to; default the hospital.")] = "",
    id: Annotated[str, typer.Option("--id", help="Message id (a uuid); the same one again is a repeat.")] = "",
    file: Annotated[Path | None, typer.Option(help="Send these bytes as they are instead of composing.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the message's end.")] = 0.0,
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:  # fmt: skip
    """Hand in a return message, emergency report or referral; exit code 1 when it is refused or ends otherwise than
    delivered within --wait."""
    place = find(running)
    parcel = _parcel(place, as_, bsn, to, id, file)
    reply, task = asyncio.run(_send(parcel, wait))
    if as_json:
        print(json.dumps(_told(reply, task)))
    else:
        show_task(reply, task, Console())
    if reply.status != 202 or (wait and task.get("status") != "completed"):
        sys.exit(1)


def _parcel(place: Place, as_: str, bsn: str, to: str, id: str, file: Path | None) -> _Parcel:
    folder, persona = _who_sends(place, as_)
    now = domain_now(place)
    if file is not None:
        return _Parcel(folder, persona, now, _read(file))
    try:
        person = population.person(Bsn(bsn).digits, now.date())
        message_id = str(UUID(id)) if id else str(uuid4())
    except InvalidIdentifier as wrong:
        raise Misuse(str(wrong)) from wrong
    except ValueError as wrong:
        raise Misuse("--id is a uuid") from wrong
    case = SENDERS.get(as_, SENDERS[_KIND[persona.organisation_type]])[1]
    occasion = Occasion(message_id, now, person, _sender(folder), persona, case)
    return _Parcel(folder, persona, now, _composed(occasion, to))


_KIND = {"N6": "gp-post", "V4": "emergency-department", "AMB": "ambulance", "Z3": "gp-practice"}


def _who_sends(place: Place, as_: str) -> tuple[Path, Persona]:
    if as_ == "gp-practice":
        return Path(place.told["state"]) / "systems" / country.GP.key, senders.own_gp
    folder, persona = who_asks(place, as_)
    if persona.organisation_type not in _KIND:
        raise Misuse(f"{as_!r} sends no messages; one of {', '.join(SENDERS)}")
    return folder, persona


def _sender(folder: Path) -> Participant:
    try:
        told = json.loads((folder / "join.json").read_text("utf-8"))
        return Participant(folder.name, told["ura"], told["application"], told["type"], told["name"])
    except (OSError, ValueError, KeyError) as wrong:
        raise Misuse(f"{folder} does not hold a joined system") from wrong


def _composed(occasion: Occasion, to: str) -> bytes:
    if occasion.organisation.organisation_type != "Z3":
        report = occasion.organisation.organisation_type == "N6"
        return messages.return_message(occasion) if report else messages.emergency_report(occasion)
    named = next((one for one in country.PARTICIPANTS if one.ura == to), None)
    return messages.referral(occasion, named or Participant("named", to or country.HOSPITAL.ura, "", "", ""))


def _read(file: Path) -> bytes:
    try:
        body = file.read_bytes()
        messages.patient_of(body)
    except OSError as wrong:
        raise Misuse(f"cannot read {file}: {wrong.strerror}") from wrong
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise Misuse(f"{file} holds no message about one patient") from wrong
    return body


async def _send(parcel: _Parcel, wait: float) -> tuple[Reply, dict[str, Any]]:
    try:
        async with system_from(parcel.folder) as system:
            reply = await senders.send(system, parcel.body, parcel.persona(parcel.now))
            task = reply.json if reply.status == 202 else {}
            return reply, await follow(system, senders.task_of(reply), wait) if task and wait else task
    except TokenRefused as wrong:
        raise Misuse(f"no token: {wrong}") from wrong
    except httpx.HTTPError as wrong:
        raise Misuse(f"the exchange cannot be reached: {type(wrong).__name__}") from wrong


async def follow(system: System, id: str, seconds: float) -> dict[str, Any]:
    """The Task when it has ended or is on hold, or as it is after `seconds`. Raises TokenRefused, httpx.HTTPError."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        task = (await senders.read_task(system, id)).json
        if task.get("status") in _ENDS or loop.time() >= until:
            return task
        await asyncio.sleep(_POLL_SECONDS)


def show_task(reply: Reply, task: dict[str, Any], console: Console) -> None:
    """Print what became of a message, or the refusal in its own words."""
    if reply.status != 202:
        console.print(f"[bold red]{reply.status} {escape(reply.code)}[/]  {escape(reply.sentence)}")
        return
    colour = {"completed": "green", "failed": "red", "on-hold": "yellow"}.get(task.get("status", ""), "cyan")
    console.print(f"[bold {colour}]{escape(str(task.get('status')))}[/]  {escape(reason_of(task))}")
    console.print(f"Task {task.get('id')}, message {task.get('focus', {}).get('identifier', {}).get('value')}")


def reason_of(task: dict[str, Any]) -> str:
    """Why a Task failed or is on hold, as its code; empty otherwise."""
    codings = task.get("statusReason", {}).get("coding", [{}])
    return str(codings[0].get("code", ""))


def _told(reply: Reply, task: dict[str, Any]) -> dict[str, Any]:
    return {"status": reply.status, "code": reply.code, "sentence": reply.sentence, "aorta_id": reply.aorta_id,
            "task": task.get("id"), "state": task.get("status"), "reason": reason_of(task)}  # fmt: skip
