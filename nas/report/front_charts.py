"""The chart of a front: the trials by two objectives, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.report.axes import Axes, axes, dot, drawing, grid, log_ticks, path, shown_range, text
from nas.report.markup import Html

# An axis is logarithmic if its largest value is at least this many times its smallest one.
WIDE = 20
# On each side, as a share of the shown range.
MARGIN = 0.06


@dataclass(frozen=True)
class Axis:
    """One objective: its label, and whether higher is better."""

    label: str
    maximise: bool

    @property
    def sign(self) -> float:
        """The factor that makes higher values better."""
        return 1.0 if self.maximise else -1.0


@dataclass(frozen=True)
class Cloud:
    """The trials of an arm as (x, y, title).

    Attributes:
        style: a class of the style sheet.
        best: the trials on the arm's front.
        others: its other trials.
    """

    label: str
    style: str
    best: tuple[tuple[float, float, str], ...]
    others: tuple[tuple[float, float, str], ...]


def trade_off(clouds: Sequence[Cloud], x: Axis, y: Axis, *, description: str, joined: bool) -> Html:
    """The fronts as points in full colour, and all other trials as pale points.

    Args:
        clouds: the trials of each arm; the first arm is drawn over the others.
        joined: whether the edge of what each front dominates is drawn.
    """
    best = [point for cloud in clouds for point in cloud.best]
    points = best + [point for cloud in clouds for point in cloud.others]
    plot = _plot([point[:2] for point in points], [point[:2] for point in best], x, y)
    parts = [grid(plot)]
    for cloud in clouds:
        parts += [
            dot(plot.x(at), plot.y(up), 2.6, f"pale {cloud.style}", title)
            for at, up, title in cloud.others
        ]
    # The first arm is drawn last, over the others.
    for cloud in reversed(clouds):
        if joined and cloud.best:
            parts.append(path(_edge(plot, cloud, x, y), f"curve {cloud.style}"))
    for cloud in reversed(clouds):
        ring = "full" if cloud.style == "search" else "ring"
        parts += [
            dot(plot.x(at), plot.y(up), 4.2, f"{ring} {cloud.style}", title)
            for at, up, title in cloud.best
        ]
    return drawing(plot.height, description, *parts, _legend(plot, clouds))


def _plot(
    points: Sequence[tuple[float, float]], best: Sequence[tuple[float, float]], x: Axis, y: Axis
) -> Axes:
    """Axes that show the front well; values much worse than most lie at the edge."""
    (across, x_is_log), (up, y_is_log) = (
        _range([each[at] for each in points], [each[at] for each in best], axis)
        for at, axis in ((0, x), (1, y))
    )
    plot = axes(across, up, x_label=x.label, y_label=y.label, height=400)
    if x_is_log:
        x_ticks = log_ticks(plot.x.low, plot.x.high)
        plot = replace(plot, x=replace(plot.x, log=True), x_ticks=x_ticks)
    if y_is_log:
        y_ticks = log_ticks(plot.y.low, plot.y.high)
        plot = replace(plot, y=replace(plot.y, log=True), y_ticks=y_ticks)
    return plot


def _range(
    values: Sequence[float], always: Sequence[float], axis: Axis
) -> tuple[tuple[float, float], bool]:
    """The lowest and highest value to show, and whether the axis is logarithmic."""
    sign = axis.sign
    ends = shown_range([sign * value for value in values], [sign * value for value in always], 0.0)
    low, high = sorted(sign * end for end in ends)
    if low > 0 and high / low >= WIDE:
        margin = (high / low) ** MARGIN
        return (low / margin, high * margin), True
    margin = MARGIN * (high - low)
    # The margin does not extend below 0 if no value is negative.
    return (max(low - margin, 0.0) if low >= 0 else low - margin, high + margin), False


def _edge(plot: Axes, cloud: Cloud, x: Axis, y: Axis) -> list[tuple[float, float]]:
    """The edge of what the front dominates: stairs through all of its points.

    They begin at the worst y, below the point that is best in x, and end at the worst x, beside the
    point that is best in y.
    """
    ordered = sorted(cloud.best, key=lambda point: (-x.sign * point[0], y.sign * point[1]))
    worst_x = plot.x.low if x.maximise else plot.x.high
    worst_y = plot.y.low if y.maximise else plot.y.high
    corners = [(ordered[0][0], worst_y)]
    for at, up, _ in ordered:
        corners += [(at, corners[-1][1]), (at, up)]
    corners.append((worst_x, ordered[-1][1]))
    return [(plot.x(at), plot.y(up)) for at, up in corners]


def _legend(plot: Axes, clouds: Sequence[Cloud]) -> str:
    parts, right = [], plot.x.end
    for cloud in reversed(clouds):
        parts.append(text(right, 14, cloud.label, f"label end {cloud.style}"))
        right -= 8.4 * len(cloud.label) + 10
        ring = "full" if cloud.style == "search" else "ring"
        parts.append(dot(right, 10, 4.2, f"{ring} {cloud.style}"))
        right -= 20
    return "".join(parts)
