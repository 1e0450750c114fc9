"""Which moment, or stretch of time, does a FHIR date mean? Text to aware datetimes and back.

Dates without a time are Dutch calendar days; a date is the stretch it spans. Knows no clock.
Source: FHIR R4 datatypes, and search section 2.21.1.5 for the prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

HERE = ZoneInfo("Europe/Amsterdam")

_MOMENT = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?P<fraction>\.[0-9]+)?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_PREFIX = re.compile(r"(eq|ge|gt|le|lt|sa|eb)?(.*)", re.DOTALL)


def span(text: str) -> tuple[datetime, datetime]:
    """The stretch [start, end) a FHIR date, dateTime or search date means. Raises ValueError."""
    found = _MOMENT.fullmatch(text)
    if found is None or not "1000" <= found["year"] <= "9998":
        raise ValueError("not a FHIR date, or one no calendar here reaches")
    if found["hour"] is None:
        return _calendar_span(found["year"], found["month"], found["day"])
    start = datetime.fromisoformat(_whole_seconds(text, found))
    start = start if start.tzinfo else start.replace(tzinfo=HERE)
    if found["fraction"]:
        return start, start + timedelta(microseconds=1)
    return start, start + (timedelta(seconds=1) if found["second"] else timedelta(minutes=1))


def _whole_seconds(text: str, found: re.Match[str]) -> str:
    """The text with at most microseconds: more digits than a datetime can hold are cut off."""
    fraction = found["fraction"]
    return text.replace(fraction, fraction[:7], 1) if fraction else text


def _calendar_span(year: str, month: str | None, day: str | None) -> tuple[datetime, datetime]:
    first = date(int(year), int(month or 1), int(day or 1))
    if day:
        after = first + timedelta(days=1)
    elif month:
        after = (first + timedelta(days=31)).replace(day=1)
    else:
        after = first.replace(year=first.year + 1)
    return _midnight(first), _midnight(after)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=HERE)


def window(values: Sequence[str]) -> tuple[datetime | None, datetime | None]:
    """The stretch [since, until) that all `date` values of a search together leave open. Raises ValueError."""
    since: list[datetime] = []
    until: list[datetime] = []
    for value in values:
        found = _PREFIX.fullmatch(value)
        assert found is not None, "the pattern takes any text"
        start, end = span(found[2])
        prefix = found[1] or "eq"
        if prefix in ("eq", "ge"):
            since.append(start)
        if prefix in ("gt", "sa"):
            since.append(end)
        if prefix in ("eq", "le"):
            until.append(end)
        if prefix in ("lt", "eb"):
            until.append(start)
    return max(since, default=None), min(until, default=None)


def effective(text: str) -> datetime:
    """The moment a statement takes effect: the start of the day or second its dateTime names. Raises ValueError for
    a date less precise than a day, which names no moment."""
    if len(text) < len("2000-01-01"):
        raise ValueError("not precise enough")
    return span(text)[0]


def youngest(text: str) -> date:
    """The latest day of birth that a birthDate, perhaps only a year or month, can mean. Raises ValueError."""
    return (span(text)[1] - timedelta(seconds=1)).date()


def instant(moment: datetime) -> str:
    """A FHIR instant in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
