"""Training: determinism, the step, weight decay, and the errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.tasks import load_task
from nas.tasks.augment import FlipAndCrop
from nas.tasks.task import Split, Task
from nas.training.devices import find_device
from nas.training.loop import train
from nas.training.optimizers import OPTIMIZERS
from nas.training.parameter_groups import make_optimizer
from nas.training.recipe import Recipe
from nas.training.scoring import NotFinite, evaluate_split
from spaces import Shapes
from tests.nas.training.networks import CPU, linear_task, seeded, small_network


@pytest.fixture(scope="module")
def digits():
    return load_task("digits")


def test_a_small_network_learns_the_digits(digits):
    epochs = []
    recipe = Recipe(
        epochs=3,
        batch_size=64,
        optimizer="adamw",
        learning_rate=0.01,
        warmup_epochs=0.2,
        label_smoothing=0.1,
    )
    trained = train(
        seeded(small_network),
        digits,
        recipe,
        seed=0,
        device=CPU,
        on_epoch=lambda epoch, score: epochs.append((epoch, score)),
    )
    assert trained.validation > 0.75
    assert trained.curve[-1] == trained.validation
    assert epochs == list(enumerate(trained.curve, start=1))
    assert trained.epochs == 3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_seed_gives_one_network_whatever_the_global_generator(digits, optimizer):
    recipe = Recipe(epochs=1, batch_size=128, optimizer=optimizer, learning_rate=0.05)
    task = Task(
        digits.name,
        digits.train,
        digits.validation,
        digits.test,
        digits.shapes,
        augment=FlipAndCrop(padding=1),
        normalize=digits.normalize,
    )

    def run(seed, state):
        module = seeded(lambda: small_network(dropout=0.2))
        with torch.random.fork_rng():
            torch.manual_seed(state)
            before = torch.get_rng_state()
            train(module, task, recipe, seed=seed, device=CPU)
            assert torch.equal(before, torch.get_rng_state())
        return torch.cat([value.flatten().double() for value in module.state_dict().values()])

    first = run(1, 5)
    assert torch.equal(first, run(1, 6))
    assert not torch.equal(first, run(2, 5))


def test_a_step_is_the_textbook_one():
    """The steps of a linear network on full batches equal those of a loop written out.

    The loop has Nesterov's momentum, a cosine schedule, and decay of the weight but not the bias.
    """
    task = linear_task()
    recipe = Recipe(
        epochs=4,
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.05,
        weight_decay=0.1,
        warmup_epochs=0,
    )
    module, expected = seeded(lambda: nn.Linear(3, 1)), seeded(lambda: nn.Linear(3, 1))
    train(module, task, recipe, seed=0, device=CPU)
    velocity = [torch.zeros_like(parameter) for parameter in expected.parameters()]
    for epoch in range(4):
        rate = 0.05 * 0.5 * (1 + math.cos(math.pi * epoch / 4))
        loss = ((expected(task.train.inputs) - task.train.targets) ** 2).mean()
        gradients = torch.autograd.grad(loss, list(expected.parameters()))
        with torch.no_grad():
            for place, (parameter, gradient) in enumerate(
                zip(expected.parameters(), gradients, strict=True)
            ):
                decayed = gradient + 0.1 * parameter if parameter.ndim == 2 else gradient
                velocity[place] = 0.9 * velocity[place] + decayed if epoch else decayed
                parameter -= rate * (decayed + 0.9 * velocity[place])
    torch.testing.assert_close(dict(module.named_parameters()), dict(expected.named_parameters()))


def test_the_gradient_is_clipped():
    task = linear_task()
    start, module = seeded(lambda: nn.Linear(3, 1)), seeded(lambda: nn.Linear(3, 1))
    recipe = Recipe(
        epochs=1,
        batch_size=64,
        optimizer="sgd",
        learning_rate=1.0,
        weight_decay=0,
        warmup_epochs=0,
        gradient_clip=1e-3,
    )
    train(module, task, recipe, seed=0, device=CPU)
    pairs = zip(module.parameters(), start.parameters(), strict=True)
    moved = torch.cat([(new - old).flatten() for new, old in pairs])
    # The first Nesterov step is (1 + momentum) times the gradient.
    assert moved.norm().item() == pytest.approx(1.9e-3, rel=1e-3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_biases_and_norms_are_not_decayed(optimizer):
    module = small_network()
    groups = make_optimizer(module, Recipe(optimizer=optimizer, weight_decay=5e-4)).param_groups
    decay_by_ndim = {
        parameter.ndim: group["weight_decay"] for group in groups for parameter in group["params"]
    }
    assert decay_by_ndim == {4: 5e-4, 2: 5e-4, 1: 0.0}
    frozen = seeded(small_network)
    frozen[0].weight.requires_grad_(False)
    groups = make_optimizer(frozen, Recipe()).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(frozen.parameters())) - 1


def test_a_last_batch_of_one_does_not_stop_batch_norm():
    inputs = torch.randn(65, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    split = Split(inputs, torch.arange(65) % 10)
    task = Task("t", split, split, split, Shapes((1, 8, 8), (10,)))
    head = nn.Sequential(small_network(), nn.BatchNorm1d(10))
    assert train(head, task, Recipe(epochs=1, batch_size=64), seed=0, device=CPU).epochs == 1


def test_tokens_are_learned_too():
    tokens = torch.randint(5, (64, 6), generator=torch.Generator().manual_seed(0))
    split = Split(tokens, (tokens == 3).any(1).long())
    task = Task("tokens", split, split, split, Shapes((6,), (2,)))
    module = seeded(lambda: nn.Sequential(nn.EmbeddingBag(5, 8), nn.Linear(8, 2)))
    trained = train(
        module,
        task,
        Recipe(epochs=20, batch_size=16, optimizer="adamw", learning_rate=0.1),
        seed=0,
        device=CPU,
    )
    assert trained.validation > 0.9


def test_regression_finds_the_weights():
    module = seeded(lambda: nn.Linear(3, 1))
    trained = train(
        module,
        linear_task(),
        Recipe(epochs=100, batch_size=16, optimizer="sgd", learning_rate=0.05, weight_decay=0),
        seed=0,
        device=CPU,
    )
    assert trained.validation > -1e-4
    torch.testing.assert_close(module.weight, torch.tensor([[1.0, -2.0, 0.5]]), atol=1e-2, rtol=0)


def test_a_small_network_learns_from_real_images(shared_data):
    task = load_task("cifar10", path=str(shared_data("cifar10_small.npz")), limit=2000)
    network = seeded(lambda: nn.Sequential(nn.AvgPool2d(2), *small_network(3)))
    trained = train(
        network,
        task,
        Recipe(epochs=1, batch_size=64, optimizer="adamw", learning_rate=0.01),
        seed=0,
        device=CPU,
    )
    assert trained.validation > 0.15


def test_a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(NotFinite, match="not finite in epoch 1 of 30: lower the learning rate"):
        train(
            nn.Linear(3, 1),
            linear_task(400),
            Recipe(epochs=30, batch_size=2, optimizer="sgd", learning_rate=1e6),
            seed=0,
            device=CPU,
        )


class Overflowing(nn.Module):
    """Its outputs are finite in training mode only."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, inputs):
        return self.linear(inputs) if self.training else self.linear(inputs) * math.inf


def test_outputs_that_are_not_finite_are_an_error():
    with pytest.raises(NotFinite, match="outputs for 33 samples are not all finite"):
        train(Overflowing(), linear_task(), Recipe(epochs=1), seed=0, device=CPU)


def test_a_network_without_parameters_is_refused():
    with pytest.raises(ValueError, match="no parameters to train"):
        train(nn.Flatten(), linear_task(), Recipe(epochs=1), seed=0, device=CPU)


def test_evaluation_does_not_depend_on_the_batch_size_nor_on_dropout(digits):
    module = seeded(lambda: small_network(dropout=0.5))
    scores = {
        evaluate_split(module, digits.validation, digits, batch_size, CPU)
        for batch_size in (1, 50, 1000)
    }
    assert len(scores) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.parametrize("amp", [False, True])
def test_cuda_takes_the_same_path(digits, amp):
    device = find_device("cuda")
    recipe = Recipe(
        epochs=3, batch_size=64, optimizer="adamw", learning_rate=0.01, gradient_clip=1.0, amp=amp
    )
    task = Task(
        digits.name,
        digits.train,
        digits.validation,
        digits.test,
        digits.shapes,
        augment=FlipAndCrop(False, 1),
        normalize=digits.normalize,
    )
    before = torch.cuda.get_rng_state(device)
    module = seeded(lambda: small_network(dropout=0.1))
    assert train(module, task, recipe, seed=0, device=device).validation > 0.6
    assert torch.equal(before, torch.cuda.get_rng_state(device))
