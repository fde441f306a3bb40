"""What it costs to edit one graph into another: for transformers as FlexiBERT has it, for other
graphs by what differs between two nodes.

Shapes: K distinct nodes, L labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from spaces.graph import Graph, Node, Value

# FlexiBERT's order: what is the same in all its transformers, then the families, each with the
# attributes that order its members, the first first. A place is left free before each family, so to
# pass from one to another costs one more.
_FIXED = ("input", "output", "add_norm")
_FAMILIES = (
    ("feed_forward", ("features",)),
    ("linear_transform", ("hidden", "transform")),
    ("self_attention", ("hidden", "similarity")),
    ("span_convolution", ("hidden", "kernel_size")),
)
# Of the words, dft stands before dct and sdp before wma, as the authors list them.
_WORDS = ("dft", "dct", "sdp", "wma")


@dataclass(frozen=True)
class EditCosts:
    """The costs of edits. A node is removed or inserted at one price; its label may be changed into
    another; an edge is removed or inserted.

    Attributes:
        labels: the L labels: nodes with the attributes that count.
        node: (L,) what a node of each label costs, removed or inserted.
        change: (L, L) what a change of label costs: symmetric, 0 from a label to itself, and never
            more than the one removed and the other inserted.
        edge: what an edge costs.
        ignored: attributes that do not count.
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
                f"edit costs need a price for each of the {len(self.labels)} labels and each "
                f"pair; got {len(node_L)} and {change_LL.shape}"
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
                "a change must not cost more than to remove the one node and insert the other: "
                "nobody would pay for it"
            )

    def rows(self, kinds: Sequence[Node]) -> np.ndarray:
        """(K,) the number of each node's label.

        Raises:
            ValueError: a node has a label without a price.
        """
        numbers = {label: number for number, label in enumerate(self.labels)}
        labels = [label_of(node, self.ignored) for node in kinds]
        unknown = next((label for label in labels if label not in numbers), None)
        if unknown is not None:
            raise ValueError(
                f"these edit costs know {len(numbers)} kinds of nodes, and {unknown} is none of "
                "them: make them from graphs that show it"
            )
        return np.array([numbers[label] for label in labels], dtype=np.int64)


def label_of(node: Node, ignored: frozenset[str]) -> Node:
    """The node without the attributes that do not count."""
    return (
        Node(node.op, tuple(pair for pair in node.attributes if pair[0] not in ignored))
        if ignored
        else node
    )


def suggest_costs(graphs: Iterable[Graph]) -> EditCosts:
    """FlexiBERT's costs where all operations are those of its transformers, else `graded_costs`."""
    graphs = list(graphs)
    known = {*_FIXED, *(op for op, _ in _FAMILIES)}
    return (
        transformer_costs(graphs)
        if all(node.op in known for node in _kinds(graphs))
        else graded_costs(graphs)
    )


def transformer_costs(graphs: Iterable[Graph], *, edge: float = 0.1) -> EditCosts:
    """FlexiBERT's costs (Tuli et al., JAIR 2023) for the labels in these graphs; show it all that
    the space has, since places count what is there.

    The labels stand in a row: input, output, residual norm, and after a free place each,
        feed-forward layers by size, linear transforms, self-attention
    and span convolutions by hidden size and then parameter. A change costs the difference of two
    places, a node its own place, an edge 0.1. So what computes more costs more. The authors' code
    takes the sizes out of a set, in no certain order; here they ascend. A head's size and a
    feed-forward layer's input follow from the other attributes and do not count.

    Raises:
        ValueError: a node is none of FlexiBERT's.
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
    return _costs(
        tuple(places), place_L, np.abs(place_L[:, None] - place_L), edge, frozenset(ignored)
    )


def graded_costs(graphs: Iterable[Graph], *, edge: float = 0.5) -> EditCosts:
    """Costs for the labels in any graphs: a node costs 1, a change of operation 1, a change of
    attributes up to a half.

    That half is shared by the attributes that the operation's nodes have: a number counts by how
    far apart the two stand among the values that occur, anything else whole or not at all. So no
    order of the operations is needed.
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
                    _apart(first.get(name), second.get(name), ranks[first.op, name]) for name in of
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
    """Numbers before words, the known words in their order."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return (1, _WORDS.index(value), "") if value in _WORDS else (2, 0.0, str(value))


def _ranks(values: set[Value]) -> Mapping[Value, float] | None:
    """The place of each among the values, 0 to 1; None where not all of them are numbers."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    return {
        value: place / max(len(values) - 1, 1)
        for place, value in enumerate(sorted(values, key=_rank))
    }


def _apart(first: Value, second: Value, ranks: Mapping[Value, float] | None) -> float:
    if ranks is None or first is None or second is None:
        return float(first != second)
    return abs(ranks[first] - ranks[second])
