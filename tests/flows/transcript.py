"""How does a journal read as a story? One short string per line, so that a test asserts it line by line."""

from __future__ import annotations

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


_TELLERS = {
    Event.QUERY_DECIDED: _decisions,
    Event.LOCALISED: lambda line, fields: f"{_decisions(line, fields)} shown {fields['shown']}",
    Event.DISCLOSED: _disclosed,
    Event.QUERY_ANSWERED: _answered,
    Event.QUERY_FAILED: _answered,
    Event.EXPLAINED: lambda line, fields: f"{fields['category']}: {fields['outcome']} {fields['reason']}",
}
