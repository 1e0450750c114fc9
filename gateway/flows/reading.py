"""Who reads the journal? Reading the log is itself logged (NEN 7513); a custodian reads what concerns its own data, a
patient what concerns her.

A long answer goes on page by page. Where a page begins travels, sealed, in its link: nothing is kept in between, the
pages do not shift while lines are added, and a link is of no use to anybody but the reader and for the patient it was
made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.flows.means import Call, Live, Means, who
from gateway.rules.exchange import AortaId, PatientKey, Requester
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event, Json, Line
from gateway.rules.people import PatientSits
from gateway.stores import journal, patient_lines
from gateway.stores.journal import Kept
from gateway.stores.ledger import Ledger, Transaction
from gateway.stores.schema import instant, moment

MOST = 200
"""Lines a page has at most."""


@dataclass(frozen=True, slots=True)
class Extract:
    """One page of lines, newest first; `total` of all pages as the first one counted them; `next_page` its link's id,
    None when nothing follows."""

    lines: tuple[Kept, ...]
    total: int
    next_page: str | None


@dataclass(frozen=True, slots=True)
class _Window:
    """What was asked for, and how far it was answered: domain time in [since, until), `count` lines a page, `total`
    counted for the first page, lines numbered below `before`."""

    since: datetime | None
    until: datetime | None
    count: int
    total: int = 0
    before: int | None = None


async def note_reading(
    means: Means,
    reader: str,
    patient: PatientKey | None,
    shown: int,
    *,
    requester: Requester | None = None,
    aorta: AortaId | None = None,
) -> None:
    """Write that somebody read the journal. Raises LedgerUnavailable."""
    network = await means.live.network()
    fields: dict[str, Json] = {**(who(requester) if requester else {}), "reader": reader, "shown": shown}
    line = Line(
        Event.JOURNAL_READ,
        at=means.live.domain(network),
        wall=means.live.wall(),
        aorta=aorta,
        patient=patient,
        custodian=requester.ura if requester else None,
        requester=requester.ura if requester else None,
        fields=fields,
    )
    await means.ledger.commit(lambda tx: journal.append(tx, line))


async def read_as_custodian(
    means: Means, call: Call, patient: Bsn, since: datetime | None, until: datetime | None, count: int
) -> Extract:
    """The newest `count` (at most MOST) lines about this custodian's own data on a patient; the reading is journaled
    before they are given. Raises LedgerUnavailable."""
    return await _read(means, call, patient, _Window(since, until, min(count, MOST)))


async def read_on_as_custodian(means: Means, call: Call, patient: Bsn, page: str) -> Extract | None:
    """The page with this id; None when it is not one of this custodian's about this patient. Raises
    LedgerUnavailable."""
    requester = call.party(await means.live.network())
    where = means.keys.open_page_id(page, requester.ura, means.keys.patient(patient))
    return None if where is None else await _read(means, call, patient, _unpacked(where))


async def _read(means: Means, call: Call, patient: Bsn, window: _Window) -> Extract:
    requester = call.party(await means.live.network())
    key = means.keys.patient(patient)

    def look(tx: Transaction) -> tuple[list[Kept], int]:
        found = journal.of_custodian(
            tx, requester.ura, key, window.since, window.until, window.count + 1, before=window.before
        )
        if window.before is not None:
            return found, window.total
        return found, journal.count_of_custodian(tx, requester.ura, key, window.since, window.until)

    found, total = await means.ledger.read(look)
    lines = tuple(found[: window.count])
    await note_reading(means, requester.ura.digits, key, len(lines), requester=requester, aorta=call.aorta)
    if len(found) <= window.count:
        return Extract(lines, total, None)
    where = _packed(_Window(window.since, window.until, window.count, total, lines[-1].seq))
    return Extract(lines, total, means.keys.page_id(requester.ura, key, where))


async def read_as_patient(
    means: Means,
    sitter: PatientSits,
    since: datetime | None,
    until: datetime | None,
    count: int,
    before: int | None = None,
) -> Extract:
    """The newest `count` (at most MOST) lines about the patient below number `before`, every event included, with
    domain time in [since, until); the next page's id is the number it begins below. The reading is journaled before
    they are given. Raises LedgerUnavailable."""
    key, most = means.keys.patient(sitter.bsn), min(count, MOST)

    def look(tx: Transaction) -> tuple[list[Kept], int]:
        found = patient_lines.newest(tx, key, tuple(Event), since=since, until=until, before=before, limit=most + 1)
        return found, journal.count_of_patient(tx, key, since, until)

    found, total = await means.ledger.read(look)
    lines = tuple(found[:most])
    await note_reading(means, sitter.party, key, len(lines))
    return Extract(lines, total, str(lines[-1].seq) if len(found) > most else None)


# --- where a page begins ---------------------------------------------------------------------------------------------

_OPEN = -(2**63)
"""Stands for a window's end that was left open: no moment is so long ago."""


def _packed(window: _Window) -> bytes:
    assert window.before is not None, "only a page that follows another is packed"
    ends = (_OPEN if end is None else instant(end) for end in (window.since, window.until))
    return b"".join(
        (
            window.before.to_bytes(6, "big"),
            *(end.to_bytes(8, "big", signed=True) for end in ends),
            window.count.to_bytes(1, "big"),
            window.total.to_bytes(6, "big"),
        )
    )


def _unpacked(where: bytes) -> _Window:
    since, until = (int.from_bytes(where[at : at + 8], "big", signed=True) for at in (6, 14))
    return _Window(
        None if since == _OPEN else moment(since),
        None if until == _OPEN else moment(until),
        count=where[22],
        total=int.from_bytes(where[23:29], "big"),
        before=int.from_bytes(where[:6], "big"),
    )


async def note_keeping(ledger: Ledger, live: Live, act: str, what: str, *, by: str) -> None:
    """Write that an operator exported or archived the journal, or turned its key. Wants no more than the ledger: it
    must be possible where nothing else of the exchange is left. Raises LedgerUnavailable."""
    network = await live.network()
    fields: dict[str, Json] = {"act": act, "by": by, "what": what}
    line = Line(Event.JOURNAL_KEPT, at=live.domain(network), wall=live.wall(), fields=fields)
    await ledger.commit(lambda tx: journal.append(tx, line))
