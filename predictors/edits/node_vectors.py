"""Vectors of nodes whose squared distances approximate the costs of changes of labels.

Shapes: M graphs, K distinct nodes, L labels, V numbers of a node.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from predictors.edits.costs import EditCosts, label_of
from predictors.reading.batch import flatten
from spaces.graph import Graph, Node


@dataclass(frozen=True, eq=False)
class NodeVectors:
    """A vector for each label; the squared distances approximate the costs of changes of labels.

    The squared lengths approximate the costs of the nodes.

    Attributes:
        labels: the L labels.
        ignored: names of attributes that do not count.
        vector_LV: the vectors of the labels.
    """

    labels: tuple[Node, ...]
    ignored: frozenset[str]
    vector_LV: np.ndarray

    def of(self, kinds: Sequence[Node]) -> np.ndarray:
        """(K, V) the vectors of nodes.

        A node with an unknown label has the vector of the most similar known label of the same
        operation. A node with an unknown operation has the vector 0.
        """
        rows = {label: row for row, label in enumerate(self.labels)}
        vectors = np.vstack([self.vector_LV, np.zeros((1, self.vector_LV.shape[1]))])
        labels = [label_of(kind, self.ignored) for kind in kinds]
        return vectors[[rows[label] if label in rows else self._nearest(label) for label in labels]]

    def summed(self, graphs: Sequence[Graph]) -> np.ndarray:
        """(M, V) the sum of the vectors of each graph's nodes."""
        flat = flatten(graphs)
        count_MK = np.zeros((len(graphs), len(flat.kinds)))
        np.add.at(count_MK, (flat.graph_N, flat.kind_N), 1.0)
        return count_MK @ self.of(flat.kinds)

    def _nearest(self, label: Node) -> int:
        """The index of the most similar label of the same operation; L if there is none."""
        same_op = [row for row, known in enumerate(self.labels) if known.op == label.op]
        return min(
            same_op, key=lambda row: _difference(self.labels[row], label), default=len(self.labels)
        )


def lay_out_labels(costs: EditCosts) -> NodeVectors:
    """The vectors of the labels, by classical scaling of the roots of the costs (Torgerson 1952).

    A blank node is at the origin. For `transformer_costs` the vectors are exact.
    """
    node_L = np.array(costs.node)
    # The inner products of vectors whose squared lengths and distances are the costs.
    inner_LL = (node_L[:, None] + node_L - np.array(costs.change)) / 2
    value_L, basis_LL = np.linalg.eigh(inner_LL)
    positive = value_L > 1e-9
    vector_LV = basis_LL[:, positive] * np.sqrt(value_L[positive])
    return NodeVectors(costs.labels, costs.ignored, vector_LV)


def _difference(known: Node, other: Node) -> tuple[int, float, str]:
    """The number of attributes that differ, and the sum of the relative differences of numbers.

    The third item is the known node as text, which makes the order of nodes unique.
    """
    values = dict(other.attributes)
    differing = [
        (value, values.get(name)) for name, value in known.attributes if value != values.get(name)
    ]
    numbers = [
        (float(first), float(second))
        for first, second in differing
        if isinstance(first, int | float) and isinstance(second, int | float)
    ]
    relative = sum(
        abs(first - second) / max(abs(first) + abs(second), 1e-9) for first, second in numbers
    )
    return len(differing), relative, json.dumps(str(known))
