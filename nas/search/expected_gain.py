"""How far the best score of a search will rise in the evaluations that are left, from its scores so
far.

Which model is honest was measured by `benchmarks/forecast.py`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.record.history import History

# Fewer scores say nothing of the next ones.
LEAST = 10
# These were chosen on tuning seeds, by `benchmarks/forecast.py`. Improvements are counted since
# this share of the evaluations, beside so many seen beforehand; their sizes are those of the latest
# few; the next ones are so much smaller; and a gain is so much less regular than an exponential
# number.
SINCE, BEFOREHAND, LATEST, SHRINK, SHAPE = 0.5, 1.5, 3, 0.35, 0.75


@dataclass(frozen=True)
class Gain:
    """How much the best validation score will rise.

    Attributes:
        evaluations: within so many more.
        mean, low, high: the expected rise, and the ends of its 90 % interval; never negative.
        probability: that it rises at all.
    """

    evaluations: int
    mean: float
    low: float
    high: float
    probability: float


def gain_ahead(arm: History, evaluations: int) -> Gain | None:
    """The gain of so many more evaluations in an arm, of which as large a share will give a score
    of the highest fidelity as has; None for too few.
    """
    scores = [trial.score for trial in arm.fullest]
    if len(scores) < LEAST:
        return None
    return gain_of(
        scores, evaluations, evaluations * len(scores) / (len(arm.trials) - len(arm.pending))
    )


def evaluations_left(arm: History, budget: float) -> int:
    """How many more evaluations the budget has room for, if they cost as much as those so far."""
    return (
        max(0, round((budget - arm.spent) * len(arm.trials) / arm.spent))
        if arm.trials
        else math.ceil(budget)
    )


def gain_of(scores: Sequence[float], evaluations: int, succeeding: float | None = None) -> Gain:
    """The gain of so many more evaluations, `succeeding` of which give a score, after these scores,
    oldest first.

    Improvements of the best come at a steady rate in the logarithm of the number of evaluations:
    one for each factor e where the scores are independent draws (Rényi 1962). The rate is a Gamma
    variable that has seen 1.5 improvements in one such unit beforehand, and then the r improvements
    since half of the n evaluations. With a = 1.5 + r, c = 1 + ln 2 and L = ln(1 + k / n), of k more

        P(gain > 0) = 1 - (c / (c + L))^a,    E gain = s a L / c,

    where s is the expected size of one, and a gain that comes has a Weibull distribution.
    """
    ahead = math.log1p((evaluations if succeeding is None else succeeding) / len(scores))
    improved = _improvements(scores)
    seen, since = (
        BEFOREHAND + sum(place >= len(scores) * SINCE for place, _ in improved),
        1 - math.log(SINCE),
    )
    probability = -math.expm1(-seen * math.log1p(ahead / since))
    mean = _size(scores, [size for _, size in improved[-LATEST:]]) * seen * ahead / since
    scale = mean / probability / math.gamma(1 + 1 / SHAPE) if probability else 0.0
    low, high = (
        scale * math.log(max(1.0, probability / tail)) ** (1 / SHAPE) for tail in (0.95, 0.05)
    )
    return Gain(evaluations, mean, low, high, probability)


def _size(scores: Sequence[float], improvements: Sequence[float]) -> float:
    """Of the next improvement: a share of the geometric mean of what the latest ones were and of
    how far the best quarter of the scores spreads.

    The latest ones alone are too large where the first scores were poor, and the spread alone where
    a search has come close to the best there is.
    """
    best = sorted(scores, reverse=True)
    top = max(1, len(best) // 4)
    spread = statistics.fmean(best[:top]) - best[min(top, len(best) - 1)]
    if not improvements or spread <= 0:
        return SHRINK * max(spread, 0.0)
    return SHRINK * math.sqrt(math.exp(statistics.fmean(map(math.log, improvements))) * spread)


def _improvements(scores: Sequence[float]) -> list[tuple[int, float]]:
    """The place, from 0, and the size of each rise of the best score; the first score is none."""
    result, best = list[tuple[int, float]](), scores[0]
    for place, score in enumerate(scores):
        if score > best:
            result.append((place, score - best))
            best = score
    return result
