"""Does a reader see what a text holds? What has no sign of its own, or turns other text round, is shown as a mark.

Names, reasons and notes come from others: a turned-round name would make the number beside it read backwards, and
twenty accents on a letter would cover the line above. Changes nothing but what is shown. Source: Unicode TR 36, TR 9.
"""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup

MARK = "\ufffd"
_KEPT = frozenset("\n\r\t\u200c\u200d\u200e\u200f")
"""Line breaks, tabs; joiners and marks of direction, which scripts and faces need and which turn nothing round."""
_PILED = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3})"
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)


def printed(value: object) -> object:
    """What a template prints: text from anywhere made legible, anything else as it is."""
    return legible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def legible(text: str) -> str:
    """For unseen characters a mark, and no more than three signs on top of each other."""
    if text.isascii() and text.isprintable():
        return text
    piled = _PILED.sub(r"\1", text)
    return piled if piled.isprintable() else "".join(one if _is_seen(one) else MARK for one in piled)


def _is_seen(character: str) -> bool:
    return character.isprintable() or character in _KEPT or unicodedata.category(character) == "Zs"
