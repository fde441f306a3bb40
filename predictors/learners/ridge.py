"""The predictor `ridge`: Bayesian linear regression on counted features.

Shapes: N training graphs, M graphs, C features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.learner import NUM_FOLDS, Belief, Learnt, Training, ignorance
from predictors.frame.untrusted import number
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding
from spaces.graph import Graph


@dataclass(frozen=True)
class Ridge:
    """Bayesian linear regression of normal scores (Bishop 2006, section 3.3).

    The strength of the prior is the one with the smallest held-out squared error.

    Attributes:
        penalties: the strengths that are tried, each relative to the number of features.
    """

    name: ClassVar[str] = "ridge"

    penalties: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

    def __post_init__(self) -> None:
        if not self.penalties or not all(penalty > 0 for penalty in self.penalties):
            raise ValueError(
                f"the predictor ridge needs positive penalties; got {self.penalties!r}"
            )
        object.__setattr__(self, "penalties", tuple(map(float, self.penalties)))

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """The regression fitted to these graphs and scores; the seed draws the folds.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        feature_NC, normal_N = _features(training.encoded), training.normal_N
        strengths = [penalty * feature_NC.shape[1] for penalty in self.penalties]
        if not training.has_folds:
            return Learnt(
                Line(*_solve(feature_NC, normal_N, strengths[len(strengths) // 2]), 1.0),
                ignorance(len(normal_N)),
            )
        left_out = {
            strength: _left_out(feature_NC, normal_N, training.fold_N, strength)
            for strength in strengths
        }

        def squared_error(strength: float) -> float:
            return float(((normal_N - left_out[strength][0]) ** 2).mean())

        strength = min(strengths, key=squared_error)
        mean_N, leverage_N = left_out[strength]
        # The expected squared residual of a held-out graph is noise^2 * (1 + leverage).
        noise = max(float(np.sqrt(((normal_N - mean_N) ** 2 / (1 + leverage_N)).mean())), 1e-3)
        belief = Belief(mean_N, np.full(len(mean_N), noise), noise * np.sqrt(leverage_N))
        return Learnt(Line(*_solve(feature_NC, normal_N, strength), noise), belief)


@dataclass(frozen=True)
class Line:
    """The posterior distribution of the regression's weights.

    Attributes:
        weight_C: its mean.
        covariance_CC: its covariance per unit of noise variance.
        noise: the standard deviation of the noise.
    """

    weight_C: np.ndarray
    covariance_CC: np.ndarray
    noise: float

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`."""
        feature_MC = _features(encoded)
        return Belief(
            feature_MC @ self.weight_C,
            np.full(len(feature_MC), self.noise),
            self.noise * np.sqrt(_leverage(feature_MC, self.covariance_CC)),
        )

    def state(self) -> dict[str, Any]:
        """See `learner.Model`."""
        return {"noise": self.noise}

    def arrays(self) -> dict[str, np.ndarray]:
        """See `learner.Model`."""
        return {"weight": self.weight_C, "covariance": self.covariance_CC}


def restore_ridge(
    settings: Ridge, encoding: Encoding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Line:
    """The saved model.

    Raises:
        KeyError, TypeError, ValueError: the parts do not fit together.
    """
    columns = encoding.num_counts + 1
    if arrays["weight"].shape != (columns,) or arrays["covariance"].shape != (columns, columns):
        raise ValueError(f"the weights are not those of {columns} features")
    return Line(arrays["weight"], arrays["covariance"], number(state, "noise", least=0))


def _features(encoded: Encoded) -> np.ndarray:
    """(M, C) the counted features, and a constant feature."""
    return np.concatenate(
        [encoded.counts_MC, np.ones((len(encoded), 1), dtype=np.float32)], axis=1
    ).astype(np.float64)


def _solve(
    feature_NC: np.ndarray, normal_N: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """The mean (C,) of the weights' posterior, and its covariance per unit of noise variance."""
    covariance_CC = np.linalg.inv(
        feature_NC.T @ feature_NC + strength * np.eye(feature_NC.shape[1])
    )
    return covariance_CC @ (feature_NC.T @ normal_N), covariance_CC


def _leverage(feature_MC: np.ndarray, covariance_CC: np.ndarray) -> np.ndarray:
    """(M,) the variance of each graph's predicted mean per unit of noise variance."""
    return np.maximum(((feature_MC @ covariance_CC) * feature_MC).sum(1), 0.0)


def _left_out(
    feature_NC: np.ndarray, normal_N: np.ndarray, fold_N: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) each, the held-out prediction of each graph and its leverage."""
    mean_N, leverage_N = np.zeros(len(normal_N)), np.zeros(len(normal_N))
    for fold in range(NUM_FOLDS):
        out_N = fold_N == fold
        weight_C, covariance_CC = _solve(feature_NC[~out_N], normal_N[~out_N], strength)
        mean_N[out_N] = feature_NC[out_N] @ weight_C
        leverage_N[out_N] = _leverage(feature_NC[out_N], covariance_CC)
    return mean_N, leverage_N
