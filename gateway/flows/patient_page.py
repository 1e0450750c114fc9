"""Who looked? A patient's own part of the journal, page by page, newest first, refused and failed attempts included.

Reading is itself journaled, before anything is shown; every item shown is held against the seal. Source: domain.md
section 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.flows.means import Means
from gateway.flows.patient_items import SUBJECTS, Item, Subject, item_of
from gateway.flows.reading import note_reading
from gateway.flows.sealed_lines import Seal, held_against_seal
from gateway.rules.exchange import PatientKey
from gateway.rules.network import Network
from gateway.rules.people import PatientSits
from gateway.stores import patient_lines
from gateway.stores.ledger import Transaction

PAGE = 25
"""Items on a page."""
_MOST_READ = 1000
"""Lines one page may read; then it ends early and goes on with the next."""
_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: a subject (None: everything but the technical), days [since, until] in Dutch time, and from
    which line on."""

    subject: Subject | None = None
    since: date | None = None
    until: date | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Items newest first; `before` is where the next page begins, None when there is nothing older."""

    items: tuple[Item, ...]
    before: int | None
    seal: Seal


async def who_looked(means: Means, sitter: PatientSits, wanted: Wanted, *, count: int = PAGE) -> Page:
    """One page of the patient's own log. The reading is journaled first. Raises LedgerUnavailable."""
    network, patient = await means.live.network(), means.keys.patient(sitter.bsn)
    page = await means.ledger.read(lambda tx: _page(tx, network, sitter, patient, wanted, count))
    await note_reading(means, sitter.party, patient, len(page.items))
    return page


def _page(
    reader: Transaction, network: Network, sitter: PatientSits, patient: PatientKey, wanted: Wanted, count: int
) -> Page:
    events = [event for event, subject in SUBJECTS.items() if _fits(subject, wanted.subject)]
    since, until = _begin(wanted.since), _begin(wanted.until and wanted.until + timedelta(days=1))
    lines = patient_lines.newest(
        reader, patient, events, since=since, until=until, before=wanted.before, limit=_MOST_READ
    )
    items: list[Item] = []
    last = None
    for kept in lines:
        item = item_of(reader, network, sitter.party, kept)
        if item is None:
            pass
        elif items and item.own and items[-1].own:
            items[-1] = _folded(items[-1], item)
        elif len(items) == count:
            return Page(tuple(items), last, _seal(reader, items))
        else:
            items.append(item)
        last = kept.seq
    return Page(tuple(items), last if len(lines) == _MOST_READ else None, _seal(reader, items))


def _folded(newer: Item, older: Item) -> Item:
    """Two of one's own visits, one after the other, as one item."""
    return replace(newer, times=newer.times + 1, later=(*newer.later, older.seq))


def _fits(subject: Subject, wanted: Subject | None) -> bool:
    return subject is wanted or (wanted is None and subject is not Subject.TECHNICAL)


def _begin(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), _DUTCH_TIME)


def _seal(reader: Transaction, items: Sequence[Item]) -> Seal:
    """Every line the items were put together from, held against the newest checkpoint."""
    return held_against_seal(reader, [seq for item in items for seq in (item.seq, *item.later)])
