"""Class weights, and the loss below which a training is not hopeless."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.tasks.task import Split, Task
from nas.tasks.token_scores import IGNORED
from nas.training.hopeless import trivial_loss
from nas.training.loop import train
from nas.training.losses import class_weights, loss_of
from nas.training.recipe import Recipe
from nas.training.suits import check_suits
from spaces import Shapes
from tests.nas.training.networks import CPU, linear_task, seeded


def rare_task(shares=(30, 9, 1), classes=4):
    """Inputs that say nothing of the classes, which are not equally frequent."""
    targets = torch.cat([torch.full((count,), label) for label, count in enumerate(shares)])
    inputs = torch.randn(len(targets), 3, generator=torch.Generator().manual_seed(0))
    split = Split(inputs, targets)
    return Task("rare", split, split, split, Shapes((3,), (classes,)))


def test_class_weights_make_classes_count_the_same():
    task = rare_task()
    weights = class_weights(task)
    assert weights.tolist() == pytest.approx([40 / 90, 40 / 27, 40 / 3, 0])
    outputs, targets = torch.randn(40, 4), task.train.targets
    loss = loss_of(task, Recipe(class_weights="balanced", label_smoothing=0.1))
    each = functional.cross_entropy(outputs, targets, reduction="none", label_smoothing=0.1)
    by_class = [each[targets == label].mean() for label in range(3)]
    torch.testing.assert_close(loss(outputs, targets), torch.stack(by_class).mean())
    plain = loss_of(task, Recipe())
    torch.testing.assert_close(plain(outputs, targets), functional.cross_entropy(outputs, targets))
    with pytest.raises(ValueError, match=r"needs the loss 'cross_entropy'; 'linear' has 'mse'"):
        check_suits(Recipe(class_weights="balanced"), linear_task())


def test_balanced_training_does_not_neglect_a_rare_class():
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(400, generator=generator) < 0.1).long()
    inputs = torch.randn(400, 3, generator=generator)
    inputs[:, 0] += 1.5 * targets
    split = Split(inputs, targets)
    task = Task("rare", split, split, split, Shapes((3,), (2,)))
    recalls = []
    for weights in ("none", "balanced"):
        module = seeded(lambda: nn.Linear(3, 2))
        recipe = Recipe(epochs=20, batch_size=50, learning_rate=0.05, class_weights=weights)
        train(module, task, recipe, seed=0, device=CPU)
        right = module(inputs).argmax(1) == targets
        recalls.append(right[targets == 1].float().mean().item())
    assert recalls[1] > recalls[0] + 0.3


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"label_smoothing": 0.2},
        {"class_weights": "balanced"},
        {"label_smoothing": 0.2, "class_weights": "balanced"},
    ],
)
def test_the_trivial_loss_is_the_least_of_all_constant_predictions(changes):
    task, recipe = rare_task(), Recipe(**changes)
    loss, bias = loss_of(task, recipe), nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.LBFGS([bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(bias.expand(40, 4), task.train.targets)
        value.backward()
        return value

    optimizer.step(closure)
    assert trivial_loss(task, recipe) == pytest.approx(closure().item(), abs=1e-3)


def test_the_trivial_loss_of_numbers_and_of_tokens():
    task = linear_task()
    assert trivial_loss(task, Recipe()) == pytest.approx(
        ((task.train.targets - task.train.targets.mean()) ** 2).mean().item()
    )
    tokens = torch.tensor([[0, 1, IGNORED], [0, 1, 0], [1, IGNORED, IGNORED]])
    split = Split(tokens.clamp(min=0), tokens)
    words = Task(
        "words",
        *(split, split, split),
        Shapes((3,), (3, 4), vocabulary=4),
        loss="token_cross_entropy",
        metric="token_accuracy",
    )
    assert trivial_loss(words, Recipe()) == pytest.approx(math.log(2))
    own = replace(task, loss=functional.mse_loss)
    with pytest.raises(ValueError, match=r"'linear' has a loss of its own.*set it to null"):
        check_suits(Recipe(hopeless=0.5), own)
    check_suits(Recipe(), own)


class Blind(nn.Module):
    """Its outputs do not depend on the inputs, and get worse."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, inputs):
        return 3 * torch.tensor([0.0, 0, 0, 1]) + 0 * self.bias.expand(len(inputs), 4)


@pytest.mark.parametrize(
    ("share", "epochs"), [(None, 10), (0.3, 3), (0.01, 1), (0.7, 7), (1.0, 10)]
)
def test_a_hopeless_training_ends(share, epochs):
    recipe = Recipe(epochs=10, batch_size=8, hopeless=share)
    trained = train(Blind(), rare_task(), recipe, seed=0, device=CPU)
    assert (trained.epochs, len(trained.curve)) == (epochs, epochs)
    assert trained.stopped == (epochs < 10)


def test_a_training_with_hope_goes_on_and_a_hopeless_one_is_not_paused():
    recipe = Recipe(epochs=6, batch_size=8, hopeless=0.5, learning_rate=0.1)
    learning = linear_task(200, loss="cross_entropy")
    plain = train(
        seeded(lambda: nn.Linear(3, 2)),
        learning,
        replace(recipe, hopeless=None),
        seed=0,
        device=CPU,
    )
    assert plain == replace(
        train(seeded(lambda: nn.Linear(3, 2)), learning, recipe, seed=0, device=CPU),
        seconds=plain.seconds,
    )
    assert not plain.stopped
    early = train(Blind(), rare_task(), recipe, seed=0, device=CPU, until=2)
    assert early.paused is not None
    ended = train(Blind(), rare_task(), recipe, seed=0, device=CPU, until=4, paused=early.paused)
    assert (ended.epochs, ended.stopped, ended.paused) == (3, True, None)
