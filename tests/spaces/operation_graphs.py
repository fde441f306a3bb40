"""Graphs of one operation, for the tests of the vocabulary."""

from __future__ import annotations

import torch

from spaces import GraphBuilder
from spaces.ops import find

IMAGE, SEQUENCE, SIGNAL, VOLUME, VECTOR = (8, 6, 6), (6, 8), (8, 12), (4, 6, 6, 6), (8,)


def network(op, attributes, shapes):
    """A graph that cuts one vector into inputs of these shapes and applies `op` to them."""
    shapes = shapes if isinstance(shapes[0], tuple) else (shapes,)
    builder = GraphBuilder()
    sizes = [int(torch.Size(shape).numel()) for shape in shapes]
    x = builder.input((sum(sizes),))
    pieces = [
        builder.node("split", x, split_size=tuple(sizes), dim=1, index=place)
        for place in range(len(sizes))
    ]
    values = [
        builder.node("reshape", piece, shape=("batch", *shape))
        for piece, shape in zip(pieces, shapes, strict=True)
    ]
    for mask in {"function:torch.where": (0,), "masked_fill": (1,)}.get(op, ()):
        values[mask] = builder.node("function:torch.gt", values[mask], arg1=0.0)
    ordered = find(op).ordered and len(values) > 1
    return builder.output(builder.node(op, *values, ordered=ordered, **attributes))
