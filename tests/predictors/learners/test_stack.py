"""The stack trusts what ranks left-out labels, and latencies are read with what simplifying takes
away.
"""

from random import Random

import numpy as np
import pytest

from predictors import GP, Auto, Ridge
from predictors.frame.learner import Belief, Learnt
from predictors.learners.stack import mixture, stack_weights
from spaces import Architecture
from spaces.canonical import canonical_key, simplify
from spaces.nasbench201 import space
from spaces.operators import sample


def learnt(mean, excess=0.0):
    return Learnt(None, Belief(mean, np.full(len(mean), 0.3), np.full(len(mean), 0.1)), excess)  # type: ignore[arg-type]


DEAD = space.graph(
    Architecture(
        "nasbench201", tuple((path, "none") for path, _ in sample(space, Random(0)).decisions)
    )
)


@pytest.fixture(scope="module")
def labels():
    random = np.random.default_rng(0)
    target = random.normal(size=200)
    return target, learnt(target + 0.3 * random.normal(size=200)), learnt(random.normal(size=200))


def test_a_good_learner_outweighs_noise(labels):
    target, good, noise = labels
    weights = stack_weights([good, noise], target, caution=10.0, seed=0)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.9


def test_caution_draws_to_equal_weights(labels):
    target, good, noise = labels
    np.testing.assert_allclose(
        stack_weights([good, noise], target, caution=1e6, seed=0), 0.5, atol=0.01
    )


def test_variance_that_averaging_takes_away_is_not_held_against_a_learner():
    random = np.random.default_rng(1)
    target = random.normal(size=300)
    steady, varied = (
        learnt(target + 0.5 * random.normal(size=300)),
        target + 0.5 * random.normal(size=300),
    )
    plain, forgiven = (
        stack_weights([steady, learnt(varied, excess)], target, caution=1.0, seed=0)
        for excess in (0.0, 0.2)
    )
    assert forgiven[1] > plain[1]


def test_equal_labels_give_equal_weights(labels):
    _, good, noise = labels
    np.testing.assert_allclose(
        stack_weights([good, noise], np.zeros(200), caution=10.0, seed=0), 0.5
    )


def test_a_mixture_counts_half_of_the_disagreement_as_epistemic():
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


def test_dead_parts_are_read_where_labels_depend_on_them_and_only_there():
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
    alive = np.array(
        [sum(node.op == "nor_conv_3x3" for node in simplify(graph).nodes) for graph in graphs],
        dtype=float,
    )
    assert Ridge().fit(graphs, alive + 0.01 * np.arange(120) % 7).simplified


def test_networks_that_hear_no_input_are_known_not_learnt():
    random = Random(0)
    graphs = [
        graph
        for graph in (space.graph(sample(space, random)) for _ in range(90))
        if canonical_key(graph) != canonical_key(DEAD)
    ]
    counts = np.array(
        [sum(node.op.startswith("nor_conv") for node in simplify(graph).nodes) for graph in graphs],
        dtype=float,
    )
    for predictor in (GP(), Ridge()):
        unlabelled = predictor.fit(graphs, counts)
        said = unlabelled.predict([DEAD, *graphs])
        assert said.mean[0] < counts.min()
        assert said.epistemic[0] == 0.0
        # Fewer operations cost less, and none at all the least: nothing speaks for the worst end.
        assert (
            predictor.fit(
                graphs, -np.array([float(len(simplify(graph).nodes)) for graph in graphs])
            ).dead
            is None
        )
        labelled = predictor.fit([*graphs, DEAD, DEAD], [*counts, 1.5, 1.5])
        assert labelled.predict([DEAD]).mean[0] == pytest.approx(1.5)
        # What the others are learnt from does not depend on the dead ones.
        assert labelled.encoding == unlabelled.encoding
    only = Ridge().fit([DEAD] * 12, np.arange(12.0))
    assert np.isfinite(only.predict([DEAD, graphs[0]]).mean).all()
