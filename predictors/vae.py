"""A variational autoencoder of categories that lays its examples by their scores: the better, the
nearer to the origin, and so the likelier to be drawn.

PGVAE: Ghaffari et al., Robust model-based optimization for challenging fitness landscapes, ICLR
2024, arXiv 2305.13650. It knows rows of categories and scores, and nothing of what they describe.
Its gradient is written out for numpy: on networks so small it takes a fifth of torch's time, and no
torch.

Shapes: N training rows, M rows, B rows of a step, G groups of categories, S places for a group's
categories (those of the largest), X = G S, D latent numbers, H hidden features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

# Rows of a step; up to one and a half times as many are taken all at once.
BATCH = 256
# Adam's.
BETA_1, BETA_2, EPSILON = 0.9, 0.99, 1e-8
# Of a category's logit: its exponential still has room for sums.
LARGEST = 40.0


@dataclass(frozen=True)
class Recipe:
    """What is learnt, and how.

    Attributes:
        latent: D.
        width: H, of the encoder and of the decoder.
        steps: of Adam.
        learning_rate: at its peak; it falls to 0 along a half cosine.
        beta: weight of the divergence from the prior beside the reconstruction.
        tau: by how much the prior log-densities of two rows' means should differ for each unit that
            their scores differ.
        order: weight of that rule, lambda in the paper; 0 makes it an ordinary autoencoder.
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
    """What the loss is of: N rows in one-hot form, impossible places empty; the scores; the rows'
    weights, 1 on average.
    """

    hot_NX: ndarray
    score_N: ndarray
    weight_N: ndarray

    def take(self, row_B: ndarray) -> Rows:
        """Some of them."""
        return Rows(self.hot_NX[row_B], self.score_N[row_B], self.weight_N[row_B])


@dataclass(frozen=True, eq=False)
class Network:
    """Four linear layers, two that encode and two that decode, in one vector of numbers; `parts`
    are views of it: a matrix and a bias for each layer.

    Attributes:
        size_G: how many categories each group has.
    """

    size_G: tuple[int, ...]
    numbers: ndarray
    parts: tuple[ndarray, ...]

    def encode(self, code_MG: ndarray) -> ndarray:
        """(M, D) the means of the rows' places."""
        return _encoded(self.parts, one_hot(code_MG, self.size_G))[1]

    def decode(self, z_MD: ndarray, random: np.random.Generator) -> ndarray:
        """(M, G) a row for each place, every category drawn with its probability."""
        log_MGS = np.log(np.maximum(self._chances(z_MD), 1e-30))
        # The largest logarithm with Gumbel noise is a draw.
        drawn_MGS = np.where(
            _possible(self.size_G), log_MGS + random.gumbel(size=log_MGS.shape), -np.inf
        )
        return drawn_MGS.argmax(-1)

    def log_likelihood(self, code_MG: ndarray) -> ndarray:
        """(M,) of each row, seen from the mean of its place: how well it is reconstructed."""
        chance_MGS = self._chances(self.encode(code_MG))
        return np.log(
            np.maximum(np.take_along_axis(chance_MGS, code_MG[..., None], axis=-1)[..., 0], 1e-30)
        ).sum(1)

    def _chances(self, z_MD: ndarray) -> ndarray:
        return _decoded(self.parts, z_MD.astype(np.float32), self.size_G)[1]


def fit_vae(
    recipe: Recipe,
    code_NG: ndarray,
    size_G: Sequence[int],
    score_N: ndarray,
    weight_N: ndarray,
    seed: int,
) -> Network:
    """An autoencoder of the rows, trained down the `loss_gradient`; the same arguments give the
    same one.

    Args:
        code_NG: whole numbers, below `size_G` in each column.
        score_N: higher is better; `tau` counts in their unit.
        weight_N: of the rows, 1 on average.
    """
    random = np.random.default_rng(seed)
    network = new_network(recipe, tuple(size_G), random)
    rows = Rows(
        one_hot(code_NG, network.size_G), score_N.astype(np.float32), weight_N.astype(np.float32)
    )
    first_moment, second_moment = np.zeros_like(network.numbers), np.zeros_like(network.numbers)
    for step, row_B in zip(range(recipe.steps), _batches(len(score_N), random), strict=False):
        batch = rows if row_B is None else rows.take(row_B)
        noise_BD = random.standard_normal((len(batch.score_N), recipe.latent), dtype=np.float32)
        gradient = loss_gradient(recipe, network, batch, noise_BD)
        first_moment += (1 - BETA_1) * (gradient - first_moment)
        second_moment += (1 - BETA_2) * (gradient * gradient - second_moment)
        rate = (
            recipe.learning_rate
            * 0.5
            * (1 + math.cos(math.pi * step / recipe.steps))
            / (1 - BETA_1 ** (step + 1))
        )
        network.numbers[:] -= (
            rate * first_moment / (np.sqrt(second_moment / (1 - BETA_2 ** (step + 1))) + EPSILON)
        )
    return network


def new_network(recipe: Recipe, size_G: tuple[int, ...], random: np.random.Generator) -> Network:
    """An untrained one: matrices drawn with the deviation one over the root of what goes in, biases
    0.
    """
    categories = len(size_G) * max(size_G)
    layers = (
        (categories, recipe.width),
        (recipe.width, 2 * recipe.latent),
        (recipe.latent, recipe.width),
        (recipe.width, categories),
    )
    numbers = np.zeros(sum((rows + 1) * columns for rows, columns in layers), dtype=np.float32)
    network = Network(size_G, numbers, _views(numbers, layers))
    for matrix in network.parts[::2]:
        matrix[:] = random.standard_normal(matrix.shape) / math.sqrt(len(matrix))
    return network


def loss_gradient(recipe: Recipe, network: Network, rows: Rows, noise_BD: ndarray) -> ndarray:
    """The loss' derivatives by the network's numbers. The loss is the mean over the rows, each with
    its weight, of

        cross-entropy of its categories + beta (1/2 mean (e^v - v - 1) + 1/2 mean mu^2)

    with mu and v the mean and log-variance of its place, and the regulariser of the means, which no
    weights enter (see `regulariser_gradient`). As in the paper all are means over groups or latent
    numbers, not sums.
    """
    number, groups = len(rows.score_N), len(network.size_G)
    hidden_BH, mean_BD, log_variance_BD = _encoded(network.parts, rows.hot_NX)
    deviation_BD = np.exp(0.5 * log_variance_BD)
    z_BD = mean_BD + deviation_BD * noise_BD
    open_BH, chance_BGS = _decoded(network.parts, z_BD, network.size_G)
    share_B1 = (rows.weight_N / number)[:, None]

    gradient = np.empty_like(network.numbers)
    to = _views(
        gradient,
        [
            (len(matrix), len(bias))
            for matrix, bias in zip(network.parts[::2], network.parts[1::2], strict=True)
        ],
    )
    by_out_BX = (chance_BGS.reshape(number, -1) - rows.hot_NX) * (share_B1 / groups)
    by_open_BH = _back(network.parts[6], open_BH, by_out_BX, to[6:8])
    by_z_BD = _back(network.parts[4], z_BD, by_open_BH * (open_BH > 0), to[4:6])
    prior_B1 = recipe.beta / recipe.latent * share_B1
    by_mean_BD = (
        by_z_BD
        + prior_B1 * mean_BD
        + regulariser_gradient(mean_BD, rows.score_N, recipe.tau, recipe.order)
    )
    by_log_variance_BD = 0.5 * (
        by_z_BD * noise_BD * deviation_BD + prior_B1 * (deviation_BD * deviation_BD - 1)
    )
    by_hidden_BH = _back(
        network.parts[2],
        hidden_BH,
        np.concatenate([by_mean_BD, by_log_variance_BD], axis=1),
        to[2:4],
    )
    _back(network.parts[0], rows.hot_NX, by_hidden_BH * (hidden_BH > 0), to[0:2])
    return gradient


def regulariser_gradient(mean_ND: ndarray, score_N: ndarray, tau: float, order: float) -> ndarray:
    """(N, D) the derivatives by the means mu of the rule that densities follow the scores: with p
    the standard normal density,

        order / (tau + 1)^2 / (n^2 + n) * the sum over pairs of ((log p(mu_i) - log p(mu_j)) - tau
        (y_i - y_j))^2

    With d = log p(mu) - tau y the sum over pairs is 2 n times the sum of (d - its mean)^2, so that
    no pair is formed.
    """
    number = len(score_N)
    excess_N = -0.5 * (mean_ND * mean_ND).sum(1) - tau * score_N
    excess_N -= excess_N.mean()
    # The derivative of log p(mu) is -mu.
    return -4 * order / (tau + 1) ** 2 / (number + 1) * excess_N[:, None] * mean_ND


def sampling_scale(latent: int, tau: float, span: float) -> float:
    """The deviation s = sqrt(tau / tau_d) of places z ~ s N(0, I) that reach down to scores `span`
    below the best.

    Under the regulariser a row `span` below one at the origin has |mu|^2 / 2 = tau span. With tau_d
    = chi2_0.99(D) / 2 / (span + 0.1) in place of tau it would lie where 99 % of the standard
    normal's draws are inside; the scale makes it so for another tau.
    """
    from scipy.special import chdtri

    return math.sqrt(tau / (0.5 * float(chdtri(latent, 0.01)) / (span + 0.1)))


def one_hot(code_NG: ndarray, size_G: Sequence[int]) -> ndarray:
    """(N, X) a one for each category."""
    return np.eye(max(size_G), dtype=np.float32)[code_NG].reshape(len(code_NG), -1)


def _encoded(parts: Sequence[ndarray], hot_BX: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """The hidden features (B, H), the means and the log-variances (B, D)."""
    hidden_BH = np.maximum(hot_BX @ parts[0] + parts[1], 0)
    place_BE = hidden_BH @ parts[2] + parts[3]
    half = place_BE.shape[1] // 2
    return hidden_BH, place_BE[:, :half], place_BE[:, half:]


def _decoded(
    parts: Sequence[ndarray], z_BD: ndarray, size_G: Sequence[int]
) -> tuple[ndarray, ndarray]:
    """The hidden features (B, H), and the probabilities (B, G, S); of what a group has no category
    for it is 0.
    """
    open_BH = np.maximum(z_BD @ parts[4] + parts[5], 0)
    weight_BX = np.exp(np.clip(open_BH @ parts[6] + parts[7], -LARGEST, LARGEST))
    if min(size_G) < max(size_G):
        weight_BX = weight_BX * _possible(size_G).ravel()
    # Products with ones: numpy's sums over so short an axis take as long as all the rest.
    weight_QS = weight_BX.reshape(-1, max(size_G))
    return open_BH, (weight_QS / (weight_QS @ np.ones((max(size_G), 1), dtype=np.float32))).reshape(
        len(z_BD), len(size_G), -1
    )


def _back(
    matrix: ndarray, into_BI: ndarray, by_out_BO: ndarray, gradient: tuple[ndarray, ...]
) -> ndarray:
    """A linear layer backwards: writes the derivatives by its matrix and bias, and returns those by
    what went into it.
    """
    np.matmul(into_BI.T, by_out_BO, out=gradient[0])
    np.matmul(np.ones(len(by_out_BO), dtype=np.float32), by_out_BO, out=gradient[1])
    return by_out_BO @ matrix.T


def _possible(size_G: Sequence[int]) -> ndarray:
    return np.arange(max(size_G)) < np.array(size_G)[:, None]


def _views(numbers: ndarray, layers: Sequence[tuple[int, ...]]) -> tuple[ndarray, ...]:
    views, first = [], 0
    for rows, columns in layers:
        views.append(numbers[first : first + rows * columns].reshape(rows, columns))
        first += rows * columns
        views.append(numbers[first : first + columns])
        first += columns
    return tuple(views)


def _batches(number: int, random: np.random.Generator) -> Iterator[ndarray | None]:
    """The rows of each step; None: all."""
    while True:
        yield None if number <= BATCH * 3 // 2 else random.choice(number, BATCH, replace=False)
