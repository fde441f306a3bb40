"""FlexiBERT's small transformers (Tuli et al., JAIR 2023): two or four encoder layers, each with its own heads, width, similarity and feed-forward size.

The graph is the authors' (their section on computational graphs): each layer's heads as parallel nodes between its input and a residual norm, then the
feed-forward layer and another residual norm; |V| = 2 + sum over layers of (heads + feed-forward layers + 2). It says what a transformer is, not how one
is built.
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

LAYERS = (2, 4)
HEADS = (2, 4)
HIDDEN = (128, 256)
SIMILARITIES = ("sdp", "wma")
FEED_FORWARD = (512, 1024, 2048)

_QUESTIONS = tuple(tuple(f"layer_{number}/{name}" for name in ("heads", "hidden", "similarity", "feed_forward")) for number in range(max(LAYERS)))

_ADD_NORM = Node("add_norm")

Layer = tuple[int, int, str, int]


def define(choose: Chooser) -> Graph:
    """How many layers, and for each its heads, hidden size, similarity (scaled dot product, weighted multiplicative) and feed-forward size."""
    one_of = choose.one_of
    layers: list[Layer] = []
    for heads, hidden, similarity, feed_forward in _QUESTIONS[: one_of("layers", LAYERS)]:
        layers.append((one_of(heads, HEADS), one_of(hidden, HIDDEN), one_of(similarity, SIMILARITIES), one_of(feed_forward, FEED_FORWARD)))
    return graph(tuple(layers))


def graph(layers: tuple[Layer, ...]) -> Graph:
    """The graph of these layers, each (heads, hidden size, similarity, feed-forward size), from the input to the output."""
    builder = GraphBuilder()
    value = builder.input()
    for heads, hidden, similarity, feed_forward in layers:
        head, inner = _nodes(hidden, similarity, feed_forward)
        mixed = builder.add(_ADD_NORM, value, *(builder.add(head, value) for _ in range(heads)))
        value = builder.add(_ADD_NORM, mixed, builder.add(inner, mixed))
    return builder.output(value)


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its columns: `layers` (N,); `heads`, `hidden`, `similarity` and `feed_forward` (N, 4), for each layer, those behind the last being ignored;
    `similarity` is an index into `SIMILARITIES`. The published rows list each of the four in ascending order.
    """
    lists = [columns[name].tolist() for name in ("layers", "heads", "hidden", "similarity", "feed_forward")]
    result = []
    for count, heads, hidden, similarity, feed_forward in zip(*lists, strict=True):
        decisions: list[tuple[str, Answer]] = [("layers", count)]
        for number, paths in enumerate(_QUESTIONS[:count]):
            decisions += zip(paths, (heads[number], hidden[number], SIMILARITIES[similarity[number]], feed_forward[number]), strict=True)
        result.append(Architecture(space.name, tuple(decisions)))
    return result


@cache
def _nodes(hidden: int, similarity: str, feed_forward: int) -> tuple[Node, Node]:
    return node("self_attention", hidden=hidden, similarity=similarity), node("feed_forward", features=feed_forward)


# The shapes are a sentence of up to 512 tokens and QNLI's two classes.
space = SearchSpace("flexibert", define, Shapes((512,), (2,)), builds=False, rows=rows)
