"""Which regimes has somebody proposed to switch on, and what came of it? The drawer of proposals.

At most one proposal per regime is open at a time. Knows no rule about who may confirm. `until` is domain time, all
other times here are wall time.
"""

from __future__ import annotations

from datetime import datetime

from gateway.rules.exchange import Regime
from gateway.rules.proposing import Ended, Proposal
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Row, Transaction


def put(
    tx: Transaction, regime: Regime, *, until: datetime | None, reason: str, who: str, at: datetime
) -> Proposal | None:
    """Open a proposal; None: there is an open one of this regime already."""
    row = tx.row(
        "INSERT INTO regime_proposal VALUES ((SELECT coalesce(max(id), 0) + 1 FROM regime_proposal), ?, ?, ?, ?, ?, ?,"
        " NULL, NULL, NULL) ON CONFLICT (regime) WHERE settled IS NULL DO NOTHING RETURNING id",
        regime.value,
        None if until is None else instant(until),
        reason,
        who,
        instant(at),
        newest_switch(tx, regime),
    )
    return None if row is None else find(tx, int(row[0]))


def find(tx: Transaction, id: int) -> Proposal | None:
    """The open proposal with this number."""
    row = tx.row(f"SELECT {_COLUMNS} FROM regime_proposal WHERE id = ? AND settled IS NULL", id)  # noqa: S608
    return None if row is None else _proposal(row)


def open_ones(tx: Transaction) -> list[Proposal]:
    """Every open proposal, the oldest first."""
    rows = tx.rows(f"SELECT {_COLUMNS} FROM regime_proposal WHERE settled IS NULL ORDER BY id")  # noqa: S608
    return [_proposal(row) for row in rows]


def settle(tx: Transaction, id: int, how: Ended, *, by: str, at: datetime) -> bool:
    """End an open proposal. False: it is open no more."""
    return (
        tx.run(
            "UPDATE regime_proposal SET settled = ?, settled_by = ?, how = ? WHERE id = ? AND settled IS NULL",
            instant(at),
            by,
            how.value,
            id,
        )
        == 1
    )


def newest_switch(tx: Transaction, regime: Regime) -> int:
    """The number of a regime's newest switch; 0 when it never was switched."""
    row = tx.row("SELECT coalesce(max(seq), 0) FROM regime_switch WHERE regime = ?", regime.value)
    return int(row[0]) if row else 0


_COLUMNS = "id, regime, until, reason, who, at, after"


def _proposal(row: Row) -> Proposal:
    id, regime, until, reason, who, at, after = row
    ends = None if until is None else moment(until)
    return Proposal(int(id), Regime(regime), ends, reason, who, moment(at), int(after))
