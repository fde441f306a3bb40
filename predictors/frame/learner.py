"""What a built-in predictor's learner is given, and what it gives back.

A learner sees neither graphs nor scores: it sees encoded graphs, normal scores and the folds that
its members leave out. What its members say about the labels that they did not see calibrates the
spread (`fitting`) and lets `auto` weigh one learner against another.

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
    """What is believed about M graphs, in normal scores; every array is (M,). See `Prediction` for
    the parts.
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
    """N labelled graphs as learners read them.

    Attributes:
        encoding: learnt from these graphs.
        encoded: the graphs as numbers.
        normal_N: their normal scores.
        fold_N: the fold of each, 0 to K - 1, isomorphic graphs in one; -1 where there are too few
            graphs for folds.
    """

    encoding: Encoding
    encoded: Encoded
    normal_N: np.ndarray
    fold_N: np.ndarray

    @property
    def has_folds(self) -> bool:
        """Whether the graphs are enough to be split."""
        return bool(self.fold_N[0] >= 0)

    def left_out(self, members: int) -> np.ndarray:
        """(N, members) true where the member leaves the graph out. Every graph is left out by about
        a K-th of the members; by none without folds.
        """
        if not self.has_folds:
            return np.zeros((len(self.fold_N), members), dtype=bool)
        return self.fold_N[:, None] % min(members, NUM_FOLDS) == np.arange(members) % NUM_FOLDS


class Model(Protocol):
    """What was learnt."""

    def predict(self, encoded: Encoded) -> Belief:
        """The belief about each graph, which depends on that graph alone."""
        ...

    def state(self) -> dict[str, Any]:
        """What was learnt, as far as it is JSON."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learnt, as far as it is arrays, by name."""
        ...


@dataclass(frozen=True)
class Learnt:
    """A model, and what its parts say about the training graphs that they did not see.

    Attributes:
        model: predicts other graphs.
        left_out: the belief about each training graph (N,) by what was learnt without its fold;
            without folds, that of somebody who knows nothing.
        excess: how much larger the variance of `left_out.mean` is than that of the model's mean,
            which averages more members.
    """

    model: Model
    left_out: Belief
    excess: float = 0.0


class Learner(Protocol):
    """The settings of a built-in predictor: a frozen dataclass."""

    name: ClassVar[str]

    def learn(self, training: Training, seed: int) -> Learnt:
        """Learn from encoded graphs; the result depends on these and the seed alone."""
        ...


def left_out_by_members(
    mean_NK: np.ndarray, left_out_NK: np.ndarray, normal_N: np.ndarray, averaged: int
) -> tuple[Belief, float]:
    """What those members believe of a graph that left it out, and the excess (see `Learnt`).

    The members' disagreement is the epistemic part. What it does not explain of the errors is the
    aleatoric part, one number for all graphs: a network that learns where it errs more, from some
    tens of errors, gave narrower intervals that covered less (docs/predictors.md).

    Args:
        mean_NK: what each member says of each training graph.
        left_out_NK: the graphs that each member did not see; each graph was left out by somebody.
        normal_N: the training graphs' normal scores.
        averaged: members that the model averages.
    """
    absent_N = left_out_NK.sum(1)
    mean_N, variance_N = (mean_NK * left_out_NK).sum(1) / absent_N, mean_NK.var(1, ddof=1)
    aleatoric = np.sqrt(max(float(np.mean((normal_N - mean_N) ** 2 - variance_N)), 1e-4))
    return Belief(mean_N, np.full(len(mean_N), aleatoric), np.sqrt(variance_N)), float(
        (variance_N * (1 / absent_N - 1 / averaged)).mean()
    )


def ignorance(count: int) -> Belief:
    """The belief about normal scores before any label: the standard normal distribution."""
    return Belief(np.zeros(count), np.ones(count), np.zeros(count))


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names start with the prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
