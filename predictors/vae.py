"""PGVAE, a variational autoencoder that places rows with better scores nearer to the origin.

Draws from the prior are therefore more likely to have good scores (Ghaffari et al., ICLR 2024,
arXiv 2305.13650). The rows are categorical; this module does not depend on what they describe. The
gradient is written out for numpy: for networks this small it takes a fifth of the time of torch.

Shapes: N training rows, M rows, B rows of a batch, G groups of categories, S categories of the
largest group, X = G S, D latent dimensions, E = 2 D, H hidden features, I and O inputs and outputs
of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

# Rows in a step. If there are at most 1.5 times as many rows, each step uses all of them.
BATCH = 256
# The settings of Adam.
BETA_1, BETA_2, EPSILON = 0.9, 0.99, 1e-8
# The bound of a logit. Sums of its exponentials do not overflow.
LARGEST = 40.0


@dataclass(frozen=True)
class VAESettings:
    """The sizes of an autoencoder, its loss, and its training.

    Attributes:
        latent: D.
        width: H, of the encoder and of the decoder.
        steps: steps of Adam.
        learning_rate: the initial learning rate; it falls to 0 along a half cosine.
        beta: weight of the divergence from the prior relative to the reconstruction.
        tau: the difference of the prior log-densities at the means of two rows should be tau times
            the difference of their scores.
        order: weight of this regulariser, lambda in the paper; with 0 this is an ordinary
            variational autoencoder.
    """

    latent: int = 4
    width: int = 32
    steps: int = 300
    learning_rate: float = 2e-2
    beta: float = 0.01
    tau: float = 5.0
    order: float = 100.0


@dataclass(frozen=True, eq=False)
class Rows:
    """The data of the loss.

    Attributes:
        hot_NX: the rows in one-hot form. A group with fewer than S categories is padded with 0.
        score_N: the scores; higher is better.
        weight_N: the weights of the rows, 1 on average.
    """

    hot_NX: ndarray
    score_N: ndarray
    weight_N: ndarray

    def take(self, row_B: ndarray) -> Rows:
        """The rows with these indices."""
        return Rows(self.hot_NX[row_B], self.score_N[row_B], self.weight_N[row_B])


@dataclass(frozen=True, eq=False)
class Network:
    """Four linear layers: two of the encoder and two of the decoder.

    Attributes:
        size_G: the number of categories in each group.
        numbers: all weights as one vector.
        parts: views of it: a matrix and a bias for each layer.
    """

    size_G: tuple[int, ...]
    numbers: ndarray
    parts: tuple[ndarray, ...]

    def encode(self, code_MG: ndarray) -> ndarray:
        """(M, D) the latent means of the rows."""
        return _encoded(self.parts, one_hot(code_MG, self.size_G))[1]

    def decode(self, z_MD: ndarray, random: np.random.Generator) -> ndarray:
        """(M, G) a row for each latent point, its categories drawn by their probabilities."""
        log_MGS = np.log(np.maximum(self._chances(z_MD), 1e-30))
        # The index of the largest log-probability plus Gumbel noise is a draw.
        noisy_MGS = log_MGS + random.gumbel(size=log_MGS.shape)
        return np.where(_possible(self.size_G), noisy_MGS, -np.inf).argmax(-1)

    def log_likelihood(self, code_MG: ndarray) -> ndarray:
        """(M,) the log-probability that each row is reconstructed from its latent mean."""
        chance_MGS = self._chances(self.encode(code_MG))
        chance_MG = np.take_along_axis(chance_MGS, code_MG[..., None], axis=-1)[..., 0]
        return np.log(np.maximum(chance_MG, 1e-30)).sum(1)

    def _chances(self, z_MD: ndarray) -> ndarray:
        """(M, G, S) the probabilities of the categories at latent points."""
        return _decoded(self.parts, z_MD.astype(np.float32), self.size_G)[1]


def fit_vae(
    settings: VAESettings,
    code_NG: ndarray,
    size_G: Sequence[int],
    score_N: ndarray,
    weight_N: ndarray,
    seed: int,
) -> Network:
    """An autoencoder of the rows, trained by Adam with `loss_gradient`.

    The same arguments give the same network.

    Args:
        settings: its sizes, loss and training.
        code_NG: the rows: the index of a category in each group, below `size_G`.
        size_G: the number of categories in each group.
        score_N: the scores; higher is better. `tau` is per unit of score.
        weight_N: the weights of the rows, 1 on average.
        seed: seed of the initial weights, batches and noise.

    Example::

        network = fit_vae(VAESettings(), code_NG, (5, 3), score_N, np.ones(len(score_N)), seed=0)
        network.decode(np.zeros((10, 4)), np.random.default_rng(0))  # 10 rows near the best
    """
    random = np.random.default_rng(seed)
    network = new_network(settings, tuple(size_G), random)
    rows = Rows(
        one_hot(code_NG, network.size_G), score_N.astype(np.float32), weight_N.astype(np.float32)
    )
    first_moment, second_moment = np.zeros_like(network.numbers), np.zeros_like(network.numbers)
    for step, row_B in zip(range(settings.steps), _batches(len(score_N), random), strict=False):
        batch = rows if row_B is None else rows.take(row_B)
        noise_BD = random.standard_normal((len(batch.score_N), settings.latent), dtype=np.float32)
        gradient = loss_gradient(settings, network, batch, noise_BD)
        first_moment += (1 - BETA_1) * (gradient - first_moment)
        second_moment += (1 - BETA_2) * (gradient * gradient - second_moment)
        cosine = 1 + math.cos(math.pi * step / settings.steps)
        rate = settings.learning_rate * 0.5 * cosine / (1 - BETA_1 ** (step + 1))
        deviation = np.sqrt(second_moment / (1 - BETA_2 ** (step + 1))) + EPSILON
        network.numbers[:] -= rate * first_moment / deviation
    return network


def new_network(
    settings: VAESettings, size_G: tuple[int, ...], random: np.random.Generator
) -> Network:
    """An untrained network: biases of 0, and normal weights of variance 1 / number of inputs."""
    categories = len(size_G) * max(size_G)
    layers = (
        (categories, settings.width),
        (settings.width, 2 * settings.latent),
        (settings.latent, settings.width),
        (settings.width, categories),
    )
    numbers = np.zeros(sum((rows + 1) * columns for rows, columns in layers), dtype=np.float32)
    network = Network(size_G, numbers, _views(numbers, layers))
    for matrix in network.parts[::2]:
        matrix[:] = random.standard_normal(matrix.shape) / math.sqrt(len(matrix))
    return network


def loss_gradient(
    settings: VAESettings, network: Network, rows: Rows, noise_BD: ndarray
) -> ndarray:
    """The derivatives of the loss with respect to `network.numbers`.

    The loss is the weighted mean over the rows of

        cross-entropy of the categories + beta (1/2 mean (e^v - v - 1) + 1/2 mean mu^2),

    where mu and v are the latent mean and log-variance, plus the regulariser of the means (see
    `regulariser_gradient`), which does not depend on the weights of the rows. As in the paper, the
    terms are means over groups or latent dimensions, not sums.

    Args:
        noise_BD: the standard normal noise of the latent points.
    """
    number, groups = len(rows.score_N), len(network.size_G)
    hidden_BH, mean_BD, log_variance_BD = _encoded(network.parts, rows.hot_NX)
    deviation_BD = np.exp(0.5 * log_variance_BD)
    z_BD = mean_BD + deviation_BD * noise_BD
    open_BH, chance_BGS = _decoded(network.parts, z_BD, network.size_G)
    share_B1 = (rows.weight_N / number)[:, None]

    gradient = np.empty_like(network.numbers)
    to = _views(gradient, [matrix.shape for matrix in network.parts[::2]])
    by_out_BX = (chance_BGS.reshape(number, -1) - rows.hot_NX) * (share_B1 / groups)
    by_open_BH = _back(network.parts[6], open_BH, by_out_BX, to[6:8])
    by_z_BD = _back(network.parts[4], z_BD, by_open_BH * (open_BH > 0), to[4:6])
    prior_B1 = settings.beta / settings.latent * share_B1
    by_order_BD = regulariser_gradient(mean_BD, rows.score_N, settings.tau, settings.order)
    by_mean_BD = by_z_BD + prior_B1 * mean_BD + by_order_BD
    by_log_variance_BD = 0.5 * (
        by_z_BD * noise_BD * deviation_BD + prior_B1 * (deviation_BD * deviation_BD - 1)
    )
    by_latent_BE = np.concatenate([by_mean_BD, by_log_variance_BD], axis=1)
    by_hidden_BH = _back(network.parts[2], hidden_BH, by_latent_BE, to[2:4])
    _back(network.parts[0], rows.hot_NX, by_hidden_BH * (hidden_BH > 0), to[0:2])
    return gradient


def regulariser_gradient(mean_ND: ndarray, score_N: ndarray, tau: float, order: float) -> ndarray:
    """(N, D) the derivatives of the regulariser with respect to the latent means mu.

    The regulariser makes prior log-densities follow the scores y. With the standard normal density
    p and the number n of rows it is

        order / (tau + 1)^2 / (n^2 + n)
            * sum over i, j of ((log p(mu_i) - log p(mu_j)) - tau (y_i - y_j))^2.

    With d = log p(mu) - tau y this sum is 2 n times the sum of (d - mean of d)^2, so no pairs are
    computed.
    """
    number = len(score_N)
    excess_N = -0.5 * (mean_ND * mean_ND).sum(1) - tau * score_N
    excess_N -= excess_N.mean()
    # The derivative of log p(mu) is -mu.
    return -4 * order / (tau + 1) ** 2 / (number + 1) * excess_N[:, None] * mean_ND


def sampling_scale(latent: int, tau: float, span: float) -> float:
    """The scale s of latent points z ~ s N(0, I) that reach rows with scores `span` below the best.

    Under the regulariser, a row whose score is `span` below that of a row at the origin has
    |mu|^2 / 2 = tau span. With tau_d = chi2_0.99(D) / 2 / (span + 0.1) instead of tau, the row
    would be inside the radius that contains 99 % of the draws of the standard normal distribution.
    The scale s = sqrt(tau / tau_d) has the same effect for any tau.
    """
    from scipy.special import chdtri

    return math.sqrt(tau / (0.5 * float(chdtri(latent, 0.01)) / (span + 0.1)))


def one_hot(code_NG: ndarray, size_G: Sequence[int]) -> ndarray:
    """(N, X) the rows in one-hot form."""
    return np.eye(max(size_G), dtype=np.float32)[code_NG].reshape(len(code_NG), -1)


def _encoded(parts: Sequence[ndarray], hot_BX: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """The hidden features (B, H), the latent means and the log-variances (B, D)."""
    hidden_BH = np.maximum(hot_BX @ parts[0] + parts[1], 0)
    latent_BE = hidden_BH @ parts[2] + parts[3]
    half = latent_BE.shape[1] // 2
    return hidden_BH, latent_BE[:, :half], latent_BE[:, half:]


def _decoded(
    parts: Sequence[ndarray], z_BD: ndarray, size_G: Sequence[int]
) -> tuple[ndarray, ndarray]:
    """The hidden features (B, H), and the probabilities (B, G, S), which are 0 in the padding."""
    open_BH = np.maximum(z_BD @ parts[4] + parts[5], 0)
    weight_BX = np.exp(np.clip(open_BH @ parts[6] + parts[7], -LARGEST, LARGEST))
    if min(size_G) < max(size_G):
        weight_BX = weight_BX * _possible(size_G).ravel()
    # Sum by a product with ones. Numpy's sum over such a short axis takes as long as all the rest.
    weight_QS = weight_BX.reshape(-1, max(size_G))
    total_Q1 = weight_QS @ np.ones((max(size_G), 1), dtype=np.float32)
    return open_BH, (weight_QS / total_Q1).reshape(len(z_BD), len(size_G), -1)


def _back(
    matrix: ndarray, into_BI: ndarray, by_out_BO: ndarray, gradient: tuple[ndarray, ...]
) -> ndarray:
    """The backward pass of a linear layer: the derivatives (B, I) with respect to its input.

    Those with respect to its matrix and bias are written to `gradient`.
    """
    np.matmul(into_BI.T, by_out_BO, out=gradient[0])
    np.matmul(np.ones(len(by_out_BO), dtype=np.float32), by_out_BO, out=gradient[1])
    return by_out_BO @ matrix.T


def _possible(size_G: Sequence[int]) -> ndarray:
    """(G, S) true for categories, false for padding."""
    return np.arange(max(size_G)) < np.array(size_G)[:, None]


def _views(numbers: ndarray, layers: Sequence[tuple[int, ...]]) -> tuple[ndarray, ...]:
    """Views of the vector: a matrix of each shape, each followed by a bias."""
    views, first = [], 0
    for rows, columns in layers:
        bias = first + rows * columns
        views += [numbers[first:bias].reshape(rows, columns), numbers[bias : bias + columns]]
        first = bias + columns
    return tuple(views)


def _batches(number: int, random: np.random.Generator) -> Iterator[ndarray | None]:
    """The indices of the rows of each step; None for all rows."""
    while True:
        yield None if number <= BATCH * 3 // 2 else random.choice(number, BATCH, replace=False)
