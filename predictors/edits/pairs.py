"""Pairs of graphs as arrays, and what it costs to map the nodes of the one onto those of the other.

Shapes: M graphs, P pairs, N places for a graph's nodes, S kinds of edges, L labels, K distinct
nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from predictors.edits.costs import EditCosts
from spaces.graph import Graph, Node

# Pairs of nodes that are worked on at a time: a few such arrays stay in the processor's cache.
MOST_CELLS = 1 << 17


@dataclass(frozen=True, eq=False)
class Layout:
    """M graphs as arrays, nodes in an order that depends on their surroundings alone, blanks behind
    them.

    Attributes:
        label_MN: the number of each node's label; L for a blank.
        edge_MSNN: 1 where an edge of the kind leads from a node to a node. A kind is a slot, and
            how many edges of that slot lie beside it.
        depth_MN: the longest path from the input, as a share of the longest of all; a half for a
            blank.
        size_M: nodes.
    """

    label_MN: np.ndarray
    edge_MSNN: np.ndarray
    depth_MN: np.ndarray
    size_M: np.ndarray


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs of graphs, each filled up with blanks to N nodes.

    Attributes:
        node_PNN: what it costs to map a node of the first onto a node of the second.
        apart_PNN: how far apart they stand in depth, 0 to 1.
        first_PSNN, second_PSNN: the edges of both.
        edge: what an edge costs.
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
        """Some of the pairs, in this order."""
        return Pairs(
            self.node_PNN[rows],
            self.apart_PNN[rows],
            self.first_PSNN[rows],
            self.second_PSNN[rows],
            self.edge,
        )

    def num_edges(self) -> np.ndarray:
        """(P,) edges of both."""
        return self.first_PSNN.sum((1, 2, 3)) + self.second_PSNN.sum((1, 2, 3))

    def kept_by(self, x_PNN: np.ndarray) -> np.ndarray:
        """(P, N, N) the edges at a node of the first that x takes to edges at a node of the second,
        were the one mapped onto the other.

        x is a map as a matrix, or between maps.
        """
        result_PNN = np.zeros_like(self.node_PNN)
        for kind in range(self.first_PSNN.shape[1]):
            first_PNN, second_PNN = self.first_PSNN[:, kind], self.second_PSNN[:, kind]
            result_PNN += first_PNN @ x_PNN @ second_PNN.mT
            result_PNN += first_PNN.mT @ x_PNN @ second_PNN
        return result_PNN

    def seen_through(self, to_PN: np.ndarray) -> np.ndarray:
        """(P, S, N, N) the second graph's edges, its nodes numbered as those of the first that are
        mapped onto them.
        """
        pair, kind = (
            np.arange(len(self))[:, None, None, None],
            np.arange(self.second_PSNN.shape[1])[:, None, None],
        )
        return self.second_PSNN[pair, kind, to_PN[:, None, :, None], to_PN[:, None, None, :]]

    def cost(self, to_PN: np.ndarray) -> np.ndarray:
        """(P,) what the maps cost."""
        kept_P = np.einsum("psij,psij->p", self.first_PSNN, self.seen_through(to_PN))
        return along(self.node_PNN, to_PN) + np.float32(self.edge) * (self.num_edges() - 2 * kept_P)

    def certain(self) -> np.ndarray:
        """(P, N, N) what it costs to map a node onto a node, and half the edges at it that lose
        their partner whatever the rest of the map is.
        """
        result_PNN = self.node_PNN.copy()
        for kind in range(self.first_PSNN.shape[1]):
            for axis in (1, 2):
                first_PN, second_PN = (
                    self.first_PSNN[:, kind].sum(axis),
                    self.second_PSNN[:, kind].sum(axis),
                )
                result_PNN += np.float32(self.edge / 2) * np.abs(
                    first_PN[:, :, None] - second_PN[:, None, :]
                )
        return result_PNN


def along(value_PNN: np.ndarray, to_PN: np.ndarray) -> np.ndarray:
    """(P,) the sum of the values that the maps pick, one a row."""
    return np.take_along_axis(value_PNN, to_PN[:, :, None], 2).sum((1, 2))


def as_matrix(to_PN: np.ndarray) -> np.ndarray:
    """(P, N, N) 1 where a node is mapped."""
    result_PNN = np.zeros((*to_PN.shape, to_PN.shape[1]), dtype=np.float32)
    np.put_along_axis(result_PNN, to_PN[:, :, None], 1, 2)
    return result_PNN


def in_runs(
    graphs: Sequence[Graph], pair_P2: np.ndarray, costs: EditCosts
) -> Iterator[tuple[np.ndarray, Pairs]]:
    """The pairs in runs of about one size, each with the numbers of its pairs.

    Of each pair that graph comes first whose content does in some fixed order, so that both
    directions are one question.

    Raises:
        ValueError: a graph has a node without a price.
    """
    layout, blank = lay_out(graphs, costs), len(costs.labels)
    price_LL = np.zeros((blank + 1, blank + 1), dtype=np.float32)
    price_LL[:blank, :blank], price_LL[blank, :blank], price_LL[:blank, blank] = (
        costs.change,
        costs.node,
        costs.node,
    )
    rank_M = _ranked(layout)
    pair_P2 = np.where(
        (rank_M[pair_P2[:, 0]] <= rank_M[pair_P2[:, 1]])[:, None], pair_P2, pair_P2[:, ::-1]
    )
    size_P = layout.size_M[pair_P2].max(1)
    waiting = np.argsort(size_P, kind="stable")[::-1]
    while len(waiting):
        size = int(size_P[waiting[0]])
        count = max(1, MOST_CELLS // size**2)
        rows, waiting = waiting[:count], waiting[count:]
        first, second = pair_P2[rows].T
        node_PNN = price_LL[
            layout.label_MN[first, :size, None], layout.label_MN[second, None, :size]
        ]
        apart_PNN = np.abs(
            layout.depth_MN[first, :size, None] - layout.depth_MN[second, None, :size]
        )
        edges = [layout.edge_MSNN[of, :, :size, :size] for of in (first, second)]
        yield rows, Pairs(node_PNN, apart_PNN, edges[0], edges[1], costs.edge)


def lay_out(graphs: Sequence[Graph], costs: EditCosts) -> Layout:
    """The graphs as arrays.

    Raises:
        ValueError: a graph has a node without a price.
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
    slots: dict[tuple[int, int], int] = {}
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
        beside: Counter[tuple[int, int, int]] = Counter()
        for edge in graph.edges:
            edges.append(
                (
                    number,
                    slots.setdefault((edge.slot, beside[edge]), len(slots)),
                    place[edge.source],
                    place[edge.target],
                )
            )
            beside[edge] += 1
    edge_MSNN = np.zeros((len(graphs), max(len(slots), 1), largest, largest), dtype=np.float32)
    if edges:
        edge_MSNN[tuple(np.array(edges).T)] = 1
    return Layout(label_MN, edge_MSNN, depth_MN, size_M)


def _surroundings(graph: Graph, labels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Each node's longest path from the input, and a number that tells what flows into it and where
    it flows (of whole numbers a hash is certain).
    """
    depths, inner, outer = [0] * len(labels), [0] * len(labels), [0] * len(labels)
    for node, sources in enumerate(graph.incoming):
        depths[node] = max((depths[source] + 1 for source in sources), default=0)
        inner[node] = hash((labels[node], *sorted(inner[source] for source in sources)))
    for node in range(len(labels) - 1, -1, -1):
        outer[node] = hash((inner[node], *sorted(outer[target] for target in graph.outgoing[node])))
    return depths, outer


def _ranked(layout: Layout) -> np.ndarray:
    """(M,) a numbering in which equal graphs have equal numbers."""
    contents = [
        (size, layout.label_MN[row].tobytes(), layout.edge_MSNN[row].tobytes())
        for row, size in enumerate(layout.size_M.tolist())
    ]
    numbers = {content: number for number, content in enumerate(sorted(set(contents)))}
    return np.array([numbers[content] for content in contents], dtype=np.int64)
