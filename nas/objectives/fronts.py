"""The front of a run: the trials that no other one dominates, and the share that they cover.

Shapes: N trials, K objectives, higher is better in each (a cost times -1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from nas.objectives.objective import Objective, values
from nas.objectives.pareto import front, hypervolume
from nas.record.history import History
from nas.record.trials import Trial


def members(trials: Sequence[Trial], objectives: Sequence[Objective]) -> tuple[Trial, ...]:
    """The observed trials that no other dominates, the best in the first objective first."""
    if not trials:
        return ()
    points_NK = values(trials, objectives)
    kept = [
        (trial, tuple(point))
        for trial, point, best in zip(trials, points_NK.tolist(), front(points_NK), strict=True)
        if best
    ]
    kept.sort(key=lambda item: ([-value for value in item[1]], item[0].number))
    return tuple(trial for trial, _ in kept)


def box(
    trials: Sequence[Trial], objectives: Sequence[Objective]
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(K,) the worst and (K,) the best value of each objective among the observed trials.

    The worst values are the reference point of hypervolumes.
    """
    points_NK = values(trials, objectives)
    return points_NK.min(0), points_NK.max(0)


def covered(
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    worst_K: numpy.ndarray,
    best_K: numpy.ndarray,
) -> float:
    """The trials' hypervolume above the worst values, as a share of the box up to the best ones.

    An objective whose worst and best values are equal is left out.
    """
    apart = best_K > worst_K
    if not trials or not apart.any():
        return 0.0
    points_NK = (values(trials, objectives) - worst_K)[:, apart] / (best_K - worst_K)[apart]
    return hypervolume(points_NK, numpy.zeros(int(apart.sum())))


def growth(
    history: History, objectives: Sequence[Objective], worst_K: numpy.ndarray, best_K: numpy.ndarray
) -> tuple[tuple[int, float], ...]:
    """How much an arm's front covers after each of its trials, as pairs of a number and a share.

    Only the changes are listed, after a first pair of zeros.
    """
    result, kept = [(0, 0.0)], tuple[Trial, ...]()
    for place, trial in enumerate(history.trials, start=1):
        if not trial.is_observed:
            continue
        kept = members((*kept, trial), objectives)
        if trial not in kept:
            continue
        share = covered(kept, objectives, worst_K, best_K)
        if share > result[-1][1]:
            result.append((place, share))
    return tuple(result)
