"""A heat map of archives as one SVG: a row of small maps for each strategy.

The first row shows the best known scores. The first two descriptors are the axes of each map, from
bottom to top and from left to right; there is a map for every combination of the others. The colour
of a square is the mean best score of its cell over the seeds that filled it; its area is the share
of the seeds that filled it. A faint square is a cell that can be reached. Without a square, no
architecture has these descriptors.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product

from nas.objectives.descriptors import Cell, Descriptor, label
from nas.report.axes import labels, number, text, ticks

# The report's colours of a sequence, from the palest.
SHADES = ("#f0b429", "#e8944a", "#d9736a", "#bf5688", "#9a44a0", "#6d3aa8", "#3b319c")
PITCH, GAP, TOP = 17, 26, 92

_STYLE = """
.page { fill: #ffffff; } .free { fill: #e9eaed; }
text {
  font: 12px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #5d636e;
}
.head { font-size: 17px; font-weight: 600; fill: #1c1f24; }
.row { font-size: 13.5px; font-weight: 600; fill: #1c1f24; }
.tick { font-size: 10.5px; } .middle { text-anchor: middle; } .end { text-anchor: end; }
@media (prefers-color-scheme: dark) {
  .page { fill: #1a1d21; } .free { fill: #2b2f35; }
  text { fill: #a2a8b2; } .head, .row { fill: #e8e9eb; }
}
"""


@dataclass(frozen=True)
class Panel:
    """A strategy's name, and for each seed the score of every cell that it filled."""

    name: str
    seeds: Sequence[Mapping[Cell, float]]


@dataclass(frozen=True)
class Layout:
    """The positions and scales of the drawing.

    Attributes:
        descriptors: the axes, and the descriptors that need a map for each combination.
        rows, columns: the places on both axes, in their order.
        facets: the combinations of places in all further descriptors, a map for each.
        low, high: the scores of the first and the last colour.
        left: where the first map begins, in pixels.
        pitch: the distance between two columns in pixels, at least the width of their labels.
    """

    descriptors: tuple[Descriptor, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    facets: tuple[Cell, ...]
    low: float
    high: float
    left: float
    pitch: float

    @property
    def facet_width(self) -> float:
        """The width of one map with the gap after it."""
        return self.pitch * len(self.columns) + GAP

    @property
    def panel_height(self) -> float:
        """The height of one row of maps with the gap below it."""
        return PITCH * len(self.rows) + GAP + 12

    @property
    def width(self) -> float:
        """The width of the whole drawing."""
        return max(self.left + self.facet_width * len(self.facets) + 6, 680)


def heat_map(
    panels: Sequence[Panel],
    best: Mapping[Cell, float],
    descriptors: tuple[Descriptor, ...],
    title: str,
) -> str:
    """The SVG.

    Args:
        panels: the strategies, whose cells are places in these descriptors.
        best: the best known score of every reachable cell.
        descriptors: the axes first.
        title: above the maps.
    """
    shown = [Panel("best known", [best]), *panels]
    layout = _layout(best, descriptors, max(len(panel.name) for panel in shown))
    height = TOP + layout.panel_height * len(shown) + 30
    parts = [
        f'<rect class="page" width="{number(layout.width)}" height="{number(height)}" rx="8"/>',
        text(20, 32, title, "head"),
        _legend(layout),
    ]
    for place, facet in enumerate(layout.facets):
        words = ", ".join(
            f"{item.name.partition(':')[0]} {label(item, value)}"
            for item, value in zip(descriptors[2:], facet, strict=True)
        )
        middle = layout.left + layout.facet_width * place + layout.pitch * len(layout.columns) / 2
        parts.append(text(middle, TOP - 10, words, "middle"))
    for place, panel in enumerate(shown):
        parts += _panel(layout, panel, best, TOP + layout.panel_height * place)
    parts.append(text(20, height - 16, _caption(descriptors), "note"))
    width = number(layout.width)
    size = f'viewBox="0 0 {width} {number(height)}" width="{width}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>"
    )


def colour(share: float) -> str:
    """The colour at a share of the way from the first shade to the last."""
    place = min(max(share, 0.0), 1.0) * (len(SHADES) - 1)
    before = min(math.floor(place), len(SHADES) - 2)
    first, second = (
        tuple(int(SHADES[index][digit : digit + 2], 16) for digit in (1, 3, 5))
        for index in (before, before + 1)
    )
    return "#" + "".join(
        f"{round(start + (place - before) * (end - start)):02x}"
        for start, end in zip(first, second, strict=True)
    )


def _layout(
    best: Mapping[Cell, float], descriptors: tuple[Descriptor, ...], longest_name: int
) -> Layout:
    ordered = sorted(best.values())
    median, high = statistics.median(ordered), ordered[-1]
    # A few very bad cells would leave a single shade for all good ones, so all scores far below the
    # median get the palest shade.
    low = max(ordered[0], median - 3 * (high - median))
    rows = tuple(range(min(cell[0] for cell in best), max(cell[0] for cell in best) + 1))
    columns, widest_column = (0,), 1
    if descriptors[1:]:
        columns = tuple(range(min(cell[1] for cell in best), max(cell[1] for cell in best) + 1))
        widest_column = max(len(label(descriptors[1], column)) for column in columns)
    widest_row = max(len(label(descriptors[0], row)) for row in rows)
    return Layout(
        descriptors,
        rows,
        columns,
        facets=tuple(sorted({cell[2:] for cell in best})),
        low=low,
        high=high if high > low else low + 1,
        left=42 + 8 * longest_name + 6 * widest_row,
        pitch=max(PITCH, 6 * widest_column + 8),
    )


def _panel(layout: Layout, panel: Panel, best: Mapping[Cell, float], top: float) -> list[str]:
    covered = sum(len(found) for found in panel.seeds) / len(panel.seeds) / len(best)
    parts = [
        text(20, top + 18, panel.name, "row"),
        text(20, top + 36, f"{100 * covered:.1f} % of cells", "note"),
    ]
    bottom = top + PITCH * len(layout.rows)
    for place, row in enumerate(layout.rows):
        y = bottom - PITCH * (place + 0.5) + 4
        parts.append(text(layout.left - 7, y, label(layout.descriptors[0], row), "tick end"))
    for descriptor in layout.descriptors[1:2]:
        for place, index in product(range(len(layout.facets)), range(len(layout.columns))):
            x = layout.left + layout.facet_width * place + layout.pitch * (index + 0.5)
            words = label(descriptor, layout.columns[index])
            parts.append(text(x, bottom + 13, words, "tick middle"))
    for cell in best:
        column = sum(layout.columns.index(place) for place in cell[1:2])
        x = layout.left + layout.facet_width * layout.facets.index(cell[2:]) + layout.pitch * column
        y = bottom - PITCH * (layout.rows.index(cell[0]) + 1)
        parts += [
            _rectangle(x, y, layout.pitch - 2, PITCH - 2, 'class="free"'),
            _filled(layout, cell, panel, best[cell], x, y),
        ]
    return parts


def _filled(layout: Layout, cell: Cell, panel: Panel, best: float, x: float, y: float) -> str:
    """The square of a cell over the faint one at x and y; empty if no seed filled the cell."""
    found = [seed[cell] for seed in panel.seeds if cell in seed]
    if not found:
        return ""
    mean, share = sum(found) / len(found), len(found) / len(panel.seeds)
    # The share is the area, not the side.
    side = math.sqrt(share)
    wide, high, margin = (layout.pitch - 2) * side, (PITCH - 2) * side, (1 - side) / 2
    where = ", ".join(
        f"{item.name} {label(item, place)}"
        for item, place in zip(layout.descriptors, cell, strict=True)
    )
    title = f"{where}: {mean:.4g} of {best:.4g}, filled by {100 * share:.0f} % of the seeds"
    style = f'fill="{colour((mean - layout.low) / (layout.high - layout.low))}"'
    return _rectangle(
        x + margin * (layout.pitch - 2), y + margin * (PITCH - 2), wide, high, style, title
    )


def _rectangle(x: float, y: float, wide: float, high: float, style: str, title: str = "") -> str:
    inside = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect {style} x="{number(x)}" y="{number(y)}" width="{number(wide)}" '
        f'height="{number(high)}" rx="2">{inside}</rect>'
    )


def _legend(layout: Layout) -> str:
    """The scale of the colours."""
    left, wide = 20.0, 150.0
    steps = 30
    parts = [
        f'<rect x="{number(left + wide * step / steps)}" y="46" '
        f'width="{number(wide / steps + 0.5)}" height="9" fill="{colour((step + 0.5) / steps)}"/>'
        for step in range(steps)
    ]
    marks = ticks(layout.low, layout.high, about=3)
    for mark, words in zip(marks, labels(marks), strict=True):
        x = left + wide * (mark - layout.low) / (layout.high - layout.low)
        parts.append(text(x, 68, words, "tick middle"))
    note = "mean best score of a cell, palest: this or less; area: share of seeds that filled it"
    return "".join(parts) + text(left + wide + 14, 54, note, "note")


def _caption(descriptors: tuple[Descriptor, ...]) -> str:
    names = [item.name for item in descriptors]
    across = f", across: {names[1]}" if len(names) > 1 else ""
    beside = f", side by side: {', '.join(names[2:])}" if len(names) > 2 else ""
    return f"upwards: {names[0]}{across}{beside}"
