"""How is a whole country set up on one machine? Authority, certificates, participants, source and gateway processes.

Real processes and real sockets with mutual TLS. Every run starts with an empty ledger; the authority's keys stay.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import httpx

from gateway.cli.operator import told
from gateway.cli.place import Misuse
from gateway.cli.planting import plant_all
from gateway.cli.ports import free_port
from gateway.flows.accounts import add_operator
from gateway.flows.means import Means
from gateway.flows.operating import join
from gateway.rules.identifiers import ApplicationId, Ura, UziNumber
from gateway.rules.network import Organisation, System
from gateway.rules.people import Role
from gateway.settings import Settings
from source_sim import country, pki, sentinels
from source_sim.country import Participant

EVERYBODY = (*country.PARTICIPANTS, *sentinels.TROUBLED)
"""Every organisation of a staged country."""
_LOCAL = ("localhost", "127.0.0.1")
_START_SECONDS = 60.0
_OF_A_RUN = ("ledger.sqlite*", "checkpoint.*", "inspector.sqlite*")


@dataclass
class Stage:
    """A country being set up or running: its folders, addresses and processes."""

    state: Path
    certs: Path
    settings: Settings
    patients: dict[str, list[dict[str, Any]]]
    records: Path | None = None
    workers: int = 1
    endpoints: dict[str, str] = field(default_factory=dict)
    control: str = ""
    logins: dict[str, Any] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def exchange(self) -> str:
        return self.settings.exchange_base

    @property
    def desk(self) -> str:
        return f"http://127.0.0.1:{self.settings.desk_port}"

    def folder(self, participant: Participant) -> Path:
        """Where this participant's certificate, key and join.json are."""
        return self.state / "systems" / participant.key

    def close(self) -> None:
        """End the processes this stage started, gateway first."""
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            if process.stdout is not None:
                process.stdout.close()
        (self.state / "running.json").unlink(missing_ok=True)


def stage(
    state: Path,
    certs: Path,
    *,
    patients: dict[str, list[dict[str, Any]]],
    records: Path | None = None,
    workers: int = 1,
    exchange_port: int = 8443,
    desk_port: int = 8080,
    **changes: Any,
) -> Stage:
    """Set up the country, its sentinels included, and start its processes; `patients` says per participant key whose
    records it holds beside the sentinels'. Raises Misuse when something does not start."""
    settings = Settings(
        state_dir=state.absolute(),
        certificate=(certs / "gateway.pem").absolute(),
        key=(certs / "gateway.key").absolute(),
        ca=(certs / "ca.pem").absolute(),
        crl=(certs / "crl.pem").absolute(),
        exchange_port=free_port(exchange_port),
        desk_port=free_port(desk_port),
        simulation=True,
        **{"inspector": True, **changes},
    )
    made = Stage(state.absolute(), certs.absolute(), settings, patients, records, workers)
    _clear(made)
    authority = make_authority(made)
    issue_all(made, authority)
    try:
        _start_sources(made)
        asyncio.run(register_all(made, plant_all))
        _start_gateway(made)
    except BaseException:
        made.close()
        raise
    return made


def _clear(made: Stage) -> None:
    made.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    # the checkpoints' key and witness belong to the journal that goes
    for old in (found for name in _OF_A_RUN for found in made.state.glob(name)):
        old.unlink()


def make_authority(made: Stage) -> pki.Pki:
    """The certificate authority, made if there is none; its revocation list fresh either way."""
    now = datetime.now(UTC)
    if not (made.certs / "ca.pem").exists():
        return pki.create(made.certs, now=now)
    authority = pki.load(made.certs)
    authority.refresh_crl(now)
    return authority


def issue_all(made: Stage, authority: pki.Pki, *, hosts: Sequence[str] = _LOCAL) -> None:
    """Certificates for the gateway and every participant, valid for these host names."""
    now, gateway = datetime.now(UTC), country.GATEWAY
    authority.issue(gateway.ura, gateway.application, gateway.name, now=now, dns=hosts, out=made.certs, stem="gateway")
    for one in EVERYBODY:
        authority.issue(one.ura, one.application, one.name, now=now, dns=hosts, out=made.folder(one))


# --- sources ---------------------------------------------------------------------------------------------------------


def _start_sources(made: Stage) -> None:
    config = made.state / "sources.json"
    config.write_text(json.dumps(sources_config(made), indent=2), "utf-8")
    with (made.state / "sources.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "sources", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    made.processes.append(process)
    ready = _ready_line(process.stdout, made.state / "sources.log")
    made.control = ready["control"]
    made.endpoints = {system["ura"]: system["endpoint"] for system in ready["systems"]}


def sources_config(made: Stage) -> dict[str, Any]:
    """What `switchpoint sources --config` needs."""
    return {
        "gateway_ura": country.GATEWAY.ura,
        "issuer": made.exchange,
        "jwks_url": made.exchange + "/.well-known/jwks.json",
        "control_port": 0,
        "systems": [_source_config(made, one) for one in (*country.SOURCES, *sentinels.TROUBLED, *country.RECEIVERS)],
    }


def _source_config(made: Stage, one: Participant) -> dict[str, Any]:
    folder = made.folder(one)
    held = one in (country.GP, country.PHARMACY)
    return {
        "kind": country.KINDS[one.organisation_type],
        "ura": one.ura,
        "application": one.application,
        "name": one.name,
        "host": "127.0.0.1",
        "port": 0,
        "cert": str(folder / "client.pem"),
        "key": str(folder / "client.key"),
        "ca": str(made.certs / "ca.pem"),
        "patients": _patients_of(made, one),
        "records": str(made.records) if made.records and held else None,
        "fault": sentinels.lasting_fault(one),
    }


def _patients_of(made: Stage, one: Participant) -> list[dict[str, Any]]:
    known = {each["bsn"]: each for each in (*sentinels.held_at(one), *made.patients.get(one.key, ()))}
    return list(known.values())


def _ready_line(stream: IO[str] | None, log: Path) -> dict[str, Any]:
    line = stream.readline() if stream else ""
    try:
        told: dict[str, Any] = json.loads(line)["ready"]
    except (ValueError, KeyError, TypeError) as wrong:
        raise Misuse(f"the simulated sources did not start; see {log}") from wrong
    return told


# --- register and gateway --------------------------------------------------------------------------------------------


async def register_all(made: Stage, also: Callable[[Means], Awaitable[None]] | None = None) -> None:
    """Put every participant in the gateway's register, and every operator beside it; then do what is `also` wanted.
    Raises LedgerUnavailable, IndexUnavailable, OSError, and what `also` raises."""
    from gateway.app import open_gateway

    gateway = await open_gateway(made.settings)
    try:
        for one in EVERYBODY:
            await join(gateway.means, *participant(one, made.endpoints.get(one.ura)), by="staging")
        made.logins = await _logins(made, gateway.means)
        if also is not None:
            await also(gateway.means)
    finally:
        await gateway.close()


OPERATORS: dict[str, frozenset[Role]] = {
    "test-viewer": frozenset({Role.VIEWER}),
    "test-operator": frozenset({Role.OPERATOR}),
    "test-reviewer": frozenset({Role.REVIEWER, Role.OPERATOR}),
}
"""Who may log in at the desk of a simulation; some acts want two operators, so two of them are."""


async def _logins(made: Stage, means: Means) -> dict[str, Any]:
    """Accounts with passwords of their own at every staging; patients need none."""
    added = [await add_operator(means, name, roles, by="staging") for name, roles in OPERATORS.items()]
    return {
        "operators": [told(one) for one in added],
        "operators_at": made.desk + "/login",
        "patients_at": made.desk + "/digid",
    }


def participant(one: Participant, endpoint: str | None) -> tuple[Organisation, System]:
    """A participant of the country in the register's words."""
    ura, application = Ura(one.ura), ApplicationId(one.application)
    uzi = UziNumber(pki.uzi_of(one.ura, one.application))
    return Organisation(ura, one.organisation_type, one.name, frozenset(one.departments)), System(
        application, ura, uzi, endpoint
    )


def _start_gateway(made: Stage) -> None:
    environment = {**os.environ, **_environment(made.settings)}
    command = [sys.executable, "-m", "gateway", "serve", "--simulation", "--workers", str(made.workers)]
    with (made.state / "gateway.log").open("w") as log:
        made.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True))
    write_running(made)
    _await_ready(made)


def _environment(settings: Settings) -> dict[str, str]:
    values = settings.model_dump(mode="json", exclude_defaults=True)
    return {f"SWITCHPOINT_{name.upper()}": str(value) for name, value in values.items()}


def write_running(made: Stage) -> None:
    """running.json, and a join.json for every participant."""
    tells = {
        "exchange": made.exchange,
        "fhir": made.exchange + "/fhir",
        "desk": made.desk,
        "token_endpoint": made.settings.token_endpoint,
        "ca": str(made.certs / "ca.pem"),
        "logins": made.logins,
        "state": str(made.state),
        "pki": str(made.certs),
        "control": made.control,
        "requesters": {name: str(made.folder(one)) for name, one in country.REQUESTERS.items()},
        "settings": made.settings.model_dump(mode="json"),
    }
    for one in EVERYBODY:
        endpoint = made.endpoints.get(one.ura)
        write_join(made.folder(one), one, endpoint, exchange=made.exchange, token_endpoint=made.settings.token_endpoint)
    path, fresh = made.state / "running.json", made.state / f"running.{secrets.token_hex(4)}"
    fresh.touch(0o600)  # it tells passwords
    fresh.write_text(json.dumps(tells, indent=2), "utf-8")
    fresh.replace(path)


def write_join(folder: Path, one: Participant, endpoint: str | None, *, exchange: str, token_endpoint: str) -> None:
    """What `switchpoint join` tells an outsider, for a participant of the country."""
    told = {
        "exchange": exchange,
        "fhir": exchange + "/fhir",
        "token_endpoint": token_endpoint,
        "ura": one.ura,
        "name": one.name,
        "type": one.organisation_type,
        "departments": list(one.departments),
        "application": one.application,
        "uzi": pki.uzi_of(one.ura, one.application),
        "endpoint": endpoint,
        "certificate": "client.pem",
        "key": "client.key",
        "ca": "ca.pem",
    }
    (folder / "join.json").write_text(json.dumps(told, indent=2), "utf-8")


def _await_ready(made: Stage) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if made.processes[-1].poll() is not None:
            break
        try:
            if _answers(made):
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise Misuse(f"the gateway did not start; see {made.state / 'gateway.log'}")


def _answers(made: Stage) -> bool:
    """Whether desk and exchange both answer. Raises httpx.HTTPError while they do not."""
    folder = made.folder(country.GP_POST)
    tls = ssl.create_default_context(cafile=folder / "ca.pem")
    tls.load_cert_chain(folder / "client.pem", folder / "client.key")
    with httpx.Client(verify=tls, timeout=2, trust_env=False) as client:
        desk = client.get(made.desk + "/health/ready")
        return desk.status_code == 200 and client.get(made.exchange + "/fhir/metadata").status_code == 200
