"""Numbers as text: scores with enough decimals, means with deviations, seconds as hours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def decimals_for(values: Sequence[float]) -> int:
    """How many decimals distinguish the values: enough for three digits of their range.

    The number is from 1 to 6, and 4 if all values are equal.
    """
    finite = [value for value in values if math.isfinite(value)]
    span = max(finite) - min(finite) if finite else 0.0
    if span <= 0 or not math.isfinite(span):
        return 4
    return min(6, max(1, 2 - math.floor(math.log10(span))))


def figure(value: float | None, decimals: int) -> str:
    """The number with a true minus sign; a dash for None, powers of ten from a million on."""
    if value is None:
        return "–"
    shown = f"{value:.{decimals}f}" if abs(value) < 1e6 else f"{value:.3g}"
    return shown.replace("-", "−")


def with_spread(statistics: Mapping[str, Any] | None, decimals: int) -> str:
    """`mean ± deviation`; only the mean for one seed, a dash for None."""
    if statistics is None:
        return "–"
    mean = figure(statistics["mean"], decimals)
    if statistics["deviation"] is None:
        return mean
    return f"{mean} ± {figure(statistics['deviation'], decimals)}"


def percent(share: float | None) -> str:
    """A share as a whole percentage; a dash for None."""
    return "–" if share is None else f"{100 * share:.0f} %"


def duration(seconds: float) -> str:
    """Seconds in at most two units: `41 s`, `12 min`, `3 h 05 min`, `2 d 04 h`."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02d} h"


def counted(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def amount(spent: float) -> str:
    """The used budget: `7`, or `7.33` if trainings of fewer epochs count as fractions."""
    return f"{spent:.2f}".rstrip("0").rstrip(".")


def at_fidelity(fidelity: float) -> str:
    """` at 0.333 of the epochs`, to put behind a trial; empty if it was trained for all epochs."""
    return "" if fidelity == 1.0 else f" at {fidelity:.3g} of the epochs"
