"""How long is that? Times between two moments in words a person would use.

Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from source_sim.testbed.transcript import DUTCH_TIME

_HALF_A_DAY = timedelta(hours=12)
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def length(time: timedelta) -> str:
    """`3 days`, `2 hours 5 minutes`, `40 seconds`: at most two units."""
    left, said = abs(round(time.total_seconds())), list[str]()
    for name, seconds in _UNITS:
        number, left = divmod(left, seconds)
        if number:
            said.append(f"{number} {name}{'s' if number > 1 else ''}")
    return " ".join(said[:2]) or "a moment"


def ago(then: datetime, now: datetime) -> str:
    """`yesterday 23:59`, `5 minutes before`, `in 3 days`, as seen from `now`."""
    local, today = then.astimezone(DUTCH_TIME), now.astimezone(DUTCH_TIME)
    if then > now:
        return f"in {length(then - now)}"
    if (today.date() - local.date()).days == 1 and now - then >= _HALF_A_DAY:
        return f"yesterday {local:%H:%M}"
    return f"{length(now - then)} before" if then < now else "at that moment"
