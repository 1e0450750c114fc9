"""How is it said in Dutch and in English? Sentences by id from `words/`, the Dutch clock, and whose language it is.

Every area of the desk has its own pair of files, merged once at start. Knows no page and no request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

LANGUAGES = ("nl", "en")
"""The first one is spoken to whoever asks for nothing."""

_WORDS = Path(__file__).parent / "words"
_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?")


class TwiceSaid(Exception):
    """Two files of words say the same id differently."""


class Words:
    """One language. `t("id", name=value)` is the sentence; `plain("category", code)` the word for a code."""

    __slots__ = ("lang", "sentences")

    def __init__(self, lang: str, sentences: Mapping[str, str]) -> None:
        self.lang = lang
        self.sentences = sentences

    def __call__(self, id: str, /, **values: object) -> str:
        """The sentence with these values in their places. Raises KeyError for an unknown id or a missing value."""
        return self.sentences[id].format(**values)

    def plain(self, code: object, kind: str) -> str:
        """The word for a code of a kind (`kind.code`); a code without a word is shown as it is."""
        return self.sentences.get(f"{kind}.{code}", str(code))

    def number(self, value: float, digits: int = 0) -> str:
        """Rounded to so many digits, with the decimal sign of the language."""
        return f"{value:.{digits}f}".replace(".", self("frame.decimal"))

    def day(self, at: date) -> str:
        """As `zo 22 nov 2026`; a moment's day is the Dutch one."""
        local = at.astimezone(_DUTCH_TIME).date() if isinstance(at, datetime) else at
        weekday, month = self(f"weekday.{local.isoweekday()}"), self(f"month.{local.month}")
        return f"{weekday} {local.day} {month} {local.year}"

    def written_day(self, text: str) -> str:
        """The day of a FHIR date or dateTime; what is less than a day stays as it is."""
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return text
        return self.day(at if at.tzinfo else at.date())

    def moment(self, at: datetime) -> str:
        """As `zo 22 nov 2026, 03:14`, in Dutch time."""
        return f"{self.day(at)}, {at.astimezone(_DUTCH_TIME):%H:%M}"

    def exactly(self, at: datetime) -> str:
        """As `zo 22 nov 2026, 03:14:05`, in Dutch time."""
        return f"{self.day(at)}, {self.clock(at)}"

    def clock(self, at: datetime) -> str:
        """As `03:14:05`, in Dutch time."""
        return f"{at.astimezone(_DUTCH_TIME):%H:%M:%S}"


@cache
def words_of(lang: str) -> Words:
    """Every sentence of one language. Raises TwiceSaid."""
    return Words(lang, read_words(_WORDS, lang))


def read_words(folder: Path, lang: str) -> Mapping[str, str]:
    """`<lang>.json` and every `<area>.<lang>.json` together. Raises TwiceSaid."""
    sentences: dict[str, str] = {}
    for path in [folder / f"{lang}.json", *sorted(folder.glob(f"*.{lang}.json"))]:
        fresh: dict[str, str] = json.loads(path.read_text("utf-8"))
        if sentences.keys() & fresh.keys():
            raise TwiceSaid(f"{path.name}: {', '.join(sorted(sentences.keys() & fresh.keys()))}")
        sentences |= fresh
    return MappingProxyType(sentences)


def language(*wishes: str | None, accepted: str = "") -> str:
    """The first wish that is one of ours, else what an Accept-Language header likes best, else Dutch."""
    for wish in wishes:
        if wish in LANGUAGES:
            return wish
    liked = {tag: weight for tag, weight in _ranges(accepted) if tag in LANGUAGES and weight > 0}
    return max(liked, key=lambda tag: liked[tag]) if liked else LANGUAGES[0]


def _ranges(accepted: str) -> list[tuple[str, float]]:
    found = (_RANGE.fullmatch(part) for part in accepted[:1000].split(","))
    # of one language the first range counts
    return [(one[1].lower(), float(one[2] or 1)) for one in reversed([one for one in found if one])]
