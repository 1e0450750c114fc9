"""Which lines does an operator ask for? The filters of the routing log, from a link's query to a search.

A filter that means nothing (an unknown word, an organisation that is none or several) is told, never ignored: the log
would otherwise show what nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from gateway.flows.routing_log import ura_named
from gateway.rules.access import Bar
from gateway.rules.exchange import Category, Failing, Kind
from gateway.rules.finding import Outcome, Search
from gateway.rules.identifiers import Ura
from gateway.rules.message import Reason
from gateway.rules.table import ROWS

NAMES = ("chain", "organisation", "kind", "category", "outcome", "rule", "source", "failing")
"""The filters, as the form and the link call them."""
RULES = tuple(row.id for row in ROWS)
REASONS = (*Bar, *Reason)
_LONGEST = 200
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_WORD = re.compile(r"[a-z][a-z0-9-]{1,39}")
_E = TypeVar("_E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Filters:
    """What was asked for, as typed, and the search it means; `wrong` names what means nothing."""

    given: Mapping[str, str]
    search: Search
    wrong: tuple[str, ...]

    def query(self, **more: str) -> str:
        """The same filters as a link's query, question mark included when there is any."""
        asked = {**self.given, **more}
        return "?" + urlencode(asked) if asked else ""


def read_filters(params: Mapping[str, str], organisations: Mapping[Ura, str]) -> Filters:
    """`organisations` are the names in the register, to find one by part of its name."""
    given = {name: params[name].strip()[:_LONGEST] for name in NAMES if params.get(name, "").strip()}

    def meant(name: str, read: Callable[[str], _T | None]) -> _T | None:
        return read(given[name]) if name in given else None

    def named(text: str) -> Ura | None:
        return ura_named(organisations, text)

    search = Search(
        chain=meant("chain", _chain),
        organisation=meant("organisation", named),
        kind=meant("kind", _one_of(Kind)),
        category=meant("category", _one_of(Category)),
        outcome=meant("outcome", _one_of(Outcome)),
        rule=meant("rule", _rule),
        reason=meant("rule", _reason),
        source=meant("source", named),
        failing=meant("failing", _one_of(Failing)),
    )
    return Filters(given, search, tuple(name for name in given if _is_unread(search, name)))


_T = TypeVar("_T")


def _is_unread(search: Search, name: str) -> bool:
    if name == "rule":
        return search.rule is None and search.reason is None
    return getattr(search, name) is None


def _one_of(words: type[_E]) -> Callable[[str], _E | None]:
    return lambda text: words(text) if text in set(words) else None


def _chain(text: str) -> str | None:
    """An initialRequestID, also when the whole AORTA-ID header was pasted."""
    found = _UUID.search(text.lower())
    return found[0] if found else None


def _rule(text: str) -> str | None:
    return text.upper() if text.upper() in RULES else None


def _reason(text: str) -> str | None:
    return text if _rule(text) is None and _WORD.fullmatch(text) else None
