"""Where can another patient hide in an answer? One small change of a sound searchset for each place.

It knows searchsets and documents as source_sim.records writes them. It may not know who was asked for: every place puts
the BSN of nobody where the patient's is, or beside it, and leaves all else as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from source_sim import medicine
from source_sim.faults import SOMEBODY_ELSE, Place

Resource = dict[str, Any]

_SUBJECTS: Final = ("subject", "patient")
_BSN: Final = medicine.NAMING + "bsn"
_NUMBER: Final = {"system": _BSN, "value": SOMEBODY_ELSE}
_STRANGER: Final = "stranger-1"


def hidden(body: bytes, place: Place, endpoint: str) -> bytes | None:
    """The searchset with somebody else at this place, or as `subject` where it has no such place; None when it holds
    nothing to hide in."""
    bundle = _searchset(body)
    if bundle is None:
        return None
    if not PLACES[place](bundle, endpoint):
        _subject(bundle, endpoint)
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()


def _searchset(body: bytes) -> Resource | None:
    try:
        bundle = json.loads(body)
    except ValueError:
        return None
    found = isinstance(bundle, dict) and bundle.get("type") == "searchset" and bundle.get("entry")
    return bundle if found else None


def _resources(bundle: Resource) -> Iterator[Resource]:
    """Every resource of the answer, those inside a document too."""
    for entry in bundle.get("entry", []):
        resource = entry["resource"]
        yield resource
        if resource["resourceType"] == "Bundle":
            yield from _resources(resource)


def _first_clinical(bundle: Resource) -> Resource:
    """The first resource about somebody that is neither the document around it nor its Composition."""
    about = [one for one in _resources(bundle) if any(name in one for name in _SUBJECTS)]
    return next((one for one in about if one["resourceType"] != "Composition"), about[0])


def _point(resource: Resource, to: Mapping[str, Any]) -> None:
    name = next(name for name in _SUBJECTS if name in resource)
    resource[name] = dict(to)


def _subject(bundle: Resource, endpoint: str) -> bool:
    _point(_first_clinical(bundle), {"identifier": _NUMBER})
    return True


def _patient(bundle: Resource, endpoint: str) -> bool:
    persons = [one for one in _resources(bundle) if one["resourceType"] == "Patient"]
    for person in persons:
        person["identifier"] = [_NUMBER]
    return bool(persons)


def _contained(bundle: Resource, endpoint: str) -> bool:
    resource = _first_clinical(bundle)
    stranger = {"resourceType": "Patient", "id": _STRANGER, "identifier": [_NUMBER]}
    resource["contained"] = [*resource.get("contained", []), stranger]
    _point(resource, {"reference": f"#{_STRANGER}"})
    return True


def _composition(bundle: Resource, endpoint: str) -> bool:
    found = [one for one in _resources(bundle) if one["resourceType"] == "Composition"]
    if found:
        _point(found[0], {"identifier": _NUMBER})
    return bool(found)


def _extension(bundle: Resource, endpoint: str) -> bool:
    resource = _first_clinical(bundle)
    inner = {"url": "https://source.example/about", "valueIdentifier": _NUMBER}
    outer = {"url": "https://source.example/more", "extension": [inner]}
    resource["extension"] = [*resource.get("extension", []), outer]
    return True


def _included(bundle: Resource, endpoint: str) -> bool:
    text, about = {"text": "Somebody else's"}, {"identifier": _NUMBER}
    other = {"resourceType": "Basic", "id": _STRANGER, "code": text, "subject": about}
    entry = {"fullUrl": f"{endpoint}/Basic/{_STRANGER}", "resource": other, "search": {"mode": "include"}}
    bundle["entry"].append(entry)
    return True


def _second(bundle: Resource, endpoint: str) -> bool:
    other = deepcopy(bundle["entry"][0])
    resource = other["resource"]
    for one in (resource, *_resources(resource)):
        if one["resourceType"] == "Patient":
            one["identifier"] = [_NUMBER]
        elif any(name in one for name in _SUBJECTS):
            _point(one, {"identifier": _NUMBER})
    resource["id"] = _STRANGER
    other["fullUrl"] = f"{endpoint}/{resource['resourceType']}/{_STRANGER}"
    bundle["entry"].insert(1, other)
    bundle["total"] += 1
    return True


PLACES: Final[Mapping[Place, Callable[[Resource, str], bool]]] = {
    Place.SUBJECT: _subject,
    Place.PATIENT: _patient,
    Place.CONTAINED: _contained,
    Place.COMPOSITION: _composition,
    Place.EXTENSION: _extension,
    Place.INCLUDED: _included,
    Place.SECOND: _second,
}
"""What is done to a sound answer; False where it has no such place."""
