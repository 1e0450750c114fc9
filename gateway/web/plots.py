"""How does a row of numbers become a picture? Small SVG plots made here: no script, no style attribute, only classes.

What is plotted is told again in a table beside it: the picture carries a short name for who cannot see it. Knows no
journal and no words of its own: labels are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 720, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 24
_GRID = 4


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of number over time: `name` is its CSS class, one value for every place on the axis; None is a gap."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Mark:
    """A label under the axis, at a place."""

    place: int
    text: str


def bars(title: str, series: Sequence[Series], marks: Sequence[Mark]) -> Markup:
    """Stacked bars, the first series at the bottom."""
    number = _number(series)
    heights = [sum(one.values[place] or 0 for one in series) for place in range(number)]
    top = nice(max(heights, default=0))
    width = (_WIDTH - _LEFT - _RIGHT) / max(number, 1)
    drawn = Markup("").join(
        _stack(_LEFT + place * width, width, top, [(one.name, one.values[place] or 0) for one in series])
        for place in range(number)
    )
    return _plot(title, _grid(top) + drawn + _labels(marks, width))


def lines(title: str, series: Sequence[Series], marks: Sequence[Mark]) -> Markup:
    """One line for each series, broken where there is no value; a value with none beside it is a dot."""
    number = _number(series)
    top = nice(max((value for one in series for value in one.values if value is not None), default=0))
    width = (_WIDTH - _LEFT - _RIGHT) / max(number, 1)
    drawn = Markup("").join(_line(one, width, top) for one in series)
    return _plot(title, _grid(top) + drawn + _labels(marks, width))


def spans(title: str, rows: Sequence[tuple[str, str, float, float]], total: float, unit: str) -> Markup:
    """Horizontal stretches below each other: (label, class, begin, end) on a scale from 0 to `total`."""
    top = nice(total)
    row_height, left = 26, 190
    height = len(rows) * row_height + _BOTTOM + _TOP
    scale = (_WIDTH - left - _RIGHT - 60) / top
    drawn = Markup("")
    for at, (label, name, begin, end) in enumerate(rows):
        y = _TOP + at * row_height
        x, length = left + begin * scale, max((end - begin) * scale, 2)
        drawn += Markup(
            '<text class="label" x="{}" y="{}" text-anchor="end">{}</text>'
            '<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2"/>'
            '<text class="value" x="{:.1f}" y="{}">{}</text>'
        ).format(
            *(left - 8, y + 16, label[:28], name, x, y + 3, length, row_height - 8),
            *(x + length + 5, y + 16, f"{end - begin:.0f} {unit}"),
        )
    return _plot(title, drawn, height)


def nice(value: float) -> float:
    """The end of an axis that holds this value: 4, 8, 12, 20, 40, 80, 120, ..., so that a quarter is a round number."""
    if value <= 0:
        return 4.0
    size = 1.0
    while True:
        for step in (4, 8, 12, 20):
            if value <= step * size:
                return step * size
        size *= 10


# --- parts -----------------------------------------------------------------------------------------------------------


def _plot(title: str, inside: Markup, height: int = _HEIGHT) -> Markup:
    return Markup('<svg class="plot" role="img" viewBox="0 0 {} {}" aria-label="{}"><title>{}</title>{}</svg>').format(
        _WIDTH, height, title, title, inside
    )


def _number(series: Sequence[Series]) -> int:
    return max((len(one.values) for one in series), default=0)


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM)


def _grid(top: float) -> Markup:
    drawn = Markup("")
    for part in range(_GRID + 1):
        value = top * part / _GRID
        drawn += Markup(
            '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
            '<text class="axis" x="{}" y="{:.1f}" text-anchor="end">{:g}</text>'
        ).format(*(_LEFT, _WIDTH - _RIGHT, _y(value, top), _y(value, top)), *(_LEFT - 6, _y(value, top) + 4, value))
    return drawn


def _labels(marks: Sequence[Mark], width: float) -> Markup:
    return Markup("").join(
        Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            min(max(_LEFT + (mark.place + 0.5) * width, _LEFT + 14), _WIDTH - 20), _HEIGHT - 6, mark.text
        )
        for mark in marks
    )


def _stack(x: float, width: float, top: float, parts: Sequence[tuple[str, float]]) -> Markup:
    drawn, below = Markup(""), 0.0
    for name, value in parts:
        if value > 0:
            y, height = _y(below + value, top), _y(below, top) - _y(below + value, top)
            drawn += Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                name, x + width * 0.1, y, width * 0.8, height
            )
            below += value
    return drawn


def _line(series: Series, width: float, top: float) -> Markup:
    drawn, run = Markup(""), list[tuple[float, float]]()
    for place, value in enumerate([*series.values, None]):
        if value is not None:
            run.append((_LEFT + (place + 0.5) * width, _y(value, top)))
        elif run:
            drawn += _run(series.name, run)
            run = []
    return drawn


def _run(name: str, run: Sequence[tuple[float, float]]) -> Markup:
    if len(run) == 1:
        return Markup('<circle class="{} dot" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(name, *run[0])
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
    return Markup('<polyline class="{}" points="{}"/>').format(name, points)
