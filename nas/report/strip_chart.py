"""The chart of the finalists: one row of points each, with mean and standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.report.axes import WIDTH, Scale, dot, drawing, labels, line, text, ticks
from nas.report.markup import Html

# Between the rows, in pixels of the drawing.
GAP = 34


@dataclass(frozen=True)
class Strip:
    """A row of values, one for each seed.

    Attributes:
        mean, deviation: of the values; the deviation is None for one value.
        style: a class of the style sheet.
        won: whether the label is bold.
    """

    label: str
    values: tuple[float, ...]
    mean: float
    deviation: float | None
    style: str
    won: bool


def strips(rows: Sequence[Strip], *, description: str, x_label: str) -> Html:
    """A row of rings for each strip, with its mean as a bar and its deviation as a band."""
    left, bottom = 150, 16 + GAP * len(rows)
    low, high = _range(rows)
    x = Scale(low, high, left, WIDTH - 16)
    across = ticks(x.low, x.high, about=4)
    parts = []
    for value, label in zip(across, labels(across), strict=True):
        parts += [
            line(x(value), 8, x(value), bottom, "rule"),
            text(x(value), bottom + 18, label, "tick middle"),
        ]
    for place, row in enumerate(rows):
        parts += _row(row, x, 8 + GAP * (place + 0.5))
    parts += [
        line(left, bottom, WIDTH - 16, bottom, "axis"),
        text(WIDTH - 16, bottom + 37, x_label, "name end"),
    ]
    return drawing(bottom + 44, description, *parts)


def _range(rows: Sequence[Strip]) -> tuple[float, float]:
    values = [value for row in rows for value in row.values]
    bands = [row.mean + sign * (row.deviation or 0.0) for row in rows for sign in (-1, 1)]
    low, high = min([*values, *bands]), max([*values, *bands])
    margin = 0.06 * (high - low) or 0.01 * abs(high) or 1.0
    return low - margin, high + margin


def _row(row: Strip, x: Scale, y: float) -> list[str]:
    parts = [text(0, y + 4, row.label, f"label{' won' if row.won else ''} {row.style}")]
    if row.deviation:
        ends = x(row.mean - row.deviation), x(row.mean + row.deviation)
        parts.append(line(ends[0], y, ends[1], y, f"band {row.style}"))
    parts += [dot(x(value), y, 4, f"ring {row.style}", labels((value,))[0]) for value in row.values]
    parts.append(line(x(row.mean), y - 9, x(row.mean), y + 9, f"mean {row.style}"))
    return parts
