"""What a predictor is: settings that can be fitted, a fitted predictor, and its prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from spaces.graph import Graph


@dataclass(frozen=True)
class Prediction:
    """The predicted scores of M graphs, in score units; every array is (M,) float64.

    Attributes:
        mean: the expected score, higher is better.
        aleatoric: the standard deviation that more labels would not reduce: the noise of the
            scores, and what the model cannot express.
        epistemic: the standard deviation that more labels would reduce.
    """

    mean: np.ndarray
    aleatoric: np.ndarray
    epistemic: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """(M,) the standard deviation of a new score: sqrt(aleatoric^2 + epistemic^2)."""
        return np.hypot(self.aleatoric, self.epistemic)

    def __len__(self) -> int:
        return len(self.mean)


class Fitted(Protocol):
    """A predictor that has learnt from labelled graphs."""

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """The prediction for each graph.

        It depends on that graph alone: neither on the other graphs nor on the order of its nodes.
        """
        ...

    def save(self, directory: str | Path) -> None:
        """Write `predictor.json` and `predictor.safetensors` into the directory.

        `load_predictor` reads them and returns an equal predictor.
        """
        ...


class Predictor(Protocol):
    """The settings of a predictor, which can be fitted to labelled graphs."""

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> Fitted:
        """The predictor fitted to N graphs and their scores (N,), where higher is better.

        The result depends on the settings, the graphs, the scores and the seed alone.

        Raises:
            ValueError: see `check_training`.
        """
        ...


def check_training(graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """The scores as a (N,) float64 array.

    Raises:
        ValueError: there are fewer than two graphs, the number of scores differs from the number
            of graphs, a score is not a finite number, or a value is not a graph.
    """
    try:
        checked_N = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the scores must be numbers, one for each graph; got {scores!r:.80} ({error})"
        ) from error
    if checked_N.shape != (len(graphs),):
        raise ValueError(
            f"there must be one score for each graph; got {len(graphs)} graphs and scores of "
            f"shape {checked_N.shape}"
        )
    if len(graphs) < 2:
        raise ValueError(
            f"a predictor is fitted on at least 2 graphs with scores; got {len(graphs)}"
        )
    if not np.isfinite(checked_N).all():
        wrong = int(np.flatnonzero(~np.isfinite(checked_N))[0])
        raise ValueError(
            f"the scores must be finite; the score number {wrong} is {checked_N[wrong]}: leave "
            "failed evaluations out"
        )
    check_graphs(graphs)
    return checked_N


def check_graphs(graphs: Sequence[Graph]) -> None:
    """Check that every value is a graph.

    Raises:
        ValueError: a value is not a graph; the message names the first one.
    """
    for place, graph in enumerate(graphs):
        if not isinstance(graph, Graph):
            raise ValueError(
                f"a predictor reads values of spaces.Graph; the value number {place} is a "
                f"{type(graph).__name__}"
            )
