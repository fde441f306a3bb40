"""Whether a prediction's standard deviations are true, and the one factor that makes them so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictors.predictor import Prediction
from spaces.canonical import canonical_key
from spaces.graph import Graph

LEVELS = (0.5, 0.8, 0.9, 0.95)
# Fewer labels than this are not split into folds: what they leave out would say nothing.
LEAST_FOR_FOLDS = 10


def coverage(
    prediction: Prediction, true: np.ndarray, levels: tuple[float, ...] = LEVELS
) -> tuple[float, ...]:
    """For each level the share of true scores (M,) inside the central Gaussian interval of that
    probability.

    Raises:
        ValueError: the lengths differ or a level is not between 0 and 1.
    """
    from scipy.stats import norm

    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"the levels of intervals lie between 0 and 1; got {levels}")
    distance_M = _distance(prediction, true)
    return tuple(float((distance_M <= norm.ppf(0.5 + level / 2)).mean()) for level in levels)


def negative_log_likelihood(prediction: Prediction, true: np.ndarray) -> float:
    """The mean of -log N(true; mean, std^2), in nats.

    Raises:
        ValueError: the lengths differ.
    """
    distance_M = _distance(prediction, true)
    return float((0.5 * distance_M**2 + np.log(prediction.std) + 0.5 * np.log(2 * np.pi)).mean())


def fit_scale(residual_N: np.ndarray, std_N: np.ndarray, *, level: float = 0.9) -> float:
    """The factor on the standard deviations after which the central interval of this level covers
    that share of held-out residuals.

    The share is taken of N + 1 residuals of which the missing one is outside, as in split conformal
    prediction (Lei et al. 2018), so small samples give wider intervals. The quantile, unlike the
    likelihood, is not moved by how far outside a few failures lie.
    """
    from scipy.stats import norm

    distance_N = np.sort(np.abs(residual_N) / std_N)
    place = min(level * (len(distance_N) + 1), len(distance_N)) - 1
    quantile = float(np.interp(place, np.arange(len(distance_N)), distance_N))
    return max(quantile / float(norm.ppf(0.5 + level / 2)), 1e-3)


def folds_of(graphs: Sequence[Graph], folds: int, seed: int) -> np.ndarray:
    """(N,) the fold of each graph: about equal folds, isomorphic graphs in one; all -1 where there
    are too few graphs.
    """
    _, twin_N = np.unique([canonical_key(graph) for graph in graphs], return_inverse=True)
    classes = int(twin_N.max()) + 1
    if classes < max(LEAST_FOR_FOLDS, folds):
        return np.full(len(graphs), -1)
    return np.random.default_rng([seed, 1]).permutation(np.arange(classes) % folds)[twin_N]


def _distance(prediction: Prediction, true: np.ndarray) -> np.ndarray:
    true = np.asarray(true, dtype=np.float64)
    if true.shape != prediction.mean.shape:
        raise ValueError(
            f"there must be one true score for each prediction; got the shapes {true.shape} and "
            f"{prediction.mean.shape}"
        )
    return np.abs(true - prediction.mean) / prediction.std
