"""The transform of scores to normal scores, which predictors learn, and its inverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from predictors.predictor import Prediction
from predictors.ranking import kendall_tau
from spaces.graph import Graph


@dataclass(frozen=True)
class NormalScores:
    """A strictly increasing map between scores and normal scores, learnt from training scores.

    The normal score is the standard normal quantile of a score's rank. Scores of architectures have
    a long lower tail. Normal scores do not, so a squared error in normal scores is not dominated by
    differences between bad networks. The map is linear between neighbouring training scores. Beyond
    the ends it continues with the mean slope of the outermost tenth of the scores, so a score above
    the best training score still has a larger normal score.

    Attributes:
        normal_J: the normal score of each of the J distinct training scores.
        score_J: the J distinct training scores in increasing order.
        lower_slope: score units per unit of normal score below the worst training score.
        upper_slope: the same above the best training score.
    """

    normal_J: np.ndarray
    score_J: np.ndarray
    lower_slope: float
    upper_slope: float

    def to_normal(self, score: np.ndarray) -> np.ndarray:
        """The normal score of each score, in an array of the same shape."""
        inside = np.interp(score, self.score_J, self.normal_J)
        below = np.minimum(score - self.score_J[0], 0)
        above = np.maximum(score - self.score_J[-1], 0)
        return inside + below / self.lower_slope + above / self.upper_slope

    def to_score(self, normal: np.ndarray) -> np.ndarray:
        """The score of each normal score, in an array of the same shape: inverts `to_normal`."""
        inside = np.interp(normal, self.normal_J, self.score_J)
        below = np.minimum(normal - self.normal_J[0], 0)
        above = np.maximum(normal - self.normal_J[-1], 0)
        return inside + below * self.lower_slope + above * self.upper_slope

    def prediction(
        self, mean_M: np.ndarray, aleatoric_M: np.ndarray, epistemic_M: np.ndarray
    ) -> Prediction:
        """A prediction in normal scores, converted to score units; every array is (M,).

        The standard deviations are multiplied by the mean slope of the map between one standard
        deviation below the mean and one above it. So the same standard deviation in normal scores
        becomes a large one in score units where scores are far apart, and a small one where many
        scores lie close together.
        """
        total_M = np.maximum(np.hypot(aleatoric_M, epistemic_M), 1e-9)
        width_M = self.to_score(mean_M + total_M) - self.to_score(mean_M - total_M)
        slope_M = width_M / (2 * total_M)
        least = 1e-9 * max(1.0, float(np.abs(self.score_J).max()))
        return Prediction(
            self.to_score(mean_M), np.maximum(aleatoric_M * slope_M, least), epistemic_M * slope_M
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All attributes as arrays by name, for safetensors."""
        return {
            "target.normal": self.normal_J,
            "target.score": self.score_J,
            "target.slopes": np.array([self.lower_slope, self.upper_slope]),
        }


def normal_scores_from(arrays: Mapping[str, np.ndarray]) -> NormalScores:
    """The map that `NormalScores.arrays` turned into these arrays.

    Raises:
        KeyError, ValueError: they are not the arrays of such a map.
    """
    normal_J, score_J = arrays["target.normal"], arrays["target.score"]
    slopes = arrays["target.slopes"]
    increasing = (
        normal_J.shape == score_J.shape
        and normal_J.ndim == 1
        and len(normal_J) > 0
        and bool((np.diff(normal_J) > 0).all() and (np.diff(score_J) > 0).all())
    )
    if not increasing or slopes.shape != (2,) or not (slopes > 0).all():
        raise ValueError("the map between scores and quantiles must be increasing")
    return NormalScores(normal_J, score_J, float(slopes[0]), float(slopes[1]))


def are_costs(graphs: Sequence[Graph], score_N: np.ndarray) -> bool:
    """Whether the scores (N,) fall as the simplified graphs grow, as those of a cost do."""
    return kendall_tau(np.array([len(graph.nodes) for graph in graphs]), score_N) < 0


def learn_normal_scores(score_N: np.ndarray) -> NormalScores:
    """The map learnt from these scores (N,).

    Equal scores share their mean rank. If all scores are equal, the map has a slope close to 0.
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
