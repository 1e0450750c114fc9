"""Is a port that was found free still free a moment later, whoever calls out meanwhile?"""

from __future__ import annotations

import socket
from pathlib import Path

from gateway.cli.ports import free_port


def test_the_one_wanted_is_given_unless_somebody_listens_there() -> None:
    wanted = free_port()
    assert free_port(wanted) == wanted
    with socket.create_server(("127.0.0.1", wanted)):
        assert free_port(wanted) != wanted


def test_the_kernel_gives_none_of_them_away_and_nor_do_we_twice() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    found = [free_port() for _ in range(50)]
    assert len(set(found)) == 50
    assert not [port for port in found if first <= port <= last]
