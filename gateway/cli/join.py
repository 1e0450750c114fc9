"""`switchpoint join`: an outside system becomes a participant of the running simulation, certificate included."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from gateway.cli.opened import with_means
from gateway.cli.pki import authority
from gateway.cli.place import Misuse, Place, find
from gateway.flows.operating import Taken
from gateway.flows.operating import join as join_network
from gateway.rules.exchange import ORGANISATION_TYPES, SEH
from gateway.rules.identifiers import ApplicationId, InvalidIdentifier, Ura, UziNumber
from gateway.rules.network import Organisation, System
from source_sim import pki

P12_PASSWORD = "switchpoint"
"""Protects nothing (the same key lies beside it in the open): Java reads no PKCS#12 file without one."""


def join(
    ura: Annotated[str, typer.Option(help="The organisation's URA, eight digits.")],
    type_: Annotated[str, typer.Option("--type", help="Organisation type: " + ", ".join(ORGANISATION_TYPES))],
    name: Annotated[str, typer.Option(help="The organisation's name.")],
    app_id: Annotated[str, typer.Option("--app-id", help="The system's application id.")],
    out: Annotated[Path, typer.Option(help="Folder for the certificate, key and join.json.")],
    department: Annotated[list[str] | None, typer.Option(help="SEH, for an emergency department.")] = None,
    endpoint: Annotated[str, typer.Option(help="FHIR base of the system, if it can be asked (https).")] = "",
    dns: Annotated[list[str] | None, typer.Option(help="Host name or IP for the certificate; repeatable.")] = None,
    running: Annotated[Path | None, typer.Option(help="running.json of the simulation.")] = None,
) -> None:
    """Register organisation, system and endpoint at the running simulation, and write its certificate and join.json."""
    organisation, system = _participant(ura, type_, name, app_id, department or [], endpoint)
    place = find(running)
    hosts = [*(dns or ["localhost", "127.0.0.1"]), *([endpoint] if endpoint else [])]
    try:
        authority(place.pki).issue(
            ura, app_id, name, now=datetime.now(UTC), dns=hosts, out=out, p12_password=P12_PASSWORD
        )
    except (pki.InvalidRequest, OSError) as wrong:
        raise Misuse(f"cannot write a certificate: {wrong}") from wrong
    try:
        with_means(place, lambda means: join_network(means, organisation, system, by="switchpoint join"))
    except Taken as wrong:
        raise Misuse(str(wrong)) from wrong
    _write(place, out, organisation, system)
    print(f"{name} joined; certificate, key and join.json are in {out}")


def _participant(
    ura: str, type_: str, name: str, app_id: str, departments: list[str], endpoint: str
) -> tuple[Organisation, System]:
    if type_ not in ORGANISATION_TYPES:
        raise Misuse(f"unknown organisation type {type_!r}; one of {', '.join(ORGANISATION_TYPES)}")
    if any(one != SEH for one in departments):
        raise Misuse(f"the only department known is {SEH}")
    if not name.strip() or not name.isprintable() or len(name) > 200:
        raise Misuse("a name is 1 to 200 printable characters")
    try:
        number, application = Ura(ura), ApplicationId(app_id)
    except InvalidIdentifier as wrong:
        raise Misuse(str(wrong)) from wrong
    organisation = Organisation(number, type_, name, frozenset(departments))
    uzi = UziNumber(pki.uzi_of(ura, app_id))
    return organisation, System(application, number, uzi, _endpoint(endpoint))


def _endpoint(endpoint: str) -> str | None:
    if not endpoint:
        return None
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme == "https" and bool(parts.hostname) and not parts.username and (parts.port or 443) > 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise Misuse("an endpoint is an https address without user, query or fragment")
    return endpoint.rstrip("/")


def _write(place: Place, out: Path, organisation: Organisation, system: System) -> None:
    told = {
        "exchange": place.exchange,
        "fhir": place.exchange + "/fhir",
        "desk": place.desk,
        "token_endpoint": place.token_endpoint,
        "ura": organisation.ura.digits,
        "name": organisation.name,
        "type": organisation.organisation_type,
        "departments": sorted(organisation.departments),
        "application": system.application.digits,
        "uzi": system.uzi.digits,
        "endpoint": system.endpoint,
        "certificate": "client.pem",
        "key": "client.key",
        "ca": "ca.pem",
        "p12": "client.p12",
        "p12_password": P12_PASSWORD,
    }
    (out / "join.json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")
