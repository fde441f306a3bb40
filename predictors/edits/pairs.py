"""Pairs of graphs as arrays, and the costs of maps between their nodes.

Shapes: M graphs, P pairs, N padded node positions, S kinds of edges, L labels, K distinct nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from predictors.edits.costs import EditCosts
from spaces.graph import Graph, Node

# Pairs of nodes in one batch. A few arrays of this size stay in the processor's cache.
MOST_CELLS = 1 << 17


@dataclass(frozen=True, eq=False)
class Layout:
    """M graphs as arrays, padded with blank nodes.

    The order of the nodes depends only on their labels and on the edges around them.

    Attributes:
        label_MN: the index of each node's label; L for a blank.
        edge_MSNN: 1 if there is an edge of the kind from the one node to the other. The kind of an
            edge is its slot together with its number among parallel edges of that slot.
        depth_MN: the length of the longest path from the input, relative to the longest of the
            graph; 0.5 for a blank.
        size_M: numbers of nodes.
    """

    label_MN: np.ndarray
    edge_MSNN: np.ndarray
    depth_MN: np.ndarray
    size_M: np.ndarray


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs of graphs, each padded with blank nodes to N nodes.

    Attributes:
        node_PNN: the cost to map each node of the first graph to each node of the second.
        apart_PNN: the difference of their depths, 0 to 1.
        first_PSNN, second_PSNN: the edges of the two graphs.
        edge: the cost of an edge.
    """

    node_PNN: np.ndarray
    apart_PNN: np.ndarray
    first_PSNN: np.ndarray
    second_PSNN: np.ndarray
    edge: float

    def __len__(self) -> int:
        return len(self.node_PNN)

    @property
    def num_places(self) -> int:
        """N."""
        return self.node_PNN.shape[1]

    def take(self, rows: np.ndarray) -> Pairs:
        """The pairs with these indices, in this order."""
        return Pairs(
            self.node_PNN[rows],
            self.apart_PNN[rows],
            self.first_PSNN[rows],
            self.second_PSNN[rows],
            self.edge,
        )

    def num_edges(self) -> np.ndarray:
        """(P,) the number of edges of both graphs."""
        return self.first_PSNN.sum((1, 2, 3)) + self.second_PSNN.sum((1, 2, 3))

    def kept_by(self, x_PNN: np.ndarray) -> np.ndarray:
        """(P, N, N) for each pair of nodes the number of edges kept if one is mapped to the other.

        Kept are edges at the node of the first graph that x maps to edges at the node of the second
        graph.

        Args:
            x_PNN: the map of all other nodes as a matrix, or a convex combination of such matrices.
        """
        result_PNN = np.zeros_like(self.node_PNN)
        for kind in range(self.first_PSNN.shape[1]):
            first_PNN, second_PNN = self.first_PSNN[:, kind], self.second_PSNN[:, kind]
            result_PNN += first_PNN @ x_PNN @ second_PNN.mT
            result_PNN += first_PNN.mT @ x_PNN @ second_PNN
        return result_PNN

    def seen_through(self, to_PN: np.ndarray) -> np.ndarray:
        """(P, S, N, N) the edges of the second graph, numbered as the nodes mapped to its nodes."""
        pair = np.arange(len(self))[:, None, None, None]
        kind = np.arange(self.second_PSNN.shape[1])[:, None, None]
        return self.second_PSNN[pair, kind, to_PN[:, None, :, None], to_PN[:, None, None, :]]

    def cost(self, to_PN: np.ndarray) -> np.ndarray:
        """(P,) the costs of the maps."""
        kept_P = np.einsum("psij,psij->p", self.first_PSNN, self.seen_through(to_PN))
        return along(self.node_PNN, to_PN) + np.float32(self.edge) * (self.num_edges() - 2 * kept_P)

    def certain(self) -> np.ndarray:
        """(P, N, N) a lower bound of the cost to map each node to each node.

        It is the cost of the labels, plus half the cost of the edges at the two nodes that have to
        be edited in every such map.
        """
        result_PNN = self.node_PNN.copy()
        for kind in range(self.first_PSNN.shape[1]):
            for axis in (1, 2):
                first_PN = self.first_PSNN[:, kind].sum(axis)
                second_PN = self.second_PSNN[:, kind].sum(axis)
                edited_PNN = np.abs(first_PN[:, :, None] - second_PN[:, None, :])
                result_PNN += np.float32(self.edge / 2) * edited_PNN
        return result_PNN


def along(value_PNN: np.ndarray, to_PN: np.ndarray) -> np.ndarray:
    """(P,) the sum over the nodes of the value of each node and its image."""
    return np.take_along_axis(value_PNN, to_PN[:, :, None], 2).sum((1, 2))


def as_matrix(to_PN: np.ndarray) -> np.ndarray:
    """(P, N, N) the maps as permutation matrices."""
    result_PNN = np.zeros((*to_PN.shape, to_PN.shape[1]), dtype=np.float32)
    np.put_along_axis(result_PNN, to_PN[:, :, None], 1, 2)
    return result_PNN


def in_runs(
    graphs: Sequence[Graph], pair_P2: np.ndarray, costs: EditCosts
) -> Iterator[tuple[np.ndarray, Pairs]]:
    """The pairs in batches of graphs of similar size, each with the indices of its pairs.

    The two graphs of a pair are put into a fixed order of their contents, so that the result is the
    same in both directions.

    Raises:
        ValueError: a graph has a node that the costs do not contain.
    """
    layout, blank = lay_out(graphs, costs), len(costs.labels)
    price_LL = np.zeros((blank + 1, blank + 1), dtype=np.float32)
    price_LL[:blank, :blank] = costs.change
    price_LL[blank, :blank] = price_LL[:blank, blank] = costs.node
    rank_M = _ranked(layout)
    in_order_P = rank_M[pair_P2[:, 0]] <= rank_M[pair_P2[:, 1]]
    pair_P2 = np.where(in_order_P[:, None], pair_P2, pair_P2[:, ::-1])
    size_P = layout.size_M[pair_P2].max(1)
    waiting = np.argsort(size_P, kind="stable")[::-1]
    while len(waiting):
        size = int(size_P[waiting[0]])
        count = max(1, MOST_CELLS // size**2)
        rows, waiting = waiting[:count], waiting[count:]
        first, second = pair_P2[rows].T
        label_MN, depth_MN = layout.label_MN[:, :size], layout.depth_MN[:, :size]
        node_PNN = price_LL[label_MN[first, :, None], label_MN[second, None, :]]
        apart_PNN = np.abs(depth_MN[first, :, None] - depth_MN[second, None, :])
        edges = [layout.edge_MSNN[of, :, :size, :size] for of in (first, second)]
        yield rows, Pairs(node_PNN, apart_PNN, edges[0], edges[1], costs.edge)


def lay_out(graphs: Sequence[Graph], costs: EditCosts) -> Layout:
    """The graphs as arrays.

    Raises:
        ValueError: a graph has a node that the costs do not contain.
    """
    kinds: dict[Node, int] = {}
    for graph in graphs:
        for node in graph.nodes:
            kinds.setdefault(node, len(kinds))
    label_K = costs.rows(list(kinds)).tolist()
    size_M = np.array([len(graph.nodes) for graph in graphs], dtype=np.int64)
    largest = int(size_M.max(initial=0))
    label_MN = np.full((len(graphs), largest), len(costs.labels))
    depth_MN = np.full((len(graphs), largest), 0.5, dtype=np.float32)
    kinds_of_edges: dict[tuple[int, int], int] = {}
    edges: list[tuple[int, int, int, int]] = []
    for number, graph in enumerate(graphs):
        labels = [label_K[kinds[node]] for node in graph.nodes]
        depths, colours = _surroundings(graph, labels)
        order = sorted(
            range(len(labels)), key=lambda node: (depths[node], labels[node], colours[node])
        )
        place = {node: position for position, node in enumerate(order)}
        label_MN[number, : len(order)] = [labels[node] for node in order]
        depth_MN[number, : len(order)] = [depths[node] / max(1, *depths) for node in order]
        parallel: Counter[tuple[int, int, int]] = Counter()
        for edge in graph.edges:
            kind = kinds_of_edges.setdefault((edge.slot, parallel[edge]), len(kinds_of_edges))
            edges.append((number, kind, place[edge.source], place[edge.target]))
            parallel[edge] += 1
    num_kinds = max(len(kinds_of_edges), 1)
    edge_MSNN = np.zeros((len(graphs), num_kinds, largest, largest), dtype=np.float32)
    if edges:
        edge_MSNN[tuple(np.array(edges).T)] = 1
    return Layout(label_MN, edge_MSNN, depth_MN, size_M)


def _surroundings(graph: Graph, labels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Each node's longest path from the input, and a hash of its ancestors and descendants.

    The hash is of integers only, so it does not vary between processes.
    """
    depths, inner, outer = [0] * len(labels), [0] * len(labels), [0] * len(labels)
    for node, sources in enumerate(graph.incoming):
        depths[node] = max((depths[source] + 1 for source in sources), default=0)
        inner[node] = hash((labels[node], *sorted(inner[source] for source in sources)))
    for node in range(len(labels) - 1, -1, -1):
        outer[node] = hash((inner[node], *sorted(outer[target] for target in graph.outgoing[node])))
    return depths, outer


def _ranked(layout: Layout) -> np.ndarray:
    """(M,) the rank of each graph in a fixed order of contents; equal graphs have equal ranks."""
    contents = [
        (size, layout.label_MN[row].tobytes(), layout.edge_MSNN[row].tobytes())
        for row, size in enumerate(layout.size_M.tolist())
    ]
    numbers = {content: number for number, content in enumerate(sorted(set(contents)))}
    return np.array([numbers[content] for content in contents], dtype=np.int64)
