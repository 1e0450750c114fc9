"""Which port is free, and stays free until somebody listens there? One the kernel gives to nobody by itself.

Whoever calls out gets a port of the kernel's own range for the time of the call: a port found free there may be taken a
moment later, when the process that is to listen has started. So it is looked for below that range, each process from a
place of its own on.
"""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

_LOWEST, _SPAN = 15_000, 15_000
_KERNELS_OWN = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_BEGIN = 32_768
_turn = itertools.count()


def free_port(wanted: int = 0, host: str = "127.0.0.1") -> int:
    """`wanted` if nobody listens there, else another, never the same twice in a row."""
    if wanted and _is_free(wanted, host):
        return wanted
    if _kernels_begin() < _LOWEST + _SPAN:
        return _any(host)
    tried = (_LOWEST + (os.getpid() * 97 + next(_turn)) % _SPAN for _ in range(_SPAN))
    return next((port for port in tried if _is_free(port, host)), None) or _any(host)


def _is_free(port: int, host: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _any(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _kernels_begin() -> int:
    try:
        return int(_KERNELS_OWN.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_BEGIN
