"""What time is it in a country, and which arrangements are in force? Domain time and regimes, to be set by a test.

Wall time (tokens, certificates) is not touched: domain.md section 4, "Two clocks". Knows the operator's acts only.
"""

from __future__ import annotations

import difflib
from datetime import datetime, timedelta

from gateway.flows.operating import Turn
from gateway.rules import regimes
from gateway.rules.exchange import Regime
from gateway.rules.network import RegimeSwitch
from source_sim.testbed.share import ACTING
from source_sim.testbed.situation import Moment, moment
from source_sim.testbed.transcript import DUTCH_TIME
from source_sim.testbed.world import World


class Clock:
    """Domain time. In process it goes on only while the exchange is at work."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def now(self) -> datetime:
        """Domain time, aware, as a Dutch clock shows it."""
        return self._world.now().astimezone(DUTCH_TIME)

    def to(self, when: Moment) -> None:
        """Set it; a naive time is Dutch time. Backwards, too."""
        self._world.turn(Turn(moment(when, self.now)))

    def forward(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Move it on, without anything becoming due on the way (that is `switchpoint.wait`)."""
        self._world.turn(Turn(forward=timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)))

    def freeze(self) -> None:
        self.speed(0)

    def run(self) -> None:
        self.speed(1)

    def speed(self, factor: float) -> None:
        """How many domain seconds go in a second from here on."""
        self._world.turn(Turn(speed=factor))

    def __repr__(self) -> str:
        return f"Clock({self.now.isoformat()})"


class Regimes:
    """The arrangements beside REGULAR, which is always in force."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def active(self) -> tuple[str, ...]:
        """What is in force now, REGULAR included, by name."""
        network = self._world.network()
        found = regimes.active(network.switches, self._world.gateway.means.live.domain(network))
        return tuple(sorted(one.value for one in found))

    def on(self, name: str, until: Moment | None = None, *, reason: str = "a test") -> None:
        """Switch a regime on from now, to end by itself at `until`. Raises ValueError for a name that is none."""
        self._switch(name, True, until, reason)

    def off(self, name: str, *, reason: str = "a test") -> None:
        """The stop button: from this moment it is over."""
        self._switch(name, False, None, reason)

    def _switch(self, name: str, on: bool, until: Moment | None, reason: str) -> None:
        now = self._world.now()
        end = moment(until, now) if until is not None else None
        switch = RegimeSwitch(_regime(name), on, now, ACTING, reason, end)
        self._world.run(self._world.switched(switch))


def _regime(name: str) -> Regime:
    known = [one.value for one in Regime if one is not Regime.REGULAR]
    if name not in known:
        near = difflib.get_close_matches(name.upper(), known, 1)
        raise ValueError(f"{name!r} is no regime that can be switched; {'did you mean ' + near[0] if near else known}")
    return Regime(name)
