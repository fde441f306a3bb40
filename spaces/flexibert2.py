"""FlexiBERT 2.0 (Tuli and Jha, EdgeTran, 2023): two to twelve encoder layers, each with its own width, an operation for every head, and up to three
feed-forward layers of their own sizes.

The graph is FlexiBERT's: each layer's heads as parallel nodes between its input and a residual norm, then its feed-forward layers in a chain and another
residual norm; |V| = 2 + sum over layers of (heads + feed-forward layers + 2). Heads have no order: the 1.7e88 architectures of the paper are those whose
graphs differ. The graph says what a transformer is, not how one is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from spaces.choices import Architecture, Chooser
from spaces.domains import Answer
from spaces.graph import Graph, GraphBuilder, Node, node
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

LAYERS = (2, 4, 6, 8, 10, 12)
HIDDEN = (128, 256, 512, 768)
HEADS = (2, 4, 8, 12)
OPERATIONS = ("sa_sdp", "sa_wma", "l_dft", "l_dct", "c_5", "c_9", "c_13")
STACKS = (1, 2, 3)
FEED_FORWARD = (256, 512, 1024, 2048, 3072, 4096)

_ADD_NORM = Node("add_norm")

Layer = tuple[int, tuple[str, ...], tuple[int, ...]]

_LAYER_PATHS = tuple(
    (
        tuple(f"layer_{number}/{name}" for name in ("hidden", "heads", "stacks")),
        tuple(f"layer_{number}/head_{head}" for head in range(max(HEADS))),
        tuple(f"layer_{number}/feed_forward_{stack}" for stack in range(max(STACKS))),
    )
    for number in range(max(LAYERS))
)


def define(choose: Chooser) -> Graph:
    """How many layers, and for each its hidden size, how many heads, each head's operation, how many feed-forward layers, and their sizes."""
    one_of = choose.one_of
    layers: list[Layer] = []
    for (hidden_path, heads_path, stacks_path), head_paths, stack_paths in _LAYER_PATHS[: one_of("layers", LAYERS)]:
        hidden = one_of(hidden_path, HIDDEN)
        operations = tuple(one_of(path, OPERATIONS) for path in head_paths[: one_of(heads_path, HEADS)])
        layers.append((hidden, operations, tuple(one_of(path, FEED_FORWARD) for path in stack_paths[: one_of(stacks_path, STACKS)])))
    return graph(tuple(layers))


def graph(layers: tuple[Layer, ...]) -> Graph:
    """The graph of these layers, each (hidden size, its heads' operations, its feed-forward sizes), from the input to the output."""
    builder = GraphBuilder()
    value = builder.input()
    for hidden, operations, sizes in layers:
        mixed = builder.add(_ADD_NORM, value, *(builder.add(_head(operation, hidden, len(operations)), value) for operation in operations))
        inner, width = mixed, hidden
        for features in sizes:
            inner, width = builder.add(_feed_forward(width, features), inner), features
        value = builder.add(_ADD_NORM, mixed, inner)
    return builder.output(value)


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its columns: `layers` (N,); `hidden` (N, 12) for each layer; `operations` (N, 12, 12) for each head of each layer an index into `OPERATIONS`, -1
    behind the last head; `feed_forward` (N, 12, 3) sizes, 0 behind the last. What stands behind the last layer is ignored.
    """
    lists = [columns[name].tolist() for name in ("layers", "hidden", "operations", "feed_forward")]
    result = []
    for count, hidden, operations, feed_forward in zip(*lists, strict=True):
        decisions: list[tuple[str, Answer]] = [("layers", count)]
        for number, ((hidden_path, heads_path, stacks_path), head_paths, stack_paths) in enumerate(_LAYER_PATHS[:count]):
            heads = [OPERATIONS[index] for index in operations[number] if index >= 0]
            sizes = [size for size in feed_forward[number] if size > 0]
            decisions += [(hidden_path, hidden[number]), (heads_path, len(heads)), *zip(head_paths, heads, strict=False)]
            decisions += [(stacks_path, len(sizes)), *zip(stack_paths, sizes, strict=False)]
        result.append(Architecture(space.name, tuple(decisions)))
    return result


@cache
def _head(operation: str, hidden: int, heads: int) -> Node:
    """Self-attention and its similarity, a linear transform (Fourier or cosine), or a span-based dynamic convolution and its kernel size."""
    kind, parameter = operation.split("_")
    sizes = {"hidden": hidden, "head_size": hidden // heads}
    if kind == "sa":
        return node("self_attention", similarity=parameter, **sizes)
    return node("linear_transform", transform=parameter, **sizes) if kind == "l" else node("span_convolution", kernel_size=int(parameter), **sizes)


@cache
def _feed_forward(in_features: int, features: int) -> Node:
    return node("feed_forward", in_features=in_features, features=features)


# The shapes are a sentence of up to 512 tokens and two classes.
space = SearchSpace("flexibert2", define, Shapes((512,), (2,)), builds=False, rows=rows)
