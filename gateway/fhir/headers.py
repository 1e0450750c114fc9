"""What do the headers of a request say? Media types and the AORTA-ID in; checked words out, or `BadRequest`.

Never echoes a value it was sent. Source: interface.md section 4, domain.md section 5.
"""

from __future__ import annotations

import re

from gateway.fhir.codes import Problem
from gateway.fhir.refusal import refuse
from gateway.rules.exchange import AortaId

FORM = "application/x-www-form-urlencoded"
JSON_TYPES = frozenset({"application/fhir+json", "application/json"})

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VERSION = re.compile(r"[\x21-\x7e]{1,64}")


def json_body(content_type: str | None) -> None:
    """Check the media type of a body that hands in a resource. Raises BadRequest (415)."""
    _check_media(content_type, JSON_TYPES)


def form_body(content_type: str | None) -> None:
    """Check the media type of a search form. Raises BadRequest (415)."""
    _check_media(content_type, frozenset({FORM}))


def acceptable(accept: str | None) -> None:
    """Check the Accept header: FHIR JSON must be among what the caller takes. Raises BadRequest (406)."""
    if accept is None or not accept.strip():
        return
    kinds = {
        part.split(";")[0].strip().lower() for part in accept.split(",") if not re.search(r";\s*q=0(\.0*)?$", part)
    }
    if not kinds & {*JSON_TYPES, "application/*", "*/*"}:
        raise refuse(406, Problem.NOT_ACCEPTABLE)


def aorta(header: str | None, version: str | None = None) -> AortaId | None:
    """The chain and message ids of `AORTA-ID: initialRequestID=<uuid>; requestID=<uuid>`, and the AORTA-Version that is
    echoed; None where no header came. Raises BadRequest for anything else."""
    if header is None:
        return None
    parts = [part.strip().partition("=") for part in header.split(";")]
    values = {name.strip(): value.strip().lower() for name, _, value in parts}
    wrong_version = version is not None and not _VERSION.fullmatch(version)
    if len(parts) != 2 or values.keys() != {"initialRequestID", "requestID"} or wrong_version:
        raise refuse(400, Problem.INVALID_HEADER, "AORTA-ID")
    if not all(_UUID.fullmatch(value) for value in values.values()):
        raise refuse(400, Problem.INVALID_HEADER, "AORTA-ID", "The AORTA-ID holds two UUIDs.")
    return AortaId(values["initialRequestID"], values["requestID"], version)


def _check_media(content_type: str | None, accepted: frozenset[str]) -> None:
    kind, *parameters = (content_type or "").lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('" ') not in ("utf-8", "utf8"):
            raise refuse(415, Problem.UNSUPPORTED_MEDIA_TYPE)
    if kind.strip() not in accepted:
        raise refuse(415, Problem.UNSUPPORTED_MEDIA_TYPE)
