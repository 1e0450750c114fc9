"""Who reads the journal? Reading the log is itself logged (NEN 7513); a custodian reads what concerns its own data."""

from __future__ import annotations

from datetime import datetime

from gateway.flows.means import Call, Means, who
from gateway.rules.exchange import AortaId, PatientKey, Requester
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event, Json, Line
from gateway.stores import journal
from gateway.stores.journal import Kept


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
) -> list[Kept]:
    """The newest `count` lines about this custodian's own data on a patient, newest first; the reading is journaled
    before they are given. Raises LedgerUnavailable."""
    requester = call.party(await means.live.network())
    key = means.keys.patient(patient)
    found = await means.ledger.read(lambda tx: journal.of_custodian(tx, requester.ura, key, since, until, count))
    await note_reading(means, requester.ura.digits, key, len(found), requester=requester, aorta=call.aorta)
    return found
