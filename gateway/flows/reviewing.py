"""Was it right to disclose without a choice on record? Cases out of the journal, a reviewer's verdicts, what is late.

Cases are taken from the journal when somebody looks, from where the last look ended. A verdict is in the journal with
the patient, who sees that her case was reviewed; the note stays with the reviewers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.flows.finding import find
from gateway.flows.means import Means
from gateway.rules.finding import Search
from gateway.rules.journal import Event, Json, Line
from gateway.rules.reviewing import DUE_IN, LONGEST_NOTE, REVIEWED, Case, Judgement, Verdict
from gateway.stores import journal, reviews
from gateway.stores.journal import Kept
from gateway.stores.ledger import Transaction
from gateway.stores.reviews import Waiting

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Shown:
    """A case as a reviewer sees it; `kept` is the disclosure's line, None where it went to an archive. `overdue`: its
    time is up."""

    case: Case
    kept: Kept | None
    overdue: bool
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, slots=True)
class Queue:
    """One page of cases. `next` is what the next page begins after; None: this is the last."""

    waiting: Waiting
    cases: tuple[Shown, ...]
    next: int | None


class NoVerdict(ValueError):
    """Anything but `in order` needs a note that says what is asked, or what is wrong."""


async def queue(means: Means, *, closed: bool = False, after: int = 0, limit: int = 50) -> Queue:
    """The open cases, oldest first; or the closed ones, newest first. Raises LedgerUnavailable."""
    await collect(means)
    now = means.live.domain(await means.live.network())

    def look(tx: Transaction) -> Queue:
        cases = reviews.listing(tx, closed=closed, after=after, limit=limit)
        return Queue(
            reviews.waiting(tx, now - DUE_IN),
            tuple(_shown(tx, case, now) for case in cases),
            cases[-1].line if len(cases) == limit else None,
        )

    return await means.ledger.read(look)


async def case(means: Means, line: int) -> Shown | None:
    """One case with every verdict on it. Raises LedgerUnavailable."""
    now = means.live.domain(await means.live.network())

    def look(tx: Transaction) -> Shown | None:
        found = reviews.find(tx, line)
        return None if found is None else _shown(tx, found, now)

    return await means.ledger.read(look)


async def judge(means: Means, line: int, verdict: Verdict, note: str, *, by: str) -> Case | None:
    """Add a verdict to a case; None: there is no such case. Raises NoVerdict, LedgerUnavailable."""
    note = note.strip()[:LONGEST_NOTE]
    if verdict is not Verdict.IN_ORDER and not note:
        raise NoVerdict("a note is needed")
    at, wall = means.live.domain(await means.live.network()), means.live.wall()

    def unit(tx: Transaction) -> Case | None:
        found = reviews.find(tx, line)
        if found is None:
            return None
        reviews.judge(tx, line, Judgement(verdict, note, by, wall))
        _note(tx, _line(tx, line), line, verdict, by, at, wall)
        return reviews.find(tx, line)

    return await means.ledger.commit(unit)


async def overdue(means: Means) -> int:
    """How many cases wait for longer than they may. Raises LedgerUnavailable."""
    await collect(means)
    before = means.live.domain(await means.live.network()) - DUE_IN
    return (await means.ledger.read(lambda tx: reviews.waiting(tx, before))).overdue


# --- from the journal ------------------------------------------------------------------------------------------------


async def collect(means: Means) -> int:
    """Make cases of what was disclosed since the last look; returns how many are new. Whoever does it at the same time
    finds the same. Raises LedgerUnavailable."""
    mark, newest = await means.ledger.read(lambda tx: (reviews.mark(tx), journal.last(tx)))
    if newest <= mark:
        return 0
    fresh = sum([await _collect(means, basis, mark, newest) for basis in REVIEWED])
    await means.ledger.commit(lambda tx: reviews.set_mark(tx, newest))
    return fresh


async def _collect(means: Means, basis: str, mark: int, newest: int) -> int:
    """Newest first down to the mark; the mark moves only when all of it was taken in."""
    search, fresh = Search(event=Event.DISCLOSED, basis=basis), 0
    before: int | None = newest + 1
    while before is not None and before > mark + 1:
        page = await find(means, search, before=before, limit=_PAGE)
        lines = [kept for kept in page.lines if kept.seq > mark]
        if lines:
            fresh += await means.ledger.commit(lambda tx, lines=lines: reviews.take_in(tx, lines))  # type: ignore[misc]
        if len(lines) < len(page.lines):
            break
        before = page.before
    return fresh


def _shown(tx: Transaction, case: Case, now: datetime) -> Shown:
    return Shown(case, _line(tx, case.line), case.is_overdue(now), tuple(reviews.judgements(tx, case.line)))


def _line(tx: Transaction, line: int) -> Kept | None:
    """The disclosure itself; an archive may have it now."""
    return next((kept for kept in journal.newest_first(tx, line, 1) if kept.seq == line), None)


def _note(
    tx: Transaction, kept: Kept | None, number: int, verdict: Verdict, by: str, at: datetime, wall: datetime
) -> None:
    """The verdict, not the note; under the patient's key, so that she sees it."""
    fields: dict[str, Json] = {"by": by, "verdict": verdict, "disclosure": number}
    patient = kept.line.patient if kept else None
    aorta = kept.line.aorta if kept else None
    journal.append(tx, Line(Event.DISCLOSURE_REVIEWED, at=at, wall=wall, aorta=aorta, patient=patient, fields=fields))
