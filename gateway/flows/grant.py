"""Is this assertion used for the first time? Grants and refusals of tokens, written in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.flows.means import Means, who
from gateway.rules.exchange import AortaId, Requester
from gateway.rules.identifiers import Bsn, Ura
from gateway.rules.journal import Event, Json, Line
from gateway.stores import journal, once
from gateway.stores.ledger import Transaction


async def grant_once(
    means: Means, requester: Requester, patient: Bsn | None, aorta: AortaId, *, jti: str, expires: int, certificate: str
) -> bool:
    """Spend the assertion's `jti` and journal the grant, durably; False when it was spent before.
    `expires` in wall seconds. Raises LedgerUnavailable."""
    network = await means.live.network()
    at, wall = means.live.domain(network), means.live.wall()
    fields: dict[str, Json] = {**who(requester), "certificate": certificate}

    def unit(tx: Transaction) -> bool:
        first = once.use_once(tx, requester.application.digits, jti, datetime.fromtimestamp(expires, UTC))
        event = Event.TOKEN_ISSUED if first else Event.TOKEN_REFUSED
        more: dict[str, Json] = {} if first else {"error": "invalid_grant", "why": "the assertion was used before"}
        key = means.keys.patient(patient) if patient else None
        line = Line(event, at, wall, aorta, key, requester=requester.ura, fields={**fields, **more})
        journal.append(tx, line)
        return first

    return await means.ledger.commit(unit, brief=True)


async def note_refusal(
    means: Means, ura: Ura | None, aorta: AortaId, event: Event, fields: Mapping[str, Json], patient: Bsn | None = None
) -> None:
    """Journal a call that was refused before any rule was asked. Raises LedgerUnavailable."""
    network = await means.live.network()
    line = Line(
        event,
        at=means.live.domain(network),
        wall=means.live.wall(),
        aorta=aorta,
        patient=means.keys.patient(patient) if patient else None,
        requester=ura,
        fields=fields,
    )
    await means.ledger.commit(lambda tx: journal.append(tx, line), brief=True)
