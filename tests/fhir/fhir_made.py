"""What do the tests of the fhir room send? Small resources and Bundles about test persons, as bytes.

All numbers lie in 9999xxxxx and are worked out here, so that none is ever typed.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

from gateway.rules.identifiers import BSN_SYSTEM, Bsn, InvalidIdentifier

Json = dict[str, Any]
ENDPOINT = "https://source.test/fhir"


def _numbers():
    for number in range(999_970_000, 999_980_000):
        try:
            yield Bsn(str(number))
        except InvalidIdentifier:
            continue


US, THEM = islice(_numbers(), 2)
BAD_BSN = str(int(US.digits) + 1)


def bsn(who: Bsn = US) -> Json:
    return {"system": BSN_SYSTEM, "value": who.digits}


def named(who: Bsn = US) -> Json:
    return {"identifier": bsn(who)}


def person(id: str = "p", who: Bsn | None = US, **more: Any) -> Json:
    return {"resourceType": "Patient", "id": id, **({"identifier": [bsn(who)]} if who else {}), **more}


def flag(id: str = "f", subject: Any = None, **more: Any) -> Json:
    return {
        "resourceType": "Flag",
        "id": id,
        "status": "active",
        "code": {"text": "x"},
        "subject": named() if subject is None else subject,
        **more,
    }


def limit(
    id: str = "c", code: str = "89666000", said: str | None = "deny", status: str = "active", **more: Any
) -> Json:
    provision: Json = {"code": [{"coding": [{"system": "http://snomed.info/sct", "code": code}]}]}
    return {
        "resourceType": "Consent",
        "id": id,
        "status": status,
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "treatment"}]},
        "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "129125009"}]}],
        "patient": named(),
        "provision": provision | ({"type": said} if said else {}),
        **more,
    }


def item(resource: Json, mode: str | None = None, url: str | None = None) -> Json:
    entry: Json = {"resource": resource}
    if url:
        entry["fullUrl"] = url
    if mode:
        entry["search"] = {"mode": mode}
    return entry


def document(*resources: Json, subject: Any = None, id: str = "d", first: Json | None = None) -> Json:
    composition = first or {
        "resourceType": "Composition",
        "id": "comp",
        "status": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "60591-5"}]},
        "subject": named() if subject is None else subject,
    }
    entries = [{"fullUrl": f"urn:uuid:{i:08x}-0000-4000-8000-000000000000", "resource": one}
               for i, one in enumerate((composition, *resources))]  # fmt: skip
    return {"resourceType": "Bundle", "id": id, "type": "document", "entry": entries}


def searchset(*items: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "total": len(items), "entry": list(items), **more}


def dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def shown(raw: bytes) -> str:
    """As in a golden file. A number that stands in it is masked: none is written in a file."""
    return json.dumps(json.loads(raw), indent=1, ensure_ascii=False).replace(US.digits, "#########") + "\n"
