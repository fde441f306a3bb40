"""What a predictor is: settings that fit, something fitted that predicts, and a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from spaces.graph import Graph


@dataclass(frozen=True)
class Prediction:
    """What is believed about M graphs, in score units; every array is (M,) float64.

    Attributes:
        mean: the expected score, higher is better.
        aleatoric: the standard deviation that more labels would not take away (noise of the score,
            what the model cannot express).
        epistemic: the standard deviation that more labels would take away.
    """

    mean: np.ndarray
    aleatoric: np.ndarray
    epistemic: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """(M,) the standard deviation of a new score: the root of the sum of both squares."""
        return np.hypot(self.aleatoric, self.epistemic)

    def __len__(self) -> int:
        return len(self.mean)


class Fitted(Protocol):
    """A predictor with what it has learnt."""

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """The prediction for each graph. It depends on that graph alone, not on the others or on
        the order of its nodes.
        """
        ...

    def save(self, directory: str | Path) -> None:
        """Write `predictor.json` and `predictor.safetensors`, from which `load_predictor` makes an
        equal predictor.
        """
        ...


class Predictor(Protocol):
    """The settings of a predictor."""

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> Fitted:
        """Learn from graphs and their scores (N,), higher is better. The result depends on these
        and the seed alone.

        Raises:
            ValueError: see `check_training`.
        """
        ...


def check_training(graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """The scores as a (N,) float64 array.

    Raises:
        ValueError: fewer than two graphs, another number of scores, a score that is no finite
            number, or something that is no graph.
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
    """Refuses what is no graph.

    Raises:
        ValueError: names the first such value.
    """
    for place, graph in enumerate(graphs):
        if not isinstance(graph, Graph):
            raise ValueError(
                f"a predictor reads values of spaces.Graph; the value number {place} is a "
                f"{type(graph).__name__}"
            )
