"""Predictions without labels: their units, and what cannot be read."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from predictors import PREDICTORS
from predictors.prior.attached import Reader, Reading, attach, attached_rows, heads_of
from predictors.prior.stored import load_prior
from predictors.prior.unlabelled import DISCONNECTED, unlabelled
from predictors.reading.features import learn_encoding
from predictors.reading.terms import with_whole
from spaces import Architecture, Graph
from spaces.canonical import simplify
from spaces.nasbench201 import PATHS, space
from spaces.operators import sample_graph

DRAWN = [
    graph for seed in range(40) if simplify(graph := sample_graph(space, Random(seed))[1]).edges
]
UNREADABLE = DRAWN[-1]
DEAD = space.graph(Architecture("nasbench201", tuple((path, "none") for path in PATHS)))


def network(graph: Graph) -> Graph:
    """The network of a cell, for all cells but one."""
    if graph == simplify(UNREADABLE):
        raise ValueError("its shapes cannot be inferred")
    return space.network_graph(graph)


def test_an_unreadable_network_is_taken_for_the_average_one() -> None:
    known = unlabelled(load_prior("shipped"), Reader("but one", network, None), DRAWN[:30])
    assert known is not None
    prediction = known.predict([DRAWN[0], UNREADABLE])
    assert prediction.mean[1] == 0
    assert prediction.mean[0] != 0
    np.testing.assert_array_equal(known.predict([UNREADABLE]).mean, [0.0])


def test_one_unreadable_network_silences_nobody() -> None:
    reader, prior = Reader("but one", network, None), load_prior("shipped")
    known, without = (unlabelled(prior, reader, some) for some in (DRAWN[-20:], DRAWN[-20:-1]))
    assert known is not None
    assert without is not None
    np.testing.assert_array_equal(known.predict(DRAWN).mean, without.predict(DRAWN).mean)
    assert unlabelled(prior, reader, [UNREADABLE]) is None


@pytest.mark.parametrize("name", ["whole", "quick"])
def test_an_unreadable_training_graph_is_an_average_network(name: str) -> None:
    training = DRAWN[-24:]
    score_N = np.arange(24.0)
    fitted = Reading(PREDICTORS[name](), Reader("but one", network, None)).fit(training, score_N)
    assert len(heads_of(fitted))
    assert np.isfinite(fitted.predict(DRAWN).mean).all()
    with pytest.raises(ValueError, match="none of the training graphs has any"):
        PREDICTORS["whole"]().fit(training, score_N)


def test_a_disconnected_network_is_worse_than_all_others() -> None:
    known = unlabelled(load_prior("shipped"), Reader("all", space.network_graph, None), DRAWN[:30])
    assert known is not None
    means = known.predict([*DRAWN, DEAD]).mean
    assert means[-1] == DISCONNECTED
    assert (means[:-1] > DISCONNECTED).all()


def test_the_doubt_is_what_the_expected_correlation_leaves() -> None:
    known = unlabelled(load_prior("shipped"), Reader("all", space.network_graph, None), DRAWN[:30])
    assert known is not None
    prediction = known.predict(DRAWN[:30])
    np.testing.assert_allclose(prediction.mean.std(), known.trust, rtol=1e-6)
    np.testing.assert_allclose(prediction.epistemic**2, 1 - known.trust**2)


def test_other_predictors_do_not_see_the_numbers_of_networks() -> None:
    # The numbers of two networks differ, so an input node with them would be a kind of its own.
    attached = attach(DRAWN[:20], Reader("all", space.network_graph, None))
    assert all(graph.nodes[0].attributes for graph in attached)
    with_numbers, without = learn_encoding(attached), learn_encoding(DRAWN[:20])
    assert with_numbers == without
    encoded = with_numbers.encode(attached)
    np.testing.assert_array_equal(encoded.counts_MC, without.encode(DRAWN[:20]).counts_MC)
    rows = attached_rows(encoded)
    np.testing.assert_array_equal(rows, Reader("all", space.network_graph, None).rows(DRAWN[:20]))
    np.testing.assert_array_equal(attached_rows(encoded.take(np.array([7, 3]))), rows[[7, 3]])
    parts = [attached_rows(part) for part in encoded.chunks(8)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)


def test_measured_scores_of_networks_are_no_kinds_of_nodes() -> None:
    scored = [with_whole(graph, {"naswot": float(place)}) for place, graph in enumerate(DRAWN[:20])]
    encoding = learn_encoding(scored)
    assert encoding.kinds == learn_encoding(DRAWN[:20]).kinds
    assert "whole naswot" in encoding.nodes.numbers
