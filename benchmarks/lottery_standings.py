"""The result of each strategy in the hyper-parameter lottery, and which strategy beats which."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TUNING, TEST = "tuning", "test"


@dataclass(frozen=True)
class Standing:
    """The result of one strategy; regrets are in points of the test column.

    Attributes:
        settings: how many were run.
        quartiles: first quartile, median and third quartile over settings and test seeds.
        default: the mean over test seeds of the default setting; None if it was not run.
        best, worst: the settings with the least and the largest mean over test seeds, and the mean.
        chosen: the setting with the least mean over tuning seeds.
        chosen_tuning, chosen_test: its mean over tuning seeds, and over test seeds.
        drift: how much worse the average setting is on test seeds than on tuning seeds.
    """

    settings: int
    quartiles: tuple[float, float, float]
    default: float | None
    best: tuple[str, float]
    worst: tuple[str, float]
    chosen: str
    chosen_tuning: float
    chosen_test: float
    drift: float

    @property
    def gap(self) -> float:
        """How much worse the chosen setting is on test seeds than on the seeds that chose it."""
        return self.chosen_test - self.chosen_tuning

    @property
    def overstated(self) -> float:
        """The part of the gap that comes from the choice."""
        return self.gap - self.drift


def standing(rows: Sequence[Mapping[str, Any]], defaults: Sequence[str]) -> Standing:
    """The result of one strategy, from its rows.

    Args:
        rows: of all its searches.
        defaults: the settings that count as its default.
    """
    settings = grouped(rows, "setting").items()
    tuning = {text: float(regrets(seeds, TUNING).mean()) for text, seeds in settings}
    test = {text: float(regrets(seeds, TEST).mean()) for text, seeds in settings}
    chosen = min(tuning, key=lambda text: (tuning[text], text))
    default = next((test[text] for text in defaults if text in test), None)
    best, worst = min(test, key=lambda text: test[text]), max(test, key=lambda text: test[text])
    low, median, high = np.quantile(regrets(rows, TEST), (0.25, 0.5, 0.75)).tolist()
    drift = statistics.fmean(test.values()) - statistics.fmean(tuning.values())
    return Standing(
        settings=len(test),
        quartiles=(low, median, high),
        default=default,
        best=(best, test[best]),
        worst=(worst, test[worst]),
        chosen=chosen,
        chosen_tuning=tuning[chosen],
        chosen_test=test[chosen],
        drift=drift,
    )


def beats(one_N: np.ndarray, other_M: np.ndarray) -> float:
    """The probability that a regret of the first is below one of the second; ties count half.

    Args:
        one_N: the regrets of the first strategy.
        other_M: the regrets of the second strategy.
    """
    less_NM, equal_NM = one_N[:, None] < other_M, one_N[:, None] == other_M
    return float((less_NM + 0.5 * equal_NM).mean())


def regrets(rows: Sequence[Mapping[str, Any]], phase: str) -> np.ndarray:
    """The regrets of all settings and seeds of the phase."""
    return np.array([row["regret"] for row in rows if row["phase"] == phase])


def grouped(rows: Iterable[Mapping[str, Any]], column: str) -> dict[str, list[Mapping[str, Any]]]:
    """The rows by their value in the column, in the order of its first appearance."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups
