"""Random convolutional graphs have the shapes and the costs of the modules built from them."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from spaces import GraphBuilder
from spaces.build import build
from spaces.ops import costs, infer_shapes


@st.composite
def convolutional_graphs(draw):
    builder = GraphBuilder()
    shape = (draw(st.integers(1, 4)), draw(st.integers(5, 9)), draw(st.integers(5, 9)))
    values = [builder.input(shape)]
    kinds = ["conv2d", "depthwise", "batch_norm2d", "max_pool2d", "relu", "cat", "add"]
    for _ in range(draw(st.integers(1, 7))):
        source = values[-1] if draw(st.booleans()) else draw(st.sampled_from(values))
        kind = draw(st.sampled_from(kinds))
        kernel = draw(st.integers(1, 5))
        padding = draw(st.integers(0, kernel // 2))
        if kind == "conv2d":
            stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
            channels, bias = draw(st.integers(1, 5)), draw(st.booleans())
            value = builder.node(
                "conv2d",
                source,
                out_channels=channels,
                kernel_size=kernel,
                stride=stride,
                padding=padding,
                dilation=dilation,
                bias=bias,
            )
        elif kind == "depthwise":
            value = builder.node(
                "conv2d",
                source,
                out_channels="in_channels",
                groups="in_channels",
                kernel_size=kernel,
                padding=padding,
            )
        elif kind == "max_pool2d":
            value = builder.node(
                "max_pool2d",
                source,
                kernel_size=kernel,
                padding=padding,
                ceil_mode=draw(st.booleans()),
            )
        elif kind == "cat":
            value = builder.node("cat", source, draw(st.sampled_from(values)), ordered=True)
        elif kind == "add":
            value = builder.node("add", source, draw(st.sampled_from(values)))
        else:
            value = builder.node(kind, source)
        values.append(value)
    return builder.output(values[-1])


@settings(max_examples=60, deadline=None)
@given(convolutional_graphs())
def test_random_graphs_have_the_shapes_and_counts_of_their_modules(graph):
    try:
        shapes = infer_shapes(graph)
    except ValueError:
        return
    module, counted = build(graph), costs(graph)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert module.eval()(torch.rand(1, *shapes[0])).shape[1:] == shapes[-1]
        assert 2 * counted.multiply_adds == counter.get_total_flops()
    assert counted.parameters == sum(parameter.numel() for parameter in module.parameters())
