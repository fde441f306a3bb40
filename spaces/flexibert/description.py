"""The graph of a transformer, which is the authors' (their section on computational graphs), and
what it says, read back.

Each layer's heads stand as parallel nodes between its input and a residual norm, then its
feed-forward layers in a chain and another residual norm;
|V| = 2 + sum over layers of (heads + feed-forward layers + 2). Projections between layers of different widths are no nodes. Heads have no order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from spaces.graph import Graph, GraphBuilder, Node, node

_ADD_NORM = Node("add_norm")


class Layer(NamedTuple):
    """An encoder layer: its width, an operation for each of its heads, and the widths of its
    feed-forward layers.
    """

    hidden: int
    operations: tuple[str, ...]
    feed_forward: tuple[int, ...]


def describe(layers: tuple[Layer, ...], *, mixed: bool = False) -> Graph:
    """The graph of these layers, from the input to the output.

    Nodes are labelled as the authors' are: heads by operation, parameter and the layer's width, in
    the `mixed` form (FlexiBERT 2.0) by their own width too; feed-forward layers by their width, in
    the `mixed` form by that of their input too.
    """
    builder = GraphBuilder()
    value = builder.input()
    for hidden, operations, sizes in layers:
        head_size = hidden // len(operations) if mixed else None
        norm = builder.add(
            _ADD_NORM,
            value,
            *[builder.add(_head(operation, hidden, head_size), value) for operation in operations],
        )
        inner, width = norm, hidden
        for features in sizes:
            inner, width = (
                builder.add(_feed_forward(features, width if mixed else None), inner),
                features,
            )
        value = builder.add(_ADD_NORM, norm, inner)
    return builder.output(value)


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """The layers that a graph of `describe` has, whatever the order of its nodes; each layer's
    operations are sorted.
    """
    nodes, layers, value = graph.nodes, list[Layer](), 0
    while nodes[graph.outgoing[value][0]].op != "output":
        heads = [
            nodes[target] for target in graph.outgoing[value] if nodes[target].op != "add_norm"
        ]
        inner = next(target for target in graph.outgoing[value] if nodes[target].op == "add_norm")
        sizes: list[int] = []
        while following := [
            target for target in graph.outgoing[inner] if nodes[target].op == "feed_forward"
        ]:
            inner = following[0]
            sizes.append(_whole(nodes[inner], "features"))
        layers.append(
            Layer(_whole(heads[0], "hidden"), tuple(sorted(map(_operation, heads))), tuple(sizes))
        )
        value = graph.outgoing[inner][0]
    return tuple(layers)


def _whole(item: Node, name: str) -> int:
    value = item[name]
    assert isinstance(value, int)
    return value


# An operation's first word, the kind of its node, and the attribute that holds its second.
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
    return (
        node("feed_forward", features=features)
        if in_features is None
        else node("feed_forward", in_features=in_features, features=features)
    )
