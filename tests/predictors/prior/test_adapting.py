"""Adapters of a trained graph network, and the ways to fine-tune both."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.adapting import Adapted, Beside, one_head
from benchmarks.fine_tuning import MODES, FineTuning, fine_tune, low_rank, num_trained
from predictors.prior.encoder import Trained, run
from predictors.prior.encoder_training import (
    normal_scores,
    ranking_and_regression,
    train,
)
from predictors.prior.networks import Networks
from tests.predictors.prior.conftest import SHORT


def test_one_head_is_the_weighted_sum_of_all(tables, trained: Trained) -> None:
    networks = tables[0][0]
    blended = one_head(trained.network, np.array([0.25, 0.75]))
    wanted_M = trained.predict(networks) @ [0.25, 0.75]
    assert run(blended, networks, trained.steps)[:, 0] == pytest.approx(wanted_M, abs=1e-5)


@pytest.fixture(scope="module")
def adapted(trained: Trained, tables: list[tuple[Networks, np.ndarray]]) -> Adapted:
    """With an adapter for each table, of the opposite label."""
    model = Adapted(one_head(trained.network, np.array([0.5, 0.5])))
    for place, (networks, label_N) in enumerate(tables):
        model = model.with_adapter(torch.Generator().manual_seed(place))
        beside = Beside(model)
        train(beside, [(networks, -label_N)], trained.steps, SHORT, np.random.default_rng(place))
    return model


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in module.named_parameters()}


def test_training_an_adapter_leaves_encoder_and_older_adapters_bit_for_bit(
    tables, trained: Trained, adapted: Adapted
) -> None:
    before = weights(one_head(trained.network, np.array([0.5, 0.5])))
    assert len(adapted.adapters) == 2
    for name, weight in weights(adapted.base).items():
        assert torch.equal(weight, before[name])
    first = Adapted(adapted.base, list(adapted.adapters)[:1])
    older = weights(first)
    grown = first.with_adapter(torch.Generator().manual_seed(9))
    fresh = weights(grown.adapters[1])
    train(Beside(grown), tables[:1], trained.steps, SHORT, np.random.default_rng(0))
    for name, weight in weights(Adapted(grown.base, list(grown.adapters)[:1])).items():
        assert torch.equal(weight, older[name])
    changed = [not torch.equal(weights(grown.adapters[1])[name], fresh[name]) for name in fresh]
    assert sum(changed) > len(changed) / 2


def test_without_adapters_it_is_the_encoder_and_with_them_the_mean_of_all_heads(
    tables, trained: Trained, adapted: Adapted
) -> None:
    networks, base = tables[0][0], adapted.base
    base_M1 = run(base, networks, trained.steps)
    assert np.array_equal(run(Adapted(base), networks, trained.steps), base_M1)
    each = [base_M1]
    for adapter in adapted.adapters:
        each.append(run(Beside(Adapted(base, [adapter])), networks, trained.steps))
    assert run(adapted, networks, trained.steps) == pytest.approx(np.mean(each, axis=0), abs=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_fits_the_labels_and_changes_only_its_parts(
    tables, trained: Trained, adapted: Adapted, mode: str
) -> None:
    networks, label_N = tables[1]
    few, target_M = networks.take(range(20)), normal_scores(-label_N[:20])
    before = weights(adapted)
    how = FineTuning(mode, steps=30, learning_rate=1e-2)
    tuned = fine_tune(adapted, few, target_M, trained.steps, how)
    for name, weight in weights(adapted).items():
        assert torch.equal(weight, before[name])
    moved = {
        name for name, weight in weights(tuned).items() if not torch.equal(weight, before[name])
    }
    layers = {name for name in moved if ".neck." not in name and ".head." not in name}
    assert moved - layers
    assert all(name.startswith(MODES[mode]) for name in layers)
    assert bool(layers) == bool(MODES[mode])
    wanted_M = torch.from_numpy(target_M)
    loss = [
        ranking_and_regression(
            torch.from_numpy(run(each, few, trained.steps)[:, 0]), wanted_M
        ).item()
        for each in (adapted, tuned)
    ]
    assert loss[1] < 0.9 * loss[0]
    again = fine_tune(adapted, few, target_M, trained.steps, how)
    assert np.array_equal(run(again, few, trained.steps), run(tuned, few, trained.steps))


def test_low_rank_trains_few_numbers(adapted: Adapted) -> None:
    count = {mode: num_trained(adapted, FineTuning(mode)) for mode in MODES}
    assert count["heads"] < count["low rank"] < count["heads and base"] < count["all"]
    assert count["heads and adapters"] < count["all"]
    with pytest.raises(ValueError, match="modes heads, heads and base"):
        FineTuning("most")


def test_the_first_step_of_low_rank_is_nearer_to_the_full_one_than_a_random_one() -> None:
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(24, 3, generator=generator) @ torch.randn(3, 48, generator=generator)

    def cosine(left: torch.Tensor, right: torch.Tensor) -> float:
        """Of the full gradient and the change that a step on the core makes."""
        change = left @ (left.T @ gradient @ right.T) @ right
        return float((change * gradient).sum() / change.norm() / gradient.norm())

    change = low_rank(gradient, 4, 1e-3)
    assert change.left is not None
    assert change.right is not None
    others = [
        torch.linalg.qr(torch.randn(size, 4, generator=generator))[0] for size in gradient.shape
    ]
    assert cosine(change.left, change.right) > 0.8
    assert cosine(change.left, change.right) > 2 * cosine(others[0], others[1].T)
    # What it starts from is the nearest of its rank to a step against the signs.
    signs = -1e-3 * gradient.sign()
    left, size, right = torch.linalg.svd(signs)
    nearest = left[:, :4] * size[:4] @ right[:4]
    assert torch.allclose(change(), nearest, atol=1e-7)
