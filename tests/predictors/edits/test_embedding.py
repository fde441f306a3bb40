"""The learnt map from graphs to points: distances of unseen graphs, invariances, and storage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.edits.costs import suggest_costs, transformer_costs
from predictors.edits.distance import distance_matrix, edit_distances
from predictors.edits.embedding import FittedEmbedding, GraphEmbedding, restore_embedding
from predictors.edits.node_vectors import lay_out_labels
from predictors.edits.stress import draw_pairs, kruskal_stress, least_stress, lengths
from predictors.frame.store import Stored, read, write
from predictors.ranking import spearman
from spaces.flexibert import describe
from tests.contracts.predictor_contract import random_graphs, reordered
from tests.predictors.edits.test_edit_distance import transformers

GRAPHS = transformers(220, (2, 4), seed=5)
QUICK = GraphEmbedding(pairs=600, steps=60, width=16)


@pytest.fixture(scope="module")
def fitted() -> FittedEmbedding:
    return GraphEmbedding(pairs=2000).fit(GRAPHS[:150], seed=0)


def test_distances_of_unseen_graphs_are_ranked(fitted: FittedEmbedding) -> None:
    unseen = GRAPHS[150:]
    pair_p2 = draw_pairs(len(unseen), 500, np.random.default_rng(0))
    true_p = edit_distances(unseen, pair_p2, transformer_costs(GRAPHS))
    embedded_p = lengths(fitted.embed(unseen), pair_p2)
    assert spearman(embedded_p, true_p) > 0.97
    assert kruskal_stress(embedded_p, true_p) < 0.1


def test_a_point_depends_only_on_its_graph(fitted: FittedEmbedding) -> None:
    point_nd = fitted.embed(GRAPHS[150:170])
    assert point_nd.shape == (20, 16)
    assert point_nd.dtype == np.float64
    assert fitted.embed([]).shape == (0, 16)
    isomorphic = [reordered(graph, seed=number) for number, graph in enumerate(GRAPHS[150:170])]
    np.testing.assert_allclose(fitted.embed(isomorphic), point_nd, atol=1e-3)
    np.testing.assert_allclose(
        np.concatenate([fitted.embed([graph]) for graph in GRAPHS[150:170]]), point_nd, atol=1e-9
    )


def test_the_seed_determines_the_map() -> None:
    first, again, other = (
        QUICK.fit(GRAPHS[:40], seed=seed).embed(GRAPHS[:5]) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_unseen_labels_and_operations_have_points_too(fitted: FittedEmbedding) -> None:
    def graph(operation: str, hidden: int = 128):
        return describe(
            ((hidden, (operation, operation), (512,)), (128, ("sa_sdp", "sa_sdp"), (1024,))),
            mixed=True,
        )

    near, new, far = fitted.embed([graph("c_9"), graph("c_13"), graph("l_dft")])
    assert np.linalg.norm(new - near) < 0.6 * np.linalg.norm(new - far)
    assert np.isfinite(fitted.embed(random_graphs(5, seed=0))).all()
    assert np.isfinite(fitted.embed([graph("sa_sdp", 4096)])).all()


def test_other_graphs_are_embedded_too() -> None:
    graphs = random_graphs(120, seed=7)
    fitted = GraphEmbedding(dimensions=8, pairs=1500).fit(graphs[:80], seed=0)
    pair_p2 = draw_pairs(40, 200, np.random.default_rng(0))
    true_p = edit_distances(graphs[80:], pair_p2, suggest_costs(graphs))
    assert spearman(lengths(fitted.embed(graphs[80:]), pair_p2), true_p) > 0.6


def test_identical_training_graphs_are_accepted() -> None:
    point_nd = QUICK.fit([GRAPHS[0]] * 3).embed([GRAPHS[0]] * 2)
    np.testing.assert_array_equal(point_nd[0], point_nd[1])
    assert np.isfinite(point_nd).all()


def test_it_is_stored_without_loss(tmp_path: Path) -> None:
    fitted = QUICK.fit(GRAPHS[:30])
    write(tmp_path, Stored("any", {}, fitted.state(), fitted.arrays()))
    stored = read(tmp_path)
    restored = restore_embedding(QUICK, stored.state, stored.arrays)
    np.testing.assert_array_equal(restored.embed(GRAPHS[30:60]), fitted.embed(GRAPHS[30:60]))
    new = [describe(((512, ("c_13", "sa_sdp"), (4096,)),), mixed=True)]
    np.testing.assert_array_equal(restored.embed(new), fitted.embed(new))


def test_parts_that_do_not_fit_are_refused() -> None:
    fitted = QUICK.fit(GRAPHS[:30])
    state, arrays = json.loads(json.dumps(fitted.state())), fitted.arrays()
    for name, array in arrays.items():
        for damaged in (array.reshape(-1)[:-1], array.astype(np.float32)):
            if name != "mean":
                with pytest.raises(ValueError, match=f"array '{name}' should hold"):
                    restore_embedding(QUICK, state, {**arrays, name: damaged})
    with pytest.raises(ValueError, match="should hold"):
        restore_embedding(QUICK, {**state, "labels": state["labels"][1:]}, arrays)


def test_squared_lengths_of_label_vectors_are_the_costs() -> None:
    costs = transformer_costs(GRAPHS)
    vector_lv = lay_out_labels(costs).vector_LV
    np.testing.assert_allclose((vector_lv**2).sum(1), costs.node, atol=1e-9)
    np.testing.assert_allclose(
        ((vector_lv[:, None] - vector_lv) ** 2).sum(-1), costs.change, atol=1e-9
    )


@given(st.integers(2, 60), st.integers(1, 400), st.integers(0, 9))
def test_drawn_pairs_are_distinct(count: int, most: int, seed: int) -> None:
    pairs = [tuple(pair) for pair in draw_pairs(count, most, np.random.default_rng(seed)).tolist()]
    assert len(set(pairs)) == len(pairs) == min(most, count * (count - 1) // 2)
    assert all(0 <= first < second < count for first, second in pairs)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_points_in_a_plane_are_recovered(share: float) -> None:
    random = np.random.default_rng(0)
    true_nd = random.normal(size=(30, 2))
    pair_p2 = draw_pairs(30, int(435 * share), random)
    distance_p = lengths(true_nd, pair_p2)
    point_nd = least_stress(30, pair_p2, distance_p, 2, iterations=3000, least=1e-9)
    assert kruskal_stress(lengths(point_nd, pair_p2), distance_p) < 0.02


def test_the_stress_is_as_low_as_scikit_learns() -> None:
    manifold = pytest.importorskip("sklearn.manifold")
    distance_nn = distance_matrix(GRAPHS[:25], transformer_costs(GRAPHS))
    pair_p2 = np.stack(np.triu_indices(25, 1), axis=1)
    distance_p = distance_nn[pair_p2[:, 0], pair_p2[:, 1]]
    ours = kruskal_stress(
        lengths(least_stress(25, pair_p2, distance_p, 4, iterations=1000), pair_p2), distance_p
    )
    theirs, _ = manifold.smacof(
        distance_nn,
        n_components=4,
        n_init=4,
        max_iter=1000,
        random_state=0,
        normalized_stress=False,
    )
    assert ours < 1.02 * kruskal_stress(lengths(theirs, pair_p2), distance_p)


def test_wrong_settings_and_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 graphs"):
        GraphEmbedding().fit(GRAPHS[:1])
    with pytest.raises(ValueError, match="whole number of dimensions"):
        GraphEmbedding(dimensions=0)
    with pytest.raises(ValueError, match="learning_rate"):
        GraphEmbedding(learning_rate=float("nan"))
    with pytest.raises(ValueError, match="do not connect all of the 4 graphs"):
        least_stress(4, np.array([[0, 1], [2, 3]]), np.ones(2), 2)
    with pytest.raises(ValueError, match="make the costs from graphs that contain it"):
        GraphEmbedding().fit(random_graphs(3, seed=0), costs=transformer_costs(GRAPHS))
