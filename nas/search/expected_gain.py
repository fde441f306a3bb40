"""How far the best score of a search is expected to rise in the evaluations that are left.

The model was chosen by `benchmarks/forecast.py`, on tuning seeds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.record.history import History

# With fewer scores there is no forecast.
LEAST = 10
# Chosen on tuning seeds by `benchmarks/forecast.py`: the share of the evaluations after which
# improvements are counted; the pseudo-count of improvements in the prior; the number of latest
# improvements whose sizes are averaged; the factor by which the next improvements are smaller; and
# the shape of the Weibull distribution of a gain (below 1: less regular than an exponential).
SINCE, BEFOREHAND, LATEST, SHRINK, SHAPE = 0.5, 1.5, 3, 0.35, 0.75


@dataclass(frozen=True)
class Gain:
    """How much the best validation score will rise.

    Attributes:
        evaluations: the number of further evaluations that this is about.
        mean, low, high: the expected rise, and the ends of its 90 % interval; never negative.
        probability: that it rises at all.
    """

    evaluations: int
    mean: float
    low: float
    high: float
    probability: float


def gain_ahead(arm: History, evaluations: int) -> Gain | None:
    """The gain of a number of further evaluations in an arm; None with too few scores.

    The share of them that gives a score of the highest fidelity is taken to be what it was so far.
    """
    scores = [trial.score for trial in arm.fullest]
    if len(scores) < LEAST:
        return None
    return gain_of(
        scores, evaluations, evaluations * len(scores) / (len(arm.trials) - len(arm.pending))
    )


def evaluations_left(arm: History, budget: float) -> int:
    """How many more evaluations the budget allows, if they cost as much as those so far."""
    return (
        max(0, round((budget - arm.spent) * len(arm.trials) / arm.spent))
        if arm.trials
        else math.ceil(budget)
    )


def gain_of(scores: Sequence[float], evaluations: int, succeeding: float | None = None) -> Gain:
    """The gain of further evaluations after these scores.

    Improvements of the best score come at a steady rate in the logarithm of the number of
    evaluations. For independent draws this is one improvement for each factor e (Rényi 1962). The
    rate has a Gamma distribution. Its prior has seen 1.5 improvements in one unit of the logarithm.
    It is updated with the r improvements in the second half of the n evaluations. With
    a = 1.5 + r, c = 1 + ln 2 and L = ln(1 + k / n), for k further evaluations:

        P(gain > 0) = 1 - (c / (c + L))^a,    E gain = s a L / c,

    where s is the expected size of one improvement. A positive gain has a Weibull distribution.

    Args:
        scores: oldest first.
        evaluations: how many more.
        succeeding: how many of them give a score; all by default.
    """
    ahead = math.log1p((evaluations if succeeding is None else succeeding) / len(scores))
    improved = _improvements(scores)
    seen = BEFOREHAND + sum(place >= len(scores) * SINCE for place, _ in improved)
    since = 1 - math.log(SINCE)
    probability = -math.expm1(-seen * math.log1p(ahead / since))
    mean = _size(scores, [size for _, size in improved[-LATEST:]]) * seen * ahead / since
    scale = mean / probability / math.gamma(1 + 1 / SHAPE) if probability else 0.0
    low, high = (
        scale * math.log(max(1.0, probability / tail)) ** (1 / SHAPE) for tail in (0.95, 0.05)
    )
    return Gain(evaluations, mean, low, high, probability)


def _size(scores: Sequence[float], improvements: Sequence[float]) -> float:
    """The expected size of the next improvement.

    It is a share of the geometric mean of two numbers: the size of the latest improvements, and how
    far the best quarter of the scores spreads. The first alone is too large if the first scores
    were poor; the second alone if a search is close to the best score there is.
    """
    best = sorted(scores, reverse=True)
    top = max(1, len(best) // 4)
    spread = statistics.fmean(best[:top]) - best[min(top, len(best) - 1)]
    if not improvements or spread <= 0:
        return SHRINK * max(spread, 0.0)
    return SHRINK * math.sqrt(math.exp(statistics.fmean(map(math.log, improvements))) * spread)


def _improvements(scores: Sequence[float]) -> list[tuple[int, float]]:
    """The index and the size of each rise of the best score; the first score is no rise."""
    result, best = list[tuple[int, float]](), scores[0]
    for place, score in enumerate(scores):
        if score > best:
            result.append((place, score - best))
            best = score
    return result
