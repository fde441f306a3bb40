"""NAS-Bench-Macro (Su et al., CVPR 2021): 6,561 networks of eight layers for small images.

Each layer is an identity or one of two inverted bottlenecks. Layers are the nodes of the graph, but
identities inside a stage do not change the network, so 3,969 of the networks differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaces.choices import Architecture, Chooser
from spaces.graph import INPUT, OUTPUT, Edge, Graph, GraphBuilder, Node, node
from spaces.inverted_bottleneck import convolution, inverted_bottleneck
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

OPERATIONS = ("identity", "mb3_k3", "mb6_k5")
LAYERS_PER_STAGE = (2, 3, 3)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280

# The first layer of a stage doubles the channels and halves the size.
LAYERS = tuple(
    (STEM_CHANNELS << stage + 1, 2 if place == 0 else 1)
    for stage, count in enumerate(LAYERS_PER_STAGE)
    for place in range(count)
)
PATHS = tuple(f"layer_{number}" for number in range(len(LAYERS)))


def _layer(operation: str, channels: int, stride: int) -> Node:
    """The node of a layer; an identity is a projection if it has to change the shape."""
    if operation == "identity":
        if stride == 1:
            return node("identity")
        return node("projection", out_channels=channels, stride=stride)
    expansion, kernel_size = (3, 3) if operation == "mb3_k3" else (6, 5)
    return node(
        "mb_conv",
        expansion=expansion,
        kernel_size=kernel_size,
        out_channels=channels,
        stride=stride,
    )


_NODES = tuple(
    {operation: _layer(operation, *layer) for operation in OPERATIONS} for layer in LAYERS
)
_EDGES = tuple(Edge(number, number + 1) for number in range(len(LAYERS) + 1))


def define(choose: Chooser) -> Graph:
    """The operation of each layer, from the input to the output."""
    layers = [
        nodes[choose.one_of(path, OPERATIONS)] for path, nodes in zip(PATHS, _NODES, strict=True)
    ]
    return Graph((INPUT, *layers, OUTPUT), _EDGES)


def network(layers: Graph, shapes: Shapes) -> Graph:
    """The whole network: a convolution, the layers, another convolution, and a classifier.

    The layers are in stages of 64, 128 and 256 channels; the last convolution has 1,280 channels.
    Parameters and multiply-adds are the published ones.

    Raises:
        ValueError: the data are not images, or the output is not a vector of scores.
    """
    if len(shapes.input) != 3 or len(shapes.output) != 1:
        raise ValueError(
            "nasbench_macro takes images (channels, height, width) to a vector of scores "
            f"(classes,); got {shapes.input} and {shapes.output}"
        )
    builder = GraphBuilder()
    value = convolution(
        builder, builder.input(shapes.input), STEM_CHANNELS, kernel_size=3, activation="relu"
    )
    channels = STEM_CHANNELS
    for item in layers.nodes[1:-1]:
        if item.op == "projection":
            value = convolution(builder, value, item["out_channels"], stride=item["stride"])
        elif item.op == "mb_conv":
            value = inverted_bottleneck(builder, value, channels, item, "relu")
        channels = item.get("out_channels", channels)
    value = convolution(builder, value, HEAD_CHANNELS, activation="relu")
    value = builder.node("flatten", builder.node("adaptive_avg_pool2d", value, output_size=1))
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its column `arch` (N, 8) holds an index into `OPERATIONS` for each layer.
    """
    return [
        Architecture(
            space.name,
            tuple((path, OPERATIONS[index]) for path, index in zip(PATHS, row, strict=True)),
        )
        for row in columns["arch"].tolist()
    ]


space = SearchSpace("nasbench_macro", define, network=network, rows=rows)
