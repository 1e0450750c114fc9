"""How do a population's practices and pharmacies come into a country? Certificate, system, endpoint and register.

Where the country runs, its process of sources opens a port for each at once; where it stands still, they are written
into its sources.json and serve from the next start on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from gateway.cli.pki import authority
from gateway.cli.place import Misuse, Place, find
from gateway.cli.ports import free_port
from gateway.cli.serve import settings_from_environment
from gateway.cli.staging import participant, write_join
from gateway.flows.means import Means
from gateway.flows.operating import Taken, join
from gateway.rules.identifiers import ApplicationId
from gateway.settings import Settings
from source_sim import country, pki
from source_sim.country import Participant
from source_sim.peopling.region import Recipe, Region

_LOCAL = ("localhost", "127.0.0.1")
_OPENING_SECONDS = 60.0
"""The first system makes the population before it answers."""


@dataclass(frozen=True)
class Ground:
    """The country a population moves into. `control`: the address of its running sources, empty when they stand
    still."""

    settings: Settings
    pki: Path
    control: str

    @property
    def state(self) -> Path:
        return self.settings.state_dir

    @property
    def config(self) -> Path:
        return self.state / "sources.json"

    @property
    def systems(self) -> list[dict[str, Any]]:
        """The systems its sources run, as configured. Raises Misuse."""
        try:
            found: list[dict[str, Any]] = json.loads(self.config.read_text("utf-8"))["systems"]
        except (OSError, ValueError, KeyError) as wrong:
            raise Misuse(f"no country was set up in {self.state}: it has no sources.json") from wrong
        return found

    @property
    def recipe(self) -> Recipe | None:
        """The population that lives here already. Raises Misuse."""
        return next((Recipe(**one["people"]) for one in self.systems if one.get("people")), None)


def ground_of(running: Path | None, state: Path | None) -> Ground:
    """The running simulation, or the one in `state`. Raises Misuse."""
    if running is not None and state is not None:
        raise Misuse("name --running or --state, not both")
    if state is None or (state / "running.json").exists():
        return _as_told(find(running or state))
    if not state.is_dir():
        raise Misuse(f"{state} is not a folder")
    settings = settings_from_environment(simulation=True).model_copy(update={"state_dir": state.absolute()})
    return Ground(settings, settings.ca.parent.absolute(), "")


def _as_told(place: Place) -> Ground:
    control = str(place.told.get("control") or "")
    return Ground(Settings(**place.told["settings"]), place.pki, control if _answers(control) else "")


def _answers(control: str) -> bool:
    try:
        return bool(control) and httpx.get(control + "/systems", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


async def settled_in(ground: Ground, made: Region, means: Means) -> None:
    """Every custodian of the population has a certificate, a system at an endpoint, and its place in the register.
    Raises Misuse, LedgerUnavailable, OSError."""
    known = {one["ura"]: one for one in ground.systems}
    fresh = [one for one in made.custodians if one.ura not in known]
    for one, system in zip(fresh, _systems(ground, fresh, made.recipe), strict=True):
        known[one.ura] = await _opened(ground, system) if ground.control else system
    _write(ground, list(known.values()))
    for one in made.custodians:
        await _registered(ground, one, known[one.ura]["endpoint"], means)


def _systems(ground: Ground, fresh: Sequence[Participant], recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Their configuration (serving.py), each with a new certificate."""
    hosts, ports = _hosts(ground), _ports(ground)
    for one in fresh:
        folder = ground.state / "systems" / one.key
        _certify(ground, one, folder, [*_LOCAL, hosts[1]])
        port = next(ports)
        yield {
            "kind": country.KINDS[one.organisation_type],
            "ura": one.ura,
            "application": one.application,
            "name": one.name,
            "host": hosts[0],
            "port": port,
            "endpoint": f"https://{hosts[1]}:{port}/fhir",
            "cert": str(folder / "client.pem"),
            "key": str(folder / "client.key"),
            "ca": str(folder / "ca.pem"),
            "people": asdict(recipe),
        }


def _hosts(ground: Ground) -> tuple[str, str]:
    """Where the country's sources bind, and under which name they are reached."""
    for one in ground.systems:
        if one.get("endpoint"):
            return one["host"], urlsplit(one["endpoint"]).hostname or _LOCAL[1]
    return _LOCAL[1], _LOCAL[1]


def _ports(ground: Ground) -> Iterator[int]:
    """Behind the ports that were given out on purpose; where none were, free ones."""
    taken = max((int(one.get("port") or 0) for one in ground.systems), default=0)
    while True:
        taken = taken + 1 if taken else 0
        yield taken or free_port()


def _certify(ground: Ground, one: Participant, folder: Path, hosts: list[str]) -> None:
    try:
        authority(ground.pki).issue(one.ura, one.application, one.name, now=datetime.now(UTC), dns=hosts, out=folder)
    except (pki.InvalidRequest, OSError) as wrong:
        raise Misuse(f"cannot write a certificate: {wrong}") from wrong


async def _opened(ground: Ground, system: dict[str, Any]) -> dict[str, Any]:
    """The running process of sources opens the system. Raises Misuse."""
    url = f"{ground.control}/systems/{system['ura']}"
    try:
        async with httpx.AsyncClient(timeout=_OPENING_SECONDS, trust_env=False) as client:
            answer = await client.put(url, json=system)
    except httpx.HTTPError as wrong:
        raise Misuse(f"the simulated sources cannot be reached: {type(wrong).__name__}") from wrong
    if answer.status_code != 200:
        raise Misuse(f"the simulated sources do not take {system['name']} in: {answer.text[:200]}")
    return {**system, "endpoint": answer.json()["endpoint"]}


def _write(ground: Ground, systems: list[dict[str, Any]]) -> None:
    config = json.loads(ground.config.read_text("utf-8"))
    fresh = ground.config.with_suffix(".fresh")
    fresh.write_text(json.dumps({**config, "systems": systems}, indent=2), "utf-8")
    fresh.replace(ground.config)


async def _registered(ground: Ground, one: Participant, endpoint: str, means: Means) -> None:
    network = await means.live.network()
    system = network.systems.get(ApplicationId(one.application))
    if system is None or system.endpoint != endpoint:
        try:
            await join(means, *participant(one, endpoint), by="switchpoint population")
        except Taken as wrong:
            raise Misuse(str(wrong)) from wrong
    folder, settings = ground.state / "systems" / one.key, ground.settings
    write_join(folder, one, endpoint, exchange=settings.exchange_base, token_endpoint=settings.token_endpoint)
