"""Calibration: how well predicted intervals cover, and one factor that rescales them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictors.predictor import Prediction
from spaces.canonical import canonical_key
from spaces.graph import Graph

LEVELS = (0.5, 0.8, 0.9, 0.95)
# Fewer distinct graphs than this are not split into folds: too few labels would be held out to
# calibrate on.
LEAST_FOR_FOLDS = 10


def coverage(
    prediction: Prediction, true: np.ndarray, levels: tuple[float, ...] = LEVELS
) -> tuple[float, ...]:
    """For each level, the share of true scores (M,) in the central Gaussian interval of that level.

        >>> prediction = Prediction(np.zeros(4), np.ones(4), np.zeros(4))
        >>> coverage(prediction, np.array([-2.0, -0.5, 0.1, 0.3]), levels=(0.5, 0.8, 0.95))
        (0.75, 0.75, 0.75)

    Raises:
        ValueError: the lengths differ or a level is not between 0 and 1.
    """
    from scipy.stats import norm

    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"the levels of intervals lie between 0 and 1; got {levels}")
    distance_M = _distance(prediction, true)
    return tuple(float((distance_M <= norm.ppf(0.5 + level / 2)).mean()) for level in levels)


def negative_log_likelihood(prediction: Prediction, true: np.ndarray) -> float:
    """The mean over the graphs of -log N(true; mean, std^2), in nats.

    Raises:
        ValueError: the lengths differ.
    """
    distance_M = _distance(prediction, true)
    return float((0.5 * distance_M**2 + np.log(prediction.std) + 0.5 * np.log(2 * np.pi)).mean())


def fit_scale(residual_N: np.ndarray, std_N: np.ndarray, *, level: float = 0.9) -> float:
    """The factor on the standard deviations with which an interval covers held-out residuals.

    With this factor, the central Gaussian interval of this level covers that share of the residuals
    (N,). The factor comes from one quantile of |residual| / std. A few residuals far outside do not
    change a quantile, whereas they would change a factor chosen by likelihood.

    The quantile is taken as if there were one more residual, outside the interval. Split conformal
    prediction (Lei et al. 2018) counts in this way, which gives wider intervals for small N. The
    result has no guarantee of coverage here, neither that of split conformal prediction nor that of
    CV+ (Barber et al. 2021): the residuals come from cross-validation, whereas the intervals are
    centred on the prediction of a model of all labels, and the quantile is interpolated.
    """
    from scipy.stats import norm

    distance_N = np.sort(np.abs(residual_N) / std_N)
    place = min(level * (len(distance_N) + 1), len(distance_N)) - 1
    quantile = float(np.interp(place, np.arange(len(distance_N)), distance_N))
    return max(quantile / float(norm.ppf(0.5 + level / 2)), 1e-3)


def folds_of(graphs: Sequence[Graph], folds: int, seed: int) -> np.ndarray:
    """(N,) the fold of each graph, isomorphic graphs in the same fold; -1 if there are too few.

    The folds hold about equal numbers of distinct graphs.
    """
    _, class_N = np.unique([canonical_key(graph) for graph in graphs], return_inverse=True)
    classes = int(class_N.max()) + 1
    if classes < max(LEAST_FOR_FOLDS, folds):
        return np.full(len(graphs), -1)
    return np.random.default_rng([seed, 1]).permutation(np.arange(classes) % folds)[class_N]


def _distance(prediction: Prediction, true: np.ndarray) -> np.ndarray:
    """(M,) the distance of each true score from the mean, in standard deviations."""
    true = np.asarray(true, dtype=np.float64)
    if true.shape != prediction.mean.shape:
        raise ValueError(
            f"there must be one true score for each prediction; got the shapes {true.shape} and "
            f"{prediction.mean.shape}"
        )
    return np.abs(true - prediction.mean) / prediction.std
