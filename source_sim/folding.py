"""What becomes of a return message in the practice's own record? A contact with its report, an episode, the medication.

The practice makes the facts its own: ids of its own, its own Patient in place of the message's, and the open episode
every contact belongs to. It knows how resources refer to one another. It may not know who asks, nor what a view shows.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from source_sim import medicine, records
from source_sim.medicine import Shape
from source_sim.records import Instance, Record

_SHARED: Final = frozenset({"Practitioner", "PractitionerRole", "Organization", "Location", "Medication", "Device"})
_LEFT: Final = frozenset({"MessageHeader", "Patient", "Consent", "Coverage"})
"""What the practice does not take over: it has its own patient, and treatment limits are no part of a contact."""
_DAYS: Final = ("period", "effectivePeriod", "effectiveDateTime", "performedPeriod", "performedDateTime", "date")
"""Where a resource says when it was, in the order in which it is believed."""


def folded(record: Record, messages: Iterable[bytes]) -> Record:
    """The record with these return messages (good FHIR: the exchange has seen to that) in it."""
    for body in messages:
        record = _with(record, json.loads(body, parse_float=Decimal))
    return record


def _with(record: Record, bundle: Mapping[str, Any]) -> Record:
    patient, written = record.patients[0].key, _day(bundle.get("timestamp"))
    made = [records.instance(shape, _last(shape, written)) for shape in _Move.of(bundle, patient).shapes(bundle)]
    own = tuple(one for one in made if one.resource_type not in _SHARED)
    return replace(
        record,
        instances=(*record.instances, *own, *_episodes(own)),
        shared={**record.shared, **{one.key: one for one in made if one.resource_type in _SHARED}},
    )


@dataclass(frozen=True, slots=True)
class _Move:
    """Where everything in a message goes: its new reference, by each reference the message may use for it. What is left
    behind goes nowhere: the empty reference."""

    places: Mapping[str, str] = field(repr=False)
    identities: tuple[str, ...]

    @classmethod
    def of(cls, bundle: Mapping[str, Any], patient: str) -> _Move:
        places, header = dict[str, str](), bundle["entry"][0]["resource"]["id"]
        # the same at every reading, and others for every message
        identities = tuple(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{header} {n}")) for n in range(len(bundle["entry"])))
        for entry, identity in zip(bundle["entry"], identities, strict=True):
            kind = entry["resource"]["resourceType"]
            place = patient if kind == "Patient" else "" if kind in _LEFT else f"{kind}/{identity}"
            for name in (entry.get("fullUrl"), f"{kind}/{entry['resource'].get('id')}"):
                if name is not None:
                    places.setdefault(name, place)
        return cls(places, identities)

    def shapes(self, bundle: Mapping[str, Any]) -> Iterator[Shape]:
        for entry, identity in zip(bundle["entry"], self.identities, strict=True):
            if entry["resource"]["resourceType"] not in _LEFT:
                yield {**self.moved(entry["resource"]), "id": identity}

    def moved(self, part: Any) -> Any:
        """The same, with every reference to where the thing has gone; what was left behind is only named."""
        if isinstance(part, list):
            return [self.moved(each) for each in part]
        if not isinstance(part, Mapping):
            return part
        place = self.places.get(part["reference"]) if isinstance(part.get("reference"), str) else None
        others = {name: self.moved(value) for name, value in part.items()}
        if place is None:
            return others
        return {**others, "reference": place} if place else {"display": others.get("display", "Niet overgenomen")}


def _last(shape: Shape, written: date | None) -> date | None:
    """The last day it concerns; None for what still holds: an open problem, a medicine without an end. What bears no
    date is of the day the message was `written`."""
    match shape["resourceType"]:
        case "Condition":
            return _day(shape.get("abatementDateTime"))
        case "EpisodeOfCare":
            return _end(shape.get("period"))
        case "MedicationRequest":
            return _end(shape.get("dispenseRequest", {}).get("validityPeriod"))
        case "MedicationStatement":
            return _end(shape.get("effectivePeriod"))
    return next((day for name in _DAYS if (day := _end(shape.get(name)) or _start(shape.get(name)))), written)


def _end(period: object) -> date | None:
    return _day(period.get("end") if isinstance(period, Mapping) else period)


def _start(period: object) -> date | None:
    return _day(period.get("start")) if isinstance(period, Mapping) else None


def _day(value: object) -> date | None:
    """A whole FHIR date or dateTime; a month or a year is no day."""
    return date.fromisoformat(value[:10]) if isinstance(value, str) and len(value) >= 10 else None


def _episodes(own: tuple[Instance, ...]) -> Iterator[Instance]:
    """An open episode for every open problem of the message, unless the message brought episodes itself."""
    if any(one.resource_type == "EpisodeOfCare" for one in own):
        return
    for one in own:
        name, since = _named(one.body.get("code")), _day(one.body.get("onsetDateTime"))
        if one.resource_type == "Condition" and one.last is None and name and since:
            problem, patient = one.body["id"], dict(one.body["subject"])
            made = medicine.episode(f"episode-{problem}", patient, problem, name, since, None)
            yield records.instance(made)


def _named(concept: object) -> str:
    """What the first coding that has a name is called."""
    codings = concept.get("coding", ()) if isinstance(concept, Mapping) else ()
    return next((str(each["display"]) for each in codings if "display" in each), "")
