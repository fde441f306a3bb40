"""The front's charts: pure functions from objective values to SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.report.axes import Axes, axes, dot, drawing, grid, log_ticks, path, shown_range, text
from nas.report.markup import Html

# An axis whose largest value is so many times its smallest one is drawn by factors.
WIDE = 20
# Of what is shown, on each side.
MARGIN = 0.06


@dataclass(frozen=True)
class Axis:
    """One objective: its label, and whether more of it is better."""

    label: str
    maximise: bool

    @property
    def sign(self) -> float:
        """What a value is multiplied by, so that higher is better."""
        return 1.0 if self.maximise else -1.0


@dataclass(frozen=True)
class Cloud:
    """The trials of an arm as (x, y, title): those on its front, and the others. `style` is a class
    of the style sheet.
    """

    label: str
    style: str
    best: tuple[tuple[float, float, str], ...]
    others: tuple[tuple[float, float, str], ...]


def trade_off(clouds: Sequence[Cloud], x: Axis, y: Axis, *, description: str, joined: bool) -> Html:
    """The fronts as points in full colour, the other trials pale; `joined` draws the edge of what
    each front dominates.
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
    # What comes first is drawn last, over the others.
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
    """Axes that show the front well: values much worse than the bulk are left to the edge."""
    (across, by_x), (up, by_y) = (
        _range([each[at] for each in points], [each[at] for each in best], axis)
        for at, axis in ((0, x), (1, y))
    )
    plot = axes(across, up, x_label=x.label, y_label=y.label, height=400)
    if by_x:
        plot = replace(
            plot, x=replace(plot.x, log=True), x_ticks=log_ticks(plot.x.low, plot.x.high)
        )
    if by_y:
        plot = replace(
            plot, y=replace(plot.y, log=True), y_ticks=log_ticks(plot.y.low, plot.y.high)
        )
    return plot


def _range(
    values: Sequence[float], always: Sequence[float], axis: Axis
) -> tuple[tuple[float, float], bool]:
    """From where to where is shown, and whether by factors."""
    low, high = sorted(
        axis.sign * end
        for end in shown_range(
            [axis.sign * value for value in values], [axis.sign * value for value in always], 0.0
        )
    )
    if low > 0 and high / low >= WIDE:
        margin = (high / low) ** MARGIN
        return (low / margin, high * margin), True
    margin = MARGIN * (high - low)
    # A margin does not lead below 0 what is never negative.
    return (max(low - margin, 0.0) if low >= 0 else low - margin, high + margin), False


def _edge(plot: Axes, cloud: Cloud, x: Axis, y: Axis) -> list[tuple[float, float]]:
    """The stairs from the worst y below the point that is best in x, by way of each point, to the
    worst x beside the point that is best in y.
    """
    ordered = sorted(cloud.best, key=lambda point: (-x.sign * point[0], y.sign * point[1]))
    worst_x, worst_y = (
        (plot.x.low if x.maximise else plot.x.high),
        (plot.y.low if y.maximise else plot.y.high),
    )
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
        parts.append(
            dot(right, 10, 4.2, f"{'full' if cloud.style == 'search' else 'ring'} {cloud.style}")
        )
        right -= 20
    return "".join(parts)
