"""The interface of a learner: its training data, its model and its held-out predictions.

A learner sees neither graphs nor scores. It sees encoded graphs, normal scores, and the folds that
its members hold out. The members' held-out predictions calibrate the standard deviations
(`fitting`), and `auto` chooses the weights of its learners from them.

Shapes: N training graphs, M graphs, K folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding

NUM_FOLDS = 5


@dataclass(frozen=True)
class Belief:
    """A prediction for M graphs in normal scores; every array is (M,).

    The attributes have the same meaning as those of `Prediction`, which is in score units.
    """

    mean: np.ndarray
    aleatoric: np.ndarray
    epistemic: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """(M,) the standard deviation of a new normal score."""
        return np.hypot(self.aleatoric, self.epistemic)


@dataclass(frozen=True)
class Training:
    """The N labelled graphs that a learner is trained on, as numbers.

    Attributes:
        encoding: learnt from these graphs.
        encoded: the graphs as numbers.
        normal_N: their normal scores.
        fold_N: the fold of each, 0 to K - 1, isomorphic graphs in the same fold; all -1 if there
            are too few graphs for folds.
    """

    encoding: Encoding
    encoded: Encoded
    normal_N: np.ndarray
    fold_N: np.ndarray

    @property
    def has_folds(self) -> bool:
        """Whether there are enough graphs to be split into folds."""
        return bool(self.fold_N[0] >= 0)

    def left_out(self, members: int) -> np.ndarray:
        """(N, members) true where the graph is held out from the member's training.

        Every graph is held out by about one in K members, and by none if there are no folds.
        """
        if not self.has_folds:
            return np.zeros((len(self.fold_N), members), dtype=bool)
        return self.fold_N[:, None] % min(members, NUM_FOLDS) == np.arange(members) % NUM_FOLDS


class Model(Protocol):
    """A trained model."""

    def predict(self, encoded: Encoded) -> Belief:
        """The prediction for each graph, which depends on that graph alone."""
        ...

    def state(self) -> dict[str, Any]:
        """The part of what was learnt that is stored as JSON."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """The part of what was learnt that is stored as arrays, by name."""
        ...


@dataclass(frozen=True)
class Learnt:
    """A trained model with its held-out predictions of the training graphs.

    Attributes:
        model: predicts other graphs.
        left_out: the held-out prediction of each training graph (N,), from training without the
            graph's fold; `ignorance` if there are no folds.
        excess: the variance of `left_out.mean` minus that of the model's mean, a mean over the
            training graphs. It is positive if the model averages more members than the held-out
            predictions do.
    """

    model: Model
    left_out: Belief
    excess: float = 0.0


class Learner(Protocol):
    """The settings of a built-in predictor: a frozen dataclass."""

    name: ClassVar[str]

    def learn(self, training: Training, seed: int) -> Learnt:
        """The model trained on these graphs; it depends on the arguments and settings alone."""
        ...


def left_out_by_members(
    mean_NK: np.ndarray, left_out_NK: np.ndarray, normal_N: np.ndarray, averaged: int
) -> tuple[Belief, float]:
    """The held-out prediction of each training graph, and the excess (see `Learnt`).

    The held-out mean of a graph averages the members that did not train on it. The members'
    disagreement is the epistemic part. The part of the squared errors that it does not explain is
    the aleatoric part, one number for all graphs: a network that learned larger errors for some
    graphs than for others, from some tens of errors, gave narrower intervals that covered less
    (docs/predictors.md).

    Args:
        mean_NK: each member's prediction of each training graph.
        left_out_NK: true where the member did not train on the graph; at least one member for each
            graph.
        normal_N: the training graphs' normal scores.
        averaged: the number of members that the model averages.
    """
    absent_N = left_out_NK.sum(1)
    mean_N, variance_N = (mean_NK * left_out_NK).sum(1) / absent_N, mean_NK.var(1, ddof=1)
    aleatoric = np.sqrt(max(float(np.mean((normal_N - mean_N) ** 2 - variance_N)), 1e-4))
    left_out = Belief(mean_N, np.full(len(mean_N), aleatoric), np.sqrt(variance_N))
    excess = float((variance_N * (1 / absent_N - 1 / averaged)).mean())
    return left_out, excess


def ignorance(count: int) -> Belief:
    """The prediction of normal scores before any label: the standard normal distribution."""
    return Belief(np.zeros(count), np.ones(count), np.zeros(count))


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names start with the prefix, under their names without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
