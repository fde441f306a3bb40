"""The weights of a stack, and predictors on graphs with unused parts or without connection."""

from random import Random

import numpy as np
import pytest

from predictors import GP, Auto, Ridge
from predictors.frame.learner import Belief, Learnt
from predictors.learners.stack_weights import mixture, ranking_loss, stack_weights
from spaces import Architecture
from spaces.canonical import canonical_key, simplify
from spaces.nasbench201 import space
from spaces.operators import sample
from tests.predictors.learners.differences import finite_differences

EQUAL, HALVES = np.full(3, 1 / 3), np.full(2, 0.5)


def learnt(mean, excess=0.0):
    return Learnt(None, Belief(mean, np.full(len(mean), 0.3), np.full(len(mean), 0.1)), excess)  # type: ignore[arg-type]


DISCONNECTED = space.graph(
    Architecture(
        "nasbench201", tuple((path, "none") for path, _ in sample(space, Random(0)).decisions)
    )
)


@pytest.fixture(scope="module")
def labels():
    random = np.random.default_rng(0)
    target = random.normal(size=200)
    return target, learnt(target + 0.3 * random.normal(size=200)), learnt(random.normal(size=200))


@pytest.fixture(scope="module")
def margins():
    """(3, pairs) how much better three learners predict the better label of each pair."""
    random = np.random.default_rng(0)
    target = random.normal(size=60)
    means = np.stack([target + noise * random.normal(size=60) for noise in (0.5, 3.0, 0.8)])
    better, worse = np.nonzero(target[:, None] > target)
    return means[:, better] - means[:, worse]


def test_a_good_learner_outweighs_noise(labels):
    target, good, noise = labels
    weights = stack_weights([good, noise], target, HALVES, caution=10.0, seed=0)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.9


def test_the_gradient_of_the_ranking_loss_equals_finite_differences(margins):
    weights = np.array([0.5, 0.2, 0.3])

    def value(shifted):
        return ranking_loss(shifted, margins, np.zeros(3), EQUAL, 0.1)[0]

    _, gradient = ranking_loss(weights, margins, np.zeros(3), EQUAL, 0.1)
    assert (np.abs(gradient) > 1e-2).all()
    np.testing.assert_allclose(gradient, finite_differences(value, weights), rtol=1e-6)


def test_with_excess_the_gradient_is_that_at_constant_curvature(margins):
    weights, excess = np.array([0.5, 0.2, 0.3]), np.array([0.0, 0.1, 0.3])
    plain, _ = ranking_loss(weights, margins, np.zeros(3), EQUAL, 0.1)
    corrected, gradient = ranking_loss(weights, margins, excess, EQUAL, 0.1)
    margin = weights @ margins
    curvature = np.mean(1 / (1 + np.exp(-margin)) / (1 + np.exp(margin)))
    assert plain - corrected == pytest.approx(curvature * weights**2 @ excess)

    def value(shifted):
        uncorrected, _ = ranking_loss(shifted, margins, np.zeros(3), EQUAL, 0.1)
        return uncorrected - curvature * shifted**2 @ excess

    np.testing.assert_allclose(gradient, finite_differences(value, weights), rtol=1e-6)


def test_excess_variance_of_held_out_means_does_not_lower_a_weight():
    random = np.random.default_rng(1)
    target = random.normal(size=300)
    first, second = (target + 0.5 * random.normal(size=300) for _ in range(2))
    plain, corrected = (
        stack_weights([learnt(first), learnt(second, excess)], target, HALVES, caution=1.0, seed=0)
        for excess in (0.0, 0.2)
    )
    assert corrected[1] > plain[1]


def test_caution_draws_to_the_expected_weights(labels):
    target, good, noise = labels
    expected = np.array([0.2, 0.8])
    np.testing.assert_allclose(
        stack_weights([good, noise], target, expected, caution=1e6, seed=0), expected, atol=0.01
    )


def test_equal_labels_give_equal_weights(labels):
    _, good, noise = labels
    np.testing.assert_allclose(
        stack_weights([good, noise], np.zeros(200), HALVES, caution=10.0, seed=0), 0.5
    )


def test_a_mixture_halves_the_whole_epistemic_standard_deviation():
    one = Belief(np.array([0.0]), np.array([0.3]), np.array([0.4]))
    other = Belief(np.array([2.0]), np.array([0.3]), np.array([0.4]))
    mixed = mixture([0.5, 0.5], [one, other])
    assert mixed.mean[0] == 1.0
    assert mixed.aleatoric[0] == pytest.approx(0.3)
    assert mixed.epistemic[0] == pytest.approx(0.5 * np.sqrt(0.16 + 1.0))


def test_members_are_checked():
    for wrong in ((), ("gp", "gp"), ("forest",)):
        with pytest.raises(ValueError, match="needs different members out of"):
            Auto(members=wrong)
    with pytest.raises(ValueError, match="caution above 0"):
        Auto(caution=0)


def test_unused_parts_are_read_only_if_labels_depend_on_them():
    random = Random(0)
    graphs = [space.graph(sample(space, random)) for _ in range(120)]
    carried_out = -np.array(
        [
            sum(
                {"nor_conv_3x3": 3.0, "nor_conv_1x1": 1.0, "avg_pool_3x3": 0.5}.get(node.op, 0.0)
                for node in graph.nodes
            )
            for graph in graphs
        ]
    )
    latency = GP().fit(graphs, carried_out)
    assert not latency.simplified
    used = np.array(
        [sum(node.op == "nor_conv_3x3" for node in simplify(graph).nodes) for graph in graphs],
        dtype=float,
    )
    assert Ridge().fit(graphs, used + 0.01 * np.arange(120) % 7).simplified


def test_disconnected_networks_get_one_prediction_and_are_not_trained_on():
    random = Random(0)
    graphs = [
        graph
        for graph in (space.graph(sample(space, random)) for _ in range(90))
        if canonical_key(graph) != canonical_key(DISCONNECTED)
    ]
    counts = np.array(
        [sum(node.op.startswith("nor_conv") for node in simplify(graph).nodes) for graph in graphs],
        dtype=float,
    )
    costs = -np.array([float(len(simplify(graph).nodes)) for graph in graphs])
    for predictor in (GP(), Ridge()):
        unlabelled = predictor.fit(graphs, counts)
        prediction = unlabelled.predict([DISCONNECTED, *graphs])
        assert prediction.mean[0] < counts.min()
        assert prediction.epistemic[0] == 0.0
        # If the score is a cost, a network without operations is not the worst.
        assert predictor.fit(graphs, costs).disconnected is None
        labelled = predictor.fit([*graphs, DISCONNECTED, DISCONNECTED], [*counts, 1.5, 1.5])
        assert labelled.predict([DISCONNECTED]).mean[0] == pytest.approx(1.5)
        # The disconnected networks are no part of the training data.
        assert labelled.encoding == unlabelled.encoding
    only = Ridge().fit([DISCONNECTED] * 12, np.arange(12.0))
    assert np.isfinite(only.predict([DISCONNECTED, graphs[0]]).mean).all()
