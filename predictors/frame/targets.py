"""Scores as a predictor learns them, and the way back to score units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from predictors.predictor import Prediction


@dataclass(frozen=True)
class NormalScores:
    """A strictly increasing map between scores and standard-normal quantiles of their rank, learnt
    from training scores.

    Scores of architectures have long lower tails; ranks do not, so a squared error is not spent on
    telling bad networks from worse ones. Between the training scores the map is linear; beyond them
    it goes on with the slope of the outermost tenth, so better than the best stays distinguishable.

    Attributes:
        normal_J, score_J: the J distinct scores in increasing order, and each one's quantile.
        lower_slope, upper_slope: score units per unit of quantile beyond the ends.
    """

    normal_J: np.ndarray
    score_J: np.ndarray
    lower_slope: float
    upper_slope: float

    def to_normal(self, score: np.ndarray) -> np.ndarray:
        """The quantile of each score."""
        inside = np.interp(score, self.score_J, self.normal_J)
        below, above = (
            np.minimum(score - self.score_J[0], 0),
            np.maximum(score - self.score_J[-1], 0),
        )
        return inside + below / self.lower_slope + above / self.upper_slope

    def to_score(self, normal: np.ndarray) -> np.ndarray:
        """The score of each quantile; the inverse of `to_normal`."""
        inside = np.interp(normal, self.normal_J, self.score_J)
        below, above = (
            np.minimum(normal - self.normal_J[0], 0),
            np.maximum(normal - self.normal_J[-1], 0),
        )
        return inside + below * self.lower_slope + above * self.upper_slope

    def prediction(
        self, mean_M: np.ndarray, aleatoric_M: np.ndarray, epistemic_M: np.ndarray
    ) -> Prediction:
        """A prediction of quantiles in score units.

        The standard deviations take the mean slope of the map over the interval of one standard
        deviation on both sides, so one spread of ranks is a large spread of scores where scores are
        far apart, and a small one where they crowd.
        """
        total_M = np.maximum(np.hypot(aleatoric_M, epistemic_M), 1e-9)
        slope_M = (self.to_score(mean_M + total_M) - self.to_score(mean_M - total_M)) / (
            2 * total_M
        )
        least = 1e-9 * max(1.0, float(np.abs(self.score_J).max()))
        return Prediction(
            self.to_score(mean_M), np.maximum(aleatoric_M * slope_M, least), epistemic_M * slope_M
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it by name, for safetensors."""
        return {
            "target.normal": self.normal_J,
            "target.score": self.score_J,
            "target.slopes": np.array([self.lower_slope, self.upper_slope]),
        }


def normal_scores_from(arrays: Mapping[str, np.ndarray]) -> NormalScores:
    """The map whose `arrays()` these are.

    Raises:
        KeyError, ValueError: they are not.
    """
    normal_J, score_J, slopes = (
        arrays["target.normal"],
        arrays["target.score"],
        arrays["target.slopes"],
    )
    increasing = (
        normal_J.shape == score_J.shape
        and normal_J.ndim == 1
        and len(normal_J) > 0
        and bool((np.diff(normal_J) > 0).all() and (np.diff(score_J) > 0).all())
    )
    if not increasing or slopes.shape != (2,) or not (slopes > 0).all():
        raise ValueError("the map between scores and quantiles must be increasing")
    return NormalScores(normal_J, score_J, float(slopes[0]), float(slopes[1]))


def learn_normal_scores(score_N: np.ndarray) -> NormalScores:
    """The map of these scores (N,). Equal scores share their mean rank; where all are equal a slope
    close to 0 is left.
    """
    from scipy.stats import norm, rankdata

    rank_N = rankdata(score_N)
    score_J, first_J = np.unique(score_N, return_index=True)
    normal_J = norm.ppf((rank_N[first_J] - 0.5) / len(score_N))
    least = 1e-6 * max(1.0, float(np.abs(score_N).max()))
    reach = max(1, len(score_J) // 10)
    if len(score_J) == 1:
        return NormalScores(normal_J, score_J, least, least)
    lower = (score_J[reach] - score_J[0]) / (normal_J[reach] - normal_J[0])
    upper = (score_J[-1] - score_J[-1 - reach]) / (normal_J[-1] - normal_J[-1 - reach])
    return NormalScores(normal_J, score_J, max(float(lower), least), max(float(upper), least))
