"""Many graphs as a few flat arrays.

Shapes: M graphs, N nodes of all graphs together, E edges, A node features, C features of a whole
graph, K distinct nodes.

A flat batch, `flatten(graphs)`, does not depend on a vocabulary. An `Encoding` (see `features`) is
learnt from the training graphs and holds the vocabulary of operations, the attributes' columns and
the scales; `Encoding.encode(graphs)` returns the numbers that a predictor reads. Operations,
attributes and values that did not occur in training are allowed: an operation gets the number 0, a
numeric attribute the mean, and another attribute no category.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import cast

import numpy as np

from spaces.graph import Edge, Graph, Node

# Attributes of the input node with this prefix describe the whole network.
WHOLE = "whole "
# Attributes with this prefix are computed from the graph (see `terms.measured`).
MEASURED = "measured "
# The attribute of the input node that holds the numbers of the whole network (see
# `predictors.prior.attached`). The predictor that needs it reads it itself.
NETWORK = f"{WHOLE}network"
# The same of the network with operations that its output does not need.
EXECUTED = f"{WHOLE}executed network"
ROWS = (NETWORK, EXECUTED)


@dataclass(frozen=True)
class Flat:
    """M graphs as flat arrays, one graph after the other.

    Attributes:
        kinds: the K distinct nodes of the batch.
        kind_N: for each node its index in `kinds`.
        graph_N: the graph of each node, ascending.
        first_M, last_M: each graph's input and output node.
        source_E, target_E, slot_E: the edges, with node numbers in the batch.
        row_M: the numbers of each graph's network, or None. They are no part of `kinds`, so that
            input nodes do not differ in them: each would be a kind of its own.
    """

    kinds: tuple[Node, ...]
    kind_N: np.ndarray
    graph_N: np.ndarray
    first_M: np.ndarray
    last_M: np.ndarray
    source_E: np.ndarray
    target_E: np.ndarray
    slot_E: np.ndarray
    row_M: tuple[tuple[float, ...] | None, ...]

    @property
    def num_graphs(self) -> int:
        """M."""
        return len(self.first_M)

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.kind_N)

    def is_disconnected(self) -> np.ndarray:
        """(M,) true where no edge enters the output.

        In a simplified graph this means that the output does not depend on the input.
        """
        return np.bincount(self.target_E, minlength=self.num_nodes)[self.last_M] == 0


def flatten(graphs: Sequence[Graph]) -> Flat:
    """The graphs as flat arrays, without a numpy call for each graph."""
    numbers: dict[Node, int] = {}
    first = [graph.nodes[0] for graph in graphs]
    nodes = (
        node
        for graph, node in zip(graphs, first, strict=True)
        for node in (_without_rows(node), *graph.nodes[1:])
    )
    kind_N = np.fromiter((numbers.setdefault(node, len(numbers)) for node in nodes), dtype=np.int64)
    nodes_M = np.fromiter((len(graph.nodes) for graph in graphs), dtype=np.int64, count=len(graphs))
    edges_M = np.fromiter((len(graph.edges) for graph in graphs), dtype=np.int64, count=len(graphs))
    last_M = np.cumsum(nodes_M) - 1
    first_M = last_M - nodes_M + 1
    edges_E3 = np.fromiter(
        chain.from_iterable(chain.from_iterable(graph.edges for graph in graphs)), dtype=np.int64
    ).reshape(-1, 3)
    offset_E = np.repeat(first_M, edges_M)
    graph_N = np.repeat(np.arange(len(graphs)), nodes_M)
    return Flat(
        tuple(numbers),
        kind_N,
        graph_N,
        first_M,
        last_M,
        edges_E3[:, 0] + offset_E,
        edges_E3[:, 1] + offset_E,
        edges_E3[:, 2],
        tuple(cast("tuple[float, ...] | None", node.get(NETWORK)) for node in first),
    )


def _without_rows(node: Node) -> Node:
    kept = tuple(part for part in node.attributes if part[0] not in ROWS)
    return node if len(kept) == len(node.attributes) else replace(node, attributes=kept)


@dataclass(frozen=True)
class Encoded:
    """M graphs as the numbers that a predictor reads.

    Attributes:
        flat: their nodes and edges.
        op_N: the number of each node's operation.
        node_NA: each node's features: its attributes, then its place (see `counts.node_places`).
        counts_MC: each graph's standardised features (see `features.Encoding`).
    """

    flat: Flat
    op_N: np.ndarray
    node_NA: np.ndarray
    counts_MC: np.ndarray

    def __len__(self) -> int:
        return self.flat.num_graphs

    def graphs(self) -> list[Graph]:
        """The graphs that were encoded, without the numbers of their networks."""
        flat = self.flat
        edges_E3 = np.stack([flat.source_E, flat.target_E, flat.slot_E], axis=1)
        edges_E3[:, :2] -= flat.first_M[flat.graph_N[flat.target_E], None]
        bounds = np.searchsorted(flat.graph_N[flat.target_E], np.arange(len(self) + 1)).tolist()
        return [
            Graph(
                tuple(flat.kinds[kind] for kind in flat.kind_N[first : last + 1]),
                tuple(Edge(*edge) for edge in edges_E3[low:high].tolist()),
            )
            for first, last, (low, high) in zip(
                flat.first_M.tolist(), flat.last_M.tolist(), pairwise(bounds), strict=True
            )
        ]

    def take(self, rows: np.ndarray) -> Encoded:
        """The graphs with these numbers, in this order."""
        flat = self.flat
        nodes_M = flat.last_M - flat.first_M + 1
        # `flatten` writes the edges of a graph one after the other, in the order of the graphs.
        edges_M = np.bincount(flat.graph_N[flat.target_E], minlength=flat.num_graphs)
        picked_N = ranges(flat.first_M[rows], nodes_M[rows])
        picked_E = ranges((np.cumsum(edges_M) - edges_M)[rows], edges_M[rows])
        last_M = np.cumsum(nodes_M[rows]) - 1
        first_M = last_M - nodes_M[rows] + 1
        shift_E = np.repeat(first_M - flat.first_M[rows], edges_M[rows])
        taken = Flat(
            kinds=flat.kinds,
            kind_N=flat.kind_N[picked_N],
            graph_N=np.repeat(np.arange(len(rows)), nodes_M[rows]),
            first_M=first_M,
            last_M=last_M,
            source_E=flat.source_E[picked_E] + shift_E,
            target_E=flat.target_E[picked_E] + shift_E,
            slot_E=flat.slot_E[picked_E],
            row_M=tuple(flat.row_M[row] for row in rows.tolist()),
        )
        return Encoded(taken, self.op_N[picked_N], self.node_NA[picked_N], self.counts_MC[rows])

    def chunks(self, size: int) -> Iterator[Encoded]:
        """Consecutive parts of at most `size` graphs; their large arrays are views, not copies."""
        flat = self.flat
        bounds = np.arange(0, len(self) + size, size).clip(max=len(self))
        node_bounds = np.append(flat.first_M, flat.num_nodes)[bounds]
        edge_bounds = np.searchsorted(flat.graph_N[flat.target_E], bounds)
        for row, (low, high) in enumerate(pairwise(bounds.tolist())):
            nodes, edges = slice(*node_bounds[row : row + 2]), slice(*edge_bounds[row : row + 2])
            first = node_bounds[row]
            part = Flat(
                kinds=flat.kinds,
                kind_N=flat.kind_N[nodes],
                graph_N=flat.graph_N[nodes] - low,
                first_M=flat.first_M[low:high] - first,
                last_M=flat.last_M[low:high] - first,
                source_E=flat.source_E[edges] - first,
                target_E=flat.target_E[edges] - first,
                slot_E=flat.slot_E[edges],
                row_M=flat.row_M[low:high],
            )
            yield Encoded(part, self.op_N[nodes], self.node_NA[nodes], self.counts_MC[low:high])


def ranges(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The concatenated ranges start[i], start[i] + 1, ... of length[i] numbers each."""
    if len(start) == 0:
        return np.zeros(0, dtype=np.int64)
    before = np.cumsum(length) - length
    return np.repeat(start - before, length) + np.arange(int(length.sum()))
