"""The figures of one arm: its counts, best trial, finalists and evaluation time."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nas.evaluators.evaluator import Failed, FinalResult
from nas.record.history import History
from nas.search.finalists import winner


def arm_figures(history: History, feasible: History, name: str) -> dict[str, Any]:
    """An arm's part of the summary, as `nas.report.summary.summarize` describes it.

    Args:
        history: the arm's trials and full trainings.
        feasible: the same, with trials that break a constraint counted as failed.
        name: of the arm.
    """
    best, shown = feasible.best, None
    if best is not None:
        shown = {"trial": best.number, "validation": best.score, "fidelity": best.fidelity}
    return {
        "evaluated": len(history.observed),
        "spent": history.spent,
        "failed": len(history.failed),
        "infeasible": len(history.observed) - len(feasible.observed),
        "pending": len(history.pending),
        "seconds": evaluation_seconds(history),
        "best": shown,
        "winner": winner(history, name),
        "finalists": [
            _finalist(history, finalist.trial, finalist.rank)
            for finalist in sorted(history.finalists, key=lambda item: item.rank)
        ],
    }


def has_partial_trainings(arm: Mapping[str, Any]) -> bool:
    """Whether some trainings had fewer epochs, so that they count as parts of an evaluation."""
    return arm["spent"] != arm["evaluated"] + arm["failed"] + arm["pending"]


def evaluation_seconds(history: History) -> float:
    """Seconds of all evaluations and full trainings.

    A result that was copied to a trial with an isomorphic graph counts once.
    """
    canonical = {trial.number: trial.canonical for trial in history.trials}
    spent = {
        (trial.canonical, trial.outcome): trial.outcome.seconds
        for trial in history.trials
        if trial.outcome is not None
    }
    trained = {
        (canonical[final.trial], final.seed): final.result.seconds for final in history.finals
    }
    return float(sum(spent.values()) + sum(trained.values()))


def scores_of(arm: Mapping[str, Any]) -> Iterator[float]:
    """All scores that the summary shows of an arm."""
    if arm["best"] is not None:
        yield arm["best"]["validation"]
    for finalist in arm["finalists"]:
        yield finalist["search_validation"]
        for final in finalist["finals"]:
            yield from (final[key] for key in ("validation", "test") if key in final)


def _finalist(history: History, trial: int, rank: int) -> dict[str, Any]:
    finals, results = [], []
    for final in history.finals:
        if final.trial != trial:
            continue
        shown: dict[str, Any] = {"seed": final.seed}
        if isinstance(final.result, FinalResult):
            results.append(final.result)
            shown |= {"validation": final.result.validation, "test": final.result.test}
        elif isinstance(final.result, Failed):
            shown |= {"failed": final.result.kind, "reason": final.result.reason}
        finals.append(shown)
    return {
        "trial": trial,
        "rank": rank,
        "search_validation": history.trial(trial).score,
        "finals": finals,
        "validation": _statistics([result.validation for result in results]),
        "test": _statistics([result.test for result in results]),
    }


def _statistics(values: Sequence[float]) -> dict[str, Any] | None:
    """The mean and the sample's standard deviation, which is None for one value."""
    if not values:
        return None
    return {
        "mean": statistics.fmean(values),
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
        "seeds": len(values),
    }
