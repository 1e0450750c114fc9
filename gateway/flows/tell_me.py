"""How does a patient hear that something happened? Simulated mail, written from the journal for who wished it.

A mail tells that there is something to see and of what kind, and names only the last three digits of the number: who
it was and what about stands on the page behind the login. One process writes it, after the fact: no call waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from gateway.flows.means import Means
from gateway.flows.patient_items import SUBJECTS, Subject, is_afterwards
from gateway.rules.choice import Party
from gateway.rules.journal import Event
from gateway.rules.people import PatientSits
from gateway.stores import journal, tell_me
from gateway.stores.journal import Kept
from gateway.stores.ledger import Ledger, LedgerUnavailable, Transaction
from gateway.stores.tell_me import Mail, Wish

TOLD_OF = (Subject.ASKED, Subject.MESSAGE, Subject.CHOICE, Subject.ENTRY, Subject.LOG)
"""What one can wish to be told of."""
_MAILS = 50
_BATCH = 1000
_ROUND_SECONDS = 1.0
_VISITS = frozenset({Event.PATIENT_LOGGED_IN, Event.PATIENT_LOGGED_OUT})

_log = logging.getLogger("switchpoint.tell-me")


async def wish_for(means: Means, sitter: PatientSits, subjects: Collection[Subject]) -> None:
    """What to be told of from here on; nothing ends it. Raises LedgerUnavailable."""
    patient, digits = means.keys.patient(sitter.bsn), sitter.bsn.digits[-3:]
    await means.ledger.commit(lambda tx: tell_me.set_wish(tx, patient, digits, subjects))


async def told(means: Means, sitter: PatientSits) -> tuple[Wish | None, list[Mail]]:
    """What she wished, and the newest simulated mails. Raises LedgerUnavailable."""
    patient = means.keys.patient(sitter.bsn)
    return await means.ledger.read(lambda tx: (tell_me.wish(tx, patient), tell_me.mails(tx, patient, _MAILS)))


async def keep_telling(ledger: Ledger) -> None:
    """Write mail as lines come in, until cancelled."""
    while True:
        try:
            while await tell(ledger):
                pass
        except LedgerUnavailable:
            _log.warning("mail-postponed")
        await asyncio.sleep(_ROUND_SECONDS)


async def tell(ledger: Ledger) -> bool:
    """Write mail about the next lines; False when all lines were looked at. Raises LedgerUnavailable."""
    after, until, due = await ledger.read(_due)
    # what nobody wished for is noted now and then only: looking at it again costs less than a write
    if due or until - after >= _BATCH:
        await ledger.commit(lambda tx: _post(tx, due, until))
    return until - after >= _BATCH


def _due(reader: Transaction) -> tuple[int, int, list[tuple[Kept, Mail]]]:
    after = tell_me.through(reader)
    until = min(journal.last(reader), after + _BATCH)
    return (
        after,
        until,
        [(kept, mail) for kept, wish in tell_me.wished_for(reader, after, until) for mail in _mail(reader, kept, wish)],
    )


def _mail(reader: Transaction, kept: Kept, wish: Wish) -> list[Mail]:
    subject = SUBJECTS.get(kept.line.event)
    if subject is None or subject not in wish.subjects or _is_visit(kept) or is_afterwards(reader, kept):
        return []
    return [Mail(kept.seq, wish.digits, subject, kept.line.at)]


def _is_visit(kept: Kept) -> bool:
    """Whether this is only the patient's page being opened."""
    return kept.line.event in _VISITS or kept.line.fields.get("reader") in {*Party}


def _post(tx: Transaction, due: Collection[tuple[Kept, Mail]], until: int) -> None:
    for kept, mail in due:
        assert kept.line.patient is not None, "found by its patient"
        tell_me.post(tx, kept.line.patient, mail)
    tell_me.reach(tx, until)
