"""`switchpoint serve`: the gateway's processes. One parent holds the sockets; N exchange workers and one desk serve.

SIGTERM ends all gracefully; SIGHUP replaces the workers one by one without closing a socket; a worker that dies is
started again.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import FrameType
from typing import Annotated

import typer

from gateway.cli.place import Misuse
from gateway.settings import Settings

_GRACE = 15.0
_BACKLOG = 2048
_ACCIDENTS, _ACCIDENTS_WITHIN = 5, 20.0


def serve(
    workers: Annotated[int, typer.Option(help="How many exchange workers.")] = 1,
    simulation: Annotated[bool, typer.Option("--simulation", help="Turn the simulator controls on.")] = False,
    inherited: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Serve the exchange and the desk until SIGTERM. Settings come from SWITCHPOINT_… variables."""
    settings = settings_from_environment(simulation=simulation)
    if inherited:
        role, _, descriptor = inherited.partition(":")
        _work(settings, role, int(descriptor))
        return
    if not 1 <= workers <= 64:
        raise Misuse("--workers is 1 to 64")
    for path in (settings.certificate, settings.key, settings.ca, settings.crl):
        if not path.exists():
            raise Misuse(f"{path} does not exist (make one with `switchpoint pki`)")
    Supervisor(settings, workers).run()


def settings_from_environment(*, simulation: bool) -> Settings:
    """The settings as the environment has them. Raises Misuse."""
    try:
        settings = Settings()
    except ValueError as wrong:
        first = str(wrong).splitlines()
        raise Misuse("a setting is wrong: " + " ".join(part.strip() for part in first[1:3])) from wrong
    return settings.model_copy(update={"simulation": settings.simulation or simulation})


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as wrong:
        raise Misuse(f"cannot listen on {host}:{port}: {wrong.strerror}") from wrong
    listening.listen(_BACKLOG)
    listening.set_inheritable(True)
    return listening


@dataclass
class Supervisor:
    """Keeps the workers running on sockets that never close while it lives."""

    settings: Settings
    workers: int
    ending: bool = False
    renewing: bool = False
    children: dict[int, tuple[str, subprocess.Popen[bytes]]] = field(default_factory=dict)
    deaths: list[float] = field(default_factory=list)

    def run(self) -> None:
        exchange = _listen(self.settings.exchange_host, self.settings.exchange_port)
        desk = _listen(self.settings.desk_host, self.settings.desk_port)
        self._sockets = {"exchange": exchange, "desk": desk}
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGHUP, self._renew)
        for _ in range(self.workers):
            self._start("exchange")
        self._start("desk")
        while not self.ending:
            self._look_after()
            time.sleep(0.2)
        self._stop_all()

    def _start(self, role: str) -> subprocess.Popen[bytes]:
        descriptor = self._sockets[role].fileno()
        command = [sys.executable, "-m", "gateway", "serve", "--inherited", f"{role}:{descriptor}"]
        if self.settings.simulation:
            command.append("--simulation")
        child = subprocess.Popen(command, pass_fds=[descriptor])
        self.children[child.pid] = (role, child)
        return child

    def _look_after(self) -> None:
        for pid, (role, child) in list(self.children.items()):
            if child.poll() is not None:
                del self.children[pid]
                self._start_again(role)
        if self.renewing:
            self.renewing = False
            self._replace_all()

    def _start_again(self, role: str) -> None:
        """A worker died. Now and then is an accident; one after another is a fault that a restart does not mend."""
        now = time.monotonic()
        self.deaths = [*(then for then in self.deaths if now - then < _ACCIDENTS_WITHIN), now]
        if len(self.deaths) > _ACCIDENTS:
            self._stop_all()
            raise Misuse("the workers keep dying; see the log above")
        if not self.ending:
            self._start(role)

    def _replace_all(self) -> None:
        """Start a successor before asking each worker to end: the sockets are never unattended."""
        for pid, (role, child) in list(self.children.items()):
            self._start(role)
            time.sleep(1.0)
            del self.children[pid]
            child.terminate()

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self.ending = True

    def _renew(self, _signal: int, _frame: FrameType | None) -> None:
        self.renewing = True

    def _stop_all(self) -> None:
        for _, child in self.children.values():
            child.terminate()
        until = time.monotonic() + _GRACE
        for _, child in self.children.values():
            try:
                child.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()


def _work(settings: Settings, role: str, descriptor: int) -> None:
    """One child: serve one role on an inherited socket until SIGTERM."""
    from gateway.cli.working import serve_desk, serve_exchange

    if os.getppid() == 1:
        return
    sock = socket.socket(fileno=descriptor)
    (serve_exchange if role == "exchange" else serve_desk)(settings, sock)
