"""How right the surrogate was: its predictions before the evaluations against the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from nas.record.trials import Trial

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
        (trial.score, trial.prediction)
        for trial in trials
        if trial.prediction is not None and trial.is_observed
    ]
    if not judged:
        return {"predicted": 0}
    observed = numpy.array([score for score, _ in judged])
    mean = numpy.array([predicted.mean for _, predicted in judged])
    std = numpy.array(
        [numpy.hypot(predicted.aleatoric, predicted.epistemic) for _, predicted in judged]
    )
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
