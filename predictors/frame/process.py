"""A Gaussian process on counted features and Weisfeiler-Lehman subtrees.

Shapes: N training graphs, M graphs, F features of all groups, S training graphs that the epistemic
standard deviation is computed from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictors.frame.kernel import Kernel, choose_kernel
from predictors.frame.learner import NUM_FOLDS, Belief, Learnt, Training, ignorance
from predictors.reading.batch import Encoded
from predictors.reading.subtrees import Subtrees, learn_subtrees

# The number of graphs that are predicted at a time.
CHUNK = 2048
# Standardised features are clipped to this many standard deviations from the mean.
MOST_DEVIATIONS = 3.0
# The depth of the subtrees, and how many training graphs at most the parameters are chosen on and
# the epistemic standard deviation is computed from. They are the defaults of the predictor `gp`,
# and the settings with which `fitting` compares simplified graphs with whole ones.
DEPTH, MOST, MOST_FOR_SPREAD = 3, 500, 1000
# For a held-out prediction, the parameters are chosen on at most this many training graphs.
MOST_IN_A_FOLD = 200


def learn_process(
    training: Training,
    seed: int,
    *,
    depth: int = DEPTH,
    most: int = MOST,
    most_for_spread: int = MOST_FOR_SPREAD,
) -> Learnt:
    """The process conditioned on the training graphs' labels.

    The settings are explained in `predictors.learners.gp.GP`.
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
class Posterior:
    """The Gaussian process conditioned on the labels.

    Attributes:
        kernel: the covariance of the function.
        subtrees: the subtrees that are counted.
        feature_NF: the features of the training graphs.
        weight_N: the mean at x is k(x, feature_NF) @ weight_N.
        spread_S: the numbers of the training graphs that the epistemic standard deviation is
            computed from.
        inverse_SS: the inverse of their covariance matrix, the noise included.
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
        """(M,) each, the mean and the variance of the function."""
        # Distances and variances are differences of nearly equal numbers. In single precision they
        # would depend on which graphs are predicted in the same call.
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


def condition(
    kernel: Kernel,
    subtrees: Subtrees,
    feature_NF: np.ndarray,
    normal_N: np.ndarray,
    spread_S: np.ndarray,
) -> Posterior:
    """The process given all labels, its variance given those of the graphs `spread_S` alone."""
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
    """The held-out prediction of each training graph.

    For each fold, the kernel's parameters are chosen on the other folds too. Otherwise they would
    depend on the labels of the held-out fold.
    """
    from scipy.linalg import cho_factor, cho_solve

    normal_N, fold_N = training.normal_N, training.fold_N
    mean_N, variance_N, noise_N = (np.zeros(len(normal_N)) for _ in range(3))
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
        explained = (between.T * cho_solve(factor, between.T)).sum(0)
        variance_N[out] = kernel.prior_variance(feature_NF[out]) - explained
        noise_N[out] = kernel.noise
    return Belief(mean_N, np.sqrt(noise_N), np.sqrt(np.maximum(variance_N, 1e-6)))


def _noisy(kernel: Kernel, feature_NF: np.ndarray) -> np.ndarray:
    """(N, N) the covariance matrix of the labels of these graphs, the noise included."""
    exact_NF = feature_NF.astype(np.float64)
    return kernel.between(exact_NF, exact_NF) + kernel.noise * np.eye(len(feature_NF))


def _features(
    encoded: Encoded, groups: Sequence[str], subtrees: Subtrees
) -> tuple[np.ndarray, np.ndarray]:
    """(M, F) the counts and the subtrees, and (F,) the group of each column.

    The groups of the subtrees follow those of the counts, whose names are `groups`. If `groups` is
    empty, because only the features are needed, the second result is incomplete.
    """
    names = list(dict.fromkeys(groups))
    group_F = np.array(
        [names.index(group) for group in groups]
        + [len(names) + depth for depth in subtrees.consecutive().tolist()],
        dtype=np.int64,
    )
    feature_MF = np.concatenate([encoded.counts_MC, subtrees.count(encoded.flat)], axis=1)
    # A feature that one training graph in a hundred has is ten standard deviations from its mean in
    # that graph. Unclipped, it could make a linear term arbitrarily large.
    return np.clip(feature_MF, -MOST_DEVIATIONS, MOST_DEVIATIONS), group_F
