"""NAS-Bench-201 (Dong and Yang, ICLR 2020): 15,625 cells for small images.

A cell has four points, and one of five operations between each pair of them. Its graph has a node
for each of the six edges, and a sum at each point with several inputs. Operations without effect,
which the authors' network computes, are not built: see `network`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaces.canonical import simplify
from spaces.choices import Architecture, Chooser
from spaces.graph import INPUT, OUTPUT, Edge, Graph, GraphBuilder, Node
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
PATHS = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
CHANNELS = (16, 32, 64)
CELLS_PER_STAGE = 5

_NODES = {name: Node(name) for name in OPERATIONS}
_SUM = Node("add")
# Nodes: 0 is the input, 1 to 3 are the edges 0->1, 0->2, 1->2, 4 is the sum at point 2, 5 to 7 are
# the edges 0->3, 1->3, 2->3, 8 is the sum at point 3, 9 is the output.
_SOURCES = ((), (0,), (0,), (1,), (2, 3), (0,), (1,), (4,), (5, 6, 7), (8,))
_EDGES = tuple(
    Edge(source, target) for target, sources in enumerate(_SOURCES) for source in sources
)


def define(choose: Chooser) -> Graph:
    """The cell: one operation for each edge, chosen in the order of the published tables."""
    one_of = choose.one_of
    first, second, third = (_NODES[one_of(path, OPERATIONS)] for path in PATHS[:3])
    fourth, fifth, sixth = (_NODES[one_of(path, OPERATIONS)] for path in PATHS[3:])
    return Graph((INPUT, first, second, third, _SUM, fourth, fifth, sixth, _SUM, OUTPUT), _EDGES)


def network(cell: Graph, shapes: Shapes) -> Graph:
    """The whole network: a convolution, three stages of five cells, and a classifier.

    The stages have 16, 32 and 64 channels, with a residual block of stride 2 between them. The cell
    is simplified first, so cells with the same canonical key give the same network. If operations
    of a cell have no path to its input or output, this network is smaller than the authors', who
    build and count them. A cell without a path from input to output becomes a product with zero.

    Raises:
        ValueError: the data are not images, or the output is not a vector of scores.
    """
    return _network(simplify(cell), shapes)


def executed(cell: Graph, shapes: Shapes) -> Graph:
    """The network that the authors' code executes, with what its output does not need.

    The published times are of this network.
    """
    return _network(cell, shapes)


def _network(cell: Graph, shapes: Shapes) -> Graph:
    if len(shapes.input) != 3 or len(shapes.output) != 1:
        raise ValueError(
            "nasbench201 takes images (channels, height, width) to a vector of scores "
            f"(classes,); got {shapes.input} and {shapes.output}"
        )
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    value = builder.node(
        "conv2d", value, out_channels=CHANNELS[0], kernel_size=3, padding=1, bias=False
    )
    value = builder.node("batch_norm2d", value)
    for stage, channels in enumerate(CHANNELS):
        if stage:
            value = residual_block(builder, value, channels)
        for _ in range(CELLS_PER_STAGE):
            value = _cell(builder, cell, value, channels)
    value = builder.node("relu", builder.node("batch_norm2d", value))
    value = builder.node("flatten", builder.node("adaptive_avg_pool2d", value, output_size=1))
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its column `arch` (N, 6) holds an index into `OPERATIONS` for each of `PATHS`.
    """
    return [
        Architecture(
            space.name,
            tuple((path, OPERATIONS[index]) for path, index in zip(PATHS, row, strict=True)),
        )
        for row in columns["arch"].tolist()
    ]


def _cell(builder: GraphBuilder, cell: Graph, value: int, channels: int) -> int:
    if not cell.edges:
        return builder.node("zero", value)
    values = [value]
    for item, sources in zip(cell.nodes[1:-1], cell.incoming[1:-1], strict=True):
        inputs = [values[source] for source in sources]
        if item.op == "nor_conv_1x1":
            values.append(relu_convolution(builder, inputs[0], channels, kernel_size=1))
        elif item.op == "nor_conv_3x3":
            values.append(relu_convolution(builder, inputs[0], channels, kernel_size=3))
        elif item.op == "avg_pool_3x3":
            window = {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False}
            values.append(builder.node("avg_pool2d", inputs[0], **window))
        elif item.op == "none":
            values.append(builder.node("zero", inputs[0]))
        elif item.op == "skip_connect":
            values.append(inputs[0])
        else:
            values.append(builder.add(item, *inputs))
    return values[cell.incoming[-1][0]]


def relu_convolution(
    builder: GraphBuilder, value: int, channels: int, *, kernel_size: int, stride: int = 1
) -> int:
    """The authors' unit: ReLU, a convolution without bias, and batch norm.

    The convolution divides the size by its stride.
    """
    value = builder.node("relu", value)
    value = builder.node(
        "conv2d",
        value,
        out_channels=channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        bias=False,
    )
    return builder.node("batch_norm2d", value)


def residual_block(builder: GraphBuilder, value: int, channels: int) -> int:
    """Two units of `relu_convolution`, the first of stride 2, plus a pooled and projected input."""
    shortcut = builder.node("avg_pool2d", value, kernel_size=2, stride=2, padding=0)
    shortcut = builder.node("conv2d", shortcut, out_channels=channels, kernel_size=1, bias=False)
    value = relu_convolution(builder, value, channels, kernel_size=3, stride=2)
    return builder.node("add", relu_convolution(builder, value, channels, kernel_size=3), shortcut)


space = SearchSpace("nasbench201", define, network=network, rows=rows, executed=executed)
