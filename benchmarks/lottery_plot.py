"""The lottery's plot as one SVG: the regrets of each strategy, beside the matrix of who beats whom.

A dot is a setting's mean regret over the test seeds; a faint dot is a single search. The box
reaches from the first to the third quartile of all settings and seeds, and its line is the median.
A number in the matrix is the probability that a random setting and seed of the row beats one of the
column.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from nas.report.axes import Scale, dot, labels, line, number, text, ticks

ROW, TOP, LEFT, STRIP, CELL = 34, 96, 112, 400, 70
# From a certain loss over an even chance to a certain win. Loss has the report's colour of the
# baseline, win that of the search.
LOSS, EVEN, WIN = (217, 115, 106), (240, 241, 244), (72, 116, 201)

_STYLE = """
.page { fill: #ffffff; }
text {
  font: 12.5px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #5d636e;
}
.head { font-size: 17px; font-weight: 600; fill: #1c1f24; }
.row { font-size: 13px; font-weight: 600; fill: #1c1f24; }
.middle { text-anchor: middle; } .end { text-anchor: end; } .number { fill: #1c1f24; }
.rule { stroke: #e3e5e9; } .axis { stroke: #9aa0aa; }
.search { fill: #4874c9; fill-opacity: 0.16; } .setting { fill: #4874c9; }
.box { fill: none; stroke: #1c1f24; stroke-width: 1.2; }
.median { stroke: #1c1f24; stroke-width: 2.6; }
"""


def lottery_plot(
    regrets: Mapping[str, Mapping[str, Sequence[float]]],
    chances: Mapping[tuple[str, str], float],
    title: str,
) -> str:
    """The SVG.

    Args:
        regrets: of every test seed, by strategy and setting.
        chances: the probability that the first strategy of a pair beats the second.
        title: above the plot.
    """
    names = list(regrets)
    beside = LEFT + STRIP + 40
    width, height = beside + LEFT + CELL * len(names) + 12, TOP + ROW * len(names) + 62
    shown = [
        value for settings in regrets.values() for values in settings.values() for value in values
    ]
    # A single very bad search would press all others together, so values beyond the 99th percentile
    # are drawn at the edge.
    high = float(np.quantile(shown, 0.99)) or 1.0
    x = Scale(-0.02 * high, 1.04 * high, LEFT, LEFT + STRIP)
    parts = [
        f'<rect class="page" width="{number(width)}" height="{number(height)}" rx="8"/>',
        text(20, 32, title, "head"),
        text(LEFT, 58, "test regret, in points (lower is better)", "note"),
        text(beside + LEFT, 58, "the row beats the column with probability", "note"),
        *_across(x, TOP + ROW * len(names)),
    ]
    for place, name in enumerate(names):
        parts += _strip(name, regrets[name], x, TOP + ROW * (place + 0.5))
        parts.append(text(beside + LEFT + CELL * (place + 0.5), TOP - 10, name, "middle"))
        parts.append(text(beside + LEFT - 10, TOP + ROW * (place + 0.5) + 4, name, "row end"))
        for column, other in enumerate(names):
            left, pair = beside + LEFT + CELL * column, f"{name} against {other}"
            parts.append(_square(chances[name, other], pair, left, TOP + ROW * place))
    note = "dot: a setting's mean; faint: one search; "
    note += "box: quartiles and median over settings and seeds"
    parts.append(text(20, height - 14, note, "note"))
    size = f'viewBox="0 0 {number(width)} {number(height)}" width="{number(width)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>"
    )


def _across(x: Scale, bottom: float) -> list[str]:
    marks = ticks(0.0, x.high)
    parts = [line(x.start, bottom, x.end, bottom, "axis")]
    for mark, words in zip(marks, labels(marks), strict=True):
        parts += [
            line(x(mark), TOP, x(mark), bottom, "rule"),
            text(x(mark), bottom + 18, words, "middle"),
        ]
    return parts


def _strip(name: str, settings: Mapping[str, Sequence[float]], x: Scale, y: float) -> list[str]:
    pooled = [value for values in settings.values() for value in values]
    low, median, high = (float(value) for value in np.quantile(pooled, (0.25, 0.5, 0.75)))
    parts = [text(LEFT - 10, y + 4, name, "row end")]
    parts += [
        dot(x(value), y, 3, "search", f"{setting}: {value:.2f}")
        for setting, values in settings.items()
        for value in values
    ]
    box = (
        f'x="{number(x(low))}" y="{number(y - 9)}" width="{number(max(x(high) - x(low), 1))}" '
        'height="18" rx="2"'
    )
    parts += [f'<rect class="box" {box}/>', line(x(median), y - 9, x(median), y + 9, "median")]
    means = {setting: statistics.fmean(values) for setting, values in settings.items()}
    return parts + [
        dot(x(mean), y, 4, "setting", f"{setting}: mean {mean:.2f}")
        for setting, mean in means.items()
    ]


def _square(chance: float, pair: str, x: float, y: float) -> str:
    towards, share = (WIN, 2 * chance - 1) if chance >= 0.5 else (LOSS, 1 - 2 * chance)
    red, green, blue = (
        round(start + share * (end - start)) for start, end in zip(EVEN, towards, strict=True)
    )
    shape = f'x="{number(x + 1)}" y="{number(y + 1)}" width="{CELL - 2}" height="{ROW - 2}" rx="2"'
    square = (
        f'<rect {shape} fill="rgb({red},{green},{blue})"><title>{escape(pair)}: '
        f"{chance:.2f}</title></rect>"
    )
    return square + text(x + CELL / 2, y + ROW / 2 + 4, f"{chance:.2f}", "number middle")
