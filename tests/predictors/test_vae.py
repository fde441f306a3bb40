"""PGVAE: its regulariser, its gradient compared with that of torch, and the order of its rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from predictors.ranking import spearman
from predictors.vae import (
    Rows,
    VAESettings,
    fit_vae,
    loss_gradient,
    new_network,
    one_hot,
    regulariser_gradient,
    sampling_scale,
)

SIZES = (5, 3, 2, 5)


def examples(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random rows, and scores that grow with the indices of the categories."""
    random = np.random.default_rng(seed)
    code_NG = np.stack([random.integers(0, size, number) for size in SIZES], axis=1)
    return code_NG, code_NG.sum(1) / 11 + random.normal(0, 0.02, number)


def test_the_regulariser_equals_the_sum_over_pairs() -> None:
    random = np.random.default_rng(0)
    mean_ND, score_N, tau, order = random.normal(size=(7, 3)), random.normal(size=7), 5.0, 2.0

    def slow(mean_ND):
        log_density = [
            -0.5 * float(mean_D @ mean_D) - 1.5 * math.log(2 * math.pi) for mean_D in mean_ND
        ]
        total = 0.0
        for i in range(7):
            for j in range(7):
                total += (log_density[i] - log_density[j] - tau * (score_N[i] - score_N[j])) ** 2
        return order / (tau + 1) ** 2 / (7**2 + 7) * total

    expected_ND = np.empty_like(mean_ND)
    for place in np.ndindex(7, 3):
        step = np.zeros_like(mean_ND)
        step[place] = 1e-5
        expected_ND[place] = (slow(mean_ND + step) - slow(mean_ND - step)) / 2e-5
    assert regulariser_gradient(mean_ND, score_N, tau, order) == pytest.approx(
        expected_ND, abs=1e-7
    )


def test_the_regulariser_is_stationary_if_densities_follow_the_scores() -> None:
    score_N = np.linspace(0, 1, 6)
    radius_N, angle_N = np.sqrt(2 * 5.0 * (1 - score_N)), np.arange(6.0)
    mean_ND = np.stack([radius_N * np.cos(angle_N), radius_N * np.sin(angle_N)], axis=1)
    assert np.abs(regulariser_gradient(mean_ND, score_N, 5.0, 1.0)).max() == pytest.approx(
        0, abs=1e-12
    )


def test_the_gradient_equals_that_of_torch() -> None:
    """The reference is the loss of the paper, written in torch with all pairs."""
    recipe, random = VAESettings(latent=3, width=7, beta=0.3), np.random.default_rng(0)
    code_NG, score_N = examples(20)
    weight_N = random.uniform(0.5, 1.5, 20)
    network = new_network(recipe, SIZES, random)
    network.numbers[:] += random.normal(0, 0.1, len(network.numbers))
    noise_ND = random.normal(size=(20, 3)).astype(np.float32)
    gradient = loss_gradient(
        recipe, network, Rows(one_hot(code_NG, SIZES), score_N, weight_N), noise_ND
    )

    parts = [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in network.parts]
    weight, score, noise, hot = (
        torch.tensor(array, dtype=torch.float64)
        for array in (weight_N, score_N, noise_ND, one_hot(code_NG, SIZES))
    )
    latent = torch.relu(hot @ parts[0] + parts[1]) @ parts[2] + parts[3]
    mean, log_variance = latent.chunk(2, dim=1)
    z = mean + (log_variance / 2).exp() * noise
    logits = (torch.relu(z @ parts[4] + parts[5]) @ parts[6] + parts[7]).view(20, 4, 5)
    targets = torch.tensor(code_NG)
    wrong = [
        torch.nn.functional.cross_entropy(
            logits[:, group, :size], targets[:, group], reduction="none"
        )
        for group, size in enumerate(SIZES)
    ]
    of_variance = -0.5 * (1 + log_variance - log_variance.exp()).mean(1)
    divergence = of_variance + 0.5 * mean.square().mean(1)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(mean).sum(1)
    pairs = density[:, None] - density[None, :] - recipe.tau * (score[:, None] - score[None, :])
    loss = (weight * (torch.stack(wrong).mean(0) + recipe.beta * divergence)).mean()
    loss = loss + recipe.order / (recipe.tau + 1) ** 2 / (20**2 + 20) * pairs.square().sum()
    loss.backward()
    assert gradient == pytest.approx(
        np.concatenate([part.grad.numpy().ravel() for part in parts]), rel=1e-3, abs=1e-6
    )


def test_gradients_stay_finite() -> None:
    code_NG, score_N = examples(20)
    recipe = VAESettings(latent=2, width=8, learning_rate=1.0)
    network = fit_vae(recipe, np.zeros_like(code_NG), SIZES, np.ones(20), np.ones(20), seed=0)
    assert np.isfinite(network.numbers).all(), (
        "a single distinct row, and a learning rate far too large"
    )
    gradient = loss_gradient(
        recipe,
        network,
        Rows(one_hot(code_NG, SIZES), score_N, np.ones(20)),
        np.zeros((20, 2), dtype=np.float32),
    )
    assert np.isfinite(gradient).all()


def test_training_places_better_rows_nearer_to_the_origin() -> None:
    """After training the rank correlation of score and nearness is above 0.8."""
    code_NG, score_N = examples(200)

    def order(steps: int, weight: float) -> float:
        network = fit_vae(
            VAESettings(steps=steps, order=weight), code_NG, SIZES, score_N, np.ones(200), seed=0
        )
        return spearman(score_N, -np.linalg.norm(network.encode(code_NG), axis=1))

    assert abs(order(0, 1.0)) < 0.4
    assert order(150, 1.0) > 0.8
    assert abs(order(150, 0.0)) < 0.5


def test_it_reconstructs_its_training_rows() -> None:
    code_NG, score_N = examples(200)
    network = fit_vae(
        VAESettings(steps=400, beta=0.001, order=0.0), code_NG, SIZES, score_N, np.ones(200), seed=0
    )
    drawn_NG = network.decode(network.encode(code_NG), np.random.default_rng(0))
    assert (drawn_NG == code_NG).mean() > 0.9
    assert (drawn_NG < np.array(SIZES)).all()
    assert (
        network.log_likelihood(code_NG).mean()
        > network.log_likelihood(np.zeros_like(code_NG)[:1]).mean() - 10
    )
    far = network.decode(np.random.default_rng(0).normal(0, 30, (500, 4)), np.random.default_rng(0))
    assert (far < np.array(SIZES)).all(), "categories that a group does not have are never drawn"


def test_the_same_arguments_give_the_same_network() -> None:
    code_NG, score_N = examples(500)
    first, again, other = (
        fit_vae(VAESettings(steps=20), code_NG, SIZES, score_N, np.ones(500), seed)
        for seed in (3, 3, 4)
    )
    assert first.numbers.tobytes() == again.numbers.tobytes() != other.numbers.tobytes()


def test_rows_of_weight_0_are_not_learnt() -> None:
    code_NG = np.array([[0, 0, 0, 0], [4, 2, 1, 4]] * 20)
    weight_N = np.array([2.0, 0.0] * 20)
    network = fit_vae(VAESettings(order=0.0), code_NG, SIZES, np.zeros(40), weight_N, seed=0)
    drawn_MG = network.decode(
        np.random.default_rng(0).normal(size=(100, 4)), np.random.default_rng(0)
    )
    assert (drawn_MG == 0).mean() > 0.85


def test_the_sampling_scale_is_that_of_the_formula() -> None:
    # chi2_0.99 with 2 degrees of freedom is -2 log(0.01).
    assert sampling_scale(2, 5.0, 0.4) == pytest.approx(math.sqrt(5.0 / (-math.log(0.01) / 0.5)))
