"""`switchpoint serve`: the gateway's processes. One parent holds the sockets; N exchange workers and one desk serve.

The parent reads the program once and forks its workers, so that one that dies is followed in a moment; it opens nothing
and starts no thread, for a worker must share neither with another. SIGTERM ends all gracefully; SIGHUP replaces the
workers one by one without closing a socket.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from gateway.cli.place import Misuse
from gateway.settings import Settings

_GRACE = 15.0
_BACKLOG = 2048
_WAITS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds until a worker that died is followed: the first time, the second … of those within twenty seconds."""
_LATELY = 20.0
_OVERLAP = 1.0
_FORK = multiprocessing.get_context("fork")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_AS_ASKED = (0, -signal.SIGTERM, -signal.SIGINT)
"""Exit codes of a worker that was asked to end, in the middle of its work or while it began."""


def serve(
    workers: Annotated[int, typer.Option(help="How many exchange workers.")] = 1,
    simulation: Annotated[bool, typer.Option("--simulation", help="Turn the simulator controls on.")] = False,
) -> None:
    """Serve the exchange and the desk until SIGTERM. Settings come from SWITCHPOINT_… variables."""
    settings = settings_from_environment(simulation=simulation)
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
    return listening


@dataclass
class Supervisor:
    """Keeps the workers running on sockets that never close while it lives. Every worker has a place, which is that of
    who follows it, too: the exchange's from 0 on, the last is the desk's."""

    settings: Settings
    workers: int
    ending: bool = False
    renewing: bool = False
    children: dict[int, ForkProcess] = field(default_factory=dict)
    replaced: list[ForkProcess] = field(default_factory=list)
    deaths: dict[int, list[float]] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)

    def run(self) -> None:
        exchange = _listen(self.settings.exchange_host, self.settings.exchange_port)
        desk = _listen(self.settings.desk_host, self.settings.desk_port)
        self._sockets = {"exchange": exchange, "desk": desk}
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGHUP, self._renew)
        _read_the_program()
        for place in range(self.workers + 1):
            self._start(place)
        while not self.ending:
            self._look_after()
            time.sleep(0.2)
        self._stop_all()

    def _start(self, place: int) -> None:
        role = "exchange" if place < self.workers else "desk"
        child = _FORK.Process(target=self._work, args=(role, os.getpid()), name=role)
        # a signal that came before the worker has its own answer to it would be taken for one to the parent
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            child.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self.children[place] = child

    def _work(self, role: str, parent: int) -> None:
        """One worker's life: serve one role until SIGTERM, or until its parent is gone."""
        from gateway.cli.working import serve_desk, serve_exchange

        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        _call_this_process(role)
        _end_with(parent)
        ours = self._sockets.pop(role)
        for other in self._sockets.values():
            other.close()
        (serve_exchange if role == "exchange" else serve_desk)(self.settings, ours)

    def _look_after(self) -> None:
        self.replaced = [one for one in self.replaced if one.exitcode is None]
        for place, child in list(self.children.items()):
            if child.exitcode is not None:
                del self.children[place]
                self._plan_another(place, child.exitcode)
        for place, at in list(self.due.items()):
            if at <= time.monotonic() and not self.ending:
                del self.due[place]
                self._start(place)
        if self.renewing:
            self.renewing = False
            self._replace_all()

    def _plan_another(self, place: int, exit_code: int) -> None:
        """A worker died. Now and then is an accident; again and again, for all that it waited, is a fault that a
        restart does not mend. Who ended when somebody asked it to has not died."""
        now = time.monotonic()
        lately = [then for then in self.deaths.get(place, []) if now - then < _LATELY]
        self.deaths[place] = lately if exit_code in _AS_ASKED else [*lately, now]
        if len(lately) >= len(_WAITS):
            self._stop_all()
            raise Misuse("the workers keep dying; see the log above")
        self.due[place] = now + _WAITS[len(lately)]

    def _replace_all(self) -> None:
        """Start a successor before asking each worker to end: the sockets are never unattended."""
        for place, child in list(self.children.items()):
            if self.ending:
                return
            self._start(place)
            self.replaced.append(child)
            time.sleep(_OVERLAP)
            child.terminate()

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self.ending = True

    def _renew(self, _signal: int, _frame: FrameType | None) -> None:
        self.renewing = True

    def _stop_all(self) -> None:
        for child in (every := [*self.replaced, *self.children.values()]):
            child.terminate()
        until = time.monotonic() + _GRACE
        for child in every:
            child.join(max(0.1, until - time.monotonic()))
            if child.exitcode is None:
                child.kill()


def _read_the_program() -> None:
    """Once for all workers, into memory they share."""
    import gateway.cli.working  # noqa: F401

    gc.collect()
    gc.freeze()


def _call_this_process(role: str) -> None:
    """So that lists of processes tell a desk from a worker of the exchange."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(f"sp-{role}")


def _end_with(parent: int) -> None:
    """A parent that was killed must leave nobody who keeps the sockets from its successor. Linux only."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
