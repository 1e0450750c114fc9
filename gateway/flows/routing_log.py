"""What does the routing log show of one journal line? What an operator may see, as it stands in a row; never a patient.

Also finds pages of it, and follows it live. Which lines a filter means is `rules/finding.py`'s matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.flows.means import Means
from gateway.flows.viewing import Lookout
from gateway.rules.exchange import Kind
from gateway.rules.finding import Outcome, Search, kind_of, matches, outcome_of
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Audience, Event, Json, Line, view
from gateway.stores import finding, journal
from gateway.stores.finding import Page
from gateway.stores.transaction import Transaction

ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Part:
    """One source in a line: whose, what came of it. `outcome` is `answered`, how it failed, `permitted` or `closed`."""

    custodian: str
    outcome: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One row. `at` is domain time; `chain` the initialRequestID; `rules` the rows' ids, `reasons` bars and the like;
    `by` an operator or a party where no organisation acted; `ms` how long it took."""

    seq: int
    at: datetime
    event: Event
    chain: str | None
    organisation: str
    organisation_name: str
    kind: Kind | None
    category: str
    outcome: Outcome | None
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    parts: tuple[Part, ...]
    by: str
    ms: float | None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Rows newest first. `before` begins the next page, None when nothing is older; `newest` is the journal's last
    number when it was read, from where a live view goes on. A page may be short and yet go on."""

    lines: tuple[LogLine, ...]
    before: int | None
    newest: int


async def page(means: Means, search: Search, *, before: int | None, limit: int) -> LogPage:
    """One page of the log. Raises LedgerUnavailable."""

    def unit(reader: Transaction) -> tuple[Page, int]:
        return finding.page(reader, search, before=before, limit=limit), journal.last(reader)

    found, newest = await means.ledger.read(unit)
    return LogPage(tuple(told(one.seq, one.line) for one in found.lines), found.before, newest)


async def follow(lookout: Lookout, search: Search, after: int, *, patience: float) -> tuple[list[LogLine], int]:
    """The rows that match among the next lines after number `after`, and how far was looked: begin there next time.
    Waits up to `patience` seconds for new ones. Raises LedgerUnavailable."""
    lines = await lookout.news(after, patience=patience)
    shown = [told(kept.seq, kept.line) for kept in lines if matches(search, kept.line)]
    return shown, lines[-1].seq if lines else after


def told(seq: int, line: Line) -> LogLine:
    """The row of a line, from what an operator may see of it."""
    seen = view(line, Audience.OPERATOR)
    ms = seen.get("ms")
    return LogLine(
        seq=seq,
        at=line.at,
        event=line.event,
        chain=line.aorta.initial if line.aorta else None,
        organisation=_text(seen, "organisation"),
        organisation_name=_text(seen, "organisation_name"),
        kind=kind_of(line),
        category=_text(seen, "category"),
        outcome=outcome_of(line),
        rules=_several(seen, "row"),
        reasons=_several(seen, "reason"),
        parts=_parts(line, seen),
        by=_text(seen, "by") or _text(seen, "account") or _text(seen, "reader"),
        ms=ms if isinstance(ms, int | float) else None,
    )


def ura_named(organisations: Mapping[Ura, str], text: str) -> Ura | None:
    """The organisation somebody means by a URA or by part of a name; None unless it is exactly one."""
    wanted = text.strip().casefold()
    if wanted.isascii() and wanted.isdigit() and len(wanted) <= 8:
        return Ura(wanted.zfill(8))
    found = [ura for ura, name in organisations.items() if wanted in name.casefold()]
    return found[0] if len(found) == 1 else None


def _parts(line: Line, seen: Mapping[str, Json]) -> tuple[Part, ...]:
    told = [*_items(seen, "legs"), *_items(seen, "decisions")]
    if told:
        return tuple(Part(_text(one, "custodian"), _text(one, "outcome")) for one in told)
    other = line.custodian.digits if line.custodian else _text(seen, "recipient")
    return (Part(other, _text(seen, "outcome")),) if other and other != _text(seen, "organisation") else ()


def _several(seen: Mapping[str, Json], name: str) -> tuple[str, ...]:
    """What the line itself says, and what its decisions say, each once."""
    values = (_text(one, name) for one in (seen, *_items(seen, "decisions")))
    return tuple(dict.fromkeys(value for value in values if value))


def _items(seen: Mapping[str, Json], name: str) -> list[dict[str, Json]]:
    found = seen.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(seen: Mapping[str, Json], name: str) -> str:
    value = seen.get(name)
    return value if isinstance(value, str) else ""
