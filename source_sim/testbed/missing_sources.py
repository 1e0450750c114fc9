"""Why did a source not deliver? The fault that is switched on there, and the time it had.

Knows switchboards and outcomes only.
"""

from __future__ import annotations

from typing import Any

from source_sim.testbed.world import World


def of(world: World, case: Any) -> list[str]:
    """One sentence for each source the answer or the journal names as not having delivered."""
    legs = {str(leg["custodian"]): leg for line in case.call for leg in line.fields.get("legs") or ()}
    late = {ura: leg for ura, leg in legs.items() if leg.get("outcome") not in ("answered", "ok", None)}
    named = {one.key: one for one in case.patient.custodians}
    found = []
    for ura, leg in late.items():
        custodian = named.get(world.key_of(ura))
        fault = _fault(custodian)
        ms = float(leg.get("ms") or 0)
        found.append(f"{world.name_of(ura)}: {leg['outcome']} after {ms / 1000:.1f} s{_detail(leg)}{fault}")
    return found


def _detail(leg: dict[str, Any]) -> str:
    return f" ({leg['detail']})" if leg.get("detail") else ""


def _fault(custodian: Any) -> str:
    """What stands in its way by the tester's own hand."""
    if custodian is None or custodian.faults is None:
        return ""
    told = [f"`{one['name']}`{_seconds(one)}" for one in custodian.faults.active]
    return f"; switched on there: {', '.join(told)}" if told else ""


def _seconds(one: Any) -> str:
    return f" ({one['seconds']:g} s)" if one.get("seconds") else ""
