"""When a search ends before its budget is used: the rules of the configuration's section `stop`.

They are computed from the journal alone: from the search arm between rounds, and from nothing that
changes after the arm has ended. So a resumed run stops at the same place. The baseline then gets as
many evaluations as the search has used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas.config.plan import Plan
from nas.objectives.constraints import feasible
from nas.objectives.objective import Objective
from nas.record.history import History
from nas.search.expected_gain import evaluations_left, gain_ahead


def reason_to_stop(arm: History, plan: Plan, seconds: Callable[[], float]) -> str | None:
    """The sentence of the first rule that ends the search; None while it goes on.

    Args:
        arm: the search's own trials, none of them pending.
        plan: the run's.
        seconds: for how long the run has been running (`nas.search.durations.search_seconds`);
            called only if a rule needs it.
    """
    stop, arm = plan.stop, feasible(arm, plan.constraints)
    if stop.hours is not None and seconds() >= 3600 * stop.hours:
        return f"the search has run for {_hours(stop.hours)}"
    if stop.stale is not None and arm.observed:
        stale = evaluations_since_better(arm, plan.objectives)
        if stale >= stop.stale:
            better = "better score" if len(plan.objectives) == 1 else "change of the front"
            return f"no {better} in {stale} evaluations"
    if stop.gain is not None:
        gain = gain_ahead(arm, evaluations_left(arm, plan.budget))
        if gain is not None and gain.mean < stop.gain:
            return (
                f"the rest of the budget is expected to bring {gain.mean:+.2g}, less than "
                f"{stop.gain:g}"
            )
    return None


def evaluations_since_better(arm: History, objectives: Sequence[Objective]) -> int:
    """The number of evaluations since the best score last rose, failures included.

    With several objectives, since the front last changed.
    """
    finished = [trial for trial in arm.trials if trial.outcome is not None]
    if len(objectives) == 1 and objectives[0].name == "score":
        return (
            sum(trial.number > arm.best.number for trial in finished)
            if arm.best is not None
            else len(finished)
        )
    import numpy

    from nas.objectives.objective import values
    from nas.objectives.pareto import front

    last, kept_NK = -1, numpy.zeros((0, len(objectives)))
    for trial, point_K in zip(arm.fullest, values(arm.fullest, objectives), strict=True):
        if not (kept_NK >= point_K).all(1).any():
            kept_NK = numpy.concatenate([kept_NK, point_K[None]])
            kept_NK, last = kept_NK[front(kept_NK)], trial.number
    return sum(trial.number > last for trial in finished)


def _hours(hours: float) -> str:
    return "1 hour" if hours == 1 else f"{hours:g} hours"
