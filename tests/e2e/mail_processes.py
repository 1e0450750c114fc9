"""How does a gateway process die at exactly this point of a message's way? A nursery of real processes, ours alone.

Run as a program (`mail_processes.py SETTINGS LOG`) it reads the gateway's code once, holds the two listening sockets as
`switchpoint serve` does, and forks a process for each order: milliseconds instead of a second, and every process is as
real as the others. An order may name a point of the way (`Mail.reached`) and a count: the process ends itself there
with SIGKILL. Orders and news are JSON, one a line. Nothing of this is in the gateway.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.app import Gateway, wall_clock
from gateway.cli import working
from gateway.cli.serve import _listen
from gateway.flows.means import Live
from gateway.settings import Settings

POINTS = ("accept", "commit", "answer", "claim", "unseal", "post", "reply", "mark", "expire")
"""The named points: the first three are the exchange's, the others the desk's."""

EXCHANGE, DESK = "exchange", "desk"


def role_at(point: str) -> str:
    return EXCHANGE if point in POINTS[:3] else DESK


@dataclass(frozen=True)
class Order:
    """Start a process: its role, the point at which it ends itself the `nth` time (none if empty), and by how many
    seconds its wall clock is ahead."""

    role: str
    point: str = ""
    nth: int = 1
    ahead: float = 0.0


class Point:
    """What the flows tell each named point to; at the one ordered, at the right count, nothing comes after."""

    def __init__(self, point: str, nth: int) -> None:
        self._point, self._left = point, nth
        self._counting = threading.Lock()

    def __call__(self, point: str) -> None:
        if point != self._point:
            return
        with self._counting:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()


def watched(gateway: Gateway, order: Order) -> Gateway:
    """The same gateway, its way of a message watched and its clock ahead."""

    def wall() -> datetime:
        return wall_clock() + timedelta(seconds=order.ahead)

    means = gateway.means
    mail = replace(means.mail, reached=Point(order.point, order.nth))
    seen = replace(means, mail=mail, live=Live(means.ledger, wall))
    return replace(gateway, means=seen, site=replace(gateway.site, means=seen))


def work(settings: Settings, sock: socket.socket, order: Order) -> None:
    """One process's life, composed as `switchpoint serve` composes it, until SIGTERM or its point."""
    opened: dict[int, Gateway] = {}

    def as_ordered(gateway: Gateway) -> Gateway:
        return opened.setdefault(id(gateway), watched(gateway, order))

    make, meanwhile = {
        EXCHANGE: (working._exchange_server, working._keep_certificates_fresh),
        DESK: (working._desk_server, working._desk_duties),
    }[order.role]
    working._run(
        settings,
        sock,
        lambda gateway, sock: make(as_ordered(gateway), sock),
        meanwhile=lambda gateway, server: meanwhile(as_ordered(gateway), server),
    )


# --- the nursery itself ----------------------------------------------------------------------------------------------


class Nursery:
    """Forks what is ordered, tells who ended and how; ends all its children when its orders end."""

    def __init__(self, settings: Settings, log: int) -> None:
        self._settings, self._log = settings, log
        self._children: set[int] = set()
        self._sockets = {
            EXCHANGE: _listen(settings.exchange_host, settings.exchange_port),
            DESK: _listen(settings.desk_host, settings.desk_port),
        }

    def run(self) -> None:
        pending = b""
        while True:
            if select.select([0], [], [], 0.01)[0]:
                fresh = os.read(0, 65536)
                if not fresh:
                    break
                *lines, pending = (pending + fresh).split(b"\n")
                for line in lines:
                    self._start(Order(**json.loads(line)))
            self._reap()
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _start(self, order: Order) -> None:
        pid = os.fork()
        if pid == 0:
            self._be_born(order)
        self._children.add(pid)
        _tell({"started": pid})

    def _be_born(self, order: Order) -> None:
        code = 1
        try:
            for standard in (1, 2):
                os.dup2(self._log, standard)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            work(self._settings, self._sockets[order.role], order)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)

    def _reap(self) -> None:
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._children.discard(pid)
                _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(news: dict[str, Any]) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


_READ_ON_DEMAND = (
    "pydantic.v1",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
"""What a process would read when it starts to serve."""


def main(arguments: list[str]) -> None:
    settings = Settings(**json.loads(Path(arguments[0]).read_text("utf-8")))
    log = os.open(arguments[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nursery = Nursery(settings, log)
    for module in _READ_ON_DEMAND:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    _tell({"open": True})
    nursery.run()


if __name__ == "__main__":
    main(sys.argv[1:])
