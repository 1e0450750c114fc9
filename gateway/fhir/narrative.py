"""Is this narrative harmless? FHIR xhtml allows formatting only: no scripts, forms, frames, handlers or foreign links.

An allow list; knows nothing of the resource around it. Source: FHIR R4, Narrative, rules on `div`.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_TAG_NAMES = """
a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img
li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
"""
_TAGS = frozenset(_TAG_NAMES.split())
_ATTRIBUTE_NAMES = """
abbr align alt border cellpadding cellspacing char charoff class colspan dir headers height href id lang name
rowspan rules scope span src style summary title valign width xml:lang xml:space xmlns
"""
_ATTRIBUTES = frozenset(_ATTRIBUTE_NAMES.split())
_XHTML = '<div xmlns="http://www.w3.org/1999/xhtml">'
_BARE_TAG = re.compile(r"<(/?)([a-z][a-z0-9]{0,9})( ?/)?>")
_LINK = re.compile(r"(https?://|mailto:|tel:|#)\S*", re.IGNORECASE)
_STYLE_ATTACK = re.compile(r"url\s*\(|expression|@import|\\|javascript|behaviou?r", re.IGNORECASE)


class _Reader(HTMLParser):
    """Notes the first thing that is not formatting."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.harmful = False
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.harmful |= tag not in _TAGS or not all(_is_formatting(name, value or "") for name, value in attrs)

    def handle_endtag(self, tag: str) -> None:
        self.harmful |= not self.open or self.open.pop() != tag

    def handle_comment(self, data: str) -> None:
        self.harmful = True

    def handle_decl(self, decl: str) -> None:
        self.harmful = True

    def handle_pi(self, data: str) -> None:
        self.harmful = True

    def unknown_decl(self, data: str) -> None:
        self.harmful = True


def _is_formatting(name: str, value: str) -> bool:
    if name in ("href", "src"):
        return _LINK.fullmatch(value) is not None
    if name == "style":
        return _STYLE_ATTACK.search(value) is None
    return name in _ATTRIBUTES


def _is_bare(div: str) -> bool:
    """Whether every tag is a well-nested one of formatting without attributes, as in most narratives: seen at a tenth
    of the price of reading it."""
    div = "<div>" + div.removeprefix(_XHTML) if div.startswith(_XHTML) else div
    tags = _BARE_TAG.findall(div)
    open: list[str] = []
    for closing, name, empty in tags:
        if name not in _TAGS or (closing and (empty or not open or open.pop() != name)):
            return False
        if not closing and not empty:
            open.append(name)
    return not open and len(tags) == div.count("<")


def is_harmless(div: str) -> bool:
    """Whether `div` is one well-nested xhtml `<div>` that holds formatting only."""
    if not div.strip().startswith("<div") or not div.strip().endswith(">"):
        return False
    if _is_bare(div):
        return True
    reader = _Reader()
    reader.feed(div)
    reader.close()
    return not reader.harmful and not reader.open and "<" not in reader.rawdata
