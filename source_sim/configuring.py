"""What is a process of simulated sources told to run? One JSON file, or one system more, read and checked.

It knows paths and numbers; paths in the file are relative to it. It may not know sockets, nor what a source answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from source_sim import population
from source_sim.offered import Kind
from source_sim.peopling.region import Recipe, region
from source_sim.population import Profile
from source_sim.records import Proof


class BadConfig(ValueError):
    """The configuration cannot be served. Never carries a BSN."""


class FaultConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault of the catalogue. Only for the fault of a system: `type`, the leg it holds for (None: all), `probability`
    with its `seed`, and `call`, the only one it meets."""

    name: str
    seconds: float = 0.0
    type: str | None = None
    spread: str = ""
    place: str = ""
    probability: float = 1.0
    seed: int = 0
    call: int | None = None


class PatientConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test person whose record is generated; `fault` follows her wherever she is asked for at this system."""

    bsn: str
    seed: int = 1
    profile: Profile = Profile.TYPICAL
    proof: Proof = Proof.REFERENCE
    fault: FaultConfig | None = None

    def __repr__(self) -> str:
        return f"PatientConfig(seed={self.seed}, profile={self.profile})"


class SystemConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One system. `port` 0: any free one. `endpoint`: its FHIR base if not https://{host}:{port}/fhir. `records`: a
    folder of real instances, which go before generated ones; `people`: a population it keeps its share of."""

    kind: Kind
    ura: str
    application: str
    name: str
    cert: str
    key: str
    ca: str
    host: str = "127.0.0.1"
    port: int = 0
    endpoint: str | None = None
    patients: tuple[PatientConfig, ...] = ()
    people: Recipe | None = None
    records: str | None = None
    fault: FaultConfig | None = None


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All systems, and what they share. Keys come from `jwks_url` or `jwks`. `now` is domain time at the start."""

    systems: tuple[SystemConfig, ...]
    gateway_ura: str
    jwks_url: str | None = None
    jwks: dict[str, Any] | None = None
    issuer: str | None = None
    now: datetime | None = None
    control_port: int = 0


def load_config(path: Path) -> Config:
    """Read and check a configuration file. Raises BadConfig, OSError."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=Config)
    except msgspec.DecodeError as problem:
        raise BadConfig(str(problem)) from problem
    check(config)
    return msgspec.structs.replace(config, systems=tuple(_placed(each, path.parent) for each in config.systems))


def _placed(one: SystemConfig, home: Path) -> SystemConfig:
    paths = {name: str(home / value) for name in ("cert", "key", "ca", "records") if (value := getattr(one, name))}
    return msgspec.structs.replace(one, **paths)


def check(config: Config) -> None:
    """Raises BadConfig for what cannot be served."""
    uras = [each.ura for each in config.systems]
    patients = [patient.bsn for each in config.systems for patient in each.patients]
    if len(set(uras)) < len(uras):
        raise BadConfig("two systems have the same URA: the control API could not tell them apart")
    if (config.jwks is None) == (config.jwks_url is None):
        raise BadConfig("either jwks or jwks_url is wanted")
    if not all(population.is_bsn(bsn) and bsn.startswith("9999") for bsn in patients):
        raise BadConfig("a patient's BSN passes the eleven-test and comes from the test range 9999xxxxx")
    if config.now is not None and config.now.tzinfo is None:
        raise BadConfig("now needs an offset")
    _check_people(each.people for each in config.systems if each.people)


def _check_people(recipes: Iterable[Recipe]) -> None:
    for recipe in recipes:
        try:
            region(recipe)
        except ValueError as problem:
            raise BadConfig(str(problem)) from problem


def newcomer(ura: str, body: bytes, config: Config) -> SystemConfig:
    """The system of this URA that joins while those of `config` run. The first of a population makes its people, which
    takes a second for 10,000. Raises BadConfig."""
    try:
        one = msgspec.json.decode(body, type=SystemConfig)
    except msgspec.DecodeError as problem:
        raise BadConfig(str(problem)) from problem
    check(msgspec.structs.replace(config, systems=(one,)))
    if one.ura != ura:
        raise BadConfig("the path and the system name two organisations")
    return one
