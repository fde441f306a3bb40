"""Small sums are replaced by their terms, and sizes are computed."""

from collections import Counter

import numpy as np
import pytest

from predictors.reading.features import learn_encoding
from predictors.reading.terms import measured, readable, with_whole, without_whole
from spaces import Edge, GraphBuilder
from spaces.canonical import canonical_key
from tests.contracts.predictor_contract import random_graphs, reordered


def test_terms_feed_the_operations_that_used_the_sum():
    builder = GraphBuilder()
    x = builder.input()
    a, b = builder.node("a", x), builder.node("b", x)
    graph = readable(builder.output(builder.node("c", builder.node("add", a, b, x))))
    assert [node.op for node in graph.nodes] == ["input", "a", "b", "c", "output"]
    assert Counter(graph.edges) == Counter(
        [Edge(0, 1), Edge(0, 2), Edge(1, 3), Edge(2, 3), Edge(0, 3), Edge(3, 4)]
    )


def test_a_value_added_twice_gives_two_edges_and_slots_are_kept():
    builder = GraphBuilder()
    x = builder.input()
    a = builder.node("a", x)
    doubled = builder.node("add", a, a)
    graph = readable(builder.output(builder.node("sub", x, doubled, ordered=True)))
    assert Counter(graph.edges) == Counter(
        [Edge(0, 1), Edge(0, 2, 0), Edge(1, 2, 1), Edge(1, 2, 1), Edge(2, 3)]
    )


def test_a_residual_chain_grows_in_proportion_to_its_depth():
    def chain(depth):
        builder = GraphBuilder()
        value = builder.input()
        for _ in range(depth):
            value = builder.node("add", value, builder.node("conv", value))
        return readable(builder.output(value))

    assert len(chain(80).edges) < 2.2 * len(chain(40).edges)


def test_isomorphic_graphs_stay_isomorphic():
    for number, graph in enumerate(random_graphs(40, seed=4, ops=("add", "conv"))):
        assert canonical_key(readable(graph)) == canonical_key(
            readable(reordered(graph, seed=number))
        )


def test_sizes_of_known_operations_are_computed_if_the_input_has_a_shape():
    builder = GraphBuilder()
    x = builder.node(
        "conv2d", builder.input((3, 8, 8)), out_channels=4, kernel_size=3, stride=2, padding=1
    )
    graph = builder.output(builder.node("add", x, builder.node("relu", x)))
    seen = measured(graph)
    assert [node.op for node in seen.nodes] == [node.op for node in graph.nodes]
    convolution = seen.nodes[1]
    assert convolution["measured channels"] == 4
    assert convolution["measured positions"] == 16
    assert convolution["measured parameters"] == 4 * 3 * 9 + 4
    assert convolution["measured multiply_adds"] == 4 * 3 * 9 * 16
    assert seen.nodes[0]["whole parameters"] == 4 * 3 * 9 + 4
    assert seen.nodes[3] == graph.nodes[3]


def test_a_graph_with_operations_of_unknown_cost_stays_as_it_is():
    for first in (None, (3, 8, 8)):
        builder = GraphBuilder()
        graph = builder.output(builder.node("nor_conv_3x3", builder.input(first)))
        assert measured(graph) is graph


def test_numbers_of_the_whole_network_have_columns_of_their_own_and_can_be_removed():
    graphs = random_graphs(12, seed=3)
    scored = [with_whole(graph, {"naswot": float(number)}) for number, graph in enumerate(graphs)]
    assert [without_whole(graph) for graph in scored] == graphs
    encoding = learn_encoding([readable(graph) for graph in scored])
    columns = encoding.encode([readable(graph) for graph in scored]).counts_MC[
        :, np.array(encoding.groups) == "whole network"
    ]
    assert columns.shape == (12, 1)
    assert (np.diff(columns[:, 0]) > 0).all()
    with pytest.raises(ValueError, match="finite numbers only"):
        with_whole(graphs[0], {"synflow": float("nan")})


def test_a_parameter_of_one_dimension_has_one_channel():
    builder = GraphBuilder()
    value = builder.input((5, 3))
    graph = builder.output(builder.node("mul", value, builder.node("parameter", shape=(3,))))
    assert [node["measured channels"] for node in measured(graph).nodes[:3]] == [5, 1, 5]
