"""Coverage of predicted intervals, the scale that corrects it, and folds."""

import numpy as np
import pytest

from predictors import Prediction
from predictors.calibration import coverage, fit_scale, folds_of, negative_log_likelihood
from tests.contracts.predictor_contract import random_graphs, reordered


def gaussian(count, std, seed=0):
    random = np.random.default_rng(seed)
    mean, stds = random.normal(size=count), np.full(count, std)
    return Prediction(mean, stds * 0.6, stds * 0.8), mean + random.normal(size=count) * std


def test_true_standard_deviations_give_intervals_with_their_levels_coverage():
    prediction, true = gaussian(20000, 2.0)
    np.testing.assert_allclose(
        coverage(prediction, true, (0.5, 0.8, 0.9, 0.95)), (0.5, 0.8, 0.9, 0.95), atol=0.01
    )
    assert negative_log_likelihood(prediction, true) == pytest.approx(
        np.log(2) + 0.5 * np.log(2 * np.pi) + 0.5, abs=0.02
    )


def test_the_scale_corrects_a_wrong_standard_deviation():
    _, true = gaussian(5000, 3.0)
    mean = gaussian(5000, 3.0)[0].mean
    assert fit_scale(true - mean, np.ones(5000)) == pytest.approx(3.0, rel=0.03)


def test_few_residuals_give_a_larger_scale_than_many():
    random = np.random.default_rng(0)
    few = np.mean([fit_scale(random.normal(size=12), np.ones(12)) for _ in range(300)])
    many = np.mean([fit_scale(random.normal(size=500), np.ones(500)) for _ in range(30)])
    assert few > many


def test_a_perfect_fit_leaves_a_positive_scale():
    assert fit_scale(np.zeros(20), np.ones(20)) > 0


def test_wrong_arguments_are_refused():
    prediction, true = gaussian(10, 1.0)
    with pytest.raises(ValueError, match="one true score"):
        coverage(prediction, true[1:])
    with pytest.raises(ValueError, match="between 0 and 1"):
        coverage(prediction, true, (1.0,))


def test_isomorphic_graphs_are_in_one_fold():
    graphs = random_graphs(30, seed=1)
    again = [reordered(graph, seed=number) for number, graph in enumerate(graphs)]
    folds = folds_of([*graphs, *again], 4, seed=0)
    assert set(folds.tolist()) == {0, 1, 2, 3}
    np.testing.assert_array_equal(folds[:30], folds[30:])
    assert (folds_of(graphs[:6], 4, seed=0) == -1).all()


@pytest.mark.parametrize("name", ["gp", "gnn", "trees", "ridge", "auto", "quick"])
def test_too_few_labels_for_folds_give_the_standard_deviation_of_the_scores(name):
    from predictors import predictor

    graphs = random_graphs(7, seed=1)
    scores = np.arange(7.0) * 3 + 60
    prediction = predictor(name).fit(graphs, scores).predict(graphs)
    assert 0.4 * scores.std() < np.median(prediction.std) < 2.5 * scores.std()
