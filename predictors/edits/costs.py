"""The costs of graph edits: FlexiBERT's for its transformers, graded ones for all other graphs.

Shapes: K distinct nodes, L labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from spaces.graph import Graph, Node, Value

# FlexiBERT's order of labels: first the operations that all its transformers have, then families of
# operations. The labels of a family are sorted by these attributes, the first attribute first. One
# position stays free before each family, so a change to another family costs one more.
_FIXED = ("input", "output", "add_norm")
_FAMILIES = (
    ("feed_forward", ("features",)),
    ("linear_transform", ("hidden", "transform")),
    ("self_attention", ("hidden", "similarity")),
    ("span_convolution", ("hidden", "kernel_size")),
)
# Attribute values in the authors' order: dft before dct, and sdp before wma.
_WORDS = ("dft", "dct", "sdp", "wma")


@dataclass(frozen=True)
class EditCosts:
    """The costs of the edits: insert or remove a node or an edge, or change a node's label.

    Attributes:
        labels: the L labels, each a node with the attributes that count.
        node: (L,) the cost to insert or remove a node of each label.
        change: (L, L) the cost to change one label into another: symmetric, 0 on the diagonal, and
            at most the cost to remove the one and insert the other.
        edge: the cost to insert or remove an edge.
        ignored: names of attributes that do not count.

    Raises:
        ValueError: the costs do not have these properties.
    """

    labels: tuple[Node, ...]
    node: tuple[float, ...]
    change: tuple[tuple[float, ...], ...]
    edge: float
    ignored: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        node_L, change_LL = np.array(self.node), np.array(self.change).reshape(len(self.node), -1)
        if (
            not len(self.labels) == len(node_L) == len(change_LL)
            or change_LL.shape[0] != change_LL.shape[1]
        ):
            raise ValueError(
                f"edit costs need a price for each of the {len(self.labels)} labels and for each "
                f"pair of labels; got {len(node_L)} and {change_LL.shape}"
            )
        if not np.isfinite([self.edge, *self.node]).all() or self.edge < 0 or (node_L < 0).any():
            raise ValueError("the prices of nodes and edges must be finite and 0 or more")
        if not (
            (change_LL >= 0).all()
            and (change_LL == change_LL.T).all()
            and not np.diag(change_LL).any()
        ):
            raise ValueError(
                "the prices of changes must be 0 or more, the same both ways, and 0 from a label "
                "to itself"
            )
        if (change_LL > node_L[:, None] + node_L + 1e-9).any():
            raise ValueError(
                "a change must not cost more than to remove one node and insert the other, because "
                "it would never be part of a cheapest edit"
            )

    def rows(self, kinds: Sequence[Node]) -> np.ndarray:
        """(K,) the index of each node's label.

        Raises:
            ValueError: a node has a label that these costs do not contain.
        """
        numbers = {label: number for number, label in enumerate(self.labels)}
        labels = [label_of(node, self.ignored) for node in kinds]
        unknown = next((label for label in labels if label not in numbers), None)
        if unknown is not None:
            raise ValueError(
                f"these edit costs are for {len(numbers)} kinds of nodes, and {unknown} is none of "
                "them: make the costs from graphs that contain it"
            )
        return np.array([numbers[label] for label in labels], dtype=np.int64)


def label_of(node: Node, ignored: frozenset[str]) -> Node:
    """The node without the ignored attributes."""
    if not ignored:
        return node
    return Node(node.op, tuple(pair for pair in node.attributes if pair[0] not in ignored))


def suggest_costs(graphs: Iterable[Graph]) -> EditCosts:
    """`transformer_costs` if all operations are FlexiBERT's, else `graded_costs`."""
    graphs = list(graphs)
    known = {*_FIXED, *(op for op, _ in _FAMILIES)}
    if all(node.op in known for node in _kinds(graphs)):
        return transformer_costs(graphs)
    return graded_costs(graphs)


def transformer_costs(graphs: Iterable[Graph], *, edge: float = 0.1) -> EditCosts:
    """FlexiBERT's costs (Tuli et al., JAIR 2023) for the labels in these graphs.

    The labels are numbered in this order: input, output, residual norm; feed-forward layers by
    size; linear transforms, self-attention and span convolutions, each by hidden size and then by
    their parameter. One number is skipped before each of these four families. A change costs the
    difference of the two numbers, a node its own number, an edge 0.1. So operations that compute
    more cost more.

    The authors' code takes the sizes out of a set, in an undefined order; here they ascend. The
    size of a head and the input size of a feed-forward layer follow from the other attributes and
    do not count.

    Args:
        graphs: they should contain all labels of the space, since the numbers depend on the labels
            that are present.
        edge: the cost of an edge.

    Raises:
        ValueError: a node has an operation that FlexiBERT does not have.
    """
    attributes = dict(_FAMILIES)
    by_op: dict[str, set[Node]] = {op: set() for op in (*_FIXED, *attributes)}
    ignored = set()
    for node in _kinds(graphs):
        if node.op not in by_op:
            raise ValueError(
                f"FlexiBERT's transformers consist of {', '.join(by_op)}; {node} is none of "
                "them: use graded_costs"
            )
        ignored |= {name for name, _ in node.attributes if name not in attributes.get(node.op, ())}
        by_op[node.op].add(node)
    places: dict[Node, float] = {Node(op): float(place) for place, op in enumerate(_FIXED)}
    place = len(_FIXED)
    for op, names in _FAMILIES:
        members = {label_of(node, frozenset(ignored)) for node in by_op[op]}
        place += 1
        for label in sorted(members, key=lambda label: [_rank(label.get(name)) for name in names]):
            places[label] = float(place)
            place += 1
    place_L = np.array(list(places.values()))
    change_LL = np.abs(place_L[:, None] - place_L)
    return _costs(tuple(places), place_L, change_LL, edge, frozenset(ignored))


def graded_costs(graphs: Iterable[Graph], *, edge: float = 0.5) -> EditCosts:
    """Costs for any graphs: 1 for a node or a change of operation, up to 0.5 for attributes.

    The attributes of an operation share the 0.5 equally. A numeric attribute contributes the
    difference of the two values' ranks among all values that occur, relative to the largest
    difference. Any other attribute contributes its full share if the values differ, else 0. So the
    operations need no order.
    """
    labels = tuple(sorted(_kinds(graphs), key=lambda node: (node.op, str(node))))
    values: dict[tuple[str, str], set[Value]] = {}
    for label in labels:
        for name, value in label.attributes:
            values.setdefault((label.op, name), set()).add(value)
    ranks = {key: _ranks(of) for key, of in values.items()}
    names: dict[str, list[str]] = {}
    for op, name in ranks:
        names.setdefault(op, []).append(name)
    change_LL = np.ones((len(labels), len(labels)))
    for row, first in enumerate(labels):
        for column, second in enumerate(labels):
            if first.op == second.op:
                of = names.get(first.op, [])
                parts = [
                    _difference(first.get(name), second.get(name), ranks[first.op, name])
                    for name in of
                ]
                change_LL[row, column] = 0.5 * sum(parts) / max(len(parts), 1)
    return _costs(labels, np.ones(len(labels)), change_LL, edge, frozenset())


def _costs(
    labels: tuple[Node, ...],
    node_L: np.ndarray,
    change_LL: np.ndarray,
    edge: float,
    ignored: frozenset[str],
) -> EditCosts:
    return EditCosts(
        labels, tuple(node_L.tolist()), tuple(map(tuple, change_LL.tolist())), edge, ignored
    )


def _kinds(graphs: Iterable[Graph]) -> set[Node]:
    return set(chain.from_iterable(graph.nodes for graph in graphs))


def _rank(value: Value) -> tuple[int, float, str]:
    """A sort key: numbers first, then the `_WORDS` in their order, then all other values."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return (1, _WORDS.index(value), "") if value in _WORDS else (2, 0.0, str(value))


def _ranks(values: set[Value]) -> Mapping[Value, float] | None:
    """The rank of each value, scaled to 0 to 1; None if not all values are numbers."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    return {
        value: place / max(len(values) - 1, 1)
        for place, value in enumerate(sorted(values, key=_rank))
    }


def _difference(first: Value, second: Value, ranks: Mapping[Value, float] | None) -> float:
    if ranks is None or first is None or second is None:
        return float(first != second)
    return abs(ranks[first] - ranks[second])
