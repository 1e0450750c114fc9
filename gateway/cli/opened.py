"""How does a command work on a running simulation's ledger? Opened beside it; the ledger is one serial history."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.cli.place import Misuse, Place
from gateway.flows.means import Means
from gateway.settings import Settings

T = TypeVar("T")


def settings_of(place: Place) -> Settings:
    """The settings the running simulation was started with, as its running.json tells."""
    return Settings(**place.told["settings"])


def with_means(place: Place, act: Callable[[Means], Awaitable[T]]) -> T:
    """Run `act` on the simulation's stores. Raises Misuse when they cannot be used now."""
    from gateway.stores.index import IndexUnavailable
    from gateway.stores.ledger import LedgerUnavailable

    try:
        return asyncio.run(with_means_async(settings_of(place), act))
    except (LedgerUnavailable, IndexUnavailable) as wrong:
        raise Misuse(f"the simulation's stores cannot be used now: {wrong}") from wrong
    except OSError as wrong:
        raise Misuse(f"cannot open the simulation: {wrong}") from wrong


async def with_means_async(settings: Settings, act: Callable[[Means], Awaitable[T]]) -> T:
    """The same inside a running event loop. Raises LedgerUnavailable, IndexUnavailable, OSError."""
    from gateway.app import open_gateway

    gateway = await open_gateway(settings)
    try:
        return await act(gateway.means)
    finally:
        await gateway.close()
