"""The Gaussian process compared with scikit-learn's, and the choice of its kernel's parameters."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct, Matern

from predictors import GP
from predictors.frame.kernel import Kernel, choose_kernel, negative_log_posterior, prior_mode
from predictors.frame.learner import Training
from predictors.frame.process import condition
from predictors.reading.subtrees import learn_subtrees
from tests.contracts.predictor_contract import random_graphs, true_scores
from tests.predictors.learners.differences import finite_differences


@pytest.fixture(scope="module")
def numbers():
    random = np.random.default_rng(0)
    feature = random.normal(size=(40, 3)).astype(np.float32)
    target = np.sin(feature[:, 0]) + 0.1 * random.normal(size=40)
    return feature, target, random.normal(size=(15, 3)).astype(np.float32)


def test_the_posterior_equals_sklearn(numbers):
    feature, target, others = numbers
    kernel = Kernel(
        np.full(3, 0.5, np.float32), np.full(3, 0.3, np.float32), amplitude=1.4, noise=0.05
    )
    expected_kernel = 1.4 * Matern(length_scale=2.0, nu=2.5) + 0.09 * DotProduct(
        sigma_0=0.0, sigma_0_bounds="fixed"
    )
    expected = GaussianProcessRegressor(expected_kernel, alpha=0.05, optimizer=None).fit(
        feature, target
    )
    mean, std = expected.predict(others, return_std=True)
    posterior = condition(kernel, learn_subtrees(_flat(), 0), feature, target, np.arange(40))
    predicted, variance = posterior._predict(others)
    np.testing.assert_allclose(predicted, mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.sqrt(variance), std, rtol=5e-3, atol=1e-3)


def test_the_variance_from_fewer_labels_is_no_smaller(numbers):
    feature, target, others = numbers
    kernel = Kernel(
        np.full(3, 0.5, np.float32), np.full(3, 0.3, np.float32), amplitude=1.4, noise=0.05
    )
    whole, part = (
        condition(kernel, learn_subtrees(_flat(), 0), feature, target, rows)._predict(others)
        for rows in (np.arange(40), np.arange(10))
    )
    np.testing.assert_allclose(part[0], whole[0], rtol=1e-4, atol=1e-4)
    assert (part[1] >= whole[1] - 1e-4).all()


def test_the_gradient_of_the_log_posterior_equals_finite_differences():
    random = np.random.default_rng(2)
    feature, target = random.normal(size=(25, 5)), random.normal(size=25)
    products = [part @ part.T / part.shape[1] for part in (feature[:, :2], feature[:, 2:])]
    distances = [np.add.outer(np.diag(part), np.diag(part)) - 2 * part for part in products]
    parameters = prior_mode(2) + random.normal(size=6)

    def value(shifted):
        return negative_log_posterior(shifted, distances, products, target)[0]

    _, gradient = negative_log_posterior(parameters, distances, products, target)
    assert (np.abs(gradient) > 1e-2).all()
    np.testing.assert_allclose(gradient, finite_differences(value, parameters), rtol=1e-5)


def test_the_log_posterior_equals_the_gaussian_density_times_the_prior():
    random = np.random.default_rng(3)
    feature, target = random.normal(size=(20, 3)), random.normal(size=20)
    product = feature @ feature.T / 3
    distance = np.add.outer(np.diag(product), np.diag(product)) - 2 * product

    def log_density(parameters):
        scale, linear, amplitude, noise = np.exp(parameters)
        root_scale, root_linear = (np.full(3, np.sqrt(each / 3)) for each in (scale, linear))
        kernel = Kernel(root_scale, root_linear, float(amplitude), 0.0)
        covariance = kernel.between(feature, feature) + (noise + 1e-4) * np.eye(20)
        prior = norm.logpdf(parameters, prior_mode(1), 1.5).sum()
        return multivariate_normal(np.zeros(20), covariance).logpdf(target) + prior

    first, second = prior_mode(1) + random.normal(size=(2, 4))
    values = [
        negative_log_posterior(each, [distance], [product], target)[0] for each in (first, second)
    ]
    assert values[0] - values[1] == pytest.approx(log_density(second) - log_density(first))


def test_a_group_without_influence_gets_a_long_lengthscale():
    random = np.random.default_rng(1)
    feature = random.normal(size=(120, 4)).astype(np.float32)
    target = norm.ppf((np.argsort(np.argsort(np.sin(2 * feature[:, 0]))) + 0.5) / 120)
    kernel = choose_kernel(feature, np.array([0, 1, 1, 1]), target)
    assert kernel.smooth_F[0] > 3 * kernel.smooth_F[1]
    assert kernel.noise < 0.2


def test_extreme_features_do_not_make_the_mean_extreme():
    graphs = random_graphs(80, seed=1)
    fitted = GP().fit(graphs, true_scores(graphs))
    encoded = fitted.encode(random_graphs(20, seed=2))
    wild = replace(encoded, counts_MC=encoded.counts_MC * 1000)
    assert np.ptp(fitted.predict_encoded(wild).mean) < 20 * np.ptp(true_scores(graphs))


def test_a_held_out_prediction_does_not_depend_on_the_held_out_labels():
    graphs = random_graphs(40, seed=3)
    fitted = GP().fit(graphs, true_scores(graphs))
    encoded, normal = fitted.encode(graphs), fitted.target.to_normal(true_scores(graphs))
    fold = np.arange(40) % 5
    training = Training(fitted.encoding, encoded, normal, fold)
    changed = replace(training, normal_N=np.where(fold == 0, -normal, normal))
    first, second = (GP().learn(each, seed=0).left_out for each in (training, changed))
    np.testing.assert_allclose(first.mean[fold == 0], second.mean[fold == 0])
    assert not np.allclose(first.mean[fold == 1], second.mean[fold == 1])


def _flat():
    from predictors.reading.batch import flatten

    return flatten(random_graphs(3, seed=0))
