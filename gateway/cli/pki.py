"""`switchpoint pki`: the throw-away certificate authority of a simulation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.place import Misuse, find
from source_sim import pki

commands = typer.Typer(no_args_is_help=True)
Directory = Annotated[Path, typer.Option("--dir", help="Folder of the authority.")]
_CERTS = Path("certs")


def _now() -> datetime:
    return datetime.now(UTC)


def authority(directory: Path) -> pki.Pki:
    """The authority in `directory`. Raises Misuse."""
    try:
        return pki.load(directory)
    except (OSError, ValueError) as wrong:
        raise Misuse(f"no certificate authority in {directory} (make one with `switchpoint pki init`)") from wrong


@commands.command("init")
def init(directory: Directory = _CERTS) -> None:
    """Make a root and an issuing authority, and an empty revocation list."""
    try:
        pki.create(directory, now=_now())
    except FileExistsError as wrong:
        raise Misuse(str(wrong)) from wrong
    print(f"made an authority in {directory}")


@commands.command("issue")
def issue(
    ura: Annotated[str, typer.Option(help="The organisation's URA, eight digits.")],
    app_id: Annotated[str, typer.Option("--app-id", help="The system's application id.")],
    name: Annotated[str, typer.Option(help="The organisation's name.")],
    out: Annotated[Path, typer.Option(help="Folder the files go to.")],
    dns: Annotated[list[str] | None, typer.Option(help="Host name or IP address; may be repeated.")] = None,
    agb: Annotated[str, typer.Option(help="AGB code, eight digits.")] = "00000000",
    stem: Annotated[str, typer.Option(help="Name of the files, without ending.")] = "client",
    days: Annotated[int, typer.Option(help="How long it is valid.")] = 365,
    directory: Directory = _CERTS,
) -> None:
    """Issue a certificate for client and server use."""
    try:
        issued = authority(directory).issue(
            ura, app_id, name, now=_now(), dns=dns or ("localhost", "127.0.0.1"), agb=agb, days=days, out=out, stem=stem
        )
    except pki.InvalidRequest as wrong:
        raise Misuse(str(wrong)) from wrong
    print(f"issued {issued.serial_hex} to {out / stem}.pem")


@commands.command("revoke")
def revoke(
    certificate: Annotated[Path | None, typer.Argument(help="A certificate file (PEM).")] = None,
    serial: Annotated[str, typer.Option(help="Or its serial number, hexadecimal.")] = "",
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
    directory: Annotated[Path | None, typer.Option("--dir", help="Folder of the authority.")] = None,
) -> None:
    """Put a certificate on the revocation list; the gateway sees it on the next request."""
    if (certificate is None) == (serial == ""):
        raise Misuse("name a certificate file or --serial, one of the two")
    folder = directory or (find(running).pki if running or not (_CERTS / "ca.pem").exists() else _CERTS)
    try:
        done = authority(folder).revoke(certificate or serial, _now())
    except pki.UnknownCertificate as wrong:
        raise Misuse(f"this authority never issued {wrong}") from wrong
    except (OSError, ValueError) as wrong:
        raise Misuse(f"cannot revoke: {wrong}") from wrong
    print(f"revoked {done}")


@commands.command("show")
def show(
    certificate: Annotated[Path, typer.Argument(help="A certificate file (PEM).")],
    directory: Directory = _CERTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a certificate says, and whether it is revoked."""
    known = pki.load(directory) if (directory / "ca.pem").exists() else None
    try:
        told = pki.describe(certificate.read_bytes(), known)
    except (OSError, ValueError) as wrong:
        raise Misuse(f"cannot read {certificate} as a certificate") from wrong
    if as_json:
        print(json.dumps(told, indent=2))
        return
    table = Table(show_header=False)
    for key, value in told.items():
        table.add_row(key, ", ".join(value) if isinstance(value, list) else str(value))
    Console().print(table)
