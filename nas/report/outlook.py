"""What is ahead of a run, in a sentence: `about 34 min left (27 to 45); going on is expected to
bring +0.0021 (90 %: 0 to 0.0060)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.report.figures import duration, figure


def outlook(ahead: Mapping[str, Any], decimals: int) -> str:
    """The sentence for a forecast as JSON values (`nas.search.forecast.Forecast`); empty where
    nothing can be said yet.
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
        said.append(
            f"going on is expected to bring +{figure(gain['mean'], decimals)} (90 %: {ends})"
        )
    return "; ".join(said)


def time_range(seconds: Mapping[str, float], word: str = "") -> str:
    """`34 min left (27 to 45)` with the word ` left`; each end has its unit where they are not all
    the same.
    """
    mean, *ends = (duration(seconds[name]) for name in ("mean", "low", "high"))
    units = {text.partition(" ")[2] for text in (mean, *ends)}
    if units in ({"min"}, {"s"}):
        ends = [end.split()[0] for end in ends]
    return f"{mean}{word} ({' to '.join(ends)})"
