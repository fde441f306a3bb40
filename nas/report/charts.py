"""The report's charts: pure functions from numbers to SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil

from nas.report.axes import (
    WIDTH,
    Axes,
    Scale,
    axes,
    dot,
    drawing,
    grid,
    labels,
    line,
    number,
    path,
    shown_range,
    spread_out,
    text,
    ticks,
)
from nas.report.markup import Html

# How many shades of the rounds' colour scale the style sheet has.
SHADES = 7


@dataclass(frozen=True)
class Series:
    """Points of one kind, from left to right.

    Attributes:
        label: stands beside the last point.
        points: (x, y).
        style: a class of the style sheet: `search`, `baseline`, `strong`, `faint`.
        titles: of each point, or one for all, shown under the pointer; or none.
        missing: places on x where there is no value, with a title each.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    style: str
    titles: tuple[str, ...] = ()
    missing: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Judged:
    """A prediction and what came out; `half` is half of the interval's width, `shade` from 0
    (early) to 1 (late).
    """

    predicted: float
    half: float
    observed: float
    shade: float
    title: str


@dataclass(frozen=True)
class Strip:
    """A row of values, one a seed, with their mean and standard deviation (None for one value)."""

    label: str
    values: tuple[float, ...]
    mean: float
    deviation: float | None
    style: str
    won: bool


def best_so_far(
    series: Sequence[Series], *, budget: int, description: str, x_label: str, y_label: str
) -> Html:
    """A rising step for the best value so far in each series, over its points; ticks on the axis
    where a value is missing.
    """
    bests = [_running_best(item.points) for item in series]
    values = [y for item in series for _, y in item.points]
    # The first steps may be from hopeless beginnings; the last ones must be seen well.
    plot = axes(
        (0, budget),
        shown_range(values, [best[-1][1] for best in bests if best]),
        x_label=x_label,
        y_label=y_label,
        right=_label_room(series),
    )
    parts = [grid(plot, [value for value in plot.x_ticks if value == int(value)])]
    for item in series:
        titles = item.titles or ("",) * len(item.points)
        parts += [
            _point(plot, point, item.style, title)
            for point, title in zip(item.points, titles, strict=True)
        ]
        parts += [_miss(plot, x, item.style, title) for x, title in item.missing]
    for item, best in zip(series, bests, strict=True):
        if best:
            last = max([item.points[-1][0], *(x for x, _ in item.missing)])
            corners = [
                corner
                for (x, y), before in zip(best, [None, *best], strict=False)
                for corner in ([(x, before[1]), (x, y)] if before else [(x, y)])
            ]
            parts.append(
                path(
                    [(plot.x(x), plot.y(y)) for x, y in [*corners, (last, best[-1][1])]],
                    f"curve {item.style}",
                )
            )
    parts.append(
        _end_labels(
            plot,
            [
                (item.label, best[-1][1], item.style)
                for item, best in zip(series, bests, strict=True)
                if best
            ],
        )
    )
    return drawing(plot.height, description, *parts)


def curves(series: Sequence[Series], *, description: str, x_label: str, y_label: str) -> Html:
    """A line through the points of each series, with its label, if it has one, at the end. What is
    below the shown range is left out.
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
    parts = [grid(plot, [value for value in plot.x_ticks if value == int(value)])]
    for item in series:
        parts.append(
            path(
                [(plot.x(x), plot.y(y)) for x, y in _above(item.points, plot.y.low)],
                f"curve thin {item.style}",
            )
        )
        parts.append(
            dot(
                plot.x(item.points[-1][0]),
                plot.y(item.points[-1][1]),
                3,
                f"full {item.style}",
                "".join(item.titles[:1]),
            )
        )
    parts.append(
        _end_labels(
            plot, [(item.label, item.points[-1][1], item.style) for item in series if item.label]
        )
    )
    return drawing(plot.height, description, *parts)


def agreement(
    judged: Sequence[Judged], *, description: str, x_label: str, y_label: str, ends: tuple[str, str]
) -> Html:
    """Observed over predicted values with the intervals as whiskers, and the diagonal where both
    agree; `ends` name the first and last shade.
    """
    both = shown_range([value for item in judged for value in (item.predicted, item.observed)])
    plot = axes(both, both, x_label=x_label, y_label=y_label, height=400)
    low, high = plot.x.low, plot.x.high
    parts = [grid(plot), line(plot.x(low), plot.y(low), plot.x(high), plot.y(high), "diagonal")]
    for item in judged:
        y, style = plot.y(item.observed), f"shade-{_shade(item.shade)}"
        parts.append(
            line(
                plot.x(item.predicted - item.half),
                y,
                plot.x(item.predicted + item.half),
                y,
                f"whisker {style}",
            )
        )
    for item in judged:
        inside = plot.x.holds(item.predicted) and plot.y.holds(item.observed)
        style = f"{'full' if inside else 'edge'} shade-{_shade(item.shade)}"
        parts.append(dot(plot.x(item.predicted), plot.y(item.observed), 3.6, style, item.title))
    return drawing(plot.height, description, *parts, _shade_legend(plot, ends))


def strips(rows: Sequence[Strip], *, description: str, x_label: str) -> Html:
    """A row of dots for each, its mean as a bar and its deviation as a band."""
    values = [value for row in rows for value in row.values]
    spreads = [row.mean + sign * (row.deviation or 0.0) for row in rows for sign in (-1, 1)]
    left, gap, bottom = 150, 34, 16 + 34 * len(rows)
    low, high = min([*values, *spreads]), max([*values, *spreads])
    margin = 0.06 * (high - low) or 0.01 * abs(high) or 1.0
    x = Scale(low - margin, high + margin, left, WIDTH - 16)
    across = ticks(x.low, x.high, about=4)
    parts = []
    for value, label in zip(across, labels(across), strict=True):
        parts += [
            line(x(value), 8, x(value), bottom, "rule"),
            text(x(value), bottom + 18, label, "tick middle"),
        ]
    for place, row in enumerate(rows):
        y = 8 + gap * (place + 0.5)
        deviation = row.deviation or 0.0
        parts.append(text(0, y + 4, row.label, f"label{' won' if row.won else ''} {row.style}"))
        if deviation:
            parts.append(
                line(x(row.mean - deviation), y, x(row.mean + deviation), y, f"band {row.style}")
            )
        parts += [
            dot(x(value), y, 4, f"ring {row.style}", labels((value,))[0]) for value in row.values
        ]
        parts.append(line(x(row.mean), y - 9, x(row.mean), y + 9, f"mean {row.style}"))
    parts += [
        line(left, bottom, WIDTH - 16, bottom, "axis"),
        text(WIDTH - 16, bottom + 37, x_label, "name end"),
    ]
    return drawing(bottom + 44, description, *parts)


def bars(
    values: Sequence[tuple[str, float | None]],
    *,
    y_label: str,
    x_label: str,
    description: str,
    reference: tuple[float, str] | None = None,
) -> Html:
    """A bar for each value from zero, within -1..1 or 0..1; a dash where there is none, and a
    dashed line at the reference.
    """
    lowest = min([0.0, *(value for _, value in values if value is not None)])
    plot = axes(
        (0, len(values)),
        (max(-1.0, 1.1 * lowest), 1.0),
        x_label=x_label,
        y_label=y_label,
        height=210,
    )
    shown = Axes(
        plot.x,
        plot.y,
        (),
        tuple(tick for tick in (-1.0, -0.5, 0.0, 0.5, 1.0) if plot.y.holds(tick)),
        x_label,
        y_label,
    )
    width = (plot.x.end - plot.x.start) / len(values)
    thick, every = min(0.64 * width, 48.0), ceil(26 / width)
    parts = [grid(shown)]
    for place, (label, value) in enumerate(values):
        middle = plot.x(place + 0.5)
        if place % every == 0:
            parts.append(text(middle, plot.y.start + 18, label, "tick middle"))
        if value is None:
            parts.append(text(middle, plot.y(0) - 5, "–", "tick middle"))
            continue
        top, base = sorted((plot.y(value), plot.y(0)))
        shape = (
            f'x="{number(middle - thick / 2)}" y="{number(top)}" width="{number(thick)}" '
            f'height="{number(max(base - top, 1))}"'
        )
        parts.append(
            f'<rect class="bar" {shape}><title>{escape(label)}: {value:.2f}</title></rect>'
        )
    if reference is not None:
        y = plot.y(reference[0])
        parts += [
            line(plot.x.start, y, plot.x.end, y, "reference"),
            text(plot.x.end, y - 5, reference[1], "note end"),
        ]
    return drawing(plot.height, description, *parts)


def _running_best(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    result: list[tuple[float, float]] = []
    for x, y in points:
        if not result or y > result[-1][1]:
            result.append((x, y))
    return result


def _above(points: Sequence[tuple[float, float]], low: float) -> list[tuple[float, float]]:
    """The line through the points from where it rises above `low` for the last time."""
    start = max((place for place, (_, y) in enumerate(points) if y < low), default=-1)
    if start < 0 or start == len(points) - 1:
        return list(points)
    (x, y), (next_x, next_y) = points[start], points[start + 1]
    return [(x + (next_x - x) * (low - y) / (next_y - y), low), *points[start + 1 :]]


def _point(plot: Axes, point: tuple[float, float], style: str, title: str) -> str:
    x, y = point
    if plot.y.holds(y):
        return dot(plot.x(x), plot.y(y), 2.6, f"point {style}", title)
    at, bottom = plot.x(x), plot.y.start - 3
    corners = " ".join(
        f"{number(at + dx)},{number(bottom + dy)}" for dx, dy in ((-3.5, -6), (3.5, -6), (0, 0))
    )
    return (
        f'<polygon class="point {style}" '
        f'points="{corners}"><title>{escape(title)}</title></polygon>'
    )


def _miss(plot: Axes, x: float, style: str, title: str) -> str:
    at, bottom = number(plot.x(x)), plot.y.start
    return (
        f'<line class="miss {style}" x1="{at}" y1="{number(bottom)}" x2="{at}" '
        f'y2="{number(bottom - 9)}"><title>{escape(title)}</title></line>'
    )


def _label_room(series: Sequence[Series]) -> int:
    return 16 + 7 * max((len(item.label) for item in series), default=0)


def _end_labels(plot: Axes, ends: Sequence[tuple[str, float, str]]) -> str:
    places = spread_out([plot.y(value) + 4 for _, value, _ in ends], 16, plot.y.end, plot.y.start)
    return "".join(
        text(plot.x.end + 8, place, label, f"label {style}")
        for (label, _, style), place in zip(ends, places, strict=True)
    )


def _shade(share: float) -> int:
    return min(SHADES - 1, int(share * SHADES))


def _shade_legend(plot: Axes, ends: tuple[str, str]) -> str:
    if ends[0] == ends[1]:
        return text(plot.x.end, 14, ends[0], "note end")
    size, right = 11, plot.x.end - 7.2 * len(ends[1]) - 6
    squares = "".join(
        f'<rect class="full shade-{shade}" x="{number(right - size * (SHADES - shade))}" y="5" '
        f'width="{size}" height="{size}"/>'
        for shade in range(SHADES)
    )
    return (
        text(right - size * SHADES - 6, 14, ends[0], "note end")
        + squares
        + text(plot.x.end, 14, ends[1], "note end")
    )
