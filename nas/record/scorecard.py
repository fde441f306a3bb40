"""How right the surrogate was: its predictions before the evaluations against the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from nas.record.trials import Trial

# Half-width, in standard deviations, of the central 90 % interval of a Gaussian.
NINETY = 1.6448536269514722


def scorecard(trials: Sequence[Trial]) -> dict[str, Any]:
    """How right the predictions of the observed trials were.

    Returns:
        `predicted`, the number of observed trials with a prediction. If there are any, also
        `rank_correlation` (see the function; null if it is not defined), `coverage_90` (the share
        of scores inside the 90 % interval of the whole predictive deviation), `mean_error` (the
        mean absolute error, in score units) and `regret` (the best score, minus the score of the
        trial with the best prediction).
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
    """Spearman's rank correlation; None if it is not defined.

    It is not defined for fewer than three values, or if all values on one side are equal.
    """
    if len(predicted) < 3 or numpy.ptp(predicted) == 0 or numpy.ptp(observed) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(predicted, observed)[0])  # type: ignore[arg-type]
