"""The recipe: its checks, learning rates, batches and optimizers."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import nn

from nas.training.optimizers import OPTIMIZERS, OptimizerName
from nas.training.parameter_groups import make_optimizer
from nas.training.recipe import Recipe, batch_bounds, learning_rates


@given(st.integers(2, 500), st.integers(2, 130))
def test_batches_hold_every_sample_once_and_never_a_single_one(count, batch_size):
    bounds = batch_bounds(count, batch_size)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == count
    assert all(first[1] == second[0] for first, second in pairwise(bounds))
    sizes = [last - first for first, last in bounds]
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(batch_size, 3)
    assert len(bounds) <= math.ceil(count / batch_size)


def test_the_learning_rate_is_torch_s_cosine():
    recipe = Recipe(epochs=3, learning_rate=0.3, warmup_epochs=0)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 21)
    expected = []
    for _ in range(21):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert learning_rates(recipe, 7) == pytest.approx(expected)


def test_the_warm_up_rises_linearly_to_the_peak():
    rates = learning_rates(Recipe(epochs=3, learning_rate=0.8, warmup_epochs=0.75), 4)
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert len(rates) == 12
    assert rates[-1] > 0
    assert learning_rates(Recipe(epochs=1, learning_rate=0.8, warmup_epochs=1), 3) == pytest.approx(
        [0.2, 0.4, 0.6]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"optimizer": "lion"},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"weight_decay": -1.0},
        {"momentum": 1.0},
        {"warmup_epochs": 13},
        {"label_smoothing": 1.0},
        {"gradient_clip": 0.0},
        {"accumulate": 0},
        {"accumulate": 65},
        {"schedule": "steps"},
        {"annealing_power": 0.5},
        {"power_scale": 0.0},
        {"power_exponent": 0.1},
        {"decay_share": 1.5},
        {"ema": 1.0},
        {"mixup": -0.1},
        {"cutmix": math.inf},
        {"class_weights": "even"},
        {"hopeless": 0.0},
    ],
)
def test_a_recipe_is_checked(changes):
    with pytest.raises(ValueError, match=f"a recipe's {next(iter(changes))} is .*; got "):
        Recipe(**changes)


def test_a_fidelity_is_a_share_of_the_epochs():
    recipe = Recipe(epochs=10)
    assert [recipe.epochs_at(fidelity) for fidelity in (1, 0.5, 1 / 3, 0.01)] == [10, 5, 3, 1]
    for fidelity in (0, 1.5):
        with pytest.raises(ValueError, match="more than 0 and at most 1"):
            recipe.epochs_at(fidelity)


# Written out, because the test shall fail if an entry is changed by accident.
@pytest.mark.parametrize(
    ("name", "optimizer", "rate_at_half_the_batch"),
    [
        ("adamw", "AdamW", 0.4 * 0.5**0.5),
        ("sgd", "SGD", 0.2),
        ("muon", "MatrixOptimizer", 0.4 * 0.5**0.5),
        ("soap", "SOAP", 0.4 * 0.5**0.5),
        ("cosmos", "MatrixOptimizer", 0.4 * 0.5**0.5),
    ],
)
def test_a_name_stands_for_one_optimizer_and_one_batch_rule(
    name, optimizer, rate_at_half_the_batch
):
    recipe = Recipe(optimizer=name, learning_rate=0.4, batch_size=64)
    assert type(make_optimizer(nn.Linear(2, 1), recipe)).__name__ == optimizer
    half = recipe.with_half_the_batch()
    assert (half.batch_size, half.learning_rate) == (32, rate_at_half_the_batch)


def test_half_the_batch_still_has_two_samples_in_each_part():
    recipe = Recipe(batch_size=10, accumulate=4)
    half = recipe.with_half_the_batch()
    assert (half.batch_size, half.accumulate) == (8, 4)
    assert (recipe.samples_at_once, half.samples_at_once) == (2, 2)


def test_an_optimizer_is_entered_everywhere_or_nowhere():
    """The check of the configuration, its schema and the documentation list the same optimizers."""
    assert get_args(OptimizerName) == tuple(OPTIMIZERS)
    schema = TypeAdapter(Recipe).json_schema()
    assert schema["properties"]["optimizer"]["enum"] == list(OPTIMIZERS)
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| `training.optimizer` |"))
    assert Recipe.__doc__ is not None
    for name in OPTIMIZERS:
        assert f"`{name}`" in Recipe.__doc__
        assert f"`{name}`" in row.split("|")[2]


def test_an_optimizer_that_is_not_in_the_table_trains_nothing():
    recipe = Recipe()
    # Past the recipe's own check.
    object.__setattr__(recipe, "optimizer", "lion")
    with pytest.raises(KeyError, match="lion"):
        make_optimizer(nn.Linear(2, 1), recipe)
    with pytest.raises(KeyError, match="lion"):
        recipe.with_half_the_batch()
