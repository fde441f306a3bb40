"""Spaces and architectures for the tests of evaluators."""

from __future__ import annotations

from spaces import Architecture, GraphBuilder, SearchSpace
from spaces.load import load_space

NASBENCH201 = load_space("nasbench201")


def cell(*operations):
    names = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
    return Architecture("nasbench201", tuple(zip(names, operations, strict=True)))


def small(choose, shapes):
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    width = choose.one_of("width", (4, 8))
    value = builder.node("conv2d", value, out_channels=width, kernel_size=3, stride=2, padding=1)
    value = builder.node("relu", builder.node("batch_norm2d", value))
    value = builder.node(
        "flatten",
        builder.node("adaptive_avg_pool2d", value, output_size=choose.one_of("pool", (1, 2))),
    )
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


SMALL = SearchSpace("small", small)
