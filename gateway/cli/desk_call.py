"""How does a command steer a running simulation? By calls of the desk's `/sim`."""

from __future__ import annotations

from typing import Any

import httpx

from gateway.cli.place import Misuse, Place


def steer(place: Place, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the desk answers. Raises Misuse where it does not, or says that it cannot."""
    try:
        answer = httpx.request(method, place.desk + path, json=body, timeout=10, trust_env=False)
        said = answer.json()
    except (httpx.HTTPError, ValueError) as wrong:
        raise Misuse("the simulation does not answer; is it still running?") from wrong
    if not isinstance(said, dict):
        raise Misuse("the desk's answer cannot be read")
    if answer.status_code >= 400:
        raise Misuse(str(said.get("error", f"the desk answers {answer.status_code}")))
    return said
