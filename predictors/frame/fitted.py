"""A learner's model with what surrounds it: graphs go in, predictions in score units come out.

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

# Graphs that are predicted at a time.
CHUNK = 1024
# Of so many graphs at most the numbers are kept, for who asks about them again.
REMEMBERED = 4096


@dataclass(frozen=True)
class FittedModel:
    """A model with what surrounds it.

    Attributes:
        settings: of the learner.
        encoding: turns graphs into what the model reads.
        target: the map back to score units.
        scale: the factor on the model's spread.
        simplified: whether graphs are simplified before they are read.
        dead: mean and deviation, in normal scores, of every network whose output does not hear its
            input; None where the model is asked about them too.
    """

    settings: Any
    encoding: Encoding
    target: NormalScores
    model: Model
    scale: float
    simplified: bool = True
    dead: tuple[float, float] | None = None

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """Mean and standard deviations of M graphs in score units.

        Raises:
            ValueError: a value is no graph.
        """
        check_graphs(graphs)
        return self.predict_encoded(self.encode(graphs))

    def encode(self, graphs: Sequence[Graph]) -> Encoded:
        """The graphs as numbers, for those who ask about the same ones again."""
        encoded = _encoded if len(graphs) <= REMEMBERED else _encoded.__wrapped__
        return encoded(self.encoding, tuple(graphs), self.simplified)

    def predict_encoded(self, encoded: Encoded) -> Prediction:
        """The same for graphs encoded before."""
        if len(encoded) == 0:
            return Prediction(np.zeros(0), np.zeros(0), np.zeros(0))
        parts = _side_by_side(self.model.predict, list(encoded.chunks(CHUNK)))
        mean_M, aleatoric_M, epistemic_M = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("mean", "aleatoric", "epistemic")
        )
        aleatoric_M, epistemic_M = aleatoric_M * self.scale, epistemic_M * self.scale
        if self.dead is not None:
            dead_M = encoded.flat.is_dead()
            mean_M[dead_M], aleatoric_M[dead_M], epistemic_M[dead_M] = *self.dead, 0.0
        return self.target.prediction(mean_M, aleatoric_M, epistemic_M)

    def save(self, directory: str | Path) -> None:
        """Write the predictor so that `load_predictor` reads it."""
        state = {
            "encoding": asdict(self.encoding),
            "scale": self.scale,
            "simplified": self.simplified,
            "dead": self.dead,
            "model": self.model.state(),
        }
        arrays = {f"model.{name}": array for name, array in self.model.arrays().items()}
        write(
            directory,
            Stored(self.settings.name, asdict(self.settings), state, arrays | self.target.arrays()),
        )


@lru_cache(maxsize=2)
def _encoded(encoding: Encoding, graphs: tuple[Graph, ...], simplified: bool) -> Encoded:
    # A search of several objectives fits a predictor to each, on the same graphs, and asks all of
    # them about the same candidates.
    return encoding.encode([readable(graph, simplified=simplified) for graph in graphs])


def _side_by_side(predict: Callable[[Encoded], Belief], chunks: Sequence[Encoded]) -> list[Belief]:
    """The beliefs about each chunk. Several are worked on at once, each on one thread: no product
    of matrices here is worth more than one.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        workers = min(len(chunks), os.cpu_count() or 1)
        if workers == 1:
            return [predict(chunk) for chunk in chunks]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(predict, chunks))
