"""The space is the published one: its cells, its parameter counts, its rows."""

from __future__ import annotations

from random import Random

import numpy
import pytest

from spaces.canonical import canonical_key, simplify
from spaces.choices import Architecture, Chooser
from spaces.nasbench201 import CHANNELS, OPERATIONS, PATHS, space
from spaces.ops import costs, infer_shapes
from spaces.space import Shapes


def architecture(*operations: str) -> Architecture:
    return Architecture(space.name, tuple(zip(PATHS, operations, strict=True)))


def parameters(item: Architecture, classes: int = 10) -> int:
    return costs(
        space.for_shapes(Shapes((3, 32, 32), (classes,))).network_graph(space.graph(item))
    ).parameters


def convolution_parameters(item: Architecture) -> int:
    """The parameters of all convolutions in fifteen cells, with and without effect."""
    kernels = [
        {"nor_conv_1x1": 1, "nor_conv_3x3": 9}[str(op)]
        for _, op in item.decisions
        if str(op).startswith("nor_conv")
    ]
    return sum(
        5 * (channels * channels * kernel + 2 * channels)
        for kernel in kernels
        for channels in CHANNELS
    )


def effective_convolution_parameters(item: Architecture) -> int:
    kernels = [
        {"nor_conv_1x1": 1, "nor_conv_3x3": 9}[node.op]
        for node in simplify(space.graph(item)).nodes
        if node.op.startswith("nor_conv")
    ]
    return sum(
        5 * (channels * channels * kernel + 2 * channels)
        for kernel in kernels
        for channels in CHANNELS
    )


def test_choices_are_made_in_the_order_of_the_tables():
    choose = Chooser(None, Random(0))
    graph = space.define(choose)
    assert tuple(choose.decisions) == PATHS
    assert [graph.nodes[place].op for place in (1, 2, 3, 5, 6, 7)] == list(
        choose.decisions.values()
    )


def test_counts_are_the_published_ones(shared_data):
    """The published counts include operations without effect, which are not in the network.

    The difference is exactly their parameters.
    """
    columns = numpy.load(shared_data("nasbench201.npz"), allow_pickle=False)
    table = {"c10": columns["c10_params"], "c100": columns["c100_params"]}
    architectures = space.rows({"arch": columns["arch"]})
    none = parameters(architecture(*["skip_connect"] * 6))
    assert [none + convolution_parameters(item) for item in architectures] == table["c10"].tolist()
    whole = 0
    for row in Random(0).sample(range(len(architectures)), 150):
        item = architectures[row]
        without_effect = convolution_parameters(item) - effective_convolution_parameters(item)
        assert parameters(item) == table["c10"][row] - without_effect
        assert parameters(item, classes=100) == table["c100"][row] - without_effect
        whole += without_effect == 0
    assert whole > 50


def test_rows_are_architectures_of_the_space():
    rows = space.rows(
        {"arch": numpy.array([[0, 1, 2, 3, 4, 0], [4, 4, 4, 4, 4, 4]], dtype=numpy.uint8)}
    )
    assert [answer for _, answer in rows[0].decisions] == [
        OPERATIONS[index] for index in (0, 1, 2, 3, 4, 0)
    ]
    assert len(space.graph(rows[1]).nodes) == 10


def test_a_disconnected_cell_makes_a_network_that_multiplies_by_zero():
    item = architecture("none", "none", "nor_conv_3x3", "none", "nor_conv_1x1", "avg_pool_3x3")
    graph = space.network_graph(space.graph(item))
    assert sum(node.op == "zero" for node in graph.nodes) == 15
    assert infer_shapes(graph)[-1] == (10,)


def test_isomorphic_cells_give_one_network():
    first = architecture("nor_conv_3x3", "none", "skip_connect", "none", "none", "nor_conv_1x1")
    second = architecture("nor_conv_3x3", "nor_conv_3x3", "none", "none", "nor_conv_1x1", "none")
    assert canonical_key(space.graph(first)) == canonical_key(space.graph(second))
    networks = [space.network_graph(space.graph(item)) for item in (first, second)]
    assert canonical_key(networks[0]) == canonical_key(networks[1])
    assert costs(networks[0]) == costs(networks[1])


def test_shapes_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match="takes images"):
        space.for_shapes(Shapes((128,), (10,))).network_graph(
            space.graph(architecture(*["skip_connect"] * 6))
        )
