"""How right the surrogate was: what it said before the evaluations beside what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from nas.record.history import Trial

# Half-width, in standard deviations, of the central 90 % interval of a Gaussian.
NINETY = 1.6448536269514722


def scorecard(trials: Sequence[Trial]) -> dict[str, Any]:
    """Figures over the observed trials that were predicted.

    Returns:
        `predicted`: how many there are; and where there are any, `rank_correlation` (Spearman; null
            for fewer than three or equal values),
        `coverage_90` (share inside the 90 % interval of the whole predictive deviation),
        `mean_error` (absolute, in score units) and `regret` (the best score that came out less that
        of the trial predicted best).
    """
    judged = [
        trial
        for trial in trials
        if trial.prediction is not None
        and trial.outcome is not None
        and hasattr(trial.outcome, "score")
    ]
    if not judged:
        return {"predicted": 0}
    observed = numpy.array([trial.score for trial in judged])
    mean = numpy.array([trial.prediction.mean for trial in judged])  # type: ignore[union-attr]
    std = numpy.array(
        [numpy.hypot(trial.prediction.aleatoric, trial.prediction.epistemic) for trial in judged]
    )  # type: ignore[union-attr]
    return {
        "predicted": len(judged),
        "rank_correlation": rank_correlation(mean, observed),
        "coverage_90": float(numpy.mean(numpy.abs(observed - mean) <= NINETY * std)),
        "mean_error": float(numpy.mean(numpy.abs(observed - mean))),
        "regret": float(observed.max() - observed[mean.argmax()]),
    }


def rank_correlation(predicted: numpy.ndarray, observed: numpy.ndarray) -> float | None:
    """Spearman's rank correlation; None where it is not defined: fewer than three values, or all
    alike.
    """
    if len(predicted) < 3 or numpy.ptp(predicted) == 0 or numpy.ptp(observed) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(predicted, observed)[0])  # type: ignore[arg-type]
