"""`switchpoint token`: an access token for one patient, for whoever wants to try the exchange with curl."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import httpx
import typer

from gateway.cli.ask import domain_now, system_from, who_asks
from gateway.cli.place import Misuse, find
from source_sim.requesters import Claims, TokenRefused


def token(
    bsn: Annotated[str, typer.Option("--bsn", help="The patient; none for a system token.")] = "",
    as_: Annotated[str, typer.Option("--as", help="As with `switchpoint ask`.")] = "gp-post",
    assertion: Annotated[bool, typer.Option("--assertion", help="Print the assertion, not the token.")] = False,
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
) -> None:
    """Print an access token (60 seconds) for a requester and a patient, or for a system acting by itself."""
    place = find(running)
    folder, persona = who_asks(place, as_)
    claims: Claims = {**persona(domain_now(place)), "patient": bsn} if bsn else {}
    print(asyncio.run(_token(folder, claims, assertion)))


async def _token(folder: Path, claims: Claims, assertion: bool) -> str:
    async with system_from(folder) as system:
        said = claims or {"sub": system.application}
        try:
            return system.assertion(said) if assertion else await system.token(said)
        except TokenRefused as wrong:
            raise Misuse(f"no token: {wrong}") from wrong
        except httpx.HTTPError as wrong:
            raise Misuse(f"the exchange cannot be reached: {type(wrong).__name__}") from wrong
