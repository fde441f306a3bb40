"""Predictors that read whole networks: their numbers, attached to the graphs that describe them.

A predictor sees the graph that a space's program returned, which for a cell is not the network.
`Reading` wraps a predictor and attaches to each graph the numbers of its network.

Shapes: M graphs, W numbers of a network.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from predictors.frame.targets import are_costs
from predictors.predictor import Prediction, Predictor, check_graphs, check_training
from predictors.prior.coarse import CoarseGraph, coarse_graph
from predictors.prior.networks import WHOLE, collate, whole_numbers
from predictors.reading.batch import EXECUTED, NETWORK, Encoded
from spaces.canonical import simplify
from spaces.graph import Graph
from spaces.ops.shapes import Shape

# How many graphs keep their numbers for the next question.
_KEPT_NUMBERS = 50_000
# How many networks are read into memory at a time.
CHUNK = 512
_UNREADABLE = np.full(len(WHOLE), np.nan)


@dataclass(frozen=True)
class Reader:
    """How the graphs of one space become the numbers of whole networks.

    Attributes:
        space: the space's name and shapes, by which what was read is remembered.
        network: the whole network of a graph; None if the space only describes architectures.
        input_shape: of the networks.
        executed: whether operations that the output does not need are read too: a device may
            execute them, so they count for costs.
    """

    space: str
    network: Callable[[Graph], Graph] | None = field(compare=False)
    input_shape: Shape | None
    executed: bool = False

    def numbers(self, graphs: Sequence[Graph]) -> np.ndarray | None:
        """(M, W) the numbers of each graph's network; None if the space makes no networks.

        The numbers of a network that cannot be read are NaN.
        """
        if self.network is None:
            return None
        missing = list(dict.fromkeys(graph for graph in graphs if (self, graph) not in _NUMBERS))
        for start in range(0, len(missing), CHUNK):
            some = missing[start : start + CHUNK]
            read = [self._read(graph) for graph in some]
            rows = iter(whole_numbers(collate([each for each in read if each is not None])))
            for graph, each in zip(some, read, strict=True):
                _NUMBERS[self, graph] = _UNREADABLE if each is None else next(rows)
        found = np.stack([_NUMBERS[self, graph] for graph in graphs] or [np.zeros(len(WHOLE))])
        while len(_NUMBERS) > _KEPT_NUMBERS:
            _NUMBERS.popitem(last=False)
        return found[: len(graphs)]

    def _read(self, graph: Graph) -> CoarseGraph | None:
        assert self.network is not None
        try:
            network = self.network(graph if self.executed else simplify(graph))
            stated = network.nodes[0].get("shape") is not None
            shape = None if stated else self.input_shape
            return coarse_graph(network, shape, executed=self.executed)
        except ValueError:
            # What a network computes may be beyond what can be inferred of it. Then the predictor
            # reads its graph alone, as it does in a space that only describes architectures.
            return None


# A round of a search asks about the same networks again: those that were trained, and neighbours.
_NUMBERS: OrderedDict[tuple[Reader, Graph], np.ndarray] = OrderedDict()


def attach(graphs: Sequence[Graph], reader: Reader, executed: Reader | None = None) -> list[Graph]:
    """The graphs, each with the numbers of its network on its input node.

    Args:
        graphs: of one space.
        reader: reads the networks of the space.
        executed: reads them with what their output does not need, if there is any; a predictor of
            costs may prefer these numbers.

    Raises:
        ValueError: a value is not a graph.
    """
    check_graphs(graphs)
    readers = {NETWORK: reader, EXECUTED: executed}
    read = {
        name: numbers.tolist()
        for name, each in readers.items()
        if each is not None and (numbers := each.numbers(graphs)) is not None
    }
    attached = []
    for place, graph in enumerate(graphs):
        rows = {name: tuple(numbers[place]) for name, numbers in read.items()}
        known = {name: row for name, row in rows.items() if isfinite(row[0])}
        attached.append(_with_numbers(graph, known) if known else graph)
    return attached


def _with_numbers(graph: Graph, known: Mapping[str, tuple[float, ...]]) -> Graph:
    first = graph.nodes[0]
    attributes = tuple(sorted((*first.attributes, *known.items())))
    return Graph((replace(first, attributes=attributes), *graph.nodes[1:]), graph.edges)


def attached_numbers(encoded: Encoded) -> np.ndarray:
    """(M, W) the numbers that were attached to the encoded graphs; NaN where there are none."""
    flat = encoded.flat
    rows = [flat.kinds[kind].get(NETWORK) for kind in flat.kind_N[flat.first_M].tolist()]
    return np.array([_UNREADABLE if row is None else row for row in rows]).reshape(-1, len(WHOLE))


@dataclass(frozen=True)
class Reading:
    """A predictor whose graphs carry the numbers of their networks.

    Attributes:
        predictor: the predictor.
        reader: how a graph becomes a network.
        executed: how it becomes one with what its output does not need (see `attach`).
    """

    predictor: Predictor
    reader: Reader
    executed: Reader | None = None

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedReading:
        """See `predictor.Predictor`."""
        executed = self.executed
        if executed is not None:
            score_N = check_training(graphs, scores)
            # What is executed takes as long to read again, and only costs depend on it.
            executed = executed if are_costs([simplify(each) for each in graphs], score_N) else None
        attached = attach(graphs, self.reader, executed)
        fitted = self.predictor.fit(attached, scores, seed=seed)
        is_simplified = getattr(fitted, "simplified", False)
        return FittedReading(fitted, self.reader, None if is_simplified else executed)


@dataclass(frozen=True)
class FittedReading:
    """A fitted predictor, and how its graphs are read."""

    fitted: Any
    reader: Reader
    executed: Reader | None = None

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """See `predictor.Fitted`."""
        return self.fitted.predict(attach(graphs, self.reader, self.executed))

    def encode(self, graphs: Sequence[Graph]) -> Encoded:
        """See `fitted.FittedModel.encode`."""
        return self.fitted.encode(attach(graphs, self.reader, self.executed))

    def predict_encoded(self, encoded: Encoded) -> Prediction:
        """See `fitted.FittedModel.predict_encoded`."""
        return self.fitted.predict_encoded(encoded)

    def save(self, directory: str | Path) -> None:
        """Write the two files of the predictor inside."""
        self.fitted.save(directory)

    @property
    def model(self) -> Any:
        """The model of the predictor inside."""
        return self.fitted.model
