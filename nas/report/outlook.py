"""The forecast of a run, as a sentence: the time left, and the gain that is expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.report.figures import duration, figure


def outlook(ahead: Mapping[str, Any], decimals: int) -> str:
    """The sentence for a forecast; empty if nothing can be predicted yet.

    An example: `about 34 min left (27 to 45); going on is expected to bring +0.0021 (90 %: 0 to
    0.0060)`.

    Args:
        ahead: a `nas.search.forecast.Forecast` as JSON values.
        decimals: with how many to show the gain.
    """
    said = []
    if ahead["stopped"] is not None:
        said.append(f"the search has ended: {ahead['stopped']}")
    if ahead["seconds"] is not None:
        said.append(f"about {time_range(ahead['seconds'], ' left')}")
    if ahead["gain"] is not None:
        gain = ahead["gain"]
        ends = " to ".join(
            "0" if gain[end] == 0 else figure(gain[end], decimals) for end in ("low", "high")
        )
        mean = figure(gain["mean"], decimals)
        said.append(f"going on is expected to bring +{mean} (90 %: {ends})")
    return "; ".join(said)


def time_range(seconds: Mapping[str, float], word: str = "") -> str:
    """A mean and an interval as text: `34 min left (27 to 45)` with the word ` left`.

    The ends have units only if the units differ.
    """
    mean, *ends = (duration(seconds[name]) for name in ("mean", "low", "high"))
    units = {text.partition(" ")[2] for text in (mean, *ends)}
    if units in ({"min"}, {"s"}):
        ends = [end.split()[0] for end in ends]
    return f"{mean}{word} ({' to '.join(ends)})"
