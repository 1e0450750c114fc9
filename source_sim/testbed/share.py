"""Which part of a country is ours? All of it; or, where others are at work too, what concerns whom we added.

Told by patient key and URA. Knows lines and envelopes; decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.rules.exchange import PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Line
from gateway.stores.outbox import Held

EVERYBODYS: Final = frozenset({Event.REGIME_SWITCHED, Event.CLOCK_SET})
"""Events that concern everybody, whoever brings them about."""
ACTING: Final = "testbed"
"""By whom an operator's act of ours is done."""
_PARTIES: Final = ("organisation", "recipient", "sender")


@dataclass(slots=True)
class Share:
    """`whole`: everything is ours. Else our `patients` and the organisations (URA) we added."""

    whole: bool
    patients: set[PatientKey] = field(default_factory=set, repr=False)
    organisations: set[str] = field(default_factory=set)

    def tells_of(self, line: Line) -> bool:
        """Whether a line of the journal concerns us."""
        if line.event is Event.DELIVERY_SWITCHED and line.fields.get("by") == ACTING:
            return False  # how we deliver when told to
        named = (line.fields.get(name) for name in _PARTIES)
        told = {digits for digits in named if isinstance(digits, str)} | _digits(line.custodian, line.requester)
        return self.whole or line.event in EVERYBODYS or self._concerns(line.patient, told)

    def holds(self, held: Held) -> bool:
        """Whether a message on its way is from one of us, for one of us, or about one of our patients."""
        envelope = held.envelope
        parties = _digits(envelope.sender.ura if envelope.sender else None, envelope.recipient, held.lane)
        return self.whole or self._concerns(envelope.patient, parties)

    def _concerns(self, patient: PatientKey | None, parties: set[str]) -> bool:
        return patient in self.patients or bool(parties & self.organisations)


def _digits(*parties: Ura | None) -> set[str]:
    return {one.digits for one in parties if one is not None}
