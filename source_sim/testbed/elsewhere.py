"""What did a system of the running simulation write down and take, as far as it concerns us? As its process tells.

The same two lists as of a system of ours. Knows the control API; changes nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from gateway.web.sim_control import SourcesControl
from source_sim.systems import LogLine
from source_sim.testbed.world import World


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """One such system, by URA. `messages` are the ids of the messages that are ours. Raises LookupError when its
    process does not answer."""

    ura: str
    world: World = field(repr=False)
    messages: Callable[[], Collection[str]] = field(repr=False)

    @property
    def log(self) -> list[LogLine]:
        """What it wrote down of calls for one of us, oldest first."""
        lines = [LogLine(**line) for line in self._told("log")]
        return [line for line in lines if line.requester in self.world.share.organisations]

    @property
    def inbox(self) -> Elsewhere:
        """Its messages: see `listing`."""
        return self

    def listing(self) -> list[dict[str, object]]:
        """What it took of ours, oldest first."""
        ours = self.messages()
        return [message for message in self._told("inbox") if message["id"] in ours]

    def _told(self, what: str) -> list[dict[str, Any]]:
        control = SourcesControl(self.world.gateway.settings.state_dir)
        said = self.world.run(control.call("GET", f"/systems/{self.ura}/{what}"))
        if said.status != 200:
            raise LookupError(f"{self.world.name_of(self.ura)}: {said.body.get('error', said.status)}")
        told: list[dict[str, Any]] = said.body[what]
        return told
