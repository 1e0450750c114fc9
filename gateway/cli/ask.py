"""`switchpoint ask`: play a requester against the running simulation, and see what a doctor would see."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from gateway.cli.place import Misuse, Place, find
from gateway.cli.showing import show
from gateway.rules.identifiers import Bsn, InvalidIdentifier
from source_sim import requesters
from source_sim.requesters import Ask, Claims, Persona, Reply, System, TokenRefused

PERSONAS: dict[str, Persona] = {
    "gp-post": requesters.gp_post,
    "emergency-department": requesters.emergency_department,
    "ambulance": requesters.ambulance,
    "specialist": requesters.specialist,
    "covering-pharmacy": requesters.covering_pharmacy,
}
_BY_TYPE = {"N6": "gp-post", "AMB": "ambulance", "J8": "covering-pharmacy", "K9": "covering-pharmacy"}


def ask(
    what: Annotated[str, typer.Argument(help="gp-summary, medication, allergies, treatment-limits or localise.")],
    bsn: Annotated[str, typer.Option("--bsn", help="The patient.")],
    as_: Annotated[str, typer.Option("--as", help="gp-post, emergency-department, ambulance, specialist, "
                                     "covering-pharmacy, or a folder made by `switchpoint join`.")] = "gp-post",
    no_cover: Annotated[bool, typer.Option("--no-cover", help="Do not declare cover.")] = False,
    incapable: Annotated[bool, typer.Option("--incapable", help="The patient cannot decide.")] = False,
    verbal_consent: Annotated[str, typer.Option(help="Asked on the spot: patient or representative said yes.")] = "",
    role: Annotated[str, typer.Option(help="Act in this role instead of the persona's.")] = "",
    deadline: Annotated[int, typer.Option(help="Wait at most this many seconds.")] = 0,
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
) -> None:  # fmt: skip
    """Ask one question over mutual TLS; exit code 1 when the exchange refuses."""
    if what not in list(Ask):
        raise Misuse(f"unknown question {what!r}; one of {', '.join(Ask)}")
    if verbal_consent not in ("", "patient", "representative"):
        raise Misuse("--verbal-consent is patient or representative")
    try:
        Bsn(bsn)
    except InvalidIdentifier as wrong:
        raise Misuse(str(wrong)) from wrong
    place = find(running)
    folder, persona = who_asks(place, as_)
    now = domain_now(place)
    claims = _claims(persona, now, no_cover, incapable, verbal_consent, role)
    reply = asyncio.run(_ask(folder, Ask(what), bsn, claims, deadline))
    if as_json:
        print(json.dumps(_as_json(reply)))
    else:
        show(reply, Console())
    if reply.status >= 300:
        sys.exit(1)


def who_asks(place: Place, as_: str) -> tuple[Path, Persona]:
    """The folder and persona of a requester by name, or of a folder that `switchpoint join` made. Raises Misuse."""
    if as_ in PERSONAS:
        return Path(place.told["requesters"][as_]), PERSONAS[as_]
    folder = Path(as_)
    if not (folder / "join.json").exists():
        raise Misuse(f"{as_!r} is neither one of {', '.join(PERSONAS)} nor a folder with a join.json")
    told = json.loads((folder / "join.json").read_text("utf-8"))
    kind = "emergency-department" if "SEH" in told["departments"] else _BY_TYPE.get(told["type"], "specialist")
    return folder, PERSONAS[kind]


def domain_now(place: Place) -> datetime:
    """The simulation's domain time. Raises Misuse when the desk does not answer."""
    try:
        answer = httpx.get(place.desk + "/sim/clock", timeout=5, trust_env=False).raise_for_status()
        return datetime.fromisoformat(answer.json()["now"])
    except (httpx.HTTPError, KeyError, ValueError) as wrong:
        raise Misuse("the simulation does not answer; is it still running?") from wrong


def _claims(persona: Persona, now: datetime, no_cover: bool, incapable: bool, verbal_consent: str, role: str) -> Claims:
    changes: dict[str, Any] = {}
    if no_cover:
        changes["cover"] = False
    if incapable:
        changes["capacity"] = "incapable"
    if role:
        changes["role"] = role
    claims = persona(now, **changes)
    return requesters.verbally(claims, now, given_by=verbal_consent) if verbal_consent else claims


def system_from(folder: Path) -> System:
    """The requester's system whose certificate and addresses `switchpoint join` wrote into `folder`. Raises Misuse."""
    try:
        told = json.loads((folder / "join.json").read_text("utf-8"))
        return System(
            folder / told["certificate"],
            folder / told["key"],
            folder / told["ca"],
            told["exchange"],
            told["token_endpoint"],
            told["application"],
            told["ura"],
        )
    except (OSError, ValueError, KeyError) as wrong:
        raise Misuse(f"{folder} does not hold a joined system") from wrong


async def _ask(folder: Path, what: Ask, bsn: str, claims: Claims, deadline: int) -> Reply:
    headers = requesters.patience(deadline) if deadline else None
    try:
        async with system_from(folder) as system:
            return await system.ask(what, bsn, claims, headers=headers)
    except TokenRefused as wrong:
        raise Misuse(f"no token: {wrong}") from wrong
    except httpx.HTTPError as wrong:
        raise Misuse(f"the exchange cannot be reached: {type(wrong).__name__}") from wrong


def _as_json(reply: Reply) -> dict[str, Any]:
    return {
        "status": reply.status,
        "code": reply.code,
        "sentence": reply.sentence,
        "completeness": reply.completeness,
        "flags": sorted(reply.flags),
        "aorta_id": reply.aorta_id,
        "outcomes": [outcome._asdict() for outcome in reply.outcomes],
        "answers": [one.json for one in (reply, *reply.others)],
    }
