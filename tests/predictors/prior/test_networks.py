"""Batches of coarse graphs, and the numbers of whole networks."""

from __future__ import annotations

import math
import random
from typing import Any

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.prior.coarse import CoarseGraph, coarse_graph
from predictors.prior.kinds import KINDS
from predictors.prior.networks import ALONG, WHOLE, collate, whole_numbers
from predictors.prior.node_features import COLUMN, FEATURES
from spaces.load import load_space
from spaces.operators import sample

OF_SPACES = ("nasbench201", "nasbench101", "nasbench_macro", "convnet", "nats_size", "flexibert")
PLACE = {name: place for place, name in enumerate(WHOLE)}


def coarse_graphs(name: str, count: int) -> list[CoarseGraph]:
    space, draw = load_space(name), random.Random(0)
    drawn = [sample(space, draw) for _ in range(count)]
    return [
        coarse_graph(space.network_graph(space.graph(architecture)), space.shapes.input)
        for architecture in drawn
    ]


@st.composite
def random_coarse_graphs(draw) -> CoarseGraph:
    """Two to seven nodes; between two of them up to two edges, perhaps no path to the output."""
    count = draw(st.integers(2, 7))
    edges = [
        (source, target)
        for target in range(1, count)
        for source in range(target)
        for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2))))
    ]
    node_NF = np.zeros((count, len(FEATURES)), dtype=np.float32)
    for number in range(count):
        node_NF[number, draw(st.integers(0, len(KINDS) - 1))] = 1
        node_NF[number, COLUMN["kernel size"]] = draw(st.sampled_from((0, 1, 3, 5)))
        node_NF[number, COLUMN["log2 positions"]] = draw(st.integers(0, 8))
        node_NF[number, COLUMN["log2 multiply-adds"]] = draw(st.sampled_from((0, 0, 12)))
    edge_E2 = np.array(edges, dtype=np.int32).reshape(-1, 2)
    return CoarseGraph(node_NF, edge_E2[:, 0], edge_E2[:, 1], 10, 20, 30)


def on_paths(graph: CoarseGraph) -> list[list[float]]:
    """For each path from the input to the output its weighted, spatial, bent and pooling nodes."""
    drawn = networkx.MultiDiGraph()
    drawn.add_nodes_from(range(len(graph)))
    drawn.add_edges_from(zip(graph.source_E.tolist(), graph.target_E.tolist(), strict=True))

    def kind(*names: str) -> np.ndarray:
        return graph.node_NF[:, [COLUMN[name] for name in names]].sum(axis=1) > 0

    weighted_N = kind("log2 multiply-adds", "recurrent")
    spatial_N = weighted_N & (graph.node_NF[:, COLUMN["kernel size"]] > 1.5)
    bent_N = kind("rectifier", "smooth_activation", "gate", "softmax")
    value_N4 = np.stack([weighted_N, spatial_N, bent_N, kind("max_pool", "average_pool")], axis=1)
    paths: Any = networkx.all_simple_edge_paths(drawn, 0, len(graph) - 1)
    # The input itself is on no path.
    return [value_N4[[edge[1] for edge in path]].sum(axis=0).tolist() for path in paths]


@settings(max_examples=150, deadline=None)
@given(random_coarse_graphs())
def test_paths_are_those_that_networkx_finds(graph: CoarseGraph) -> None:
    found = whole_numbers(collate([graph]))[0]
    paths = on_paths(graph)
    names = ("weighted layers", "spatial layers", "nonlinearities", "pools")
    statistics = (np.mean, np.min, np.max)
    assert set(names) < set(ALONG)
    expected = {"log paths": math.log(len(paths)) if paths else 0.0}
    for place, name in enumerate(names):
        column = [path[place] for path in paths] or [0.0]
        for word, statistic in zip(("mean", "least", "most"), statistics, strict=True):
            expected[f"{word} {name} of a path"] = float(statistic(column))
    np.testing.assert_allclose(
        [found[PLACE[name]] for name in expected], [*expected.values()], atol=1e-9
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(random_coarse_graphs(), min_size=1, max_size=6))
def test_a_network_in_a_batch_has_the_numbers_that_it_has_alone(graphs: list[CoarseGraph]) -> None:
    together = whole_numbers(collate(graphs))
    assert together.shape == (len(graphs), len(WHOLE))
    assert np.isfinite(together).all()
    alone = np.concatenate([whole_numbers(collate([graph])) for graph in graphs])
    np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-12)


def test_networks_of_all_spaces_together_have_finite_numbers() -> None:
    graphs = [graph for name in OF_SPACES for graph in coarse_graphs(name, 6)]
    networks = collate(graphs)
    numbers = whole_numbers(networks)
    assert np.isfinite(networks.node_NF).all()
    assert np.isfinite(numbers).all()
    alone = np.concatenate([whole_numbers(collate([graph])) for graph in graphs])
    np.testing.assert_allclose(numbers, alone, rtol=1e-9, atol=1e-9)
    sizes = [[graph.parameters, graph.multiply_adds, graph.activations] for graph in graphs]
    np.testing.assert_allclose(numbers[:, :3], np.log2(np.array(sizes, dtype=float) + 1), rtol=1e-6)
    shares = [place for name, place in PLACE.items() if name.startswith("share of")]
    assert ((numbers[:, shares] >= 0) & (numbers[:, shares] <= 1 + 1e-6)).all()
    counts = numbers[:, [PLACE["nodes"]]]
    np.testing.assert_array_equal(counts[:, 0], [len(graph) for graph in graphs])


def test_taken_networks_are_those_that_were_put_in() -> None:
    graphs = coarse_graphs("nasbench201", 5)
    taken = collate(graphs).take([3, 0, 3])
    assert len(taken) == 3
    for row, number in enumerate((3, 0, 3)):
        graph, wanted = taken.graph(row), graphs[number]
        np.testing.assert_array_equal(graph.node_NF, wanted.node_NF)
        np.testing.assert_array_equal(graph.source_E, wanted.source_E)
        np.testing.assert_array_equal(graph.target_E, wanted.target_E)
        assert (graph.parameters, graph.multiply_adds, graph.activations) == (
            wanted.parameters,
            wanted.multiply_adds,
            wanted.activations,
        )
    np.testing.assert_array_equal(
        whole_numbers(taken)[[0, 1]], whole_numbers(collate(graphs))[[3, 0]]
    )


def test_no_networks_have_no_numbers() -> None:
    assert whole_numbers(collate([])).shape == (0, len(WHOLE))


def test_a_disconnected_network_has_no_paths() -> None:
    node_NF = np.zeros((2, len(FEATURES)), dtype=np.float32)
    none = np.zeros(0, dtype=np.int32)
    row = whole_numbers(collate([CoarseGraph(node_NF, none, none, 0, 0, 0)]))[0]
    assert np.isfinite(row).all()
    assert row[PLACE["log paths"]] == 0
    assert row[PLACE["nodes"]] == pytest.approx(2)
