"""Where are a simulation's sources steered, and what do they answer? The way from the desk to their control API.

The address comes from running.json in the state folder, must be this machine's, and no part of a path comes from a
caller but a number of eight digits: whoever calls the desk cannot make it call elsewhere. Redirects are not followed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.rules.network import Network
from gateway.web.loopback import is_loopback

_PATIENCE: Final = 5.0
_UNSAID: Final = 503
NOT_STEERED: Final = "no simulated sources are steered from here"


@dataclass(frozen=True, slots=True)
class Said:
    """What the sources' process answered; 503 with an `error` when there is none to be reached."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SourcesControl:
    """The control API of the process of sources that was staged with this state folder."""

    state: Path

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Said:
        """One call; never raises for what is out there."""
        address = self._address()
        if address is None:
            return Said(_UNSAID, {"error": NOT_STEERED})
        import httpx  # long to load, and only a simulation's desk calls anybody by it

        try:
            async with httpx.AsyncClient(base_url=address, timeout=_PATIENCE, trust_env=False) as web:
                answer = await web.request(method, path, json=body, params=query or {})
            said = answer.json()
        except (httpx.HTTPError, ValueError):
            return Said(_UNSAID, {"error": "the simulated sources do not answer"})
        return Said(answer.status_code, said) if isinstance(said, dict) else Said(_UNSAID, {"error": NOT_STEERED})

    async def follow(self, network: Network) -> bool:
        """Let the sources' clock go as the exchange's does; whether they were told."""
        anchor = network.clock_anchor
        clock = {
            "wall": anchor.isoformat(),
            "now": (anchor + network.clock_offset).isoformat(),
            "speed": network.clock_speed,
        }
        return (await self.call("PUT", "/clock", clock)).status == 200

    def _address(self) -> str | None:
        try:
            told = json.loads((self.state / "running.json").read_text("utf-8"))
            address = told.get("control") if isinstance(told, dict) else None
            parts = urlsplit(address) if isinstance(address, str) else None
        except (OSError, ValueError):
            return None
        if parts is None or parts.scheme != "http" or not parts.hostname or not is_loopback(parts.hostname):
            return None
        return address
