"""The front of a run: the feasible trials that no other one beats in all objectives, how much they
cover, and who of them is trained fully.

Shapes: N trials, K objectives, higher is better in each (a cost times -1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from nas.config.config import RunConfig
from nas.objectives.constraints import feasible
from nas.objectives.objective import SCORE, Objective, values
from nas.objectives.pareto import front, hypervolume
from nas.record.history import Finalist, History, Trial


def members(trials: Sequence[Trial], objectives: Sequence[Objective]) -> tuple[Trial, ...]:
    """Those of the observed trials that no other dominates, the best in the first objective first."""
    if not trials:
        return ()
    points_NK = values(trials, objectives)
    kept = [
        (trial, tuple(point))
        for trial, point, best in zip(trials, points_NK.tolist(), front(points_NK), strict=True)
        if best
    ]
    return tuple(
        trial
        for trial, point in sorted(
            kept, key=lambda item: ([-value for value in item[1]], item[0].number)
        )
    )


def box(
    trials: Sequence[Trial], objectives: Sequence[Objective]
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(K,) the worst and (K,) the best value of each objective among the observed trials: the first
    is the reference of their hypervolume.
    """
    points_NK = values(trials, objectives)
    return points_NK.min(0), points_NK.max(0)


def covered(
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    worst_K: numpy.ndarray,
    best_K: numpy.ndarray,
) -> float:
    """The trials' hypervolume above the worst values, as a share of the box up to the best ones. An
    objective in which all are alike plays no part.
    """
    apart = best_K > worst_K
    if not trials or not apart.any():
        return 0.0
    points_NK = (values(trials, objectives) - worst_K)[:, apart] / (best_K - worst_K)[apart]
    return hypervolume(points_NK, numpy.zeros(int(apart.sum())))


def growth(
    history: History, objectives: Sequence[Objective], worst_K: numpy.ndarray, best_K: numpy.ndarray
) -> tuple[tuple[int, float], ...]:
    """After which of an arm's trials its front covers how much; only where that changes, and 0 at
    the start.
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


def finalists(history: History, config: RunConfig, arm: str) -> tuple[Finalist, ...]:
    """Who of an arm is trained fully: feasible ones, the best in the objective; with several
    objectives members of the front, see `spread`.
    """
    seen, count = feasible(history.of_arm(arm), config.constraints), config.finalists.count
    first, *others = config.objectives
    if others:
        chosen = spread(seen.fullest, config.objectives, count)
    elif first == SCORE:
        chosen = seen.ranked[:count]
    else:
        chosen = tuple(sorted(seen.fullest, key=lambda trial: (-first.of(trial), trial.number)))[
            :count
        ]
    return tuple(Finalist(trial.number, rank, arm) for rank, trial in enumerate(chosen, start=1))


def spread(
    trials: Sequence[Trial], objectives: Sequence[Objective], count: int
) -> tuple[Trial, ...]:
    """Up to `count` members of the front: the best by score, then one after the other the one that
    adds most hypervolume to those chosen.

    The hypervolume is above the worst value of each objective among all the trials; of equals the
    lower number comes first.
    """
    left = sorted(members(trials, objectives), key=lambda trial: (-trial.score, trial.number))
    chosen = left[:count][:1]
    left = left[1:]
    worst_K, best_K = box(trials, objectives) if trials else (numpy.zeros(0), numpy.zeros(0))
    while left and len(chosen) < count:
        gained = max(
            left,
            key=lambda trial: (
                covered((*chosen, trial), objectives, worst_K, best_K),
                -trial.number,
            ),
        )
        chosen.append(gained)
        left.remove(gained)
    return tuple(chosen)
