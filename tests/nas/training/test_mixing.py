"""Mixup and CutMix: shares, boxes, losses, and what they are not for."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from nas.tasks.task import Split, Task
from nas.training.mixing import Mixed, mixed, of_mixed
from nas.training.recipe import Recipe
from nas.training.suits import check_suits
from spaces import Shapes
from tests.nas.training.networks import linear_task


def draws(recipe, inputs, count=300):
    generator, targets = torch.Generator().manual_seed(0), torch.arange(len(inputs))
    return [mixed(inputs, targets, recipe, generator) for _ in range(count)]


def numbered(*shape):
    """Each sample has its number everywhere."""
    return torch.arange(float(shape[0])).reshape(-1, *[1] * (len(shape) - 1)).expand(shape)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_mixup_is_the_mean_by_a_share_of_the_beta_distribution(alpha):
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    found = draws(Recipe(mixup=alpha), inputs)
    shares = torch.tensor([targets.share for _, targets in found])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.06)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.15)
    for result, targets in found[:20]:
        expected = targets.share * inputs + (1 - targets.share) * inputs[targets.second]
        torch.testing.assert_close(result, expected)
        assert not (targets.first == targets.second).any()


@pytest.mark.parametrize("shape", [(4, 2, 40), (4, 2, 8, 6)])
def test_cutmix_takes_one_box_and_its_share(shape):
    inputs = numbered(*shape)
    shares = []
    for result, targets in draws(Recipe(cutmix=1.0), inputs, 100):
        taken = result != inputs
        assert torch.equal(
            result[taken],
            targets.second.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)[taken].float(),
        )
        assert taken.float().mean().item() == pytest.approx(1 - targets.share)
        assert (taken == taken[:1, :1]).all(), "the box is that of all samples and channels"
        for dimension in range(2, len(shape)):
            others = [each for each in range(len(shape)) if each != dimension]
            inside = taken.any(dim=tuple(others)).long()
            assert inside.diff().abs().sum() <= 2, "the box has no holes"
        shares.append(targets.share)
    assert min(shares) < 0.3
    assert max(shares) > 0.9
    assert torch.equal(inputs, numbered(*shape))


def test_with_both_each_batch_draws_one():
    inputs = numbered(4, 1, 8, 8)
    found = draws(Recipe(mixup=1.0, cutmix=1.0), inputs, 200)
    whole = sum((result[0] == result[0, 0, 0, 0]).all().item() for result, _ in found)
    assert 70 < whole < 140


def test_the_loss_is_that_of_mixed_targets():
    outputs, generator = torch.randn(6, 4), torch.Generator().manual_seed(0)
    labels = torch.randint(4, (6,), generator=generator)
    targets = Mixed(labels, labels.roll(1), 0.3)
    soft = 0.3 * functional.one_hot(labels, 4) + 0.7 * functional.one_hot(labels.roll(1), 4)
    torch.testing.assert_close(
        of_mixed(functional.cross_entropy)(outputs, targets),
        functional.cross_entropy(outputs, soft.float()),
    )


def test_what_cannot_be_mixed_is_refused():
    tokens = Split(torch.zeros(4, 6, dtype=torch.int64), torch.zeros(4, dtype=torch.int64))
    of_tokens = Task("words", tokens, tokens, tokens, Shapes((6,), (2,)))
    pair = Split((torch.zeros(4, 3), torch.zeros(4, 2)), torch.zeros(4, dtype=torch.int64))
    several = Task("pairs", pair, pair, pair, Shapes(((3,), (2,)), (2,)))
    for recipe, task, says in (
        (Recipe(mixup=0.2), of_tokens, "mixup is for .*'words' has tokens"),
        (Recipe(mixup=0.2, cutmix=1.0), several, "mixup and cutmix is .*'pairs' has several"),
        (Recipe(cutmix=1.0), linear_task(), r"cutmix is .*inputs of shape \(3,\).*set it to 0"),
    ):
        with pytest.raises(ValueError, match=says):
            check_suits(recipe, task)
    check_suits(Recipe(mixup=0.2), linear_task())
