"""Is this body a resource we may act on? Bytes in; plain checked JSON out, or `Malformed` with a place and a reason.

Two strengths. `decode` and `parse` prove well-formed JSON with one meaning: UTF-8, no duplicate keys, no NaN, bounded.
`resource` also proves the R4 form, with the models of fhir.resources and, behind them, a walk that closes what those
let through.
Knows nothing of categories, patients or consent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import msgspec
from fhir.resources.R4B.consent import Consent
from fhir.resources.R4B.list import List
from fhir.resources.R4B.parameters import Parameters
from pydantic import BaseModel, ValidationError

from gateway.fhir import shape

MAX_DEPTH = 64
MAX_CONTAINERS = 400_000
MAX_VALUES = 800_000
"""Bounds on objects plus arrays, and on commas: a body of 20 MB of `{},` would unpack to half a gigabyte."""

MODELS: dict[str, type[BaseModel]] = {"List": List, "Consent": Consent, "Parameters": Parameters}

_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()
_SAFE_NAME = re.compile(r"_?[A-Za-z][A-Za-z]{0,63}[0-9]{0,3}")
_WHY = {"missing": "a required element is missing", "extra_forbidden": "this element does not exist here"}


class Malformed(Exception):
    """The body is not what it must be. `path` is FHIRPath-like, `why` a sentence; neither ever carries content."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.path = path
        self.why = why


def decode(body: bytes) -> object:
    """Well-formed JSON in one meaning: strict UTF-8 without BOM, no duplicate keys, no NaN or infinity, no lone
    surrogates, bounded in number of values. Depth is the caller's (see `parse`). Raises Malformed."""
    return decode_with_text(body)[0]


def decode_with_text(body: bytes) -> tuple[object, bytes]:
    """As `decode`, with the value's canonical text: nothing between its parts, and every character in one spelling."""
    if len(body) > MAX_CONTAINERS and _too_many(body):
        raise Malformed("", "the body holds too many elements")
    try:
        body.decode()
        value = _DECODER.decode(body)
        text = _ENCODER.encode(value)
        single = _keys_are_single(body, text)
    except RecursionError:
        raise Malformed("", "the body is nested too deeply") from None
    except (UnicodeDecodeError, msgspec.DecodeError, ValueError, OverflowError):
        raise Malformed("", "the body is not well-formed UTF-8 JSON") from None
    if not single:
        raise Malformed("", "the body holds a duplicate key")
    return value, text


def _too_many(body: bytes) -> bool:
    return body.count(b"{") + body.count(b"[") > MAX_CONTAINERS or body.count(b",") > MAX_VALUES


def parse(body: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """As `decode`, nested at most `max_depth` containers deep. Raises Malformed."""
    value = decode(body)
    level, depth = [value], 0
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        if depth > max_depth:
            raise Malformed("", "the body is nested too deeply")
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)]
    return value


def resource(body: bytes, expected_type: str) -> dict[str, object]:
    """A resource of a type we must understand (List, Consent, Parameters) in proven R4 form. Raises Malformed.

    Raises KeyError for an `expected_type` that this exchange does not understand: a mistake of ours, not the sender's.
    """
    model = MODELS[expected_type]
    value = parse(body)
    if not isinstance(value, dict):
        raise Malformed("", "the body is not a JSON object")
    if value.get("resourceType") != expected_type:
        raise Malformed("resourceType", f"a {expected_type} is expected")
    _closed(value, model, expected_type)
    return value


def _closed(value: dict[str, object], model: type[BaseModel], path: str) -> None:
    try:
        shape.refuse_hollow(value, path)
        shape.refuse_strange_contained(value, path)
        shape.check(_modelled(model, value, path), value, path)
    except shape.Misshapen as misshapen:
        raise Malformed(misshapen.path, misshapen.why) from None


def _modelled(model: type[BaseModel], value: dict[str, object], path: str) -> BaseModel:
    """Run the model. Its own messages quote the input, so only place and kind of the first error are kept."""
    try:
        return model.model_validate(value)
    except ValidationError as refused:
        error = refused.errors(include_url=False, include_context=False, include_input=False)[0]
        place, why = _place(path, error["loc"]), _WHY.get(error["type"], "the value is not of the right form")
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError):
        place, why = path, "the resource is not of the right form"
    raise Malformed(place, why)


def _place(path: str, location: Iterable[str | int]) -> str:
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else "." + safe_name(step)
    return path


def safe_name(name: str) -> str:
    """An element name as it may be shown; a key that does not look like one could itself be content."""
    return name if _SAFE_NAME.fullmatch(name) else "?"


# --- duplicate keys --------------------------------------------------------------------------------------------------


class _Duplicate(ValueError):
    """Two equal keys in one object."""


def _keys_are_single(body: bytes, text: bytes) -> bool:
    """Whether no object names a key twice; `text` is the canonical text of what was decoded from `body`.

    Decoding keeps the last of two equal keys, so the canonical text then has fewer of them. Keys are counted by the
    `":` that ends each; where something stands between key and colon, in a body without it. The count is exact unless
    a string spells a quote or colon as an escape, and only then the slow check runs.
    """
    if body == text:
        return True
    if b"\\u0022" in body or b"\\u003" in body:
        return _exactly_single(body)
    compact = msgspec.json.format(body, indent=-1) if any(gap in body for gap in _BEFORE_COLON) else body
    return compact.count(b'":') == text.count(b'":')


_BEFORE_COLON = (b" :", b"\n", b"\r", b"\t")
"""What may stand before a colon; a line's end never stands in a string."""


def _exactly_single(body: bytes) -> bool:
    try:
        json.loads(body.decode(), object_pairs_hook=_unique)
    except _Duplicate:
        return False
    return True


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Duplicate
    return made
