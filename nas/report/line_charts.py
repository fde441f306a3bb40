"""The report's line charts: the best score so far, and learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from nas.report.axes import (
    Axes,
    axes,
    dot,
    drawing,
    grid,
    number,
    path,
    shown_range,
    spread_out,
    text,
)
from nas.report.markup import Html


@dataclass(frozen=True)
class Series:
    """Points of one kind, from left to right.

    Attributes:
        label: stands beside the last point.
        points: (x, y).
        style: a class of the style sheet: `search`, `baseline`, `strong`, `faint`.
        titles: shown under the pointer: one for each point, or one for all, or none.
        missing: places on x without a value, each with a title.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    style: str
    titles: tuple[str, ...] = ()
    missing: tuple[tuple[float, str], ...] = ()


def best_so_far(
    series: Sequence[Series], *, budget: int, description: str, x_label: str, y_label: str
) -> Html:
    """Rising steps of the best value so far in each series, over its points.

    A tick on the axis marks a missing value.

    Args:
        budget: the end of the x axis.
        description: for readers who do not see the chart.
    """
    bests = [_running_best(item.points) for item in series]
    values = [y for item in series for _, y in item.points]
    # The first values may be far too low; the range is chosen so that the last ones are seen well.
    plot = axes(
        (0, budget),
        shown_range(values, [best[-1][1] for best in bests if best]),
        x_label=x_label,
        y_label=y_label,
        right=_label_room(series),
    )
    parts = [grid(plot, _whole(plot.x_ticks))]
    for item in series:
        titles = item.titles or ("",) * len(item.points)
        parts += [
            _point(plot, point, item.style, title)
            for point, title in zip(item.points, titles, strict=True)
        ]
        parts += [_miss(plot, x, item.style, title) for x, title in item.missing]
    ends = []
    for item, best in zip(series, bests, strict=True):
        if best:
            last_x, last_y = max([item.points[-1][0], *(x for x, _ in item.missing)]), best[-1][1]
            corners = [(plot.x(x), plot.y(y)) for x, y in [*_steps(best), (last_x, last_y)]]
            parts.append(path(corners, f"curve {item.style}"))
            ends.append((item.label, last_y, item.style))
    parts.append(_end_labels(plot, ends))
    return drawing(plot.height, description, *parts)


def curves(series: Sequence[Series], *, description: str, x_label: str, y_label: str) -> Html:
    """A line through the points of each series, with its label at the end if it has one.

    The part of a line below the shown range is not drawn.
    """
    points = [point for item in series for point in item.points]
    last = [item.points[-1][1] for item in series if item.points]
    across = (min((x for x, _ in points), default=0), max((x for x, _ in points), default=1))
    plot = axes(
        across,
        shown_range([y for _, y in points], last),
        x_label=x_label,
        y_label=y_label,
        right=_label_room(series),
    )
    parts = [grid(plot, _whole(plot.x_ticks))]
    for item in series:
        shown = [(plot.x(x), plot.y(y)) for x, y in _above(item.points, plot.y.low)]
        parts.append(path(shown, f"curve thin {item.style}"))
        end_x, end_y = item.points[-1]
        title = "".join(item.titles[:1])
        parts.append(dot(plot.x(end_x), plot.y(end_y), 3, f"full {item.style}", title))
    ends = [(item.label, item.points[-1][1], item.style) for item in series if item.label]
    parts.append(_end_labels(plot, ends))
    return drawing(plot.height, description, *parts)


def _whole(values: Sequence[float]) -> list[float]:
    return [value for value in values if value == int(value)]


def _running_best(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that are better than all before them."""
    result: list[tuple[float, float]] = []
    for x, y in points:
        if not result or y > result[-1][1]:
            result.append((x, y))
    return result


def _steps(best: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of stairs through the points: first to the right, then up."""
    corners = [best[0]]
    for (_, before), (x, y) in pairwise(best):
        corners += [(x, before), (x, y)]
    return corners


def _above(points: Sequence[tuple[float, float]], low: float) -> list[tuple[float, float]]:
    """The line through the points, from where it rises above `low` for the last time."""
    start = max((place for place, (_, y) in enumerate(points) if y < low), default=-1)
    if start < 0 or start == len(points) - 1:
        return list(points)
    (x, y), (next_x, next_y) = points[start], points[start + 1]
    return [(x + (next_x - x) * (low - y) / (next_y - y), low), *points[start + 1 :]]


def _point(plot: Axes, point: tuple[float, float], style: str, title: str) -> str:
    """A dot, or a triangle at the lower edge for a value below the shown range."""
    x, y = point
    if plot.y.holds(y):
        return dot(plot.x(x), plot.y(y), 2.6, f"point {style}", title)
    at, bottom = plot.x(x), plot.y.start - 3
    corners = " ".join(
        f"{number(at + dx)},{number(bottom + dy)}" for dx, dy in ((-3.5, -6), (3.5, -6), (0, 0))
    )
    shape = f'<polygon class="point {style}" points="{corners}">'
    return f"{shape}<title>{escape(title)}</title></polygon>"


def _miss(plot: Axes, x: float, style: str, title: str) -> str:
    """A tick on the x axis."""
    at, bottom, top = number(plot.x(x)), number(plot.y.start), number(plot.y.start - 9)
    shape = f'<line class="miss {style}" x1="{at}" y1="{bottom}" x2="{at}" y2="{top}">'
    return f"{shape}<title>{escape(title)}</title></line>"


def _label_room(series: Sequence[Series]) -> int:
    return 16 + 7 * max((len(item.label) for item in series), default=0)


def _end_labels(plot: Axes, ends: Sequence[tuple[str, float, str]]) -> str:
    """The labels (text, value, style) to the right of the plot, moved apart if they would touch."""
    places = spread_out([plot.y(value) + 4 for _, value, _ in ends], 16, plot.y.end, plot.y.start)
    return "".join(
        text(plot.x.end + 8, place, label, f"label {style}")
        for (label, _, style), place in zip(ends, places, strict=True)
    )
