"""Graph networks without torch say what they say with it; how they are kept and refused."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from predictors.prior.coarse import CoarseGraph, coarse_graph
from predictors.prior.encoder import Encoder, Sizes, Trained, steps_of
from predictors.prior.graph_networks import NO_NETWORKS, GraphNetworks
from predictors.prior.kinds import KINDS
from predictors.prior.networks import WHOLE, Networks, collate, whole_numbers
from predictors.prior.node_features import FEATURES
from spaces.load import load_space
from spaces.operators import sample


def drawn(networks: Networks, seed: int, *, layers: int = 3, heads: int = 2) -> Trained:
    """A network with random weights."""
    steps = steps_of(networks.node_NF, 3)
    sizes = Sizes(len(KINDS) + len(steps), 8, layers, heads)
    return Trained(Encoder(sizes, torch.Generator().manual_seed(seed)), steps)


@pytest.fixture(scope="module")
def cells() -> Networks:
    space, draw = load_space("nasbench201"), random.Random(0)
    graphs = [space.graph(sample(space, draw)) for _ in range(40)]
    return collate([coarse_graph(space.network_graph(g), space.shapes.input) for g in graphs])


def test_they_say_what_they_say_in_torch(cells: Networks) -> None:
    trained = [drawn(cells, 1), drawn(cells, 2, layers=1, heads=1)]
    networks = GraphNetworks(tuple(each.arrays() for each in trained))
    networks.check()
    assert len(networks) == 3
    wanted_MG = np.concatenate([each.predict(cells) for each in trained], axis=1)
    found_MG = networks.predict(cells)
    assert wanted_MG.std(0).min() > 1e-3
    np.testing.assert_allclose(found_MG, wanted_MG, atol=1e-5)
    row_MR = networks.rows(cells)
    np.testing.assert_array_equal(row_MR[:, : len(WHOLE)], whole_numbers(cells))
    np.testing.assert_array_equal(row_MR[:, len(WHOLE) :], found_MG)


def test_what_they_say_of_a_network_does_not_depend_on_the_others(cells: Networks) -> None:
    networks = GraphNetworks((drawn(cells, 1).arrays(),))
    alone = [networks.predict(cells.take(np.array([place]))) for place in range(len(cells))]
    np.testing.assert_array_equal(np.concatenate(alone), networks.predict(cells))


@given(st.integers(0, 2**32 - 1))
def test_any_graph_even_with_double_edges_and_lone_nodes(seed: int) -> None:
    random_ = np.random.default_rng(seed)
    graphs = []
    for _ in range(random_.integers(1, 4)):
        count = int(random_.integers(1, 7))
        node_NF = random_.integers(0, 2, (count, len(FEATURES))).astype(np.float32)
        edges = (
            sorted(
                (int(target), int(random_.integers(target)))
                for target in random_.integers(1, count, random_.integers(0, 9))
            )
            if count > 1
            else []
        )
        target, source = np.array(edges, dtype=np.int64).reshape(-1, 2).T
        graphs.append(CoarseGraph(node_NF, source, target, 0, 0, 0))
    networks = collate(graphs)
    trained = drawn(networks, 3)
    found_MG = GraphNetworks((trained.arrays(),)).predict(networks)
    np.testing.assert_allclose(found_MG, trained.predict(networks), atol=1e-4)


def test_no_network_says_nothing(cells: Networks) -> None:
    assert NO_NETWORKS.predict(cells).shape == (len(cells), 0)
    np.testing.assert_array_equal(NO_NETWORKS.rows(cells), whole_numbers(cells))
    none = GraphNetworks((drawn(cells, 1).arrays(),)).predict(collate([]))
    assert none.shape == (0, 2)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("network.neck.weight", lambda array: array[:, 1:]),
        ("network.layers.1.forwards.lin_rel.bias", lambda array: array[1:]),
        ("network.read.weight", lambda array: array.ravel()),
        ("network.head.bias", lambda array: array[0]),
        ("network.head.bias", lambda array: array[:0]),
        ("steps.feature_S", lambda array: array + len(FEATURES)),
        ("steps.width_S", lambda array: array[1:]),
    ],
)
def test_arrays_of_something_else_are_refused(cells: Networks, name: str, change) -> None:
    arrays = drawn(cells, 1).arrays()
    with pytest.raises(ValueError, match="network"):
        GraphNetworks(({**arrays, name: change(arrays[name])},)).check()
    with pytest.raises(ValueError, match=f"lacks the array {name}"):
        GraphNetworks(({key: array for key, array in arrays.items() if key != name},)).check()
