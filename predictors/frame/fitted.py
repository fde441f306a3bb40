"""A fitted predictor: encodes graphs, runs the model and converts to score units.

Shapes: M graphs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from predictors.frame.learner import Belief, Model
from predictors.frame.store import Stored, write
from predictors.frame.targets import NormalScores
from predictors.predictor import Prediction, check_graphs
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding
from predictors.reading.terms import readable
from spaces.graph import Graph

# The number of graphs that are predicted at a time.
CHUNK = 1024
# The encoding of graphs is cached for calls with at most this many graphs.
REMEMBERED = 4096


def _quiet() -> np.errstate:
    """Without numpy's warnings: what is not finite is refused once, whatever made it."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


@dataclass(frozen=True)
class FittedModel:
    """A trained model, and all that is needed to apply it to graphs.

    Attributes:
        settings: the learner's settings.
        encoding: turns graphs into the numbers that the model reads.
        target: the map between scores and normal scores.
        model: predicts normal scores.
        scale: the calibrated factor on the model's standard deviations.
        simplified: whether graphs are simplified before they are encoded.
        disconnected: the mean and standard deviation, in normal scores, that are predicted for
            every network whose output does not depend on its input; None if the model predicts
            these networks too.
    """

    settings: Any
    encoding: Encoding
    target: NormalScores
    model: Model
    scale: float
    simplified: bool = True
    disconnected: tuple[float, float] | None = None

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """The predicted scores of M graphs, in score units.

        Raises:
            ValueError: a value is not a graph.
        """
        check_graphs(graphs)
        return self.predict_encoded(self.encode(graphs))

    def encode(self, graphs: Sequence[Graph]) -> Encoded:
        """The graphs as numbers, which a caller can keep to predict the same graphs again."""
        encoded = _encoded if len(graphs) <= REMEMBERED else _encoded.__wrapped__
        return encoded(self.encoding, tuple(graphs), self.simplified)

    def predict_encoded(self, encoded: Encoded) -> Prediction:
        """The same as `predict`, for graphs that `encode` has encoded.

        Raises:
            ValueError: a prediction is not finite, which no trained model gives.
        """
        if len(encoded) == 0:
            return Prediction(np.zeros(0), np.zeros(0), np.zeros(0))
        with _quiet():
            prediction = self._predicted(encoded)
            finite_M = np.isfinite(prediction.mean) & np.isfinite(prediction.std)
        if not finite_M.all():
            raise ValueError(
                f"the predictor {self.settings.name!r} gives a prediction that is not finite, so "
                "what it learnt is damaged: fit it again"
            )
        return prediction

    def _predicted(self, encoded: Encoded) -> Prediction:
        parts = _side_by_side(self._believe, list(encoded.chunks(CHUNK)))
        mean_M, aleatoric_M, epistemic_M = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("mean", "aleatoric", "epistemic")
        )
        aleatoric_M, epistemic_M = aleatoric_M * self.scale, epistemic_M * self.scale
        if self.disconnected is not None:
            disconnected_M = encoded.flat.is_disconnected()
            mean_M[disconnected_M], aleatoric_M[disconnected_M] = self.disconnected
            epistemic_M[disconnected_M] = 0.0
        return self.target.prediction(mean_M, aleatoric_M, epistemic_M)

    def _believe(self, encoded: Encoded) -> Belief:
        # It may run on another thread, where numpy warns again.
        with _quiet():
            return self.model.predict(encoded)

    def save(self, directory: str | Path) -> None:
        """Write the two files that `load_predictor` reads."""
        state = {
            "encoding": asdict(self.encoding),
            "scale": self.scale,
            "simplified": self.simplified,
            "dead": self.disconnected,
            "model": self.model.state(),
        }
        arrays = {f"model.{name}": array for name, array in self.model.arrays().items()}
        write(
            directory,
            Stored(self.settings.name, asdict(self.settings), state, arrays | self.target.arrays()),
        )


@lru_cache(maxsize=2)
def _encoded(encoding: Encoding, graphs: tuple[Graph, ...], simplified: bool) -> Encoded:
    # A search with several objectives fits one predictor to each, on the same graphs, and all of
    # them predict the same candidates.
    return encoding.encode([readable(graph, simplified=simplified) for graph in graphs])


def _side_by_side(predict: Callable[[Encoded], Belief], chunks: Sequence[Encoded]) -> list[Belief]:
    """The prediction of each chunk, several chunks in parallel.

    Each chunk runs on one thread: the matrix products here are too small to gain from more.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        workers = min(len(chunks), os.cpu_count() or 1)
        if workers == 1:
            return [predict(chunk) for chunk in chunks]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(predict, chunks))
