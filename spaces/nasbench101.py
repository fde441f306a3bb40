"""NAS-Bench-101 (Ying et al., ICML 2019): 423,624 cells for small images.

A cell has at most seven vertices and nine edges, and three operations. The vertices are the nodes
of its graph. A vertex adds up its inputs; the output concatenates its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaces.choices import Architecture, Chooser
from spaces.domains import Answer
from spaces.graph import INPUT, OUTPUT, Edge, Graph, GraphBuilder, Node
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
MOST_VERTICES = 7
MOST_EDGES = 9
CHANNELS = (128, 256, 512)
CELLS_PER_STACK = 3

_NODES = {name: Node(name) for name in OPERATIONS}
_ABSENT_OR_PRESENT = (0, 1)
_ABSENT = (0,)
_PRESENT = (1,)


def define(choose: Chooser) -> Graph:
    """The cell: how many vertices, which edges, and an operation for each inner vertex.

    An edge leads from a lower to a higher vertex. Every vertex lies on a path from the input to the
    output: the benchmark stores a cell with a disconnected vertex as the smaller cell that computes
    the same. So the last possible edge into or out of a vertex must be present if no earlier one
    is. An edge is not offered if too few of the nine edges would remain for the vertices that still
    need one. A cell that still has too many edges is rejected.
    """
    count = choose.integer("vertices", 2, MOST_VERTICES)
    edges: list[Edge] = []
    unfed, unused = set(range(1, count)), set(range(count - 1))
    for target in range(1, count):
        for source in range(target):
            last_into_target = source == target - 1 and target in unfed
            last_out_of_source = target == count - 1 and source in unused
            still_needed = max(len(unfed - {target}), len(unused - {source}))
            if last_into_target or last_out_of_source:
                options = _PRESENT
            elif len(edges) + 1 + still_needed > MOST_EDGES:
                options = _ABSENT
            else:
                options = _ABSENT_OR_PRESENT
            if choose.one_of(f"edge_{source}_{target}", options):
                edges.append(Edge(source, target))
                unfed.discard(target)
                unused.discard(source)
    if len(edges) > MOST_EDGES:
        choose.reject(f"a cell has at most {MOST_EDGES} edges, this one has {len(edges)}")
    inner = [_NODES[choose.one_of(f"op_{vertex}", OPERATIONS)] for vertex in range(1, count - 1)]
    return Graph((INPUT, *inner, OUTPUT), tuple(edges))


def network(cell: Graph, shapes: Shapes) -> Graph:
    """The whole network: a convolution, three stacks of three cells, and a classifier.

    The stacks have 128, 256 and 512 channels, with max pooling between them. A cell's channels are
    assigned in the order of its vertices, as in the authors' code, so isomorphic cells can differ
    by a few channels.

    Raises:
        ValueError: the data are not images, or the output is not a vector of scores.
    """
    if len(shapes.input) != 3 or len(shapes.output) != 1:
        raise ValueError(
            "nasbench101 takes images (channels, height, width) to a vector of scores "
            f"(classes,); got {shapes.input} and {shapes.output}"
        )
    builder = GraphBuilder()
    value = _convolution(builder, builder.input(shapes.input), CHANNELS[0], kernel_size=3)
    before = CHANNELS[0]
    for stack, channels in enumerate(CHANNELS):
        if stack:
            value = builder.node("max_pool2d", value, kernel_size=2, stride=2)
        for _ in range(CELLS_PER_STACK):
            value = _cell(builder, cell, value, vertex_channels(cell, before, channels))
            before = channels
    value = builder.node("flatten", builder.node("adaptive_avg_pool2d", value, output_size=1))
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


def vertex_channels(cell: Graph, input_channels: int, output_channels: int) -> list[int]:
    """The number of output channels of each vertex (the paper's supplement S.1).

    The vertices that lead to the output share its channels equally; if they do not divide evenly,
    the first ones take one more each. Any other vertex has as many channels as the widest vertex
    that it leads to.
    """
    last = len(cell.nodes) - 1
    feeding = sorted({source for source in cell.incoming[last] if source})
    channels = [0] * (last + 1)
    channels[0], channels[last] = input_channels, output_channels
    for place, vertex in enumerate(feeding):
        is_wider = place < output_channels % len(feeding)
        channels[vertex] = output_channels // len(feeding) + is_wider
    for vertex in range(last - 1, 0, -1):
        channels[vertex] = channels[vertex] or max(
            channels[target] for target in cell.outgoing[vertex]
        )
    return channels


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its columns:
        n_vertices (N,): the number of vertices.
        adj_bits (N, 3): the packed upper triangle (0,1), (0,2) .. (5,6) of a 7x7 adjacency matrix.
            Its first `n_vertices` rows are the cell.
        ops (N, 5): an index into `OPERATIONS` for each inner vertex.
    """
    import numpy

    names = [
        f"edge_{source}_{target}"
        for source in range(MOST_VERTICES)
        for target in range(source + 1, MOST_VERTICES)
    ]
    present = numpy.unpackbits(columns["adj_bits"], axis=1)[:, : len(names)].tolist()
    result = []
    for count, bits, ops in zip(
        columns["n_vertices"].tolist(), present, columns["ops"].tolist(), strict=True
    ):
        edge = dict(zip(names, bits, strict=True))
        paths = [
            f"edge_{source}_{target}" for target in range(1, count) for source in range(target)
        ]
        decisions: list[tuple[str, Answer]] = [
            ("vertices", count),
            *((path, edge[path]) for path in paths),
        ]
        decisions += [
            (f"op_{vertex}", OPERATIONS[ops[vertex - 1]]) for vertex in range(1, count - 1)
        ]
        result.append(Architecture(space.name, tuple(decisions)))
    return result


def _cell(builder: GraphBuilder, cell: Graph, value: int, channels: list[int]) -> int:
    last = len(cell.nodes) - 1
    values = [value]
    for vertex in range(1, last):
        arriving = []
        for source in cell.incoming[vertex]:
            if source == 0:
                arriving.append(_convolution(builder, value, channels[vertex], kernel_size=1))
            elif channels[source] > channels[vertex]:
                arriving.append(_first_channels(builder, values[source], channels[vertex]))
            else:
                arriving.append(values[source])
        total = arriving[0] if len(arriving) == 1 else builder.node("add", *arriving)
        values.append(_operation(builder, cell.nodes[vertex].op, total, channels[vertex]))
    ends = [values[source] for source in cell.incoming[last] if source]
    projected = []
    if 0 in cell.incoming[last]:
        projected = [_convolution(builder, value, channels[last], kernel_size=1)]
    if len(ends) > 1:
        ends = [builder.node("cat", *ends, ordered=True, dim=1)]
    return builder.node("add", *ends, *projected) if ends and projected else (ends or projected)[0]


def _operation(builder: GraphBuilder, op: str, value: int, channels: int) -> int:
    if op == "maxpool3x3":
        return builder.node("max_pool2d", value, kernel_size=3, stride=1, padding=1)
    return _convolution(builder, value, channels, kernel_size=3 if op == "conv3x3-bn-relu" else 1)


def _first_channels(builder: GraphBuilder, value: int, channels: int) -> int:
    return builder.node("getitem", value, index=((None, None, None), (0, channels, None)))


def _convolution(builder: GraphBuilder, value: int, channels: int, *, kernel_size: int) -> int:
    value = builder.node(
        "conv2d",
        value,
        out_channels=channels,
        kernel_size=kernel_size,
        padding=kernel_size // 2,
        bias=False,
    )
    return builder.node("relu", builder.node("batch_norm2d", value))


space = SearchSpace("nasbench101", define, network=network, rows=rows)
