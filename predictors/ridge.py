"""Ridge regression on counted features, with the spread that Bayes' rule gives.

Shapes: N training graphs, M graphs, C features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from predictors.calibration import LEAST_FOR_FOLDS, fit_scale
from predictors.features import Encoding, encoding_from_json, learn_encoding
from predictors.predictor import Prediction, check_graphs, check_training
from predictors.store import Stored, write
from predictors.targets import NormalScores, learn_normal_scores, normal_scores_from
from predictors.terms import readable
from spaces.graph import Graph


@dataclass(frozen=True)
class Ridge:
    """Bayesian linear regression of normal scores (Bishop 2006, section 3.3), the prior's strength chosen by left-one-out error.

    Attributes:
        penalties: the strengths tried, each relative to the number of features.
    """

    penalties: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

    def __post_init__(self) -> None:
        if not self.penalties or not all(penalty > 0 for penalty in self.penalties):
            raise ValueError(f"the predictor ridge needs positive penalties; got {self.penalties!r}")
        object.__setattr__(self, "penalties", tuple(map(float, self.penalties)))

    def fit(self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0) -> FittedRidge:
        """Solve for the weights. Nothing is random: the seed is part of the protocol only.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        score_N = check_training(graphs, scores)
        read = [readable(graph) for graph in graphs]
        encoding, target = learn_encoding(read), learn_normal_scores(score_N)
        features_NC, normal_N = _features(encoding, read), target.to_normal(score_N)
        solutions = [_solve(features_NC, normal_N, penalty * features_NC.shape[1]) for penalty in self.penalties]
        weight_C, covariance_CC, left_out_N = min(solutions, key=lambda solution: float((solution[2] ** 2).mean()))
        if len(graphs) < LEAST_FOR_FOLDS:
            return FittedRidge(self, encoding, target, weight_C, covariance_CC, 1.0, 1.0)
        aleatoric = max(float(np.sqrt((left_out_N**2).mean())), 1e-3)
        std_N = aleatoric * np.sqrt(1 + np.einsum("nc,cd,nd->n", features_NC, covariance_CC, features_NC))
        return FittedRidge(self, encoding, target, weight_C, covariance_CC, aleatoric, fit_scale(left_out_N, std_N))


@dataclass(frozen=True)
class FittedRidge:
    """The weights' posterior: mean (C,) and covariance (C, C) per unit of noise variance; `aleatoric` is the noise, in normal scores."""

    settings: Ridge
    encoding: Encoding
    target: NormalScores
    weight_C: np.ndarray
    covariance_CC: np.ndarray
    aleatoric: float
    scale: float

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """Mean and standard deviations of M graphs in score units.

        Raises:
            ValueError: a value is no graph.
        """
        check_graphs(graphs)
        if len(graphs) == 0:
            return Prediction(np.zeros(0), np.zeros(0), np.zeros(0))
        features_MC = _features(self.encoding, [readable(graph) for graph in graphs])
        leverage_M = np.maximum(((features_MC @ self.covariance_CC) * features_MC).sum(1), 0.0)
        noise = self.aleatoric * self.scale
        return self.target.prediction(features_MC @ self.weight_C, np.full(len(graphs), noise), noise * np.sqrt(leverage_M))

    def save(self, directory: str | Path) -> None:
        """Write the predictor so that `load_predictor` reads it."""
        arrays = {"weight": self.weight_C, "covariance": self.covariance_CC} | self.target.arrays()
        state = {"encoding": asdict(self.encoding), "aleatoric": self.aleatoric, "scale": self.scale}
        write(directory, Stored("ridge", asdict(self.settings), state, arrays))


def restore_ridge(stored: Stored) -> FittedRidge:
    """The predictor that was saved.

    Raises:
        KeyError, TypeError, ValueError: the parts do not fit together.
    """
    settings = Ridge(**{field.name: stored.settings[field.name] for field in fields(Ridge)})
    encoding = encoding_from_json(stored.state["encoding"])
    weight_C, covariance_CC = stored.arrays["weight"], stored.arrays["covariance"]
    columns = encoding.num_counts + 1
    if weight_C.shape != (columns,) or covariance_CC.shape != (columns, columns):
        raise ValueError(f"the weights are not those of {columns} features")
    aleatoric, scale = float(stored.state["aleatoric"]), float(stored.state["scale"])
    return FittedRidge(settings, encoding, normal_scores_from(stored.arrays), weight_C, covariance_CC, aleatoric, scale)


def _features(encoding: Encoding, read: Sequence[Graph]) -> np.ndarray:
    """(M, C + 1) the counted features and the constant."""
    counts_MC = encoding.encode(read).counts_MC.astype(np.float64)
    return np.concatenate([counts_MC, np.ones((len(counts_MC), 1))], axis=1)


def _solve(features_NC: np.ndarray, normal_N: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The posterior's mean and covariance per unit of noise, and (N,) the errors on each score left out, from the diagonal of the hat matrix."""
    covariance_CC = np.linalg.inv(features_NC.T @ features_NC + penalty * np.eye(features_NC.shape[1]))
    weight_C = covariance_CC @ (features_NC.T @ normal_N)
    leverage_N = ((features_NC @ covariance_CC) * features_NC).sum(1)
    return weight_C, covariance_CC, (normal_N - features_NC @ weight_C) / np.maximum(1 - leverage_N, 1e-6)
