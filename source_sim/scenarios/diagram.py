"""Who said what to whom? A played scenario as a sequence diagram: one self-contained SVG without script.

It knows arrows between names. Widths are told in user units; text is escaped, long labels are shortened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from source_sim.scenarios.played import Arrow, Kind, Played, StepPlayed

EXCHANGE: Final = "switchpoint"
_LANE: Final = 210
_MARGIN: Final = 110
_TOP: Final = 96
_ROW: Final = 34
_LONGEST: Final = 32
_STYLE: Final = """
text{font:13px system-ui,sans-serif;fill:#1b2733}
.title{font-size:17px;font-weight:600}.story{fill:#4a5a68}.step{font-weight:600}.came{fill:#4a5a68}
.line{stroke:#9aa8b4;stroke-dasharray:3 4}.box{fill:#eef3f7;stroke:#9aa8b4}.band{fill:#f6f8fa}
.asks{stroke:#1f5f99}.gives{stroke:#1b7a43}.fails{stroke:#b3261e;stroke-dasharray:6 3}.note{stroke:#6b4fa0}
.label{text-anchor:middle}.fails-text{fill:#b3261e}.wrong{fill:#b3261e;font-weight:600}
"""


def diagram(played: Played) -> str:
    """The SVG text."""
    lanes = _lanes(played)
    width = max(_MARGIN * 2 + _LANE * (len(lanes) - 1), 640)
    rows = list(_rows(played.steps))
    height = _TOP + 50 + _ROW * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="{escape(played.read.scenario.scenario)}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="20" y="28">{escape(played.read.scenario.scenario)}</text>',
        f'<text class="story" x="20" y="48">{escape(_short(" ".join(played.read.scenario.story.split()), 110))}</text>',
    ]
    for name, x in lanes.items():
        parts += _lane(name, x, height)
    for place, row in enumerate(rows):
        parts += _drawn(row, lanes, _TOP + 60 + _ROW * place, width)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _lanes(played: Played) -> dict[str, int]:
    """Who takes part, from left to right: patients, requesters, the exchange, custodians."""
    given = played.read.scenario.given
    used = {name for step in played.steps for arrow in step.arrows for name in (arrow.source, arrow.target)}
    custodians = [name for name, one in given.organisations.items() if one.holds_records]
    requesters = [name for name, one in given.organisations.items() if not one.holds_records]
    order = [*given.patients, *requesters, EXCHANGE, *custodians]
    shown = [name for name in order if name in used or name == EXCHANGE]
    shown += sorted(used - set(shown))
    return {name: _MARGIN + _LANE * place for place, name in enumerate(shown)}


def _rows(steps: Sequence[StepPlayed]) -> Iterator[StepPlayed | Arrow]:
    for step in steps:
        yield step
        yield from step.arrows


def _lane(name: str, x: int, height: int) -> list[str]:
    return [
        f'<line class="line" x1="{x}" y1="{_TOP}" x2="{x}" y2="{height - 20}"/>',
        f'<rect class="box" x="{x - 80}" y="{_TOP - 30}" width="160" height="28" rx="4"/>',
        f'<text class="label" x="{x}" y="{_TOP - 11}">{escape(_short(name, 22))}</text>',
    ]


def _drawn(row: StepPlayed | Arrow, lanes: dict[str, int], y: int, width: int) -> list[str]:
    if isinstance(row, StepPlayed):
        wrong = ' <tspan class="wrong">otherwise than told</tspan>' if row.differences else ""
        told = escape(_short(f"{row.number}. {row.note or row.title}", 100))
        band = f'<rect class="band" x="0" y="{y - 19}" width="{width}" height="{_ROW - 8}"/>'
        return [band, f'<text class="step" x="20" y="{y}">{told}{wrong}</text>']
    start, end = lanes[row.source], lanes[row.target]
    label = escape(_short(row.label, _LONGEST + 30 * max(abs(end - start) // _LANE - 1, 0)))
    if start == end:
        return [f'<text class="label {row.kind}-text" x="{start}" y="{y}">{label}</text>']
    return [
        *_shaft(row.kind, start, end, y),
        f'<text class="label {row.kind}-text" x="{(start + end) // 2}" y="{y - 7}">{label}</text>',
    ]


def _shaft(kind: Kind, start: int, end: int, y: int) -> list[str]:
    back = 8 if end < start else -8
    head = f"{end},{y} {end + back},{y - 4} {end + back},{y + 4}"
    return [
        f'<line class="{kind}" x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke-width="1.5"/>',
        f'<polygon class="{kind}" points="{head}"/>',
    ]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
