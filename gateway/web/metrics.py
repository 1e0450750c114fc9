"""How does the mail fare, in numbers a monitoring system reads? Prometheus text, a few lines of our own.

Numbers only: no organisation, no patient, no name. Source: the text exposition format, version 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.flows.outbox_gauges import Gauges

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, int | float]
"""Labels as they are written (empty for none), and the value."""


def exposition(gauges: Gauges) -> str:
    """The numbers of the outbox: accepted is always the sum of the states."""
    states = [(f'{{state="{state.value}"}}', number) for state, number in gauges.of.items()]
    stopped = [('{lane="all"}', int(gauges.all_stopped)), ('{lane="recipient"}', gauges.lanes_stopped)]
    families = (
        ("switchpoint_messages", "gauge", "Messages by state.", states),
        ("switchpoint_messages_accepted_total", "counter", "Messages ever accepted.", [("", gauges.accepted)]),
        ("switchpoint_delivery_stopped", "gauge", "Lanes an operator stopped.", stopped),
        ("switchpoint_oldest_waiting_seconds", "gauge", "Age of the oldest on its way.", [("", gauges.oldest_s)]),
    )
    return "".join(_family(*family) for family in families)


def _family(name: str, kind: str, told: str, samples: Iterable[Sample]) -> str:
    told_of = [f"{name}{labels} {value}" for labels, value in samples]
    return "\n".join((f"# HELP {name} {told}", f"# TYPE {name} {kind}", *told_of, ""))
