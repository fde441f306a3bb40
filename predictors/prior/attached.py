"""Predictors that read whole networks: rows of numbers, attached to the graphs that describe them.

A predictor sees the graph that a space's program returned, which for a cell is not the network.
`Reading` wraps a predictor and attaches to each graph the row of its network.

Shapes: M graphs, R numbers in the row of a network (see `experts`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from predictors.predictor import Prediction, Predictor, check_graphs
from predictors.prior.coarse import CoarseGraph, coarse_graph
from predictors.prior.graph_networks import NO_NETWORKS, GraphNetworks
from predictors.prior.networks import WHOLE, collate
from predictors.reading.batch import EXECUTED, NETWORK, Encoded
from spaces.canonical import simplify
from spaces.graph import Graph
from spaces.ops.shapes import Shape

# How many graphs keep their rows for the next question.
_KEPT_ROWS = 50_000
# How many networks are read into memory at a time.
CHUNK = 512


@dataclass(frozen=True)
class Reader:
    """How the graphs of one space become the rows of whole networks.

    Attributes:
        space: the space's name and shapes, by which what was read is remembered.
        network: the whole network of a graph; None if the space only describes architectures.
        input_shape: of the networks.
        executed: whether operations that the output does not need are read too: a device may
            execute them, so they count for costs.
        heads: the graph networks of a prior, which are asked about each network.
    """

    space: str
    network: Callable[[Graph], Graph] | None
    input_shape: Shape | None
    executed: bool = False
    heads: GraphNetworks = NO_NETWORKS

    def rows(self, graphs: Sequence[Graph]) -> np.ndarray | None:
        """(M, R) the row of each graph's network; None if the space makes no networks.

        The row of a network that cannot be read is NaN.
        """
        if self.network is None:
            return None
        missing = list(dict.fromkeys(graph for graph in graphs if (self, graph) not in _ROWS))
        for start in range(0, len(missing), CHUNK):
            some = missing[start : start + CHUNK]
            read = [self._read(graph) for graph in some]
            networks = collate([each for each in read if each is not None])
            row_NR = self.heads.rows(networks)
            rows = iter(row_NR)
            unreadable = np.full(row_NR.shape[1], np.nan)
            for graph, each in zip(some, read, strict=True):
                _ROWS[self, graph] = unreadable if each is None else next(rows)
        nothing = np.zeros(len(WHOLE) + len(self.heads))
        found = np.stack([_ROWS[self, graph] for graph in graphs] or [nothing])
        while len(_ROWS) > _KEPT_ROWS:
            _ROWS.popitem(last=False)
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
_ROWS: OrderedDict[tuple[Reader, Graph], np.ndarray] = OrderedDict()


def attach(graphs: Sequence[Graph], reader: Reader, executed: Reader | None = None) -> list[Graph]:
    """The graphs, each with the row of its network on its input node.

    Args:
        graphs: of one space.
        reader: reads the networks of the space.
        executed: reads them with what their output does not need, if there is any; a predictor of
            costs may prefer this row.

    Raises:
        ValueError: a value is not a graph.
    """
    check_graphs(graphs)
    readers = {NETWORK: reader, EXECUTED: executed}
    read = {
        name: row_MR.tolist()
        for name, each in readers.items()
        if each is not None and (row_MR := each.rows(graphs)) is not None
    }
    attached = []
    for place, graph in enumerate(graphs):
        rows = {name: tuple(row_MR[place]) for name, row_MR in read.items()}
        known = {name: row for name, row in rows.items() if isfinite(row[0])}
        attached.append(_with_rows(graph, known) if known else graph)
    return attached


def _with_rows(graph: Graph, known: Mapping[str, tuple[float, ...]]) -> Graph:
    first = graph.nodes[0]
    attributes = tuple(sorted((*first.attributes, *known.items())))
    return Graph((replace(first, attributes=attributes), *graph.nodes[1:]), graph.edges)


def attached_rows(encoded: Encoded) -> np.ndarray:
    """(M, R) the rows that were attached to the encoded graphs; NaN where there are none."""
    rows = encoded.flat.row_M
    # A network that cannot be read as it is executed is read without heads, or the others are.
    width = min((len(row) for row in rows if row is not None), default=len(WHOLE))
    unreadable = (np.nan,) * width
    cut = [unreadable if row is None else row[:width] for row in rows]
    return np.array(cut).reshape(-1, width)


@dataclass(frozen=True)
class Reading:
    """A predictor whose graphs carry the rows of their networks.

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
        attached = attach(graphs, self.reader, self.executed)
        fitted = self.predictor.fit(attached, scores, seed=seed)
        return fitted_reading(fitted, self.reader, self.executed)


def heads_of(fitted: Any) -> GraphNetworks:
    """The graph networks that a fitted predictor listens to."""
    return getattr(getattr(fitted, "model", None), "networks", NO_NETWORKS)


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


def fitted_reading(fitted: Any, reader: Reader, executed: Reader | None) -> FittedReading:
    """The fitted predictor, which is given what it reads and no more.

    What is executed takes as long to read again, and a predictor that simplifies its graphs does
    not look at it.
    """
    return FittedReading(fitted, reader, None if getattr(fitted, "simplified", False) else executed)
