"""The surrogate's charts: predicted against observed scores, and bars by round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from math import ceil

from nas.report.axes import Axes, axes, dot, drawing, grid, line, number, shown_range, text
from nas.report.markup import Html

# The number of shades in the colour scale of the rounds, in the style sheet.
SHADES = 7


@dataclass(frozen=True)
class Judged:
    """A prediction and the observed value.

    Attributes:
        half: half of the interval's width.
        shade: from 0 (early) to 1 (late).
        title: shown under the pointer.
    """

    predicted: float
    half: float
    observed: float
    shade: float
    title: str


def agreement(
    judged: Sequence[Judged], *, description: str, x_label: str, y_label: str, ends: tuple[str, str]
) -> Html:
    """Observed over predicted values, with intervals as whiskers and the diagonal of equality.

    Args:
        ends: the names of the first and the last shade, for the legend.
    """
    both = shown_range([value for item in judged for value in (item.predicted, item.observed)])
    plot = axes(both, both, x_label=x_label, y_label=y_label, height=400)
    low, high = plot.x.low, plot.x.high
    parts = [grid(plot), line(plot.x(low), plot.y(low), plot.x(high), plot.y(high), "diagonal")]
    for item in judged:
        left, right = plot.x(item.predicted - item.half), plot.x(item.predicted + item.half)
        y, style = plot.y(item.observed), f"shade-{_shade(item.shade)}"
        parts.append(line(left, y, right, y, f"whisker {style}"))
    for item in judged:
        inside = plot.x.holds(item.predicted) and plot.y.holds(item.observed)
        style = f"{'full' if inside else 'edge'} shade-{_shade(item.shade)}"
        parts.append(dot(plot.x(item.predicted), plot.y(item.observed), 3.6, style, item.title))
    return drawing(plot.height, description, *parts, _shade_legend(plot, ends))


def bars(
    values: Sequence[tuple[str, float | None]],
    *,
    y_label: str,
    x_label: str,
    description: str,
    reference: tuple[float, str] | None = None,
) -> Html:
    """A bar from zero for each value, with an axis from -1 to 1 or from 0 to 1.

    Args:
        values: a label and a value for each bar; a dash stands for None.
        reference: the value and the label of a dashed line.
    """
    lowest = min([0.0, *(value for _, value in values if value is not None)])
    plot = axes(
        (0, len(values)),
        (max(-1.0, 1.1 * lowest), 1.0),
        x_label=x_label,
        y_label=y_label,
        height=210,
    )
    halves = tuple(tick for tick in (-1.0, -0.5, 0.0, 0.5, 1.0) if plot.y.holds(tick))
    parts = [grid(replace(plot, x_ticks=(), y_ticks=halves))]
    width = (plot.x.end - plot.x.start) / len(values)
    thick, every = min(0.64 * width, 48.0), ceil(26 / width)
    for place, (label, value) in enumerate(values):
        middle = plot.x(place + 0.5)
        if place % every == 0:
            parts.append(text(middle, plot.y.start + 18, label, "tick middle"))
        if value is None:
            parts.append(text(middle, plot.y(0) - 5, "–", "tick middle"))
        else:
            parts.append(_bar(plot, middle, thick, label, value))
    if reference is not None:
        y = plot.y(reference[0])
        parts += [
            line(plot.x.start, y, plot.x.end, y, "reference"),
            text(plot.x.end, y - 5, reference[1], "note end"),
        ]
    return drawing(plot.height, description, *parts)


def _bar(plot: Axes, middle: float, thick: float, label: str, value: float) -> str:
    top, bottom = sorted((plot.y(value), plot.y(0)))
    shape = (
        f'x="{number(middle - thick / 2)}" y="{number(top)}" width="{number(thick)}" '
        f'height="{number(max(bottom - top, 1))}"'
    )
    return f'<rect class="bar" {shape}><title>{escape(label)}: {value:.2f}</title></rect>'


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
    first = text(right - size * SHADES - 6, 14, ends[0], "note end")
    last = text(plot.x.end, 14, ends[1], "note end")
    return first + squares + last
