"""Measures of how well predictions rank, with and without ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.ranking import kendall_tau, precision_at, regret_of_top, spearman

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=25).map(
    lambda rows: np.array(rows, dtype=float).T
)


@given(PAIRS)
def test_tau_counts_pairs(pair):
    predicted, true = pair
    signs = np.sign(predicted[:, None] - predicted[None]) * np.sign(true[:, None] - true[None])
    untied = np.sqrt(
        (predicted[:, None] != predicted[None]).sum() * (true[:, None] != true[None]).sum()
    )
    assert kendall_tau(predicted, true) == pytest.approx(signs.sum() / untied if untied else 0.0)


@given(PAIRS)
def test_measures_are_bounded_and_independent_of_the_order_of_rows(pair):
    predicted, true = pair
    shuffled = np.random.default_rng(0).permutation(len(true))
    for measure in (
        kendall_tau,
        spearman,
        lambda p, t: precision_at(p, t, 0.3),
        lambda p, t: regret_of_top(p, t, 2),
    ):
        assert measure(predicted, true) == pytest.approx(
            measure(predicted[shuffled], true[shuffled])
        )
    assert -1 - 1e-9 <= spearman(predicted, true) <= 1 + 1e-9
    assert 0 <= precision_at(predicted, true, 0.3) <= 1
    assert regret_of_top(predicted, true, 2) >= 0


def test_a_perfect_ranking():
    true = np.arange(20.0)
    assert kendall_tau(true * 2, true) == spearman(true * 2, true) == pytest.approx(1.0)
    assert precision_at(true, true, 0.1) == 1.0
    assert regret_of_top(true, true, 1) == 0.0


def test_errors_of_binary_fractions_do_not_round_a_share_up():
    true = np.arange(100.0)
    predicted = np.where(true >= 93, 200 - true, true)
    predicted[92] = 300.0
    assert precision_at(predicted, true, 0.07) == pytest.approx(6 / 7)
    assert precision_at(true, true, 1e-12) == 1.0


def test_a_constant_prediction_ranks_nothing():
    true = np.arange(20.0)
    assert kendall_tau(np.ones(20), true) == spearman(np.ones(20), true) == 0.0
    assert precision_at(np.ones(20), true, 0.1) == pytest.approx(0.1)
    assert regret_of_top(np.ones(20), true, 3) == 17.0


def test_wrong_arguments_are_refused():
    for measure in (kendall_tau, spearman):
        with pytest.raises(ValueError, match="one length"):
            measure(np.ones(3), np.ones(4))
        with pytest.raises(ValueError, match="finite"):
            measure(np.array([1.0, np.nan]), np.ones(2))
        with pytest.raises(ValueError, match="at least 2"):
            measure(np.ones(1), np.ones(1))
    with pytest.raises(ValueError, match="share"):
        precision_at(np.ones(3), np.ones(3), 0.0)
    with pytest.raises(ValueError, match="count"):
        regret_of_top(np.ones(3), np.ones(3), 4)
