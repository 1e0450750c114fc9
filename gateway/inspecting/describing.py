"""What may be told of a message? Headers, claims, sizes and shape; content only about a simulation's own person.

Pure: bytes in, words out. No citizen service number leaves here in clear, whosever it is, and no token: claims are told
instead of it, unverified, as they were sent.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
import string
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from gateway.rules.identifiers import Bsn, InvalidIdentifier

OWN = re.compile(r"9999[0-4][0-9]{4}")
"""The numbers of a simulation's own persons; 99995xxxx and up are outsiders' (interface.md section 7)."""
MASK = "9999·····"

MOST_CONTENT = 32 * 1024
"""Bytes of content kept of one message."""
MOST_LINES = 200
_MOST_KINDS = 6
_MOST_LOOKED_AT = 40
"""Elements of one list; the others are counted only."""
_MOST_DEPTH = 12
_MOST_READ = 256 * 1024
"""Bytes; of a longer body the shape goes less deep."""
_SHALLOW = 5
_MOST_HEADERS, _LONGEST = 40, 200

_NUMBER = re.compile(r"(?<![0-9])[0-9]{9}(?![0-9])")
_CODE = re.compile(r'("code"\s*:\s*")((?!9999)[0-9]{9})(")')
"""A code of a code system: many of SNOMED CT have nine digits, some pass the eleven-test. Not of the test range."""
_HIDDEN_DIGIT = re.compile(r"\\u003[0-9]")
"""A digit written as an escape: a number could stand there that is not seen as one."""
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,40}")
_SECRET = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization"})

Headers = tuple[tuple[str, str], ...]


def numbers(text: str) -> set[str]:
    """Every citizen service number in a text: nine digits on their own that pass the eleven-test."""
    return {found for found in _NUMBER.findall(text) if _is_bsn(found)}


def masked(text: str) -> str:
    """The text without citizen service numbers."""
    return _NUMBER.sub(lambda found: MASK if _is_bsn(found[0]) else found[0], text)


def _is_bsn(digits: str) -> bool:
    try:
        Bsn(digits)
    except InvalidIdentifier:
        return False
    return True


# --- headers and claims ----------------------------------------------------------------------------------------------


def headers(lines: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Names and values; of what proves who is calling nothing but the scheme."""
    named = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in lines]
    return tuple(_header(name, value) for name, value in named[:_MOST_HEADERS])


def _header(name: str, value: str) -> tuple[str, str]:
    scheme, separated, _ = value.partition(" ")
    told = value if name not in _SECRET else f"{scheme} …" if separated and scheme.isalpha() else "…"
    return masked(name)[:_LONGEST], masked(told)[:_LONGEST]


def token(lines: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    """The claims of the bearer token, unverified and in clear: not to be kept. Empty when none can be read."""
    value = next((value for name, value in lines if name.lower() == b"authorization"), b"")
    scheme, _, text = value.decode("latin-1").partition(" ")
    parts = text.split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return {}
    try:
        told = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def claims(lines: Iterable[tuple[bytes, bytes]]) -> str:
    """The claims of the bearer token as JSON text, numbers masked; empty when there are none."""
    told = token(lines)
    return masked(json.dumps(told, indent=2, ensure_ascii=False))[:MOST_CONTENT] if told else ""


# --- content ---------------------------------------------------------------------------------------------------------


def content(body: bytes, patient: str) -> str | None:
    """The body without its numbers, if it is about a simulation's own person (`patient`, or whom it names) and names
    nobody else; else None."""
    try:
        text = _beginning(body)
    except UnicodeDecodeError:
        return None
    plain = _CODE.sub(_apart, text)
    named = numbers(plain) | ({patient} if patient else set())
    if not text or not named or _HIDDEN_DIGIT.search(text) or not all(OWN.fullmatch(number) for number in named):
        return None
    return masked(plain).replace(_BETWEEN, "") + (" …" if len(body) > MOST_CONTENT else "")


def _beginning(body: bytes) -> str:
    """The first part of a text, never ending inside a number. Raises UnicodeDecodeError."""
    text = codecs.getincrementaldecoder("utf-8")().decode(body[:MOST_CONTENT])
    return text if len(body) <= MOST_CONTENT else text.rstrip(string.digits)


_BETWEEN = "\u2060"


def _apart(found: re.Match[str]) -> str:
    """The code with a word joiner inside: nine digits on their own no more."""
    return f"{found[1]}{found[2][:4]}{_BETWEEN}{found[2][4:]}{found[3]}"


# --- shape -----------------------------------------------------------------------------------------------------------


def shape(body: bytes, media: str) -> tuple[str, ...]:
    """What the body is made of: names, kinds and lengths, indented by depth. Never a value, but for FHIR type names."""
    if not body:
        return ()
    if media.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        return tuple(_form(body))
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return ("not JSON",)
    depth = _SHALLOW if len(body) > _MOST_READ else _MOST_DEPTH
    lines = [*_lines("", _kind(read, depth), 0)]
    return (*lines[:MOST_LINES], *(["…"] if len(lines) > MOST_LINES else []))


def _form(body: bytes) -> Iterator[str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        yield "not a form"
        return
    yield from (f"{_name(name)}: text of {len(value)}" for name, value in pairs)


_Kind = str | tuple[Any, ...]
"""What a value is: a word, ("object", type, ((name, kind), ...)), or ("list", count, ((kind, count), ...))."""


def _kind(value: Any, depth: int) -> _Kind:
    match value:
        case dict() if depth:
            members = tuple((_name(name), _kind(one, depth - 1)) for name, one in value.items())
            return ("object", _type(value), members)
        case list() if depth:
            return ("list", len(value), _counted(_kind(one, depth - 1) for one in value[:_MOST_LOOKED_AT]))
        case dict():
            return f"object of {len(value)}"
        case list():
            return f"list of {len(value)}"
        case str():
            return f"text of {len(value)}"
        case bool():
            return "true or false"
        case None:
            return "null"
    return "number"


def _counted(kinds: Iterable[_Kind]) -> tuple[tuple[_Kind, int], ...]:
    """Elements of the same make are told once; how long a text is does not tell two apart."""
    found: dict[str, tuple[_Kind, int]] = {}
    for kind in kinds:
        make = re.sub(r"[0-9]+", "", repr(kind))
        first, count = found.get(make, (kind, 0))
        found[make] = first, count + 1
    return tuple(found.values())


def _type(value: dict[str, Any]) -> str:
    told = value.get("resourceType")
    return told if isinstance(told, str) and _TYPE.fullmatch(told) else ""


def _name(name: str) -> str:
    return masked(name)[:60]


def _lines(name: str, kind: _Kind, depth: int) -> Iterator[str]:
    start = "  " * depth + (f"{name}: " if name else "")
    if isinstance(kind, str):
        yield start + kind
    elif kind[0] == "object":
        yield start + (kind[1] or "object")
        for inner, one in kind[2]:
            yield from _lines(inner, one, depth + 1)
    else:
        yield f"{start}list of {kind[1]}"
        for one, count in kind[2][:_MOST_KINDS]:
            yield from _lines(f"{count} ×", one, depth + 1)
        if len(kind[2]) > _MOST_KINDS:
            yield "  " * (depth + 1) + f"… {len(kind[2]) - _MOST_KINDS} other makes"
