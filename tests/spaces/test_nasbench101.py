"""The space is the published one: which cells it holds, their channels, their parameter counts."""

from __future__ import annotations

from random import Random

import numpy
import pytest

from spaces.canonical import simplify
from spaces.choices import Architecture, Chooser, Rejected
from spaces.graph import INPUT, OUTPUT, Edge, Graph, Node
from spaces.nasbench101 import space, vertex_channels
from spaces.ops import costs, infer_shapes
from spaces.space import Shapes


def cells(seed: int, count: int) -> list[Graph]:
    random, found = Random(seed), []
    while len(found) < count:
        try:
            found.append(space.define(Chooser(None, random)))
        except Rejected:
            continue
    return found


def test_every_cell_is_connected_and_small():
    found = cells(0, 2000)
    assert all(simplify(cell) == cell for cell in found)
    assert max(len(cell.edges) for cell in found) == 9
    assert {len(cell.nodes) for cell in found} == set(range(2, 8))


def test_small_cells_are_all_reached():
    """Forced edges exclude no cell.

    Of four vertices, each set of edges is drawn in which every vertex has an input and an output.
    """
    found = {cell.edges for cell in cells(1, 4000) if len(cell.nodes) == 4}
    whole = set()
    pairs = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    for bits in range(64):
        edges = tuple(Edge(*pair) for place, pair in enumerate(pairs) if bits >> place & 1)
        sources, targets = {edge.source for edge in edges}, {edge.target for edge in edges}
        if (sources, targets) == ({0, 1, 2}, {1, 2, 3}):
            whole.add(edges)
    assert found == whole


def test_channels_are_shared_out_as_in_the_paper():
    op = Node("conv1x1-bn-relu")
    edges = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (2, 5), (3, 5), (4, 2), (4, 3)]
    order = {0: 0, 4: 1, 1: 2, 2: 3, 3: 4, 5: 5}
    cell = Graph(
        (INPUT, op, op, op, op, OUTPUT),
        tuple(Edge(order[source], order[target]) for source, target in edges),
    )
    assert vertex_channels(cell, 64, 128) == [64, 43, 43, 43, 42, 128]


def test_parameters_are_the_published_ones(shared_data):
    columns = numpy.load(shared_data("nasbench101.npz"), allow_pickle=False)
    chosen = Random(0).sample(range(len(columns["params"])), 200)
    architectures = space.rows(
        {name: columns[name][chosen] for name in ("adj_bits", "ops", "n_vertices")}
    )
    counted = [costs(space.network_graph(space.graph(item))).parameters for item in architectures]
    assert counted == columns["params"][chosen].tolist()


def test_the_smallest_cell_is_a_projection():
    smallest = Architecture(space.name, (("vertices", 2), ("edge_0_1", 1)))
    graph = space.network_graph(space.graph(smallest))
    assert sum(node.op == "conv2d" for node in graph.nodes) == 10
    assert infer_shapes(graph)[-1] == (10,)


def test_shapes_that_are_no_images_are_refused():
    smallest = space.graph(Architecture(space.name, (("vertices", 2), ("edge_0_1", 1))))
    with pytest.raises(ValueError, match="takes images"):
        space.for_shapes(Shapes((3, 32, 32), (10, 32, 32))).network_graph(smallest)
