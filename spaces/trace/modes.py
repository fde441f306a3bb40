"""Whether a module computes the same in training and in evaluation, as one graph must.

Only dropout and norms may differ: norms are modules of torch.nn, which know the mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from spaces.canonical import canonical_key
from spaces.graph import Graph, Node

_DROPOUTS = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"})


def alike_in_evaluation(first: Graph, second: Graph) -> bool:
    """Whether two graphs compute the same without dropout."""
    return canonical_key(_without_dropout(first)) == canonical_key(_without_dropout(second))


@contextmanager
def in_other_mode(module: nn.Module) -> Iterator[None]:
    """Within this context, the module is in the other mode, training or evaluation."""
    before = [(part, part.training) for part in module.modules()]
    other = not module.training
    for part, _ in before:
        part.training = other
    try:
        yield
    finally:
        for part, mode in before:
            part.training = mode


def _without_dropout(graph: Graph) -> Graph:
    def evaluated(item: Node) -> Node:
        if item.op in _DROPOUTS:
            return Node("identity")
        return Node(item.op, tuple(pair for pair in item.attributes if pair[0] != "dropout_p"))

    return Graph(tuple(map(evaluated, graph.nodes)), graph.edges)
