"""How do somebody else's words come on a terminal? As words: neither Rich's markup nor orders to the terminal."""

from __future__ import annotations

from rich.markup import escape

from gateway.web.legible import legible


def plain(text: str) -> str:
    """The text for a Rich table or line, whatever stands in it."""
    return escape(legible(text))
