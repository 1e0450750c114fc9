"""Who vouches for whom in a country of the testbed? Throw-away authorities of this process, and what they have issued.

Organisations have the same numbers in every country, so a certificate is issued once and shown in all of them. The
folder also holds the gateway's own keys, and goes when the process ends. Knows files; knows nothing of any country.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.settings import Settings
from source_sim import country, pki

HOSTS = ("localhost", "127.0.0.1")
EVE = datetime.fromisoformat("2026-11-21T23:40:00+01:00")
"""When a country begins: a Saturday night. In domain time if nothing else is said; in process in wall time, too."""
_LIFE = timedelta(days=3650)
_PATIENT_SECRET = b"a country of the testbed is no secret"
"""Entry ids follow from it: the same in every run, so that a transcript can be compared."""


@dataclass(frozen=True, slots=True)
class Papers:
    """One system's certificate chain and key (PEM files), and its certificate as TLS shows it."""

    folder: Path
    certificate: Path
    key: Path
    ca: Path
    der: bytes = field(repr=False)
    uzi: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is there already: an authority, and the settings of the gateway it vouched for."""

    authority: pki.Pki
    settings: Settings


class Authority:
    """An authority, which issues as of `since` (wall time), and the wall time its countries `begin` with; None: now.
    A new one unless one is `known`; what it issues lies in `folder`."""

    def __init__(self, folder: Path, since: datetime, begin: datetime | None, known: Known | None = None) -> None:
        self.folder, self._since, self._begin, self._running = folder, since, begin, known
        self.pki = known.authority if known else pki.create(folder / "authority", now=since, crl_lifetime=_LIFE)
        self._issued: dict[tuple[str, str], Papers] = {}
        self._issuing = threading.Lock()

    @cached_property
    def gateway(self) -> Papers:
        """The gateway's own."""
        gateway = country.GATEWAY
        return self.papers(gateway.ura, gateway.application, gateway.name)

    def papers(self, ura: str, application: str, name: str) -> Papers:
        """What this system holds; issued at the first time of asking."""
        with self._issuing:
            known = self._issued.get((ura, application))
            if known is None:
                known = self._issued[ura, application] = self._issue(ura, application, name)
        return known

    def _issue(self, ura: str, application: str, name: str, flaw: pki.Flaw | None = None) -> Papers:
        out = self.folder / "systems" / f"{ura}-{application}-{flaw or 'good'}"
        made = self.pki.issue(ura, application, name, now=self._since, dns=HOSTS, days=_LIFE.days, out=out, flaw=flaw)
        der = x509.load_pem_x509_certificate(made.cert_pem).public_bytes(Encoding.DER)
        return Papers(out, out / "client.pem", out / "client.key", out / "ca.pem", der, made.uzi)

    def flawed(self, ura: str, application: str, flaw: pki.Flaw | None) -> Papers:
        """A certificate with something wrong about it, or simply another organisation's."""
        with self._issuing:
            known = self._issued.get((ura, f"{application} {flaw}"))
            if known is None:
                known = self._issued[ura, f"{application} {flaw}"] = self._issue(ura, application, "Test", flaw)
        return known

    def begin(self) -> datetime:
        """Wall time at the opening of a country."""
        return (self._begin or datetime.now(UTC)).astimezone(UTC)

    def settings(self, exchange: str) -> Settings:
        """The gateway's settings under this base address; nothing of the environment counts."""
        return self._running.settings if self._running else self._plain.model_copy(update={"exchange_url": exchange})

    @property
    def _plain(self) -> Settings:
        return _settings(self.folder, self.gateway)


@cache
def _settings(folder: Path, gateway: Papers) -> Settings:
    state = folder / "state"
    state.mkdir(mode=0o700)
    secret = state / "patient.key"
    secret.touch(mode=0o600)
    secret.write_bytes(_PATIENT_SECRET)
    defaults = {name: one.default for name, one in Settings.model_fields.items()}
    ours = {"state_dir": state, "certificate": gateway.certificate, "key": gateway.key, "simulation": True}
    trusted = {"ca": gateway.ca, "crl": folder / "authority" / "crl.pem"}
    return Settings(**{**defaults, **ours, **trusted})


def authority(*, live: bool) -> Authority:
    """The authority of this process for countries on sockets, where certificates must be valid today, or in process,
    where wall time is part of what a seed repeats. Made at the first call; a forked process makes its own."""
    return _of_process(os.getpid(), live)


@cache
def _of_process(number: int, live: bool) -> Authority:
    folder = Path(tempfile.mkdtemp(prefix="switchpoint-testbed-"))
    atexit.register(_clear, folder, number)
    if live:
        return Authority(folder, datetime.now(UTC), None)
    return Authority(folder, EVE - timedelta(days=1), EVE)


def _clear(folder: Path, number: int) -> None:
    if os.getpid() == number:
        shutil.rmtree(folder, ignore_errors=True)
