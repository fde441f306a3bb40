"""A Gaussian process on counted features and Weisfeiler-Lehman subtrees, one lengthscale for each
group of them.

Shapes: N training graphs, M graphs, F features of all groups, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictors.frame.learner import NUM_FOLDS, Belief, Learnt, Training, ignorance
from predictors.reading.batch import Encoded
from predictors.reading.subtrees import Subtrees, learn_subtrees

CHUNK = 2048
# The kernel's parameters start here, and how many times larger or smaller they are is normally
# distributed with this deviation (of the logarithm).
START_SCALE, START_LINEAR, START_SMOOTH, START_NOISE = -1.5, -2.0, -0.5, -2.0
PRIOR_DEVIATION = 1.5
JITTER = 1e-4
# Standard deviations from the mean that a feature is taken to be, at most.
MOST_DEVIATIONS = 3.0
# How deep the subtrees are, and how many training graphs the parameters are chosen on and the
# epistemic spread is computed from: the predictor `gp`'s defaults, and what a reading of graphs is
# judged with.
DEPTH, MOST, MOST_FOR_SPREAD = 3, 500, 1000
# Training graphs that the parameters are chosen on where a fold is left out.
MOST_IN_A_FOLD = 200


def learn_process(
    training: Training,
    seed: int,
    *,
    depth: int = DEPTH,
    most: int = MOST,
    most_for_spread: int = MOST_FOR_SPREAD,
) -> Learnt:
    """The process conditioned on the training graphs' labels; see `predictors.learners.gp.GP` for
    the settings.
    """
    subtrees = learn_subtrees(training.encoded.flat, depth)
    feature_NF, group_F = _features(training.encoded, training.encoding.groups, subtrees)
    order_N = np.random.default_rng([seed, 2]).permutation(len(feature_NF))
    chosen = np.sort(order_N[:most])
    kernel = choose_kernel(feature_NF[chosen], group_F, training.normal_N[chosen])
    model = condition(kernel, subtrees, feature_NF, training.normal_N, order_N[:most_for_spread])
    if not training.has_folds:
        return Learnt(model, ignorance(len(feature_NF)))
    return Learnt(model, _left_out(training, feature_NF, group_F, order_N))


@dataclass(frozen=True)
class Kernel:
    """The kernel's parameters spread over the features, so that a kernel matrix is two products of
    matrices.

    Attributes:
        smooth_F, linear_F: the factor on each feature before the distance, and before the scalar
            product.
        amplitude: a.
        noise: the variance of a label given the function.
    """

    smooth_F: np.ndarray
    linear_F: np.ndarray
    amplitude: float
    noise: float

    def between(self, feature_MF: np.ndarray, feature_NF: np.ndarray) -> np.ndarray:
        """(M, N) the covariance of the function at these graphs."""
        smooth_MF, smooth_NF = feature_MF * self.smooth_F, feature_NF * self.smooth_F
        square_MN = (
            (smooth_MF**2).sum(1)[:, None] + (smooth_NF**2).sum(1) - 2 * smooth_MF @ smooth_NF.T
        )
        return (
            self.amplitude * _matern(square_MN)
            + (feature_MF * self.linear_F) @ (feature_NF * self.linear_F).T
        )

    def prior_variance(self, feature_MF: np.ndarray) -> np.ndarray:
        """(M,) the function's variance before any label."""
        return self.amplitude + ((feature_MF * self.linear_F) ** 2).sum(1)


@dataclass(frozen=True)
class Posterior:
    """The kernel conditioned on the labels.

    Attributes:
        feature_NF: of the training graphs.
        weight_N: the mean at x is k(x, training) @ weight.
        spread_S: the training graphs that the spread is computed from.
        inverse_SS: the inverse of their covariance, the noise included.
    """

    kernel: Kernel
    subtrees: Subtrees
    feature_NF: np.ndarray
    weight_N: np.ndarray
    spread_S: np.ndarray
    inverse_SS: np.ndarray

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`; the noise is the aleatoric part."""
        feature_MF, _ = _features(encoded, (), self.subtrees)
        parts = [
            self._predict(feature_MF[start : start + CHUNK])
            for start in range(0, len(feature_MF), CHUNK)
        ]
        mean_M, variance_M = (
            np.concatenate(columns).astype(np.float64) for columns in zip(*parts, strict=True)
        )
        return Belief(mean_M, np.full(len(mean_M), np.sqrt(self.kernel.noise)), np.sqrt(variance_M))

    def _predict(self, feature_MF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # A distance and a variance are differences of nearly equal numbers: in single precision
        # they depend on which graphs are asked about together.
        feature_MF = feature_MF.astype(np.float64)
        covariance_MN = self.kernel.between(feature_MF, self.feature_NF.astype(np.float64))
        known_MS = (
            covariance_MN
            if len(self.spread_S) == len(self.feature_NF)
            else covariance_MN[:, self.spread_S]
        )
        explained_M = ((known_MS @ self.inverse_SS) * known_MS).sum(1)
        return covariance_MN @ self.weight_N, np.maximum(
            self.kernel.prior_variance(feature_MF) - explained_M, 1e-6
        )

    def state(self) -> dict[str, Any]:
        """See `learner.Model`."""
        return {
            "amplitude": self.kernel.amplitude,
            "noise": self.kernel.noise,
            "depth": self.subtrees.depth,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """See `learner.Model`."""
        own = {
            "smooth": self.kernel.smooth_F,
            "linear": self.kernel.linear_F,
            "features": self.feature_NF,
            "weight": self.weight_N,
        }
        return own | {"spread": self.spread_S, "inverse": self.inverse_SS} | self.subtrees.arrays()


def choose_kernel(feature_NF: np.ndarray, group_F: np.ndarray, normal_N: np.ndarray) -> Kernel:
    """The kernel of the largest posterior probability: L-BFGS from one start, since the prior has
    one mode.

    Args:
        feature_NF: standardised features.
        group_F: the group of each, 0 to G - 1.
        normal_N: normal scores.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.optimize import minimize

    count, groups = len(normal_N), int(group_F.max()) + 1 if len(group_F) else 0
    products = [
        _product(feature_NF[:, group_F == group].astype(np.float64)) for group in range(groups)
    ]
    distances = [
        np.diag(product_NN)[:, None] + np.diag(product_NN) - 2 * product_NN
        for product_NN in products
    ]
    start = np.concatenate(
        [np.full(groups, START_SCALE), np.full(groups, START_LINEAR), [START_SMOOTH, START_NOISE]]
    )

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scales, linears, (amplitude, noise) = (
            np.exp(parameters[:groups]),
            np.exp(parameters[groups:-2]),
            np.exp(parameters[-2:]),
        )
        square_NN = np.zeros((count, count))
        covariance_NN = (noise + JITTER) * np.eye(count)
        for scale, linear, distance_NN, product_NN in zip(
            scales, linears, distances, products, strict=True
        ):
            square_NN += scale * distance_NN
            covariance_NN += linear * product_NN
        root_NN = np.sqrt(5 * np.maximum(square_NN, 0))
        decay_NN = np.exp(-root_NN)
        smooth_NN = (1 + root_NN + root_NN**2 / 3) * decay_NN
        covariance_NN += amplitude * smooth_NN
        factor = cho_factor(covariance_NN, lower=True, overwrite_a=True, check_finite=False)
        weight_N = cho_solve(factor, normal_N)
        # The derivative of the negative log-likelihood by the covariance; by each parameter it is
        # the sum of the product with that derivative.
        slope_NN = 0.5 * (cho_solve(factor, np.eye(count)) - np.outer(weight_N, weight_N))
        by_square_NN = slope_NN * (-5 / 6 * amplitude) * (1 + root_NN) * decay_NN
        gradient = np.array(
            [
                scale * np.vdot(by_square_NN, distance_NN)
                for scale, distance_NN in zip(scales, distances, strict=True)
            ]
            + [
                linear * np.vdot(slope_NN, product_NN)
                for linear, product_NN in zip(linears, products, strict=True)
            ]
            + [amplitude * np.vdot(slope_NN, smooth_NN), noise * np.trace(slope_NN)]
        )
        value = 0.5 * normal_N @ weight_N + np.log(np.diag(factor[0])).sum()
        away = (parameters - start) / PRIOR_DEVIATION
        return float(value + 0.5 * away @ away), gradient + away / PRIOR_DEVIATION

    best = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(middle - 6, middle + 6) for middle in start],
        options={"maxiter": 60},
    ).x
    sizes = np.bincount(group_F, minlength=groups) if groups else np.zeros(0)
    smooth, linear = (
        np.sqrt(np.exp(part) / np.maximum(sizes, 1)) for part in (best[:groups], best[groups:-2])
    )
    amplitude, noise = np.exp(best[-2:])
    return Kernel(
        smooth[group_F].astype(np.float32),
        linear[group_F].astype(np.float32),
        float(amplitude),
        float(noise + JITTER),
    )


def condition(
    kernel: Kernel,
    subtrees: Subtrees,
    feature_NF: np.ndarray,
    normal_N: np.ndarray,
    spread_S: np.ndarray,
) -> Posterior:
    """The kernel given the labels; the spread given those of the graphs `spread_S` alone."""
    from scipy.linalg import cho_factor, cho_solve

    factor = cho_factor(
        _noisy(kernel, feature_NF), lower=True, overwrite_a=True, check_finite=False
    )
    weight_N = cho_solve(factor, normal_N)
    everything = len(spread_S) == len(feature_NF)
    chosen = np.arange(len(feature_NF)) if everything else np.sort(spread_S)
    if not everything:
        factor = cho_factor(
            _noisy(kernel, feature_NF[chosen]), lower=True, overwrite_a=True, check_finite=False
        )
    inverse_SS = cho_solve(factor, np.eye(len(chosen)))
    return Posterior(
        kernel,
        subtrees,
        feature_NF,
        weight_N.astype(np.float32),
        chosen,
        inverse_SS.astype(np.float32),
    )


def _left_out(
    training: Training, feature_NF: np.ndarray, group_F: np.ndarray, order_N: np.ndarray
) -> Belief:
    """The belief about each fold given the others, the kernel's parameters too: chosen with the
    fold, they would know it.
    """
    from scipy.linalg import cho_factor, cho_solve

    normal_N, fold_N = training.normal_N, training.fold_N
    mean_N, variance_N, noise_N = (
        np.zeros(len(normal_N)),
        np.zeros(len(normal_N)),
        np.zeros(len(normal_N)),
    )
    for fold in range(NUM_FOLDS):
        out, known = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
        chosen = np.sort(order_N[fold_N[order_N] != fold][:MOST_IN_A_FOLD])
        kernel = choose_kernel(feature_NF[chosen], group_F, normal_N[chosen])
        factor = cho_factor(
            _noisy(kernel, feature_NF[known]), lower=True, overwrite_a=True, check_finite=False
        )
        between = kernel.between(
            feature_NF[out].astype(np.float64), feature_NF[known].astype(np.float64)
        )
        mean_N[out] = between @ cho_solve(factor, normal_N[known])
        variance_N[out] = kernel.prior_variance(feature_NF[out]) - (
            between.T * cho_solve(factor, between.T)
        ).sum(0)
        noise_N[out] = kernel.noise
    return Belief(mean_N, np.sqrt(noise_N), np.sqrt(np.maximum(variance_N, 1e-6)))


def _noisy(kernel: Kernel, feature_NF: np.ndarray) -> np.ndarray:
    return kernel.between(
        feature_NF.astype(np.float64), feature_NF.astype(np.float64)
    ) + kernel.noise * np.eye(len(feature_NF))


def _matern(square: np.ndarray) -> np.ndarray:
    root = np.sqrt(5 * np.maximum(square, 0))
    return (1 + root + root**2 / 3) * np.exp(-root)


def _product(feature_NF: np.ndarray) -> np.ndarray:
    return feature_NF @ feature_NF.T / feature_NF.shape[1]


def _features(
    encoded: Encoded, groups: Sequence[str], subtrees: Subtrees
) -> tuple[np.ndarray, np.ndarray]:
    """(M, F) counts and subtrees, and the group of each column where the counts' groups are given."""
    names = list(dict.fromkeys(groups))
    group_F = np.array(
        [names.index(group) for group in groups]
        + [len(names) + depth for depth in subtrees.consecutive().tolist()],
        dtype=np.int64,
    )
    feature_MF = np.concatenate([encoded.counts_MC, subtrees.count(encoded.flat)], axis=1)
    # What one training graph in a hundred has is ten deviations from the mean in standardised
    # numbers, and would lead a linear term anywhere.
    return np.clip(feature_MF, -MOST_DEVIATIONS, MOST_DEVIATIONS), group_F
