"""Where is the running simulation? The nearest `.switchpoint/running.json` upward, or the one named by `--running`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = ".switchpoint"


class Misuse(Exception):
    """What the user asked cannot be done; one line for the terminal, exit code 2."""


@dataclass(frozen=True, slots=True)
class Place:
    """A simulation's addresses and folders, as its running.json tells."""

    path: Path
    told: dict[str, Any]

    @property
    def state(self) -> Path:
        return Path(self.told["state"])

    @property
    def pki(self) -> Path:
        return Path(self.told["pki"])

    @property
    def exchange(self) -> str:
        return str(self.told["exchange"])

    @property
    def desk(self) -> str:
        return str(self.told["desk"])

    @property
    def token_endpoint(self) -> str:
        return str(self.told["token_endpoint"])


def find(running: Path | None) -> Place:
    """The simulation's place. Raises Misuse."""
    path = running or nearest()
    if path is None:
        raise Misuse("no running simulation found (start one with `make demo`, or name one with --running)")
    if path.is_dir():
        path = path / "running.json"
    try:
        return Place(path.absolute(), json.loads(path.read_text("utf-8")))
    except OSError as wrong:
        raise Misuse(f"cannot read {path}: {wrong.strerror}") from wrong
    except ValueError as wrong:
        raise Misuse(f"{path} is not JSON") from wrong


def nearest() -> Path | None:
    """The nearest running.json from here upward; None when there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        candidate = folder / FOLDER / "running.json"
        if candidate.exists():
            return candidate
    return None
