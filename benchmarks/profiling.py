"""Where does the time of one query go? The gateway in this process, profiled on its loop, and CPU by thread."""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import ssl
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.app import open_gateway
from gateway.settings import Settings

ROOMS = ("rules", "fhir", "identity", "stores", "sources", "flows", "web")


async def profiled(settings: Settings, certificate: Path, request: bytes, queries: int) -> None:
    """Run `queries` through the ASGI application, one after another, and print the breakdown."""
    gateway = await open_gateway(settings)
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n")
    app = gateway.exchange()
    try:
        await _many(app, der, request, 200)
        before = _threads()
        await _many(app, der, request, queries)
        plain = {name: (seconds - before.get(name, 0.0)) / queries * 1e6 for name, seconds in _threads().items()}
        profile = cProfile.Profile()
        profile.enable()
        await _many(app, der, request, queries)
        profile.disable()
    finally:
        await gateway.close()
    print("\nCPU µs per query by thread, not profiled: " + ", ".join(f"{n} {v:.0f}" for n, v in plain.items() if v > 1))
    _print_rooms(profile, queries)


def _threads() -> dict[str, float]:
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    found: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        name = names.get(int(task.name), "other")
        found[name] = found.get(name, 0.0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return found


async def _many(app: Any, der: bytes, request: bytes, count: int) -> None:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")[1:]
    headers = [(k.strip().lower(), v.strip()) for k, _, v in (line.partition(b":") for line in lines)]
    path = head.split(b" ")[1].decode()
    for _ in range(count):
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers,
                 "extensions": {"switchpoint.certificate": der}}  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any, into: list[Any] = sent) -> None:
            into.append(message)

        await app(scope, receive, send)
        if sent[0]["status"] != 200:
            raise RuntimeError(sent[1]["body"][:300].decode())


def _print_rooms(profile: cProfile.Profile, queries: int) -> None:
    stats: Any = pstats.Stats(profile)
    rooms: Counter[str] = Counter()
    single: list[tuple[float, str]] = []
    for (file, line, name), (_, calls, own, _, _) in stats.stats.items():
        rooms[_room(file)] += own / queries * 1e6
        single.append(
            (own / queries * 1e6, f"{_room(file)}: {Path(file).name}:{line} {name} ({calls / queries:.1f} x)")
        )
    print("loop thread under the profiler, µs per query (the profiler itself inflates small functions):")
    for room, micros in rooms.most_common(12):
        print(f"  {room:<28}{micros:>8.0f}")
    print("dearest functions, own time:")
    for micros, told in sorted(single, reverse=True)[:25]:
        print(f"  {micros:>7.1f}  {told}")


def _room(file: str) -> str:
    parts = Path(file).parts
    if "gateway" in parts:
        return "gateway/" + parts[parts.index("gateway") + 1].removesuffix(".py")
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    return "python" if file.startswith(("~", "<", "/")) else file


def run(settings: Settings, certificate: Path, request: bytes, queries: int = 1000) -> None:
    asyncio.run(profiled(settings, certificate, request, queries))
