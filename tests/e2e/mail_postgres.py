"""A PostgreSQL of these tests' own, on a socket under a short path: started by its binaries, killed at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest


@dataclass(frozen=True)
class Postgres:
    """Its address, and where everything it writes lies."""

    url: str
    data: Path


@contextmanager
def private_postgres() -> Iterator[Postgres]:
    """Skips, loudly, where PostgreSQL is not installed; on CI, which installs it, that is a failure."""
    place = Path(tempfile.mkdtemp(prefix="sp-mail-"))
    place.chmod(0o755)
    try:
        binaries, data, user = _binaries(), place / "pg", "postgres" if os.geteuid() == 0 else None
        data.mkdir(mode=0o700)
        if user:
            shutil.chown(data, user)
        initdb = [binaries / "initdb", "-D", data, "-U", "switchpoint", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, user=user)
        yield from _running(binaries, Postgres(f"postgresql://switchpoint@/postgres?host={data}", data), user)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _running(binaries: Path, made: Postgres, user: str | None) -> Iterator[Postgres]:
    # what our kills spare is the machine: what the server has written survives them without waiting for the disk
    options = ["-c", "listen_addresses=", "-k", str(made.data), "-c", "fsync=off", "-c", "log_statement=none"]
    log = made.data / "server.log"
    with log.open("wb") as told:
        command = [binaries / "postgres", "-D", made.data, *options]
        server = subprocess.Popen(command, stdout=told, stderr=told, user=user, start_new_session=True)
    try:
        _await(made.url, server)
        yield made
    finally:
        server.terminate()
        server.wait(20)


def _await(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, "the server ended while starting"
            assert time.monotonic() < until, "the server did not answer in 20 s"
            time.sleep(0.02)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        told = "PostgreSQL is not installed here: the messages were NOT tried on it"
        pytest.fail(told) if os.environ.get("SWITCHPOINT_TEST_STRICT") else pytest.skip(told)
    return found[-1].parent if found else Path(str(on_path)).parent
