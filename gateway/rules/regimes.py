"""Which arrangement is in force at this moment of domain time? Regimes are data; REGULAR never ends.

Source: domain.md section 4. Knows no clock: the moment is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gateway.rules.exchange import Regime
from gateway.rules.network import RegimeSwitch


def active(switches: Iterable[RegimeSwitch], at: datetime) -> frozenset[Regime]:
    """The regimes in force at `at`. Per regime the newest switch that has happened by then decides; at one moment
    the later record wins, so a stop acknowledged after a start in the same second stops."""
    newest: dict[Regime, RegimeSwitch] = {}
    for switch in switches:
        known = newest.get(switch.regime)
        if switch.at <= at and (known is None or switch.at >= known.at):
            newest[switch.regime] = switch
    lasting = {s.regime for s in newest.values() if s.on and (s.until is None or at < s.until)}
    return frozenset(lasting | {Regime.REGULAR})
