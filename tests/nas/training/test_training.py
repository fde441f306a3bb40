"""Training: the recipe's formulas, determinism, what is decayed, and how it fails."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nas.tasks import load_task
from nas.tasks.augment import FlipAndCrop
from nas.tasks.task import Split, Task
from nas.training.loop import NotFinite, evaluate_split, find_device, make_optimizer, train
from nas.training.recipe import Recipe, batch_bounds, learning_rates
from spaces import Shapes

CPU = torch.device("cpu")


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def small_network(channels=1, dropout=0.0):
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def linear_task(count=33, loss="mse"):
    """Targets that are an exact linear function of the inputs, or classes by the sign of one."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, generator=generator)
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
    if loss == "mse":
        split = Split(inputs, targets)
        return Task(
            "linear", split, split, split, Shapes((3,), (1,)), loss="mse", metric="negative_mse"
        )
    split = Split(inputs, (targets[:, 0] > 0).long())
    return Task("linear", split, split, split, Shapes((3,), (2,)))


@pytest.fixture(scope="module")
def digits():
    return load_task("digits")


# The recipe


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


# Training


def test_a_small_network_learns_the_digits(digits):
    told = []
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
        on_epoch=lambda epoch, score: told.append((epoch, score)),
    )
    assert trained.validation > 0.75
    assert trained.curve[-1] == trained.validation
    assert told == list(enumerate(trained.curve, start=1))
    assert trained.epochs == 3


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
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
    """Full batches of a linear network, against a loop written out: Nesterov, decay of the weight
    but not of the bias, cosine.
    """
    task, recipe = (
        linear_task(),
        Recipe(
            epochs=4,
            batch_size=64,
            optimizer="sgd",
            learning_rate=0.05,
            weight_decay=0.1,
            warmup_epochs=0,
        ),
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
    task, start, module = (
        linear_task(),
        seeded(lambda: nn.Linear(3, 1)),
        seeded(lambda: nn.Linear(3, 1)),
    )
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
    moved = torch.cat(
        [
            (new - old).flatten()
            for new, old in zip(module.parameters(), start.parameters(), strict=True)
        ]
    )
    # The first Nesterov step is (1 + momentum) times the gradient.
    assert moved.norm().item() == pytest.approx(1.9e-3, rel=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_biases_and_norms_are_not_decayed(optimizer):
    module = small_network()
    decayed = {
        parameter.ndim: group["weight_decay"]
        for group in make_optimizer(
            module, Recipe(optimizer=optimizer, weight_decay=5e-4)
        ).param_groups
        for parameter in group["params"]
    }
    assert decayed == {4: 5e-4, 2: 5e-4, 1: 0.0}
    frozen = seeded(small_network)
    frozen[0].weight.requires_grad_(False)
    assert (
        sum(len(group["params"]) for group in make_optimizer(frozen, Recipe()).param_groups)
        == len(list(frozen.parameters())) - 1
    )


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


# What goes wrong


def test_a_loss_that_is_not_finite_is_said():
    with pytest.raises(NotFinite, match="not finite in epoch 1 of 30: lower the learning rate"):
        train(
            nn.Linear(3, 1),
            linear_task(400),
            Recipe(epochs=30, batch_size=2, optimizer="sgd", learning_rate=1e6),
            seed=0,
            device=CPU,
        )


class Overflowing(nn.Module):
    """Finite in training mode only."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, inputs):
        return self.linear(inputs) if self.training else self.linear(inputs) * math.inf


def test_outputs_that_are_not_finite_are_said():
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


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tpu9", "auto, cpu, cuda"),
        ("meta", "cpu or cuda; got 'meta'"),
        ("cuda:63", "not on this machine, which has"),
    ],
)
def test_a_device_that_is_not_there_is_said(name, says):
    with pytest.raises(ValueError, match=says):
        find_device(name)


def test_devices_are_found():
    assert find_device("cpu") == CPU
    assert find_device() == (torch.device("cuda", 0) if torch.cuda.is_available() else CPU)


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
    assert (
        train(
            seeded(lambda: small_network(dropout=0.1)), task, recipe, seed=0, device=device
        ).validation
        > 0.6
    )
    assert torch.equal(before, torch.cuda.get_rng_state(device))
