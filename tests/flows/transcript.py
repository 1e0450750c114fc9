"""How does a journal read as a story? One short string per line, so that a test asserts it line by line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flow_country import Country

from gateway.rules.journal import Event, Line


async def transcript(country: Country, after: int = 0) -> list[str]:
    """The journal since number `after`, told."""
    return [told(kept.line) for kept in await country.lines() if kept.seq > after]


def told(line: Line) -> str:
    fields = dict(line.fields)
    teller = _TELLERS.get(line.event)
    said = teller(line, fields) if teller else " ".join(str(fields[name]) for name in _PLAIN if name in fields)
    return f"{line.event} {said}".rstrip()


_PLAIN = ("category", "say", "reason", "latent", "created", "why", "regime", "on", "serial", "shown", "error", "reader")


def _decisions(line: Line, fields: dict[str, Any]) -> str:
    each = [
        f"{one['custodian']} {one.get('row', '')}{one.get('reason', '')} {one.get('basis', '')}".strip()
        for one in fields["decisions"]
    ]
    return f"{fields['category']}: " + ("; ".join(each) or "nothing")


def _disclosed(line: Line, fields: dict[str, Any]) -> str:
    view = fields["view"] or "whole"
    return f"{line.custodian} {fields['row']} {view} {fields['basis']} x{fields['resources']}"


def _answered(line: Line, fields: dict[str, Any]) -> str:
    legs = [f"{leg['custodian']} {leg['outcome']}" for leg in fields.get("legs", [])]
    words = [str(fields.get("completeness", fields.get("reason"))), *legs, *fields.get("flags", [])]
    words += [f"dropped {custodian}" for custodian in fields.get("dropped", [])]
    return ", ".join(words)


def _message(*more: str) -> Callable[[Line, dict[str, Any]], str]:
    """The kind of message and whom it is for, then these fields."""

    def tell(line: Line, fields: dict[str, Any]) -> str:
        to = f" for {fields['recipient']}" if "recipient" in fields else ""
        said = " ".join(str(fields[name]) for name in more if fields.get(name))
        return f"{fields['message_event']}{to} {said}".rstrip()

    return tell


def _postponed(line: Line, fields: dict[str, Any]) -> str:
    wait = (datetime.fromisoformat(fields["due"]) - line.at).total_seconds()
    return f"{_message('outcome')(line, fields)} #{fields['attempt']} +{wait:g}s"


_TELLERS = {
    Event.MESSAGE_ACCEPTED: _message("row"),
    Event.MESSAGE_REFUSED: _message("reason"),
    Event.MESSAGE_POSTPONED: _postponed,
    Event.MESSAGE_DELIVERED: lambda line, fields: f"{_message('row')(line, fields)} #{fields['attempt']}",
    Event.MESSAGE_PARKED: _message("reason", "by"),
    Event.MESSAGE_FAILED: _message("outcome", "reason"),
    Event.MESSAGE_RESUMED: _message("why", "by"),
    Event.DELIVERY_SWITCHED: lambda line, fields: (
        f"{fields['recipient'] or 'all'} {fields['on']} {fields['spread_s']:g}s"
    ),
    Event.GP_OF_RECORD_CHANGED: lambda line, fields: f"{fields['why']} {fields['former']}>{fields['current']}",
    Event.ALERT_RAISED: lambda line, fields: f"{fields['alert']} {fields['organisation']} {fields['count']}",
    Event.QUERY_DECIDED: _decisions,
    Event.LOCALISED: lambda line, fields: f"{_decisions(line, fields)} shown {fields['shown']}",
    Event.DISCLOSED: _disclosed,
    Event.QUERY_ANSWERED: _answered,
    Event.QUERY_FAILED: _answered,
    Event.EXPLAINED: lambda line, fields: f"{fields['category']}: {fields['outcome']} {fields['reason']}",
}
