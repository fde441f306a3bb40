"""The axes of all charts: scales from values to places, round ticks, and the SVG around a plot.

Colours and fonts come from the page's style sheet by class, so one drawing serves light and dark,
screen and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from nas.objectives.descriptors import short
from nas.report.markup import Html

# Of every chart, in pixels at its natural size.
WIDTH = 540


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` are mapped to places from `start` to `end`.

    Values outside the range are mapped to its edge.

    Attributes:
        log: whether equal factors are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether the value is within the range."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Axes:
    """Two scales, each with its ticks and its label.

    Places on y are counted downwards, so `y.start` is the lower edge of the plot.
    """

    x: Scale
    y: Scale
    x_ticks: tuple[float, ...]
    y_ticks: tuple[float, ...]
    x_label: str
    y_label: str

    @property
    def height(self) -> float:
        """The height of the whole drawing."""
        return self.y.start + 44


def axes(
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    *,
    x_label: str,
    y_label: str,
    height: int = 320,
    right: int = 16,
) -> Axes:
    """Axes for a plot of the page's usual width.

    Args:
        x_range, y_range: the lowest and highest value to show; widened if both are equal.
        height: of the whole drawing, in pixels at its natural size.
        right: the room for labels beside the last points, in pixels.
    """
    (x_low, x_high), (y_low, y_high) = _widened(x_range), _widened(y_range)
    y_ticks = ticks(y_low, y_high)
    left = 14 + 7.4 * max(map(len, labels(y_ticks)), default=1)
    x = Scale(x_low, x_high, left, WIDTH - right)
    y = Scale(y_low, y_high, height - 44, 34)
    return Axes(x, y, ticks(x_low, x_high), y_ticks, x_label, y_label)


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Ticks of a logarithmic axis: 1, 2 and 5 times powers of ten between low and high.

    Only the powers of ten are used if there are more than four. Both ends are above 0.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = [10.0**power for power in range(first, last + 1)]
    factors = (1,) if len(powers) > 4 else (1, 2, 5)
    return tuple(
        factor * power for power in powers for factor in factors if low <= factor * power <= high
    )


def ticks(low: float, high: float, about: int = 5) -> tuple[float, ...]:
    """Round values between low and high: multiples of 1, 2 or 5 times a power of ten.

    Args:
        about: the number of ticks aimed at.
    """
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return (low,) if math.isfinite(low) else ()
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 1e-300 else 0.0
    if power == 0.0 or span <= 1e-12 * max(abs(low), abs(high)):
        return (low, high)
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(math.log(factor * power / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(number * step for number in range(first, last + 1))


def labels(values: Sequence[float]) -> tuple[str, ...]:
    """The values as text, with as many decimals as their steps need.

    Thousands and millions have a letter; larger and very small values have powers of ten.
    """
    if not values:
        return ()
    largest = max(map(abs, values))
    steps = (abs(after - before) for before, after in pairwise(values))
    step = min(steps, default=largest) or 1.0
    if step >= 100 and 1e4 <= largest < 1e12:
        return tuple(short(value).replace("-", "−") for value in values)
    if not 1e-6 < step < 1e7 or largest >= 1e7:
        return tuple(f"{value:.3g}".replace("-", "−") for value in values)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return tuple(f"{value + 0.0:.{decimals}f}".replace("-", "−") for value in values)


def shown_range(
    values: Sequence[float], always: Sequence[float] = (), pad: float = 0.05
) -> tuple[float, float]:
    """The range to show so that good values can be distinguished; outliers below it are left out.

    An outlier is more than three times as far from the median as the highest value is. At most a
    tenth of the values is left out.

    Args:
        always: values that are never left out.
        pad: the margin on each side, as a share of the range.
    """
    ordered = sorted(value for value in (*values, *always) if math.isfinite(value))
    if not ordered:
        return 0.0, 1.0
    median, high = ordered[len(ordered) // 2], ordered[-1]
    low = min([max(ordered[0], median - 3 * (high - median)), ordered[len(ordered) // 10], *always])
    margin = pad * (high - low)
    return low - margin, high + margin


def spread_out(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places, moved apart in their order until neighbours are at least `gap` apart.

    None is outside low..high if there is room for all.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    result = list(places)
    for before, after in pairwise(order):
        result[after] = max(result[after], result[before] + gap)
    edge = high
    for index in reversed(order):
        result[index] = min(result[index], edge)
        edge = result[index] - gap
    overflow = max(0.0, low - min(result, default=low))
    return [place + overflow for place in result]


def drawing(height: float, description: str, *content: str) -> Html:
    """An SVG of the page's chart width; screen readers read the description."""
    return Html(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {number(height)}" '
        f'xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(description)}">'
        f"{''.join(content)}</svg>"
    )


def grid(plot: Axes, x_ticks: Sequence[float] | None = None) -> str:
    """The horizontal rules, the tick labels and the names of both axes."""
    left, right, bottom = plot.x.start, plot.x.end, plot.y.start
    parts = []
    for value, label in zip(plot.y_ticks, labels(plot.y_ticks), strict=True):
        parts += [
            line(left, plot.y(value), right, plot.y(value), "rule"),
            text(left - 8, plot.y(value) + 4, label, "tick end"),
        ]
    across = plot.x_ticks if x_ticks is None else tuple(x_ticks)
    for value, label in zip(across, labels(across), strict=True):
        parts += [
            line(plot.x(value), bottom, plot.x(value), bottom + 4, "axis"),
            text(plot.x(value), bottom + 18, label, "tick middle"),
        ]
    parts += [
        line(left, bottom, right, bottom, "axis"),
        text(0, 14, plot.y_label, "name"),
        text(right, bottom + 37, plot.x_label, "name end"),
    ]
    return "".join(parts)


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    return (
        f'<line class="{style}" x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" '
        f'y2="{number(y2)}"/>'
    )


def text(x: float, y: float, words: str, style: str) -> str:
    """A line of text; its start is at x, or its middle or end with the class of that name."""
    return f'<text class="{style}" x="{number(x)}" y="{number(y)}">{escape(words)}</text>'


def path(points: Sequence[tuple[float, float]], style: str) -> str:
    """A line through the points."""
    places = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return f'<polyline class="{style}" points="{places}"/>'


def dot(x: float, y: float, radius: float, style: str, title: str = "") -> str:
    """A circle; the title is shown under the pointer."""
    inside = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<circle class="{style}" cx="{number(x)}" cy="{number(y)}" '
        f'r="{number(radius)}">{inside}</circle>'
    )


def number(value: float) -> str:
    """A place in the drawing, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _widened(given: tuple[float, float]) -> tuple[float, float]:
    low, high = given
    if high - low > 1e-12 * max(abs(low), abs(high), 1e-300):
        return low, high
    margin = 0.05 * abs(low) or 1.0
    return low - margin, high + margin
