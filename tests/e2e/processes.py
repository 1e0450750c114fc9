"""Which processes serve, and which of them holds this connection? Read from /proc, to hit exactly one with a signal."""

from __future__ import annotations

import os
import re
from pathlib import Path


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listed in tasks for child in listed.read_text().split()]


def workers_of(supervisor: int) -> set[int]:
    """The supervisor's exchange workers (not its desk)."""
    return {child for child in children_of(supervisor) if name_of(child) == "sp-exchange"}


def name_of(pid: int) -> str:
    """As `ps` lists it; nothing when the process is gone, whether or not its parent has looked already."""
    try:
        told = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return ""
    return "" if re.search(r"^State:\s+[ZX]", told, re.M) else re.findall(r"^Name:\s+(.+)$", told, re.M)[0]


def holder_of(client_port: int, server_port: int, candidates: set[int]) -> int | None:
    """The pid among `candidates` that holds the server's end of this loopback connection."""
    wanted = f":{server_port:04X} 0100007F:{client_port:04X} 01 "
    found = [line for line in Path("/proc/net/tcp").read_text().splitlines() if wanted in line]
    inode = re.split(r"\s+", found[0].strip())[9] if found else None
    return next((pid for pid in candidates if f"socket:[{inode}]" in _sockets(pid)), None)


def _sockets(pid: int) -> set[str]:
    held = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(os.readlink(descriptor))
        except OSError:
            continue
    return held


def resident_bytes(pid: int) -> int:
    """Memory of a process that is really there."""
    return int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) * 1024
