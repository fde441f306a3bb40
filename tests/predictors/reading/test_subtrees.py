"""Counts of subtrees are equal for isomorphic graphs and distinguish others."""

import numpy as np

from predictors.reading.batch import flatten
from predictors.reading.subtrees import learn_subtrees
from predictors.reading.terms import with_whole
from spaces import GraphBuilder
from tests.contracts.predictor_contract import random_graphs, reordered

GRAPHS = random_graphs(30, seed=1)


def chain(*ops):
    builder = GraphBuilder()
    value = builder.input()
    for op in ops:
        value = builder.node(op, value)
    return builder.output(value)


def test_isomorphic_graphs_have_the_same_subtrees():
    subtrees = learn_subtrees(flatten(GRAPHS), 3)
    again = [reordered(graph, seed=number) for number, graph in enumerate(GRAPHS)]
    np.testing.assert_allclose(
        subtrees.count(flatten(GRAPHS)), subtrees.count(flatten(again)), rtol=1e-6
    )


def test_order_matters_from_depth_one_and_directions_are_counted_separately():
    graphs = [chain("a", "b"), chain("b", "a"), chain("a", "a")]
    subtrees = learn_subtrees(flatten(graphs), 1)
    counts = subtrees.count(flatten(graphs))
    nodes_alone, with_parents, with_children = (
        counts[:, subtrees.group_W == group] for group in range(3)
    )
    np.testing.assert_array_equal(nodes_alone[0], nodes_alone[1])
    assert not np.array_equal(with_parents[0], with_parents[1])
    assert not np.array_equal(with_children[0], with_children[1])


def test_measured_scores_are_no_part_of_a_pattern():
    scored = [with_whole(graph, {"naswot": float(number)}) for number, graph in enumerate(GRAPHS)]
    subtrees = learn_subtrees(flatten(GRAPHS), 2)
    np.testing.assert_array_equal(subtrees.count(flatten(GRAPHS)), subtrees.count(flatten(scored)))


def test_unknown_subtrees_are_not_counted_and_depth_zero_counts_nothing():
    subtrees = learn_subtrees(flatten(GRAPHS), 2)
    counts = subtrees.count(flatten([chain("never", "seen")]))
    assert np.isfinite(counts).all()
    assert learn_subtrees(flatten(GRAPHS), 0).num_features == 0
