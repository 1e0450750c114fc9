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
from gateway.flows.proving_journal import Disproved, prove_in
from gateway.flows.reading import note_reading
from gateway.rules.exchange import PatientKey
from gateway.rules.network import Network
from gateway.rules.people import PatientSits
from gateway.stores import checkpoints, patient_lines
from gateway.stores.ledger import Transaction
from gateway.stores.schema import moment

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
class Seal:
    """How far the journal is sealed: `at` None when it is not yet. Of the lines shown `proved` were held against the
    seal just now, `waiting` are too new for it, and `wrong` are not what was sealed."""

    at: datetime | None
    size: int
    proved: int
    waiting: int
    wrong: tuple[int, ...]


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
            items[-1] = replace(items[-1], times=items[-1].times + 1)
        elif len(items) == count:
            return Page(tuple(items), last, _seal(reader, items))
        else:
            items.append(item)
        last = kept.seq
    return Page(tuple(items), last if len(lines) == _MOST_READ else None, _seal(reader, items))


def _fits(subject: Subject, wanted: Subject | None) -> bool:
    return subject is wanted or (wanted is None and subject is not Subject.TECHNICAL)


def _begin(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), _DUTCH_TIME)


# --- the seal --------------------------------------------------------------------------------------------------------


def _seal(reader: Transaction, items: Sequence[Item]) -> Seal:
    """Hold the line every item begins with against the newest checkpoint."""
    size = checkpoints.sealed_size(reader)
    sealed = [item.seq for item in items if item.seq <= size]
    wall, wrong = None, []
    for seq in sealed:
        try:
            wall = prove_in(reader, seq).checkpoint.wall
        except Disproved:
            wrong.append(seq)
    return Seal(
        None if wall is None else moment(wall), size, len(sealed) - len(wrong), len(items) - len(sealed), tuple(wrong)
    )
