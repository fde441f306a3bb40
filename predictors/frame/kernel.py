"""The kernel of the Gaussian process, and the choice of its parameters.

The kernel's equation, with its parameters a, s_g and l_g, is in `predictors.learners.gp.GP`.

Shapes: N training graphs, M graphs, F features of all groups, G groups, P = 2 G + 2 parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The prior of each parameter's logarithm is normal. These are its means, where the search for the
# parameters starts, and its standard deviation.
START_SCALE, START_LINEAR, START_SMOOTH, START_NOISE = -1.5, -2.0, -0.5, -2.0
PRIOR_DEVIATION = 1.5
# Added to the noise so that the covariance matrix can be factorised.
JITTER = 1e-4


@dataclass(frozen=True)
class Kernel:
    """The kernel, with the parameters of the groups as factors on the features.

    With such factors a kernel matrix needs only two matrix products.

    Attributes:
        smooth_F: the factor on each feature in the distance, sqrt(s_g / F_g).
        linear_F: the factor on each feature in the scalar product, sqrt(l_g / F_g).
        amplitude: the factor a on the Matern function.
        noise: the variance of a label given the function.
    """

    smooth_F: np.ndarray
    linear_F: np.ndarray
    amplitude: float
    noise: float

    def between(self, feature_MF: np.ndarray, feature_NF: np.ndarray) -> np.ndarray:
        """(M, N) the covariances of the function between graphs with these features."""
        smooth_MF, smooth_NF = feature_MF * self.smooth_F, feature_NF * self.smooth_F
        square_MN = (
            (smooth_MF**2).sum(1)[:, None] + (smooth_NF**2).sum(1) - 2 * smooth_MF @ smooth_NF.T
        )
        return (
            self.amplitude * _matern(square_MN)
            + (feature_MF * self.linear_F) @ (feature_NF * self.linear_F).T
        )

    def prior_variance(self, feature_MF: np.ndarray) -> np.ndarray:
        """(M,) the variance of the function before any label is known."""
        return self.amplitude + ((feature_MF * self.linear_F) ** 2).sum(1)


def choose_kernel(
    feature_NF: np.ndarray,
    group_F: np.ndarray,
    normal_N: np.ndarray,
    known_NN: np.ndarray | float = 0.0,
) -> Kernel:
    """The kernel at a local maximum of the posterior of its parameters' logarithms.

    L-BFGS searches from the mode of the prior. The posterior may have several modes, so the maximum
    that is found need not be the global one.

    Args:
        feature_NF: standardised features.
        group_F: the group of each feature, 0 to G - 1.
        normal_N: normal scores.
        known_NN: a further covariance of the labels, without parameters.
    """
    return most_likely_kernel(feature_NF, group_F, normal_N, known_NN)[0]


def most_likely_kernel(
    feature_NF: np.ndarray,
    group_F: np.ndarray,
    normal_N: np.ndarray,
    known_NN: np.ndarray | float = 0.0,
) -> tuple[Kernel, float]:
    """As `choose_kernel`, with the negative log-posterior of its parameters, up to a constant."""
    from scipy.optimize import minimize

    groups = int(group_F.max()) + 1 if len(group_F) else 0
    products = [
        _product(feature_NF[:, group_F == group].astype(np.float64)) for group in range(groups)
    ]
    distances = [
        np.diag(product_NN)[:, None] + np.diag(product_NN) - 2 * product_NN
        for product_NN in products
    ]
    start_P = prior_mode(groups)
    found = minimize(
        lambda parameter_P: negative_log_posterior(
            parameter_P, distances, products, normal_N, known_NN
        ),
        start_P,
        jac=True,
        method="L-BFGS-B",
        bounds=[(middle - 6, middle + 6) for middle in start_P],
        options={"maxiter": 60},
    )
    best_P = found.x
    sizes = np.bincount(group_F, minlength=groups) if groups else np.zeros(0)
    smooth, linear = (
        np.sqrt(np.exp(part) / np.maximum(sizes, 1))
        for part in (best_P[:groups], best_P[groups:-2])
    )
    amplitude, noise = np.exp(best_P[-2:])
    kernel = Kernel(
        smooth[group_F].astype(np.float32),
        linear[group_F].astype(np.float32),
        float(amplitude),
        float(noise + JITTER),
    )
    return kernel, float(found.fun)


def prior_mode(groups: int) -> np.ndarray:
    """(P,) the prior's mode: logarithms of each s_g, of each l_g, of a and of the noise."""
    return np.concatenate(
        [np.full(groups, START_SCALE), np.full(groups, START_LINEAR), [START_SMOOTH, START_NOISE]]
    )


def negative_log_posterior(
    parameter_P: np.ndarray,
    distances: Sequence[np.ndarray],
    products: Sequence[np.ndarray],
    normal_N: np.ndarray,
    known_NN: np.ndarray | float = 0.0,
) -> tuple[float, np.ndarray]:
    r"""The negative log-posterior of the parameters, up to a constant, and its gradient (P,).

    With K the covariance of the labels y, the noise included, and p_0 the prior's mode:

    .. math::
        \tfrac{1}{2} y^T K^{-1} y + \tfrac{1}{2} \log |K| + \tfrac{1}{2} |(p - p_0) / 1.5|^2

    (Rasmussen and Williams 2006, equations 5.8 and 5.9 for the first two terms.)

    Args:
        parameter_P: the logarithms p, ordered as in `prior_mode`.
        distances: for each group the squared distances (N, N) over the number of its features.
        products: for each group the scalar products (N, N) over the number of its features.
        normal_N: the labels y.
        known_NN: a part of K without parameters.
    """
    from scipy.linalg import cho_factor, cho_solve

    count, groups = len(normal_N), len(products)
    scales, linears = np.exp(parameter_P[:groups]), np.exp(parameter_P[groups:-2])
    amplitude, noise = np.exp(parameter_P[-2:])
    square_NN = np.zeros((count, count))
    covariance_NN = (noise + JITTER) * np.eye(count) + known_NN
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
    # The derivative of the negative log-likelihood with respect to the covariance matrix. Its
    # derivative with respect to a parameter is the sum over all entries of this matrix times the
    # derivative of the covariance matrix with respect to the parameter.
    slope_NN = 0.5 * (cho_solve(factor, np.eye(count)) - np.outer(weight_N, weight_N))
    by_square_NN = slope_NN * (-5 / 6 * amplitude) * (1 + root_NN) * decay_NN
    by_scale = [
        scale * np.vdot(by_square_NN, distance_NN)
        for scale, distance_NN in zip(scales, distances, strict=True)
    ]
    by_linear = [
        linear * np.vdot(slope_NN, product_NN)
        for linear, product_NN in zip(linears, products, strict=True)
    ]
    by_amplitude = amplitude * np.vdot(slope_NN, smooth_NN)
    by_noise = noise * np.trace(slope_NN)
    gradient_P = np.array([*by_scale, *by_linear, by_amplitude, by_noise])
    value = 0.5 * normal_N @ weight_N + np.log(np.diag(factor[0])).sum()
    away_P = (parameter_P - prior_mode(groups)) / PRIOR_DEVIATION
    return float(value + 0.5 * away_P @ away_P), gradient_P + away_P / PRIOR_DEVIATION


def _matern(square: np.ndarray) -> np.ndarray:
    """The Matern function with smoothness 5/2 of squared distances."""
    root = np.sqrt(5 * np.maximum(square, 0))
    return (1 + root + root**2 / 3) * np.exp(-root)


def _product(feature_NF: np.ndarray) -> np.ndarray:
    """(N, N) the scalar products of all pairs, divided by the number of features."""
    return feature_NF @ feature_NF.T / feature_NF.shape[1]
