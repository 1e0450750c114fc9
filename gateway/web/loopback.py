"""Is this machine talking to itself? By address, and by the name it was called.

A page that rebinds its own name to 127.0.0.1 calls this machine by another name.
"""

from __future__ import annotations

from ipaddress import ip_address

from fastapi import Request


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine by its own word."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def name_of_host(request: Request) -> str:
    """What the caller called us, without the port."""
    name = request.headers.get("host", "").rpartition(":")
    return name[0] if name[1] and name[2].isdigit() else name[2]


def is_stranger(request: Request) -> bool:
    """Whether a request comes from elsewhere, or calls this machine by a name that is not its own."""
    return not (request.client and is_loopback(request.client.host) and is_loopback(name_of_host(request)))
