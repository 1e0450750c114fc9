"""Which arrows does a step draw? Read from what the journal wrote meanwhile, so that they tell what really happened.

It knows the journal's events and the scenario's names. It may not know how a diagram looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from source_sim.scenarios.hearing import Names, legs
from source_sim.scenarios.played import Arrow, Kind
from source_sim.testbed import Told

EXCHANGE: Final = "switchpoint"
_DELIVERS: Final = frozenset({"answered", "truncated"})


class Drawing:
    """Draws one step; `patient` is whom it is about, if anybody."""

    def __init__(self, names: Names, patient: str = "") -> None:
        self._names, self._patient = names, patient or EXCHANGE

    def arrows(self, lines: Sequence[Told]) -> tuple[Arrow, ...]:
        """The arrows in order; one that says the same again is drawn once."""
        drawn = (arrow for told in lines for arrow in self._of(told))
        return tuple(dict.fromkeys(drawn))

    def _of(self, told: Told) -> Iterator[Arrow]:
        draw = _DRAWN.get(told.event)
        if draw is not None:
            yield from draw(self, told)

    def _who(self, told: Told) -> str:
        """Who acted; a patient at her page acts without an organisation."""
        ura = str(told.fields.get("organisation") or "")
        return self._names.get(ura) or self._names.get(told.organisation) or self._patient

    def _at(self, ura: object) -> str:
        return self._names.get(str(ura), EXCHANGE)

    def asked(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(self._who(told), EXCHANGE, f"{told.category}?")

    def refused(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(self._who(told), EXCHANGE, f"{told.category or 'message'}?")
        yield Arrow(EXCHANGE, self._who(told), told.reason, Kind.FAILS)

    def answered(self, told: Told) -> Iterator[Arrow]:
        for leg in legs(told):
            source, came = self._at(leg.get("custodian")), str(leg.get("outcome"))
            yield Arrow(EXCHANGE, source, told.category)
            yield Arrow(source, EXCHANGE, came, Kind.GIVES if came in _DELIVERS else Kind.FAILS)
        completeness = str(told.fields.get("completeness") or told.reason)
        flags = ", ".join(told.fields.get("flags") or ())
        kind = Kind.FAILS if told.event == "query-failed" else Kind.GIVES
        yield Arrow(EXCHANGE, self._who(told), f"{completeness} {flags}".strip(), kind)

    def localised(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(self._who(told), EXCHANGE, f"where is {told.category or 'anything'}?")
        yield Arrow(EXCHANGE, self._who(told), f"{told.fields.get('shown', '')} places".strip(), Kind.GIVES)

    def explained(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(self._who(told), EXCHANGE, f"why {told.category}?")
        yield Arrow(EXCHANGE, self._who(told), f"{told.outcome}: {told.reason}", Kind.NOTE)

    def stated(self, told: Told) -> Iterator[Arrow]:
        said = str(told.fields.get("say") or told.reason)
        yield Arrow(self._patient, EXCHANGE, f"says {said}", Kind.NOTE)

    def registered(self, told: Told) -> Iterator[Arrow]:
        latent = ", latent" if told.fields.get("latent") else ""
        yield Arrow(self._who(told), EXCHANGE, f"registers {told.category}{latent}")

    def not_registered(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(self._who(told), EXCHANGE, f"registers {told.category}")
        yield Arrow(EXCHANGE, self._who(told), told.reason, Kind.FAILS)

    def ended(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(EXCHANGE, EXCHANGE, f"{told.category} entry ends", Kind.NOTE)

    def enrolled(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(self._who(told), EXCHANGE, "enrols the patient")

    def accepted(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(self._who(told), EXCHANGE, str(told.fields.get("message_event", "message")))

    def delivered(self, told: Told) -> Iterator[Arrow]:
        kind = str(told.fields.get("message_event", "message"))
        yield Arrow(EXCHANGE, self._at(told.fields.get("recipient")), kind, Kind.GIVES)

    def postponed(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(EXCHANGE, self._at(told.fields.get("recipient")), str(told.fields.get("outcome", "")), Kind.FAILS)

    def parked(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(EXCHANGE, EXCHANGE, f"parked: {told.reason}", Kind.NOTE)

    def failed(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(EXCHANGE, self._who(told), f"not delivered: {told.reason}", Kind.FAILS)

    def switched(self, told: Told) -> Iterator[Arrow]:
        state = "on" if told.fields.get("on") else "off"
        yield Arrow(EXCHANGE, EXCHANGE, f"{told.fields.get('regime', '')} {state}", Kind.NOTE)

    def looked(self, told: Told) -> Iterator[Arrow]:
        yield Arrow(self._patient, EXCHANGE, "who has looked?")


_DRAWN: Final[Mapping[str, Callable[[Drawing, Told], Iterator[Arrow]]]] = MappingProxyType(
    {
        "query-decided": Drawing.asked,
        "query-refused": Drawing.refused,
        "query-answered": Drawing.answered,
        "query-failed": Drawing.answered,
        "localised": Drawing.localised,
        "explained": Drawing.explained,
        "consent-stated": Drawing.stated,
        "consent-refused": Drawing.stated,
        "entry-registered": Drawing.registered,
        "entry-refused": Drawing.not_registered,
        "entry-ended": Drawing.ended,
        "gp-of-record-changed": Drawing.enrolled,
        "message-accepted": Drawing.accepted,
        "message-refused": Drawing.refused,
        "message-delivered": Drawing.delivered,
        "message-postponed": Drawing.postponed,
        "message-parked": Drawing.parked,
        "message-failed": Drawing.failed,
        "regime-switched": Drawing.switched,
        "journal-read": Drawing.looked,
    }
)
