"""The graph that describes a transformer, as in the paper, and the layers read back from it.

In the paper's computational graph, the heads of a layer are parallel nodes between its input and a
residual norm. A chain of its feed-forward layers and another residual norm follow. So the number of
nodes is 2 + the sum over layers of (heads + feed-forward layers + 2). Projections between layers of
different widths are not nodes. Heads have no order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from spaces.graph import Graph, GraphBuilder, Node, node

_ADD_NORM = Node("add_norm")


class Layer(NamedTuple):
    """An encoder layer.

    Attributes:
        hidden: its width.
        operations: one for each of its heads.
        feed_forward: the widths of its feed-forward layers.
    """

    hidden: int
    operations: tuple[str, ...]
    feed_forward: tuple[int, ...]


def describe(layers: tuple[Layer, ...], *, mixed: bool = False) -> Graph:
    """The graph of these layers, from the input to the output.

    Nodes have the attributes of the authors' labels. Those of a head are its operation, parameter
    and layer width; those of a feed-forward layer are its width. In the `mixed` form (FlexiBERT
    2.0), a head also has its own width, and a feed-forward layer that of its input.
    """
    builder = GraphBuilder()
    value = builder.input()
    for hidden, operations, sizes in layers:
        head_size = hidden // len(operations) if mixed else None
        heads = [
            builder.add(_head(operation, hidden, head_size), value) for operation in operations
        ]
        norm = builder.add(_ADD_NORM, value, *heads)
        inner, width = norm, hidden
        for features in sizes:
            inner = builder.add(_feed_forward(features, width if mixed else None), inner)
            width = features
        value = builder.add(_ADD_NORM, norm, inner)
    return builder.output(value)


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """The layers of a graph of `describe`, in whatever order its nodes are.

    The operations of each layer are sorted.
    """
    nodes, layers, value = graph.nodes, list[Layer](), 0
    while nodes[graph.outgoing[value][0]].op != "output":
        targets = graph.outgoing[value]
        heads = [nodes[target] for target in targets if nodes[target].op != "add_norm"]
        inner = next(target for target in targets if nodes[target].op == "add_norm")
        sizes: list[int] = []
        while chain := [
            target for target in graph.outgoing[inner] if nodes[target].op == "feed_forward"
        ]:
            inner = chain[0]
            sizes.append(_whole(nodes[inner], "features"))
        operations = tuple(sorted(map(_operation, heads)))
        layers.append(Layer(_whole(heads[0], "hidden"), operations, tuple(sizes)))
        value = graph.outgoing[inner][0]
    return tuple(layers)


def _whole(item: Node, name: str) -> int:
    value = item[name]
    assert isinstance(value, int)
    return value


# For the first word of an operation, such as "sa" in "sa_sdp": the operation of its node, and the
# attribute that holds the second word.
_KINDS = {
    "sa": ("self_attention", "similarity"),
    "l": ("linear_transform", "transform"),
    "c": ("span_convolution", "kernel_size"),
}
_WORDS = {kind: (word, attribute) for word, (kind, attribute) in _KINDS.items()}


@lru_cache(maxsize=4096)
def _head(operation: str, hidden: int, head_size: int | None) -> Node:
    word, parameter = operation.split("_")
    kind, attribute = _KINDS[word]
    sizes = {"hidden": hidden} if head_size is None else {"hidden": hidden, "head_size": head_size}
    return node(kind, **{attribute: int(parameter) if word == "c" else parameter}, **sizes)


def _operation(head: Node) -> str:
    word, attribute = _WORDS[head.op]
    return f"{word}_{head[attribute]}"


@lru_cache(maxsize=4096)
def _feed_forward(features: int, in_features: int | None) -> Node:
    if in_features is None:
        return node("feed_forward", features=features)
    return node("feed_forward", in_features=in_features, features=features)
