"""The size space of NATS-Bench (Dong et al., TPAMI 2021): one network in 32,768 sizes.

Each of five layers has 8, 16, .. or 64 channels. The graph is the chain of the five layers. All
cells are the cell of NAS-Bench-201 that does best on the validation set of CIFAR-100.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaces.choices import Architecture, Chooser
from spaces.graph import INPUT, OUTPUT, Edge, Graph, GraphBuilder, Node, node
from spaces.nasbench201 import relu_convolution, residual_block
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)
LAYERS = (("cell", 1), ("residual_block", 2), ("cell", 2), ("residual_block", 3), ("cell", 3))
PATHS = tuple(f"width_{number}" for number in range(1, len(LAYERS) + 1))

_NODES = tuple(
    {width: node(op, out_channels=width, stage=stage) for width in WIDTHS} for op, stage in LAYERS
)
_EDGES = tuple(Edge(number, number + 1) for number in range(len(LAYERS) + 1))


def define(choose: Chooser) -> Graph:
    """The channels of each layer, from the input to the output; the stem has those of the first."""
    layers = [nodes[choose.one_of(path, WIDTHS)] for path, nodes in zip(PATHS, _NODES, strict=True)]
    return Graph((INPUT, *layers, OUTPUT), _EDGES)


def network(layers: Graph, shapes: Shapes) -> Graph:
    """The whole network: a convolution, three stages of one cell each, and a classifier.

    Between two stages is a residual block of stride 2.

    Raises:
        ValueError: the data are not images, or the output is not a vector of scores.
    """
    if len(shapes.input) != 3 or len(shapes.output) != 1:
        raise ValueError(
            "nats_size takes images (channels, height, width) to a vector of scores (classes,); "
            f"got {shapes.input} and {shapes.output}"
        )
    builder = GraphBuilder()
    channels = _width(layers.nodes[1])
    value = builder.node(
        "conv2d",
        builder.input(shapes.input),
        out_channels=channels,
        kernel_size=3,
        padding=1,
        bias=False,
    )
    value = builder.node("batch_norm2d", value)
    for item in layers.nodes[1:-1]:
        before, channels = channels, _width(item)
        if item.op == "residual_block":
            value = residual_block(builder, value, channels)
        else:
            value = _cell(builder, value, channels, projects=channels != before)
    value = builder.node("relu", builder.node("batch_norm2d", value))
    value = builder.node("flatten", builder.node("adaptive_avg_pool2d", value, output_size=1))
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its column `channels` (N, 5) holds the number of channels of each layer.

    Raises:
        ValueError: a row holds another number of layers, or channels that are not among `WIDTHS`.
    """
    result = []
    for number, row in enumerate(columns["channels"].tolist()):
        if len(row) != len(PATHS) or not set(row) <= set(WIDTHS):
            raise ValueError(
                f"the row {number} of `channels` should be {len(PATHS)} of "
                f"{', '.join(map(str, WIDTHS))}; it is {row}"
            )
        result.append(Architecture(space.name, tuple(zip(PATHS, map(int, row), strict=True))))
    return result


def _width(item: Node) -> int:
    width = item["out_channels"]
    assert isinstance(width, int)
    return width


def _cell(builder: GraphBuilder, value: int, channels: int, *, projects: bool) -> int:
    """The fixed cell; its skip connection is a projection if the number of channels changes.

    The authors write the cell `|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+
    |skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|`.
    """
    first = relu_convolution(builder, value, channels, kernel_size=3)
    second = builder.node(
        "add",
        relu_convolution(builder, value, channels, kernel_size=3),
        relu_convolution(builder, first, channels, kernel_size=3),
    )
    skip = value
    if projects:
        skip = builder.node("conv2d", skip, out_channels=channels, kernel_size=1, bias=False)
        skip = builder.node("batch_norm2d", skip)
    ends = [relu_convolution(builder, point, channels, kernel_size=3) for point in (first, second)]
    return builder.node("add", skip, *ends)


space = SearchSpace("nats_size", define, network=network, rows=rows)
