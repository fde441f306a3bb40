"""The graph network of the prior, and how it is trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.prior.coarse import CoarseGraph
from predictors.prior.encoder import Trained
from predictors.prior.encoder_training import normal_scores, pretrain
from predictors.prior.kinds import KINDS
from predictors.prior.networks import collate
from predictors.prior.node_features import FEATURES
from tests.predictors.prior.conftest import SHORT


def test_it_learns_and_is_the_same_for_the_same_seed(tables, trained: Trained) -> None:
    again = pretrain(tables, SHORT, 3, width=12, layers=2)
    other = pretrain(tables, SHORT, 4, width=12, layers=2)
    networks, label_N = tables[0]
    found_MK = trained.predict(networks)
    assert np.array_equal(found_MK, again.predict(networks))
    assert not np.array_equal(found_MK, other.predict(networks))
    longer = pretrain(tables, replace(SHORT, passes=20), 3, width=12, layers=2)
    assert np.corrcoef(longer.predict(networks)[:, 0], label_N)[0, 1] > 0.8


def test_a_prediction_depends_on_no_other_graph_and_on_no_order(tables, trained: Trained) -> None:
    networks = tables[1][0]
    all_MK = trained.predict(networks)
    alone_K = trained.predict(networks.take([7]))[0]
    assert alone_K == pytest.approx(all_MK[7], abs=1e-5)
    graph = networks.graph(7)
    order_N = np.random.default_rng(1).permutation(len(graph))
    place_N = np.argsort(order_N)
    source_E, target_E = place_N[graph.source_E], place_N[graph.target_E]
    sorted_E = np.argsort(target_E, kind="stable")
    shuffled = CoarseGraph(
        graph.node_NF[order_N],
        source_E[sorted_E],
        target_E[sorted_E],
        graph.parameters,
        graph.multiply_adds,
        graph.activations,
    )
    assert trained.predict(collate([shuffled]))[0] == pytest.approx(all_MK[7], abs=1e-5)


def test_inputs_are_bounded_for_sizes_never_seen(tables, trained: Trained) -> None:
    node_NF = tables[0][0].node_NF.copy()
    node_NF[:, len(KINDS) :] *= 1000
    read_NX = trained.steps.read(node_NF)
    assert read_NX.min() >= 0
    assert read_NX.max() <= 1
    assert read_NX.shape == (len(node_NF), len(KINDS) + len(trained.steps))
    assert set(trained.steps.feature_S) == set(range(len(KINDS), len(FEATURES)))


def test_equal_labels_have_equal_normal_scores() -> None:
    score_N = normal_scores(np.array([3.0, 1.0, 3.0, 2.0]))
    assert score_N[0] == score_N[2] > score_N[3] > score_N[1]
    assert normal_scores(np.arange(101.0)).mean() == pytest.approx(0, abs=1e-9)
