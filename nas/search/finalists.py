"""Which trials are trained fully at a search's end, with which seeds, and which of them wins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from nas.evaluators.evaluator import FinalResult
from nas.objectives.constraints import Constraint, feasible
from nas.objectives.fronts import box, covered, members
from nas.objectives.objective import SCORE, Objective
from nas.record.history import History
from nas.record.trials import Finalist, Trial
from nas.seeds import derive


def finalists(
    history: History,
    arm: str,
    count: int,
    objectives: Sequence[Objective] = (SCORE,),
    constraints: Sequence[Constraint] = (),
) -> tuple[Finalist, ...]:
    """The trials of an arm that are trained fully, at most `count`, the best first.

    They keep the constraints. With one objective they are the best in it; with several they are
    members of the front (`spread`).
    """
    seen = feasible(history.of_arm(arm), constraints)
    first, *others = objectives
    if others:
        chosen = spread(seen.fullest, objectives, count)
    elif first == SCORE:
        chosen = seen.ranked[:count]
    else:
        best = sorted(seen.fullest, key=lambda trial: (-first.of(trial), trial.number))
        chosen = tuple(best[:count])
    return tuple(Finalist(trial.number, rank, arm) for rank, trial in enumerate(chosen, start=1))


def spread(
    trials: Sequence[Trial], objectives: Sequence[Objective], count: int
) -> tuple[Trial, ...]:
    """Up to `count` members of the front that cover much of it.

    The first is the best by score. Each further one adds the most hypervolume to those chosen
    before. The reference point of the hypervolume is the worst value of each objective among all
    the trials. Ties go to the lower trial number.
    """
    left = sorted(members(trials, objectives), key=lambda trial: (-trial.score, trial.number))
    chosen = left[:count][:1]
    left = left[1:]
    worst_K, best_K = box(trials, objectives) if trials else (numpy.zeros(0), numpy.zeros(0))
    while left and len(chosen) < count:
        shares = [covered((*chosen, trial), objectives, worst_K, best_K) for trial in left]
        place = max(range(len(left)), key=lambda place: (shares[place], -left[place].number))
        chosen.append(left.pop(place))
    return tuple(chosen)


def winner(history: History, arm: str) -> int | None:
    """The number of the arm's finalist with the best mean validation score in full trainings.

    None if no full training has succeeded yet.
    """
    means = {}
    for finalist in history.finalists:
        if finalist.arm == arm:
            scores = [
                final.result.validation
                for final in history.finals
                if final.trial == finalist.trial and isinstance(final.result, FinalResult)
            ]
            if scores:
                means[finalist.trial] = sum(scores) / len(scores)
    return max(means, key=lambda trial: (means[trial], -trial), default=None)


def final_seed(seed: int, index: int) -> int:
    """The seed of full training number `index` of a finalist; the search uses no such seed.

    Args:
        seed: the run's.
        index: from 0.
    """
    return derive(seed, "final", index)
